"""Asking a loss about drawn outputs: its value and its gradient, example by example (G3).

One small program is compiled, `(free numbers, targets) -> (value, weight, gradient)`, and called
for every question. The outputs are the free numbers pushed into the domain that the network's
outputs have (`loss_reading`).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.loss_reading import Domain, Reading, domain_of, read_targets
from jrecipe.checks.probing import disagreement, perturbed, same_structure
from jrecipe.train.compiled import jit_once
from jrecipe.types import Array, PyTree

# Largest number of values in the drawn outputs: pictures are asked about a few examples at a time.
_VALUES = 200_000


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a loss says about some outputs.

    Attributes:
      value: float64[b].
      weight: float64[b].
      grads: gradient of the sum of values in the free numbers, as float64 leaves [b, ...].
    """

    value: np.ndarray
    weight: np.ndarray
    grads: list[np.ndarray]

    @property
    def slope(self) -> np.ndarray:
        """The largest absolute derivative of each example, float64[b]; NaN if one is NaN."""
        flat = [np.abs(x).reshape(len(x), -1) for x in self.grads if x.size]
        slope: np.ndarray = np.max([x.max(axis=1) for x in flat], axis=0)
        return slope


class Probe:
    """A loss with real targets, ready to be asked.

    Attributes:
      rows: number of examples b.
      targets: pytree of NumPy arrays, leading axis b.
      outputs: of the untrained network for these rows; leaves [b, ...].
      domains: of each leaf of the outputs.
      reading: what the targets ask of the outputs, None if unknown.
      centre: of each leaf, broadcastable to it; where free numbers are drawn.
      spread: the same, how widely.
      moved: outputs of the network with its weights moved far, by leaf; empty if unknown.
    """

    def __init__(self, context: Context) -> None:
        _, targets, outputs = context.at_init
        self._loss = context.task.loss
        leaves = [np.asarray(x) for x in jax.tree.leaves(outputs)]
        n = len(leaves[0])
        size = max(1, sum(x[:1].size for x in leaves))
        self.rows = int(min(n, 32, max(4, _VALUES // size)))
        take = np.unique(np.linspace(0, n - 1, self.rows).astype(int))
        self.rows = len(take)
        self.targets = jax.tree.map(lambda x: np.asarray(x)[take], targets)
        self.outputs = [x[take] for x in leaves]
        self._tree = jax.tree.structure(outputs)
        self.reading: Reading | None = read_targets(outputs, targets)
        self.moved = moved_outputs(context)
        self.domains: list[Domain] = [
            domain_of(leaf, [setting[i] for setting in self.moved]) for i, leaf in enumerate(leaves)
        ]
        self.centre, self.spread = [], []
        for leaf, domain in zip(self.outputs, self.domains, strict=True):
            centre, spread = _scale_of(leaf, targets, domain, self.reading)
            self.centre.append(centre)
            self.spread.append(spread)
        self._rng = np.random.default_rng((context.seed, 71))

    @property
    def differentiable(self) -> bool:
        """Whether all outputs are floating point."""
        return all(jnp.issubdtype(x.dtype, jnp.floating) for x in self.outputs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first leaf of the outputs, b included."""
        return tuple(int(n) for n in self.outputs[0].shape)

    def draw(self, size: float) -> list[np.ndarray]:
        """Returns free numbers drawn `size` times as wide as usual, one array per leaf."""
        return [
            centre + size * spread * self._rng.normal(size=leaf.shape)
            for leaf, centre, spread in zip(self.outputs, self.centre, self.spread, strict=True)
        ]

    def answer(self, size: float, targets: PyTree | None = None) -> list[np.ndarray] | None:
        """Returns free numbers that stand for the targets, see `Reading.latent`; None if unknown.

        Args:
          size: as in `Reading.latent`.
          targets: other targets than the own ones.
        """
        if self.reading is None:
            return None
        targets = self.targets if targets is None else targets
        spread = self.spread[0] if self.reading.kind == "number" else 1.0
        return [self.reading.latent(targets, self.shape, size, self.domains[0], spread)]

    def linked(self, z: list[np.ndarray]) -> PyTree:
        """Returns free numbers as outputs, a pytree of NumPy arrays."""
        leaves = [
            np.asarray(domain.link(jnp.asarray(x, jnp.float32)))
            for domain, x in zip(self.domains, z, strict=True)
        ]
        return jax.tree.unflatten(self._tree, leaves)

    def tree(self, leaves: list[Any]) -> PyTree:
        """Returns leaves as a pytree of the outputs' structure."""
        return jax.tree.unflatten(self._tree, leaves)

    @functools.cached_property
    def _programs(self) -> tuple[Any, Any]:
        def total(z: list[Array], targets: PyTree, linked: bool) -> tuple[Array, Any]:
            pairs = zip(self.domains, z, strict=True)
            leaves = [domain.link(x) if linked else x for domain, x in pairs]
            outputs = jax.tree.unflatten(self._tree, leaves)
            value, weight = losses.weighted(self._loss, outputs, targets)
            return value.sum(), (value, weight)

        def ask(z: list[Array], targets: PyTree, linked: bool) -> Any:
            (_, (value, weight)), grads = jax.value_and_grad(total, has_aux=True)(
                z, targets, linked
            )
            return value, weight, grads

        return (
            jit_once(lambda z, targets: ask(z, targets, True)),
            jit_once(lambda z, targets: total(z, targets, False)[1]),
        )

    @property
    def free(self) -> bool:
        """Whether every leaf is free, so that outputs are the free numbers themselves."""
        return all(domain.shape == "free" for domain in self.domains)

    def ask(self, z: list[np.ndarray], targets: PyTree | None = None) -> Asked:
        """Returns what the loss says about free numbers pushed into the domain of the outputs."""
        targets = self.targets if targets is None else targets
        z = [np.asarray(x, np.float32) for x in z]
        value, weight, grads = jax.device_get(self._programs[0](z, targets))
        return Asked(
            value.astype(np.float64),
            weight.astype(np.float64),
            [np.asarray(g).astype(np.float64) for g in grads],
        )

    def raw(self, outputs: np.ndarray, targets: PyTree | None = None) -> np.ndarray:
        """Returns the loss float64[b] of an array of outputs as it is, even if it cannot occur."""
        if self.free:
            return self.ask([outputs], targets).value
        targets = self.targets if targets is None else targets
        value, _ = self._programs[1]([np.asarray(outputs, np.float32)], targets)
        return np.asarray(value, np.float64)


def probe_of(context: Context) -> Probe:
    """Returns the probe of a task, made once."""
    return context.once("loss-probe", lambda: Probe(context))


def moved_outputs(context: Context) -> list[list[np.ndarray]]:
    """Returns the outputs of the network with all its weights moved far, a list of leaves each.

    Empty where the weights cannot be moved: a foreign trainer whose network is not known.
    """
    if context.model is None or not _runs_model(context):
        return []
    params, state = context.variables()
    inputs, found = context.batch(_rows(context)).inputs, []
    for i, factor in enumerate((10.0, 10.0, 30.0, 30.0, 100.0, 100.0)):
        noisy = perturbed(params, context.seed + 101 + i, scale=1.0)
        far = jax.tree.map(
            lambda x, factor=factor: (
                np.asarray(x) * np.asarray(factor, x.dtype)
                if jnp.issubdtype(x.dtype, jnp.floating)
                else x
            ),
            noisy,
        )
        outputs = context.apply(far, state, inputs)[0]
        leaves = [np.asarray(x).astype(np.float64) for x in jax.tree.leaves(outputs)]
        if all(np.isfinite(x).all() for x in leaves):
            found.append(leaves)
    return found


def _rows(context: Context) -> int:
    return min(32, max(2, context.task.batch_size))


def _runs_model(context: Context) -> bool:
    """Tells whether the task's model is what its trainer runs."""
    if not context.foreign:
        return True
    fresh = context.fresh_state()
    params, own = context.trainer.params(fresh), context.variables()
    if not same_structure(params, own[0]):
        return False
    shapes = zip(jax.tree.leaves(params), jax.tree.leaves(own[0]), strict=True)
    if any(np.shape(a) != np.shape(b) for a, b in shapes):
        return False
    inputs = context.batch(_rows(context)).inputs
    moved = jax.tree.map(jnp.asarray, params)
    mine = context.apply(moved, own[1], inputs)[0]
    return disagreement(context.predict(context.fresh_state(), inputs), mine) < 1e-2


def _scale_of(
    leaf: np.ndarray, targets: PyTree, domain: Domain, reading: Reading | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where free numbers for a leaf are drawn: centre and spread, broadcastable to it."""
    if domain.shape == "free" and (reading is None or reading.kind == "number"):
        for target in jax.tree.leaves(targets):
            y = np.asarray(target)
            if y.dtype.kind in "iuf" and y[:1].size == leaf[:1].size:
                y = y.astype(np.float64).reshape(len(y), *leaf.shape[1:])
                spread = y.std(axis=0, keepdims=True)
                whole = float(y.std()) or 1.0
                return y.mean(axis=0, keepdims=True), np.where(spread > 1e-6 * whole, spread, whole)
    one = np.ones((1,) * leaf.ndim)
    return 0.0 * one, one
