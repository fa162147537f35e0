"""Weights by their public names give the logits of the reference, for every variant."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from t5_golden.t5_weights import CONFIGS, SIZES, inputs_of
from t5_nets import GOLDEN, file_of, small_t5
from weight_folders import stored

from jrecipe.finetune.load import load_pretrained
from jrecipe.finetune.t5_folder import write_t5
from jrecipe.finetune.t5_names import t5_module, t5_name
from jrecipe.models import t5 as t5_file
from jrecipe.types import TaskError

names = pytest.mark.parametrize("name", CONFIGS)


@pytest.mark.exhaustive
@pytest.mark.thin(4)
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


@pytest.mark.thin(3)
@names
def test_names_are_those_of_the_reference_and_no_others(name):
    params = small_t5(name)[1]
    paths = [
        tuple(key.key for key in path)
        for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]
    ]
    ours = [t5_name(path) for path in paths]
    with np.load(GOLDEN) as golden:
        assert sorted(ours) == golden[f"{name}_names"].tolist()


@pytest.mark.parametrize("name", ["relu_tied", "gated_untied"])
def test_a_folder_gives_the_network_whatever_names_its_embedding_has(name, tmp_path):
    arrays = file_of(name)
    old = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    shared = arrays.pop("shared.weight")
    copies = ["shared.weight"], ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    for i, names in enumerate(copies):
        held = arrays | dict.fromkeys(names, shared)
        if i:
            held[old] = np.ones((8, 3), np.float32)
        folder = stored(tmp_path / str(i), CONFIGS[name], held)
        found = load_pretrained(folder)
        assert found.module == small_t5(name)[0]
        jax.tree.map(np.testing.assert_array_equal, found.params, small_t5(name)[1])
        assert found.unused == ((old,) if i else ())


def test_a_head_of_a_tied_network_is_its_embedding(tmp_path):
    arrays = file_of("relu_tied")
    again = stored(
        tmp_path, CONFIGS["relu_tied"], arrays | {"lm_head.weight": arrays["shared.weight"]}
    )
    found = load_pretrained(again)
    jax.tree.map(np.testing.assert_array_equal, found.params, small_t5("relu_tied")[1])


def test_a_pointer_is_kept_under_a_type_that_other_libraries_refuse(tmp_path):
    sizes = {"width": 8, "depth": 1, "heads": 2, "head_width": 4, "hidden": 8, "decoder_depth": 1}
    net = t5_file.T5(12, **sizes, copies=True)
    shapes = jax.eval_shape(net.init, jax.random.key(0), inputs_of())["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    write_t5(tmp_path, net, params)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "t5-pointer"
    found = load_pretrained(tmp_path)
    assert found.module == net
    assert not found.unused
    jax.tree.map(np.testing.assert_array_equal, found.params, params)


@pytest.mark.parametrize("gone", ["shared.weight", "lm_head.weight"])
def test_what_a_folder_lacks_is_named(gone, tmp_path):
    arrays = file_of("gated_untied")
    del arrays[gone]
    with pytest.raises(TaskError, match=rf"lacks {gone}"):
        load_pretrained(stored(tmp_path, CONFIGS["gated_untied"], arrays))


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
