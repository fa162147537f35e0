"""Mixed precision: any network computed in half precision, with its weights kept in float32."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from jrecipe.types import Array, Key, Model, PyTree, TaskError

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")


def in_precision(model: Model, precision: Precision) -> Model:
    """Returns a network that computes in another precision; its weights stay as they are.

    Parameters and inputs of a floating dtype are cast on the way in, outputs to float32 on the way
    out, so that the loss, the gradient's sums over the batch, the optimiser and its master weights
    are in float32. The network's other state (BatchNorm statistics) stays as it is and keeps its
    dtype. A layer that names its dtype itself computes in that one; flax's normalisations take
    their means and variances in float32 in any case.

    "bfloat16" has the range of float32 and needs nothing else. "float16" has not: wrap the
    optimiser in `jr.train.loss_scaled`, or small gradients become 0.

    Args:
      model: the network.
      precision: "float32", "bfloat16" or "float16".

    Raises:
      TaskError: for another precision.

    References:
      Micikevicius et al., "Mixed Precision Training", 2018.
    """
    if precision not in PRECISIONS:
        raise TaskError(f"in_precision got {precision!r}; there are {', '.join(PRECISIONS)}.")
    dtype = jnp.dtype(precision)

    def cast(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: x.astype(dtype) if _floats(x) else x, tree)

    def apply(
        params: PyTree, state: PyTree, inputs: PyTree, *, key: Key = None, train: bool = False
    ) -> tuple[PyTree, PyTree]:
        outputs, after = model.apply(cast(params), state, cast(inputs), key=key, train=train)
        outputs = jax.tree.map(lambda x: x.astype(jnp.float32) if _floats(x) else x, outputs)
        return outputs, jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype), after, state)

    without = model.without
    return Model(
        init=model.init,
        apply=apply,
        without=None if without is None else lambda *p: in_precision(without(*p), precision),
        name=f"{model.name} in {precision}",
    )


def _floats(x: Array) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.floating)
