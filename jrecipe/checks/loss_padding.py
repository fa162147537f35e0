"""G3: padding - it must not count in the loss, and what a mask hides must not be read.

Padding is inferred, never guessed from one value: an explicit mask of ones with zeros (or the
reverse) at the end of each row, or a value that fills the ends of rows of the inputs and occurs
nowhere before them, where the targets have one value too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.loss_probe import Probe, probe_of
from jrecipe.checks.probing import as_numpy, same_bits, trained_state, visible_variables
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.types import PyTree

ITEM, CHECK = "G3", "loss-function"


@dataclasses.dataclass(frozen=True)
class Padding:
    """Where the rows of a task end.

    Attributes:
      padded: bool[n, t], True beyond the end of a row.
      mask: which leaf of the inputs is an explicit mask; None if the ends were seen by an id.
    """

    padded: np.ndarray
    mask: int | None = None


def find_padding(inputs: PyTree, targets: PyTree) -> Padding | None:
    """Finds padded positions; None if there are fewer than 2 %, or no two rows differ in length.

    Args:
      inputs: leading axes n, t in some leaf.
      targets: leading axis n.

    Example:
      >>> ids = np.array([[3, 1, 0, 0], [2, 2, 1, 0], [1, 3, 2, 1], [2, 0, 0, 0]])
      >>> find_padding(ids, ids).padded.sum(axis=1).tolist()
      [2, 1, 0, 3]
    """
    x = [np.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    y = [np.asarray(leaf) for leaf in jax.tree.leaves(targets)]
    for i, leaf in enumerate([*x, *y]):
        mask = _as_mask(leaf)
        if mask is None:
            continue
        others = [a for j, a in enumerate([*x, *y]) if j != i]
        if any(_constant_on(a, mask) for a in others):
            return Padding(mask, i if i < len(x) else None)
    for leaf in x:
        ends = _ends(leaf)
        if ends is not None and any(_constant_on(target, ends) for target in y):
            return _enough(ends)
    return None


def _enough(padded: np.ndarray) -> Padding | None:
    lengths = padded.sum(axis=1)
    if padded.mean() < 0.02 or len(np.unique(lengths)) < 3:
        return None
    return Padding(padded)


def _as_mask(leaf: np.ndarray) -> np.ndarray | None:
    """Returns bool[n, t] padded for a leaf of ones and zeros that change once at most per row."""
    if leaf.ndim != 2 or leaf.shape[1] < 3 or leaf.dtype.kind not in "iubf":
        return None
    ones = leaf.astype(np.float64)
    if not np.isin(ones, (0.0, 1.0)).all() or np.ptp(ones) == 0:
        return None
    if (np.abs(np.diff(ones, axis=1)).sum(axis=1) > 1).any():
        return None
    first = ones[:, :1]
    if (first != first[0]).any():
        return None
    padded: np.ndarray = ones != first
    enough = _enough(padded)
    return None if enough is None else padded


def _constant_on(leaf: np.ndarray, padded: np.ndarray) -> bool:
    """Tells whether a leaf [n, t, ...] has one value at all padded positions, and others too."""
    if leaf.shape[:2] != padded.shape:
        return False
    inside = leaf[padded]
    return bool((inside == inside[:1]).all() and not (leaf == inside[:1]).all())


def _ends(leaf: np.ndarray) -> np.ndarray | None:
    """Returns bool[n, t], where the rows of a leaf have ended; None if they do not end so.

    One value fills the ends of rows, and occurs nowhere before them.
    """
    ids = leaf.ndim == 2 and leaf.dtype.kind in "iu"
    features = leaf.ndim == 3 and leaf.shape[1] != leaf.shape[2]  # equal sides are a picture's
    if not (ids or features) or leaf.shape[1] < 3 or len(leaf) < 4:
        return None
    flat = leaf.reshape(*leaf.shape[:2], -1)
    last = flat[:, -1]
    values, counts = np.unique(last, axis=0, return_counts=True)
    filler = values[counts.argmax()]
    if counts.max() < 0.1 * len(leaf):
        return None
    same: np.ndarray = (flat == filler).all(axis=-1)
    trailing = np.flip(np.cumprod(np.flip(same, axis=1), axis=1), axis=1).astype(bool)
    if (same & ~trailing).sum() > 0.01 * same.sum() or (same == same[:1]).all():
        return None
    if leaf.ndim == 2 and len(np.unique(leaf)) < 3:
        return None
    return trailing


@dataclasses.dataclass(frozen=True)
class PaddingEffect:
    """What padded positions change.

    Attributes:
      share: of the positions that are padded.
      loss: share of the padded examples whose loss or weight depends on outputs there.
      outputs: share of the masked examples whose outputs depend on inputs there; NaN if not asked.
    """

    share: float
    loss: float
    outputs: float = float("nan")


def judge_padding(effect: PaddingEffect | None) -> Finding | None:
    """Judges what padded positions change; None if nothing.

    Args:
      effect: what was measured; None without padding.
    """
    if effect is None:
        return None
    result = concluding(
        ITEM,
        CHECK,
        {
            "share_padded": effect.share,
            "share_whose_loss_changes": effect.loss,
            "share_whose_outputs_change": effect.outputs,
            "expected": 0.0,
        },
    )
    if effect.loss >= 0.05:
        return result(
            Verdict.FAILED,
            f"{effect.share:.0%} of the positions are padding, and they count in the loss: outputs "
            f"there change the loss of {effect.loss:.0%} of the padded examples.",
            "Mask the loss and divide by the number of real positions, or use "
            "jr.losses.token_cross_entropy(pad=...).",
            Suspect(
                cause="padding-in-loss",
                component="loss",
                where="axis 1, padded positions",
                why="other outputs at padded positions alone give another loss",
            ),
        )
    if effect.outputs >= 0.05:
        return result(
            Verdict.FAILED,
            f"Inputs that the mask hides change the outputs of {effect.outputs:.0%} of the masked "
            "examples.",
            "Give the mask to every layer that mixes positions: attention, pooling, norms.",
            Suspect(
                cause="padding-read",
                component="model",
                where="axis 1, masked positions",
                why="other inputs at masked positions alone give other outputs elsewhere",
            ),
        )
    return None


def measure_padding(context: Context, probe: Probe) -> PaddingEffect | None:
    """Measures what padded positions change in the loss and in the outputs; None without any."""
    inputs, targets = context.at_init[:2]
    found = find_padding(inputs, targets)
    if found is None:
        return None
    n = len(found.padded)
    take = np.unique(np.linspace(0, n - 1, probe.rows).astype(int))
    padded = found.padded[take]
    loss = _loss_share(probe, padded)
    outputs = float("nan")
    if found.mask is not None:
        outputs = _read_share(context, inputs, found)
    return PaddingEffect(float(found.padded.mean()), loss, outputs)


def _loss_share(probe: Probe, padded: np.ndarray) -> float:
    if not any(leaf.shape[:2] == padded.shape for leaf in probe.outputs):
        return 0.0
    first, second = probe.draw(1.0), probe.draw(2.0)

    def mixed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if a.shape[:2] != padded.shape:
            return a
        return np.where(padded.reshape(*padded.shape, *([1] * (a.ndim - 2))), b, a)

    base = probe.ask(first)
    other = probe.ask([mixed(a, b) for a, b in zip(first, second, strict=True)])
    room = 1e-5 * (1.0 + np.abs(base.value))
    moved = (np.abs(base.value - other.value) > room) | (base.weight != other.weight)
    some = padded.any(axis=1) & ~padded.all(axis=1)
    return float(moved[some].mean()) if some.any() else 0.0


def _read_share(context: Context, inputs: PyTree, found: Padding) -> float:
    """Returns the share of masked examples whose outputs at real positions read masked inputs."""
    n = min(32, max(2, context.task.batch_size), len(found.padded))
    rows = np.argsort(~found.padded.any(axis=1), kind="stable")[:n]
    padded = found.padded[rows]
    leaves, tree = jax.tree.flatten(inputs)
    x = [np.asarray(leaf)[rows] for leaf in leaves]
    rng = np.random.default_rng((context.seed, 3))
    other = []
    for i, leaf in enumerate(x):
        if i == found.mask or leaf.shape[:2] != padded.shape:
            other.append(leaf)
            continue
        real = np.asarray(leaves[i])[~found.padded]
        drawn = real[rng.integers(0, len(real), padded.shape)]
        hidden = padded.reshape(*padded.shape, *([1] * (leaf.ndim - 2)))
        other.append(np.where(hidden, drawn, leaf).astype(leaf.dtype))
    run = _runner(context)
    before, after = (run(jax.tree.unflatten(tree, part)) for part in (x, other))
    again = run(jax.tree.unflatten(tree, x))
    some, moved = padded.any(axis=1) & ~padded.all(axis=1), np.zeros(n, bool)
    for a, b, c in zip(
        *(jax.tree.leaves(as_numpy(v)) for v in (before, after, again)), strict=True
    ):
        if not same_bits(a, c).all():
            return float("nan")  # evaluation is random, see B3
        differs = ~same_bits(a, b) & (np.abs(a - b) > 1e-5 * (np.abs(a).max() + 1e-30))
        if a.shape[:2] == padded.shape:
            differs &= ~padded.reshape(*padded.shape, *([1] * (a.ndim - 2)))
        moved |= differs.reshape(n, -1).any(axis=1)
    return float(moved[some].mean()) if some.any() else float("nan")


def _runner(context: Context) -> Callable[[PyTree], PyTree]:
    if context.foreign or context.model is None:
        state = trained_state(context)
        return lambda inputs: context.predict(state, inputs)
    params, model_state = visible_variables(context)
    return lambda inputs: context.apply(params, model_state, inputs)[0]


def check_padding(context: Context) -> Finding | None:
    """Measures and judges padding in the loss and behind a mask; None if nothing is wrong."""
    return judge_padding(measure_padding(context, probe_of(context)))
