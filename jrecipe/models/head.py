"""The last layer, which decides what an untrained network answers (B4, B5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.types import TaskError

HeadInit = Literal["zeros", "lecun"] | Callable[..., Any]


class Head(nn.Module):
    """A dense layer to float32 outputs, whatever the dtype before it.

    Attributes:
      outputs: number of outputs per example, >= 1.
      head_init: "zeros", so that an untrained network gives its bias as the answer; "lecun", normal
        with variance 1 / fan-in; or an initialiser.
      squeeze: return [b] instead of [b, 1].
    """

    outputs: int
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Returns float32[b, outputs], or float32[b] with `squeeze`."""
        if self.squeeze and self.outputs != 1:
            raise TaskError(
                f"squeeze=True needs outputs=1, got outputs={self.outputs}; leave squeeze out."
            )
        layer = nn.Dense(
            self.outputs, dtype=jnp.float32, kernel_init=_initializer(self.head_init), name="dense"
        )
        result = layer(features.astype(jnp.float32))
        return result[:, 0] if self.squeeze else result


def _initializer(head_init: HeadInit) -> Callable[..., Any]:
    """Returns the initialiser that `head_init` names."""
    if callable(head_init):
        return head_init
    named = {"zeros": nn.initializers.zeros_init(), "lecun": nn.initializers.lecun_normal()}
    if head_init not in named:
        raise TaskError(
            f"head_init needs 'zeros', 'lecun' or an initialiser, got {head_init!r}; try 'zeros'."
        )
    return named[head_init]
