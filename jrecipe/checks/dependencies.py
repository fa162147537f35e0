"""B12: the output and loss of an example depend on that example only, and on no later input.

Examples are replaced by other real ones, and the outputs of the rest must keep every bit, in
evaluation and in training mode. BatchNorm mixes examples in training on purpose: where a mixture
goes away with its batch statistics it is told apart from a bug.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Literal

import jax
import numpy as np
from jax.interpreters import partial_eval

from jrecipe.checks.causal import check_causal
from jrecipe.checks.context import Context
from jrecipe.checks.isolation import (
    dependency_map,
    example_map,
    isolation,
    replace,
    replacements,
)
from jrecipe.checks.probing import same_bits, trained_state, visible_variables
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Figure, Matrix
from jrecipe.task import Task
from jrecipe.types import Array, Key, PyTree

__all__ = [
    "Isolation",
    "check_dependencies",
    "dependency_map",
    "isolation",
    "judge_dependencies",
    "measure_isolation",
]

ITEM, CHECK = "B12", "dependencies"
Mixing = Literal["none", "outputs", "losses"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Isolation:
    """Which examples reach each other, in which mode.

    Attributes:
      n: examples in the batch.
      passes: forward passes made.
      evaluation: what mixes in evaluation: "none", "outputs", or only the "losses".
      training: the same in training mode; None where that cannot be run (a foreign trainer).
      without_statistics: whether outputs still mix in the failing mode when normalisation uses
        stored statistics; None if it was not needed or cannot be done.
      state_changes: whether training changes the model's other state, as BatchNorm does.
      loss_shape: shape of what the loss returned, where it is not one number per example.
      repeatable: two equal calls gave equal bits; without that nothing can be told.
      ignored: no output changes whatever the inputs are.
      pairs: bool[n, n], example i reaches output j; None unless something mixes.
      size: largest change of an output by another example, relative to the outputs' size.
      over_batch: outputs sum to one over the batch, as after a softmax over the wrong axis.
    """

    n: int
    passes: int
    evaluation: Mixing
    training: Mixing | None = None
    without_statistics: bool | None = None
    state_changes: bool = False
    loss_shape: tuple[int, ...] | None = None
    repeatable: bool = True
    ignored: bool = False
    pairs: np.ndarray | None = None
    size: float = 0.0
    over_batch: bool = False


def measure_isolation(ctx: Context) -> Isolation | None:
    """Measures which examples of a batch reach each other; None with fewer than two examples."""
    n = batch_length(ctx.task)
    if len(ctx.task.train) < 2:
        return None
    batch, other = ctx.batch(n), ctx.other(n)
    x = jax.tree.map(np.asarray, (batch.inputs, batch.targets))
    others = replacements(x, jax.tree.map(np.asarray, (other.inputs, other.targets)))
    inputs_of = [given for given, _ in others]
    outputs_of = _functions(ctx)
    evaluate = outputs_of["evaluation"]
    outputs = evaluate(batch.inputs)
    shape = _loss_shape(ctx, outputs, batch.targets, n)
    passes = 1

    def scored(pair: PyTree) -> Mapping[str, PyTree]:
        nonlocal passes
        passes += 1
        result = evaluate(pair[0])
        scores = None if shape is not None else ctx.losses(result, pair[1])
        return {"outputs": result, "losses": scores}

    second = scored((batch.inputs, batch.targets))
    again = zip(jax.tree.leaves(outputs), jax.tree.leaves(second["outputs"]), strict=True)
    if not all(same_bits(a, b).all() for a, b in again):
        return Isolation(n=n, passes=passes, evaluation="none", repeatable=False)
    changed = False

    def watched(pair: PyTree) -> Mapping[str, PyTree]:
        nonlocal changed
        result = scored(pair)
        answers = zip(jax.tree.leaves(outputs), jax.tree.leaves(result["outputs"]), strict=True)
        changed |= not all(same_bits(a, b).all() for a, b in answers)
        return result

    broken = isolation(watched, x, *others, base=second)
    hit = {name: any(leaf.any() for leaf in jax.tree.leaves(broken[name])) for name in broken}
    kind: Mixing = "outputs" if hit["outputs"] else "losses" if hit["losses"] else "none"
    found = Isolation(
        n=n,
        passes=passes,
        evaluation=kind,
        loss_shape=shape,
        ignored=not changed,
        over_batch=_sums_over_batch(outputs),
    )
    if kind != "none":
        plain = outputs_of.get("evaluation without statistics")
        mended = None if plain is None or kind == "losses" else _mixes(plain, x[0], *inputs_of)
        run = scored if kind == "losses" else lambda pair: evaluate(pair[0])
        pairs, size = _reached(run, x, *others)
        return dataclasses.replace(found, without_statistics=mended, pairs=pairs, size=size)
    if "training" not in outputs_of:
        return found
    if _trains_as_it_evaluates(ctx, batch.inputs):
        return dataclasses.replace(found, training="none")
    train = outputs_of["training"]

    def trained(inputs: PyTree) -> PyTree:
        nonlocal passes
        passes += 1
        return train(inputs)

    mixes = _mixes(trained, x[0], *inputs_of)
    found = dataclasses.replace(
        found,
        training="outputs" if mixes else "none",
        state_changes=_state_changes(ctx, batch.inputs) if mixes else False,
        passes=passes,
    )
    if not mixes:
        return found
    plain = outputs_of.get("training without statistics")
    repaired: bool | None = None
    if plain is not None:
        known = _trains_as_it_evaluates(ctx, batch.inputs, "batch_statistics")
        repaired = False if known else _mixes(plain, x[0], *inputs_of)
    culprit = plain if repaired and plain is not None else train
    pairs, size = _reached(culprit, x[0], *inputs_of)
    return dataclasses.replace(found, without_statistics=repaired, pairs=pairs, size=size)


def batch_length(task: Task) -> int:
    """Returns how many examples are looked at together: the task's batch size, 2 to 32."""
    return min(32, max(2, task.batch_size))


def judge_dependencies(
    found: Isolation, *, independent: bool, warn_ignored: bool = True
) -> Finding:
    """Judges which examples may reach each other.

    Args:
      found: what was measured.
      independent: the task's `examples_independent`; if False, mixing is only reported.
      warn_ignored: whether outputs that never change are an alarm.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "examples": found.n,
        "forward_passes": found.passes,
        "mixing_in_evaluation": found.evaluation,
        "mixing_in_training": found.training,
        "mixing_expected": "none",
        "mixing_without_batch_statistics": found.without_statistics,
        "relative_size": found.size,
        "pairs_mixed": None if found.pairs is None else int(_others(found.pairs).sum()),
    }

    def result(verdict: Verdict, said: str, remedy: str = "", *suspects: Suspect) -> Finding:
        figures = _figures(found) if verdict is Verdict.FAILED else ()
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=verdict,
            evidence=evidence,
            finding=said,
            remedy=remedy,
            suspects=suspects,
            figures=figures,
        )

    if not found.repeatable:
        return result(
            Verdict.SKIPPED,
            "Two equal evaluations differ (see B3), so no change can be put down to an input.",
        )
    if not independent and (found.evaluation != "none" or found.training == "outputs"):
        return result(
            Verdict.PASSED,
            f"Examples reach each other ({found.evaluation} in evaluation), as declared by "
            "examples_independent=False.",
        )
    where = _pair_text(found)
    if found.loss_shape is not None and independent:
        shape = found.loss_shape
        return result(
            Verdict.FAILED,
            f"The loss returns shape {shape} for {found.n} examples: it compares every output with "
            "every target.",
            "Bring outputs and targets to one shape, as with outputs[:, 0].",
            Suspect(
                cause="loss-depends-on-batch",
                component="loss",
                where=f"loss shape {shape}",
                why="a (b, 1) array was broadcast against a (b,) array",
            ),
        )
    if found.evaluation == "losses":
        return result(
            Verdict.FAILED,
            f"Outputs are independent, but the loss of an example depends on others: {where}.",
            "Compare the shapes of outputs and targets in the loss: (b, 1) and (b,) broadcast; "
            "declare examples_independent=False if the loss is contrastive.",
            Suspect(
                cause="loss-depends-on-batch",
                component="loss",
                where=where,
                why=f"replacing one example changes the loss of another by {found.size:.2g}",
            ),
        )
    if found.evaluation == "outputs":
        mixing = Suspect(
            cause="batch-mixing",
            component="model",
            where=where,
            why=f"replacing one example changes another's output by {found.size:.2g} of its size",
        )
        statistics = Suspect(
            cause="eval-depends-on-batch",
            component="model",
            where="batch statistics in evaluation",
            why="examples mix in evaluation, but not once normalisation uses stored statistics",
        )
        if found.without_statistics is False:
            return result(
                Verdict.FAILED,
                "In evaluation the outputs depend on the rest of the batch: normalisation uses "
                "batch statistics there.",
                "Use stored averages in evaluation (use_running_average=not train).",
                statistics,
                mixing,
            )
        also = (dataclasses.replace(statistics, why="training changes state"),)
        return result(
            Verdict.FAILED,
            f"The output of an example depends on other examples: {where}.",
            "Look for a softmax or mean over axis 0, and for reshape in place of transpose.",
            mixing,
            *(also if found.state_changes else ()),
        )
    if found.training == "outputs":
        if found.without_statistics is False:
            return result(
                Verdict.PASSED,
                "Outputs are independent in evaluation; in training they mix through BatchNorm "
                "statistics only, as they should.",
            )
        if found.without_statistics is None and found.state_changes:
            return result(
                Verdict.PASSED,
                "Outputs are independent in evaluation. They mix in training, which updates stored "
                "statistics as BatchNorm does; this model cannot be taken apart to look behind it.",
            )
        return result(
            Verdict.FAILED,
            f"In training, the output of an example depends on other examples: {where}.",
            "Look for a softmax or mean over axis 0, and for reshape in place of transpose.",
            Suspect(
                cause="batch-mixing",
                component="model",
                where=f"training mode, {where}",
                why=f"replacing one example changes another's output by {found.size:.2g} of its "
                "size, "
                "batch statistics aside",
            ),
        )
    if found.ignored and warn_ignored:
        return result(
            Verdict.WARNED,
            f"No output changes when all {found.n} inputs are replaced: the network ignores them.",
            "Look for a softmax over one unit, dead or saturated layers, an unconnected branch.",
            Suspect(
                cause="inputs-ignored",
                component="model",
                why="outputs keep every bit under other inputs, and other weights, too",
            ),
        )
    modes = "evaluation" if found.training is None else "evaluation and training"
    said = f"Each output and loss depends on its own example only, in {modes}: all "
    said += f"{found.n * (found.n - 1)} ordered pairs, in {found.passes} forward passes."
    return result(Verdict.PASSED, said)


def check_dependencies(ctx: Context) -> tuple[Finding, ...]:
    """Measures and judges what outputs and losses depend on (B12)."""
    found = measure_isolation(ctx)
    if found is None:
        said = "One training example cannot mix with another."
        return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said),)
    finding = judge_dependencies(
        found, independent=ctx.task.examples_independent, warn_ignored=not ctx.foreign
    )
    if ctx.task.causal_axis is None or not found.repeatable:
        return (finding,)
    return (finding, check_causal(ctx))


def _functions(ctx: Context) -> dict[str, Callable[[PyTree], PyTree]]:
    """Returns mode -> function of inputs to outputs, for the modes that can be run."""
    if ctx.foreign or ctx.model is None:
        trained = trained_state(ctx)
        return {"evaluation": lambda inputs: ctx.predict(trained, inputs)}
    params, state = visible_variables(ctx)
    part = ("batch_statistics",)

    def run(train: bool, without: tuple[str, ...] = ()) -> Callable[[PyTree], PyTree]:
        return lambda inputs: ctx.apply(params, state, inputs, ctx.key, train, without)[0]

    functions = {"evaluation": run(False), "training": run(True)}
    if ctx.model.without is not None:
        functions |= {
            "evaluation without statistics": run(False, part),
            "training without statistics": run(True, part),
        }
    return functions


def _trains_as_it_evaluates(ctx: Context, inputs: PyTree, *parts: str) -> bool:
    """Tells whether training mode, dropout and `parts` aside, runs the program of evaluation.

    What has been proved of the one then holds of the other, without a pass. Dropout draws per
    element, so it cannot mix examples.
    """
    assert ctx.model is not None
    quiet = ctx.model if ctx.model.without is None else ctx.model.without("dropout", *parts)
    params, state = visible_variables(ctx)

    def program(train: bool) -> tuple[str, list[Array]]:
        model = quiet if train else ctx.model
        assert model is not None

        def outputs(params: PyTree, state: PyTree, x: PyTree, key: Key) -> PyTree:
            options = {"key": key, "train": True} if train else {}
            return model.apply(params, state, x, **options)[0]

        closed = jax.make_jaxpr(outputs)(params, state, inputs, ctx.key)
        used, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
        return re.sub(r"0x[0-9a-f]+", "", str(used)), closed.consts

    (one, constants), (other, others) = program(True), program(False)
    if one != other or len(constants) != len(others):
        return False
    return all(same_bits(a, b).all() for a, b in zip(constants, others, strict=True))


def _loss_shape(ctx: Context, outputs: PyTree, targets: PyTree, n: int) -> tuple[int, ...] | None:
    """Returns the shape of the loss if it is [n, n] and so compares every pair of examples."""
    result = jax.eval_shape(ctx.task.loss, outputs, targets)
    value = result[0] if isinstance(result, tuple | list) else result
    shape = tuple(getattr(value, "shape", ()))
    return shape if len(shape) >= 2 and shape[:2] == (n, n) else None


def _state_changes(ctx: Context, inputs: PyTree) -> bool:
    params, state = visible_variables(ctx)
    after = ctx.apply(params, state, inputs, ctx.key, True)[1]
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True)
    return any(not same_bits(a, b).all() for a, b in pairs)


def _mixes(function: Callable[[PyTree], PyTree], x: PyTree, *others: PyTree) -> bool:
    return any(leaf.any() for leaf in jax.tree.leaves(isolation(function, x, *others, first=True)))


def _reached(
    function: Callable[[PyTree], PyTree], x: PyTree, *others: PyTree
) -> tuple[np.ndarray, float]:
    """Returns which example reaches which by itself, bool[n, n], and by how much at most."""
    for y in others:
        pairs = example_map(function, x, y)
        if _others(pairs).any():
            return pairs, _size(function, x, y, pairs)
    return pairs, 0.0


def _others(pairs: np.ndarray) -> np.ndarray:
    """Returns the map without its diagonal: what reaches others."""
    return pairs & ~np.eye(len(pairs), dtype=bool)


def _size(function: Callable[[PyTree], PyTree], x: PyTree, y: PyTree, pairs: np.ndarray) -> float:
    """Returns the change that one example makes in another's result, relative to its size."""
    reached = np.argwhere(_others(pairs))
    if len(reached) == 0:
        return 0.0
    i, j = reached[0]
    n = len(pairs)
    base, moved = function(x), function(replace(x, y, np.arange(n) == i))

    def change(a: Array, b: Array) -> float:
        a64, b64 = (np.asarray(leaf).astype(np.float64) for leaf in (a, b))
        if a64.ndim == 0 or a64.shape[0] % n:
            return 0.0
        scale = float(np.sqrt(np.mean(a64**2))) or 1.0
        return float(np.abs((a64 - b64).reshape(n, -1)[j]).max()) / scale

    pairs_of_leaves = zip(jax.tree.leaves(base), jax.tree.leaves(moved), strict=True)
    return max(change(a, b) for a, b in pairs_of_leaves)


def _sums_over_batch(outputs: PyTree) -> bool:
    """Tells whether outputs [n, c] are, or are logarithms of, a distribution over the batch."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(outputs)]
    if len(leaves) != 1 or leaves[0].ndim < 2 or leaves[0].dtype.kind != "f":
        return False
    values = leaves[0].astype(np.float64)
    if (values <= 0).all():
        values = np.exp(values)
    return bool((values >= 0).all() and np.allclose(values.sum(axis=0), 1.0, atol=1e-3))


def _pair_text(found: Isolation) -> str:
    """Names the first guilty pairs, as `example 3 -> output 0`."""
    if found.over_batch:
        return "axis 0 (outputs sum to one over the batch)"
    if found.pairs is None:
        return "axis 0"
    reached = np.argwhere(_others(found.pairs))
    if len(reached) == 0:
        return "axis 0, several examples together"
    text = ", ".join(f"{i} -> {j}" for i, j in reached[:3])
    every = len(reached) == found.n * (found.n - 1)
    return "axis 0, every example -> every output" if every else f"axis 0, example {text}"


def _figures(found: Isolation) -> tuple[Figure, ...]:
    if found.pairs is None or found.n > 32:
        return ()
    names = [str(i) for i in range(found.n)]
    return (
        Matrix(
            title="Which example reaches which output (only the diagonal should be 1)",
            values=found.pairs.astype(np.float64),
            rows=names,
            columns=names,
            ylabel="example replaced",
            xlabel="output that changed",
        ),
    )
