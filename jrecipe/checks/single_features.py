"""A4: whether one feature alone gives the target away.

Being easy is no fault. A feature counts as a leak only where the task is a real one without it:
other features do carry information about the target, none of them comes near, and those that give
it away are few.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.types import PyTree

ITEM, CHECK = "A4", "shortcuts"
SCREENED = 32  # features that are asked for the target, the most telling first
SEED = 21


@dataclasses.dataclass(frozen=True)
class Single:
    """What single features say about the target.

    Attributes:
      features: how many there are.
      held_out: examples that were asked.
      given_away: features, in their order, that give the target away, alone or (one-hot columns)
        each its own class.
      best: score of the best feature on held-out rows: the mean recall over classes of the nearest
        value's answer; for numbers the size of the rank correlation.
      second: the best score among the features that do not give the target away.
      informative: whether those others know something of the target beyond chance.
      slack: share of held-out rows, or of rank correlation, that the best feature leaves open.
      classes: number of classes, 0 for numbers.
      foremost: the best feature.
      coded: whether what gives it away has one value for each class, and no spread around it.
    """

    features: int
    held_out: int
    given_away: tuple[int, ...]
    best: float
    second: float
    informative: bool
    slack: float
    classes: int = 0
    foremost: int = 0
    coded: bool = False


def feature_table(inputs: PyTree, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns `(table float[k, f], names)` of all numbers of the inputs, leaf after leaf."""
    parts, names = [], []
    leaves = jax.tree_util.tree_leaves_with_path(inputs)
    for path, leaf in leaves:
        array = np.asarray(leaf)
        if array.dtype.kind not in "fiub" and "float" not in array.dtype.name:
            continue
        array = array[rows]
        shape = array.shape[1:]
        flat = np.nan_to_num(array.reshape(len(rows), -1).astype(np.float64))
        prefix = "inputs" + (jax.tree_util.keystr(path) if len(leaves) > 1 else "")
        for i in range(flat.shape[1]):
            place = tuple(int(k) for k in np.unravel_index(i, shape)) if shape else ()
            index = f" feature {place[0] if len(place) == 1 else place}" if place else ""
            names.append(prefix + index)
        parts.append(flat)
    if not parts:
        return np.zeros((len(rows), 0)), []
    return np.concatenate(parts, axis=1), names


def _share_between(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the share float[f] of each feature's variance that lies between the classes."""
    counts = np.bincount(labels).astype(np.float64)
    centred = table - table.mean(axis=0)
    scale = np.maximum(np.abs(centred).max(axis=0), 1e-300)
    centred = centred / scale
    one_hot = np.zeros((len(counts), len(labels)))
    one_hot[labels, np.arange(len(labels))] = 1.0
    sums = one_hot @ centred
    between = (sums**2 / np.maximum(counts, 1)[:, None]).sum(axis=0)
    total = (centred**2).sum(axis=0)
    return np.where(total > 0, between / np.maximum(total, 1e-300), 0.0)


def _ranks(table: np.ndarray) -> np.ndarray:
    """Returns ranks float[n, f], equal values sharing the mean of theirs."""
    ranks = np.empty(table.shape)
    for j, column in enumerate(table.T):
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks[:, j] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def nearest_value_answers(
    known: np.ndarray, labels: np.ndarray, asked: np.ndarray, classes: int
) -> np.ndarray:
    """Answers by the most frequent class of the nearest known value.

    Args:
      known: float[n], one feature of the examples with known classes.
      labels: int[n].
      asked: float[m], the feature of the examples asked about.
      classes: number of classes.

    Returns:
      int[m].
    """
    values, place = np.unique(known, return_inverse=True)
    votes = np.bincount(place * classes + labels, minlength=len(values) * classes)
    answer = votes.reshape(len(values), classes).argmax(axis=1)
    right = np.clip(np.searchsorted(values, asked), 0, len(values) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.where(asked - values[left] <= values[right] - asked, left, right)
    picked: np.ndarray = answer[nearer]
    return picked


def recall(answers: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Returns the mean over classes of the share of their rows that is answered rightly.

    Args:
      answers: int[n].
      labels: int[n], 0 to `classes` - 1; classes without a row are left out.
      classes: number of classes.
    """
    counts = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[answers == labels], minlength=classes)
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def cut_from(values: np.ndarray, labels: np.ndarray) -> bool:
    """Tells whether classes are stretches of a continuous feature, cut with no gap in between.

    Groups that nature separates leave a gap or overlap a little; a class that was computed from the
    feature does neither.

    Args:
      values: float[n].
      labels: int[n].
    """
    order = np.argsort(values, kind="stable")
    steps, change = np.diff(values[order]), np.diff(labels[order]) != 0
    cuts = np.flatnonzero(change)
    if len(cuts) != len(np.unique(labels)) - 1:
        return False
    for cut in cuts:
        near = np.concatenate([steps[max(0, cut - 10) : cut], steps[cut + 1 : cut + 11]])
        if steps[cut] > 4 * float(near.mean()):
            return False
    return True


def measure_classes(table: np.ndarray, labels: np.ndarray) -> Single:
    """Asks each feature for the class of held-out rows.

    Args:
      table: float[n, f].
      labels: int[n], classes 0, 1, ...; each should be frequent.
    """
    classes = int(labels.max()) + 1
    order = np.random.default_rng(SEED).permutation(len(labels))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    between = _share_between(table, labels)
    picked = np.argsort(-between, kind="stable")[:SCREENED]
    scores, wrong = np.zeros(table.shape[1]), np.ones(table.shape[1])
    own: dict[int, int] = {}  # feature -> the one class it gives away
    for j in picked:
        known, asked = table[first, j], table[second, j]
        answers = nearest_value_answers(known, labels[first], asked, classes)
        scores[j] = recall(answers, labels[second], classes)
        wrong[j] = float((answers != labels[second]).mean())
        if classes > 2:
            column = table[:, j]
            value, counts = np.unique(column, return_counts=True)
            if len(value) == 2 and counts.min() >= 5:
                rare = column == value[np.argmin(counts)]
                kinds = np.unique(labels[rare])
                if len(kinds) == 1 and rare.sum() == (labels == kinds[0]).sum():
                    own[int(j)] = int(kinds[0])
    given = [
        int(j)
        for j in picked
        if scores[j] >= 0.99
        and wrong[j] <= 0.005
        and (between[j] >= 0.95 or cut_from(table[:, j], labels))
    ]
    if not given and len(set(own.values())) >= classes - 1:
        given = list(own)
    rest = [int(j) for j in picked if j not in (given or [int(scores.argmax())])]
    best = 1.0 if given and given[0] in own else float(scores.max(initial=0.0))
    # Under independence the share between classes is about (classes - 1) / n.
    chance = (classes - 1) / (len(labels) - 1)
    others = np.delete(between, given or [int(scores.argmax())])
    noise = chance + np.sqrt(2 * chance / len(labels)) * (4 + np.sqrt(2 * np.log(len(others) + 1)))
    return Single(
        features=table.shape[1],
        held_out=len(second),
        given_away=tuple(sorted(given)),
        best=best,
        second=max((float(scores[j]) for j in rest), default=0.0),
        informative=bool(len(others) and others.max() > noise),
        slack=min((float(wrong[j]) for j in given if j not in own), default=1 - best),
        classes=classes,
        foremost=int(scores.argmax()) if len(scores) else 0,
        coded=bool(given) and bool((between[given] >= 0.9999).all()),
    )


def measure_numbers(table: np.ndarray, numbers: np.ndarray) -> Single:
    """Asks each feature for the rank of the target.

    Args:
      table: float[n, f].
      numbers: float[n].
    """
    ranks, target = _ranks(table), _ranks(numbers[:, None])[:, 0]
    ranks = ranks - ranks.mean(axis=0)
    target = target - target.mean()
    size = np.sqrt((ranks**2).sum(axis=0) * (target**2).sum())
    rho = np.abs(np.where(size > 0, ranks.T @ target / np.maximum(size, 1e-300), 0.0))
    given = tuple(int(j) for j in np.flatnonzero(rho >= 1 - 2e-4))
    others = np.delete(rho, given)
    second = float(others.max(initial=0.0))
    noise = (4 + np.sqrt(2 * np.log(len(others) + 1))) / np.sqrt(len(numbers))
    best = float(rho.max(initial=0.0))
    return Single(
        features=table.shape[1],
        held_out=len(numbers),
        given_away=given,
        best=best,
        second=second,
        informative=bool(second > noise),
        slack=1 - best,
    )


def judge_single(
    single: Single, names: Sequence[str], *, numbers: bool, summaries: str = ""
) -> Finding:
    """Judges whether one feature gives the target away.

    Args:
      single: what was measured.
      names: name of each feature.
      numbers: whether targets are numbers, not classes.
      summaries: what trivial summaries know of the target, for the report.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "features": single.features,
        "held_out": single.held_out,
        "best_feature": single.best,
        "second_feature": single.second,
        "features_that_give_it_away": len(single.given_away),
        "other_features_informative": single.informative,
    }
    result = concluding(ITEM, CHECK, evidence)
    score = "rank correlation" if numbers else "mean recall"
    count = len(single.given_away)
    few = 0 < count <= 0.25 * single.features and count < SCREENED and single.features >= 5
    margin = 0.02 if numbers else 0.05
    far = single.second <= 1 - margin - 5 * single.slack
    if single.classes and not single.coded:
        # Groups that nature separates are clear in one feature and half clear in others.
        chance = 1 / single.classes
        far = far and (single.second - chance) / (1 - chance) <= 0.6
    if few and far and single.informative and single.held_out >= 30:
        shown = [names[j] for j in single.given_away[:12]]
        where = shown[0] if len(shown) == 1 else _joined(shown)
        why = (
            f"it alone reaches a {score} of {single.best:.4g}, the best other feature "
            f"{single.second:.3g}"
        )
        return result(
            Verdict.WARNED,
            f"{where} gives the target away: {why}, on {single.held_out} rows.",
            "Ask how it came to be known before the target was; leave it out if it would not be "
            "there in use.",
            Suspect(cause="label-leak", component="data", where=where, why=why),
        )
    if not single.given_away and _mostly(single):
        where = names[single.foremost]
        why = (
            f"it alone reaches a {score} of {single.best:.3g}, the best other feature "
            f"{single.second:.3g}, of {single.classes} classes"
        )
        return result(
            Verdict.WARNED,
            f"{where} gives most targets away: {why}, on {single.held_out} rows.",
            "Ask how it came to be known before the target was, and why other features know so "
            "much less.",
            Suspect(cause="label-leak", component="data", where=where, why=why),
        )
    easy = (
        " (an easy task: nothing else in the inputs has to do with the target, or much has)"
        if single.given_away
        else ""
    )
    return result(
        Verdict.PASSED,
        f"The best of {single.features} single features reaches a {score} of {single.best:.3g} on "
        f"{single.held_out} rows{easy}{summaries}.",
    )


def _mostly(single: Single) -> bool:
    """Tells whether one feature knows nearly all about the class, and each other one little.

    Scores count from chance. With two or three classes a single strong feature is not rare.
    """
    if single.classes < 2 or single.features < 5 or single.held_out < 60:
        return False
    chance = 1 / single.classes
    best, second = ((x - chance) / (1 - chance) for x in (single.best, single.second))
    enough = 0.8 if single.classes >= 4 else 0.9
    return single.informative and best >= enough and second <= 0.35


def _joined(names: Sequence[str]) -> str:
    """Joins names of features of one leaf: "inputs feature 1, 2"."""
    head = names[0].rsplit(" feature ", 1)[0]
    if all(name.rsplit(" feature ", 1)[0] == head and " feature " in name for name in names):
        return f"{head} feature " + ", ".join(name.rsplit(" feature ", 1)[1] for name in names)
    return ", ".join(names)
