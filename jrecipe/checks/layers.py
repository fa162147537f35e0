"""G19: Is each layer on a good scale, with a non-linearity between?

Two layers with only affine operations between them are one layer in disguise; that is read from
the program of the network (`data_flow`). Scales are measured on a batch before training: what
enters a layer against what entered the one before. Normalisation has acted by then, so a layer
that a norm repairs is on a good scale.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.data_flow import DataFlow, collapsible
from jrecipe.checks.laws import is_distribution
from jrecipe.checks.network_layers import (
    Sizes,
    frozen_paths,
    layers_of,
    starting_layers,
    training_flow,
)
from jrecipe.checks.probing import rounding, trained_state
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.train.frozen import path_name
from jrecipe.types import PyTree

ITEM, CHECK = "G19", "layers"
# A sum of n terms with weights of variance 1/n keeps the size, He's doubles the variance. A factor
# of 4 is eight times He's variance; tiny weights shrink by a factor of 30 and more.
GROWS, SHRINKS = 4.0, 1 / 30


@dataclasses.dataclass(frozen=True)
class Step:
    """From one layer to the next.

    Attributes:
      path: parameter of the first layer.
      entering: size of what enters it.
      leaving: size of what it makes.
      next_path: parameter of the layer behind.
      arriving: size of what enters that.
    """

    path: str
    entering: float
    leaving: float
    next_path: str
    arriving: float

    @property
    def gain(self) -> float:
        """How much larger what leaves is than what enters."""
        return self.leaving / self.entering if self.entering > 0 else 1.0


def measure_steps(flow: DataFlow, sizes: Sizes) -> list[Step]:
    """Returns every step from one layer to the next whose sizes are known.

    Args:
      flow: the layers.
      sizes: measured on a batch.
    """
    found = []
    for j, second in enumerate(flow.products):
        for i in sorted(second.given.near):
            numbers = sizes.entering[i], sizes.leaving[i], sizes.entering[j]
            if np.isfinite(numbers).all() and not sizes.picked[i]:
                first = flow.products[i]
                found.append(Step(first.path, *numbers[:2], second.path, numbers[2]))
    return found


def misscaled(steps: Sequence[Step]) -> list[Step]:
    """Returns the steps that change the scale of what passes by far more than an init should.

    Large is what grows by more than `GROWS` in its sum, and enters the next layer that much larger
    (a sine, a softmax or a norm between would undo it). Small is what shrinks as much as to arrive
    at less than a thousandth of ordinary size; exact zeros are an intended start.

    Args:
      steps: see `measure_steps`.
    """
    found = []
    for step in steps:
        grown = step.arriving > max(2.5, 0.5 * GROWS * step.entering)
        large = step.gain > GROWS and grown
        small = 0 < step.arriving < 1e-3 and step.entering > 1e-2 and 0 < step.gain < SHRINKS
        if large or small:
            found.append(step)
    return found


def judge_scales(
    steps: Sequence[Step], saturated: Sequence[tuple[str, float, float]] = ()
) -> Finding:
    """Judges the scale of what passes from layer to layer before training.

    Args:
      steps: see `measure_steps`.
      saturated: (path of the kernel before, its gain, share of values near a limit) of each tanh
        or sigmoid.
    """
    wrong = {step.path: step for step in misscaled(steps)}
    stuck = {
        path: share
        for path, gain, share in saturated
        if share > 0.5 and gain > 2.5 and path not in wrong
    }
    gains = [step.gain for step in steps if step.gain > 0]
    evidence: dict[str, float | int | str | bool | None] = {
        "steps_between_layers": len(steps),
        "largest_gain": max(gains, default=None),
        "smallest_gain": min(gains, default=None),
        "gain_expected": f"{SHRINKS:.2g} to {GROWS:.2g}",
        "largest_share_saturated": max((share for *_, share in saturated), default=None),
    }
    result = concluding(ITEM, CHECK, evidence)
    if not wrong and not stuck:
        if not steps:
            return result(Verdict.PASSED, "No layer stands behind another.")
        return result(
            Verdict.PASSED,
            f"What passes through {len(steps)} layers keeps its scale: each multiplies it by "
            f"{min(gains, default=1.0):.2g} to {max(gains, default=1.0):.2g}.",
        )
    suspects = []
    if wrong:
        steepest = max(wrong.values(), key=lambda step: abs(np.log(step.gain)))
        suspects.append(
            Suspect(
                cause="init-scale",
                component="init",
                where=", ".join(list(wrong)[:4]),
                why=f"values of size {steepest.entering:.2g} become {steepest.leaving:.2g} in "
                f"{steepest.path} and enter {steepest.next_path} as {steepest.arriving:.2g}",
            )
        )
    if stuck:
        suspects.append(
            Suspect(
                cause="init-scale",
                component="init",
                where=", ".join(list(stuck)[:4]),
                why=f"{max(stuck.values()):.0%} of the values behind are within a hundredth of "
                "their limit",
            )
        )
    far = any(step.arriving > 30 * step.entering or step.arriving < 1e-4 for step in wrong.values())
    return result(
        Verdict.FAILED if far else Verdict.WARNED,
        f"Weights start on a wrong scale: at {suspects[0].where}, {suspects[0].why}.",
        "Initialise weights with variance about 1 / inputs (lecun, Glorot or He), not with a fixed "
        "number.",
        *suspects,
    )


def judge_links(links: Sequence[tuple[str, str]], layers: int) -> Finding:
    """Judges layers that have no non-linearity between them.

    Args:
      links: paths of the two parameters, for each such pair that is not honest.
      layers: how many layers there are.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "layers": layers,
        "pairs_without_nonlinearity": len(links),
        "pairs_expected": 0,
    }
    result = concluding(ITEM, CHECK, evidence)
    if not links:
        return result(
            Verdict.PASSED, f"No two of {layers} layers could be replaced by one (low rank aside)."
        )
    names = [f"{first} -> {second}" for first, second in links]
    return result(
        Verdict.WARNED,
        f"Nothing but linear operations lie between {names[0].replace(' -> ', ' and ')}: together "
        "they can do no more than one layer.",
        "Put an activation function between them, or take one of them out.",
        *(
            Suspect(
                cause="missing-nonlinearity",
                component="model",
                where=name,
                why="the second layer is the only reader of the first, through affine operations, "
                "and the first is no bottleneck",
            )
            for name in names[:4]
        ),
    )


def measure_affinity(context: Context) -> float | None:
    """Returns how far a foreign network is from affine; 0 up to rounding if it is.

    That is the largest difference between the outputs at the middle of two inputs and the middle of
    the outputs, relative to how much outputs differ. Outputs that are probabilities count by their
    logarithms, up to a number for each row. None where inputs are not floats, or outputs constant.
    """
    one, other = context.batch().inputs, context.other().inputs
    leaves = jax.tree.leaves((one, other))
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        return None
    state = trained_state(context)
    middle = jax.tree.map(lambda a, b: (a + b) / 2, one, other)
    a, b, c = (_plain(context.predict(state, x)) for x in (one, other, middle))
    if not a.size or a.shape != b.shape or not all(np.isfinite(x).all() for x in (a, b, c)):
        return None
    size = float(np.sqrt(np.mean((a - b) ** 2)))
    scale = float(np.sqrt(np.mean(a**2)))
    if size <= 1e-3 * scale:
        return None
    return float(np.abs(c - (a + b) / 2).max()) / size


def _plain(outputs: PyTree) -> np.ndarray:
    """Returns all outputs as one array, probabilities as their centred logarithms."""
    parts = []
    for leaf in jax.tree.leaves(outputs):
        values = np.asarray(leaf).astype(np.float64)
        if values.ndim > 1 and values.shape[-1] > 1 and is_distribution(values):
            values = np.log(np.maximum(values, 1e-30))
            values -= values.mean(axis=-1, keepdims=True)
        parts.append(values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1))
    return np.concatenate(parts, axis=1)


def linear_task(context: Context) -> bool:
    """Tells whether ridge regression explains 90 % of the targets on held-out rows."""
    pairs = [context.split(name, 512) for name in ("train", "val")]
    arrays = [_table(*pair) for pair in pairs if pair is not None]
    if len(arrays) < 2 or any(pair is None for pair in arrays):
        return False
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    (x, y), (vx, vy) = (pair for pair in arrays if pair is not None)
    scale = x.std(axis=0) + 1e-12
    fitted = Ridge(alpha=1e-2).fit(x / scale, y)
    return bool(len(vy) > 1 and r2_score(vy, fitted.predict(vx / scale)) > 0.9)


def _table(inputs: PyTree, targets: PyTree) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns inputs and targets as matrices; None unless the targets are floats."""
    y = [np.asarray(leaf) for leaf in jax.tree.leaves(targets)]
    x = [np.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in y):
        return None
    tables = [
        np.concatenate([leaf.reshape(len(leaf), -1).astype(np.float64) for leaf in leaves], axis=1)
        for leaves in (x, y)
    ]
    return (tables[0], tables[1]) if all(np.isfinite(table).all() for table in tables) else None


def check_layers(context: Context) -> tuple[Finding, ...]:
    """Measures and judges the scale of each layer and what lies between (G19)."""
    layers, start = layers_of(context), starting_layers(context)
    if layers is None or start is None:
        return (_black_box(context),)
    flow = layers.flow
    links = collapsible(flow, frozen_paths(context))
    named = [(flow.products[i].path, flow.products[j].path) for i, j in links]
    trained = training_flow(context) if named else None
    if trained is not None:
        also = {
            (trained.products[i].path, trained.products[j].path) for i, j in collapsible(trained)
        }
        named = [pair for pair in named if pair in also]
    named = list(dict.fromkeys(named))
    if named and linear_task(context):
        named = []
    flow, sizes = start
    gains = np.divide(
        sizes.leaving, sizes.entering, out=np.ones_like(sizes.leaving), where=sizes.entering > 0
    )
    saturated = [
        (flow.products[i].path, float(gains[i]), float(sizes.limit[k]))
        for k, unit in enumerate(flow.units)
        for i in sorted(unit.after)
        if unit.kind != "relu" and np.isfinite(gains[i])
    ]
    found = (
        judge_scales(measure_steps(flow, sizes), saturated),
        judge_links(named, len(layers.flow.products)),
    )
    alarms = tuple(finding for finding in found if finding.verdict is not Verdict.PASSED)
    return alarms or (
        dataclasses.replace(
            found[0],
            finding=f"{found[0].finding} {found[1].finding}",
            evidence={**found[0].evidence, **found[1].evidence},
        ),
    )


def _black_box(context: Context) -> Finding:
    """Judges a foreign network that cannot be traced by whether it is affine as a whole."""
    params = context.trainer.params(context.fresh_state())
    matrices = {
        path_name(path): np.shape(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if np.ndim(leaf) >= 2
    }
    gap = measure_affinity(context) if len(matrices) >= 2 else None
    evidence: dict[str, float | int | str | bool | None] = {
        "matrices": len(matrices),
        "distance_from_affine": gap,
    }
    result = concluding(ITEM, CHECK, evidence)
    if gap is None:
        return result(
            Verdict.SKIPPED,
            "The foreign trainer's network cannot be traced, nor judged by its outputs: it has "
            f"{len(matrices)} matrices, or inputs that cannot be averaged.",
        )
    tolerance = 10 * rounding(context)
    if gap > tolerance:
        return result(
            Verdict.PASSED,
            f"The network is not affine: it bends by {gap:.2g} of the spread of its outputs.",
        )
    inputs, _, outputs = context.at_init
    wide = min(
        max(np.asarray(leaf)[0].size for leaf in jax.tree.leaves(tree))
        for tree in (inputs, outputs)
    )
    narrowest = min(min(shape) for shape in matrices.values())
    if narrowest < wide or linear_task(context):
        return result(
            Verdict.PASSED,
            "The network is affine, as suits a linear task or a bottleneck.",
        )
    return result(
        Verdict.WARNED,
        f"The network is affine to {gap:.1e} although it has {len(matrices)} matrices: no "
        "non-linearity lies between its layers.",
        "Put activation functions between the layers.",
        Suspect(
            cause="missing-nonlinearity",
            component="model",
            where=" -> ".join(list(matrices)[:4]),
            why=f"the output at the middle of two inputs is that of the outputs, to {gap:.1e}",
        ),
    )
