"""A4: does something trivial predict the target - the place in the file, or one number alone?

Three questions, none of which trains the network. Are the examples stored in the order of their
targets (class after class, or sorted numbers)? Does one feature, all by itself, give every held-out
target away, while the other features only hint at it? Does a summary, as brightness or length?
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.checks.row_order import judge_order, measure_order
from jrecipe.checks.single_features import (
    feature_table,
    judge_single,
    measure_classes,
    measure_numbers,
    nearest_value_answers,
    recall,
)
from jrecipe.types import Array, PyTree

ITEM, CHECK = "A4", "shortcuts"
ROWS = 100_000  # rows read of train at the most
CELLS = 2_000_000  # numbers looked at for single features at the most
SEED = 20


@dataclasses.dataclass(frozen=True)
class Answers:
    """Targets that are one answer per example.

    Attributes:
      path: path of the leaf in the targets.
      classes: int[n], for classes; None for numbers.
      numbers: float[n], for numbers; None for classes.
    """

    path: str
    classes: np.ndarray | None
    numbers: np.ndarray | None


def answers_of(targets: PyTree) -> list[Answers]:
    """Returns the leaves that hold one answer per example: classes, one-hot classes or numbers.

    Args:
      targets: array or pytree of arrays, leading axis n.
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(targets):
        array = np.asarray(leaf)
        name = jax.tree_util.keystr(path)
        if array.dtype.kind not in "fiub" or len(array) < 20:
            continue
        array = array.reshape(len(array), -1)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            continue
        if array.shape[1] == 1:
            values, coded = np.unique(array[:, 0], return_inverse=True)
            if len(values) < 2:
                continue
            # Few numbers, each often: classes by nature, whatever their type.
            if len(values) <= min(1000, len(array) / 5):
                found.append(Answers(name, coded, None))
            elif array.dtype.kind == "f" or len(values) > 50:
                found.append(Answers(name, None, array[:, 0].astype(np.float64)))
        elif (array >= 0).all() and np.allclose(array.sum(axis=1), 1, atol=1e-3):
            found.append(Answers(name, np.argmax(array, axis=1), None))
    return found


def summaries_of(inputs: PyTree, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns trivial summaries float[k] of the examples: brightness, contrast, length.

    Args:
      inputs: array or pytree of arrays, leading axis n.
      rows: int[k].
    """
    found: dict[str, np.ndarray] = {}
    leaves = jax.tree_util.tree_leaves_with_path(inputs)
    for path, leaf in leaves:
        array = np.asarray(leaf)
        tokens = array.ndim == 2 and array.dtype.kind in "iu" and array.shape[1] >= 4
        numbers = array.ndim >= 2 and array.dtype.kind in "fiu" and array[0].size >= 16
        if not (tokens or numbers):
            continue
        flat = np.nan_to_num(array[rows].reshape(len(rows), -1).astype(np.float64))
        where = jax.tree_util.keystr(path) if len(leaves) > 1 else ""
        if tokens:
            # What fills the end of most rows is padding.
            last = flat[:, -1]
            values, counts = np.unique(last, return_counts=True)
            pad = values[np.argmax(counts)]
            found[f"length{where}"] = flat.shape[1] - np.argmin(
                np.concatenate([flat[:, ::-1] == pad, np.zeros((len(flat), 1), bool)], axis=1),
                axis=1,
            )
        else:
            found[f"mean{where}"] = flat.mean(axis=1)
            found[f"spread{where}"] = flat.std(axis=1)
    return found


def gap_between_classes(values: np.ndarray, labels: np.ndarray) -> float:
    """Returns the narrowest gap between classes over the widest step inside a class.

    Large where the classes are clusters of their own along `values`; at most 1 where the class is a
    threshold on something continuous, or where the classes overlap.
    """
    order = np.argsort(values, kind="stable")
    steps, change = np.diff(values[order]), np.diff(labels[order]) != 0
    if change.sum() != len(np.unique(labels)) - 1:
        return 0.0
    inside = float(steps[~change].max(initial=0.0))
    return float(steps[change].min()) / max(inside, 1e-12 * float(np.ptp(values)), 1e-300)


def judge_summaries(scores: dict[str, tuple[float, float]], held_out: int) -> Finding | str:
    """Judges summaries: the finding if one gives every class away with a gap, else what to report.

    Args:
      scores: name -> (mean recall on held-out rows, gap between classes).
      held_out: rows asked.
    """
    if not scores:
        return ""
    name = max(scores, key=lambda one: scores[one])
    score, gap = scores[name]
    if score < 0.995 or gap < 3 or held_out < 30:
        return f"; {name} of an example reaches {score:.2g}"
    why = (
        f"the {name} of an example gives {score:.1%} of the classes on {held_out} held-out rows, "
        f"with gaps between classes {gap:.3g} times those inside"
    )
    return concluding(ITEM, CHECK, {"summary": name, "mean_recall": score, "gap": gap})(
        Verdict.WARNED,
        f"Something trivial predicts the target: {why}.",
        "Compare how the examples of each class were collected and prepared.",
        Suspect(cause="shortcut", component="data", where=f"inputs {name}", why=why),
    )


def measure_copies(inputs: PyTree, targets: PyTree) -> float:
    """Returns the share of rows whose targets are their inputs, place by place.

    Args:
      inputs: array or pytree; whole numbers [n, t] are looked at.
      targets: the same.
    """
    best = 0.0
    for y in map(np.asarray, jax.tree.leaves(targets)):
        for x in map(np.asarray, jax.tree.leaves(inputs)):
            if x.shape != y.shape or x.ndim != 2 or {x.dtype.kind, y.dtype.kind} - {"i", "u"}:
                continue
            varied = np.array([len(np.unique(row)) >= 3 for row in y])
            if varied.any():
                best = max(best, float((x == y).all(axis=1)[varied].mean()))
    return best


def judge_copies(share: float, *, causal: bool) -> Finding | None:
    """Judges targets that are the inputs of the same place, where later ones are to be predicted.

    Args:
      share: share of rows.
      causal: whether the task declares a causal axis: it predicts what comes next.
    """
    if not causal or share < 0.05:
        return None
    why = f"in {share:.0%} of the rows every target is the input of the same place"
    return concluding(ITEM, CHECK, {"rows_copied": share})(
        Verdict.FAILED if share > 0.5 else Verdict.WARNED,
        f"The targets stand among the inputs: {why}, although later ones are to be predicted.",
        "Shift the targets: inputs tokens[:-1], targets tokens[1:].",
        Suspect(cause="label-leak", component="data", where="train targets, not shifted", why=why),
    )


def check_shortcuts(context: Context) -> tuple[Finding, ...]:
    """Measures and judges the order of the file, single features and summaries (A4)."""
    inputs, targets = context.split("train", ROWS)  # type: ignore[misc]
    copied = judge_copies(
        measure_copies(inputs, targets), causal=context.task.causal_axis is not None
    )
    if copied is not None:
        return (copied,)
    answers = answers_of(targets)
    if not answers:
        return (
            Finding(
                item=ITEM,
                check=CHECK,
                verdict=Verdict.SKIPPED,
                finding="Targets are not one class or number per example, or there are fewer than "
                "20 of them.",
            ),
        )
    findings: list[Finding] = []
    for answer in answers:
        findings.append(_order(context, inputs, answer))
        findings += _giveaways(inputs, answer)
    alarms = [one for one in findings if one.verdict is not Verdict.PASSED]
    return tuple(alarms or findings[:2])


def _order(context: Context, inputs: PyTree, answer: Answers) -> Finding:
    order = measure_order(answer.classes, answer.numbers)
    along = ""
    if answer.numbers is not None and (order.monotone >= 0.98 or order.layers >= 4):
        rows = np.arange(min(len(answer.numbers), 2000))
        table, names = feature_table(inputs, rows)
        steps = np.sign(np.diff(table, axis=0))
        one_way = np.maximum((steps >= 0).mean(axis=0), (steps <= 0).mean(axis=0))
        one_way = np.where(np.ptp(table, axis=0) > 0, one_way, 0.0)
        same = np.flatnonzero(one_way >= 0.98)
        along = names[int(same[0])] if len(same) else ""
    return judge_order(order, ordered=context.task.ordered_data, along=along)


def _giveaways(inputs: PyTree, answer: Answers) -> list[Finding]:
    labels = answer.classes
    total = len(labels) if labels is not None else len(answer.numbers)  # type: ignore[arg-type]
    width = sum(np.asarray(leaf)[0].size for leaf in jax.tree.leaves(inputs))
    count = min(total, int(np.clip(CELLS / max(width, 1), 300, 2000)))
    rows = np.sort(np.random.default_rng(SEED).permutation(total)[:count])
    if labels is not None:
        frequent = np.bincount(labels[rows])[labels[rows]] >= 10
        rows = rows[frequent]
        if len(np.unique(labels[rows])) < 2 or len(rows) < 60:
            return []
    elif total < 60:
        return []
    table, names = feature_table(inputs, rows)
    if table.shape[1] == 0:
        return []
    if labels is None:
        numbers: Array = answer.numbers
        return [judge_single(measure_numbers(table, numbers[rows]), names, numbers=True)]
    coded = np.unique(labels[rows], return_inverse=True)[1]
    half = np.random.default_rng(SEED).permutation(len(coded))
    first, second = half[: len(half) // 2], half[len(half) // 2 :]
    scores = {}
    for name, values in summaries_of(inputs, rows).items():
        kinds = int(coded.max()) + 1
        told = nearest_value_answers(values[first], coded[first], values[second], kinds)
        score = recall(told, coded[second], kinds)
        scores[name] = (score, gap_between_classes(values, coded))
    said = judge_summaries(scores, len(second))
    text = said if isinstance(said, str) else ""
    single = judge_single(measure_classes(table, coded), names, numbers=False, summaries=text)
    return [single] if isinstance(said, str) else [single, said]
