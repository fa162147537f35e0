"""What a survey of all examples says: copies, doubted labels, trivial features, dead inputs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np

from jrecipe.checks.intervals import wilson
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.draw.text import printable
from jrecipe.explore.constant import constant_inputs
from jrecipe.explore.copies import is_equal
from jrecipe.explore.examples import Examples
from jrecipe.explore.probe import Probe
from jrecipe.explore.surveying import Survey
from jrecipe.explore.trivial import Trivial, trivial_scores
from jrecipe.figures import Figure, Pictures, Table

Evidence = dict[str, float | int | str | bool | None]
LEAK = 0.005  # share of a split with copies in training that spoils its scores
_SHOWN = 24  # examples drawn of a finding
_CUT = 160  # characters of a text shown


def findings_of(survey: Survey) -> Iterator[Finding]:
    """Yields what the survey found, one finding for each question (A1, A2, A4, A5, A8)."""
    yield from judge_copies(survey)
    yield judge_constant(survey)
    yield judge_trivial(survey)
    yield judge_suspects(survey)
    yield judge_outliers(survey)


def judge_copies(survey: Survey) -> Iterator[Finding]:
    """Judges copies over all examples: FAILED if half a percent of a split leaks, WARNED if less.

    Copies inside of training are told, not judged: they may be meant.
    """
    copies, gathered = survey.copies, survey.gathered
    groups = int(copies.near.max(initial=-1)) + 1
    exact = int(copies.exact.max(initial=-1)) + 1
    evidence: Evidence = {
        "examples": len(gathered),
        "groups_of_copies": groups,
        "groups_of_equal_inputs": exact,
        "rows_with_copies": int((copies.near >= 0).sum()),
    }
    if copies.natural:
        said = "Rows repeat by nature here, so that near ones cannot be told from copies."
        yield concluding("A1", "copies", evidence)(Verdict.SKIPPED, said)
        return
    same = is_equal(copies)
    worst, leaks = Verdict.PASSED, []
    for name in gathered.names:
        if name == "train":
            continue
        rows = gathered.rows_of(name)
        leaking = rows[copies.across[rows]]
        equal = int(same[leaking].sum())
        evidence |= {f"{name}_leaks": len(leaking), f"{name}_share": len(leaking) / len(rows)}
        if len(leaking):
            bad = len(leaking) >= max(3, LEAK * len(rows))
            worst = Verdict.FAILED if bad else min(worst, Verdict.WARNED, key=list(Verdict).index)
            leaks.append(
                f"{len(leaking)} of {len(rows)} {name} rows ({len(leaking) / len(rows):.2%}, "
                f"{equal} of them exactly)"
            )
    inside = f"{groups} groups of copies in all, {exact} of them with equal inputs"
    pairs = _pairs(survey, copies.across if leaks else copies.near >= 0)
    result = concluding("A1", "copies", evidence, _drawn(survey, "Copies, side by side", pairs))
    if not leaks:
        said = f"No example outside of training has a copy in training; {inside}."
        yield result(Verdict.PASSED, said)
    else:
        rows = np.flatnonzero(copies.across)
        where = "; ".join(
            f"{gathered.split[row]} row {gathered.row[row]} = "
            f"train row {gathered.row[copies.partner[row]]}"
            for row in rows[:6]
        )
        yield result(
            worst,
            f"Copies of training examples are in {', '.join(leaks)}; {inside}.",
            "Take them out of one of the splits (see copies.csv): scores are too good by them.",
            Suspect(cause="split-leakage", component="split", where=where, why=leaks[0]),
        )
    yield from _conflict(survey)


def _conflict(survey: Survey) -> Iterator[Finding]:
    examples = survey.examples
    if not any(column.name == "conflict" for column in examples.columns):
        return
    clash = examples["conflict"]
    rows = np.flatnonzero(clash)
    rows = rows[np.argsort(survey.copies.near[rows], kind="stable")]
    total = int((survey.copies.near >= 0).sum())
    why = f"{len(rows)} of {total} examples with copies have one with another label"
    many = len(rows) >= 4 and len(rows) >= 0.05 * total and not survey.gathered.data.label_noise
    evidence: Evidence = {"conflicting_rows": len(rows), "copies": total}
    figures = _drawn(survey, "Copies with different labels", rows[:_SHOWN])
    yield concluding("A2", "copies-agree", evidence, figures)(
        Verdict.WARNED if many else Verdict.PASSED,
        f"Copies disagree in their labels: {why}." if many else f"{why}.",
        "Decide these labels by hand." if many else "",
        *([Suspect(cause="label-conflict", component="labels", why=why)] if many else []),
    )


def judge_suspects(survey: Survey) -> Finding:
    """Ranks labels that models of other rows contradict; a list to look at, not a verdict."""
    found, suspects = survey.probed, survey.suspects
    if isinstance(found, str) or suspects is None:
        why = found if isinstance(found, str) else "targets are numbers"
        return concluding("A2", "suspects", {})(
            Verdict.SKIPPED, f"No label was asked about: {why}."
        )
    order = np.argsort(suspects.score, kind="stable")[:_SHOWN]
    low, high = suspects.interval
    evidence: Evidence = {
        "probe_accuracy": found.score,
        "confidently_contradicted": suspects.rate,
        "low": low,
        "high": high,
        "judged_by": suspects.by,
    }
    figures = _drawn(survey, "Labels that a probe doubts most", order)
    return concluding("A2", "suspects", evidence, figures)(
        Verdict.PASSED,
        f"The likeliest wrong labels are listed. A probe that did not see them is right on "
        f"{found.score:.1%} of all labels and confidently contradicts {suspects.rate:.1%} "
        f"({low:.1%} to {high:.1%}), hard examples among them.",
    )


def judge_trivial(survey: Survey) -> Finding:
    """Judges how well trivial features predict the label: WARNED if one does nearly all of it."""
    scores = trivial_scores(survey)
    if isinstance(scores, str):
        return concluding("A4", "trivial-features", {})(Verdict.SKIPPED, scores)
    best = scores[0]
    low, high = best.interval
    probe_low, probe_high = wilson(round(best.probe * len(survey.gathered)), len(survey.gathered))
    evidence: Evidence = {
        "best": best.name,
        "best_accuracy": best.accuracy,
        "best_low": low,
        "best_high": high,
        "prior_accuracy": best.prior,
        "probe_accuracy": best.probe,
        "probe_low": probe_low,
        "probe_high": probe_high,
        "rows_asked": best.rows,
    }
    table = Table(
        title="How well a trivial feature predicts the label, on rows it was not fitted on",
        columns=("feature", "accuracy", "95 % interval", "without it"),
        rows=[_told(score) for score in scores],
    )
    result = concluding("A4", "trivial-features", evidence, (table,))
    said = (
        f"{best.name} alone {'predict' if best.words else 'predicts'} {_within(best)} of the "
        f"labels, where the commonest label is {best.prior:.1%} and a probe of the whole input "
        f"reaches {best.probe:.1%} ({probe_low:.1%} to {probe_high:.1%})"
    )
    if best.words:
        said += f"; the most telling: {', '.join(best.words)}"
    if not best.suspicious:
        return result(Verdict.PASSED, f"{said}.")
    others = [f"{score.name} {_within(score)}" for score in scores[1:] if score.suspicious]
    also = f" So do {', '.join(others)}." if others else ""
    return result(
        Verdict.WARNED,
        f"A trivial feature predicts the label: {said}.{also}",
        "Ask how the data came about; make it the same for all classes, or leave it out.",
        Suspect(cause="shortcut", component="data", where=best.name, why=said),
    )


def _within(score: Trivial) -> str:
    low, high = score.interval
    return f"{score.accuracy:.1%} ({low:.1%} to {high:.1%})"


def _told(score: Trivial) -> tuple[str, str, str, str]:
    low, high = score.interval
    return score.name, f"{score.accuracy:.1%}", f"{low:.1%} to {high:.1%}", f"{score.prior:.1%}"


def judge_constant(survey: Survey) -> Finding:
    """Judges numbers of the inputs that never change: WARNED for columns and for single pixels."""
    dead, total = constant_inputs(survey.gathered)
    if total == 0:
        said = "Words of texts are not asked; columns of files are when they are read."
        return concluding("A2", "constant-inputs", {})(Verdict.SKIPPED, said)
    result = concluding("A2", "constant-inputs", {"constant": len(dead), "numbers": total})
    if not len(dead):
        said = f"None of {total} numbers of the inputs is constant where others vary."
        return result(Verdict.PASSED, said)
    where = ", ".join(dead[:12]) + (", ..." if len(dead) > 12 else "")
    why = f"{len(dead)} of {total} numbers of the inputs have one value in all training examples"
    return result(
        Verdict.WARNED,
        f"{why}: {where}.",
        "Look at how they came about: a broken sensor, a failed join; drop them.",
        Suspect(cause="constant-feature", component="data", where=where, why=why),
    )


def judge_outliers(survey: Survey) -> Finding:
    """Shows the examples that are farthest from all others; a list to look at, not a verdict."""
    score = survey.examples["outlier"]
    order = np.argsort(-score, kind="stable")[:_SHOWN]
    figures = _drawn(survey, "Farthest from all others", order)
    return concluding("A8", "outliers", {"largest": float(score[order[0]])}, figures)(
        Verdict.PASSED,
        f"The examples farthest from all others are listed: up to {score[order[0]]:.3g} times as "
        "far from their nearest as is usual.",
    )


def _pairs(survey: Survey, chosen: np.ndarray) -> np.ndarray:
    """Returns rows and their copies, one behind the other."""
    rows = np.flatnonzero(chosen)[: _SHOWN // 2]
    partners = survey.copies.partner[rows]
    both: np.ndarray = np.stack([rows, partners], axis=1).reshape(-1)
    return both[both >= 0]


def _drawn(survey: Survey, title: str, places: np.ndarray) -> tuple[Figure, ...]:
    """Draws examples with their split, row and label."""
    if not len(places):
        return ()
    some = survey.examples.take(places)
    shown = some.shown()
    captions = [_caption(some, i) for i in range(len(some))]
    if isinstance(shown, np.ndarray):
        marked = some.annotations()
        return (Pictures(title=title, images=shown, captions=captions, annotations=marked),)
    cut = [text if len(text) <= _CUT else text[:_CUT] + " ..." for text in shown]
    rows = list(zip(captions, cut, strict=True))
    return (Table(title=title, columns=("example", "input"), rows=rows),)


def _caption(some: Examples, i: int) -> str:
    stored = next(c for c in some.columns if c.name in ("label", "target"))
    caption = f"{some['split'][i]} {some['row'][i]}: {stored.values[i]}"
    if any(column.name == "probe_answer" for column in some.columns):
        answer = some["probe_answer"][i]
        if isinstance(answer, str) and answer != stored.values[i]:
            caption += f", probe: {answer}"
    return caption


def copies_csv(survey: Survey) -> str:
    """Returns a line for each example with a copy: split, row, group, kind, and its copy.

    Where examples are files, both files follow.
    """
    copies, gathered = survey.copies, survey.gathered
    same = is_equal(copies)
    heads = ["split", "row", "group", "kind", "copy_split", "copy_row"]
    lines: list[list[object]] = []
    for place in np.flatnonzero(copies.near >= 0):
        other = copies.partner[place]
        kind = "exact" if same[place] else "near"
        line = [gathered.split[place], gathered.row[place], copies.near[place], kind]
        line += [gathered.split[other], gathered.row[other]]
        lines.append([*line, *_files(survey, place, other)])
    return _csv([*heads, *(["file", "copy_file"] if gathered.files is not None else [])], lines)


def suspects_csv(survey: Survey) -> str:
    """Returns a line for each example, the likeliest wrong label first; files stand last."""
    suspects, probed, gathered = survey.suspects, survey.probed, survey.gathered
    assert suspects is not None
    assert isinstance(probed, Probe)
    labels, answers = probed.classes[probed.targets], probed.answer
    heads = ["split", "row", "label", "probe_answer", "score", "contradicted"]
    lines: list[list[object]] = []
    for place in np.argsort(suspects.score, kind="stable"):
        line = [gathered.split[place], gathered.row[place], labels[place], answers[place]]
        line += [f"{suspects.score[place]:.6g}", int(suspects.wrong[place])]
        lines.append([*line, *_files(survey, place)])
    return _csv([*heads, *(["file"] if gathered.files is not None else [])], lines)


def _files(survey: Survey, *places: int | np.integer) -> list[str]:
    """Returns the paths of files below the folder of the data; none where there are no files."""
    if survey.gathered.files is None:
        return []
    return [printable(str(survey.examples["file"][place])) for place in places]


def _csv(heads: list[str], lines: list[list[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([heads, *lines])
    return out.getvalue()
