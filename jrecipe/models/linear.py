"""Logistic or linear regression: the first network of any ladder (C1)."""

from __future__ import annotations

import flax.linen as nn
import jax

from jrecipe.models.head import Head, HeadInit


class Linear(nn.Module):
    """One dense layer from the flattened inputs to the outputs.

    Attributes:
      outputs: outputs per example, as the number of classes.
      head_init: initialisation of the layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.
    """

    outputs: int
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Returns float32[b, outputs] from inputs [b, ...]."""
        return self.output(self.features(inputs))

    def features(self, inputs: jax.Array) -> jax.Array:
        """Returns the inputs, flattened, [b, d]."""
        return inputs.reshape(inputs.shape[0], -1)
