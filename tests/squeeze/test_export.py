"""What is exported answers as the network does, in a process without it, or is not written."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_tasks import plain, small
from squeezed_networks import inputs_of, network, odd, texts

import jrecipe as jr
from jrecipe.squeeze import (
    Meaning,
    Network,
    TaskNetwork,
    ensemble_of,
    export,
    is_exported,
    load_exported,
    low_rank,
    network_of,
    quantise,
)

ROOT = Path(jr.__file__).parents[1]
needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("jax2onnx") is None, reason="needs jax2onnx, the extra `onnx`"
)
needs_flatbuffers = pytest.mark.skipif(
    importlib.util.find_spec("flatbuffers") is None, reason="needs the extra `export`"
)
pytestmark = needs_flatbuffers
FORMATS = ["stablehlo", pytest.param("onnx", marks=needs_onnx)]


def dense():
    inputs = inputs_of(50, 16)
    return network(plain(), inputs), inputs


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("make", [dense, odd, pytest.param(texts, marks=pytest.mark.slow)])
def test_batches_of_any_size_answer_as_the_network(tmp_path, to, make):
    original, inputs = make()
    exported = export(original, tmp_path / "out", to=to, inputs=inputs)
    assert left(tmp_path) == ["out"]
    assert exported.record["checked"]["examples"] == len(jax.tree.leaves(inputs)[0])
    for size in (1, 3, 17):
        few = jax.tree.map(lambda x, size=size: x[:size], inputs)
        want, got = original(few), load_exported(tmp_path / "out").outputs(few)
        assert jax.tree.structure(want) == jax.tree.structure(got)
        for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(got), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("to", FORMATS)
def test_8_bits_stay_8_bits_in_the_file(tmp_path, to):
    inputs = inputs_of(8, 100)
    original = network(jr.models.MLP(10, width=100), inputs)
    whole = export(original, tmp_path / "whole", to=to, inputs=inputs)
    small = export(quantise(original), tmp_path / "small", to=to, inputs=inputs)
    assert small.record["bytes"] < 0.45 * whole.record["bytes"]  # the program is in both
    np.testing.assert_allclose(small.outputs(inputs), quantise(original)(inputs), atol=1e-5)


@pytest.mark.exhaustive
def test_an_ensemble_is_exported_as_one_network_with_its_calibrated_mean(tmp_path):
    task = small(model=plain())
    inputs = task.val.take(np.arange(20))[0]
    drawn = [network(plain(), inputs, seed) for seed in (0, 1)]
    members = [TaskNetwork(task=task, params=one.params, model_state=one.state) for one in drawn]
    joined = dataclasses.replace(ensemble_of(task, members), temperature=1.7)
    found = export(joined, tmp_path / "out", inputs=inputs).outputs(inputs)
    np.testing.assert_allclose(found, joined.predict(inputs), atol=1e-5)
    assert np.abs(found - members[0].predict(inputs)).max() > 0.01
    np.testing.assert_array_equal(network_of(members[0])(inputs), drawn[0](inputs))


RUN = """
import sys, json, numpy as np
import importlib.abc
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("jrecipe.models.", "flax.linen", "flax.nnx", "squeezed_networks")):
            if name.rsplit(".", 1)[-1] not in ("adapt", "signature", "weights"):
                raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from jrecipe.squeeze.load_exported import load_exported
found = load_exported(sys.argv[1])
inputs = dict(np.load(sys.argv[2]))
np.savez(sys.argv[3], **found.outputs(inputs))
"""


def test_a_fresh_process_runs_it_without_the_networks_code(tmp_path):
    original, inputs = odd()
    export(original, tmp_path / "out", inputs=inputs)
    np.savez(tmp_path / "in.npz", **inputs)
    files = [tmp_path / "out", tmp_path / "in.npz", tmp_path / "answers.npz"]
    subprocess.run([sys.executable, "-c", RUN, *map(str, files)], check=True, cwd=ROOT)
    with np.load(tmp_path / "answers.npz") as answers:
        for name, want in original(inputs).items():
            np.testing.assert_allclose(answers[name], want, atol=1e-5)


@pytest.mark.parametrize("squeeze", [lambda n: n, quantise, lambda n: quantise(low_rank(n, 2))])
def test_safetensors_hold_the_weights_and_want_the_network(tmp_path, squeeze):
    pytest.importorskip("safetensors")
    original, inputs = dense()
    small = squeeze(original)
    export(small, tmp_path / "out", to="safetensors", inputs=inputs)
    other = network(plain(), inputs, seed=5)
    assert np.abs(other(inputs) - small(inputs)).max() > 0.1
    found = load_exported(tmp_path / "out", network=other).outputs(inputs)
    np.testing.assert_allclose(found, small(inputs), atol=1e-5)
    with pytest.raises(jr.TaskError, match="weights alone"):
        load_exported(tmp_path / "out")
    smaller = network(jr.models.MLP(4, width=5), inputs)
    with pytest.raises(jr.TaskError, match="does not fit the network"):
        load_exported(tmp_path / "out", network=smaller)


def test_a_fit_is_exported_with_what_it_knows(tmp_path):
    train = inputs_of(64, 16), np.arange(64, dtype=np.int32) % 4
    task = jr.Task(
        model=plain(),
        loss=jr.losses.softmax_cross_entropy(),
        train=train,
        val=train,
        class_names=("a", "b", "c", "d"),
        batch_size=32,
    )
    fit = jr.fit(task, steps=3, progress=False)
    found = export(fit, tmp_path / "out", inputs=train[0])
    assert (found.meaning.kind, found.meaning.class_names) == ("classes", ("a", "b", "c", "d"))
    np.testing.assert_allclose(found.outputs(train[0]), fit.predict(train[0]), atol=1e-5)


def test_meaning_goes_through_json():
    encoder = jr.data.VectorEncoder.fit(inputs_of(9, 3))
    meaning = Meaning(encoder, "number", (), (np.array(2.5), np.array(3.0)), "prices")
    back = Meaning.from_json(json.loads(json.dumps(meaning.to_json())))
    assert back.to_json() == meaning.to_json()
    assert back.encoder == encoder or back.encoder.to_json() == encoder.to_json()


def test_what_disagrees_is_not_written(tmp_path, monkeypatch):
    original, inputs = dense()
    wrong = original.replace(params=jax.tree.map(lambda w: w * 1.001, original.params))
    # The file is made of another network than it is compared with.
    from jrecipe.squeeze import stablehlo

    write = stablehlo.write_stablehlo
    monkeypatch.setattr(stablehlo, "write_stablehlo", lambda p, f, x: write(p, wrong, x))
    with pytest.raises(jr.TaskError, match=r"was not written: for example \d+ an output differs"):
        export(original, tmp_path / "new" / "out", inputs=inputs)
    assert left(tmp_path) == []
    export(original, tmp_path / "out", inputs=inputs, tolerance=0.1)


def test_one_huge_output_allows_the_others_no_more(tmp_path, monkeypatch):
    from jrecipe.squeeze import stablehlo

    def function(x):
        return jnp.concatenate([x, jnp.full_like(x, -1e9)], axis=1)

    inputs = inputs_of(8, 3)
    export(function, tmp_path / "out", inputs=inputs)
    write = stablehlo.write_stablehlo
    off = lambda p, f, x: write(p, lambda y: f(y + 0.01), x)  # noqa: E731
    monkeypatch.setattr(stablehlo, "write_stablehlo", off)
    with pytest.raises(jr.TaskError, match=r"differs by 0\.01"):
        export(function, tmp_path / "other", inputs=inputs)


def test_nan_is_equal_to_nothing(tmp_path):
    def function(x):
        return jnp.where(x > 0, x, jnp.nan)

    with pytest.raises(jr.TaskError, match="was not written"):
        export(function, tmp_path / "out", inputs=inputs_of(8, 3))
    assert left(tmp_path) == []


def test_a_network_that_depends_on_the_batchs_size_is_refused(tmp_path):
    def function(x):
        return x * 2 if len(x) > 10 else x

    with pytest.raises(jr.TaskError, match="any number of examples"):
        export(function, tmp_path / "out", inputs=inputs_of(8, 3))
    assert left(tmp_path) == []


@pytest.mark.parametrize("to", FORMATS)
def test_an_operation_that_the_format_lacks_is_refused(tmp_path, to):
    def function(x):
        return jax.pure_callback(lambda x: np.asarray(x) * 2, x, x)

    with pytest.raises(jr.TaskError, match="callback"):
        export(function, tmp_path / "out", to=to, inputs=inputs_of(8, 3))
    assert left(tmp_path) == []


@needs_onnx
def test_a_graph_that_jax2onnx_gets_wrong_is_not_written(tmp_path):
    def function(x):  # what 0.17.1 writes for it is off by 0.002
        return jax.lax.igamma_grad_a(jnp.abs(x) + 1, jnp.abs(x) + 1)

    with pytest.raises(jr.TaskError, match=r"differs by|cannot write"):
        export(function, tmp_path / "out", to="onnx", inputs=inputs_of(8, 3))
    assert left(tmp_path) == []


def test_nothing_is_written_over(tmp_path):
    original, inputs = dense()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(jr.TaskError, match="something is there already"):
        export(original, tmp_path / "out", inputs=inputs)
    assert left(tmp_path / "out") == ["mine.txt"]
    with pytest.raises(jr.TaskError, match="there are stablehlo, onnx, safetensors"):
        export(original, tmp_path / "other", to="torch", inputs=inputs)
    with pytest.raises(jr.TaskError, match="axis 0"):
        export(original, tmp_path / "other", inputs=3.0)


def damaged(folder: Path, how: str) -> None:
    file, record = folder / "model.stablehlo", folder / "exported.json"
    if how == "a bit":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-10])
    elif how == "gone":
        file.unlink()
    elif how == "record":
        record.write_text(record.read_text()[:40])
    elif how == "schema":
        record.write_text(json.dumps({**json.loads(record.read_text()), "schema": 99}))
    elif how == "field":
        kept = json.loads(record.read_text())
        del kept["meaning"]["kind"]
        record.write_text(json.dumps(kept))
    elif how == "foreign":  # whoever can write both files can make the checksum fit
        import hashlib

        file.write_bytes(b"PK\x03\x04 something else")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": sha256}))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    original, inputs = dense()
    export(original, tmp_path_factory.getbasetemp() / "kept", inputs=inputs)
    return tmp_path_factory.getbasetemp() / "kept"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("a bit", "checksum"),
        ("cut", "checksum"),
        ("gone", "has no model.stablehlo"),
        ("record", "is damaged"),
        ("schema", "schema 1 is needed"),
        ("field", "lacks 'kind'"),
        ("foreign", "is no StableHLO program"),
    ],
)
def test_a_changed_folder_is_refused(tmp_path, kept, how, said):
    import shutil

    shutil.copytree(kept, tmp_path / "out")
    load_exported(tmp_path / "out")
    damaged(tmp_path / "out", how)
    with pytest.raises(jr.TaskError, match=said):
        load_exported(tmp_path / "out")


@needs_onnx
def test_a_foreign_onnx_file_is_refused(tmp_path):
    from jrecipe.squeeze.onnx import read_onnx

    (tmp_path / "model.onnx").write_bytes(b"no graph at all")
    with pytest.raises(jr.TaskError, match="is no ONNX graph"):
        read_onnx(tmp_path / "model.onnx", {"shape": [3], "dtype": "float32"})


def test_inputs_that_do_not_fit_are_refused(kept):
    exported = load_exported(kept)
    assert is_exported(kept)
    assert not is_exported(kept.parent)
    with pytest.raises(jr.TaskError, match=r"examples of shape \[16\], got float32 \[2, 15\]"):
        exported.outputs(inputs_of(2, 15))
    with pytest.raises(jr.TaskError, match="takes"):
        exported.outputs({"x": inputs_of(2, 16)})
    with pytest.raises(jr.TaskError, match="convert them"):
        exported.outputs(np.zeros((2, 16), complex))
    with pytest.raises(jr.TaskError, match="n >= 1"):
        exported.outputs(inputs_of(2, 16)[:0])
    assert exported.outputs(inputs_of(2, 16).astype(np.float64)).shape == (2, 4)


def test_a_function_alone_can_be_exported(tmp_path):
    original, inputs = dense()
    assert isinstance(network_of(original.__call__), Network)
    found = export(lambda x: original(x) * 2, tmp_path / "out", inputs=inputs)
    np.testing.assert_allclose(found.outputs(inputs), original(inputs) * 2, atol=1e-5)
