"""What an update depends on, found by changing one thing at a time.

None of it needs a model or a gradient: another batch, another target for one example, another order
of the examples must change an update, or must not.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.step_probe import Probe, length, reorder
from jrecipe.train.compiled import jit_once
from jrecipe.types import Array, Batch, PyTree

_SECONDS = 0.4  # for taking examples out one at a time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interventions:
    """What changed an update and what did not.

    Attributes:
      random: the key of the step changes its update.
      batch_ignored: an update is the same to the last bit on another batch.
      earlier_used: it is, but another batch before it makes a difference.
      tried: number of examples whose target was changed, one at a time.
      ignored: those of them whose change left the update the same to the last bit.
      hard: losses of the ignored examples that are all above the losses of the others.
      threshold: `(largest loss that counts, smallest that does not)` if `hard`.
      permuted: how much another order of the examples changes the update, relative to its size.
      rotated: the same with the two halves of the batch exchanged.
      unpaired: the same with targets exchanged among the examples, inputs left in place.
    """

    random: bool
    batch_ignored: bool
    earlier_used: bool = False
    tried: int = 0
    ignored: tuple[int, ...] = ()
    hard: bool = False
    threshold: tuple[float, float] = (0.0, 0.0)
    permuted: float = 0.0
    rotated: float = 0.0
    unpaired: float = 1.0


def hard_batch(ctx: Context, batch: Batch, times: float = 8.0) -> Batch:
    """Returns the batch with inputs and targets under which losses are large.

    Floating inputs are multiplied, and each example gets the target out of the batch that its
    output suits worst.
    """

    def blow(x: Array) -> Array:
        return x * times if jnp.issubdtype(x.dtype, jnp.floating) else x

    inputs = jax.tree.map(blow, batch.inputs)
    outputs = ctx.predict(ctx.fresh_state(), inputs)
    n = length(batch)
    rows, worst, best = np.arange(n), np.full(n, -np.inf), np.arange(n)
    for shift in range(0, n, max(1, n // 8)):
        beside = np.roll(rows, shift)
        moved = reorder(batch, rows, beside).targets
        value = np.asarray(ctx.losses(outputs, moved)[0], np.float64)
        best = np.where(value > worst, beside, best)
        worst = np.maximum(value, worst)
    return reorder(batch._replace(inputs=inputs), rows, best)


def other_targets(
    ctx: Context, outputs: PyTree, batch: Batch, rank: int = 0, least: float = -np.inf
) -> tuple[PyTree, np.ndarray]:
    """Returns targets in which each example has one unlike its own, and bool[b] where there is one.

    Of the targets of some other examples it is given the one that suits its output worst, since a
    loss that is cut off above ignores a change only if it is large before and after.

    Args:
      ctx: gives the loss.
      outputs: of the batch.
      batch: some examples.
      rank: 0 for the worst target, 1 for the next worst, ...
      least: no target with a lower loss is taken in place of the worst.
    """
    n = length(batch)
    leaves = [np.asarray(x).reshape(n, -1) for x in jax.tree.leaves(batch.targets)]
    rows, orders, scores = np.arange(n), [], []
    for shift in sorted({*range(1, n, max(1, n // 10))}):
        order = np.roll(rows, -shift)
        value = np.asarray(ctx.losses(outputs, reorder(batch, rows, order).targets)[0], np.float64)
        unlike = np.any([np.any(leaf[order] != leaf, axis=1) for leaf in leaves], axis=0)
        orders.append(order)
        scores.append(np.where(unlike & np.isfinite(value), value, -np.inf))
    if not orders:
        return batch.targets, np.zeros(n, bool)
    ranked = np.argsort(-np.array(scores), axis=0, kind="stable")
    best = ranked[0]
    chosen = ranked[min(rank, len(orders) - 1)]
    score = np.array(scores)[chosen, rows]
    chosen = np.where(np.isfinite(score) & (score >= least), chosen, best)
    found = np.isfinite(np.array(scores)[best, rows])
    source = np.where(found, np.array(orders)[chosen, rows], rows)
    return reorder(batch, rows, source).targets, found


def slopes(ctx: Context) -> Any:
    """Returns `(outputs, targets) -> (value float32[b], gradient by the outputs)`, compiled."""

    def both(outputs: PyTree, targets: PyTree) -> tuple[Array, PyTree]:
        def total(outputs: PyTree) -> tuple[Array, Array]:
            value, weight = losses.weighted(ctx.task.loss, outputs, targets)
            return (value * weight).sum(), value

        grads, value = jax.grad(total, has_aux=True, allow_int=True)(outputs)
        keep = [g for g in jax.tree.leaves(grads) if jnp.issubdtype(g.dtype, jnp.floating)]
        return value, keep

    return ctx.once("step-slopes", lambda: jit_once(both))


def counting_examples(ctx: Context, batch: Batch) -> tuple[np.ndarray, np.ndarray, PyTree]:
    """Finds which examples must have a part in an update, by the loss alone.

    Returns:
      `(loss float64[b], counts bool[b], other targets)`: an example counts if its gradient by the
      outputs changes by at least a hundredth of a usual one when it gets the other target.
    """
    outputs = ctx.predict(ctx.fresh_state(), batch.inputs)
    targets, found = other_targets(ctx, outputs, batch)
    n = length(batch)
    value, before = slopes(ctx)(outputs, batch.targets)
    _, after = slopes(ctx)(outputs, targets)

    def flat(grads: list[Array]) -> np.ndarray:
        return np.concatenate([np.asarray(g, np.float64).reshape(n, -1) for g in grads], axis=1)

    change = np.linalg.norm(flat(after) - flat(before), axis=1)
    usual = float(np.median(np.linalg.norm(flat(before), axis=1)))
    value = np.asarray(value, np.float64)
    counts = found & np.isfinite(value) & (change > 1e-2 * max(usual, 1e-12))
    return value, counts, targets


def take_out(
    probe: Probe, before: Batch, batch: Batch, depth: int, seconds: float = _SECONDS
) -> tuple[np.ndarray, list[int], list[int]]:
    """Changes the target of one example at a time.

    The update that is watched follows one on another batch: the first update of Adam is the sign of
    the gradient, which a single example seldom turns. Examples that seem to be ignored are changed
    again, all together and to other targets, before they are believed to be.

    Args:
      probe: of the trainer.
      before: the batch of the update before.
      batch: whose examples are changed.
      depth: updates to make on each.
      seconds: after which no further example is tried, if at least six were.

    Returns:
      `(loss float64[b], examples tried, those whose change left no trace)`.
    """
    n = length(batch)
    value, counts, others = counting_examples(probe.ctx, batch)
    plain = later_move(probe, before, batch, depth)
    ranked = np.argsort(-value).tolist()
    order = [*ranked[: n // 4], n - 1, 0, *ranked[-2:], *range(n - 2, 0, -1)]
    order = [int(i) for i in dict.fromkeys(order) if counts[i]]
    tried: list[int] = []
    ignored: list[int] = []
    start = time.perf_counter()

    def same_with(rows: list[int], others: PyTree) -> bool:
        def put(x: Array, y: Array) -> Array:
            changed = np.array(x)
            changed[rows] = np.asarray(y)[rows]
            return jnp.asarray(changed)

        targets = jax.tree.map(put, batch.targets, others)
        moved = later_move(probe, before, batch._replace(targets=targets), depth)
        return np.array_equal(moved, plain)

    for i in order:
        if len(tried) >= 6 and time.perf_counter() - start > seconds:
            break
        tried.append(i)
        if same_with([i], others):
            ignored.append(i)
    if ignored and len(ignored) < len(tried):
        outputs = probe.ctx.predict(probe.ctx.fresh_state(), batch.inputs)
        least = float(min(value[i] for i in ignored))
        again = [other_targets(probe.ctx, outputs, batch, r, least)[0] for r in range(3)]
        if not all(same_with(ignored, targets) for targets in again):
            ignored = []
    return value, tried, ignored


def later_move(probe: Probe, before: Batch, batch: Batch, depth: int) -> np.ndarray:
    """Returns what `depth` updates on a batch add after as many on another, float64[parameters]."""
    moves = probe.run([before] * depth + [batch] * depth).moves
    return np.asarray(np.sum(moves[depth:], axis=0))


def of_signs(move: np.ndarray, depth: int = 1) -> bool:
    """Tells whether an update is made of signs, which a single example seldom turns.

    Args:
      move: float64[parameters].
      depth: updates that it consists of.

    Example:
      >>> of_signs(0.1 * np.sign(np.arange(-50.0, 50.0))), of_signs(np.arange(-50.0, 50.0))
      (True, False)
    """
    sizes = np.abs(move[move != 0])
    if len(sizes) < 16:
        return False
    return len(np.unique(np.round(sizes / sizes.max(), 2))) <= 2 * depth


def beyond(value: np.ndarray, tried: list[int], ignored: list[int]) -> tuple[float, float] | None:
    """Finds the loss that parts ignored examples from the others.

    Losses are known before the update that precedes the watched one, so a tenth of the examples may
    lie on the wrong side.

    Args:
      value: losses, float64[b].
      tried: examples that were changed.
      ignored: those that left no trace.

    Returns:
      `(largest loss below, smallest above)`; None if no loss parts them.
    """
    if not ignored or len(ignored) >= len(tried):
        return None
    order = sorted(tried, key=lambda i: float(value[i]))
    above = np.array([i in ignored for i in order])
    wrong = [int(above[:k].sum() + (~above[k:]).sum()) for k in range(1, len(order))]
    k = int(np.argmin(wrong)) + 1
    if wrong[k - 1] > len(order) // 10 or not value[order[k - 1]] < value[order[k]]:
        return None
    return float(value[order[k - 1]]), float(value[order[k]])


def duplication(probe: Probe, batch: Batch, depth: int) -> float | None:
    """Returns how much longer an update is on half a batch written twice than on the half alone.

    It is 1 for a mean and 2 for a sum. None if the step takes one size of batch only, or does not
    move.
    """
    n = length(batch)
    half = np.arange(max(1, n // 2))
    alone = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[half]), batch)
    twice = jax.tree.map(lambda x: jnp.asarray(np.concatenate([np.asarray(x)[half]] * 2)), batch)
    moved = float(np.linalg.norm(np.sum(probe.run([twice] * depth).moves, axis=0)))
    try:
        single = float(np.linalg.norm(np.sum(probe.run([alone] * depth).moves, axis=0)))
    except (TypeError, ValueError):  # shapes that do not fit a step made for one size
        return None
    return moved / single if single > 0 else None


def intervene(
    probe: Probe, batches: list[Batch], depth: int, *, examples: Literal["no", "hard", "all"]
) -> Interventions:
    """Changes the key, the batch, the order and single examples.

    Args:
      probe: of the trainer.
      batches: at least three different ones.
      depth: how many updates it takes until the parameters first move.
      examples: which to take out one at a time: none, those of a batch with large losses, or
        those of the plain batch before.
    """
    before, batch, other = batches[1], batches[0], batches[2]
    n = length(batch)
    plain = later_move(probe, before, batch, depth)
    keys = [jax.random.fold_in(probe.ctx.key, 100 + i) for i in range(2 * depth)]
    rekeyed = probe.run([before] * depth + [batch] * depth, keys).moves[depth:]
    elsewhere = later_move(probe, before, other, depth)
    ignored_batch = bool(np.any(plain)) and np.array_equal(plain, elsewhere)
    first = ignored_batch and not np.array_equal(
        probe.run([before] * depth).moves[-1], probe.run([batch] * depth).moves[-1]
    )
    size = max(float(np.linalg.norm(plain)), 1e-300)

    def gap(rows: np.ndarray, targets: np.ndarray | None = None) -> float:
        moved = later_move(probe, before, reorder(batch, rows, targets), depth)
        return float(np.linalg.norm(moved - plain) / size)

    found = Interventions(
        random=not np.array_equal(plain, np.sum(rekeyed, axis=0)),
        batch_ignored=ignored_batch,
        earlier_used=first,
        permuted=gap(np.random.default_rng(3).permutation(n)),
        rotated=gap(np.roll(np.arange(n), n // 2)),
        unpaired=gap(np.arange(n), np.random.default_rng(4).permutation(n)),
    )
    if examples == "no" or found.batch_ignored or not np.any(plain) or of_signs(plain, depth):
        return found
    tried: list[int] = []
    ignored: list[int] = []
    split = None
    if examples == "all":
        value, tried, ignored = take_out(probe, before, batch, depth)
        split = beyond(value, tried, ignored)
    if not ignored:
        value, more, ignored = take_out(probe, before, hard_batch(probe.ctx, batch), depth)
        split = beyond(value, more, ignored)
        ignored = ignored if split is not None else []
        tried = [*tried, *more]
    elif len(ignored) == len(tried):
        ignored = []  # as where an update is the sign of a sum
    return dataclasses.replace(
        found,
        tried=len(tried),
        ignored=tuple(sorted(ignored)),
        hard=split is not None and len(ignored) > 1,
        threshold=split or (0.0, 0.0),
    )
