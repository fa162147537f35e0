"""Weights in 8 bits after training, one scale for each output of a layer (J8)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.regularize.decay import Mask, decay_mask
from jrecipe.squeeze.network import Network, require_params
from jrecipe.squeeze.packed import Int8, packed_model
from jrecipe.types import Array, PyTree

_LARGEST = 127


def matrices(params: PyTree) -> PyTree:
    """Returns which weights are packed: matrices, kernels and tables, not biases and norms."""
    return decay_mask(params, embeddings=True)


def quantise(network: Network, *, mask: Mask = matrices) -> Network:
    """Returns the network with its weights in int8; it computes in floats as before.

    Each output of a layer (the last axis) has a scale of its own, the largest weight over 127, so
    that a weight moves by half a scale at most. A file of it takes a quarter; it is no faster. This
    is jrecipe's own because qwix 0.1.8 quantises a convolution's weights only together with its
    inputs; for both see `quantise_activations`.

    Args:
      network: of any framework; weights that `low_rank` made are packed again.
      mask: which parameters are packed, as `params -> bools` or a tree of them. An output without
        weights other than 0 keeps them.

    Raises:
      TaskError: if the network has no parameters.

    References:
      Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
      Only Inference", 2018, arXiv:1712.05877.
    """
    require_params(network, "quantise")
    chosen = mask(network.params) if callable(mask) else mask

    def pack(use: bool, branch: PyTree) -> PyTree:  # a mask may name a whole branch
        return jax.tree.map(lambda leaf: int8_of(leaf) if use and _fits(leaf) else leaf, branch)

    params = jax.tree.map(pack, chosen, network.params)
    return network.replace(model=packed_model(network.model), params=params)


def int8_of(weight: Array) -> Int8:
    """Returns a weight float[..., n] in 8 bits."""
    scale = scale_of(weight)
    values = jnp.clip(jnp.round(weight / scale), -_LARGEST, _LARGEST).astype(jnp.int8)
    return Int8(values, scale)


def scale_of(weight: Array) -> Array:
    """Returns the scale float[1, ..., n] of each output; 1 where all weights are 0."""
    axes = tuple(range(weight.ndim - 1))
    largest = jnp.max(jnp.abs(weight), axis=axes, keepdims=True)
    return jnp.where(largest > 0, largest / _LARGEST, jnp.ones_like(largest))


def _fits(leaf: Array) -> bool:
    return bool(jnp.ndim(leaf) >= 2 and jnp.issubdtype(jnp.result_type(leaf), jnp.floating))
