"""SARIF for code hosts: valid, one result per alarm, at the user's own line."""

import json

from report_samples import sample

from jrecipe.checks.diagnosis import diagnose
from jrecipe.checks.result import CAUSES, Finding, Suspect, Verdict
from jrecipe.report import Report
from jrecipe.report.sarif import to_sarif


def finding(item, verdict, *suspects, **more):
    return Finding(
        item=item, check="a-check", verdict=verdict, finding="x", suspects=suspects, **more
    )


def test_every_alarm_is_a_result_and_nothing_else_is():
    report = sample()
    log = json.loads(json.dumps(to_sarif(report, "my_task.py"), allow_nan=False))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    alarms = [f for f in report.findings if f.verdict in (Verdict.FAILED, Verdict.WARNED)]
    assert len(run["results"]) == len(alarms) > 0
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "my_task.py"
    assert all(
        rule["shortDescription"]["text"] == CAUSES.get(rule["id"], rule["id"]) for rule in rules
    )


def test_an_exception_points_at_the_line_that_raised():
    suspect = Suspect(cause="raises", component="loss", where="my_task.py:12")
    raised = finding("B4", Verdict.FAILED, suspect, evidence={"line": "my_task.py:12"})
    log = to_sarif(Report(task="t", findings=(raised,)), "code/my_task.py")
    place = log["runs"][0]["results"][0]["locations"][0]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "code/my_task.py"
    assert place["physicalLocation"]["region"] == {"startLine": 12}
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "my_task.py:12"


def test_a_report_without_alarms_has_no_results():
    log = to_sarif(Report(task="t", findings=(finding("B4", Verdict.PASSED),)))
    assert log["runs"][0]["results"] == []


def test_causes_come_before_what_follows_from_them():
    missing = Suspect(cause="missing-nonlinearity", component="model", where="a -> b", why="linear")
    symptom = Suspect(cause="no-learning", component="step")
    habit = Suspect(cause="imbalance", component="data")
    told = diagnose(
        (
            finding("A3", Verdict.WARNED, habit),
            finding("B8", Verdict.FAILED, symptom),
            finding("G19", Verdict.WARNED, missing),
            finding("B1", Verdict.PASSED),
        )
    )
    assert [f.item for f in told] == ["B8", "G19", "A3", "B1"]
    assert [s.cause for s in told[0].suspects] == ["missing-nonlinearity", "no-learning"]
    assert (told[0].suspects[0].see, told[1].suspects[0].see) == ("G19", "")
    report = Report(task="t", findings=told)
    assert [[f.item for f in group] for group in report.by_cause()] == [["G19", "B8"], ["A3"]]
    assert "missing-nonlinearity (model, a -> b)" in report.headline()
    # A habit explains nothing: it does not take the place of the symptom's own suspect.
    alone = diagnose((finding("A3", Verdict.WARNED, habit), finding("B8", Verdict.FAILED, symptom)))
    assert [s.cause for s in alone[0].suspects] == ["no-learning"]
