"""B3: significant digits in evaluation - exact, repeatable, and independent of the batch.

The same examples are evaluated in batches of two sizes and two compositions, the second of them
ragged. Every example must get the same output and the same loss, so that the mean over the split is
one number, with a standard error.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.dependencies import judge_dependencies, measure_isolation
from jrecipe.checks.probing import (
    disagreement,
    perturbed,
    rounding,
    same_bits,
    trained_state,
)
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.data.source import ArraySource
from jrecipe.train.compiled import contains_primitive, jit_once
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.types import Key, PyTree

ITEM, CHECK = "B3", "exact-eval"
_DRAWS = ("random_bits", "threefry2x32", "rng_bit_generator", "random_gamma")
ROWS = {"quick": 2048, "full": 16384}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repeats:
    """How far repeated evaluations of the same examples agree.

    Attributes:
      loss: mean loss over the split.
      stderr: its standard error.
      n: examples evaluated.
      sizes: the two batch sizes.
      other_loss: mean loss with the other size and order.
      batch_average: mean of the means of ragged batches, what a careless loop reports.
      outputs: largest difference between the outputs of an example, relative to the outputs' size.
      losses: largest difference between its losses, relative to losses and outputs.
      repeated: largest relative difference between two equal calls.
      keys: largest relative difference between two keys in evaluation mode; None if not tried.
    """

    loss: float
    stderr: float
    n: int
    sizes: tuple[int, int]
    other_loss: float
    batch_average: float
    outputs: float
    losses: float
    repeated: float
    keys: float | None = None


def repeat_evaluation(
    ctx: Context, state: Any, inputs: PyTree, targets: PyTree, sizes: tuple[int, int]
) -> Repeats:
    """Evaluates a split twice, in batches of other sizes and compositions.

    Args:
      ctx: gives `predict` and the loss.
      state: of the trainer.
      inputs: leading axis n.
      targets: leading axis n.
      sizes: the two batch sizes.
    """
    loss, n = ctx.task.loss, len(jax.tree.leaves(inputs)[0])
    order = np.random.default_rng(ctx.seed).permutation(n)
    source = ArraySource(inputs, targets)
    shuffled = ArraySource(*source.take(order))
    first = evaluate(ctx.predict, state, source, loss, batch_size=sizes[0], keep_outputs=True)
    second = evaluate(ctx.predict, state, shuffled, loss, batch_size=sizes[1], keep_outputs=True)
    rows = jax.tree.map(lambda x: jnp.asarray(x[: sizes[0]]), inputs)
    once, twice = (ctx.predict(state, rows) for _ in range(2))
    pairs = zip(jax.tree.leaves(once), jax.tree.leaves(twice), strict=True)
    same = all(same_bits(a, b).all() for a, b in pairs)
    back = np.argsort(order)
    outputs = jax.tree.map(lambda x: np.asarray(x)[back], second.outputs)
    values, others = first.values.astype(np.float64), second.values[back].astype(np.float64)
    size = _rms(values) + max(_rms(leaf) for leaf in jax.tree.leaves(first.outputs))
    gap = float(np.nan_to_num(np.abs(values - others), nan=0.0, posinf=0.0).max())
    return Repeats(
        loss=first.loss,
        stderr=first.loss_stderr,
        n=n,
        sizes=sizes,
        other_loss=second.loss,
        batch_average=_average_of_batches(first, sizes[1]),
        outputs=disagreement(first.outputs, outputs),
        losses=gap / size if size > 0 else 0.0,
        repeated=0.0 if same else disagreement(once, twice),
    )


def key_gap(ctx: Context, params: PyTree, state: PyTree, inputs: PyTree) -> float:
    """Returns the relative difference that two keys make in evaluation mode; 0 if healthy.

    Nothing is compiled for a network whose program draws no random numbers.
    """
    assert ctx.model is not None
    model = ctx.model

    def run(key: Key) -> PyTree:
        return model.apply(params, state, inputs, key=key)[0]

    program = jax.make_jaxpr(run)(jax.random.key(1)).jaxpr
    if not any(contains_primitive(program, name) for name in _DRAWS):
        return 0.0
    run = jit_once(run)
    return disagreement(run(jax.random.key(1)), run(jax.random.key(2)))


def judge_exact_eval(
    found: Repeats, *, tolerance: float, independent: bool = True, split: str = "val"
) -> Finding:
    """Judges repeated evaluations of the same examples.

    Args:
      found: what was measured.
      tolerance: relative difference that rounding explains.
      independent: the task's `examples_independent`; if False, dependence is only reported.
      split: name of the split.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "loss": found.loss,
        "stderr": found.stderr,
        "examples": found.n,
        "batch_sizes": f"{found.sizes[0]}, {found.sizes[1]}",
        "loss_with_other_batches": found.other_loss,
        "average_of_ragged_batches": found.batch_average,
        "output_difference": found.outputs,
        "loss_difference": found.losses,
        "tolerance": tolerance,
        "repeat_difference": found.repeated,
        "key_difference": found.keys,
    }

    result = concluding(ITEM, CHECK, evidence)

    if found.repeated > tolerance or (found.keys or 0.0) > tolerance:
        gap = max(found.repeated, found.keys or 0.0)
        how = "from call to call" if found.repeated > tolerance else "with the random key"
        return result(
            Verdict.FAILED,
            f"Evaluation changes {how}, by {gap:.1%} of the outputs' size.",
            "Switch dropout and augmentation off in evaluation (deterministic=not train).",
            Suspect(
                cause="eval-not-deterministic",
                component="eval",
                where="dropout or other noise in evaluation mode",
                why=f"equal weights and inputs give outputs {gap:.2g} apart",
            ),
        )
    mean = _with_error(found.loss, found.stderr)
    if not independent:
        return result(
            Verdict.PASSED,
            f"{split} loss {mean} on {found.n} examples; examples are declared to depend on each "
            f"other, and other batches give {found.other_loss:.4g}.",
        )
    if found.outputs > tolerance:
        return result(
            Verdict.FAILED,
            f"The outputs of an example change by {found.outputs:.1%} of their size when it is "
            f"evaluated among others; {split} loss {found.loss:.5g} or {found.other_loss:.5g}.",
            "Use stored averages for normalisation in evaluation; look for operations over axis 0.",
            Suspect(
                cause="eval-depends-on-batch",
                component="eval",
                where="batch statistics or an operation over axis 0",
                why=f"batches of {found.sizes[0]} and {found.sizes[1]} give outputs "
                f"{found.outputs:.2g} apart, rounding explains {tolerance:.0e}",
            ),
        )
    if found.losses > tolerance:
        return result(
            Verdict.FAILED,
            f"Equal outputs get other losses in other batches ({found.losses:.1%} apart).",
            "Compare the shapes of outputs and targets in the loss; take no mean over the batch.",
            Suspect(
                cause="loss-depends-on-batch",
                component="loss",
                why=f"the loss of one example changes by {found.losses:.2g} with its batch",
            ),
        )
    return result(
        Verdict.PASSED,
        f"{split} loss {mean} on {found.n} examples before training, the same for batches of "
        f"{found.sizes[0]} and {found.sizes[1]} (outputs within {found.outputs:.0e}).",
    )


def check_exact_eval(ctx: Context) -> Finding:
    """Evaluates the validation split in several ways, untrained and a few updates later (B3)."""
    pair = ctx.split("val", ROWS[ctx.budget])
    assert pair is not None
    inputs, targets = pair
    n = len(jax.tree.leaves(inputs)[0])
    sizes = batch_sizes(ctx.task.batch_size, n)
    tolerance = rounding(ctx)
    source = ArraySource(inputs, targets)
    start = evaluate(ctx.predict, ctx.fresh_state(), source, ctx.task.loss, batch_size=sizes[0])
    kept: Finding | None = None
    for name, state in _states(ctx):
        found = repeat_evaluation(ctx, state, inputs, targets, sizes)
        if name == "moved":
            rows = jax.tree.map(lambda x: jnp.asarray(x[: sizes[1]]), inputs)
            gap = key_gap(ctx, state.params, state.model_state, rows)
            found = dataclasses.replace(found, keys=gap)
        found = dataclasses.replace(found, loss=start.loss, stderr=start.loss_stderr)
        independent = ctx.task.examples_independent
        finding = judge_exact_eval(found, tolerance=tolerance, independent=independent)
        if finding.verdict is Verdict.FAILED:
            return _explained(ctx, finding)
        kept = finding if kept is None else kept
    assert kept is not None
    return kept


def batch_sizes(batch_size: int, n: int) -> tuple[int, int]:
    """Returns the task's own batch size, at most 256 and n, and a smaller odd one.

    Example:
      >>> batch_sizes(128, 360)
      (128, 85)
    """
    large = max(1, min(batch_size, 256, n))
    small = max(1, (2 * large // 3) - (2 * large // 3 + 1) % 2)
    return large, small


def _states(ctx: Context) -> list[tuple[str, Any]]:
    """Returns name -> state for the states under which evaluation is tried."""
    fresh = ctx.fresh_state()
    trained = trained_state(ctx)
    if ctx.foreign or ctx.model is None:
        return [("trained", trained)]
    moved = perturbed(fresh.params, ctx.seed)
    return [("moved", dataclasses.replace(fresh, params=moved)), ("trained", trained)]


def _explained(ctx: Context, finding: Finding) -> Finding:
    """Puts the cause that B12 finds for a dependence on the batch before the general one."""
    if finding.suspects[0].cause != "eval-depends-on-batch":
        return finding
    found = measure_isolation(ctx)
    if found is None:
        return finding
    causes = judge_dependencies(found, independent=True, warn_ignored=False).suspects
    if not causes or causes[0].cause == finding.suspects[0].cause:
        return finding
    return dataclasses.replace(finding, suspects=(causes[0], *finding.suspects))


def _average_of_batches(found: Evaluation, size: int) -> float:
    starts = range(0, found.n, size)
    return float(np.mean([found.values[i : i + size].astype(np.float64).mean() for i in starts]))


def _rms(values: Any) -> float:
    array = np.asarray(values).astype(np.float64)
    array = array[np.isfinite(array)]
    return float(np.sqrt(np.mean(array**2))) if array.size else 0.0


def _with_error(mean: float, stderr: float) -> str:
    """Returns `2.313 +- 0.021`: as many digits as the error allows."""
    if not math.isfinite(stderr) or stderr <= 0 or not math.isfinite(mean):
        return f"{mean:.4g}"
    digits = max(0, 1 - math.floor(math.log10(stderr)))
    return f"{mean:.{digits}f} +- {stderr:.{digits}f}" if digits <= 12 else f"{mean:.6g}"
