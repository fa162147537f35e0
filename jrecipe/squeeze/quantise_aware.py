"""Training that computes with the 8-bit weights of later, and moves those in float32 (J8)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jrecipe.models.adapt import as_model
from jrecipe.regularize.decay import Mask
from jrecipe.squeeze.quantise import int8_of, matrices
from jrecipe.squeeze.quantise_activations import int8_function
from jrecipe.types import Array, Key, Model, PyTree


def quantise_aware(model: Any, *, activations: bool = False, mask: Mask = matrices) -> Model:
    """Returns a network to train whose forward pass uses weights rounded to 8 bits.

    Rounding lets gradients through as if it were not there (the straight-through estimator), so the
    optimiser moves float32 weights to where rounding costs little. Train it, or train on from a
    network that is trained already, and then `quantise` the result, which changes its outputs no
    more.

    Args:
      model: a `Model`, or whatever `jr.models.as_model` takes.
      activations: round what enters each layer too, by qwix; then use `quantise_activations`.
      mask: which parameters are rounded, as in `quantise`; without `activations`.

    Raises:
      TaskError: if `activations` is asked for and qwix is missing; from the network's first call,
        if qwix cannot quantise it.

    References:
      Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013,
      arXiv:1308.3432.
    """
    plain = as_model(model)
    name = f"{plain.name} in int8"
    if activations:
        apply = int8_function(plain.apply, training=True)
        return dataclasses.replace(plain, apply=apply, without=None, name=name)

    def rounded(
        params: PyTree, state: PyTree, inputs: PyTree, *, key: Key = None, train: bool = False
    ) -> tuple[PyTree, PyTree]:
        chosen = mask(params) if callable(mask) else mask
        near = jax.tree.map(
            lambda use, branch: jax.tree.map(_straight_through, branch) if use else branch,
            chosen,
            params,
        )
        return plain.apply(near, state, inputs, key=key, train=train)

    return dataclasses.replace(plain, apply=rounded, without=None, name=name)


def _straight_through(weight: Array) -> Array:
    if jnp.ndim(weight) < 2 or not jnp.issubdtype(jnp.result_type(weight), jnp.floating):
        return weight
    return weight + jax.lax.stop_gradient(int8_of(weight).unpacked() - weight)
