"""A2: what a loader left out, judged."""

import pytest

from jrecipe.checks.damaged import SHOWN, judge_damage
from jrecipe.checks.result import Verdict
from jrecipe.data import Damage


def piece(what, *, line=None, stops=True):
    return Damage(path="a.csv", line=line, reason="bad", what=what, fix="mend it", stops=stops)


@pytest.mark.parametrize(
    ("what", "stops", "verdict", "cause", "component"),
    [
        ("file", True, Verdict.FAILED, "damaged-file", "data"),
        ("line", True, Verdict.FAILED, "damaged-line", "data"),
        ("target", True, Verdict.FAILED, "unusable-target", "labels"),
        ("target", False, Verdict.WARNED, "unusable-target", "labels"),
        ("class", False, Verdict.WARNED, "missing-class", "labels"),
        ("column", False, Verdict.WARNED, "constant-feature", "data"),
    ],
)
def test_damage_fails_if_training_refuses_it(what, stops, verdict, cause, component):
    (finding,) = judge_damage([piece(what, line=7, stops=stops)], 9)
    assert (finding.item, finding.check, finding.verdict) == ("A2", "corrupt", verdict)
    (suspect,) = finding.suspects
    assert (suspect.cause, suspect.component, suspect.where) == (cause, component, "a.csv:7")
    assert finding.remedy.startswith("Mend it. Training ")
    assert "a.csv:7: bad" in finding.finding
    assert finding.evidence == {f"damaged_{what}": 1, "examples_read": 9, "damaged_share": 0.1}


def test_each_kind_has_a_finding_of_its_own_and_every_place_is_in_the_table():
    damage = [piece("line", line=i) for i in range(2, 8)] + [piece("file")]
    lines, file = judge_damage(damage, 94)
    assert lines.finding == (
        "6 lines are damaged; 94 examples were read. "
        "a.csv:2: bad; a.csv:3: bad; a.csv:4: bad; and 3 more."
    )
    (table,) = lines.figures
    assert [row[0] for row in table.rows] == [f"a.csv:{i}" for i in range(2, 8)]
    assert file.finding == "1 file is damaged; 94 examples were read. a.csv: bad."


def test_where_most_is_damaged_it_says_so():
    many = [piece("line", line=i) for i in range(SHOWN + 1)]
    (finding,) = judge_damage(many, 10)
    assert "that is most of the data, only 10 examples were read" in finding.finding
    assert len(finding.figures[0].rows) == SHOWN
    assert f"the first {SHOWN} of {SHOWN + 1}" in finding.figures[0].title
    (finding,) = judge_damage(many[:10], 10)
    assert "most" not in finding.finding


def test_no_damage_and_what_other_checks_judge_are_silent():
    assert judge_damage([], 10) == ()
    assert judge_damage([piece("only"), piece("few")], 10) == ()
