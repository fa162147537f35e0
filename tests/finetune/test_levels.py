"""The parts of a network from bottom to top."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jrecipe as jr
from jrecipe.finetune.levels import level_of, levels, patterns_below
from jrecipe.train import frozen_mask

TEXT = {"ids": jnp.ones((2, 4), jnp.int32), "mask": jnp.ones((2, 4), bool)}


def bert(depth: int = 2) -> jr.models.Bert:
    return jr.models.Bert(30, width=8, depth=depth, heads=2, hidden=16, length=8, dropout=0.0)


def shapes_of(net, inputs=TEXT):
    return jax.eval_shape(jr.models.as_model(net).init, jax.random.key(0), inputs)[0]


def test_bert_under_a_head():
    params = shapes_of(jr.models.TextClassifier(bert(), outputs=3))
    parts = levels(params)
    assert parts == (
        ("encoder/embeddings",),
        ("encoder/layer_0",),
        ("encoder/layer_1",),
        ("head",),
    )
    assert level_of("encoder/layer_1/query/kernel", parts) == 2
    assert level_of("head/dense/bias", parts) == 3
    assert patterns_below(parts, 0) == ()
    assert patterns_below(parts, 2) == ("encoder/embeddings/*", "encoder/layer_0/*")


def test_layers_with_two_digits_are_told_apart():
    layer = {"kernel": np.zeros(1)}
    parts = levels({"encoder": {f"layer_{i}": layer for i in range(12)}, "head": layer})
    assert level_of("encoder/layer_1/kernel", parts) == 2
    assert level_of("encoder/layer_11/kernel", parts) == 12
    mask = frozen_mask(
        {"encoder": {f"layer_{i}": layer for i in range(12)}}, patterns_below(parts, 3)
    )
    assert sum(jax.tree.leaves(mask)) == 2


def test_a_decoder_stands_on_its_encoder_and_every_parameter_is_in_one_level():
    net = jr.models.T5(50, width=16, depth=2, heads=2, head_width=8, hidden=32)
    params = shapes_of(net, {**TEXT, "decoder_ids": TEXT["ids"]})
    parts = levels(params)
    assert parts[2] == ("encoder/layer_1", "encoder/norm")
    assert parts[4] == ("decoder/layer_1", "decoder/norm")
    assert "shared" in parts[0]
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for path, _ in leaves:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        above = [any(name.startswith(f"{p}/") for p in level) for level in parts]
        assert sum(above) == 1, name


def test_a_pair_has_no_head_and_other_networks_no_levels():
    two = {"first": TEXT, "second": TEXT}
    assert levels(shapes_of(jr.models.PairSimilarity(bert()), two))[-1] == ()
    with pytest.raises(jr.TaskError, match=r"encoder/layer_0/\.\.\., got w, \.\.\."):
        levels({"w": np.zeros(1)})
