"""The experiment runs to its end and tells what it measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import smaller_networks as experiment

for _package in ("flatbuffers", "safetensors"):
    pytest.importorskip(_package)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:'VariableState' was removed:DeprecationWarning")
def test_it_compares_and_exports_what_it_made(tmp_path, capsys):
    experiment.main(["--out", str(tmp_path / "out"), "--smoke"])
    told = json.loads((tmp_path / "out" / "digits.json").read_text())
    original = told["rows"]["original"]
    # Of a network this small the scales and biases weigh as much as its weights.
    assert told["rows"]["int8 weights"]["bytes"] < 0.6 * original["bytes"]
    assert abs(told["zeros"]["50 % pruned"] - 0.5) < 0.01
    assert abs(told["zeros"]["80 % pruned"] - 0.8) < 0.01
    assert {row["format"] for row in told["exports"]} == {"stablehlo", "safetensors"}
    assert all(row["largest_difference"] <= row["tolerance"] for row in told["exports"])
    assert "| int8 weights |" in capsys.readouterr().out
