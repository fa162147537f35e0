"""B13: generalise a special case - looped, batched, compiled, mapped, sharded: one result.

The simplest code, a loop over single examples, is the reference for the fast forms.
`max_disagreement` asks the same of any pair of functions of the user's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.dependencies import batch_length, judge_dependencies, measure_isolation
from jrecipe.checks.exact_eval import key_gap
from jrecipe.checks.probing import disagreement, rounding, trained_state, visible_variables
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.train.compiled import jit_once
from jrecipe.types import PyTree

ITEM, CHECK = "B13", "generalise"
ROWS = 8  # examples that the loop goes over
EAGER_LIMIT = 80  # operations up to which a network is also run without compilation


def max_disagreement(
    special: Callable[..., PyTree], general: Callable[..., PyTree], *args: PyTree
) -> float:
    """Holds a function of many examples against the loop over its special case.

    Args:
      special: a function of one example each of `args`, without the leading axis.
      general: the same for all examples at once.
      *args: arrays or pytrees with a common leading axis.

    Returns:
      The largest difference, relative to the root mean square of the loop's result; infinite if
      shapes differ. About 1e-6 is rounding in float32.

    Example:
      >>> x = np.arange(6.0).reshape(3, 2)
      >>> max_disagreement(lambda row: row.sum(), lambda x: x.sum(axis=1), x)
      0.0
      >>> max_disagreement(lambda row: row.sum(), lambda x: x.sum(axis=0), x)  # forgot the axis
      inf
    """
    count = len(jax.tree.leaves(args)[0])
    singles = [special(*jax.tree.map(lambda x, i=i: x[i], args)) for i in range(count)]
    stacked = jax.tree.map(lambda *x: np.stack([np.asarray(leaf) for leaf in x]), *singles)
    return disagreement(stacked, jax.tree.map(np.asarray, general(*args)))


def judge_generalise(
    *, gaps: Mapping[str, float], tolerance: float, independent: bool = True
) -> Finding:
    """Judges how far the forms of one computation agree.

    Args:
      gaps: form -> largest difference from the batched, compiled form, relative to its size.
      tolerance: relative difference that rounding explains.
      independent: the task's `examples_independent`; if False, only forms of the same batch count.
    """
    same_batch = {"eager", "sharded"}
    judged = {form: gap for form, gap in gaps.items() if independent or form in same_batch}
    evidence: dict[str, float | int | str | bool | None] = {
        **{f"{form}_difference": gap for form, gap in gaps.items()},
        "tolerance": tolerance,
    }
    wrong = {form: gap for form, gap in judged.items() if not gap <= tolerance}
    if not wrong:
        largest = max(judged.values(), default=0.0)
        forms = ", ".join(judged) or "nothing but the batch"
        said = (
            f"Batch, {forms} agree to {largest:.0e} of the outputs' size ({tolerance:.0e} allowed)."
        )
        return Finding(
            item=ITEM, check=CHECK, verdict=Verdict.PASSED, evidence=evidence, finding=said
        )
    form = next(iter(wrong))
    gap = wrong[form]
    how = (
        "give other shapes or NaN" if gap == float("inf") else f"differ by {gap:.2g} of their size"
    )
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.FAILED,
        evidence=evidence,
        finding=f"The same examples evaluated as a batch and as {form} {how}.",
        remedy="Look for squeeze(), reshape(-1), means without an axis, and Python-side state.",
        suspects=(
            Suspect(
                cause="vectorisation",
                component="loss" if form == "losses in a loop" else "model",
                where=f"batch against {form}",
                why=f"difference {gap:.2g}, rounding explains {tolerance:.0e}",
            ),
        ),
    )


def measure_forms(ctx: Context) -> dict[str, float]:
    """Returns form -> largest relative difference from the batched form.

    Forms: "loop" (one example at a time), "losses in a loop", and for a model of the task's own
    "eager" (not compiled), "vmap" (of the single example) and "sharded" (over several devices).
    """
    batch = ctx.batch(batch_length(ctx.task))
    inputs, targets = batch.inputs, batch.targets
    count = min(ROWS, len(batch.weights))
    if ctx.foreign or ctx.model is None:
        trained = trained_state(ctx)
        run: Callable[[PyTree], PyTree] = lambda x: ctx.predict(trained, x)  # noqa: E731
    else:
        params, state = visible_variables(ctx)
        run = lambda x: ctx.apply(params, state, x)[0]  # noqa: E731
    together = jax.tree.map(np.asarray, run(inputs))
    singles = [run(_row(inputs, i)) for i in range(count)]
    some = jax.tree.map(lambda x: x[:count] if np.ndim(x) else x, together)
    gaps = {"loop": _joined(singles, some)}
    if gaps["loop"] < float("inf"):
        values = ctx.losses(jax.tree.map(jnp.asarray, together), targets)
        values = (values[0][:count], values[1][:count])
        alone = [
            ctx.losses(
                jax.tree.map(lambda x, i=i: jnp.asarray(x[i : i + 1]), together), _row(targets, i)
            )
            for i in range(count)
        ]
        gaps["losses in a loop"] = _loss_gap(alone, values, together)
    if not ctx.foreign and ctx.model is not None:
        gaps |= _own_forms(ctx, params, state, inputs, together)
    return gaps


def check_generalise(ctx: Context) -> Finding:
    """Runs the task's network in every form and compares (B13)."""
    gaps = measure_forms(ctx)
    independent = ctx.task.examples_independent
    finding = judge_generalise(gaps=gaps, tolerance=rounding(ctx), independent=independent)
    if finding.verdict is not Verdict.FAILED:
        return finding
    causes = _causes(ctx, finding.suspects[0])
    return dataclasses.replace(finding, suspects=(*causes, *finding.suspects))


def _own_forms(
    ctx: Context, params: PyTree, state: PyTree, inputs: PyTree, together: PyTree
) -> dict[str, float]:
    model = ctx.model
    assert model is not None

    def apply(x: PyTree) -> PyTree:
        return model.apply(params, state, x)[0]

    def single(x: PyTree) -> PyTree:
        return jax.tree.map(lambda y: y[0], apply(jax.tree.map(lambda leaf: leaf[None], x)))

    gaps = {}
    if _operations(jax.make_jaxpr(apply)(inputs).jaxpr) <= EAGER_LIMIT:
        gaps["eager"] = disagreement(together, apply(inputs))
    if all(np.ndim(leaf) > 0 and len(leaf) == _count(inputs) for leaf in jax.tree.leaves(together)):
        with contextlib.suppress(NotImplementedError):  # a callback without a batching rule
            gaps["vmap"] = disagreement(together, jit_once(jax.vmap(single))(inputs))
    devices = jax.devices()
    usable = max(k for k in range(1, len(devices) + 1) if _count(inputs) % k == 0)
    if usable > 1:
        mesh = jax.sharding.Mesh(np.array(devices[:usable]), ("batch",))
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
        everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        placed = jax.device_put((params, state), everywhere)
        run = jax.jit(lambda p, s, x: model.apply(p, s, x)[0])
        gaps["sharded"] = disagreement(together, run(*placed, jax.device_put(inputs, sharding)))
    return gaps


def _causes(ctx: Context, first: Suspect) -> tuple[Suspect, ...]:
    """Returns more precise causes of a disagreement: noise in evaluation, or mixed examples."""
    if first.where.endswith(("eager", "sharded")):
        return ()
    if ctx.model is not None and not ctx.foreign:
        params, state = visible_variables(ctx)
        if key_gap(ctx, params, state, ctx.batch(batch_length(ctx.task)).inputs) > 0:
            why = "two keys give two results in evaluation mode"
            return (Suspect(cause="eval-not-deterministic", component="eval", why=why),)
    found = measure_isolation(ctx)
    if found is None:
        return ()
    if not found.repeatable:
        why = "two equal evaluations differ"
        return (Suspect(cause="eval-not-deterministic", component="eval", why=why),)
    return tuple(judge_dependencies(found, independent=True, warn_ignored=False).suspects[:1])


def _row(tree: PyTree, i: int) -> PyTree:
    return jax.tree.map(lambda x: x[i : i + 1], tree)


def _count(tree: PyTree) -> int:
    return len(jax.tree.leaves(tree)[0])


def _joined(singles: list[PyTree], together: PyTree) -> float:
    """Compares results of batches of one, joined, with that of the whole batch."""
    if any(np.ndim(leaf) == 0 for leaf in jax.tree.leaves(singles)):
        return float("inf")
    joined = jax.tree.map(lambda *x: np.concatenate([np.asarray(leaf) for leaf in x]), *singles)
    return disagreement(together, joined)


def _loss_gap(alone: list[tuple[Any, Any]], values: tuple[Any, Any], outputs: PyTree) -> float:
    """Returns the largest difference of losses, relative to losses and outputs together."""
    joined = [np.concatenate([np.asarray(pair[k]) for pair in alone]) for k in (0, 1)]
    size = max(
        float(np.sqrt(np.mean(np.asarray(leaf).astype(np.float64) ** 2)))
        for leaf in [values[0], *jax.tree.leaves(outputs)]
    )
    gap = max(float(np.abs(np.asarray(values[k]) - joined[k]).max()) for k in (0, 1))
    return gap / size if size > 0 else gap


def _operations(jaxpr: Any) -> int:
    """Counts the equations of a jaxpr and of those nested in it."""
    count = 0
    for equation in jaxpr.eqns:
        inner = [
            getattr(item, "jaxpr", item)
            for value in equation.params.values()
            for item in (value if isinstance(value, tuple | list) else (value,))
        ]
        nested = [item for item in inner if hasattr(item, "eqns")]
        count += sum(map(_operations, nested)) if nested else 1
    return count
