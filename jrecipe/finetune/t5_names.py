"""How the public weight files of T5 name its parameters, and what their config says (J6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jrecipe.models.t5 import T5
from jrecipe.types import TaskError

T5_COPIES = "t5-pointer"  # our own, which other libraries refuse instead of leaving the pointer out
T5_KINDS = ("t5", "mt5", T5_COPIES)
_GATED = {"relu": False, "gated-gelu": True}
_FIELDS = {  # ours: theirs
    "vocabulary": "vocab_size",
    "width": "d_model",
    "depth": "num_layers",
    "heads": "num_heads",
    "head_width": "d_kv",
    "hidden": "d_ff",
}
_OPTIONAL = {
    "decoder_depth": "num_decoder_layers",
    "buckets": "relative_attention_num_buckets",
    "farthest": "relative_attention_max_distance",
    "dropout": "dropout_rate",
    "epsilon": "layer_norm_epsilon",
}
_LAYERS = {
    "query": "q",
    "key": "k",
    "value": "v",
    "gate": "wi_0",
    "linear": "wi_1",
    "hidden": "wi",
}
_SHARED = "shared.weight"
_HEAD = "lm_head.weight"
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
# An early version wrote it, and no version used it: cross attention knows no positions.
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


def t5_module(config: Mapping[str, Any]) -> T5:
    """Returns the network that a `config.json` describes.

    Args:
      config: its content.

    Raises:
      TaskError: if it is of another kind, lacks a size, or has a feed-forward layer that T5 1.0 and
        1.1 do not have.
    """
    kind = config.get("model_type", "t5")
    if kind not in T5_KINDS:
        raise TaskError(
            f"config.json says model_type={kind!r}; T5 reads {' and '.join(T5_KINDS)}, whose "
            "layers share their positions."
        )
    missing = [theirs for theirs in _FIELDS.values() if not isinstance(config.get(theirs), int)]
    if missing:
        raise TaskError(
            f"config.json of T5 lacks {', '.join(missing)}; take the file that came with the "
            "weights."
        )
    forward = config.get("feed_forward_proj", "relu")
    if forward not in _GATED:
        raise TaskError(
            f"config.json says feed_forward_proj={forward!r}; T5 knows {' and '.join(_GATED)}."
        )
    fields = {ours: config[theirs] for ours, theirs in _FIELDS.items()}
    fields |= {
        ours: config[theirs] for ours, theirs in _OPTIONAL.items() if config.get(theirs) is not None
    }
    tied = config.get("tie_word_embeddings", True) is not False
    scaled = config.get("scale_decoder_outputs")
    if scaled is False:  # files that transformers 5 writes say tied of T5 1.1 too, but add this
        tied = False
    return T5(**fields, gated=_GATED[forward], tied=tied, copies=kind == T5_COPIES)


def t5_name(path: tuple[str, ...]) -> str:
    """Returns the public name of a parameter.

    Args:
      path: of the leaf in `T5`'s parameters, without the collection.

    Example:
      >>> t5_name(("decoder", "layer_3", "mlp", "gate", "kernel"))
      'decoder.block.3.layer.2.DenseReluDense.wi_0.weight'
    """
    stack, *rest = path
    if stack == "shared":
        return _SHARED
    if stack == "head":
        return _HEAD
    if stack == "pointer":
        return ".".join(("pointer", rest[0], "bias" if rest[1] == "bias" else "weight"))
    if rest[0] == "norm":
        return f"{stack}.final_layer_norm.weight"
    if rest[0] == "positions":
        return f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    part, block = rest[1], int(rest[0].removeprefix("layer_"))
    kind = part.removesuffix("_norm")
    place = {"attention": 0, "cross": 1, "mlp": 2 if stack == "decoder" else 1}[kind]
    at = f"{stack}.block.{block}.layer.{place}"
    if part != kind:
        return f"{at}.layer_norm.weight"
    inner = {"attention": "SelfAttention", "cross": "EncDecAttention", "mlp": "DenseReluDense"}
    out = "wo" if kind == "mlp" else "o"
    return f"{at}.{inner[kind]}.{_LAYERS.get(rest[2], out)}.weight"


def t5_arrays(
    arrays: Mapping[str, np.ndarray], module: T5
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Takes the network's tensors out of those of a file.

    The embedding may stand under any of its names, or under several: files keep one of several
    equal arrays, or all of them.

    Args:
      arrays: by the names of the file.
      module: the network, for whether its last layer is the embedding.

    Returns:
      Those of the network by the names of `t5_name`, and the sorted names of the others.
    """
    copies = (*_COPIES, _HEAD) if module.tied else _COPIES
    taken = {n: a for n, a in arrays.items() if n not in (*copies, _UNUSED)}
    if _SHARED not in taken:
        found = next((n for n in copies if n in arrays), None)
        taken |= {} if found is None else {_SHARED: arrays[found]}
    return taken, tuple(sorted(n for n in arrays if n == _UNUSED))


def t5_turned(name: str, array: np.ndarray) -> np.ndarray:
    """Returns a tensor with its axes in the other order: matrices of dense layers transposed."""
    table = name == _SHARED or name.endswith("relative_attention_bias.weight")
    return array.T if array.ndim == 2 and not table else array
