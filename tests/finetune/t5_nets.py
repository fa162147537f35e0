"""The small T5s of `t5_golden`, with their weights, and a network whose answers are a table."""

from __future__ import annotations

import functools
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from t5_golden.t5_weights import CONFIGS, array_of, inputs_of

from jrecipe.finetune.t5_names import t5_module, t5_name
from jrecipe.models.cache import Cache

GOLDEN = Path(__file__).parent / "t5_golden" / "t5_golden.npz"


def variants(names):
    """Returns `names` as cases of a test; those that no public weights have are slow ones."""
    rare = ("relu_untied", "gated_tied")
    return [pytest.param(n, marks=[pytest.mark.slow] * (n in rare)) for n in names]


@functools.cache
def small_t5(name):
    """Returns `(module, params)` of a config, its weights by the public names."""
    module = t5_module(CONFIGS[name])
    shapes = jax.eval_shape(module.init, jax.random.key(0), inputs_of())["params"]

    def fill(path, leaf):
        path = tuple(key.key for key in path)
        turned = path[-1] == "kernel"
        array = array_of(t5_name(path), leaf.shape[::-1] if turned else leaf.shape)
        return array.T if turned else array

    return module, jax.tree_util.tree_map_with_path(fill, shapes)


def file_of(name):
    """Returns the arrays of a small T5 as a file holds them."""
    return {
        t5_name(path): leaf.T if path[-1] == "kernel" else leaf
        for path, leaf in (
            (tuple(key.key for key in path), np.asarray(leaf))
            for path, leaf in jax.tree_util.tree_flatten_with_path(small_t5(name)[1])[0]
        )
    }


class Table(nn.Module):
    """Answers by the last two tokens, for each example by a table of its own: float32[b, v, v, v].

    What it reads is its cache's alone: the token before the last is what each beam has to itself.
    """

    def begin(self, inputs, beams, length):
        return Cache(own=jnp.zeros((len(inputs), beams), jnp.int32), shared=inputs)

    def step(self, tokens, position, cache):
        rows = jnp.arange(len(tokens))[:, None]
        return cache.shared[rows, cache.own, tokens], cache._replace(own=tokens)


def table_of(rng: np.random.Generator, rows: int, words: int, scale: float = 2.0) -> np.ndarray:
    """Returns logits float32[rows, words, words, words]."""
    return (scale * rng.normal(size=(rows, words, words, words))).astype(np.float32)


def said(table, ids):
    """Returns the log-probability of the tokens `ids`, written from the start token 0."""
    total, before, last = 0.0, 0, 0
    for token in ids:
        logits = table[before, last].astype(np.float64)
        total += logits[token] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        before, last = last, token
    return total
