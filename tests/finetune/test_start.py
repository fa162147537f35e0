"""A task's network starts with the loaded encoder, bit for bit, and a head of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from t5_golden.t5_weights import CONFIGS, inputs_of
from t5_nets import file_of, small_t5
from weight_folders import stored, tiny

import jrecipe as jr
from jrecipe.finetune.load import load_pretrained
from jrecipe.finetune.start import start_from
from jrecipe.types import TaskError


def texts(rows=8):
    ids = np.random.default_rng(0).integers(1, 11, (rows, 6)).astype(np.int32)
    return {"ids": ids, "mask": np.ones_like(ids, bool)}


def leaves(tree):
    return jax.tree_util.tree_leaves_with_path(tree)


@pytest.mark.exhaustive
def test_the_encoder_is_the_loaded_one_and_the_head_is_drawn(tmp_path):
    found = load_pretrained(tiny(tmp_path))
    assert "pooler" in found.params
    model = start_from(jr.models.TextClassifier(found.module, 3, head_init="lecun"), found)
    one, other = (model.init(jax.random.key(seed), texts())[0] for seed in (0, 1))
    assert sorted(one) == ["encoder", "head"]
    assert "pooler" not in one["encoder"]  # nothing would ever train it
    for (path, leaf), (_, again) in zip(
        leaves(one["encoder"]), leaves(other["encoder"]), strict=True
    ):
        want = found.params
        for key in path:
            want = want[key.key]
        np.testing.assert_array_equal(leaf, want)
        np.testing.assert_array_equal(leaf, again)
    heads = (np.concatenate([leaf.ravel() for _, leaf in leaves(p["head"])]) for p in (one, other))
    assert not np.array_equal(*heads)


@pytest.mark.exhaustive
def test_a_task_trains_from_there_and_leaves_what_was_loaded_alone(tmp_path):
    found = load_pretrained(tiny(tmp_path))
    before = jax.tree.map(np.copy, found.params)
    data = texts(), (np.arange(8) % 2).astype(np.int32)
    task = jr.Task(
        model=start_from(jr.models.TextClassifier(found.module, 2, dropout=0.0), found),
        loss=jr.losses.softmax_cross_entropy(),
        train=data,
        val=data,
        optimizer=optax.adam(1e-3),
        batch_size=4,
    )
    fit = jr.fit(task, 3, progress=False)
    moved = fit.state.params["encoder"]["layer_0"]["query"]["kernel"]
    assert float(jnp.abs(moved - before["layer_0"]["query"]["kernel"]).max()) > 1e-4
    jax.tree.map(np.testing.assert_array_equal, found.params, before)


@pytest.mark.exhaustive
def test_another_encoder_is_refused(tmp_path):
    found = load_pretrained(tiny(tmp_path))
    deeper = found.module.clone(depth=found.module.depth + 1)
    model = start_from(jr.models.TextClassifier(deeper, 2), found)
    with pytest.raises(TaskError, match="no parameter encoder/layer_"):
        model.init(jax.random.key(0), texts())


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["relu_tied", "gated_untied"])
def test_a_whole_t5_starts_as_loaded_its_last_layer_too(name, tmp_path):
    module, params = small_t5(name)
    found = load_pretrained(stored(tmp_path, CONFIGS[name], file_of(name)))
    begun = start_from(found.module, found).init(jax.random.key(3), inputs_of())[0]
    jax.tree.map(np.testing.assert_array_equal, begun, params)
    assert ("head" in begun) != module.tied
