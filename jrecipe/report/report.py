"""A report: what was found, how it went, and what it was run with.

A `Report` is plain data. The console, the HTML page and the JSON file are three views of it, each
in a file of its own.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Figure, Table


class Part(Protocol):
    """A part of a page that has scripts of its own.

    Attributes are `style` (CSS), `body` (HTML), `scripts` (modules, in order) and `hashes` (what
    the page's security policy calls each of them).
    """

    @property
    def style(self) -> str: ...  # noqa: D102

    @property
    def body(self) -> str: ...  # noqa: D102

    @property
    def scripts(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def hashes(self) -> tuple[str, ...]: ...  # noqa: D102


_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """One chapter in the story of a run.

    Attributes:
      title: one line.
      text: paragraphs, shown as text, never as markup; one string is one paragraph.
      figures: pictures, in order.
      table: a table shown between text and figures, or None.
    """

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    table: Table | None = None

    def __post_init__(self) -> None:
        given: Any = self.text
        text = (given,) if isinstance(given, str) else tuple(given)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "figures", tuple(self.figures))


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Report:
    """Findings, story and circumstances of one run.

    Attributes:
      task: name of the task.
      findings: what the checks said, in the order in which they ran.
      sections: the story of the run, in order.
      facts: name -> value of what the run was: seed, command, versions, device, seconds. Values are
        numbers, texts or (nested) mappings and sequences of them.
      test: final numbers on the test split, as `{"accuracy": ..., "loss": ..., "n": ...}`, or None.
    """

    task: str
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    test: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(self.findings))
        object.__setattr__(self, "sections", tuple(self.sections))

    @property
    def ok(self) -> bool:
        """Whether no finding failed."""
        return all(finding.ok for finding in self.findings)

    def worst_first(self) -> tuple[Finding, ...]:
        """Returns the findings sorted FAILED, WARNED, SKIPPED, PASSED; equal ones as they ran."""
        return tuple(sorted(self.findings, key=lambda finding: _RANK[finding.verdict]))

    def by_cause(self) -> tuple[tuple[Finding, ...], ...]:
        """Returns what failed or warned, grouped by its likeliest cause, worst group first.

        A group begins with the finding that measured the cause; what follows from it comes after.
        """
        groups: dict[object, list[Finding]] = {}
        for finding in self.worst_first():
            if finding.verdict in (Verdict.FAILED, Verdict.WARNED):
                first = finding.suspects[0] if finding.suspects else None
                cause = (first.cause, first.component) if first else id(finding)
                groups.setdefault(cause, []).append(finding)
        follows = lambda f: bool(f.suspects and f.suspects[0].see)  # noqa: E731
        return tuple(tuple(sorted(group, key=follows)) for group in groups.values())

    def in_order(self) -> tuple[Finding, ...]:
        """Returns all findings as they are shown: grouped by cause, then SKIPPED, then PASSED."""
        alarms = tuple(finding for group in self.by_cause() for finding in group)
        return (*alarms, *self.worst_first()[len(alarms) :])

    def by_item(self) -> dict[str, tuple[Finding, ...]]:
        """Returns item id -> its findings, in the order of the recipe: A1, A2, ..., A10, B1."""
        items = sorted({finding.item for finding in self.findings}, key=recipe_order)
        return {item: tuple(f for f in self.findings if f.item == item) for item in items}

    def likeliest(self) -> Suspect | None:
        """Returns the first suspect of the worst finding that names one, or None."""
        for finding in self.worst_first():
            if finding.verdict in (Verdict.FAILED, Verdict.WARNED) and finding.suspects:
                return finding.suspects[0]
        return None

    def count(self, verdict: Verdict) -> int:
        """Returns how many findings have this verdict."""
        return sum(finding.verdict is verdict for finding in self.findings)

    def headline(self) -> str:
        """Returns the answer in one sentence: how it came out, and why if it came out badly."""
        worst = next(iter(self.in_order()), None)
        counts = ", ".join(
            f"{self.count(verdict)} {word}"
            for verdict, word in (
                (Verdict.PASSED, "passed"),
                (Verdict.WARNED, "warned"),
                (Verdict.FAILED, "failed"),
                (Verdict.SKIPPED, "skipped"),
            )
            if self.count(verdict)
        )
        if worst is None:
            return f"{self._scored() or 'Nothing was checked'}."
        if worst.verdict is Verdict.FAILED:
            suspect = self.likeliest()
            cause = f" Most likely: {suspect.cause} ({_place(suspect)})." if suspect else ""
            return f"{worst.item} failed: {worst.finding.rstrip('.')}.{cause}"
        suspect = self.likeliest()
        look = f" Look first at: {suspect.cause} ({_place(suspect)})." if suspect else ""
        return f"{self._scored() or 'Checked'}: {counts}.{look}"

    def _scored(self) -> str:
        accuracy = (self.test or {}).get("accuracy")
        if not self.test:
            return ""
        if accuracy is None or not math.isfinite(accuracy):
            return "Trained and checked"
        n = self.test.get("n")
        right = f" ({round(accuracy * n)} of {round(n)})" if n and math.isfinite(n) else ""
        return f"Trained and checked, test accuracy {100 * accuracy:.1f} %{right}"

    def to_json(self) -> dict[str, Any]:
        """Returns the report as what JSON can carry; NaN and infinity become None.

        Returns:
          `{"schema": 1, "task", "ok", "headline", "test", "counts", "findings": {item: [{check,
          verdict, finding, evidence, remedy, suspects}, ...]}, "sections": [{title, text}, ...],
          "facts"}`.
        """
        return {
            "schema": 1,
            "task": self.task,
            "ok": self.ok,
            "headline": self.headline(),
            "test": None if self.test is None else plain(self.test),
            "counts": {verdict.value: self.count(verdict) for verdict in Verdict},
            "findings": {
                item: [_finding_json(finding) for finding in findings]
                for item, findings in self.by_item().items()
            },
            "sections": [
                {
                    "title": section.title,
                    "text": list(section.text),
                    **({"table": plain(section.table)} if section.table else {}),
                }
                for section in self.sections
            ],
            "facts": plain(self.facts),
        }

    def to_html(self, *, explorer: Part | None = None) -> str:
        """Returns the report as one self-contained HTML page that asks no server for anything.

        Args:
          explorer: of the examples, as `jr.explore.fragment` gives it.
        """
        from jrecipe.report.page import render

        return render(self, explorer)

    def save(self, folder: str | os.PathLike[str], *, explorer: Part | None = None) -> Path:
        """Writes `report.html` and `report.json` into `folder`, each all at once or not at all.

        Args:
          folder: where to; made if it is missing.
          explorer: of the examples, for the page, as `jr.explore.fragment` gives it.

        Returns:
          The path of `report.html`.

        Raises:
          OSError: if the folder cannot be written, or the disk is full; earlier files stay.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        page = self.to_html(explorer=explorer)
        data = json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_whole(folder / "report.json", data)
        write_whole(folder / "report.html", page)
        return folder / "report.html"

    def __str__(self) -> str:
        from jrecipe.report.console import plain_text

        return plain_text(self)

    def __repr__(self) -> str:  # not its figures, as a notebook would print them
        return f"<Report of {self.task}: {self.headline()}>"

    def _repr_html_(self) -> str:
        from jrecipe.report.page import render_compact

        return render_compact(self)


def recipe_order(item: str) -> tuple[Any, ...]:
    """Returns a key that sorts item ids as the recipe does.

    Example:
      >>> sorted(["B12", "B4", "A1", "B2"], key=recipe_order)
      ['A1', 'B2', 'B4', 'B12']
    """
    match = re.fullmatch(r"([A-Za-z]*)(\d*)(.*)", item, flags=re.DOTALL)
    letters, digits, rest = match.groups() if match else (item, "", "")
    return letters, int(digits or 0), rest


def plain(value: Any) -> Any:
    """Returns `value` as dicts, lists, texts, numbers and None, for JSON.

    NaN and infinity become None, as JSON has neither; arrays become lists, others their text.

    Example:
      >>> plain({"loss": float("nan"), "shape": (2, 3), 4: np.float32(0.5)})
      {'loss': None, 'shape': [2, 3], '4': 0.5}
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        # Lone surrogates (an undecodable file name) cannot be written as UTF-8.
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(entry) for key, entry in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind in "biufSU":
            return plain(array.tolist())
    return plain(str(value))


def write_whole(path: Path, text: str) -> None:
    """Writes `text` to `path` so that a reader sees the old file or the new one, never a part.

    Raises:
      OSError: if it cannot be written; `path` is then as it was, and no temporary file stays.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    # There is no way to read it without setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _place(suspect: Suspect) -> str:
    return f"{suspect.component}, {suspect.where}" if suspect.where else suspect.component


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "finding": plain(finding.finding),
        "evidence": plain(finding.evidence),
        "remedy": plain(finding.remedy),
        "suspects": [plain(suspect) for suspect in finding.suspects],
    }
