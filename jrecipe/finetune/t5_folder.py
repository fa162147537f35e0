"""A T5 as a folder of public weights (J9)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jax
import numpy as np

from jrecipe.finetune.folder import WEIGHTS
from jrecipe.finetune.t5_names import T5_COPIES, t5_module, t5_name, t5_turned
from jrecipe.models.t5 import T5
from jrecipe.types import PyTree, TaskError

_FIELDS = {  # theirs: ours
    "vocab_size": "vocabulary",
    "d_model": "width",
    "num_layers": "depth",
    "num_heads": "heads",
    "d_kv": "head_width",
    "d_ff": "hidden",
    "relative_attention_num_buckets": "buckets",
    "relative_attention_max_distance": "farthest",
    "dropout_rate": "dropout",
    "layer_norm_epsilon": "epsilon",
}


def write_t5(folder: str | Path, network: T5, params: PyTree) -> None:
    """Writes `model.safetensors` and `config.json`, as `load_pretrained` reads them.

    Args:
      folder: made if it is not there; files of these names are replaced, each as a whole.
      network: a T5 that public configurations can describe.
      params: its parameters; written as float32.

    Raises:
      TaskError: if no configuration describes the network, or safetensors is missing.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise TaskError(
            f"writing {WEIGHTS} needs the package safetensors; pip install 'jrecipe[finetune]'."
        ) from error
    config = {
        "model_type": T5_COPIES if network.copies else "t5",
        "is_encoder_decoder": True,
        "feed_forward_proj": "gated-gelu" if network.gated else "relu",
        "tie_word_embeddings": network.tied,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        **{theirs: getattr(network, ours) for theirs, ours in _FIELDS.items()},
    }
    depth = network.decoder_depth
    config["num_decoder_layers"] = network.depth if depth is None else depth
    described = t5_module(config)
    scaled = network.tied if network.scaled is None else network.scaled
    if scaled != described.tied:
        raise TaskError(
            f"T5.scaled={network.scaled} with tied={network.tied} has no place in a config.json; "
            "leave `scaled` out."
        )
    arrays = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        name = t5_name(tuple(part.key for part in path))
        arrays[name] = np.ascontiguousarray(t5_turned(name, np.asarray(leaf, np.float32)))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{WEIGHTS}.new"
    save_file(arrays, fresh, metadata={"format": "pt"})
    os.replace(fresh, folder / WEIGHTS)
    fresh = folder / "config.json.new"
    fresh.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    os.replace(fresh, folder / "config.json")
