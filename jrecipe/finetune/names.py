"""The names of an encoder's tensors in public files, and what else such files hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

Path = tuple[str, ...]  # of a parameter, as ("layer_0", "query", "kernel")

_TABLES = {"tokens": "word", "positions": "position", "types": "token_type"}
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}
_BERT_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "hidden": "intermediate.dense",
    "output": "output.dense",
    "norm": "output.LayerNorm",
}
_DISTILBERT_LAYER = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "hidden": "ffn.lin1",
    "output": "ffn.lin2",
    "norm": "output_layer_norm",
}
# What the field's networks for one task put beside the encoder, or before it.
_PREFIXES = ("bert.", "roberta.", "distilbert.")
_HEADS = ("cls.", "classifier.", "pre_classifier.", "qa_outputs.", "lm_head.", "vocab_")
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")  # can be computed


def name_of(kind: str) -> Callable[[Path], str]:
    """Returns `(path of a parameter of Bert) -> its name` in files of the model type `kind`."""
    layers, parts = ("encoder.layer", _BERT_LAYER)
    if kind == "distilbert":
        layers, parts = "transformer.layer", _DISTILBERT_LAYER

    def name(path: Path) -> str:
        leaf = _LEAVES[path[-1]]
        if path[0] == "pooler":
            return f"pooler.dense.{leaf}"
        if path[0] == "embeddings":
            part = "LayerNorm" if path[1] == "norm" else f"{_TABLES[path[1]]}_embeddings"
            return f"embeddings.{part}.{leaf}"
        return f"{layers}.{path[0].removeprefix('layer_')}.{parts[path[1]]}.{leaf}"

    return name


def turned(name: str, array: np.ndarray) -> np.ndarray:
    """Returns a tensor with its axes in the other order: matrices of dense layers transposed."""
    return array.T if array.ndim == 2 and not name.startswith("embeddings.") else array


def encoder_arrays(
    arrays: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Takes the encoder's tensors out of those of a file.

    Where they have a prefix ("bert.", "roberta.", "distilbert."), everything without it belongs to
    a task. Where they have none, the heads that are known by name do.

    Args:
      arrays: by the names of the file.

    Returns:
      Those of the encoder, by their names without prefix and in today's spelling, and the sorted
      names of the others: heads of tasks, and buffers.
    """
    prefix = next((p for p in _PREFIXES if any(n.startswith(p) for n in arrays)), "")
    encoder = {n: n.removeprefix(prefix) for n in arrays if n.startswith(prefix)}
    if not prefix:
        encoder = {n: n for n in encoder if not n.startswith(_HEADS)}
    encoder = {n: _today(short, encoder.values()) for n, short in encoder.items()}
    encoder = {n: short for n, short in encoder.items() if short not in _BUFFERS}
    unused = tuple(sorted(set(arrays) - set(encoder)))
    return {short: arrays[n] for n, short in encoder.items()}, unused


def _today(name: str, others: Iterable[str]) -> str:
    """Returns the name with TensorFlow's words for a norm replaced, unless that one is taken."""
    for old, new in (("gamma", "weight"), ("beta", "bias")):
        fresh = f"{name.removesuffix(old)}{new}"
        if name.endswith(f".LayerNorm.{old}") and fresh not in others:
            return fresh
    return name
