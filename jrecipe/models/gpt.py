"""A decoder-only transformer, for language and other sequences of tokens (C1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.tokens import check_tokens
from jrecipe.models.transformer import Block
from jrecipe.types import TaskError


class GPT(nn.Module):
    """Tokens and learned positions, causal pre-norm blocks, logits of the next token; as GPT-2.

    The smallest GPT-2 is `GPT(50257, length=1024, width=768, depth=12, heads=12, tied=True)`. As a
    task: inputs are the tokens, targets the same moved by one, the loss
    `jr.losses.token_cross_entropy(pad=...)`, and `causal_axis=1` lets a check prove that no output
    sees its target (B12). Padding goes to the end, where causality keeps it apart.

    Attributes:
      outputs: tokens in the vocabulary.
      length: longest sequence.
      width: of the tokens.
      depth: blocks.
      heads: of the attention.
      tied: use the embedding as the last layer, which then has no bias and does not start at 0.
      dropout: chance that a number is dropped in training after each layer, in [0, 1) (D9).
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`; of no use if `tied`.

    References:
      Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2).
      Press and Wolf, "Using the Output Embedding to Improve Language Models", 2017,
      arXiv:1608.05859 (`tied`).

    Example:
      >>> net = GPT(50, length=8, width=16, depth=1, heads=2)
      >>> tokens = jnp.zeros((3, 8), jnp.int32)
      >>> net.init_with_output(jax.random.key(0), tokens)[0].shape
      (3, 8, 50)
    """

    outputs: int
    length: int = 256
    width: int = 128
    depth: int = 4
    heads: int = 4
    tied: bool = False
    dropout: float = 0.0
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"

    def setup(self) -> None:
        """Makes the first and the last layer, which may be one."""
        init = nn.initializers.normal(0.02)
        self.tokens = nn.Embed(self.outputs, self.width, dtype=self.dtype, embedding_init=init)
        self.output = None if self.tied else Head(self.outputs, self.head_init)

    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns logits float32[b, t, outputs]; those at t depend on tokens 0..t only.

        Args:
          inputs: token ids int[b, t], 0..outputs-1, t at most `length`. An id outside gives NaN.
          train: switches dropout on.

        Raises:
          TaskError: if the inputs are not token ids, or are longer than `length`.
        """
        x = self.features(inputs, train=train)
        if self.output is not None:
            return self.output(x)
        return x.astype(jnp.float32) @ self.tokens.embedding.T

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, t, width]; called as `__call__` is."""
        check_tokens(inputs, "GPT")
        steps = inputs.shape[1]
        if steps > self.length:
            raise TaskError(
                f"GPT.length is {self.length}, got sequences of {steps} tokens; cut them, or give "
                f"length={steps}."
            )
        normal = nn.initializers.normal
        places = self.param("positions", normal(0.01), (self.length, self.width))
        x = self.tokens(inputs) + places[None, :steps].astype(self.dtype)
        x = Dropout(self.dropout, deterministic=not train)(x)
        for i in range(self.depth):
            x = Block(
                self.heads,
                causal=True,
                dropout=self.dropout,
                epsilon=1e-5,
                approximate=True,
                kernel_init=normal(0.02),
                last_init=normal(0.02 / (2 * self.depth) ** 0.5),  # `x` is a sum of so many
                dtype=self.dtype,
                name=f"block{i}",
            )(x, train=train)
        return nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
