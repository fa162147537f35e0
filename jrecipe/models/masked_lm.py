"""The words that are hidden in a text, from those around them: what BERT is pre-trained by (D5)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.types import TaskError


class MaskedLM(nn.Module):
    """An encoder and, for each place of a text, a score of every token.

    The head is BERT's: a dense layer, GELU, LayerNorm, and the embedding of the tokens as the last
    layer, with a bias of its own. The loss is `jr.losses.token_cross_entropy(pad=...)` with targets
    at the hidden places only, as `jr.finetune.mask_tokens` makes them.

    Parameters are `encoder/...` and `head/{dense, norm, bias}`, so that `jr.finetune.with_head` and
    `write_encoder(folder, encoder, params["encoder"])` take the trained body over. The last layer
    is not zero at the start, as a tied one cannot be: with BERT's embeddings of deviation 0.02 the
    loss at initialisation is `log(vocabulary)` to about `width * 0.0002` nats (B4).

    Attributes:
      encoder: a `jr.models.Bert`, or another module with `features(inputs, train=) -> [b, t, d]`
        and its tokens' table at `embeddings/tokens/embedding` [vocabulary, d].

    References:
      Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019,
      arXiv:1810.04805, task 1 and appendix A.

    Example:
      >>> from jrecipe.models import Bert
      >>> net = MaskedLM(Bert(50, width=16, depth=1, heads=2, hidden=32, length=8))
      >>> text = {"ids": jnp.ones((3, 8), jnp.int32), "mask": jnp.ones((3, 8), bool)}
      >>> net.init_with_output(jax.random.key(0), text)[0].shape
      (3, 8, 50)
    """

    encoder: Any

    def setup(self) -> None:
        """Makes the head."""
        self.head = _Head()

    def __call__(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns logits float32[b, t, vocabulary]; those of padding mean nothing.

        Args:
          inputs: what the encoder takes, `{"ids": int32[b, t], "mask": bool[b, t]}`.
          train: switches the encoder's dropout on.

        Raises:
          TaskError: if the encoder has no table of tokens.
        """
        x = self.features(inputs, train=train)
        return self.head(x, _table(self.encoder))

    def features(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns what the encoder says of each token, [b, t, d]; called as `__call__` is."""
        return self.encoder.features(inputs, train=train)


class _Head(nn.Module):
    """From the encoder's vectors [b, t, d] and the table [v, d] to float32[b, t, v]."""

    @nn.compact
    def __call__(self, x: jax.Array, table: jax.Array) -> jax.Array:
        width = table.shape[1]
        init = nn.initializers.normal(0.02)
        x = nn.Dense(width, dtype=x.dtype, kernel_init=init, name="dense")(x)
        x = jax.nn.gelu(x, approximate=False)
        x = nn.LayerNorm(epsilon=1e-12, dtype=x.dtype, name="norm")(x)
        bias = self.param("bias", nn.initializers.zeros_init(), table.shape[:1], jnp.float32)
        logits = jnp.einsum(
            "btd,vd->btv", x, table.astype(x.dtype), preferred_element_type=jnp.float32
        )
        return logits + bias[None, None]


def _table(encoder: nn.Module) -> jax.Array:
    """Returns the embedding of the tokens [v, d] of an encoder that has been called."""
    params = encoder.variables["params"]
    try:
        return params["embeddings"]["tokens"]["embedding"]
    except KeyError as error:
        raise TaskError(
            f"MaskedLM needs an encoder with parameters embeddings/tokens/embedding, got "
            f"{type(encoder).__name__} with {', '.join(params)}; give a jr.models.Bert."
        ) from error
