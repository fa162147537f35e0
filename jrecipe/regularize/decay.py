"""Weight decay, decoupled or coupled, that leaves biases and normalisation alone (D10)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.types import Array, PyTree, TaskError

Mask = PyTree | Callable[[PyTree], PyTree]  # of bools, or `params -> bools`

# Names of leaves, and of the layer they lie in, as Linen, NNX, Haiku, Equinox and torch have them.
_OFFSETS = re.compile(r".*bias.*|(.*_)?(scale|beta|gamma|offset|shift)\d*|b\d*", re.IGNORECASE)
_NORMS = re.compile(r".*norm.*|(ln|bn|gn)(_?\w?\d*)?", re.IGNORECASE)
_EMBEDDINGS = re.compile(r".*embed.*|.*_token|wte|wpe", re.IGNORECASE)
_PLAIN = ("weight", "weights", "w")  # names by which torch and others call tables and scales too


def decay_mask(params: PyTree, *, embeddings: bool = False) -> PyTree:
    """Returns which parameters decay: matrices and convolution kernels.

    Decay keeps a unit's weights small; a bias or a normalisation scale has nothing to keep small,
    and a row of an embedding table would shrink at every step in which its token does not occur.
    A parameter is left out by its path (a bias, scale, or anything of a normalisation layer, also
    where `vmap` or `scan` stacked several into one array) or by having fewer than two axes.

    Args:
      params: of Linen, NNX or any other framework, as nested dicts or another pytree.
      embeddings: let embedding tables, position embeddings and class tokens decay too.

    Returns:
      A tree of bools as `params`, as the `mask` of an optax transformation has to be.

    References:
      Karpathy's minGPT parts its parameters in the same way.

    Example:
      >>> mask = decay_mask({"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}})
      >>> mask["dense"]["kernel"], mask["dense"]["bias"]
      (True, False)
    """

    def decays(path: Sequence[Any], leaf: Array) -> bool:
        parts = [part for part in re.split(r"[/.]", path_name(path)) if part not in ("", "value")]
        name, layer = ["", "", *parts][-1], ["", "", *parts][-2]
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) or np.ndim(leaf) < 2:
            return False
        if _OFFSETS.fullmatch(name) or (_NORMS.fullmatch(layer) and name in _PLAIN):
            return False
        table = _EMBEDDINGS.fullmatch(layer if name in _PLAIN else name)
        return embeddings or table is None

    return jax.tree_util.tree_map_with_path(decays, params)


def adamw(
    rate: Any, weight_decay: Any = 1e-2, *, mask: Mask = decay_mask, **options: Any
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, which leaves biases and normalisation alone.

    Each update takes `rate * weight_decay` of a weight, whatever its gradient, so what decay does
    over a run goes by the sum of the rates.

    Args:
      rate: a number, or a schedule `step -> rate`.
      weight_decay: 1e-4 to 1e-1 is usual; >= 0. It may be traced.
      mask: which parameters decay, see `decay_mask`.
      **options: of `optax.adamw`, as b1, b2, eps.

    Raises:
      TaskError: if `weight_decay` is negative or not finite.

    References:
      Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, arXiv:1711.05101.

    Example:
      >>> params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
      >>> tx = adamw(0.1, weight_decay=0.5)
      >>> still = jax.tree.map(jnp.zeros_like, params)  # no gradient: what moves is decay
      >>> updates, _ = tx.update(still, tx.init(params), params)
      >>> print(updates["kernel"][0], updates["bias"])
      [-0.05 -0.05] [-0. -0.]
    """
    require_strength("adamw", "weight_decay", weight_decay, "1e-2")
    return optax.adamw(rate, weight_decay=weight_decay, mask=mask, **options)


def add_l2(weight: Any, *, mask: Mask = decay_mask) -> optax.GradientTransformation:
    """Adds the gradient of `weight / 2 * |w|^2` to that of the loss; the first link of a chain.

    As `optax.chain(add_l2(1e-5), optax.adam(1e-3))` it is the L2 penalty through Adam of many older
    programs (`weight_decay` of torch's Adam): Adam divides it by the size of the gradient, so that
    weights with large gradients hardly decay. With plain SGD it is the same as decoupled decay of
    `rate * weight`.

    Args:
      weight: strength, >= 0; 1e-5 to 1e-3 is usual. It may be traced.
      mask: which parameters are penalised, see `decay_mask`.

    Raises:
      TaskError: if `weight` is negative or not finite.
    """
    require_strength("add_l2", "weight", weight, "1e-5")
    return optax.add_decayed_weights(weight, mask=mask)


def require_strength(function: str, name: str, value: Any, usual: str) -> None:
    """Raises TaskError unless `value` is a finite number >= 0; a traced one is taken as it is."""
    if isinstance(value, jax.core.Tracer):
        return
    number = isinstance(value, int | float | np.number | jax.Array) and not isinstance(value, bool)
    if not number or np.ndim(value) or not 0 <= value < np.inf:
        raise TaskError(f"{function} needs a finite {name} >= 0, got {value!r}; try {usual}.")


def path_name(path: Sequence[Any]) -> str:
    """Returns the name of a leaf, such as "encoder/Dense_0/kernel"."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")
