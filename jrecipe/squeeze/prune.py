"""Weights at exactly 0: the smallest, or those of whole units, more of them with time (J8)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.regularize.decay import Mask, decay_mask
from jrecipe.types import Array, PyTree, TaskError


class PruneState(NamedTuple):
    """What pruning carries along.

    Attributes:
      count: int32[], updates so far.
      kept: bool as each weight, whether it is left; None where a parameter is not pruned.
    """

    count: Array
    kept: PyTree


@dataclasses.dataclass(frozen=True)
class _When:
    """Which updates prune, and how much."""

    share: float
    begin: int
    end: int
    every: int

    def at(self, count: Array) -> Array:
        """Returns which part of the final share is at 0 after update `count`, in [0, 1]."""
        through = jnp.clip((count - self.begin) / max(self.end - self.begin, 1), 0.0, 1.0)
        return jnp.where(count >= self.end, 1.0, 1.0 - (1.0 - through) ** 3)

    def acts(self, count: Array) -> Array:
        """Returns whether update `count` prunes, bool[]."""
        since = count - self.begin
        return (
            (since >= 0) & (count <= self.end) & ((since % self.every == 0) | (count == self.end))
        )


def prune(
    share: float,
    *,
    begin: int = 0,
    end: int = 1_000,
    every: int = 100,
    structured: bool = False,
    mask: Mask = decay_mask,
) -> optax.GradientTransformation:
    """Sets the smallest weights of each layer to 0 and keeps them there; the last link of a chain.

    At update `begin`, then each `every` updates, and at `end`, the share at 0 rises to
    `share * (1 - (1 - t)^3)`, with `t` from 0 to 1 between `begin` and `end`: quickly while there
    is much to spare. Of n weights exactly `floor(share * n)` are 0 then, and what once is 0 stays.
    Whatever came before in the chain (momentum, weight decay), the weights that
    `optax.apply_updates` returns are 0 to the bit.

    Args:
      share: of the weights of each layer that are 0 in the end, in [0, 1).
      begin: update that prunes first, >= 0.
      end: update that prunes last, >= `begin`; train some more after it.
      every: updates between two, >= 1.
      structured: take whole units: all weights into an output of a layer (the last axis), those
        with the smallest norm. The layer's output is then its bias, whatever comes in.
      mask: which parameters are pruned; of these, arrays of two axes or more. Leave the last layer
        out of a structured one.

    Raises:
      TaskError: for other values; from `update`, if it is called without `params`.

    References:
      Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
      compression", 2017, arXiv:1710.01878.

    Example:
      >>> tx = optax.chain(optax.sgd(0.1), prune(0.5, end=0))
      >>> params = {"kernel": jnp.array([[3.0, -0.1], [0.2, -4.0]])}
      >>> still = jax.tree.map(jnp.zeros_like, params)
      >>> updates, _ = tx.update(still, tx.init(params), params)
      >>> print(optax.apply_updates(params, updates)["kernel"])
      [[ 3.  0.]
       [ 0. -4.]]
    """
    when = _when(share, begin, end, every)

    def init(params: PyTree) -> PruneState:
        chosen = mask(params) if callable(mask) else mask

        def of_branch(use: bool, branch: PyTree) -> PyTree:  # a mask may name a whole branch
            return jax.tree.map(
                lambda w: jnp.ones(w.shape, bool) if use and np.ndim(w) >= 2 else None, branch
            )

        return PruneState(jnp.zeros((), jnp.int32), jax.tree.map(of_branch, chosen, params))

    def update(
        updates: PyTree, state: PruneState, params: PyTree = None
    ) -> tuple[PyTree, PruneState]:
        if params is None:
            raise TaskError("prune needs the parameters; call tx.update(grads, opt_state, params).")
        part = when.at(state.count)
        units = _smallest_units if structured else _smallest

        def looked(kept: PyTree) -> PyTree:
            def of_weight(keep: Array | None, w: Array, u: Array) -> Array | None:
                return None if keep is None else ~units(w + u, keep, when.share, part)

            return jax.tree.map(of_weight, kept, params, updates, is_leaf=_is_none)

        kept = jax.lax.cond(when.acts(state.count), looked, lambda same: same, state.kept)
        # Adding its negative takes a number to 0 exactly, in any precision.
        held = jax.tree.map(
            lambda keep, w, u: u if keep is None else jnp.where(keep, u, -w),
            kept,
            params,
            updates,
            is_leaf=_is_none,
        )
        return held, PruneState(optax.safe_increment(state.count), kept)

    return optax.GradientTransformation(init, update)


def sparsity(params: PyTree, *, mask: Mask = decay_mask) -> float:
    """Returns the share of exact zeros among the weights that `mask` names, 0 if it names none."""
    chosen = mask(params) if callable(mask) else mask
    parts = jax.tree.map(lambda use, w: w if use else None, chosen, params)
    leaves = [np.asarray(w) for w in jax.tree.leaves(parts)]
    count = sum(w.size for w in leaves)
    return sum(int((w == 0).sum()) for w in leaves) / count if count else 0.0


def _smallest(weight: Array, kept: Array, share: float, part: Array) -> Array:
    """Returns bool as `weight`: those with the smallest magnitudes, those gone first."""
    size = jnp.where(kept, jnp.abs(weight), -1.0).reshape(-1)
    return _lowest(size, share, part).reshape(weight.shape)


def _smallest_units(weight: Array, kept: Array, share: float, part: Array) -> Array:
    """Returns bool as `weight`: the outputs with the smallest norms."""
    axes = tuple(range(weight.ndim - 1))
    norm = jnp.sqrt(jnp.sum(jnp.square(weight.astype(jnp.float32)), axis=axes))
    gone = _lowest(jnp.where(kept.any(axis=axes), norm, -1.0), share, part)
    return jnp.broadcast_to(gone, weight.shape)


def _lowest(values: Array, share: float, part: Array) -> Array:
    """Returns bool[n]: the `part` of `floor(share * n)` lowest of float[n], ties in their order."""
    final = math.floor(share * values.size + 1e-9)  # 0.3 * 10 is 2.9999999999999996
    count = jnp.where(part >= 1.0, final, jnp.floor(part * final)).astype(jnp.int32)
    rank = jnp.argsort(jnp.argsort(values, stable=True), stable=True)
    return rank < count


def _is_none(leaf: object) -> bool:
    return leaf is None


def _when(share: Any, begin: Any, end: Any, every: Any) -> _When:
    number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
    if not number or not 0.0 <= share < 1.0:
        raise TaskError(f"prune needs a share in [0, 1), got {share!r}; try 0.5.")
    for name, value, least in (("begin", begin, 0), ("end", end, begin), ("every", every, 1)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < least:
            raise TaskError(f"prune needs an integer {name} >= {least}, got {value!r}.")
    return _When(float(share), int(begin), int(end), int(every))
