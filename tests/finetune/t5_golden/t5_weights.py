"""Weights and inputs of small T5s, by the public names, from a seed: what both sides are given."""

from __future__ import annotations

import zlib

import numpy as np

SIZES = {
    "vocab_size": 23,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 17,
    "num_heads": 3,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 11,
    "layer_norm_epsilon": 1e-3,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "model_type": "t5",
}
CONFIGS = {
    "relu_tied": SIZES | {"feed_forward_proj": "relu"},
    "relu_untied": SIZES | {"feed_forward_proj": "relu", "tie_word_embeddings": False},
    "gated_tied": SIZES | {"feed_forward_proj": "gated-gelu", "num_decoder_layers": None},
    "gated_untied": SIZES | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
}
BUCKETS = ((32, 128), (16, 128), (16, 64), (8, 11), (4, 11), (10, 50))  # (buckets, farthest)
DISTANCES = 300
ROWS, READ, WRITTEN = 4, 15, 13
NEW_TOKENS = 9
# Tokens that these networks come upon after a few others, so that rows end at different places.
ENDS = {"relu_tied": 17, "relu_untied": 19, "gated_tied": 14, "gated_untied": 19}
SEARCHES = ((1, 1.0), (2, 0.0), (3, 1.0), (4, 2.0), (4, 0.6), (3, -1.0))  # (beams, length penalty)


def array_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns float32 of `shape`, a function of the name; large enough that all of it matters."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith(("layer_norm.weight",)):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name == "shared.weight":
        scale = 1.0
    elif "relative_attention_bias" in name:
        scale = 0.7
    else:
        scale = 1.4 * shape[-1] ** -0.5
    return (scale * rng.normal(size=shape)).astype(np.float32)


def inputs_of(seed: int = 0) -> dict[str, np.ndarray]:
    """Returns ids, mask, decoder_ids and decoder_mask, padded to unequal lengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(2, SIZES["vocab_size"], (ROWS, READ))
    lengths = np.array([READ, 9, 4, 1])
    mask = np.arange(READ)[None] < lengths[:, None]
    decoder_ids = rng.integers(2, SIZES["vocab_size"], (ROWS, WRITTEN))
    decoder_ids[:, 0] = 0
    decoder_mask = np.arange(WRITTEN)[None] < np.array([5, WRITTEN, 1, 8])[:, None]
    return {
        "ids": np.where(mask, ids, 0).astype(np.int32),
        "mask": mask,
        "decoder_ids": np.where(decoder_mask, decoder_ids, 0).astype(np.int32),
        "decoder_mask": decoder_mask,
    }
