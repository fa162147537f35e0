"""Texts written from texts: a T5 from random weights learns which words to take (J5)."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest
from small_encoder import write_small_encoder

import jrecipe as jr
from jrecipe import finetune
from jrecipe.finetune.rows import as_rows

WORDS = ("ant", "bee", "cow", "dog", "elk", "fox")
KIND = finetune.Summarise(max_length=16, summary_length=6, beams=2)
PLAN = finetune.Plan(rate=3e-3, epochs=30, batch_size=16)


def animals(n, seed):
    """Returns rows whose summary is the first word of their text."""
    rng = np.random.default_rng(seed)
    texts = [[WORDS[i] for i in rng.integers(0, len(WORDS), 3)] for _ in range(n)]
    return [{"text": " ".join(words), "summary": words[0]} for words in texts]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    texts = [row["text"] for row in animals(60, 9)]
    words = finetune.train_tokenizer(texts, 40, "unigram", sentinels=2)
    net = jr.models.T5(
        words.get_vocab_size(), width=32, depth=1, heads=2, head_width=16, hidden=64, dropout=0.0
    )
    ids = {"ids": np.ones((1, 4), np.int32), "mask": np.ones((1, 4), bool)}
    params = net.init(jax.random.key(0), {**ids, "decoder_ids": ids["ids"]})["params"]
    folder = tmp_path_factory.mktemp("t5")
    finetune.write_pretrained(folder, net, params, words)
    return finetune.load_pretrained(folder)


@pytest.fixture(scope="module")
def tuned(found):
    return finetune.fine_tune(KIND, found, animals(192, 0), animals(32, 1), PLAN, progress=False)


@pytest.mark.slow
def test_it_learns_what_the_rows_say_and_a_folder_keeps_it(tuned, tmp_path):
    assert tuned.scores.rougeL > 0.9
    rows = animals(12, 2)
    answers = tuned.predictor.answers(rows)
    assert [a["answer"] for a in answers] == [row["summary"] for row in rows]
    tuned.predictor.save(tmp_path)
    assert finetune.load_finetuned(tmp_path).answers(rows) == answers


@pytest.mark.slow
def test_what_is_written_does_not_depend_on_what_is_right(tuned):
    rows = animals(12, 2)
    wrong = [{**row, "summary": "fox fox fox"} for row in rows]
    blind = [{"text": row["text"]} for row in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = tuned.predictor.answers(rows)
    assert answers == tuned.predictor.answers(wrong) == tuned.predictor.answers(blind)
    data = KIND.read(as_rows(wrong), tuned.predictor.tokenizer)
    assert tuned.predictor.score(data).rougeL < 0.5  # the score does


def test_several_right_texts_are_scored_by_the_nearest():
    rows = [{"text": "ant bee", "summary": ["fox", "ant"]}]
    scores = finetune.summary_scores(["ant"], [row["summary"] for row in rows])
    assert scores.rougeL == 1


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_encoder_cannot_write(tmp_path):
    bert = finetune.load_pretrained(write_small_encoder(tmp_path))
    with pytest.raises(jr.TaskError, match="needs a T5, which can write, got a Bert"):
        finetune.fine_tune(KIND, bert, animals(8, 0), animals(8, 1), PLAN, progress=False)
