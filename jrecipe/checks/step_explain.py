"""Looks for what explains the movements of a trainer: the declared step, or which change of it.

Hypotheses are tried from the innocent to the faulty. Only one that explains every movement down to
rounding counts; where none does, it is asked whether the targets as they are paired with the inputs
explain more than targets paired at random.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.foreign_state import Gradients, evaluation_gradients
from jrecipe.checks.step_fit import (
    ADAMS,
    EXACT,
    NEARLY,
    Fit,
    adam_directions,
    cosine,
    fit_directions,
    fit_expected,
    fit_linear,
    sign_directions,
    significant,
)
from jrecipe.checks.step_probe import Probe, Trace, join, length, reorder
from jrecipe.train.compiled import jit_once
from jrecipe.train.reference import optimizer_of
from jrecipe.types import Batch, PyTree

_L2 = (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0, 10.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """What explains the movements of the parameters.

    Attributes:
      kind: the optimiser: "declared", "linear" (SGD, momentum), "adam", or "" for none.
      hypothesis: what was changed in the step, "" for nothing.
      fit: how well it fits.
      default: the optimiser is the one that a task has if none is given.
      tolerance: share of a movement that may stay unexplained.
      identity: smallest misfit of any optimiser without a change.
      l2: strength of a penalty in the gradient, where that was the hypothesis.
      decoupled: the declared optimiser shrinks weights apart from the gradient.
      slopes: of each leaf, the cosine between its movements and its gradients.
      moved: of each leaf: whether it moved at all.
      pairing: how many standard deviations the real pairing of inputs and targets explains more
        than random pairings; None if it was not needed or all targets are alike.
      pairings: the same for targets shifted by some rows, by name.
      values: mean loss of each batch before its update.
      judged: updates that moved far enough.
      clipped: of each update, its length relative to that of the declared one, if its own length is
        always the same; empty otherwise.
    """

    kind: str = ""
    hypothesis: str = ""
    fit: Fit = dataclasses.field(default_factory=Fit)
    default: bool = False
    tolerance: float = EXACT
    identity: float = float("inf")
    l2: float = 0.0
    decoupled: bool = False
    slopes: tuple[float, ...] = ()
    gradient_sizes: tuple[float, ...] = ()
    pairing: float | None = None
    pairings: tuple[tuple[str, float], ...] = ()
    values: tuple[float, ...] = ()
    clipped: tuple[float, ...] = ()


class Explainer:
    """Tries hypotheses on one trace."""

    def __init__(
        self, probe: Probe, trace: Trace, batches: Sequence[Batch], gradients: Gradients
    ) -> None:
        self.probe, self.trace, self.batches, self.gradients = probe, trace, batches, gradients
        self.ctx: Context = probe.ctx
        self.moves = trace.moves
        self.steps = len(self.moves)
        self.shapes = [leaf.shape for leaf in probe.start]
        self.params = [join(leaves) for leaves in trace.params]
        eps = [jnp.finfo(d).eps if jnp.issubdtype(d, jnp.floating) else 0.0 for d in trace.dtypes]
        per = np.repeat(np.array(eps, np.float64), probe.sizes)
        self.floors = [per * np.abs(p) for p in self.params]
        frozen = np.repeat(probe.frozen, probe.sizes)
        self.free = ~frozen
        self.values: list[np.ndarray] = []
        self.states: list[PyTree] = [gradients.state]
        self.plain = self._plain()
        rows = np.random.default_rng(5).permutation(length(batches[0]))
        again = self.at(0, batch=reorder(batches[0], rows))
        size = max(float(np.linalg.norm(self.plain[0])), 1e-300)
        slack = float(np.linalg.norm(again - self.plain[0])) / size
        self.tolerance = EXACT + min(10 * slack, 0.1)
        noise = np.zeros(len(again))
        for part in probe.slices():
            gap = np.abs(again[part] - self.plain[0][part])
            noise[part] = gap.max(initial=0.0) + 1e-7 * np.abs(self.plain[0][part]).max(initial=0.0)
        self.noise = noise

    def leaves(self, t: int) -> list[np.ndarray]:
        """Returns the trainer's parameters before update `t`, in their shapes and types."""
        pairs = zip(self.trace.params[t], self.probe.start, strict=True)
        return [flat.reshape(leaf.shape).astype(leaf.dtype) for flat, leaf in pairs]

    def at(
        self,
        t: int,
        *,
        batch: Batch | None = None,
        params: int | None = None,
        weights: np.ndarray | None = None,
        gradients: Gradients | None = None,
        state: PyTree = None,
    ) -> np.ndarray:
        """Returns the gradient of update `t` with something changed, float64[parameters]."""
        source = self.gradients if gradients is None else gradients
        batch = self.batches[t] if batch is None else batch
        weights = np.ones(length(batch)) if weights is None else weights
        leaves = self.leaves(t if params is None else params)
        key = jax.random.fold_in(self.ctx.key, t)
        state = self.states[t] if state is None else state
        return join(source.of(leaves, state, batch, weights, key)[1]) * self.free

    def _plain(self) -> list[np.ndarray]:
        found = []
        for t in range(self.steps):
            key = jax.random.fold_in(self.ctx.key, t)
            ones = np.ones(length(self.batches[t]))
            value, grads, state = self.gradients.of(
                self.leaves(t), self.states[t], self.batches[t], ones, key
            )
            self.values.append(value)
            self.states.append(state)
            found.append(join(grads) * self.free)
        return found

    # --- optimisers --------------------------------------------------------------------------

    def declared(self, gradients: Sequence[np.ndarray], *, reset: bool = False) -> list[np.ndarray]:
        """Returns the updates of the task's optimiser, from the trainer's own parameters."""
        init, update = self._optimizer
        tree = jax.tree.structure(self.ctx.variables()[0])
        build = lambda leaves: jax.tree.unflatten(tree, leaves)  # noqa: E731
        state = init(build([jnp.asarray(x) for x in self.leaves(0)]))
        start, found = state, []
        for t, g in enumerate(gradients):
            parts = [
                jnp.asarray(g[part].reshape(shape), leaf.dtype)
                for part, shape, leaf in zip(
                    self.probe.slices(), self.shapes, self.probe.start, strict=True
                )
            ]
            params = build([jnp.asarray(x) for x in self.leaves(t)])
            moved, state = update(build(parts), start if reset else state, params)
            found.append(join([np.asarray(x) for x in jax.tree.leaves(moved)]))
        return found

    @property
    def _optimizer(self) -> tuple[Any, Any]:
        def make() -> tuple[Any, Any]:
            tx = optimizer_of(self.ctx.task)
            return jit_once(tx.init), jit_once(tx.update)

        return self.ctx.once("step-optimizer", make)

    def fits(self, gradients: Sequence[np.ndarray]) -> Iterator[tuple[str, Fit]]:
        """Yields the fit of each kind of optimiser to some gradients."""
        masks = significant(gradients, self.noise)
        if self.gradients.declared:
            yield "declared", fit_expected(self.moves, self.declared(gradients), self.floors, masks)
        yield "linear", fit_linear(self.moves, gradients, self.params, self.floors)
        for b1, b2 in ADAMS:
            directions = adam_directions(gradients, b1, b2)
            yield (
                "adam",
                fit_directions(self.moves, directions, self.params, self.floors, masks),
            )

    # --- hypotheses --------------------------------------------------------------------------

    def hypotheses(self, ignored: Sequence[int]) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
        """Yields changes of the step by name, with how to compute their gradients."""
        n, every = length(self.batches[0]), range(self.steps)
        rows = np.arange(n)

        def beside(order: np.ndarray) -> Callable[[], list[np.ndarray]]:
            return lambda: [self.at(t, batch=reorder(self.batches[t], rows, order)) for t in every]

        def weighing(weights: np.ndarray) -> Callable[[], list[np.ndarray]]:
            return lambda: [self.at(t, weights=weights) for t in every]

        yield (
            "parameters of the update before",
            lambda: [self.at(t, params=max(t - 1, 0)) for t in every],
        )
        yield "parameters of the start", lambda: [self.at(t, params=0) for t in every]
        yield (
            "batch of the update before",
            lambda: [self.at(t, batch=self.batches[max(t - 1, 0)]) for t in every],
        )
        yield (
            "first batch",
            lambda: [self.at(t, batch=self.batches[0]) for t in every],
        )
        yield "sum of gradients", lambda: list(np.cumsum(self.plain, axis=0))
        for shift in (1, -1, 2, -2, n // 2):
            yield f"targets {shift:+d} rows", beside(np.roll(rows, shift))
        yield "targets reversed", beside(rows[::-1])
        if ignored:
            yield "rows " + ", ".join(map(str, ignored)), weighing(~np.isin(rows, ignored))
        for name, keep in (
            ("second half", rows < n // 2),
            ("first half", rows >= n // 2),
            ("odd rows", rows % 2 == 0),
            ("even rows", rows % 2 == 1),
            ("last row", rows < n - 1),
            ("first row", rows > 0),
            ("last quarter", rows < n - n // 4),
        ):
            yield f"without {name}", weighing(keep.astype(np.float64))
        if self.steps:
            yield from self._clipped()
        changed: list[tuple[str, Callable[[PyTree], PyTree]]] = []
        if self._one_array:
            changed = [
                ("softmax", lambda x: jax.nn.softmax(x, axis=-1)),
                ("softmax over the batch", lambda x: jax.nn.softmax(x, axis=0)),
                ("log-softmax over the batch", lambda x: jax.nn.log_softmax(x, axis=0)),
                ("sigmoid", jax.nn.sigmoid),
                ("tanh", jnp.tanh),
            ]
        for name, change in changed:
            yield name, functools.partial(self._with_outputs, change)
        if self.gradients.declared and jax.tree.leaves(self.gradients.state):
            yield (
                "evaluation mode",
                lambda: self._elsewhere(evaluation_gradients(self.ctx, self.gradients)),
            )

    def _clipped(self) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
        """Yields the hardest examples of every update left out, above one common loss.

        The first update that moved says between which two of its examples the limit may lie; the
        examples of the other batches say where in between.
        """
        t = next((t for t, move in enumerate(self.moves) if np.any(move)), None)
        if t is None:
            return
        own = np.unique(self.values[t])
        near = [
            -cosine(self.moves[t], self.at(t, weights=(self.values[t] <= limit) * 1.0))
            for limit in own[:-1]
        ]
        pooled = np.unique(np.concatenate(self.values))
        for k in np.argsort(near)[::-1][:3]:
            for limit in pooled[(pooled >= own[k]) & (pooled < own[k + 1])]:
                yield f"loss over {limit:.3g}", functools.partial(self._below, float(limit))

    def _below(self, limit: float) -> list[np.ndarray]:
        """Returns the gradients of the examples whose loss is at most `limit`."""
        keep = [(value <= limit).astype(np.float64) for value in self.values]
        # A clipped example still counts in the mean, with no gradient.
        return [self.at(t, weights=keep[t]) * keep[t].mean() for t in range(self.steps)]

    def _with_outputs(self, change: Callable[[PyTree], PyTree]) -> list[np.ndarray]:
        return self._elsewhere(self.gradients.with_outputs(change))

    def _elsewhere(self, gradients: Gradients) -> list[np.ndarray]:
        start = gradients.state
        return [self.at(t, gradients=gradients, state=start) for t in range(self.steps)]

    @property
    def _one_array(self) -> bool:
        outputs = self.ctx.predict(self.ctx.fresh_state(), self.batches[0].inputs)
        return hasattr(outputs, "shape") and np.ndim(outputs) == 2 and np.shape(outputs)[1] > 1

    # --- where nothing fits ------------------------------------------------------------------

    def pairing(self, moves: Sequence[np.ndarray], draws: int = 12) -> Any:
        """Compares the real pairing of inputs and targets with random and with shifted ones.

        Returns:
          `(standard deviations, ((name, the same for a shift), ...))`; None if all targets are
          alike or the pairing hardly matters.
        """
        n = length(self.batches[0])
        rows, rng = np.arange(n), np.random.default_rng(11)

        def explained(order: np.ndarray) -> float:
            return float(
                np.mean(
                    [
                        -cosine(moves[t], self.at(t, batch=reorder(self.batches[t], rows, order)))
                        for t in range(self.steps)
                    ]
                )
            )

        random = np.array([explained(rng.permutation(n)) for _ in range(draws)])
        spread = float(random.std(ddof=1))
        if spread < 1e-4:
            return None
        score = lambda order: (explained(order) - float(random.mean())) / spread  # noqa: E731
        shifts = {f"{s:+d} rows": np.roll(rows, s) for s in (1, -1, 2, -2, n // 2)}
        shifts["reversed"] = rows[::-1]
        return score(rows), tuple((name, score(order)) for name, order in shifts.items())


def explain(explainer: Explainer, ignored: Sequence[int], *, random: bool) -> Explanation:
    """Finds what explains the movements.

    Args:
      explainer: with the trace and the gradients.
      ignored: examples that were found to have no part in an update.
      random: whether the trainer draws in its step, so that nothing can fit exactly.
    """
    e = explainer
    base = Explanation(
        tolerance=e.tolerance,
        slopes=_leaf_slopes(e),
        gradient_sizes=tuple(
            float(np.sqrt(np.mean(e.plain[0][part] ** 2))) if part.stop > part.start else 0.0
            for part in e.probe.slices()
        ),
        values=tuple(float(v.mean()) for v in e.values),
        default=e.gradients.declared and _is_default(e),
    )
    if random:
        return _by_pairing(e, base)
    reset: list[tuple[str, str, Fit]] = []
    best = float("inf")
    identity = iter(e.fits(e.plain))
    if e.gradients.declared:
        kind, found = next(identity)
        best = found.misfit
        if found.misfit <= e.tolerance:
            clip = _clipping(e, found)
            return dataclasses.replace(base, kind=kind, fit=found, identity=best, clipped=clip)
        masks = significant(e.plain, e.noise)
        alone = e.declared(e.plain, reset=True)
        if any(
            np.linalg.norm(a - b) > 1e-3 * np.linalg.norm(b)
            for a, b in zip(alone[1:], e.declared(e.plain)[1:], strict=True)
        ):
            reset.append(("declared", "reset", fit_expected(e.moves, alone, e.floors, masks)))
        summed = list(np.cumsum(e.plain, axis=0))
        masks = significant(summed, e.noise)
        expected = e.declared(summed)
        fitted = fit_expected(e.moves, expected, e.floors, masks)
        reset.append(("declared", "sum of gradients", fitted))
    for kind, hypothesis, found in reset:
        steady = found.steps > 1 and np.ptp(found.factors) <= 0.02 * abs(np.mean(found.factors))
        if found.misfit <= e.tolerance and found.misfit < 0.1 * best and steady:
            return dataclasses.replace(
                base, kind=kind, hypothesis=hypothesis, fit=found, identity=best
            )
    for kind, found in identity:
        best = min(best, found.misfit)
        if found.misfit <= e.tolerance:
            return dataclasses.replace(base, kind=kind, fit=found, identity=best)
    signs = sign_directions(e.plain)
    masks = significant(e.plain, e.noise)
    found = fit_directions(e.moves, signs, e.params, e.floors, masks)
    if found.misfit <= e.tolerance and found.steps > 1:
        return dataclasses.replace(base, kind="adam", hypothesis="reset", fit=found, identity=best)
    penalised = _with_penalty(e, base, best)
    if penalised is not None:
        return penalised
    if best > NEARLY or best > 10 * e.tolerance:
        for name, gradients in e.hypotheses(ignored):
            for kind, found in e.fits(gradients()):
                if found.misfit <= min(e.tolerance, 0.1 * best):
                    return dataclasses.replace(
                        base, kind=kind, hypothesis=name, fit=found, identity=best
                    )
    return _by_pairing(e, dataclasses.replace(base, identity=best))


def _with_penalty(e: Explainer, base: Explanation, best: float) -> Explanation | None:
    for strength in _L2:
        pushed = [g + strength * p * e.free for g, p in zip(e.plain, e.params, strict=False)]
        masks = significant(pushed, e.noise)
        found = fit_directions(e.moves, adam_directions(pushed), e.params, e.floors, masks)
        if found.misfit <= min(e.tolerance, 0.1 * best):
            zero = [np.zeros_like(g) for g in e.plain[:1]]
            apart = e.gradients.declared and bool(np.any(e.declared(zero)[0]))
            return dataclasses.replace(
                base,
                kind="adam",
                hypothesis="penalty",
                l2=strength * float(np.linalg.norm(e.params[0]) / np.linalg.norm(e.plain[0])),
                decoupled=apart,
                fit=found,
                identity=best,
            )
    return None


def _by_pairing(e: Explainer, base: Explanation) -> Explanation:
    found = e.pairing(e.moves)
    if found is None:
        return base
    return dataclasses.replace(base, pairing=found[0], pairings=found[1])


def _is_default(e: Explainer) -> bool:
    """Whether the task's optimiser is the one that a task has if none is given."""
    expected = [-3e-4 * d for d in adam_directions(e.plain)]
    masks = significant(e.plain, e.noise)
    pairs = zip(e.declared(e.plain), expected, masks, strict=True)
    return all(np.allclose(a[m], b[m], rtol=1e-2, atol=1e-9) for a, b, m in pairs)


def _leaf_slopes(e: Explainer) -> tuple[float, ...]:
    """Returns the cosine between the movements and the gradients of each leaf.

    Over all updates or in the first that moved, whichever is nearer to downhill: momentum may carry
    a leaf uphill later. It is 0 for a handful of numbers and for gradients close to nothing, whose
    direction is noise.
    """
    first = next((t for t, u in enumerate(e.moves) if np.any(u)), 0)
    sizes = [
        float(np.sqrt(np.mean(e.plain[0][p] ** 2))) if p.stop > p.start else 0.0
        for p in e.probe.slices()
    ]
    found = []
    for part, size in zip(e.probe.slices(), sizes, strict=True):
        if part.stop - part.start < 8 or size < 1e-3 * max(sizes):
            found.append(0.0)
            continue
        moved = np.concatenate([u[part] for u in e.moves])
        overall = cosine(moved, np.concatenate([g[part] for g in e.plain]))
        found.append(min(overall, cosine(e.moves[first][part], e.plain[first][part])))
    return tuple(found)


def _clipping(e: Explainer, found: Fit) -> tuple[float, ...]:
    """Returns the factors of all updates if the updates all have one length, but not gradients."""
    sizes = [float(np.linalg.norm(u)) for u in e.moves if np.any(u)]
    pushes = [float(np.linalg.norm(g)) for g in e.plain]
    if len(sizes) < 3 or found.steps < 3:
        return ()
    steady = np.std(sizes) <= 1e-3 * np.mean(sizes)
    return found.factors if steady and np.std(pushes) > 2e-2 * np.mean(pushes) else ()
