"""`jrecipe export`, `predict` with what it wrote, and `squeeze`, on a run of the digits."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest
from cli_runs import jrecipe
from PIL import Image

import jrecipe as jr

for _package in ("flatbuffers", "safetensors"):
    pytest.importorskip(_package)
needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("jax2onnx") is None, reason="needs jax2onnx, the extra `onnx`"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "digits"
    done = jrecipe(
        "fit", "digits", "--network", "mlp", "--width", 32, "--steps", 60, "--out", folder, "-q"
    )
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Three digits of the test split as files, as a user would have them."""
    folder = tmp_path_factory.mktemp("new")
    test = jr.data.load("digits").test
    encoder = jr.data.load("digits").encoder
    shown = encoder.decode(test.take(np.arange(3))[0])
    for row, image in enumerate(shown):
        pixels = np.round(255 * image[..., 0]).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{row}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("to", ["stablehlo", "safetensors", pytest.param("onnx", marks=needs_onnx)])
def test_an_export_predicts_pictures_as_its_run_does(run, picture, tmp_path, to):
    out = tmp_path / "out"
    done = jrecipe("export", run, "--to", to, "--out", out, "-q")
    assert done.code == 0, done.err
    assert "examples of the test split" in done.out
    asked, answered = (jrecipe("predict", of, picture, "--json") for of in (run, out))
    assert answered.code == 0, answered.err
    for mine, its in zip(asked.out.splitlines(), answered.out.splitlines(), strict=True):
        mine, its = json.loads(mine), json.loads(its)
        assert (mine["name"], mine["answer"]) == (its["name"], its["answer"])
        assert abs(mine["probability"] - its["probability"]) < 1e-5
    moved = tmp_path / "elsewhere"
    out.rename(moved)
    assert jrecipe("predict", moved, picture).out == jrecipe("predict", run, picture).out


@pytest.mark.exhaustive
@pytest.mark.slow
def test_int8_and_inputs_of_ones_own(run, picture, tmp_path):
    done = jrecipe(
        "export", run, "--to", "stablehlo", "--int8", "--inputs", picture, "--json", "-q",
        "--out", tmp_path / "small",
    )  # fmt: skip
    told = json.loads(done.out)
    assert (told["examples"], told["format"]) == (3, "stablehlo")
    assert told["largest_difference"] <= 1e-4
    whole = jrecipe("export", run, "--to", "stablehlo", "--json", "--out", tmp_path / "whole")
    assert told["bytes"] < json.loads(whole.out)["bytes"]


@pytest.mark.slow
def test_bad_input_is_one_line_and_leaves_nothing(run, picture, tmp_path):
    def refused(*args, said: str) -> None:
        done = jrecipe(*args)
        assert done.code == 2
        assert said in done.err
        assert done.err.count("\n") == 1

    out = tmp_path / "out"
    empty = tmp_path / "empty"
    shutil.copytree(run, empty, ignore=shutil.ignore_patterns("best"))
    refused("export", tmp_path, "--to", "stablehlo", said="is no folder of a run")
    refused("export", empty, "--to", "stablehlo", "--out", out, said="no trained network yet")
    refused("export", run, "--to", "torch", said="'torch' is not one of")
    refused("export", run, "--to", "stablehlo", "--inputs", "no.png", said="does not exist")
    refused("squeeze", run, "--rank", "1.5", said="neither a rank")
    refused("squeeze", empty, said="no trained network yet")
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "finetuned.json").write_text("{}")
    refused("export", texts, "--to", "onnx", said="holds safetensors, tokenizer and names already")
    assert not out.exists()
    assert not (run / "stablehlo").exists()
    assert jrecipe("export", run, "--to", "stablehlo", "--out", out, "-q").code == 0
    refused("export", run, "--to", "stablehlo", "--out", out, said="something is there already")
    refused("predict", out, "--split", "test", said="without data")
    refused("predict", out / "model.stablehlo", picture, said="is no folder of a run")
    with open(out / "model.stablehlo", "ab") as file:
        file.write(b"!")
    refused("predict", out, picture, said="checksum")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_squeeze_writes_a_table_beside_the_run(run):
    done = jrecipe("squeeze", run, "--int8", "--prune", "0.5", "--rank", "8", "--steps", "40", "-q")
    assert done.code == 0, done.err
    rows = ("original", "original, trained on", "int8 weights", "50% pruned", "rank 8")
    for name in (*rows, "50% pruned, int8 weights"):
        assert f"| {name} |" in done.out
    stored = json.loads((run / "squeeze" / "report.json").read_text())
    table = stored["sections"][0]["table"]
    assert len(table["rows"]) == 6
    assert "int8 weights" in (run / "squeeze" / "report.html").read_text()
