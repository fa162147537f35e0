"""B12 for sequences: output t depends on inputs up to t, or before t if it is the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.isolation import (
    axis_size,
    dependency_map,
    prefix_leaks,
    really_other,
    replace_along,
)
from jrecipe.checks.probing import same_bits, trained_state, visible_variables
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.figures import Figure, Matrix
from jrecipe.types import PyTree

ITEM, CHECK = "B12", "dependencies"
ROWS = 8  # sequences tried at once
CUTS = {"evaluation": 128, "training": 32}  # positions tried, spread evenly over longer sequences
Relation = Literal["next", "same", "earlier", "other"]


def target_relation(inputs: PyTree, targets: PyTree, axis: int) -> Relation:
    """Finds where along `axis` the targets stand among the inputs.

    Args:
      inputs: an array with `axis`; one-hot or id inputs for id targets. Only the first leaf counts.
      targets: an array with `axis`.
      axis: along which to look.

    Returns:
      "next" if target t is input t+1 (output t may see inputs up to t), "same" if it is input t
      (only inputs before t), "earlier" if it is input t-1 (which output t sees), else "other".

    Example:
      >>> ids = np.array([[3, 1, 4, 1, 5]])
      >>> target_relation(ids[:, :-1], ids[:, 1:], axis=1)
      'next'
    """
    x, y = np.asarray(jax.tree.leaves(inputs)[0]), np.asarray(jax.tree.leaves(targets)[0])
    if (
        x.ndim == y.ndim + 1
        and x.ndim > axis + 1
        and bool((x.sum(-1) == 1).all() and (x.max(-1) == 1).all())
    ):
        x = x.argmax(-1)
    if x.shape != y.shape or x.ndim <= axis or x.shape[axis] < 2:
        return "other"
    x, y = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    shifted: tuple[tuple[Relation, np.ndarray], ...] = (
        ("next", x[1:] == y[:-1]),
        ("same", x == y),
        ("earlier", x[:-1] == y[1:]),
    )
    for name, equal in shifted:
        if equal.mean() >= 0.95:
            return name
    return "other"


def judge_causal(
    *,
    length: int,
    relation: Relation,
    leak: tuple[int, int] | None,
    mode: str = "evaluation",
    ignored: bool = False,
    figures: tuple[Figure, ...] = (),
    axis: int = 1,
) -> Finding:
    """Judges an autoregressive network.

    Args:
      length: number of positions.
      relation: of targets to inputs, see `target_relation`.
      leak: `(input position, output position)` of the first dependency that must not be; None if
        there is none.
      mode: in which it was found.
      ignored: no output depends on any input.
      figures: the map of dependencies, if it was drawn.
      axis: the causal axis.
    """
    allowed = "before t" if relation == "same" else "up to t"
    evidence: dict[str, float | int | str | bool | None] = {
        "positions": length,
        "targets_are_inputs": relation,
        "allowed_inputs": allowed,
        "leak_from": None if leak is None else leak[0],
        "leak_to": None if leak is None else leak[1],
    }

    result = concluding(ITEM, CHECK, evidence, figures)

    if leak is not None:
        source, sink = leak
        seen = "its own target" if relation == "same" and source == sink else "what comes later"
        return result(
            Verdict.FAILED,
            f"Output {sink} depends on input {source} along axis {axis} ({mode}): it sees {seen}.",
            "Mask attention above the diagonal, pad convolutions on the left, or shift the inputs "
            "right by one.",
            Suspect(
                cause="causal-leak",
                component="model",
                where=f"axis {axis}, input {source} -> output {sink}",
                why=f"output t may depend on inputs {allowed}; replacing input {source} changes "
                f"output {sink}",
            ),
        )
    if relation == "earlier":
        return result(
            Verdict.FAILED,
            f"Target t equals input t-1 along axis {axis}, which output t may see: there is "
            "nothing to predict.",
            "Shift the other way: inputs = tokens[:-1], targets = tokens[1:].",
            Suspect(
                cause="causal-leak",
                component="labels",
                where=f"axis {axis}, targets are inputs shifted by -1",
                why="the target is among the inputs that the output may see",
            ),
        )
    if ignored:
        return result(
            Verdict.WARNED,
            f"No output changes when all inputs along axis {axis} are replaced.",
            "Look for a mask that hides everything.",
            Suspect(cause="inputs-ignored", component="model", why="outputs keep every bit"),
        )
    said = f"Output t depends on inputs {allowed} only, at all {length} positions of axis {axis}."
    return result(Verdict.PASSED, said)


def check_causal(ctx: Context) -> Finding:
    """Measures and judges dependencies along the declared causal axis (B12)."""
    axis = ctx.task.causal_axis
    assert axis is not None
    batch, more = ctx.batch(ROWS), ctx.other(ROWS)
    x = jax.tree.map(np.asarray, batch.inputs)
    other = really_other(x, jax.tree.map(np.asarray, more.inputs))
    functions = _functions(ctx)
    outputs = functions["evaluation"](batch.inputs)
    lengths = [
        {np.shape(leaf)[axis] for leaf in jax.tree.leaves(tree) if np.ndim(leaf) > axis}
        for tree in (x, outputs)
    ]
    if axis < 1 or not lengths[0] or not lengths[0] & lengths[1]:
        said = (
            f"causal_axis={axis} is not an axis of equal length of inputs and outputs, which have "
        )
        said += f"{sorted(lengths[0])} and {sorted(lengths[1])} there."
        return Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said)
    length = axis_size(x, axis)
    relation = target_relation(batch.inputs, batch.targets, axis)
    strict = relation == "same"
    ignored = all(
        same_bits(a, b).all()
        for a, b in zip(
            jax.tree.leaves(outputs),
            jax.tree.leaves(
                functions["evaluation"](replace_along(x, other, 0, np.ones(ROWS, bool)))
            ),
            strict=True,
        )
    )
    for mode, function in functions.items():
        cuts = np.unique(np.linspace(0, length - 1, min(length, CUTS[mode])).astype(int)).tolist()
        leaks = prefix_leaks(function, x, other, axis, strict=strict, cuts=cuts)
        if leaks:
            leak = _first_pair(function, x, other, axis, leaks, strict)
            figures = _map(function, x, other, axis) if length <= 32 else ()
            return judge_causal(
                length=length, relation=relation, leak=leak, mode=mode, figures=figures, axis=axis
            )
    return judge_causal(
        length=length,
        relation=relation,
        leak=None,
        ignored=ignored and not ctx.foreign,
        axis=axis,
    )


def _functions(ctx: Context) -> dict[str, Callable[[PyTree], PyTree]]:
    """Returns mode -> function; training only where batch statistics cannot blur it."""
    if ctx.foreign or ctx.model is None:
        trained = trained_state(ctx)
        return {"evaluation": lambda inputs: ctx.predict(trained, inputs)}
    params, state = visible_variables(ctx)
    functions: dict[str, Callable[[PyTree], PyTree]] = {
        "evaluation": lambda inputs: ctx.apply(params, state, inputs, ctx.key)[0]
    }
    part = ("batch_statistics",) if ctx.model.without is not None else ()
    if part or not jax.tree.leaves(state):
        functions["training"] = lambda inputs: ctx.apply(
            params, state, inputs, ctx.key, True, part
        )[0]
    return functions


def _first_pair(
    function: Callable[[PyTree], PyTree],
    x: PyTree,
    other: PyTree,
    axis: int,
    leaks: dict[int, np.ndarray],
    strict: bool,
) -> tuple[int, int]:
    """Names the nearest input that alone changes the first leaking output, or the first."""
    cut = min(leaks)
    sink = int(leaks[cut][-1])
    start = cut if strict else cut + 1
    length = axis_size(x, axis)
    base = function(x)
    for i in range(start, length):
        moved = function(replace_along(x, other, axis, np.arange(length) == i))
        for a, b in zip(jax.tree.leaves(base), jax.tree.leaves(moved), strict=True):
            same = same_bits(a, b)
            if same.ndim > axis and not same.take(sink, axis=axis).all():
                return i, sink
    return start, sink


def _map(
    function: Callable[[PyTree], PyTree], x: PyTree, other: PyTree, axis: int
) -> tuple[Figure, ...]:
    values = dependency_map(function, x, axis, axis, others=other)
    return (
        Matrix(
            title="Which input position reaches which output position",
            values=values.astype(np.float64),
            rows=[str(i) for i in range(values.shape[0])],
            columns=[str(j) for j in range(values.shape[1])],
            ylabel="input position replaced",
            xlabel="output position that changed",
        ),
    )
