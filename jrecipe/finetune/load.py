"""Pre-trained networks for texts from folders of public weights (J6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.finetune.config import FIELDS, encoder_of, read_config
from jrecipe.finetune.folder import read_tensors, tokenizer_files
from jrecipe.finetune.hub import PREFIX, download
from jrecipe.finetune.names import encoder_arrays, name_of, turned
from jrecipe.finetune.t5_names import T5_KINDS, t5_arrays, t5_module, t5_name, t5_turned
from jrecipe.models.bert import Bert
from jrecipe.models.t5 import T5
from jrecipe.models.weights import fill
from jrecipe.types import PyTree, TaskError


@dataclasses.dataclass(frozen=True, eq=False)
class PretrainedText:
    """A network for texts, its weights, and the files that belong to them.

    Attributes:
      module: the encoder, or a whole T5.
      params: its parameters, nested dicts of NumPy float32; with `pooler` if the files hold one.
      config: what `config.json` says.
      folder: where the files are.
      tokenizer_files: the tokenizer's files by name, those that are there.
      unused: names of the tensors in the files that are not the network's: heads of other tasks.
    """

    module: Bert | T5
    params: PyTree
    config: Mapping[str, Any]
    folder: Path
    tokenizer_files: Mapping[str, Path]
    unused: tuple[str, ...] = ()


def load_pretrained(source: str | Path) -> PretrainedText:
    """Loads a network from `config.json` and safetensors, and checks all of it.

    Known are the encoders of the model types bert (MiniLM and many others are of it), distilbert,
    roberta, xlm-roberta and camembert, and t5, mt5 and our own t5-pointer as a whole. Nothing in
    the files is executed: pickled weights are refused.

    Args:
      source: a folder, or `hub:OWNER/NAME` for one of the Hugging Face Hub. Weights may be in
        shards, of any floating dtype, and with the names of a network for a task.

    Raises:
      TaskError: if the folder or a file in it is missing or damaged, the network is unknown, or a
        tensor is missing, unknown, or of another shape or of whole numbers.
    """
    folder = download(str(source)) if str(source).startswith(PREFIX) else Path(source)
    if not folder.is_dir():
        raise TaskError(
            f"{folder} is no folder; give one with config.json and model.safetensors, or "
            f"{PREFIX}OWNER/NAME."
        )
    config = read_config(folder)
    kind = config.get("model_type")
    if kind not in (*FIELDS, *T5_KINDS):
        known = ", ".join((*FIELDS, *T5_KINDS))
        raise TaskError(f"{folder / 'config.json'} needs a model_type of {known}, got {kind!r}.")
    module, arrays, unused, method, name = (_t5 if kind in T5_KINDS else _bert)(config, folder)
    text = {"ids": np.zeros((1, 1), np.int32), "mask": np.ones((1, 1), bool)}
    if isinstance(module, T5):
        text["decoder_ids"] = text["ids"]
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), text, method=method))["params"]
    params = fill(shapes, arrays, name_of=name, turn=np.asarray, where=str(folder))
    return PretrainedText(module, params, config, folder, tokenizer_files(folder), unused)


# A network, its arrays by the names of the file with axes in its order, the names of the others,
# the method that has all of its parameters, and the name of each parameter.
_Found = tuple[
    Bert | T5, dict[str, np.ndarray], tuple[str, ...], str, Callable[[tuple[str, ...]], str]
]


def _bert(config: Mapping[str, Any], folder: Path) -> _Found:
    module = encoder_of(config, str(folder / "config.json"))
    arrays, unused = encoder_arrays(read_tensors(folder))
    pooled = any(name.startswith("pooler.") for name in arrays)
    arrays = {name: turned(name, array) for name, array in arrays.items()}
    return module, arrays, unused, "pooled" if pooled else "features", name_of(config["model_type"])


def _t5(config: Mapping[str, Any], folder: Path) -> _Found:
    module = t5_module(config)
    arrays, unused = t5_arrays(read_tensors(folder), module)
    arrays = {name: t5_turned(name, array) for name, array in arrays.items()}
    return module, arrays, unused, "__call__", t5_name
