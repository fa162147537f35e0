"""The report on the console: answer first, no codes in a pipe, no text read as markup."""

from __future__ import annotations

import io

import pytest
from report_samples import HOSTILE, finding, sample

from jrecipe.checks.result import Verdict
from jrecipe.report import Report, show


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(report: Report, stream: io.StringIO | None = None, **options) -> str:
    stream = io.StringIO() if stream is None else stream
    show(report, file=stream, **options)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_pipe_gets_plain_lines():
    text = shown(sample())
    assert "\x1b" not in text
    assert not set(text) & set("─│┌┐└┘━┃╭╮╰╯")
    assert text == str(sample()) + "\n"


def test_the_first_line_is_the_answer_and_the_likeliest_cause():
    first, *rest = shown(sample()).splitlines()
    assert first.startswith("FAILED")
    assert "loss-scale" in first
    verdicts = [line.split()[0] for line in rest if line[:1].strip()]
    assert verdicts == ["FAILED", "WARNED", "SKIPPED", "PASSED"]


def test_texts_are_printed_as_they_are():
    assert HOSTILE in shown(sample())
    terminal = shown(sample(), Terminal())
    assert "[red]" in terminal


def test_a_terminal_gets_colour_and_no_line_wider_than_itself(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = shown(sample(), Terminal())
    assert "\x1b[" in text
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert max(map(len, shown(sample(), Terminal()).splitlines())) <= 80


def test_quiet_keeps_the_answer_and_what_is_wrong():
    text = shown(sample(), quiet=True)
    assert "FAILED" in text
    assert "WARNED" in text
    assert "SKIPPED" not in text
    assert "PASSED" not in text


def test_control_codes_in_a_finding_do_not_reach_the_terminal():
    report = Report(task="t", findings=(finding(Verdict.PASSED, finding="a\x1b[2J\rb\u202ec"),))
    assert "a[2J bc" in shown(report)


def test_a_stream_that_cannot_write_a_letter_gets_another():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(Report(task="t", findings=(finding(Verdict.PASSED, finding="± ok"),)), file=stream)
    stream.flush()
    assert b"? ok" in stream.buffer.getvalue()


def test_scores_and_command_are_told():
    text = shown(sample())
    assert "Test accuracy: 90.0 % (95 % interval 86.5 to 92.7 %)" in text
    assert "Run again: jrecipe cook" in text
