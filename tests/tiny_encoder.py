"""The smallest encoder there is, for tests of what is built on one."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

WIDTH, VOCABULARY = 8, 20


class TinyEncoder(nn.Module):
    """Embeds tokens, adds the mean of the real ones, and mixes: no token sees padding."""

    width: int = WIDTH

    def setup(self):
        self.embeddings = nn.Embed(VOCABULARY, self.width)
        self.layer_0 = nn.Dense(self.width)
        self.drop = nn.Dropout(0.2)

    def features(self, inputs, *, train=False):
        x = self.embeddings(inputs["ids"])
        real = inputs["mask"][:, :, None]
        mean = jnp.where(real, x, 0).sum(1) / jnp.maximum(real.sum(1), 1)
        return nn.tanh(self.layer_0(self.drop(x + mean[:, None], deterministic=not train)))


def text(rng, lengths, tokens):
    """Returns random texts with padding on the right: ids int32[b, tokens] and mask."""
    mask = jnp.arange(tokens)[None] < jnp.asarray(lengths)[:, None]
    ids = rng.integers(1, VOCABULARY, mask.shape)
    return {"ids": jnp.where(mask, ids, 0).astype(jnp.int32), "mask": mask}
