"""G15: the trainer moves the weights as the reference step does.

A foreign step is run from equal states on known batches. Where the task also has the model, or
where `predict` can be differentiated, its movements are held against the gradient of the declared
loss, through the declared optimiser or any other usual one; a difference is traced to the change of
the step that explains it down to rounding. Without a gradient there are interventions: every
parameter must move, another batch or another target must change an update, and an update must
lower the loss of its own batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.foreign_state import (
    Gradients,
    declared_gradients,
    predicted_gradients,
    surgery,
)
from jrecipe.checks.probing import as_numpy, disagreement, rounding
from jrecipe.checks.result import Finding, Verdict, concluding
from jrecipe.checks.step_explain import Explainer, Explanation, explain
from jrecipe.checks.step_interventions import Interventions, duplication, intervene
from jrecipe.checks.step_judge_explanation import judge_explanation
from jrecipe.checks.step_judge_interventions import judge_duplication, judge_interventions
from jrecipe.checks.step_judge_leaves import judge_copied_units, judge_leaves
from jrecipe.checks.step_judge_losses import judge_descent, judge_reported
from jrecipe.checks.step_probe import (
    MalformedStepError,
    Probe,
    Trace,
    copied,
    join,
    joined,
    length,
    reorder,
    step_once,
)
from jrecipe.checks.step_reads import judge_carried, judge_cut
from jrecipe.checks.step_trouble import CHECK, ITEM, Trouble, judge
from jrecipe.train.frozen import path_name
from jrecipe.types import Batch, PyTree

STEPS, MOST = 4, 16  # updates looked at; those made while some parameter has not moved
_DIVERGED = 100.0  # times their size that weights move in three updates when a rate diverges


def check_reference_step(context: Context) -> tuple[Finding, ...]:
    """Measures and judges a foreign step, or that every parameter moves in jrecipe's own (G15)."""
    conclude = concluding(ITEM, CHECK, {"updates": STEPS})
    probe = Probe(context)
    if not probe.names:
        return (conclude(Verdict.SKIPPED, "The trainer has no parameters."),)
    batches = training_batches(context)
    try:
        trace = probe.run(batches)
        again = probe.run(batches[:2]) if context.foreign else None
    except MalformedStepError as error:
        cause = "update-differs" if error.where else "raises"
        trouble = Trouble(
            certain=True, cause=cause, component="step", where=error.where, why=str(error)
        )
        return (judge([trouble], {"updates": STEPS}, ""),)
    broken = _not_finite(probe, trace, own=not context.foreign)
    if broken:
        return (judge(broken, {"updates": STEPS}, ""),)
    if again is not None and any(
        not np.array_equal(a, b) for a, b in zip(trace.moves[:2], again.moves, strict=True)
    ):
        said = "Equal steps from equal states differ (see B1), so no step can be compared."
        return (conclude(Verdict.SKIPPED, said),)
    if not context.foreign:
        return (_check_own(probe, trace, batches),)
    return (_check_foreign(probe, trace, batches),)


def training_batches(ctx: Context) -> list[Batch]:
    """Returns `STEPS` batches of one size, no two of the same examples in the same numbers."""
    first, second = ctx.batch(), ctx.other()
    n, total = length(first), len(ctx.task.train)
    found = [first, second]
    rng = np.random.default_rng((ctx.seed % 2**32, 23))
    for _ in range(STEPS - 2):
        rows = rng.choice(total, n, replace=total < 2 * n)
        inputs, targets = jax.tree.map(jnp.asarray, ctx.task.train.take(rows))
        found.append(Batch(inputs, targets, first.weights))
    if total < 2 * n:  # the second batch has the examples of the first
        found[1] = reorder(joined(first, found[2]), np.arange(n))
    return found


def _not_finite(probe: Probe, trace: Trace, own: bool) -> list[Trouble]:
    """Names the first parameter that is not finite.

    jrecipe's own step whose weights grew and grew before is not at fault: its rate is.
    """
    for t, leaves in enumerate(trace.params):
        pairs = zip(probe.names, leaves, strict=True)
        bad = [name for name, leaf in pairs if not np.isfinite(leaf).all()]
        if bad:
            when = "before any update" if t == 0 else f"after update {t}"
            why = f"{bad[0]} is NaN or infinite {when}"
            component = "init" if t == 0 else "step"
            grown = _growth(trace, t - 1) if own and t > 1 else 0.0
            if grown > _DIVERGED:
                return [
                    Trouble(
                        certain=True,
                        cause="learning-rate-too-high",
                        component="optimizer",
                        where="",
                        why=f"{why}; the weights grew {grown:.0e}-fold before",
                    )
                ]
            return [
                Trouble(
                    certain=True,
                    cause="not-finite",
                    component=component,
                    where=bad[0],
                    why=why,
                )
            ]
    return []


def _growth(trace: Trace, t: int) -> float:
    """Returns how far the weights are from their start after `t` updates, relative to its size."""
    pairs = zip(trace.params[t], trace.params[0], strict=True)
    moved, size = np.sum([[np.sum((a - b) ** 2), np.sum(b**2)] for a, b in pairs], axis=0)
    return float(np.sqrt(moved / max(size, 1e-30)))


def _moved(probe: Probe, trace: Trace, batches: list[Batch]) -> tuple[list[bool], int, Trace]:
    """Returns which leaves changed, within how many updates; more are made if some did not."""

    def which(trace: Trace) -> list[bool]:
        start = trace.params[0]
        return [
            any(not np.array_equal(start[i], later[i]) for later in trace.params[1:])
            for i in range(len(start))
        ]

    moved = which(trace)
    if all(m or f for m, f in zip(moved, probe.frozen, strict=True)):
        return moved, len(batches), trace
    long = probe.run([batches[i % len(batches)] for i in range(MOST)])
    return which(long), MOST, long


def _visible(probe: Probe, trace: Trace) -> list[bool]:
    """Returns for each leaf whether the usual movement of an element would show in its type."""
    usual = [
        float(np.sqrt(np.mean((b - a) ** 2)))
        for a, b in zip(trace.params[0], trace.params[-1], strict=True)
        if len(a) and not np.array_equal(a, b)
    ]
    size = float(np.median(usual)) if usual else float("inf")
    found = []
    for leaf, dtype in zip(trace.params[0], trace.dtypes, strict=True):
        eps = float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 1.0
        smallest = float(np.min(np.abs(leaf))) if len(leaf) else float("inf")
        found.append(len(leaf) > 0 and size > 8 * eps * smallest)
    return found


def _check_own(probe: Probe, trace: Trace, batches: list[Batch]) -> Finding:
    """Judges that every parameter moves in jrecipe's own step, which is the reference itself."""
    moved, steps, trace = _moved(probe, trace, batches)
    sizes = None
    if not all(m or f for m, f in zip(moved, probe.frozen, strict=True)):
        gradients = declared_gradients(probe.ctx, probe.start)
        if gradients is not None:
            sizes = _gradient_sizes(probe, gradients, batches)
    troubles = judge_leaves(
        probe.names,
        probe.frozen.tolist(),
        moved,
        steps=steps,
        gradients=sizes,
        visible=_visible(probe, trace),
        component="optimizer",
    )
    evidence: dict[str, float | int | str | bool | None] = {
        "updates": steps,
        "leaves": len(moved),
        "leaves_moved": sum(moved),
        "leaves_declared_frozen": int(probe.frozen.sum()),
    }
    return judge(
        troubles,
        evidence,
        f"This is jrecipe's own step, the reference itself; {sum(moved)} of {len(moved)} "
        f"parameters change within {steps} updates, {int(probe.frozen.sum())} are declared frozen.",
    )


def _gradient_sizes(probe: Probe, gradients: Gradients, batches: list[Batch]) -> list[float]:
    """Returns the largest root mean square of the gradient of each leaf over the batches."""
    ones = np.ones(length(batches[0]))
    found = np.zeros(len(probe.names))
    for batch in batches:
        grads = gradients.of(probe.start, gradients.state, batch, ones, probe.ctx.key)[1]
        found = np.maximum(found, [np.sqrt(np.mean(g**2)) if g.size else 0.0 for g in grads])
    return [float(x) for x in found]


def _check_foreign(probe: Probe, trace: Trace, batches: list[Batch]) -> Finding:
    ctx = probe.ctx
    moved, steps, long = _moved(probe, trace, batches)
    gradients = declared_gradients(ctx, probe.start) or predicted_gradients(ctx, probe.start)
    sizes = None if gradients is None else _gradient_sizes(probe, gradients, batches)
    evidence: dict[str, float | int | str | bool | None] = {
        "updates": steps,
        "leaves": len(moved),
        "leaves_moved": sum(moved),
        "leaves_declared_frozen": int(probe.frozen.sum()),
        "gradient_known": gradients is not None,
    }
    troubles = judge_leaves(
        probe.names,
        probe.frozen.tolist(),
        moved,
        steps=steps,
        gradients=sizes,
        visible=_visible(probe, long),
    )
    shaped = [x.reshape(y.shape) for x, y in zip(trace.params[-1], probe.start, strict=True)]
    troubles += judge_copied_units(probe.names, probe.start, shaped)
    if gradients is not None and sizes is not None:
        troubles += judge_cut(probe, gradients, moved, sizes, batches[0])
    if not any(moved):
        return judge(troubles, evidence, "No parameter has a gradient, so none can move.")
    depth = 1 + next(t for t, u in enumerate(long.moves) if np.any(u))
    explanation = Explanation()
    width = _width(ctx, batches[0])
    n = length(batches[0])
    quick = intervene(probe, batches, depth, examples="no")
    if gradients is not None:
        explainer = Explainer(probe, trace, batches, gradients)
        explanation = explain(explainer, (), random=quick.random)
        exact = bool(explanation.kind) and not explanation.hypothesis
    else:
        exact = False
    known = bool(explanation.kind)
    done = quick
    if not quick.batch_ignored and not explanation.hypothesis:
        done = intervene(probe, batches, depth, examples="hard" if exact else "all")
        if done.ignored and not done.hard and gradients is not None and not known:
            explanation = explain(explainer, done.ignored, random=quick.random)
            known = bool(explanation.kind)
    found = judge_explanation(explanation, probe.names, batch=n, width=width)
    touched = judge_interventions(done, known, n)
    troubles = _ordered(troubles, touched, found)
    if gradients is None or not (known or gradients.declared):
        troubles += judge_descent(*_descent(probe, batches[0]), frozen=not any(moved))
    if explanation.kind == "linear" and exact and not troubles and depth == 1 and n % 2 == 0:
        factor = duplication(probe, batches[0], depth)
        evidence |= {"duplicated_batch": factor, "expected_duplicated_batch": 1.0}
        troubles += judge_duplication(factor)
    if explanation.values and not done.random and (exact or gradients is not None):
        reported = judge_reported(trace.losses, explanation.values, batch=n, width=width)
        if not any(t.cause in ("loss-scale", "wrong-sign") for t in troubles):
            troubles += reported
    if gradients is not None and gradients.declared and not troubles:
        if exact:
            troubles += _judge_discarded(explainer, trace, explanation.kind)
            troubles += _judge_prediction(explainer, probe, batches)
        elif not known and not explanation.default and not done.random:
            troubles += _judge_some_leaves(explainer, trace) or _judge_other(explanation, trace)
    if not any(t.cause in ("statistics-never-updated", "stale-parameters") for t in troubles):
        troubles += judge_carried(probe, batches)
    if known and gradients is not None and gradients.random and not done.random:
        troubles.append(
            Trouble(
                certain=False,
                cause="update-differs",
                component="step",
                where="dropout",
                why="updates are exactly those of the network without the dropout it declares, "
                "whatever the key",
            )
        )
    evidence |= {
        "optimizer_like": explanation.kind or "unknown",
        "unexplained": explanation.fit.misfit if known else None,
        "allowed_unexplained": explanation.tolerance,
        "factor": float(np.median(explanation.fit.factors)) if explanation.fit.factors else None,
        "examples_tried": done.tried,
        "examples_ignored": len(done.ignored),
        "random_in_step": done.random,
    }
    return judge(troubles, evidence, _passed(explanation, done, sum(moved), steps))


def _ordered(
    leaves: list[Trouble], touched: list[Trouble], explained: list[Trouble]
) -> list[Trouble]:
    """Orders troubles: what explains the movements exactly is more specific than what follows."""
    first = [t for t in touched if t.cause == "batch-ignored" and not explained]
    return [*leaves, *first, *explained, *[t for t in touched if t not in first]]


def _passed(found: Explanation, done: Interventions, moved: int, steps: int) -> str:
    if found.kind == "declared":
        ratio = float(np.median(found.fit.factors)) if found.fit.factors else 1.0
        same = "the declared ones" if abs(ratio - 1) < 0.01 else f"{ratio:.3g} times the default's"
        said = f"Updates are {same}, but for {100 * found.fit.misfit:.2g} % of their length"
    elif found.kind:
        name = "SGD or momentum" if found.kind == "linear" else "Adam or its kin"
        said = f"Updates are those of the declared loss through {name}, but for "
        said += f"{100 * found.fit.misfit:.2g} % of their length (Task.optimizer would differ)"
    elif found.slopes:
        said = "Updates follow the gradient of the declared loss through some other optimiser"
    else:
        said = "Updates lower the loss of their own batch or do not rise steadily"
    said += f"; {moved} parameters change within {steps} updates"
    return said + (f", and {done.tried} examples tried all count." if done.tried else ".")


def _width(ctx: Context, batch: Batch) -> int:
    """Returns how many outputs an example has along the last axis, 1 for several arrays."""
    outputs = ctx.predict(ctx.fresh_state(), batch.inputs)
    return int(np.shape(outputs)[-1]) if hasattr(outputs, "shape") and np.ndim(outputs) > 1 else 1


def _descent(probe: Probe, batch: Batch) -> tuple[list[float], float | None, float]:
    """Returns `(loss of the batch over six updates on it, slope along the first, its size)`."""
    ctx = probe.ctx

    def loss(state: Any) -> float:
        outputs = ctx.predict(state, batch.inputs)
        value, weight = (np.asarray(x, np.float64) for x in ctx.losses(outputs, batch.targets))
        return float((value * weight).sum() / max(weight.sum(), 1e-8))

    state = ctx.fresh_state()
    losses = [loss(state)]
    before = copied(ctx.trainer, state)
    size, slope = 0.0, None
    for i in range(6):
        state, _ = step_once(ctx.trainer, state, batch, jax.random.fold_in(ctx.key, i))
        if i == 0:
            after = copied(ctx.trainer, state)
            change = join(after) - join(before)
            size = float(np.linalg.norm(change) / max(float(np.linalg.norm(join(before))), 1e-12))
            slope = _slope(probe, before, after, loss)
        losses.append(loss(state))
    return losses, slope, size


def _slope(probe: Probe, before: list[np.ndarray], after: list[np.ndarray], loss: Any) -> Any:
    """Returns how the loss changes along an update, None where no other weights can be put in."""
    put = surgery(probe.ctx.fresh_state(), probe.ctx.trainer.params)
    if put is None:
        return None

    def at(share: float) -> float:
        moved = [
            (a.astype(np.float64) + share * (b.astype(np.float64) - a.astype(np.float64))).astype(
                a.dtype
            )
            for a, b in zip(before, after, strict=True)
        ]
        return float(loss(put([jnp.asarray(x) for x in moved])))

    slope = (at(0.05) - at(-0.05)) / 0.1
    return slope if slope != 0 else None


def _judge_discarded(explainer: Explainer, trace: Trace, kind: str) -> list[Trouble]:
    """Finds updates that leave every weight as it is, where the declared one moves them."""
    if kind != "declared":
        return []
    expected = [float(np.linalg.norm(u)) for u in explainer.declared(explainer.plain)]
    lost = [
        t + 1
        for t, (move, size) in enumerate(zip(trace.moves, expected, strict=True))
        if size > 0.1 * max(expected) and not np.any(move)
    ]
    if not lost:
        return []
    named = ", ".join(map(str, lost))
    return [
        Trouble(
            certain=True,
            cause="parameters-frozen",
            component="step",
            where="every parameter",
            why=f"update {named} of {len(expected)} changes nothing, the others are the declared "
            "ones: some results of the optimiser are thrown away",
        )
    ]


def _judge_some_leaves(explainer: Explainer, trace: Trace) -> list[Trouble]:
    """Finds parameters that move otherwise than declared, while others move exactly as declared."""
    probe = explainer.probe

    def misfits(expected: Sequence[np.ndarray]) -> np.ndarray:
        gap = np.stack(trace.moves) - np.stack(expected)
        size = np.stack(expected)
        parts = probe.slices()
        norm = lambda x, p: float(np.linalg.norm(x[:, p]))  # noqa: E731
        return np.array([norm(gap, p) / max(norm(size, p), 1e-300) for p in parts])

    found = misfits(explainer.declared(explainer.plain))
    free = ~np.asarray(probe.frozen, bool)
    same, other = free & (found <= explainer.tolerance), free & (found > 0.02)
    if not same.any() or not other.any():
        return []
    where = ", ".join(name for name, bad in zip(probe.names, other, strict=True) if bad)
    alone = misfits(explainer.declared(explainer.plain, reset=True))
    if (alone[other] <= explainer.tolerance).all():
        return [
            Trouble(
                certain=True,
                cause="state-not-threaded",
                component="step",
                where=where,
                why=f"each update of {where} is that of a fresh optimiser, the others carry theirs",
            )
        ]
    return [
        Trouble(
            certain=False,
            cause="update-differs",
            component="step",
            where=where,
            why=f"its updates are {found[other].max():.0%} off the declared ones, while "
            f"{int(same.sum())} other parameters move exactly as declared",
        )
    ]


def _judge_other(found: Explanation, trace: Trace) -> list[Trouble]:
    """Judges updates that neither the declared step nor any change of it that we know explains."""
    waits = not all(np.any(move) for move in trace.moves)  # it accumulates gradients
    if waits or not np.isfinite(found.identity) or found.identity < 0.25:
        return []
    return [
        Trouble(
            certain=False,
            cause="update-differs",
            component="step",
            where="every parameter",
            why=f"{found.identity:.0%} of the length of its updates is not explained by the "
            "declared network, loss and optimiser, nor by a common change of them",
        )
    ]


def _stale(ctx: Context, params: PyTree, start: PyTree, inputs: PyTree, got: PyTree) -> str:
    """Returns which weights of the start explain a prediction; "" if none do."""
    own = ctx.variables()[1]
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    groups = dict.fromkeys(path.rpartition("/")[0] or path for path in paths)
    now, then = jax.tree.leaves(params), jax.tree.leaves(start)
    tree = jax.tree.structure(params)
    limit = 10 * rounding(ctx)
    for group in ("", *groups):
        mixed = [
            b if path.startswith(group) else a for path, a, b in zip(paths, now, then, strict=True)
        ]
        answer = as_numpy(ctx.apply(jax.tree.unflatten(tree, mixed), own, inputs)[0])
        if disagreement(answer, got) <= limit:
            return group or "every parameter"
    return ""


def _judge_prediction(explainer: Explainer, probe: Probe, batches: list[Batch]) -> list[Trouble]:
    """Compares `predict` after the updates with the reference's, its other state included."""
    ctx = probe.ctx
    assert ctx.model is not None
    own = explainer.states[-1]
    state = ctx.fresh_state()
    for i, batch in enumerate(batches):
        state, _ = step_once(ctx.trainer, state, batch, jax.random.fold_in(ctx.key, i))
    tree = jax.tree.structure(ctx.variables()[0])
    leaves = [jnp.asarray(x) for x in copied(ctx.trainer, state)]
    params: PyTree = jax.tree.unflatten(tree, leaves)
    inputs = batches[0].inputs
    got = as_numpy(ctx.predict(state, inputs))
    want = as_numpy(ctx.apply(params, own, inputs)[0])
    if not jax.tree.leaves(own):
        begin: PyTree = jax.tree.unflatten(tree, [jnp.asarray(x) for x in probe.start])
        moved = disagreement(as_numpy(ctx.apply(begin, own, inputs)[0]), want)
        if disagreement(want, got) <= max(10 * rounding(ctx), 0.01 * moved):
            return []
        where = _stale(ctx, params, begin, inputs, got)
        if not where:
            return []  # an average of weights, perhaps
        return [
            Trouble(
                certain=True,
                cause="stale-parameters",
                component="eval",
                where=where,
                why=f"predictions after {len(batches)} updates are those with weights of the start",
            )
        ]
    where = _stale_state(ctx, params, explainer, inputs, got, want)
    if not where:
        return []  # they follow training, or something else as an average of weights
    return [
        Trouble(
            certain=True,
            cause="statistics-never-updated",
            component="step",
            where=where,
            why="predictions after the updates are those with the model state of the start, and "
            f"differ by {disagreement(want, got):.2g} from those with the state that training "
            "leads to",
        )
    ]


def _stale_state(
    ctx: Context, params: PyTree, explainer: Explainer, inputs: PyTree, got: PyTree, want: PyTree
) -> str:
    """Returns the part of the model's state that predictions still take from the start."""
    first, last = explainer.states[0], explainer.states[-1]
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(last)]
    now, then = jax.tree.leaves(last), jax.tree.leaves(first)
    for group in ("", *dict.fromkeys(path.rpartition("/")[0] for path in paths)):
        mixed = [
            b if path.startswith(group) else a for path, a, b in zip(paths, now, then, strict=True)
        ]
        own = jax.tree.unflatten(jax.tree.structure(last), mixed)
        stale = as_numpy(ctx.apply(params, own, inputs)[0])
        if disagreement(stale, got) <= 0.1 * min(
            disagreement(want, got), disagreement(want, stale)
        ):
            return group or "model state"
    return ""
