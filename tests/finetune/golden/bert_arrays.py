"""Tiny networks of the BERT family that golden outputs and tests are made from alike."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

_BERT = {
    "model_type": "bert",
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 9,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "pad_token_id": 0,
}
_ROBERTA = _BERT | {
    "model_type": "roberta",
    "max_position_embeddings": 11,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
_DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 31,
    "dim": 12,
    "n_layers": 2,
    "n_heads": 3,
    "hidden_dim": 20,
    "max_position_embeddings": 9,
    "activation": "gelu",
    "dropout": 0.1,
    "pad_token_id": 0,
}
CONFIGS = {
    "bert": _BERT,
    "bert_relu": _BERT | {"hidden_act": "relu", "layer_norm_eps": 1e-3},
    "bert_gelu_new": _BERT | {"hidden_act": "gelu_new", "type_vocab_size": 3},
    "distilbert": _DISTILBERT,
    "distilbert_relu": _DISTILBERT | {"activation": "relu"},
    "roberta": _ROBERTA,
    "roberta_pad0": _ROBERTA | {"pad_token_id": 0, "max_position_embeddings": 10},
    "xlm_roberta": _ROBERTA | {"model_type": "xlm-roberta", "num_hidden_layers": 1},
    "camembert": _ROBERTA | {"model_type": "camembert", "num_hidden_layers": 1},
}


def texts(name: str) -> dict[str, np.ndarray]:
    """Returns three texts of 9, 4 and 1 tokens: ids, mask and types, [3, 9]; the longest fits."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    config = CONFIGS[name]
    mask = np.arange(9)[None] < np.array([9, 4, 1])[:, None]
    ids = rng.integers(2, config["vocab_size"], mask.shape)
    types = rng.integers(0, config.get("type_vocab_size", 1), mask.shape)
    return {
        "ids": np.where(mask, ids, config["pad_token_id"]).astype(np.int32),
        "mask": mask,
        "types": np.where(mask, types, 0).astype(np.int32),
    }


def shapes(config: dict) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields the names and shapes of an encoder's tensors in public files, without a prefix."""
    distil = config["model_type"] == "distilbert"
    width = config["dim" if distil else "hidden_size"]
    hidden = config["hidden_dim" if distil else "intermediate_size"]

    def both(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]

    yield "embeddings.word_embeddings.weight", (config["vocab_size"], width)
    yield "embeddings.position_embeddings.weight", (config["max_position_embeddings"], width)
    if not distil:
        yield "embeddings.token_type_embeddings.weight", (config["type_vocab_size"], width)
    yield from both("embeddings.LayerNorm", width)
    for i in range(config["n_layers" if distil else "num_hidden_layers"]):
        if distil:
            at = f"transformer.layer.{i}"
            for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
                yield from both(f"{at}.attention.{part}", width, width)
            yield from both(f"{at}.sa_layer_norm", width)
            yield from both(f"{at}.ffn.lin1", hidden, width)
            yield from both(f"{at}.ffn.lin2", width, hidden)
            yield from both(f"{at}.output_layer_norm", width)
        else:
            at = f"encoder.layer.{i}"
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                yield from both(f"{at}.attention.{part}", width, width)
            yield from both(f"{at}.attention.output.LayerNorm", width)
            yield from both(f"{at}.intermediate.dense", hidden, width)
            yield from both(f"{at}.output.dense", width, hidden)
            yield from both(f"{at}.output.LayerNorm", width)
    if not distil:
        yield from both("pooler.dense", width, width)


def arrays_of(config: dict) -> dict[str, np.ndarray]:
    """Returns float32 tensors by name, large enough that attention is far from even."""
    arrays = {}
    for name, shape in shapes(config):
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        norm_scale = "norm" in name.lower() and name.endswith("weight")
        drawn = rng.uniform(0.5, 1.5, shape) if norm_scale else rng.normal(0, 0.6, shape)
        arrays[name] = drawn.astype(np.float32)
    return arrays
