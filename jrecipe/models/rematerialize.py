"""Less memory for more time: what is cheap to compute is computed again in the backward pass."""

from __future__ import annotations

from typing import Any

import jax

from jrecipe.types import Key, Model, PyTree

# What costs time: everything between two of them (normalisation, activations, dropout, reshaping)
# is computed again from their results.
_KEPT = ("dot_general", "conv_general_dilated")


def remat(model: Model) -> Model:
    """Returns a network of which training keeps only the results of matrix products, convolutions.

    A network of convolution, BatchNorm and ReLU keeps one array a layer instead of several. The
    numbers stay the same, as dropout draws the same mask again. Where this does not free enough,
    `flax.linen.remat` around each block keeps the blocks' inputs alone.

    Args:
      model: the network.

    References:
      Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    """

    def apply(
        params: PyTree, state: PyTree, inputs: PyTree, *, key: Key = None, train: bool = False
    ) -> tuple[PyTree, PyTree]:
        if not train:
            return model.apply(params, state, inputs, key=key)

        def training(params: PyTree, state: PyTree, inputs: PyTree, key: Key) -> Any:
            return model.apply(params, state, inputs, key=key, train=True)

        again = jax.checkpoint(training, policy=lambda prim, *_, **__: prim.name in _KEPT)
        return again(params, state, inputs, key)

    without = model.without
    return Model(
        init=model.init,
        apply=apply,
        without=None if without is None else lambda *parts: remat(without(*parts)),
        name=model.name,
    )
