"""Layers computed in 8 bits, weights and what enters them, by qwix (J8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.squeeze.network import Network, require_params
from jrecipe.types import PyTree, TaskError


def quantise_activations(network: Network, inputs: PyTree) -> Network:
    """Returns the network with the products of its layers computed in int8.

    Weights are rounded once, as `quantise` does; what enters a layer is rounded as it comes, by a
    scale for each example, so that an answer does not depend on the others in its batch. It is made
    for devices that are quick at it; on a CPU it is often slower than float32 (measure it with
    `compare`).

    Args:
      network: of a Linen module, whose layers qwix finds; its shape may be made by other networks.
      inputs: [b, ...], some inputs, to find the layers with.

    Raises:
      TaskError: if qwix is missing or finds no weights to quantise.
    """
    require_params(network, "quantise_activations")
    qwix = _qwix()
    model = network.model
    init = int8_function(model.init, training=False)
    few = jax.tree.map(lambda x: x[:2], inputs)
    try:
        abstract = jax.eval_shape(init, jax.random.key(0), few)[0]
        params = qwix.quantize_params(jax.tree.map(jnp.asarray, network.params), abstract)
    # What qwix raises for a network it does not know comes from anywhere inside of it.
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as error:
        raise TaskError(
            f"qwix cannot quantise the activations of {model.name!r} ({error}); use quantise, "
            "which packs the weights of any network."
        ) from error
    if not any(jnp.asarray(leaf).dtype == jnp.int8 for leaf in jax.tree.leaves(params)):
        raise TaskError(
            f"qwix found no weights in {model.name!r}: it looks for those of Linen layers; use "
            "quantise, which packs the weights of any network."
        )
    params = jax.tree.map(np.asarray, params)
    apply = int8_function(model.apply, training=False)
    return network.replace(
        model=dataclasses.replace(model, apply=apply, without=None), params=params
    )


def int8_function(function: Callable[..., Any], *, training: bool) -> Callable[..., Any]:
    """Returns a function of a `Model` whose products qwix computes in int8.

    Args:
      function: `init` or `apply`, which runs Linen modules inside.
      training: keep weights in float32 and round them in each call, with gradients.

    Raises:
      TaskError: if qwix is missing.
    """
    qwix = _qwix()
    import flax.linen as nn

    class Around(nn.Module):
        """A module around a function: qwix looks for layers inside of a module's call."""

        @nn.compact
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    kinds = {"weight_qtype": jnp.int8, "act_qtype": jnp.int8}
    if training:
        provider = qwix.QtProvider([qwix.QtRule(**kinds)])
    else:
        provider = qwix.PtqProvider([qwix.QuantizationRule(**kinds)])
    around = qwix.quantize_model(Around(), provider)

    def run(*args: Any, **kwargs: Any) -> Any:
        return around.apply({}, *args, **kwargs)

    return run


def _qwix() -> Any:
    try:
        import qwix
    except ImportError as error:
        raise TaskError(
            "computing layers in int8 needs the package qwix; pip install 'jrecipe[quantise]'."
        ) from error
    return qwix
