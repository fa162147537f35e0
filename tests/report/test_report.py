"""The report as data: its order, its answer, its JSON, its files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE, finding, sample

from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Table
from jrecipe.report import Report, Section
from jrecipe.report.report import plain, recipe_order
from jrecipe.report.wording import command_line, number, scores, wilson

VERDICTS = st.lists(st.sampled_from(list(Verdict)), max_size=12)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(np.float32(1.5)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=8,
)


@given(verdicts=VERDICTS)
def test_ok_means_that_nothing_failed_and_the_worst_stands_first(verdicts):
    report = Report(
        task="t",
        findings=tuple(finding(v, item=f"B{i}", check=str(i)) for i, v in enumerate(verdicts)),
    )
    assert report.ok == (Verdict.FAILED not in verdicts)
    order = [list(Verdict).index(f.verdict) for f in report.worst_first()]
    assert order == sorted(order)
    assert sorted(f.check for f in report.worst_first()) == sorted(f.check for f in report.findings)
    assert report.to_json()["counts"] == {v.value: verdicts.count(v) for v in Verdict}


@given(facts=st.dictionaries(st.text(), ANYTHING, max_size=4))
def test_json_carries_any_facts_and_no_nan(facts):
    data = sample(facts=facts).to_json()
    text = json.dumps(data, allow_nan=False)
    text.encode()
    assert json.loads(text) == data


def test_json_groups_findings_by_item_in_the_order_of_the_recipe():
    data = sample().to_json()
    items = list(data["findings"])
    assert items == sorted(items, key=recipe_order)
    assert items.index("B4") < items.index("B12")
    assert len(data["findings"]["B12"]) == 2
    b4 = data["findings"]["B4"][0]
    assert set(b4) == {"check", "verdict", "finding", "evidence", "remedy", "suspects"}
    assert b4["verdict"] == "FAILED"
    assert b4["evidence"]["bad"] is None
    assert b4["suspects"][0]["cause"] == "loss-scale"
    assert data["test"] == {"accuracy": 0.9, "loss": 0.25, "n": 360}
    assert data["ok"] is False


def test_plain_takes_arrays_surrogates_and_objects():
    assert plain({"a": np.array([1.0, np.nan])}) == {"a": [1.0, None]}
    assert plain(np.array("x")) == "x"
    plain("\ud800").encode()
    assert plain(Path("a")) == "a"
    assert plain({1}) == [1]


def test_the_likeliest_cause_is_that_of_the_worst_finding():
    suspect = Suspect(cause="imbalance", component="labels")
    report = sample()
    assert report.likeliest() == report.worst_first()[0].suspects[0]
    passed = Report(task="t", findings=(finding(Verdict.PASSED, suspects=(suspect,)),))
    assert passed.likeliest() is None
    warned = Report(task="t", findings=(finding(Verdict.WARNED, suspects=(suspect,)),))
    assert warned.likeliest() == suspect
    assert "imbalance" in warned.headline()


def test_the_headline_answers():
    good = Report(
        task="t",
        findings=(finding(Verdict.PASSED), finding(Verdict.WARNED)),
        test={"accuracy": 356 / 360, "n": 360},
    )
    assert good.headline() == (
        "Trained and checked, test accuracy 98.9 % (356 of 360): 1 passed, 1 warned."
    )
    assert sample().headline().startswith("B4 failed: ")
    assert "loss-scale (loss, head)" in sample().headline()
    assert Report(task="t", findings=()).headline() == "Nothing was checked."
    nan = Report(task="t", findings=(), test={"accuracy": float("nan"), "n": 3})
    assert nan.headline() == "Trained and checked."


def test_one_text_is_one_paragraph():
    assert Section(title="t", text="one").text == ("one",)
    table = Table(title="t", columns=["a"], rows=[["1"]])
    report = Report(task="t", findings=(), sections=(Section(title="s", text="x", table=table),))
    assert report.to_json()["sections"][0]["table"]["rows"] == [["1"]]


@pytest.mark.slow
def test_save_writes_both_files_and_nothing_else(tmp_path):
    path = sample().save(tmp_path / "new" / "run")
    assert path.name == "report.html"
    assert sorted(os.listdir(path.parent)) == ["report.html", "report.json"]
    assert json.loads((path.parent / "report.json").read_text())["task"] == HOSTILE
    assert path.stat().st_mode & 0o400


@pytest.mark.slow
def test_a_full_disk_leaves_the_earlier_report(tmp_path, monkeypatch):
    sample().save(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Report(task="other", findings=()).save(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@given(share=st.floats(0, 1), n=st.integers(1, 100_000))
def test_the_interval_holds_the_share_and_stays_a_share(share, n):
    low, high = wilson(share, n)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


def test_the_interval_narrows_with_more_examples():
    widths = [high - low for low, high in (wilson(0.9, n) for n in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)


@given(value=ANYTHING)
def test_numbers_are_short_lines(value):
    assert "\n" not in number(value)


def test_numbers_keep_sensible_digits():
    assert number(np.float32(0.1)) == "0.1"
    assert number(23.0259) == "23.03"
    assert number(-1.5e-7) == "-1.5e-7"
    assert number(0.0) == "0"
    assert number(12345.6) == "12\u202f346"


def test_scores_name_what_was_measured():
    assert scores(None) == []
    assert scores({"loss": 0.5})[0] == ("Test loss", "0.5", "")
    assert scores({"accuracy": float("nan"), "n": 0})[0][1] == "NaN"


def test_a_command_can_be_pasted():
    assert command_line(["jrecipe", "cook", "my file.py:task"]) == "jrecipe cook 'my file.py:task'"
    assert command_line("a b") == "a b"
    assert command_line(None) == ""


def test_findings_of_one_cause_stand_together_on_the_page():
    def alarm(item: str, see: str = "") -> Finding:
        suspect = Suspect(cause="wrong-sign", component="loss", why="uphill", see=see)
        return said(item, Verdict.FAILED, suspects=(suspect,))

    def said(item: str, verdict: Verdict, **more: Any) -> Finding:
        return Finding(item=item, check=item, verdict=verdict, finding=f"{item} speaks", **more)

    other, fine = said("B2", Verdict.WARNED), said("B1", Verdict.PASSED)
    report = Report(task="t", findings=(fine, other, alarm("B9", see="G15"), alarm("G15")))
    assert [f.item for f in report.in_order()] == ["G15", "B9", "B2", "B1"]
    assert report.headline().startswith("G15 failed")
    page = report.to_html()
    assert page.count("2 findings, one likely cause") == 1
    listed = page[page.index("Findings, worst first") :]
    places = [listed.index(f"{item} speaks") for item in ("G15", "B9", "B2", "B1")]
    assert places == sorted(places)
