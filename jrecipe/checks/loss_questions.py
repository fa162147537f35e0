"""The questions that a loss is asked, as measurements; `loss_function` judges the numbers (G3)."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.loss_probe import Asked, Probe
from jrecipe.types import PyTree

# Losses, in nats for labels, at which examples are asked; a guard at 1e-5 starts at 11.5 nats.
_NATS = (0.0, 0.3, 1.0, 3.0, 6.0, 9.0, 10.8)
_DEVIATIONS = (0.3, 1.0, 2.0, 4.0, 8.0)
EXTREME = 100.0


@dataclasses.dataclass(frozen=True)
class Flat:
    """Examples whose loss does not depend on the outputs.

    Attributes:
      share: of the examples that count.
      rows: examples asked.
      value: median of their loss.
      shape: of the outputs, without the batch.
      labels: the class ids of which every example is like this, if they are a part of all.
    """

    share: float
    rows: int
    value: float
    shape: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Lowest:
    """Whether the loss has a lowest value.

    Attributes:
      falling: share of the examples whose loss falls without end along some ray.
      rising: share of the examples whose negative loss does.
      upside_down: share of the examples whose right answer has a higher loss than a wrong one.
      never_positive: no loss is above 0, and some are below.
      value: the lowest loss met.
      reversed: share of the examples whose loss falls without end, and whose negative does not: a
        loss with a lowest value, upside down.
      labels: values of the targets of falling examples, where other values do not fall.
    """

    falling: float
    rising: float
    upside_down: float
    never_positive: bool
    value: float
    reversed: float = 0.0
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Answers:
    """Whether the answer that the targets name is better than that of another example.

    Attributes:
      share: of the examples, those for which it makes no difference.
      rows: examples asked.
      labels: the targets of which every example is like this.
    """

    share: float
    rows: int
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Cut:
    """Places above the lowest loss that have no gradient.

    Attributes:
      share: of the examples that have such a place.
      never: share of the examples whose loss varies and never has a gradient.
      level: median loss in such places; NaN if there are none.
    """

    share: float
    never: float
    level: float


@dataclasses.dataclass(frozen=True)
class Downhill:
    """Whether the loss falls against its gradient.

    Attributes:
      rows: examples for which the step is large enough to tell.
      against: share of them whose loss rises instead.
      ratio: median of measured over claimed slope.
    """

    rows: int
    against: float
    ratio: float


def survey(probe: Probe) -> list[Asked]:
    """Asks a loss about outputs of many sizes: drawn at random, right, and wrong.

    The wrong answers are made so that a cross-entropy would score a given number of nats, up to
    where guards against log(0) may rightly start.
    """
    asked = [probe.ask(probe.draw(size)) for size in (0.5, 1.0, 1.0, 3.0, 3.0)]
    reading = probe.reading
    if reading is None:
        return asked
    sizes = _DEVIATIONS if reading.kind == "number" else _label_sizes(probe)
    for size in sizes:
        z = probe.answer(size)
        assert z is not None
        asked.append(probe.ask(z))
        if reading.kind == "number":
            other = probe.answer(-size)
            assert other is not None
            asked.append(probe.ask(other))
    return asked


def _label_sizes(probe: Probe) -> list[float]:
    """Returns how far the right class lies above the others for a loss of each of `_NATS`."""
    assert probe.reading is not None
    several = probe.reading.kind in ("classes", "one-hot")
    others = float(np.log(max(probe.shape[-1] - 1, 1))) if several else 0.0
    sizes = [-(nats - others) for nats in _NATS]
    return [*sizes, 3.0 + others, 6.0 + others]


def measure_flat(probe: Probe, asked: list[Asked]) -> Flat:
    """Measures for how many examples the loss is the same at all outputs asked about."""
    values = np.stack([x.value for x in asked])
    counts = np.stack([x.weight for x in asked]).max(axis=0) > 0
    finite = np.isfinite(values).all(axis=0) & counts
    if not finite.any():
        return Flat(0.0, 0, float("nan"))
    values = values[:, finite]
    same = np.ptp(values, axis=0) <= 1e-6 * (1.0 + np.abs(values).max(axis=0))
    share = float(same.mean())
    middle = float(np.median(values[:, same])) if same.any() else float("nan")
    labels: tuple[int, ...] = ()
    reading = probe.reading
    if 0 < share < 0.95 and reading is not None and reading.labels(probe.targets).ndim == 1:
        y = reading.labels(probe.targets)[finite]
        if reading.kind == "classes" and len(jax.tree.leaves(probe.targets)) == 1:
            without = sorted({int(v) for v in y[same]} - {int(v) for v in y[~same]})
            # One id alone, or a negative one, may be left out on purpose.
            if (len(without) >= 2 and min(without) >= 0) or any(
                v >= probe.shape[-1] for v in without
            ):
                labels = tuple(without)
    return Flat(share, int(finite.sum()), middle, tuple(probe.shape[1:]), labels)


def measure_ignored_targets(probe: Probe) -> tuple[float, int]:
    """Measures the share of examples whose loss keeps its value under another target.

    Returns:
      The share, NaN if all targets are alike, and the number of examples it is of.
    """
    order = np.roll(np.arange(probe.rows), 1)
    moved: PyTree = jax.tree.map(lambda y: y[order], probe.targets)
    differs = np.zeros(probe.rows, bool)
    for a, b in zip(jax.tree.leaves(probe.targets), jax.tree.leaves(moved), strict=True):
        differs |= (a.reshape(probe.rows, -1) != b.reshape(probe.rows, -1)).any(axis=1)
    kept = np.ones(probe.rows, bool)
    for size in (1.0, 3.0):
        z = probe.draw(size)
        first, second = probe.ask(z), probe.ask(z, moved)
        differs &= (first.weight > 0) & (second.weight > 0)
        differs &= np.isfinite(first.value) & np.isfinite(second.value)
        room = 1e-6 * (1.0 + np.abs(first.value))
        kept &= np.abs(first.value - second.value) <= room
    if probe.reading is not None and probe.reading.kind == "number":
        # Outputs of another order of size would drown a target in rounding.
        ideal = probe.reading.ideal(probe.targets, probe.shape)
        near = ideal + np.roll(ideal, 2, axis=0) - ideal.mean(axis=0)
        first_value, second_value = probe.raw(near), probe.raw(near, moved)
        kept &= np.abs(first_value - second_value) <= 1e-6 * (1.0 + np.abs(first_value))
    if not differs.any():
        return float("nan"), 0
    return float(kept[differs].mean()), int(differs.sum())


def measure_answers(probe: Probe) -> Answers:
    """Measures for which examples the right answer is no better than that of another target.

    Asked of labels only, whose right answers can be built; examples whose loss does not depend on
    the outputs at all are left to `measure_flat`.
    """
    reading = probe.reading
    size = 4.0 + float(np.log(max(probe.shape[-1], 1)))
    right, wrong = probe.answer(size), probe.answer(-size)
    if reading is None or reading.kind == "number" or right is None or wrong is None:
        return Answers(0.0, 0)
    own = probe.ask(right)
    room = 1e-6 * (1.0 + np.abs(own.value))
    alive = (own.weight > 0) & (np.abs(probe.ask(wrong).value - own.value) > room)
    y = reading.labels(probe.targets).reshape(probe.rows, -1)
    if reading.kind == "classes":
        alive &= ((y >= 0) & (y < probe.shape[-1])).all(axis=1)
    tried, tie = np.zeros(probe.rows, bool), np.ones(probe.rows, bool)
    for shift in (1, 2, 3, 5):
        order = np.roll(np.arange(probe.rows), shift)
        other = probe.answer(size, jax.tree.map(lambda x, order=order: x[order], probe.targets))
        assert other is not None
        differs = (y != y[order]).any(axis=1)
        tie &= ~differs | (np.abs(probe.ask(other).value - own.value) <= room)
        tried |= differs
    asked = alive & tried
    if not asked.any():
        return Answers(0.0, 0)
    return Answers(
        share=float(tie[asked].mean()),
        rows=int(asked.sum()),
        labels=_labels_of(probe, tie & asked, asked),
    )


def measure_ignored_outputs(probe: Probe) -> int | None:
    """Returns 0 or 1 if outputs whose label is that have no part in the loss; None otherwise."""
    reading = probe.reading
    if reading is None or reading.kind not in ("binary", "multilabel"):
        return None
    y = reading.ideal(probe.targets, probe.shape)
    for label in (0, 1):
        values, chosen = [], y == label
        z = probe.draw(1.0)[0]
        for size in (1.0, 3.0, 3.0):
            values.append(probe.ask([np.where(chosen, probe.draw(size)[0], z)]))
        some = chosen.reshape(probe.rows, -1).any(axis=1)
        some &= np.all([x.weight > 0 for x in values], axis=0)
        every = np.stack([x.value for x in values])
        same = np.ptp(every, axis=0) <= 1e-6 * (1.0 + np.abs(every).max(axis=0))
        if some.sum() >= 2 and same[some].mean() >= 0.95:
            return label
    return None


def measure_lowest(probe: Probe, asked: list[Asked]) -> Lowest:
    """Measures along rays whether the loss, or its negative, falls without end.

    A ray starts at drawn outputs and goes downhill. Bounded losses flatten or turn; what falls as
    fast far out as before has no lowest value.
    """
    counts = np.stack([x.weight for x in asked]).max(axis=0) > 0
    values = np.stack([x.value for x in asked])[:, counts]
    finite = values[np.isfinite(values)]
    labels = probe.reading is not None and probe.reading.kind != "number"
    low, high = (
        np.stack([side * np.nan_to_num(x.value, nan=np.inf) for x in asked]).min(axis=0)
        for side in (1.0, -1.0)
    )
    falling, rising = (
        _falls(probe, side, best if labels else np.full(probe.rows, np.inf)) & counts
        for side, best in ((1.0, low), (-1.0, high))
    )
    upside = np.zeros(probe.rows, bool)
    right, wrong = probe.answer(0.0), probe.answer(4.0)
    if probe.reading is not None and probe.reading.kind != "number":
        right, wrong = probe.answer(4.0), probe.answer(-4.0)
    if right is not None and wrong is not None:
        upside = probe.ask(right).value > probe.ask(wrong).value + 1e-6
    return Lowest(
        falling=float(falling[counts].mean()),
        rising=float(rising[counts].mean()),
        upside_down=float(upside[counts].mean()),
        never_positive=bool(finite.size and finite.max() <= 1e-6 and finite.min() < -1e-3),
        value=float(finite.min()) if finite.size else float("nan"),
        reversed=float((falling & ~rising)[counts].mean()),
        labels=_labels_of(probe, falling, counts),
    )


def _labels_of(probe: Probe, some: np.ndarray, counts: np.ndarray) -> tuple[str, ...]:
    """Returns the few values of the targets that tell `some` examples from the others."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(probe.targets)]
    if not some.any() or len(leaves) != 1 or leaves[0][:1].size != 1:
        return ()
    y = leaves[0].reshape(-1)
    inside, outside = set(y[some].tolist()), set(y[counts & ~some].tolist())
    if len(inside) > 12 or inside & outside or not outside:
        return ()
    return tuple(f"{v:g}" for v in sorted(inside))


def _falls(probe: Probe, side: float, best: np.ndarray) -> np.ndarray:
    """Returns bool[b]: whether `side` times the loss falls without end along a ray.

    It does if it falls in equal steps, or growing ones, over three equal stretches of a ray that
    ends far out. Behind a link 12 is far: a probability is then within 1e-5 of its end. The start
    is close to the middle there, so that what is on its way to a good answer arrives before; and
    the end must be below 0 and below `best`, the best that any answer asked about had.
    """
    largest = max([1.0, *(_largest(y) for y in jax.tree.leaves(probe.targets))])
    falls = np.zeros(probe.rows, bool)
    for size in (0.5, 1.0, 3.0 if probe.free else 0.7):
        z = probe.draw(size)
        start = probe.ask(z)
        steepest = np.maximum(np.nan_to_num(start.slope), 1e-30)
        rays = []
        for i, domain in enumerate(probe.domains):
            down = -side * _by_row(start.grads[i], steepest)
            size = float(np.max(np.abs(probe.centre[i]) + probe.spread[i]))
            far = 100.0 * max(1.0, size, largest)
            open_end = {"free": np.ones_like(down), "above": down > 0, "below": down < 0}
            rays.append(down * np.where(open_end.get(domain.shape, down != down), far, 12.0))
        at = [
            side * probe.ask([x + share * ray for x, ray in zip(z, rays, strict=True)]).value
            for share in (0.25, 0.5, 0.75, 1.0)
        ]
        with np.errstate(invalid="ignore"):
            steps = [a - b for a, b in itertools.pairwise(at)]
            # Slow coordinates of a bounded loss may still fall, but no longer as at the start.
            rate = -sum(
                (g * ray).reshape(probe.rows, -1).sum(axis=1)
                for g, ray in zip(start.grads, rays, strict=True)
            )
            room = np.maximum(1e-3 * (1.0 + np.abs(start.value)), 0.25 * 0.15 * side * rate)
            falls |= (
                np.isfinite(at[3])
                & (probe.free | (at[3] < np.minimum(best, 0.0) - room))
                & (steps[0] > room)
                & (steps[1] > 0.8 * steps[0])
                & (steps[2] > 0.8 * steps[1])
            )
    return falls


def _by_row(grads: np.ndarray, largest: np.ndarray) -> np.ndarray:
    return np.nan_to_num(grads) / largest.reshape(-1, *([1] * (grads.ndim - 1)))


def _largest(leaf: np.ndarray) -> float:
    y = np.asarray(leaf)
    if y.dtype.kind not in "iuf" or y.size == 0:
        return 0.0
    top = float(np.abs(y.astype(np.float64)).max())
    return min(top, 1e6) if np.isfinite(top) else 0.0


def measure_cut(asked: list[Asked]) -> Cut:
    """Measures how many examples have no gradient where their loss could still fall."""
    value = np.stack([x.value for x in asked])
    slope = np.stack([x.slope for x in asked])
    counts = np.stack([x.weight for x in asked]).min(axis=0) > 0
    usable = np.isfinite(value) & np.isfinite(slope) & counts
    still = usable & (slope == 0)
    lowest = np.where(usable & (slope > 0), value, np.inf).min(axis=0)
    span = np.where(usable, value, -np.inf).max(axis=0) - np.where(usable, value, np.inf).min(
        axis=0
    )
    with np.errstate(invalid="ignore"):
        high = still & (value > lowest + 1e-3 * np.maximum(span, 1e-9))
    some = usable.any(axis=0)
    if not some.any():
        return Cut(0.0, 0.0, float("nan"))
    varies = np.isfinite(span) & (span > 1e-4 * (1.0 + np.abs(np.nan_to_num(value)).max(axis=0)))
    never = varies & ~(usable & (slope > 0)).any(axis=0)
    return Cut(
        share=float(high.any(axis=0)[some].mean()),
        never=float(never[some].mean()),
        level=float(np.median(value[high])) if high.any() else float("nan"),
    )


def measure_downhill(probe: Probe) -> Downhill:
    """Measures the slope along the gradient by finite differences, where rounding allows it."""
    ratios = []
    for size in (1.0, 2.0):
        z = probe.draw(size)
        start = probe.ask(z)
        norm = np.sqrt(sum((g.reshape(len(g), -1) ** 2).sum(axis=1) for g in start.grads))
        scale = min(float(np.mean(spread)) for spread in probe.spread)
        step = 1e-2 * scale
        largest = np.maximum(np.nan_to_num(norm), 1e-30)
        up = [x + step * _by_row(g, largest) for x, g in zip(z, start.grads, strict=True)]
        down = [x - step * _by_row(g, largest) for x, g in zip(z, start.grads, strict=True)]
        change = probe.ask(up).value - probe.ask(down).value
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = change / (2 * step * norm)
            clear = (np.abs(change) > 1e-4 * (1e-3 + np.abs(start.value))) & (start.weight > 0)
        ratios.append(ratio[clear & np.isfinite(ratio)])
    every = np.concatenate(ratios)
    if every.size == 0:
        return Downhill(0, 0.0, float("nan"))
    return Downhill(len(every), float(np.mean(every < 0)), float(np.median(every)))


def measure_scale(context: Context, probe: Probe) -> tuple[float, float]:
    """Measures how the loss and the weight of an example change in half a batch.

    Returns:
      Medians of half over whole, of value and weight; NaN where they cannot be told. For losses
      with a known law that of B4 is taken, and not repeated where B4 says it.
    """
    law, nan = context.law, float("nan")
    if law is not None:
        if law.loss.kind != "number" or not law.rows or law.scale == law.scale_half:
            return nan, nan
        return law.scale_half / law.scale, nan
    z, half = probe.draw(1.0), probe.rows // 2
    if half < 1:
        return nan, nan
    whole = probe.ask(z)
    outputs = jax.tree.map(lambda x: x[:half], probe.linked(z))
    value, weight = context.losses(outputs, jax.tree.map(lambda y: y[:half], probe.targets))
    return _ratio(np.asarray(value), whole.value[:half]), _ratio(
        np.asarray(weight), whole.weight[:half]
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> float:
    """Returns the common ratio of two arrays, NaN if there is none."""
    clear = np.isfinite(part) & np.isfinite(whole) & (np.abs(whole) > 1e-6)
    if clear.sum() < 2:
        return float("nan")
    ratio = part[clear].astype(np.float64) / whole[clear]
    return float(np.median(ratio))


def measure_extreme(probe: Probe) -> tuple[float, float]:
    """Measures the share of examples that are not finite at logits of size `EXTREME`.

    Only losses of labels are asked: the exponential link of a count may rightly overflow.

    Returns:
      The share, and the size.
    """
    reading = probe.reading
    if reading is None or reading.kind == "number" or not probe.free:
        return 0.0, EXTREME
    bad = np.zeros(probe.rows, bool)
    for side in (1.0, -1.0):
        near, middle, far = (_at(probe, side * size) for size in (5.0, 10.0, EXTREME))
        with np.errstate(invalid="ignore"):
            # A loss that grows faster than its outputs, as exp(-margin), may overflow.
            calm = np.abs(middle.value) <= 3.0 * np.abs(near.value) + 1.0
        calm &= np.isfinite(near.value) & np.isfinite(near.slope) & (near.weight > 0)
        bad |= calm & ~(np.isfinite(far.value) & np.isfinite(far.slope))
    return float(bad.mean()), EXTREME


def _at(probe: Probe, size: float) -> Asked:
    z = probe.answer(size)
    assert z is not None
    return probe.ask(z)
