"""A5: how many labels are wrong, and which (confident learning on out-of-sample answers).

A row is contradicted if a machine that never saw it names another class. Honest examples are
contradicted near the border between two classes, where the machine is unsure; wrong labels are
contradicted everywhere alike, where it is sure too, and if they are random, by any other class. So
only the surer half counts, and there the contradictions must not thin out towards certainty. A
second sign needs no such form: at equal sureness honest data contradict alike in every split, so a
training split that does so more often than validation holds wrong labels.

References:
  Northcutt, Jiang, Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.duplicates import covered_space, repeats_by_nature
from jrecipe.checks.examples import gallery, name_rows
from jrecipe.checks.intervals import wilson
from jrecipe.checks.neighbours import classes_of, near_train, points_of
from jrecipe.checks.out_of_sample import Answers, left_out
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "A5", "label-noise"
CLASSES = 100  # classes told apart at the most
LEAST = 0.012  # share of sure contradictions that is always passed over


@dataclasses.dataclass(frozen=True)
class Flip:
    """Rows that look like one class and are stored as another.

    Attributes:
      name: the two classes, as "7 stored as 1".
      hits: number of these rows.
      total: number of all rows that look like the first class.
      back: share of the rows that look like the second class that are stored as the first.
      flat: mean place of the hits among all that look like the first class, by how much they do;
        0.5 if that has no influence, near 0 if only doubtful rows are stored otherwise.
      rest: share of the rows that look like another class that are contradicted.
      rows: int[hits], those that look most like the first class first; numbers in the split.
    """

    name: str
    hits: int
    total: int
    back: float
    flat: float
    rest: float
    rows: np.ndarray

    def one_way(self, classes: int) -> bool:
        """Tells whether labels of one class were turned into the other.

        Honest confusion goes both ways and sits where the machine is in doubt. Some way back there
        always is: among flipped rows it takes those that were left for the second class.

        Args:
          classes: number of classes.
        """
        if self.hits < 5 or wilson(self.hits, self.total, 1.64)[0] < 0.04:
            return False
        if self.rest > 0.3 * (classes - 1) / classes:
            return False
        one_sided = self.hits / self.total > 1.5 * self.back + 0.02
        return one_sided and self.flat > max(0.36, 0.5 - 0.29 * 1.5 / math.sqrt(self.hits))


@dataclasses.dataclass(frozen=True)
class Contradictions:
    """How the rows of one split contradict their labels.

    Attributes:
      sure: number of rows of which the answer is sure.
      hits: how many of them are stored with another class.
      unsure: number of the other rows.
      misses: how many of those are.
      flat: mean place of the hits among sure rows, 0 the least sure and 1 the surest; 0.5 if they
        do not depend on sureness. NaN without hits.
      spread: mean rank of the stored class of the hits among all but the likeliest; 0.5 if any
        other class comes alike, 0 if it is always the second likeliest. NaN without hits.
      pair: share of the hits that have the commonest pair of (likeliest, stored).
      rows: int[k], the contradicted rows, likeliest wrong first; numbers in the split.
      pair_name: that pair, as "7 stored as 1".
      classes: number of classes.
      flip: the pair of classes that looks most like one turned into the other, None without one.
    """

    sure: int
    hits: int
    unsure: int
    misses: int
    flat: float
    spread: float
    pair: float
    rows: np.ndarray
    pair_name: str = ""
    classes: int = 2
    flip: Flip | None = None

    @property
    def share(self) -> float:
        """Share of sure rows that are contradicted."""
        return self.hits / max(self.sure, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson interval of `share`."""
        return wilson(self.hits, self.sure)


def measure_contradictions(
    answers: Answers, reference: Answers, rows: np.ndarray, names: np.ndarray
) -> Contradictions:
    """Counts the contradictions of a split.

    Args:
      answers: out-of-sample answers for the rows of the split.
      reference: those of the training split: its median margin where label and answer agree is the
        limit of sureness. A class with more than three quarters of the answers is never sure: that
        a rare class is not foreseen is no error of its label.
      rows: int[n], numbers of the rows.
      names: what the classes are called, one per column.
    """
    agreed = np.sort(reference.margin[~reference.contradicted])
    if len(agreed) == 0:
        agreed = np.zeros(1)
    place = np.searchsorted(agreed, answers.margin, side="right") / len(agreed)
    common = np.bincount(reference.answer, minlength=answers.scores.shape[1]) / len(
        reference.labels
    )
    judged = common[answers.answer] <= 0.75
    sure = judged & (place > 0.5)
    hits, wrong = sure & answers.contradicted, answers.contradicted
    pairs, counts = np.unique(
        np.stack([answers.answer[hits], answers.labels[hits]], axis=1), axis=0, return_counts=True
    )
    order = np.flatnonzero(wrong & judged)
    order = order[np.argsort(-place[order] - answers.margin[order] * 1e-3, kind="stable")]
    first = pairs[counts.argmax()] if len(counts) else None
    return Contradictions(
        sure=int(sure.sum()),
        hits=int(hits.sum()),
        unsure=int((judged & ~sure).sum()),
        misses=int((wrong & judged & ~sure).sum()),
        flat=float((2 * place[hits] - 1).mean()) if hits.any() else float("nan"),
        spread=float(answers.rank[hits].mean()) if hits.any() else float("nan"),
        pair=float(counts.max() / counts.sum()) if len(counts) else 0.0,
        rows=rows[order],
        pair_name="" if first is None else f"{names[first[0]]} stored as {names[first[1]]}",
        classes=answers.scores.shape[1],
        flip=measure_flip(answers, rows, names),
    )


def measure_flip(answers: Answers, rows: np.ndarray, names: np.ndarray) -> Flip | None:
    """Returns the pair of classes that looks most like one turned into the other.

    Args:
      answers: out-of-sample answers for the rows of a split.
      rows: int[n], numbers of the rows.
      names: what the classes are called, one per column.
    """
    wrong, found = answers.contradicted, []
    if answers.scores.shape[1] < 3:
        return None  # of two classes, the commoner one looks like that by default
    pairs, counts = np.unique(
        np.stack([answers.answer[wrong], answers.labels[wrong]], axis=1), axis=0, return_counts=True
    )
    for (looks, stored), count in zip(pairs, counts, strict=True):
        if count < 5:
            continue
        alike = np.flatnonzero(answers.answer == looks)
        place = np.argsort(np.argsort(answers.scores[alike, looks])) / max(len(alike) - 1, 1)
        hit = answers.labels[alike] == stored
        other = answers.labels[answers.answer == stored]
        others = wrong[answers.answer != looks]
        found.append(
            Flip(
                name=f"{names[looks]} stored as {names[stored]}",
                hits=int(count),
                total=len(alike),
                back=float((other == looks).mean()) if len(other) else 0.0,
                flat=float(place[hit].mean()),
                rest=float(others.mean()) if len(others) >= 20 else 1.0,
                rows=rows[alike[hit][np.argsort(-place[hit], kind="stable")]],
            )
        )
    return max(found, key=lambda flip: flip.hits * flip.flat, default=None)


def random_labels(found: Contradictions, *, supported: bool = False) -> bool:
    """Tells whether the contradictions of one split have the form of wrong labels.

    Args:
      found: its contradictions.
      supported: whether another split, at equal sureness, has fewer of them; then less will do.

    Returns:
      Whether there are enough of them, no more than a machine that knows the task would have, as
      frequent among the surest rows as among the less sure, and, with four classes or more, spread
      over all of them or confined to one pair.
    """
    classes = found.classes
    chance = (classes - 1) / classes
    missed = found.misses / max(found.unsure, 1)
    if found.hits < 6 or wilson(found.hits, found.sure, 1.64)[0] < LEAST:
        return False
    if found.share > 0.45 * chance or missed > (0.62 if classes < 4 else 0.7) * chance:
        return False
    if classes >= 4 and not (found.pair > 0.6 and found.hits >= 10):
        return found.flat + found.spread >= (0.7 if supported else 0.78)
    return found.flat >= 0.4 and found.share >= (0.3 if supported else 0.45) * missed


def excess(one: Contradictions, other: Contradictions) -> tuple[float, float]:
    """Returns how much oftener sure rows are contradicted in one split, and its standard errors."""
    if min(one.sure, other.sure) < 20:
        return 0.0, 0.0
    gap = one.share - other.share
    pooled = (one.hits + other.hits + 1) / (one.sure + other.sure + 2)
    return gap, gap / math.sqrt(pooled * (1 - pooled) * (1 / one.sure + 1 / other.sure))


def judge_label_noise(
    *,
    split: str,
    found: Contradictions,
    other: Contradictions | None,
    declared: float | None,
) -> Finding:
    """Judges the labels of one split.

    Args:
      split: its name.
      found: its contradictions.
      other: those of a split to compare with: validation for training, training for the others.
      declared: `Task.label_noise`.
    """
    low, high = found.interval
    gap, z = (0.0, 0.0) if other is None else excess(found, other)
    evidence: dict[str, float | int | str | bool | None] = {
        "split": split,
        "sure_rows": found.sure,
        "sure_contradicted": found.hits,
        "share": found.share,
        "share_low": low,
        "share_high": high,
        "flatness": found.flat,
        "spread_over_classes": found.spread,
        "excess_over_other_split": gap,
        "excess_stderrs": z,
        "declared": declared,
    }
    result = concluding(ITEM, CHECK, evidence)
    form = random_labels(found, supported=z > 2)
    enough = z > 3.5
    if split != "train":
        # Held-out rows may come from elsewhere, and then the machine is wrong about them; and they
        # are few, so that their form alone proves nothing.
        enough = z > 5 and found.flat > 0.35
        form = form and (z > 2.5 or (other is not None and random_labels(other)))
    contrast = found.hits >= 6 and gap > 0.02 and enough
    flip = found.flip
    if flip is not None and flip.one_way(found.classes):
        also = other is not None and other.flip is not None and other.flip.name == flip.name
        if not (form or contrast) and (split == "train" or also):
            return _flipped(split, flip, evidence, declared)
    said = (
        f"{found.hits} of {found.sure} {split} rows of which other rows are sure carry another "
        f"label ({found.share:.1%}, 95 % interval {low:.1%} to {high:.1%})"
    )
    if not (form or contrast):
        return result(Verdict.PASSED, f"{said}; they have not the form of wrong labels.")
    if declared is not None and low <= declared * 1.1:
        return result(
            Verdict.PASSED, f"{said}; Task.label_noise declares {declared:.1%}, which explains it."
        )
    reasons = []
    if form and found.flat + found.spread > 0.4:
        reasons.append("they are as frequent where the answer is surest")
    if contrast:
        reasons.append(f"{gap:.1%} more than in the other split ({z:.1f} standard errors)")
    if found.pair > 0.6 and found.classes > 2:
        reasons.append(f"{found.pair:.0%} of them are {found.pair_name}")
    why = "; ".join([said, *reasons])
    return result(
        Verdict.WARNED,
        f"{why}.",
        "Look at these rows first and mend their labels, or find what shuffled them; "
        f"label_noise={round(min(high, 0.9), 2)} on the task declares it.",
        Suspect(
            cause="label-noise",
            component="labels",
            where=f"{split} rows {name_rows(found.rows, 12)}",
            why=why,
        ),
    )


def _flipped(
    split: str,
    flip: Flip,
    evidence: Mapping[str, float | int | str | bool | None],
    declared: float | None,
) -> Finding:
    low, high = wilson(flip.hits, flip.total)
    evidence = {**evidence, "pair": flip.name, "pair_rows": flip.hits, "pair_of": flip.total}
    result = concluding(ITEM, CHECK, evidence)
    why = (
        f"of {flip.total} {split} rows that look like one class, {flip.hits} are {flip.name} "
        f"({flip.hits / flip.total:.0%}, 95 % interval {low:.0%} to {high:.0%}), and "
        f"{flip.back:.1%} the other way; they are no more in doubt than the rest"
    )
    if declared is not None and low <= declared * 1.1:
        return result(Verdict.PASSED, f"{why}; Task.label_noise declares {declared:.1%}.")
    where = f"{split} rows {name_rows(flip.rows, 12)}"
    return result(
        Verdict.WARNED,
        f"{why}.",
        "Look at these rows: an annotator or a mapping of labels may take one class for the other.",
        Suspect(cause="label-noise", component="labels", where=where, why=why),
    )


def measure(context: Context) -> dict[str, Contradictions] | str:
    """Returns the contradictions of every split, or why they cannot be measured."""
    points = points_of(context)
    if "train" not in points:
        return "The inputs of the training split are empty."
    labels = {name: classes_of(each.own_targets) for name, each in points.items()}
    if labels["train"] is None:
        return "Targets are not one class per row."
    known, counts = np.unique(labels["train"], return_counts=True)
    if not 2 <= len(known) <= CLASSES:
        return f"There are {len(known)} classes; from 2 to {CLASSES} can be judged."
    train = points["train"]
    first = np.sort(np.unique(np.round(train.values, 5), axis=0, return_index=True)[1])
    if len(first) < 60 or len(first) < 5 * len(known) or np.sort(counts)[-2] < 5:
        return f"{len(first)} different training rows of {len(known)} classes are too few to judge."
    dense = len(first) < 0.7 * len(train.rows) or covered_space(train.inputs, len(first)) > 0.1
    if dense and repeats_by_nature(train.inputs):
        return "Inputs repeat by nature, so that equal ones may have different labels (see A2)."
    usual = np.median(near_train(context, "train")[1][:, 0])
    inside = {}
    for name, each in labels.items():
        if name != "train" and each is not None and len(each):
            # Copies of training rows know the label that is stored, right or wrong.
            apart = near_train(context, name)[1][:, 0] > 0.2 * usual
            inside[name] = np.flatnonzero(np.isin(each, known) & apart)
    order = [name for name in inside if len(inside[name])]
    queries = [points[name].values[inside[name]] for name in order]
    codes = np.searchsorted(known, labels["train"][first])
    own, other = left_out(
        train.values[first], codes, len(known), np.concatenate(queries) if queries else None
    )
    names = known.astype(str)
    if len(context.task.class_names) > known.max() and known.min() >= 0:
        names = np.asarray(context.task.class_names)[known]
    reference = Answers(own, codes)
    found = {"train": measure_contradictions(reference, reference, train.rows[first], names)}
    start = 0
    for name in order:
        rows = inside[name]
        answers = Answers(
            other[start : start + len(rows)],
            np.searchsorted(known, labels[name][rows]),  # type: ignore[index]
        )
        start += len(rows)
        found[name] = measure_contradictions(answers, reference, points[name].rows[rows], names)
    return found


def check_label_noise(context: Context) -> tuple[Finding, ...]:
    """Measures and judges the share of wrong labels in every split (A5)."""
    found = context.once("label_noise.contradictions", lambda: measure(context))
    if isinstance(found, str):
        return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=found),)
    findings = []
    for name, each in found.items():
        other = found.get("val") if name == "train" else found["train"]
        finding = judge_label_noise(
            split=name,
            found=each,
            other=other,
            declared=context.task.label_noise,
        )
        if finding.verdict is Verdict.WARNED:
            inputs, targets = context.split(name)  # type: ignore[misc]
            title = f"The likeliest wrong labels of {name}"
            figures = gallery(context.task, title, inputs, targets, rows=each.rows[:12])
            findings.append(dataclasses.replace(finding, figures=figures))
        elif name == "train":
            passed = finding
    return tuple(findings) or (passed,)
