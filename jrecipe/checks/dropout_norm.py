"""D9: does dropout stand before a normalisation, so that its statistics are not evaluation's?

Dropout keeps the mean of a value and adds to its variance. A BatchNorm behind it stores the larger
variance, and in evaluation, where nothing is dropped, divides by it all the same: its outputs are
too small. So the statistics that one training pass stores are compared with those of the same pass
with dropout off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.dropped import Drops, find_drops, run_dropping
from jrecipe.checks.program_walk import Program, trace
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import path_name
from jrecipe.types import Array, PyTree

ITEM, CHECK = "D9", "dropout-before-norm"
LIMIT = 1.1  # larger variances than this are worth a warning: outputs 5 % too small
ROWS, DRAWS = 64, 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
    """What dropout does to one stored statistic.

    Attributes:
      path: of the statistic in the state.
      ratio: its size with dropout on, relative to that with dropout off.
      stderr: standard error of the ratio over draws of the masks.
    """

    path: str
    ratio: float
    stderr: float


def measure_shifts(context: Context) -> list[Shift]:
    """Measures what dropout does to each variance that the network stores; needs a model."""
    assert context.model is not None
    model, (params, state) = context.model, context.variables()
    if not jax.tree.leaves(state):
        return []
    inputs = context.batch(min(ROWS, len(context.task.train))).inputs
    rows = len(jax.tree.leaves(inputs)[0])
    program = trace(
        lambda p, s, x, key: model.apply(p, s, x, key=key, train=True)[1],
        params,
        state,
        inputs,
        context.key,
    )
    given = len(jax.tree.leaves((params, state)))
    drops = find_drops(program, given, rows)
    stored = jax.tree_util.tree_leaves_with_path(state)
    paths = [path_name(path) for path, _ in stored]
    changed = [
        i
        for i, (number, (_, leaf)) in enumerate(zip(program.outputs, stored, strict=True))
        if number in drops.reached and jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.size
    ]
    if not changed:
        return []
    # From zeros, a running average holds its rate times what the batch gives: the rate cancels.
    zeros = [jnp.zeros_like(x) if i in changed else x for i, (_, x) in enumerate(stored)]
    arguments = [*jax.tree.leaves(params), *zeros, *jax.tree.leaves(inputs)]
    wanted = [program.outputs[i] for i in changed]
    off, *on = _statistics(context, program, drops, arguments, wanted)
    return [
        _shift(paths[i], off[k], [draw[k] for draw in on])
        for k, i in enumerate(changed)
        if (off[k] >= 0).all() and off[k].sum() > 0  # a variance, or a mean that cannot mislead
    ]


def _statistics(
    context: Context,
    program: Program,
    drops: Drops,
    arguments: Sequence[Array],
    wanted: Sequence[int],
) -> list[list[np.ndarray]]:
    """Returns the values wanted: first with dropout off, then under several draws of it."""

    def run(arguments: PyTree, key: Array, on: Array) -> list[Array]:
        values = run_dropping(program, drops, [*arguments, key], wanted, on)
        return [values[number] for number in wanted]

    compiled = jit_once(run)
    keys = [jax.random.fold_in(context.key, i) for i in range(DRAWS + 1)]
    return [
        [np.asarray(x, np.float64) for x in compiled(arguments, key, jnp.asarray(i > 0))]
        for i, key in enumerate(keys)
    ]


def _shift(path: str, off: np.ndarray, on: Sequence[np.ndarray]) -> Shift:
    ratios = np.array([draw.sum() / off.sum() for draw in on])
    return Shift(
        path=path,
        ratio=float(ratios.mean()),
        stderr=float(ratios.std(ddof=1) / np.sqrt(len(ratios))),
    )


def judge_shifts(shifts: Sequence[Shift]) -> Finding:
    """Judges how much larger stored variances are than those that evaluation meets.

    Args:
      shifts: of the statistics that depend on dropped values; none if dropout reaches none.

    References:
      Li et al., "Understanding the Disharmony between Dropout and Batch Normalization by Variance
      Shift", 2019, arXiv:1801.05134.
    """
    worst = max(shifts, key=lambda shift: shift.ratio, default=None)
    if worst is None:
        return concluding(ITEM, CHECK, {"statistics_behind_dropout": 0})(
            Verdict.PASSED, "No stored statistic depends on what dropout leaves."
        )
    evidence = {
        "statistics_behind_dropout": len(shifts),
        "variance_ratio": worst.ratio,
        "variance_ratio_stderr": worst.stderr,
        "limit": LIMIT,
    }
    result = concluding(ITEM, CHECK, evidence)
    layer = worst.path.rpartition("/")[0] or worst.path
    if not worst.ratio - 3 * worst.stderr > LIMIT:
        return result(
            Verdict.PASSED,
            f"Dropout changes the variances that normalisation stores by {worst.ratio - 1:.1%} at "
            f"most (in {layer}).",
        )
    scale = 1 / np.sqrt(worst.ratio)
    return result(
        Verdict.WARNED,
        f"Dropout stands before {layer}: it stores {worst.ratio:.2f} times the variance that "
        f"evaluation meets, so that evaluation gives {scale:.2f} times the outputs of training.",
        "Drop values only behind the last normalisation, lower the rate, or use a normalisation "
        "that stores nothing (LayerNorm, GroupNorm).",
        Suspect(
            cause="variance-shift",
            component="model",
            where=layer,
            why=f"variance with dropout / without = {worst.ratio:.3f} +- {worst.stderr:.3f}",
        ),
    )


def check_dropout_norm(context: Context) -> Finding:
    """Measures and judges dropout in front of stored statistics (D9)."""
    if context.foreign or context.model is None:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="A foreign trainer does not show its network; give `model` without a trainer.",
        )
    return judge_shifts(measure_shifts(context))
