"""A2: numbers that stand for a missing value - far from all others, and often repeated.

A missing age entered as -999 is finite, so nothing complains; after normalisation it outweighs all
honest values. What gives it away is *isolation*: between it and everything else in its feature
there is a gap that the feature itself never comes near. Isolation does not change under scaling and
shifting, so standardised inputs are no hiding place. Heavy tails have gaps too, but gaps that grow
with the tail: how fast the rest of the feature grows (Hill's estimate) says what gap to expect.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.examples import name_rows
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.types import Array, PyTree

ITEM, CHECK = "A2", "sentinels"
ROWS = 100_000  # rows read of one split at the most, as in A2's other check
FEW = 0.02  # share up to which values beyond a gap, not all equal, are a slip of the unit
LOOKED_AT = 300  # features of one leaf that are sorted at the most, the most isolated first
CODES = frozenset(
    {-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0}
    | {99.0, 999.0, 9999.0, 99999.0, 999999.0, 1e9, -1e9}
)


@dataclasses.dataclass(frozen=True)
class Far:
    """Values of one feature that lie beyond a gap.

    Attributes:
      value: the value, of several the one in the middle.
      copies: how many rows are beyond the gap.
      exact: whether they all have one value.
      share: `copies` as a share of all rows.
      rest: how many distinct values all others have.
      low: lowest of all others.
      high: highest of all others.
      ratio: the gap over the range of all others.
      odds: how unlikely the tail of all others makes values that far out, as -log(probability).
      spacing: the gap over the largest step between neighbours among the others nearest to it.
    """

    value: float
    copies: int
    exact: bool
    share: float
    rest: int
    low: float
    high: float
    ratio: float
    odds: float
    spacing: float


def judge_far(far: Far, *, whole: bool = False, features: int = 1) -> bool:
    """Tells whether values beyond a gap stand for something else than what the feature measures.

    Args:
      far: what was measured.
      whole: whether the feature holds whole numbers only as a type: ids have gaps of their own.
      features: how many features were looked at; more of them make rare gaps likelier.
    """
    code = far.value in CODES
    if far.share > (0.9 if code else 0.5):
        return False
    below = far.value < far.low
    # A negative number before numbers that are never negative. Whether 0, 1, 2 may follow -1 is a
    # matter of coding; that nothing lies between -1 and 18 is not.
    unlike = code and below and far.low >= 0 and far.exact and far.copies >= 3
    if unlike and far.rest >= 10 and far.ratio >= 0.1 and far.spacing >= 5:
        return True
    if far.odds < 14 + math.log(max(features, 1)):
        return False
    if not far.exact:
        return far.share <= FEW and far.ratio >= 100
    least = 1.0 if far.copies >= 3 else 10.0 if far.copies == 2 else 100.0
    if far.value == 0:
        least = max(least, 5.0)  # zeros are often "none of it", and so beside the others
    if far.rest < 10:
        least = max(least, 20.0)  # a few levels need no even steps
    if whole:
        least = max(least, 0.3 if code and below else 20.0)
    return far.ratio >= least


def measure_far(values: np.ndarray) -> list[Far]:
    """Finds what lies beyond the largest gap at either end of a feature.

    Zeros that make up most of a feature, as in sparse ones, do not count as the rest: whether a
    value is far is asked of the other values that are not zero (or whatever the usual value is).

    Args:
      values: float[n], finite.

    Returns:
      Up to one for each end, in no order; none where there is too little rest to compare with.
    """
    found = []
    for sign in (1.0, -1.0):
        far = _above(np.sort(sign * values))
        if far is not None:
            value, low, high = far.value, far.low, far.high
            low, high = (low, high) if sign > 0 else (-high, -low)
            found.append(dataclasses.replace(far, value=sign * value, low=low, high=high))
    return found


def _above(ordered: np.ndarray) -> Far | None:
    """Measures what lies above the largest gap near the top of sorted numbers."""
    n = len(ordered)
    levels, counts = np.unique(ordered, return_counts=True)
    if len(levels) < 3:
        return None
    beyond = np.cumsum(counts[::-1])[::-1]  # rows at or above each level
    steps = np.diff(levels)
    near = np.flatnonzero(beyond[1:] <= max(1, FEW * n))
    first = int(near[np.argmax(steps[near])]) + 1 if len(near) else len(levels) - 1
    # One value may be more frequent than that.
    if steps[-1] >= steps[first - 1]:
        first = len(levels) - 1
    rest, weight = levels[:first], counts[:first]
    usual = int(np.argmax(weight))
    if weight[usual] > 0.5 * weight.sum():
        body = np.repeat(np.delete(rest, usual), np.delete(weight, usual))
    else:
        body = np.repeat(rest, weight)
    if len(body) < 20:
        return None
    low, high = float(rest[0]), float(rest[-1])
    # An odd value at the other end as well must not make this gap look small.
    if len(rest) > 3 and rest[1] - rest[0] > 2 * (rest[-1] - rest[1]) > 0:
        low = float(rest[1])
    copies = int(beyond[first])
    exact = first == len(levels) - 1
    value = float(levels[first + (len(levels) - first) // 2])
    gap, width = float(levels[first] - high), high - low
    upper = rest[len(rest) * 3 // 4 :]
    widest = float(np.diff(upper).max()) if len(upper) > 1 else width
    return Far(
        value=value,
        copies=copies,
        exact=exact,
        share=copies / n,
        rest=len(rest),
        low=float(rest[0]),
        high=high,
        ratio=gap / width if width > 0 else math.inf,
        odds=_odds(body, float(levels[first]), min(copies, 3) if exact else 1),
        spacing=gap / widest if widest > 0 else math.inf,
    )


def _odds(body: np.ndarray, value: float, copies: int) -> float:
    """Returns -log of how likely the upper tail of `body` (sorted) reaches `value`."""
    middle = float(np.median(body))
    excess = body[body > middle] - middle
    if len(excess) < 5:
        excess = np.full(5, max(float(body[-1] - body[0]), 1e-30))
    top = excess[-max(10, len(excess) // 10) :]
    index = float(np.mean(np.log(top / top[0]))) if top[0] > 0 else 1.0
    far = math.log(max((value - middle) / float(excess[-1]), 1.0))
    return copies * far / max(index, 0.05)


def isolated_features(table: np.ndarray) -> np.ndarray:
    """Returns the features int[k] whose lowest or highest value stands apart, the farthest first.

    A quick look that leaves out almost all features, so that few have to be sorted.

    Args:
      table: float[n, f]; what is not finite is left aside.
    """
    scores = np.zeros(table.shape[1])
    step = max(1, 4_000_000 // max(len(table), 1))
    for start in range(0, table.shape[1], step):
        part = table[:, start : start + step]
        finite = np.isfinite(part)
        part = part if finite.all() else np.where(finite, part, 0.0)
        low, high = part.min(axis=0), part.max(axis=0)
        second = np.where(part < high, part, low).max(axis=0)
        inner = np.where(part > low, part, high).min(axis=0)
        width = np.maximum(second - inner, 1e-30)
        ends = np.maximum(high - second, inner - low) / width
        # Several rows beyond the gap, each a bit different, are seen against the bulk.
        some = part[:: max(1, len(part) // 2000)]
        bulk = np.quantile(some, (0.02, 0.5, 0.98), axis=0)
        reach = np.maximum(high - bulk[1], bulk[1] - low)
        whole = reach / np.maximum(bulk[2] - bulk[0], 1e-30)
        scores[start : start + step] = np.maximum(ends, np.where(whole > 30, whole, 0.0))
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] >= 0.1]


@dataclasses.dataclass(frozen=True)
class Sentinel:
    """A number that stands for something else.

    Attributes:
      path: path of the leaf, as "['x']"; "" if there is one leaf only.
      leaf: number of the leaf.
      unit: "feature" or "channel"; "" where the leaf is a single column.
      index: which.
      far: the measurement.
      rows: split -> rows int[k] of that split, those without any left out.
    """

    path: str
    leaf: int
    unit: str
    index: int
    far: Far
    rows: Mapping[str, np.ndarray]


def columns_of(leaf: Array) -> tuple[np.ndarray, str] | None:
    """Returns `(table [n, ..., f], unit)` of a leaf: what shares the last axis is one feature.

    None for leaves that cannot hold a far number: flags, and integers of one byte.
    """
    array = np.asarray(leaf)
    if "float" in array.dtype.name:
        array = array if array.dtype.kind == "f" else array.astype(np.float32)  # bfloat16
    elif array.dtype.kind not in "iu":
        return None
    if array.size == 0 or array.ndim == 0:
        return None
    if array.dtype.kind in "iu" and array.dtype.itemsize == 1:
        return None
    if array.ndim == 1:
        return array[:, None], ""
    if array.ndim == 2 and array.dtype.kind in "iu" and array.shape[1] > 1:
        return array[..., None], ""  # tokens and ids: one vocabulary
    if array.ndim == 2:
        return array, "feature" if array.shape[1] > 1 else ""
    if array.shape[-1] > 64:
        return array[..., None], ""
    return array, "channel"


def measure_sentinels(splits: Mapping[str, PyTree]) -> tuple[list[Sentinel], int]:
    """Finds numbers far from all others of their feature, over all splits together.

    Args:
      splits: name -> array or pytree of arrays, leading axis the examples.

    Returns:
      `(sentinels, features)`: those found, those with most rows first; how many features there are.
    """
    names = list(splits)
    paths = [
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(splits[names[0]])
    ]
    leaves = [jax.tree.leaves(splits[name]) for name in names]
    found, total = [], 0
    for i, path in enumerate(paths):
        tables = [columns_of(split[i]) for split in leaves if len(split) == len(paths)]
        if any(table is None for table in tables) or len(tables) < len(names):
            continue
        whole = np.asarray(leaves[0][i]).dtype.kind in "iu"
        parts = [table for table, _ in tables]  # type: ignore[misc]
        if len({part.shape[1:] for part in parts}) > 1:
            continue
        joined = np.concatenate(parts)
        unit = tables[0][1]  # type: ignore[index]
        flat = joined.reshape(-1, joined.shape[-1]).astype(np.float64, copy=False)
        total += flat.shape[1]
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        first = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        for j in isolated_features(flat)[:LOOKED_AT]:
            column = flat[:, j]
            for far in measure_far(column[np.isfinite(column)]):
                if not judge_far(far, whole=whole, features=flat.shape[1]):
                    continue
                if _usual_elsewhere(flat, int(j), far.value):
                    continue
                sign = 1.0 if far.value > far.high else -1.0
                beyond = sign * column > max(sign * far.low, sign * far.high)
                hit = np.flatnonzero(beyond) // (len(flat) // len(joined))
                rows = {
                    name: np.unique(hit[owner[hit] == k]) - first[k]
                    for k, name in enumerate(names)
                    if (owner[hit] == k).any()
                }
                # A split on another scale altogether is not a matter of single numbers.
                if not far.exact and any(
                    len(r) > 0.5 * len(parts[names.index(name)]) for name, r in rows.items()
                ):
                    continue
                found.append(Sentinel(path, i, unit, int(j), far, rows))
    found.sort(key=lambda one: -one.far.copies)
    return found, total


def _usual_elsewhere(table: np.ndarray, feature: int, value: float) -> bool:
    """Tells whether many other features have values around it, as the pixels of a picture do."""
    if table.shape[1] < 16:
        return False
    others = np.delete(table[:: max(1, len(table) // 2000)], feature, axis=1)
    near = np.abs(others - value) <= 0.25 * max(abs(value), 1e-30)
    inside = near & (others != value)
    return bool((inside.any(axis=0)).mean() >= 0.1)


def _stepped(leaf: np.ndarray, far: Far) -> list[np.ndarray]:
    """Returns a leaf as it is, and with the far number moved on by one and by two equal steps."""
    at = leaf == leaf.dtype.type(far.value)
    step = 0.02 * (far.value - (far.low + far.high) / 2)
    return [np.where(at, leaf + k * step, leaf).astype(leaf.dtype) for k in range(3)]


def _stacked(tree: PyTree, number: int, far: Far) -> PyTree:
    """Returns rows three times over, with leaf `number` stepped."""
    leaves, structure = jax.tree.flatten(tree)
    parts = [_stepped(x, far) if i == number else [x] * 3 for i, x in enumerate(leaves)]
    return jax.tree.unflatten(structure, [np.concatenate(part) for part in parts])


def _jumps(thirds: list[np.ndarray]) -> bool:
    """Tells whether the first step changes far more than the second."""
    first, second = (np.abs(b - a).sum() for a, b in itertools.pairwise(thirds))
    return bool(first > 10 * second)


def told_apart(context: Context, sentinel: Sentinel) -> bool:
    """Tells whether the network treats the very number specially, as one that imputes it does.

    Of two equal steps away from the number, the first then changes the outputs far more than the
    second; a network that takes the number for a size answers both alike.
    """
    name, rows = next(iter(sentinel.rows.items()))
    inputs, _ = context.split(name, ROWS)  # type: ignore[misc]
    chosen = jax.tree.map(lambda x: np.asarray(x)[rows[:16]], inputs)
    if jax.tree.leaves(chosen)[sentinel.leaf].dtype.kind != "f":
        return False
    stacked = _stacked(chosen, sentinel.leaf, sentinel.far)
    outputs = context.predict(context.fresh_state(), stacked)
    flat = [np.asarray(x, np.float64).reshape(len(x), -1) for x in jax.tree.leaves(outputs)]
    return _jumps(np.split(np.concatenate(flat, axis=1), 3))


def skipped_by_loss(context: Context, sentinel: Sentinel) -> bool:
    """Tells whether the loss treats targets with this very number apart, as a masked loss does."""
    name, rows = next(iter(sentinel.rows.items()))
    inputs, targets = context.split(name, ROWS)  # type: ignore[misc]
    inputs, targets = jax.tree.map(lambda x: np.asarray(x)[rows[:16]], (inputs, targets))
    outputs = context.predict(context.fresh_state(), inputs)
    tripled = jax.tree.map(lambda x: np.concatenate([np.asarray(x)] * 3), outputs)
    value, weight = context.losses(tripled, _stacked(targets, sentinel.leaf, sentinel.far))
    return _jumps(np.split(np.asarray(value, np.float64) * np.asarray(weight, np.float64), 3))


def judge_sentinels(
    found: list[Sentinel],
    *,
    features: int,
    inputs: bool = True,
    one_leaf: bool = True,
    handled: bool = False,
) -> Finding:
    """Judges what `measure_sentinels` found.

    Args:
      found: far numbers, the most frequent first.
      features: how many features were looked at.
      inputs: whether these are inputs, not targets.
      one_leaf: whether to leave out the path of the leaf.
      handled: whether network or loss treat the number specially.
    """
    what, component = ("inputs", "data") if inputs else ("targets", "labels")
    evidence: dict[str, float | int | str | bool | None] = {
        "features": features,
        "features_with_far_values": len({(one.leaf, one.index) for one in found}),
    }
    if not found:
        return concluding(ITEM, CHECK, evidence)(
            Verdict.PASSED,
            f"None of {features} features of the {what} has a value far outside the range of its "
            "others.",
        )
    worst = found[0]
    evidence |= {
        "value": worst.far.value,
        "copies": worst.far.copies,
        "others_low": worst.far.low,
        "others_high": worst.far.high,
        "gap_over_range": worst.far.ratio,
    }
    result = concluding(ITEM, CHECK, evidence)

    def place(one: Sentinel) -> str:
        split = next(iter(one.rows))
        unit = f" {one.unit} {one.index}" if one.unit else ""
        return f"{split} {what}{'' if one_leaf else one.path}{unit}"

    def told(one: Sentinel) -> str:
        rows = "; ".join(f"{name} rows {name_rows(rows)}" for name, rows in one.rows.items())
        around = "" if one.far.exact else "about "
        return (
            f"{around}{one.far.value:.6g} in {one.far.copies} places ({rows}), while all others "
            f"lie between {one.far.low:.4g} and {one.far.high:.4g}"
        )

    if handled:
        return result(
            Verdict.PASSED,
            f"{place(worst)} has {told(worst)}; "
            + ("the network answers" if inputs else "the loss treats")
            + " that very number as a case of its own.",
        )
    more = len(found) - 1
    return result(
        Verdict.WARNED,
        f"{place(worst)} has {told(worst)}" + (f"; so have {more} more." if more else "."),
        "Impute or mask a missing value before normalising; a single wild value is often an error "
        "of the unit.",
        *(
            Suspect(
                cause="sentinel-value",
                component=component,
                where=place(one),
                why=f"{told(one)}: a gap of {one.far.ratio:.3g} times their range",
            )
            for one in found[:5]
        ),
    )


def _sides(context: Context) -> Iterator[tuple[bool, dict[str, PyTree]]]:
    given = {name: context.split(name, ROWS) for name in context.task.splits}
    for side in (0, 1):
        yield side == 0, {name: pair[side] for name, pair in given.items() if pair is not None}


def check_sentinels(context: Context) -> tuple[Finding, ...]:
    """Measures and judges far numbers in the inputs and in the targets of every split (A2)."""
    findings = []
    for inputs, splits in _sides(context):
        found, features = measure_sentinels(splits)
        if not inputs:
            # Classes are numbers without a size.
            found = [one for one in found if _numbers(splits, one.leaf)]
        if not found and not inputs:
            continue
        handles = told_apart if inputs else skipped_by_loss
        handled = bool(found) and found[0].far.exact and handles(context, found[0])
        findings.append(
            judge_sentinels(
                found,
                features=features,
                inputs=inputs,
                one_leaf=len(jax.tree.leaves(splits["train"])) == 1,
                handled=handled,
            )
        )
    return tuple(findings)


def _numbers(splits: Mapping[str, PyTree], leaf: int) -> bool:
    return np.asarray(jax.tree.leaves(splits["train"])[leaf]).dtype.kind == "f"
