"""The pre-training experiment runs in small, and says which line of a file is of no use."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import jrecipe as jr

sys.path.append(str(Path(__file__).parents[2] / "experiments"))

import pretrain_text as experiment


def write(path: Path, rows: int, **changes) -> Path:
    rng = np.random.default_rng(rows)
    lines = [
        {"text": " ".join(rng.choice(["ab", "cd", "ef", "gh"], 9)), "label": i % 2, **changes}
        for i in range(rows)
    ]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(map(json.dumps, lines)))
    return path


@pytest.mark.exhaustive
@pytest.mark.slow
def test_it_runs_in_small(tmp_path, monkeypatch, capsys):
    texts, judge = write(tmp_path / "a.jsonl.gz", 80), write(tmp_path / "b.jsonl.gz", 20)
    call = f"x --texts {texts} --judge {judge} --labelled 16 --seeds 1 --scale smoke --width 8"
    monkeypatch.setattr(sys, "argv", call.split())
    experiment.main()
    printed = capsys.readouterr().out
    assert "| random weights | " in printed
    assert "| pre-trained | " in printed
    assert " points (-inf to +inf)" in printed  # of one seed


def test_files_of_no_use_are_refused(tmp_path):
    with pytest.raises(jr.TaskError, match="there is no"):
        experiment.read(tmp_path / "nowhere.jsonl", "text", "label")
    with pytest.raises(jr.TaskError, match="'words' or no 'label' in line 1"):
        experiment.read(write(tmp_path / "a.jsonl.gz", 3), "words", "label")
