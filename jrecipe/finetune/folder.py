"""Folders of public weights: which files they hold, and how an encoder is written as one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.finetune.config import config_of
from jrecipe.finetune.names import name_of, turned
from jrecipe.models.bert import Bert
from jrecipe.models.weights import read_arrays
from jrecipe.types import PyTree, TaskError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)


def tokenizer_files(folder: Path) -> dict[str, Path]:
    """Returns the tokenizer's files of a folder by name, those that are there."""
    return {name: folder / name for name in _TOKENIZER if (folder / name).is_file()}


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a folder's safetensors, of one file or of several shards.

    Args:
      folder: with `model.safetensors`, or `model.safetensors.index.json` and the shards that it
        names, or one file of another name that ends in `.safetensors`.

    Raises:
      TaskError: if there are none, several, or pickled ones only, or a file is missing or damaged.
    """
    if (folder / WEIGHTS).is_file():
        return read_arrays(folder / WEIGHTS)
    if (folder / INDEX).is_file():
        return _read_shards(folder)
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return read_arrays(found[0])
    if found:
        names = ", ".join(path.name for path in found[:3])
        raise TaskError(
            f"{folder} has {len(found)} files of weights ({names}) but no {INDEX}; keep one, or "
            "fetch the index too."
        )
    pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickled:
        raise TaskError(
            f"{folder} has only pickled weights ({pickled[0]}), whose loading runs whatever code "
            f"they hold; fetch or save them as {WEIGHTS} (safetensors.torch.save_file)."
        )
    raise TaskError(f"{folder} has no {WEIGHTS}; fetch the weights too.")


def _read_shards(folder: Path) -> dict[str, np.ndarray]:
    index = folder / INDEX
    try:
        file_of = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(file_of.values()))
        outside = [shard for shard in shards if Path(shard).name != shard]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaskError(
            f"{index} is no index of shards with a weight_map ({error!r}); fetch it again."
        ) from error
    if outside:
        raise TaskError(
            f"{index} names {outside[0]!r}, which is no file beside it; fetch it again."
        )
    held = {shard: read_arrays(folder / shard) for shard in shards}
    absent = [name for name, shard in file_of.items() if name not in held[shard]]
    if absent:
        raise TaskError(
            f"{index} places {absent[0]} in {file_of[absent[0]]}, which does not hold it; fetch "
            "both again."
        )
    return {name: array for arrays in held.values() for name, array in arrays.items()}


def write_encoder(
    folder: str | Path,
    encoder: Bert,
    params: PyTree,
    *,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Writes `model.safetensors` and `config.json` as `transformers.AutoModel` reads them (J9).

    Args:
      folder: made if it is not there; files of these names are replaced, each as a whole.
      encoder: the network.
      params: its parameters, with `pooler` or without it; written as float32.
      config: the configuration that the network was loaded with, whose other entries are kept.

    Raises:
      TaskError: if no public configuration describes the network, or safetensors is missing.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise TaskError(
            f"writing {WEIGHTS} needs the package safetensors; pip install 'jrecipe[finetune]'."
        ) from error
    described = config_of(encoder, config)
    name = name_of(described["model_type"])
    arrays = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        key = name(tuple(part.key for part in path))
        arrays[key] = np.ascontiguousarray(turned(key, np.asarray(leaf, np.float32)))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{WEIGHTS}.new"
    save_file(arrays, fresh, metadata={"format": "pt"})  # by which transformers knows the layout
    os.replace(fresh, folder / WEIGHTS)
    fresh = folder / "config.json.new"
    fresh.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    os.replace(fresh, folder / "config.json")
