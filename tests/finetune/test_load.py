"""Encoders load from public files, give what transformers gave, and say what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from golden.bert_arrays import CONFIGS, arrays_of, texts
from weight_folders import sharded, stored, tiny

from jrecipe.finetune.load import load_pretrained
from jrecipe.types import TaskError

GOLDEN = Path(__file__).parent / "golden" / "bert.npz"
WIDTH = 12
PREFIX = {"bert": "bert.", "distilbert": "distilbert.", "roberta": "roberta."}


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.thin(9)
@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_equal_those_of_transformers(name, tmp_path):
    found = load_pretrained(tiny(tmp_path, name))
    with np.load(GOLDEN) as golden:
        want = {k: golden[f"{name}_{k}"] for k in ("features", "pooled") if f"{name}_{k}" in golden}
    assert ("pooled" in want) == ("pooler" in found.params) == (found.module.types > 0)

    @jax.jit
    def run(params, text):
        return {k: found.module.apply({"params": params}, text, method=k) for k in want}

    got = run(found.params, texts(name))
    for kind, value in want.items():
        assert np.abs(value[0] - value[1]).max() > 0.1
        np.testing.assert_allclose(got[kind], value, rtol=0, atol=1e-4)  # those of padding too


@pytest.mark.parametrize("name", PREFIX)
def test_networks_for_a_task_give_their_encoder_and_name_the_rest(name, tmp_path):
    arrays = {PREFIX[name] + key: a for key, a in arrays_of(CONFIGS[name]).items()}
    heads = {"classifier.weight": np.ones((2, WIDTH), np.float32), "mine.x": np.ones(3, np.float32)}
    buffer = {PREFIX[name] + "embeddings.position_ids": np.arange(9)[None]}
    plain = load_pretrained(tiny(tmp_path / "plain", name))
    found = load_pretrained(stored(tmp_path / "task", CONFIGS[name], arrays | heads | buffer))
    same(plain.params, found.params)
    assert plain.unused == ()
    assert found.unused == tuple(sorted(heads | buffer))


def test_a_network_without_pooler_has_none_and_heads_without_prefix_are_known(tmp_path):
    gone = {"pooler.dense.weight": None, "pooler.dense.bias": None}
    head = {"qa_outputs.bias": np.ones(2, np.float32)}
    found = load_pretrained(tiny(tmp_path, "bert", **gone, **head))
    assert list(found.params) == ["embeddings", "layer_0", "layer_1"]
    assert found.unused == ("qa_outputs.bias",)


def test_old_names_of_norms_and_shards_and_other_names_of_the_file_give_the_same(tmp_path):
    config, arrays = CONFIGS["bert"], arrays_of(CONFIGS["bert"])
    plain = load_pretrained(tiny(tmp_path / "plain"))
    norms = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    old = {}
    for name, array in arrays.items():
        for new, before in norms.items():
            name = name.replace(new, before)
        old[name] = array
    assert len(old.keys() & arrays.keys()) == len(arrays) - 10
    same(plain.params, load_pretrained(stored(tmp_path / "old", config, old)).params)
    same(plain.params, load_pretrained(sharded(tmp_path / "shards", config, arrays)).params)
    named = stored(tmp_path / "named", config, arrays, "weights.safetensors")
    same(plain.params, load_pretrained(named).params)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_floats_become_float32(dtype, tmp_path):
    arrays = {name: array.astype(dtype) for name, array in arrays_of(CONFIGS["bert"]).items()}
    found = load_pretrained(stored(tmp_path, CONFIGS["bert"], arrays))
    assert {leaf.dtype for leaf in jax.tree.leaves(found.params)} == {np.dtype(np.float32)}
    table = arrays["embeddings.word_embeddings.weight"].astype(np.float32)
    same(found.params["embeddings"]["tokens"]["embedding"], table)


def test_the_folder_says_what_belongs_to_the_weights(tmp_path):
    tiny(tmp_path)
    (tmp_path / "vocab.txt").write_text("a\n")
    (tmp_path / "README.md").write_text("a\n")
    found = load_pretrained(str(tmp_path))
    assert found.folder == tmp_path
    assert found.tokenizer_files == {"vocab.txt": tmp_path / "vocab.txt"}
    assert found.config == CONFIGS["bert"]


ONES = np.ones(WIDTH, np.float32)
QUERY = "encoder.layer.0.attention.self.query.bias"
MISFITS = {
    "missing": ({QUERY: None}, [f"lacks {QUERY}"]),
    "pooler": ({"pooler.dense.bias": None}, ["lacks pooler.dense.bias"]),
    "extra": ({"encoder.layer.0.adapter.bias": ONES}, ["unknown encoder.layer.0.adapter.bias"]),
    "layer": ({"encoder.layer.2.output.dense.bias": ONES}, ["unknown encoder.layer.2"]),
    "unheard": ({"mine.x": ONES}, ["unknown mine.x"]),
    "twice": (
        {"embeddings.LayerNorm.gamma": ONES},
        ["unknown embeddings.LayerNorm.gamma"],
    ),
    "shape": ({QUERY: ONES[:3]}, [f"{QUERY} [3] instead of [12]"]),
    "axes": (
        {"encoder.layer.1.output.dense.weight": np.ones((20, 12), np.float32)},
        ["[12, 20] instead of [20, 12]"],
    ),
    "vocabulary": (
        {"embeddings.word_embeddings.weight": np.ones((30, 12), np.float32)},
        ["word_embeddings.weight [30, 12] instead of [31, 12]"],
    ),
    "integers": ({QUERY: np.ones(WIDTH, np.int64)}, [f"as whole numbers {QUERY} int64"]),
    "booleans": ({QUERY: np.ones(WIDTH, bool)}, [f"as whole numbers {QUERY} bool"]),
}


def refused(folder, *words):
    with pytest.raises(TaskError) as error:
        load_pretrained(folder)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.thin(3)
@pytest.mark.parametrize("case", MISFITS)
def test_tensors_that_do_not_fit_are_named(case, tmp_path):
    changes, words = MISFITS[case]
    refused(tiny(tmp_path, "bert", **changes), str(tmp_path), *words)


def test_folders_that_lack_something_are_named(tmp_path):
    refused(tmp_path / "absent", "absent is no folder", "config.json", "hub:OWNER/NAME")
    refused(tmp_path, "no config.json")
    tiny(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (whole[:-1], whole[:100], whole[:4], b""):
        weights.write_bytes(damaged)
        refused(tmp_path, "model.safetensors cannot be read as safetensors")
    weights.unlink()
    refused(tmp_path, "has no model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    refused(tmp_path, "only pickled weights (pytorch_model.bin)", "runs whatever code")
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(whole)
    refused(tmp_path, "2 files of weights (a.safetensors, b.safetensors)", "index.json")


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("{", "no index of shards"),
        ("[]", "no index of shards"),
        ('{"weight_map": 3}', "no index of shards"),
        ('{"weight_map": {"a": 3}}', "no index of shards"),
        ('{"weight_map": {"a": "../a.safetensors"}}', "which is no file beside it"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "gone.safetensors does not exist"),
        ('{"weight_map": {"a": "pytorch_model.bin"}}', "pickled format"),
    ],
)
def test_an_index_that_leads_nowhere_is_named(index, words, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["bert"]))
    (tmp_path / "model.safetensors.index.json").write_text(index)
    refused(tmp_path, words)


def test_a_shard_without_its_tensors_is_named(tmp_path):
    sharded(tmp_path, CONFIGS["bert"], arrays_of(CONFIGS["bert"]))
    index = tmp_path / "model.safetensors.index.json"
    held = json.loads(index.read_text())
    held["weight_map"][QUERY + "x"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(held))
    refused(tmp_path, f"places {QUERY}x in model-00001-of-00002.safetensors")
