"""G3: does the loss suit what the targets are?

A distance to the answer suits numbers. For classes it is a choice that learns slowly behind a
softmax or sigmoid, and for class ids taken as numbers it is a mistake: that class 7 lies nearer to
8 than to 0 is said by the ids alone. Whether the order of ids means anything is asked of the
inputs: classes that are neighbours by id should then be neighbours by their average input.
"""

from __future__ import annotations

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.loss_probe import Probe, probe_of
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.types import PyTree

ITEM, CHECK = "G3", "loss-function"


def judge_suits(
    *,
    kind: str,
    power: float,
    domain: str,
    order: float = float("nan"),
    classes: int = 0,
) -> Finding | None:
    """Judges a distance used as a loss; None if it suits the targets.

    Args:
      kind: of the targets, see `loss_reading.Kind`.
      power: of the distance, 1 or 2; NaN if the loss is none.
      domain: of the outputs, see `loss_reading.Domain`.
      order: for ids compared as numbers: how far distances of ids go with distances of inputs,
        a correlation (`measure_order`); NaN where it cannot be told.
      classes: distinct ids.
    """
    if power not in (1.0, 2.0):
        return None
    name = "squared error" if power == 2.0 else "absolute error"
    result = concluding(ITEM, CHECK, {"power": power, "outputs": domain, "order_in_inputs": order})
    if kind in ("classes", "one-hot", "binary"):
        behind = {"distribution": " behind a softmax", "box": " behind a sigmoid"}.get(domain, "")
        return result(
            Verdict.WARNED,
            f"The targets are classes, and the loss is the {name} of the outputs{behind}.",
            "Use a cross-entropy of logits: its gradient does not vanish where the answer is "
            "wrong.",
            Suspect(
                cause="wrong-loss",
                component="loss",
                where=f"{name} on classes{behind}",
                why=f"the loss is the {name} of the outputs{behind}, to rounding",
            ),
        )
    if kind == "number" and order < 0.45:
        return result(
            Verdict.WARNED,
            f"The loss compares {classes} class ids as numbers ({name} with one output), and the "
            f"order of the ids means little in the inputs (correlation {order:.2f}, for grades and "
            "counts it is 0.8 and more).",
            f"Give the network {classes} outputs and use jr.losses.softmax_cross_entropy().",
            Suspect(
                cause="wrong-loss",
                component="loss",
                where=f"{name} on class ids",
                why="inputs of neighbouring ids are no more alike than those of others",
            ),
        )
    return None


def judge_axis(axis: str, last: int) -> Finding | None:
    """Judges the axis along which the loss normalises; None if it is that of the classes.

    Args:
      axis: other axes to a common shift along which the loss is blind, "" if there are none.
      last: the axis of the classes.
    """
    if not axis:
        return None
    result = concluding(ITEM, CHECK, {"axis": axis, "expected": last})
    return result(
        Verdict.FAILED,
        f"The loss normalises the outputs along {axis}; the classes are along axis {last}.",
        f"Give the softmax axis={last}.",
        Suspect(
            cause="wrong-loss",
            component="loss",
            where=f"{axis} of the outputs",
            why=f"a shift common along {axis} changes no loss, one along axis {last} alone does",
        ),
    )


def measure_power(probe: Probe) -> float:
    """Returns 1 or 2 if the loss is a power of the distance to the answer; NaN otherwise."""
    if probe.reading is None or len(probe.outputs) != 1 or probe.reading.kind == "multilabel":
        return float("nan")
    answer = probe.reading.ideal(probe.targets, probe.shape)
    size = float(np.mean(probe.spread[0])) if probe.reading.kind == "number" else 1.0
    rng = np.random.default_rng(5)
    error = size * rng.normal(size=probe.shape)
    base, once, twice = (probe.raw(answer + t * error) for t in (0.0, 1.0, 2.0))
    first, second = once - base, twice - base
    counted = np.isfinite(first) & np.isfinite(second) & (np.abs(base) <= 1e-6 * (1 + np.abs(once)))
    if counted.mean() < 0.9 or not (first[counted] > 0).all():
        return float("nan")
    ratio = second[counted] / first[counted]
    for power in (1.0, 2.0):
        if np.all(np.abs(ratio - 2.0**power) < 0.01 * 2.0**power):
            return power
    return float("nan")


def measure_axis(probe: Probe) -> str:
    """Returns the axes along which the loss normalises, where it is not that of the classes.

    Returns:
      "axis 1", or "axis 1 and axis 2" for all of them together; "" if nothing is wrong.
    """
    reading, last = probe.reading, len(probe.shape) - 1
    if reading is None or reading.kind not in ("classes", "one-hot") or last < 2:
        return ""
    if not probe.free:
        return ""
    z = probe.draw(1.0)[0]
    base, rng = probe.raw(z), np.random.default_rng(6)

    def blind(*axes: int) -> bool:
        shape = [1 if i in axes else n for i, n in enumerate(probe.shape)]
        moved = probe.raw(z + 2.0 * rng.normal(size=shape))
        return bool(np.allclose(base, moved, rtol=1e-3, atol=1e-4))

    every = tuple(range(1, last + 1))
    if blind(last) or not blind(*every):
        return ""
    wrong = [axis for axis in every[:-1] if probe.shape[axis] > 1 and blind(axis)]
    return " and ".join(f"axis {axis}" for axis in wrong[:1] or every)


def measure_inner_power(probe: Probe) -> float:
    """Returns 1 or 2 if the loss is a mean power of the distance of probabilities from classes.

    The loss is given logits then, and makes the probabilities itself. The sum over classes is the
    Brier score, which is chosen on purpose and passes; a mean over classes is what a squared error
    of arrays comes to.
    """
    reading = probe.reading
    if reading is None or reading.kind not in ("classes", "one-hot") or not probe.free:
        return float("nan")
    z, ideal = probe.draw(2.0)[0], reading.ideal(probe.targets, probe.shape)
    value = probe.raw(z)
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    for p in (powers / powers.sum(axis=-1, keepdims=True), 1.0 / (1.0 + np.exp(-z))):
        for power in (1.0, 2.0):
            mean = (np.abs(p - ideal) ** power).reshape(probe.rows, -1).mean(axis=1)
            if np.allclose(value, mean, rtol=1e-3, atol=1e-6):
                return power
    return float("nan")


def measure_order(inputs: PyTree, ids: np.ndarray, seed: int = 0) -> float:
    """Measures whether the order of class ids shows in the inputs.

    Args:
      inputs: leading axis n.
      ids: the targets, n numbers.
      seed: decides the order of the comparison with chance.

    Returns:
      Correlation, over pairs of classes, of the distance of their ids with that of their average
      standardised inputs: 0.8 and more for grades, ages and counts, around 0 for names. NaN where
      the ids are not those of 4 to 20 classes, or where classes differ in their average input by
      no more than three times what chance makes.
    """
    names, index, counts = np.unique(ids, return_inverse=True, return_counts=True)
    k, nan = len(names), float("nan")
    if not 4 <= k <= 20 or not np.array_equal(names, np.arange(k) + names[0]):
        return nan
    if names[0] not in (0, 1) or counts.min() < 5:
        return nan
    leaves = [np.asarray(x) for x in jax.tree.leaves(inputs)]
    floats = [x.reshape(len(x), -1).astype(np.float64) for x in leaves if x.dtype.kind == "f"]
    if not floats:
        return nan
    x = np.concatenate(floats, axis=1)
    x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    rng = np.random.default_rng((seed, 9))

    def centres(index: np.ndarray) -> np.ndarray:
        one = np.eye(k)[index]
        return (one.T @ x) / counts[:, None]

    centre = centres(index)
    chance = max(float((centres(rng.permutation(index)) ** 2).sum()) for _ in range(5))
    if float((centre**2).sum()) < 3.0 * chance:
        return nan
    far = np.sqrt(((centre[:, None] - centre[None]) ** 2).sum(axis=-1))
    gap = np.abs(names[:, None] - names[None]).astype(np.float64)
    upper = np.triu_indices(k, 1)
    return float(np.corrcoef(gap[upper], far[upper])[0, 1])


def check_suits(context: Context) -> tuple[Finding | None, ...]:
    """Measures and judges whether the loss suits its targets; None where nothing is wrong."""
    probe = probe_of(context)
    reading = probe.reading
    if reading is None:
        return (None,)
    power, order, classes = measure_power(probe), float("nan"), 0
    kind: str = reading.kind
    if kind == "number" and np.isfinite(power) and int(np.prod(probe.shape[1:])) == 1:
        inputs, targets = context.split("train", 2000)  # type: ignore[misc]
        ids = reading.labels(targets).reshape(-1)
        if np.array_equal(ids, np.round(ids)):
            classes = len(np.unique(ids))
            order = measure_order(inputs, ids, context.seed)
            if context.task.class_names and classes >= 3:
                order = 0.0
    if kind == "binary" and probe.domains[0].shape == "free" and not reading.integer:
        power = float("nan")  # a number that happens to be 0 or 1
    if kind in ("classes", "one-hot", "binary") and _rebuilds(context):
        power = float("nan")
    domain: str = probe.domains[0].shape
    if np.isnan(power) and kind != "number":
        power = measure_inner_power(probe)
        domain = "distribution"
    finding = judge_suits(kind=kind, power=power, domain=domain, order=order, classes=classes)
    return finding, judge_axis(measure_axis(probe), len(probe.shape) - 1)


def _rebuilds(context: Context) -> bool:
    """Tells whether the targets are the inputs, as in an auto-encoder."""
    inputs, targets, _ = context.at_init
    x, y = jax.tree.leaves(inputs), jax.tree.leaves(targets)
    return any(a.shape == b.shape and np.array_equal(a, b) for a in x for b in y)
