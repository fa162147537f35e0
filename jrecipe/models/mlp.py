"""A multi-layer perceptron, for vectors and small pictures (C1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit


class MLP(nn.Module):
    """Dense layers with ReLU from the flattened inputs, then a linear head.

    Attributes:
      outputs: outputs per example, as the number of classes.
      width: units in each hidden layer.
      depth: hidden layers.
      dropout: chance that a hidden unit is dropped in training, in [0, 1) (D9).
      input_dropout: the same for an input; 0.2 goes with 0.5 for hidden units (H3).
      dtype: of the hidden computation; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.
    """

    outputs: int
    width: int = 128
    depth: int = 2
    dropout: float = 0.0
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False
    input_dropout: float = 0.0

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs] from inputs [b, ...]; `train` switches dropout on."""
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, width]; called as `__call__` is."""
        x = inputs.reshape(inputs.shape[0], -1).astype(self.dtype)
        # Named, so that the draws of the others do not depend on whether it is there.
        x = Dropout(self.input_dropout, deterministic=not train, name="input_dropout")(x)
        for i in range(self.depth):
            layer = nn.Dense(
                self.width,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                name=f"dense{i}",
            )
            x = Dropout(self.dropout, deterministic=not train)(nn.relu(layer(x)))
        return x
