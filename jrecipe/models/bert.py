"""The encoders of the BERT family: BERT, MiniLM, DistilBERT and RoBERTa (J6)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.bert_layer import BertLayer
from jrecipe.models.dropout import Dropout
from jrecipe.models.tokens import check_tokens
from jrecipe.models.unpadded import Grid, grid_of
from jrecipe.types import PyTree, TaskError


class Bert(nn.Module):
    """Tokens, learned positions and types, post-norm blocks that look both ways; BERT base.

    | network | fields |
    | --- | --- |
    | BERT base, uncased | the defaults |
    | BERT large | `width=1024, depth=24, heads=16, hidden=4096` |
    | MiniLM-L6-H384 | `width=384, depth=6, hidden=1536` |
    | DistilBERT | `depth=6, types=0` |
    | RoBERTa base | `vocabulary=50_265, types=1, first_position=2, epsilon=1e-5` |

    `jr.finetune.load_pretrained` makes one from a folder of public weights. Dropout acts on the
    embeddings and on what each branch adds; the probabilities of the attention, which the originals
    drop too, stay whole, so that attention is one fused call.

    Parameters are named `embeddings/{tokens, positions, types, norm}`, `layer_0/{query, key, value,
    attention_output, attention_norm, hidden, output, norm}`, ..., and `pooler` where `pooled` is
    what the network was initialised by.

    Attributes:
      vocabulary: tokens that have an embedding.
      width: of the tokens.
      depth: blocks.
      heads: of the attention.
      hidden: units between the two layers of a block's MLP.
      length: longest text, in tokens.
      types: kinds of segments, as 2 for pairs of sentences; 0 for none.
      first_position: row of the position table that the first token gets. If it is not 0, padding
        gets the row before it and positions count the tokens that are not padding, as RoBERTa does.
      activation: "gelu" (by the error function), "gelu_new" (by tanh) or "relu".
      epsilon: of the norms.
      dropout: chance that a number is dropped in training after each layer, in [0, 1) (D9).
      dtype: of the computation; parameters, and what `__call__` returns, stay float32.

    References:
      Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019,
      arXiv:1810.04805.
      Sanh et al., "DistilBERT, a distilled version of BERT", 2019, arXiv:1910.01108.
      Liu et al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach", 2019, arXiv:1907.11692.
      Wang et al., "MiniLM: Deep Self-Attention Distillation", 2020, arXiv:2002.10957.

    Example:
      >>> net = Bert(50, width=16, depth=1, heads=2, hidden=32, length=8)
      >>> text = {"ids": jnp.ones((3, 8), jnp.int32), "mask": jnp.ones((3, 8), bool)}
      >>> net.init_with_output(jax.random.key(0), text)[0].shape
      (3, 8, 16)
    """

    vocabulary: int = 30_522
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    length: int = 512
    types: int = 2
    first_position: int = 0
    activation: str = "gelu"
    epsilon: float = 1e-12
    dropout: float = 0.1
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the parts; parameters come into being for those that are called."""
        self.embeddings = _Embeddings(
            vocabulary=self.vocabulary,
            width=self.width,
            length=self.length,
            types=self.types,
            first_position=self.first_position,
            epsilon=self.epsilon,
            dropout=self.dropout,
            dtype=self.dtype,
        )
        self.layer = [
            BertLayer(
                width=self.width,
                heads=self.heads,
                hidden=self.hidden,
                activation=self.activation,
                epsilon=self.epsilon,
                dropout=self.dropout,
                dtype=self.dtype,
            )
            for _ in range(self.depth)
        ]
        init = nn.initializers.normal(0.02)
        self.pooler = nn.Dense(self.width, dtype=self.dtype, kernel_init=init)

    def __call__(self, inputs: PyTree, *, train: bool = False) -> jax.Array:
        """Returns `features` as float32[b, t, width]; called as `features` is."""
        return self.features(inputs, train=train).astype(jnp.float32)

    def features(self, inputs: PyTree, *, train: bool = False) -> jax.Array:
        """Returns a vector for each token, [b, t, width]; those of padding mean nothing.

        Args:
          inputs: `{"ids": int32[b, t], "mask": bool[b, t], "types": int32[b, t]}`; `mask` is True
            on tokens that are not padding, `types` may be left out for 0. An id or a type without
            an embedding gives NaN. `"room"` [b, k] promises that at most b * k tokens are no
            padding, and only so many are computed (see `jrecipe.models.unpadded`); a promise that
            is broken gives NaN.
          train: switches dropout on.

        Raises:
          TaskError: if the inputs are not such a dict, or t is above `length`.
        """
        ids, mask, types = self._parts(inputs)
        grid = grid_of(mask, inputs.get("room"))
        x = self.embeddings(ids, mask, types, grid, train=train)
        for layer in self.layer:
            x = layer(x, mask, grid, train=train)
        return grid.checked(grid.square(x))

    def pooled(self, inputs: PyTree, *, train: bool = False) -> jax.Array:
        """Returns [b, width], the first token's vector through a dense layer and tanh.

        BERT trained it to tell whether two sentences follow each other. Called as `features` is;
        the network needs the parameters of `pooler`.
        """
        return nn.tanh(self.pooler(self.features(inputs, train=train)[:, 0]))

    def _parts(self, inputs: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns ids, mask and types, or says what is wrong with them."""
        if not isinstance(inputs, dict) or not {"ids", "mask"} <= inputs.keys():
            got = sorted(inputs) if isinstance(inputs, dict) else "something else"
            raise TaskError(
                f"Bert needs inputs {{'ids': int[b, t], 'mask': bool[b, t]}}, got {got}; tokenise "
                "the texts first."
            )
        ids, mask = inputs["ids"], inputs["mask"]
        types = inputs.get("types", jnp.zeros_like(ids))
        check_tokens(ids, "Bert")
        if mask.shape != ids.shape or mask.dtype != jnp.bool_:
            raise TaskError(
                f"Bert needs inputs['mask'] bool{list(ids.shape)} as the ids, got "
                f"{mask.dtype}{list(mask.shape)}; give ids != pad."
            )
        if types.shape != ids.shape or not jnp.issubdtype(types.dtype, jnp.integer):
            raise TaskError(
                f"Bert needs inputs['types'] int{list(ids.shape)} as the ids, got "
                f"{types.dtype}{list(types.shape)}; leave it out for texts of one segment."
            )
        if ids.shape[1] > self.length:
            raise TaskError(
                f"Bert.length is {self.length}, got texts of {ids.shape[1]} tokens, for which it "
                "has no positions; cut them to that length or into windows."
            )
        return ids, mask, types


class _Embeddings(nn.Module):
    """What the first block sees: the sum of three tables, normalised."""

    vocabulary: int
    width: int
    length: int
    types: int
    first_position: int
    epsilon: float
    dropout: Any
    dtype: Any

    @nn.compact
    def __call__(
        self, ids: jax.Array, mask: jax.Array, types: jax.Array, grid: Grid, *, train: bool
    ) -> jax.Array:
        """Returns [n, width], a row for each token of the grid."""

        def table(rows: int, name: str) -> nn.Embed:
            init = nn.initializers.normal(0.02)
            return nn.Embed(rows, self.width, dtype=self.dtype, embedding_init=init, name=name)

        if self.first_position:
            # Padding may stand anywhere: the k-th token gets the k-th position.
            places = jnp.cumsum(mask, axis=1, dtype=jnp.int32) * mask + self.first_position - 1
        else:
            places = jnp.arange(ids.shape[1])[None]
        x = table(self.vocabulary, "tokens")(grid.flat(ids))
        rows = self.length + self.first_position
        at = table(rows, "positions")(places)  # once for all texts, where they have the same
        x += grid.flat(jnp.broadcast_to(at, (*ids.shape, self.width)))
        if self.types:
            x += table(self.types, "types")(grid.flat(types))
        x = nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name="norm")(x)
        return Dropout(self.dropout, deterministic=not train)(x)
