"""Weights by their public names give the logits of the reference, for every variant."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from t5_golden.t5_weights import CONFIGS, SIZES, inputs_of
from t5_nets import GOLDEN, small_t5

from jrecipe.finetune.t5_names import t5_aliases, t5_module, t5_name, t5_unused
from jrecipe.models import t5 as t5_file
from jrecipe.types import TaskError

names = pytest.mark.parametrize("name", CONFIGS)


@names
def test_logits_are_those_of_the_reference(name):
    module, params = small_t5(name)
    inputs = inputs_of()

    @jax.jit
    def run(params):
        variables = {"params": params}
        return module.apply(variables, inputs), module.apply(variables, inputs, method="encode")

    logits, states = run(params)
    with np.load(GOLDEN) as golden:
        want_logits, want_states = golden[f"{name}_logits"], golden[f"{name}_encoded"]
    written, read = inputs["decoder_mask"], inputs["mask"]
    assert np.std(want_logits[written]) > 0.5
    np.testing.assert_allclose(logits[written], want_logits[written], atol=1e-4)
    np.testing.assert_allclose(states[read], want_states[read], atol=1e-4)


@names
def test_names_are_those_of_the_reference_and_no_others(name):
    module, params = small_t5(name)
    paths = [
        tuple(key.key for key in path)
        for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]
    ]
    ours = [t5_name(path) for path in paths]
    with np.load(GOLDEN) as golden:
        assert sorted(ours) == golden[f"{name}_names"].tolist()
    further = [alias for names in t5_aliases(module).values() for alias in names]
    assert not set(further) & set(ours)
    assert ("lm_head.weight" in further) == module.tied
    assert t5_unused("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight")
    assert not any(t5_unused(name) for name in (*ours, *further))


def test_every_field_of_the_config_is_read():
    config = json.loads(json.dumps(CONFIGS["gated_untied"]))
    module = t5_module(config | {"dropout_rate": 0.25, "model_type": "mt5"})
    assert module == t5_file.T5(
        vocabulary=23,
        width=12,
        depth=3,
        decoder_depth=2,
        heads=3,
        head_width=5,
        hidden=17,
        gated=True,
        tied=False,
        buckets=8,
        farthest=11,
        dropout=0.25,
        epsilon=1e-3,
    )
    plain = {
        name: SIZES[name] for name in SIZES if not name.startswith(("rel", "layer", "num_dec"))
    }
    assert t5_module(plain) == t5_file.T5(
        23, width=12, depth=3, heads=3, head_width=5, hidden=17, decoder_depth=None
    )


def test_a_config_that_later_versions_write_of_t5_1_1_is_understood():
    later = CONFIGS["gated_tied"] | {"tie_word_embeddings": True}
    assert t5_module(later).tied
    assert not t5_module(later | {"scale_decoder_outputs": False}).tied
    assert t5_module(later | {"scale_decoder_outputs": True}).tied


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "umt5"}, "model_type='umt5'"),
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj='gated-silu'"),
        ({"d_kv": None}, "lacks d_kv"),
        ({"d_ff": "many", "num_heads": None}, "lacks num_heads, d_ff"),
    ],
)
def test_configs_of_other_networks_are_refused(change, message):
    with pytest.raises(TaskError, match=message) as caught:
        t5_module(SIZES | change)
    assert "\n" not in str(caught.value)
