"""An encoder that is written is an encoder that is read, and a configuration is checked."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from golden.bert_arrays import CONFIGS
from safetensors import safe_open
from weight_folders import tiny

from jrecipe.finetune.config import config_of, encoder_of
from jrecipe.finetune.folder import write_encoder
from jrecipe.finetune.load import load_pretrained
from jrecipe.models import Bert
from jrecipe.types import TaskError


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_written_is_bit_by_bit_what_was_read(name, tmp_path):
    source = tiny(tmp_path / "source", name)
    found = load_pretrained(source)
    write_encoder(tmp_path / "written", found.module, found.params, config=found.config)
    again = load_pretrained(tmp_path / "written")
    assert (again.module, again.config, again.unused) == (found.module, found.config, ())
    jax.tree.map(np.testing.assert_array_equal, again.params, found.params)
    with (
        safe_open(source / "model.safetensors", "np") as old,
        safe_open(tmp_path / "written" / "model.safetensors", "np") as new,
    ):
        assert new.metadata() == {"format": "pt"}
        assert set(old.keys()) == set(new.keys())
        for key in new.keys():  # noqa: SIM118 (a file, not a dict)
            np.testing.assert_array_equal(old.get_tensor(key), new.get_tensor(key))
    assert sorted(path.name for path in (tmp_path / "written").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.exhaustive
def test_a_network_of_ones_own_is_written_and_what_was_changed_is_kept(tmp_path):
    size = {"vocabulary": 9, "width": 4, "depth": 1, "heads": 2, "hidden": 6, "length": 5}
    for fields in (
        {"epsilon": 1e-6},
        {"types": 0, "dropout": 0.3},
        {"first_position": 2, "types": 1},
    ):
        module = Bert(**size, **fields)
        text = {"ids": np.zeros((1, 2), np.int32), "mask": np.ones((1, 2), bool)}
        params = module.init(jax.random.key(0), text)["params"]
        write_encoder(tmp_path, module, params)
        again = load_pretrained(tmp_path)
        assert again.module == module
        jax.tree.map(np.testing.assert_array_equal, again.params, params)
    changed = config_of(module.clone(dropout=0.0), again.config | {"my_note": 3})
    assert (changed["hidden_dropout_prob"], changed["my_note"]) == (0.0, 3)


@pytest.mark.parametrize(
    ("fields", "base", "words"),
    [
        ({"types": 0, "epsilon": 1e-5}, None, ["Bert.epsilon=1e-05", "distilbert", "1e-12"]),
        ({}, CONFIGS["distilbert"], ["Bert.types=2", "distilbert", "means 0"]),
        ({}, CONFIGS["roberta"], ["Bert.length=512", "roberta"]),
        ({"types": 0, "first_position": 2}, None, ["type_vocab_size", "got 0"]),
    ],
)
def test_a_network_that_no_configuration_describes_is_refused(fields, base, words):
    with pytest.raises(TaskError) as error:
        config_of(Bert(**fields), base)
    for word in words:
        assert word in str(error.value)


BERT, ROBERTA = CONFIGS["bert"], CONFIGS["roberta"]


def without(config, *names):
    return {name: value for name, value in config.items() if name not in names}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (BERT | {"model_type": "xlnet"}, ["model_type", "bert, distilbert, roberta", "'xlnet'"]),
        (without(BERT, "model_type"), ["model_type", "None"]),
        (BERT | {"model_type": ["bert"]}, ["model_type", "['bert']"]),
        (without(BERT, "hidden_size", "vocab_size"), ["lacks vocab_size, hidden_size"]),
        (without(CONFIGS["distilbert"], "n_heads"), ["lacks n_heads"]),
        (BERT | {"hidden_size": "12"}, ["hidden_size", "whole number above 0", "'12'"]),
        (BERT | {"num_hidden_layers": 0}, ["num_hidden_layers", "got 0"]),
        (BERT | {"vocab_size": True}, ["vocab_size", "got True"]),
        (BERT | {"hidden_act": "silu"}, ["hidden_act", "gelu, gelu_new, relu", "'silu'"]),
        (BERT | {"hidden_act": ["gelu"]}, ["hidden_act", "['gelu']"]),
        (BERT | {"hidden_dropout_prob": 1.0}, ["hidden_dropout_prob", "[0, 1)", "1.0"]),
        (BERT | {"layer_norm_eps": 0}, ["layer_norm_eps", "above 0", "got 0"]),
        (BERT | {"position_embedding_type": "relative_key"}, ["'relative_key'", "'absolute'"]),
        (BERT | {"is_decoder": True}, ["is_decoder=True"]),
        (ROBERTA | {"pad_token_id": None}, ["pad_token_id", "None"]),
        (ROBERTA | {"pad_token_id": 10}, ["pad_token_id", "got 10 and 11"]),
    ],
)
def test_a_configuration_that_cannot_be_followed_is_named(config, words):
    with pytest.raises(TaskError) as error:
        encoder_of(config, "there/config.json")
    for word in ("there/config.json", *words):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_what_has_a_usual_value_may_be_left_out():
    short = without(BERT, "hidden_act", "layer_norm_eps", "hidden_dropout_prob", "pad_token_id")
    assert encoder_of(short, "") == encoder_of(BERT, "")
    assert encoder_of(without(ROBERTA, "pad_token_id"), "").first_position == 2


@pytest.mark.parametrize("held", [b"{", b"[]", b"\xff\xfe{}", json.dumps("bert").encode()])
def test_a_file_that_holds_no_configuration_is_named(held, tmp_path):
    (tmp_path / "config.json").write_bytes(held)
    with pytest.raises(TaskError, match=r"config\.json (is|holds) no JSON"):
        load_pretrained(tmp_path)
