"""Which group of words a text holds most of; a transformer encoder in Linen, with padding."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.splits import Array, Data, halves, rng_of


def texts(seed: int) -> Data:
    """Returns `{"ids": int[n, 12], "mask": bool[n, 12]}` and the group that most tokens are of."""
    rng, n, length = rng_of("texts", seed), 2400, 12
    lengths = rng.integers(6, length + 1, n)
    mask = np.arange(length) < lengths[:, None]
    lean = rng.integers(0, 3, n)
    group = np.where(rng.random((n, length)) < 0.4, lean[:, None], rng.integers(0, 3, (n, length)))
    ids = np.where(mask, 1 + 7 * group + rng.integers(0, 7, (n, length)), 0)
    counts = np.stack([((group == k) & mask).sum(axis=1) for k in range(3)], axis=1)
    top = np.sort(counts, axis=1)
    kept = np.flatnonzero(top[:, 2] > top[:, 1])[:1300]
    return {"ids": ids[kept], "mask": mask[kept]}, counts.argmax(axis=1)[kept]


class Attention(nn.Module):
    """One head of attention between the tokens of a text."""

    mix: str = "bqk,bkd->bqd"
    inverted: bool = False

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Returns [b, t, d] from [b, t, d] and the mask of what is real."""
        q, k, v = (nn.Dense(x.shape[-1], use_bias=False, name=n)(x) for n in ("query", "key", "v"))
        scores = jnp.einsum("bqd,bkd->bqk", q, k) / np.sqrt(x.shape[-1])
        seen = ~mask if self.inverted else mask
        scores = jnp.where(seen[:, None, :], scores, -1e9)
        mixed = jnp.einsum(self.mix, nn.softmax(scores), v)
        return nn.Dense(x.shape[-1], name="out")(mixed)


class Block(nn.Module):
    """Attention and an MLP, each beside a residual."""

    mix: str
    inverted: bool

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Returns [b, t, d] from [b, t, d] and the mask of what is real."""
        x = x + Attention(self.mix, self.inverted, name="attention")(nn.LayerNorm()(x), mask)
        return x + nn.Dense(x.shape[-1])(nn.gelu(nn.Dense(48)(nn.LayerNorm()(x))))


class Encoder(nn.Module):
    """Two blocks, and the mean over the tokens.

    Attributes:
      mixes: how each block joins attention and values.
      inverted: whether attention sees what it must not.
      pool_all: whether the mean is taken over padding too.
    """

    mixes: tuple[str, ...] = ("bqk,bkd->bqd", "bqk,bkd->bqd")
    inverted: bool = False
    pool_all: bool = False

    @nn.compact
    def __call__(self, inputs: Any) -> Array:
        """Returns logits [b, 3] of ids and mask."""
        ids, mask = inputs["ids"], inputs["mask"]
        place = self.param("place", nn.initializers.normal(0.3), (ids.shape[1], 24))
        x = nn.Embed(22, 24, embedding_init=nn.initializers.normal(1.0), name="embed")(ids) + place
        for i, mix in enumerate(self.mixes):
            x = Block(mix, self.inverted, name=f"block_{i}")(x, mask)
        counted = jnp.ones_like(mask) if self.pool_all else mask
        weight = counted[..., None].astype(x.dtype)
        x = (nn.LayerNorm(name="norm")(x) * weight).sum(axis=1) / weight.sum(axis=1)
        return nn.Dense(3, name="head")(x)


def text_task(seed: int, model: Encoder, **changes: Any) -> jr.Task:
    given = {
        "model": model,
        "loss": jr.losses.softmax_cross_entropy(),
        **halves(*texts(seed), seed),
    }
    return jr.Task(**{**given, "optimizer": optax.adam(1e-3), "batch_size": 64, **changes})


def texts_twin(seed: int) -> jr.Task:
    return text_task(seed, Encoder())


def texts_padding_read(seed: int, strength: Strength) -> jr.Task:
    """Attention sees the padding and nothing else; weakly, the mean counts the padding too."""
    return text_task(seed, pick(strength, Encoder(inverted=True), Encoder(pool_all=True)))


def texts_wrong_letter(seed: int, strength: Strength) -> jr.Task:
    """A letter in an einsum is wrong, and attention's weights only add up to 1 there.

    Every token gets its own value back, so queries and keys do nothing; weakly, in one block.
    """
    right, wrong = "bqk,bkd->bqd", "bqk,bqd->bqd"
    return text_task(seed, Encoder(mixes=pick(strength, (wrong, wrong), (right, wrong))))


def trained_modules(*names: str) -> optax.GradientTransformation:
    """Returns Adam for the modules that begin with one of the names; the others stand still."""

    def groups(params: Any) -> Any:
        chosen = {module: "on" if module.startswith(names) else "off" for module in params}
        return jax.tree_util.tree_map_with_path(lambda path, _: chosen[path[0].key], params)

    return optax.multi_transform({"on": optax.adam(1e-3), "off": optax.set_to_zero()}, groups)


def texts_module_missed(seed: int, strength: Strength) -> jr.Task:
    """The optimiser's groups name "blocks", which nothing is called; weakly, one block of two."""
    named = pick(strength, "blocks", "block_0")
    optimizer = trained_modules("embed", "place", named, "norm", "head")
    return text_task(seed, Encoder(), optimizer=optimizer)


def texts_groups_twin(seed: int) -> jr.Task:
    optimizer = trained_modules("embed", "place", "block_", "norm", "head")
    return text_task(seed, Encoder(), optimizer=optimizer)


model, optimizer = planter("model"), planter("optimizer")

FAULTS: tuple[Fault, ...] = (
    model(
        "texts_encoder/padding-read",
        texts_padding_read,
        texts_twin,
        "padding does not reach the outputs",
        "padding-read",
        "model",
    ),
    model(
        "texts_encoder/wrong-letter",
        texts_wrong_letter,
        texts_twin,
        "outputs depend on every parameter",
        "parameters-unused gradient-cut",
        "model",
        "query",
        "key",
    ),
    optimizer(
        "texts_encoder/module-missed",
        texts_module_missed,
        texts_groups_twin,
        "every parameter is updated",
        "leaf-not-in-optimizer parameters-frozen",
        "optimizer",
        "block_",
    ),
)
HEALTHY: tuple[Healthy, ...] = ()
