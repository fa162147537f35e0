"""The last layer of a linear-chain CRF: scores of each tag, and of each tag after another."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.head import Head, HeadInit


class ChainHead(nn.Module):
    """A dense layer to the scores of k tags, and free scores of a tag's start, end and successor.

    Attributes:
      outputs: number of tags, k.
      head_init: initialisation of the dense layer, see `head.Head`; the others start at 0.
    """

    outputs: int
    head_init: HeadInit = "zeros"

    @nn.compact
    def __call__(self, features: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
        """Returns the outputs that `jr.losses.crf` takes, the learned scores in every row.

        Args:
          features: of the words, [b, w, d].
          mask: bool[b, w], True on words.
        """
        b, k = len(features), self.outputs
        zeros = nn.initializers.zeros_init()
        scores = {name: self.param(name, zeros, (k,)) for name in ("start", "end")}
        scores["transitions"] = self.param("transitions", zeros, (k, k))
        return {
            "emissions": Head(k, self.head_init, name="emissions")(features),
            "mask": mask,
            **{name: jnp.broadcast_to(x[None], (b, *x.shape)) for name, x in scores.items()},
        }
