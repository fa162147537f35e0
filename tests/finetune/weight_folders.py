"""Folders of public weights, as the tests write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from golden.bert_arrays import CONFIGS, arrays_of
from safetensors.numpy import save_file


def stored(folder: Path, config: dict, arrays: dict, name: str = "model.safetensors") -> Path:
    """Writes `config.json` and one file of tensors; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({key: np.ascontiguousarray(a) for key, a in arrays.items()}, folder / name)
    return folder


def sharded(folder: Path, config: dict, arrays: dict) -> Path:
    """Writes two shards and their index; returns the folder."""
    names = sorted(arrays)
    parts = {f"model-{i + 1:05}-of-00002.safetensors": names[i::2] for i in range(2)}
    for file, members in parts.items():
        stored(folder, config, {name: arrays[name] for name in members}, file)
    index = {"weight_map": {name: file for file, members in parts.items() for name in members}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def tiny(folder: Path, name: str = "bert", **changes: np.ndarray | None) -> Path:
    """Writes a network of `CONFIGS`, with tensors replaced, added, or taken out by None."""
    arrays = arrays_of(CONFIGS[name]) | changes
    return stored(folder, CONFIGS[name], {k: a for k, a in arrays.items() if a is not None})
