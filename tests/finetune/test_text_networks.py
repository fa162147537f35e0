"""What the loaders give is what networks and losses take, in shape and dtype."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from small_tokenizers import PIECES, SENTENCES, word_pieces, write_spiece

import jrecipe as jr
from jrecipe.finetune.answer_data import answer_data
from jrecipe.finetune.classify_data import classify_data
from jrecipe.finetune.score_data import score_data
from jrecipe.finetune.summary_data import summary_data
from jrecipe.finetune.tag_data import tag_data
from jrecipe.finetune.tokenizer import read_tokenizer, tokenizer_for

BERT = tokenizer_for(word_pieces())
ROWS = [
    {
        "text": text,
        "label": len(text) % 2,
        "tokens": text.split(),
        "tags": ["B-X", *["O"] * (len(text.split()) - 1)],
        "score": 3.0,
        "question": "who?",
        "context": text,
        "answers": [{"text": text[:5], "start": 0}],
    }
    for text in SENTENCES[:6]
]
CASES = {
    "classes": lambda: (
        classify_data(ROWS, BERT, max_length=32),
        lambda net: jr.models.TextClassifier(net, outputs=2),
        jr.losses.softmax_cross_entropy(),
    ),
    "scores": lambda: (
        score_data(ROWS, BERT, first="text", second="context", max_length=32),
        jr.models.PairSimilarity,
        jr.losses.l2(),
    ),
    "scores together": lambda: (
        score_data(ROWS, BERT, first="text", second="context", pair=False, max_length=32),
        lambda net: jr.models.TextClassifier(net, outputs=1, squeeze=True),
        jr.losses.l2(),
    ),
    "tags": lambda: (
        tag_data(ROWS, BERT, max_length=32),
        lambda net: jr.models.Tagger(net, outputs=2, crf=True),
        jr.losses.crf(("O", "B-X")),
    ),
    "answers": lambda: (
        answer_data(ROWS, BERT, max_length=32, stride=8),
        jr.models.SpanFinder,
        jr.losses.span_cross_entropy(),
    ),
}


@pytest.mark.thin(2)
@pytest.mark.parametrize("name", CASES)
def test_sources_fit_networks_and_losses(name):
    data, network, loss = CASES[name]()
    source = jr.data.as_source(data.source)
    inputs, targets = source.take(np.arange(len(source)))
    loss.validate(targets, several=False)
    net = network(jr.models.Bert(len(PIECES), width=8, depth=1, heads=2, hidden=8, length=32))

    def losses():
        outputs, _ = net.init_with_output(jax.random.key(0), inputs)
        return loss(outputs, targets)

    got = jax.tree.leaves(jax.eval_shape(losses))
    assert {leaf.shape for leaf in got} == {(len(source),)}


def test_texts_to_write_fit_t5(tmp_path):
    write_spiece(tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    rows = [{"text": text, "summary": text[:9]} for text in SENTENCES[:5]]
    data = summary_data(rows, tokenizer, max_length=64, summary_length=16)
    inputs, targets = jr.data.as_source(data.source).take(np.arange(5))
    loss = jr.losses.token_cross_entropy(pad=tokenizer.pad_id)
    loss.validate(targets)
    net = jr.models.T5(tokenizer.vocabulary, width=8, depth=1, heads=2, head_width=4, hidden=8)

    def losses():
        outputs, _ = net.init_with_output(jax.random.key(0), inputs)
        return loss(outputs, targets)

    assert {leaf.shape for leaf in jax.eval_shape(losses)} == {(5,)}
