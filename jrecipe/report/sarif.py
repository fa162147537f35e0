"""A report as SARIF 2.1.0, which code hosts show beside the lines of a change.

One rule per cause, one result per finding that failed or warned. Where the user's own code raised,
the result points at that line; otherwise at the file the task came from.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", 2020.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from jrecipe.checks.result import CAUSES, Finding, Verdict
from jrecipe.report.report import Report, plain
from jrecipe.version import __version__

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Verdict.FAILED: "error", Verdict.WARNED: "warning"}


def to_sarif(report: Report, file: str = "") -> dict[str, Any]:
    """Returns a report as a SARIF log.

    Args:
      report: what was found.
      file: path of the file that defines the task, relative to the repository; results without a
        line of their own point at its beginning. Empty if there is none.
    """
    alarms = [finding for group in report.by_cause() for finding in group]
    causes = sorted({_rule(finding) for finding in alarms})
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "jrecipe",
                        "version": __version__,
                        "informationUri": "https://karpathy.github.io/2019/04/25/recipe/",
                        "rules": [
                            {
                                "id": cause,
                                "shortDescription": {"text": CAUSES.get(cause, cause)},
                            }
                            for cause in causes
                        ],
                    }
                },
                "results": [_result(finding, file, causes) for finding in alarms],
                "properties": {"task": plain(report.task), "facts": plain(report.facts)},
            }
        ],
    }


def _result(finding: Finding, file: str, causes: list[str]) -> dict[str, Any]:
    cause = _rule(finding)
    suspects = [
        f"{suspect.cause} in {suspect.component}"
        + (f" at {suspect.where}" if suspect.where else "")
        + (f": {suspect.why}" if suspect.why else "")
        for suspect in finding.suspects
    ]
    text = " ".join([finding.finding, finding.remedy]).strip()
    if suspects:
        text += " Suspects: " + "; ".join(suspects) + "."
    first = finding.suspects[0] if finding.suspects else None
    return {
        "ruleId": cause,
        "ruleIndex": causes.index(cause),
        "level": _LEVELS[finding.verdict],
        "message": {"text": plain(text)},
        "locations": _locations(finding, file),
        "partialFingerprints": {
            "jrecipe/v1": hashlib.sha256(
                f"{finding.item} {finding.check} {cause} {first.where if first else ''}".encode()
            ).hexdigest()[:32]
        },
        "properties": {
            "item": finding.item,
            "check": finding.check,
            "evidence": plain(finding.evidence),
            "suspects": [plain(suspect) for suspect in finding.suspects],
        },
    }


def _locations(finding: Finding, file: str) -> list[dict[str, Any]]:
    place = str(finding.evidence.get("line") or "")
    match = re.fullmatch(r"(.+\.py):(\d+)", place)
    path, line = (match.group(1), int(match.group(2))) if match else (file, 1)
    if file and file.rsplit("/", 1)[-1] == path:
        path = file
    found: dict[str, Any] = {}
    if path:
        found["physicalLocation"] = {
            "artifactLocation": {"uri": path.replace("\\", "/")},
            "region": {"startLine": line},
        }
    logical = [
        {"fullyQualifiedName": suspect.where, "kind": suspect.component}
        for suspect in finding.suspects[:1]
        if suspect.where
    ]
    if logical:
        found["logicalLocations"] = logical
    return [found] if found else []


def _rule(finding: Finding) -> str:
    return finding.suspects[0].cause if finding.suspects else finding.check
