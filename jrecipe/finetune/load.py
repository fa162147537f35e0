"""Pre-trained encoders from folders of public weights (J6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.finetune.config import encoder_of, read_config
from jrecipe.finetune.folder import read_tensors, tokenizer_files
from jrecipe.finetune.hub import PREFIX, download
from jrecipe.finetune.names import encoder_arrays, name_of, turned
from jrecipe.models.bert import Bert
from jrecipe.models.weights import fill
from jrecipe.types import PyTree, TaskError


@dataclasses.dataclass(frozen=True, eq=False)
class PretrainedText:
    """An encoder of texts, its weights, and the files that belong to them.

    Attributes:
      module: the encoder.
      params: its parameters, nested dicts of NumPy float32; with `pooler` if the files hold one.
      config: what `config.json` says.
      folder: where the files are.
      tokenizer_files: the tokenizer's files by name, those that are there.
      unused: names of the tensors in the files that are not the encoder's: heads of other tasks.
    """

    module: Bert
    params: PyTree
    config: Mapping[str, Any]
    folder: Path
    tokenizer_files: Mapping[str, Path]
    unused: tuple[str, ...] = ()


def load_pretrained(source: str | Path) -> PretrainedText:
    """Loads an encoder of the BERT family from `config.json` and safetensors, and checks all of it.

    Known are the model types bert (MiniLM and many others are of it), distilbert, roberta,
    xlm-roberta and camembert. Nothing in the files is executed: pickled weights are refused.

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
    module = encoder_of(config, str(folder / "config.json"))
    arrays, unused = encoder_arrays(read_tensors(folder))
    pooled = any(name.startswith("pooler.") for name in arrays)
    text = {"ids": np.zeros((1, 1), np.int32), "mask": np.ones((1, 1), bool)}
    method = "pooled" if pooled else "features"
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), text, method=method))["params"]
    params = fill(
        shapes,
        {name: turned(name, array) for name, array in arrays.items()},
        name_of=name_of(config["model_type"]),
        turn=np.asarray,
        where=str(folder),
    )
    return PretrainedText(module, params, config, folder, tokenizer_files(folder), unused)
