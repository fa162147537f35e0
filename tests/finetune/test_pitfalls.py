"""Each silent fault between texts and a network is found, and healthy data are not accused."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from small_tokenizers import PIECES, word_pieces

from jrecipe.checks.result import Verdict
from jrecipe.finetune.answer_data import answer_data
from jrecipe.finetune.classify_data import classify_data
from jrecipe.finetune.pitfalls import text_findings
from jrecipe.finetune.score_data import score_data
from jrecipe.finetune.tag_data import tag_data
from jrecipe.finetune.tokenizer import tokenizer_for

BERT = tokenizer_for(word_pieces())
NET = SimpleNamespace(vocabulary=len(PIECES))
WORDS = ["the cat", "a dog sat", "big red mat", "who was in paris", "blue mat, red mat"]


def rated(tails, labels=(0, 1), text="{} {}"):
    return [
        {"text": text.format(word, tail), "label": labels[i % 2]}
        for tail in tails
        for i, word in enumerate(WORDS)
    ]


def made(rows, tokenizer=BERT, **options):
    return classify_data(rows, tokenizer, **{"max_length": 16, **options})


def accused(train, val, tokenizer=BERT, net=NET):
    found = text_findings(train, val, tokenizer, net)
    assert all(finding.item == "J7" for finding in found)
    bad = [each for each in found if each.verdict in (Verdict.WARNED, Verdict.FAILED)]
    assert all(finding.remedy for finding in bad)
    return [finding.check for finding in bad]


TRAIN, VAL = made(rated("abc")), made(rated("de"))


def test_healthy_data_are_not_accused():
    assert accused(TRAIN, VAL) == []
    assert accused(TRAIN, None) == []
    words = [
        {"tokens": row["text"].split(), "tags": ["O"] * len(row["text"].split())}
        for row in rated("ab")
    ]
    tags = tag_data(words, BERT, max_length=16)
    assert accused(tags, None) == []
    pairs = [{"s1": row["text"], "s2": "a b", "score": 1} for row in rated("ab")]
    assert accused(score_data(pairs, BERT, max_length=16), None) == []


@pytest.mark.parametrize(("spare", "bad"), [(-1, 1), (256, 0), (257, 1)])
def test_vocabularies_that_do_not_fit(spare, bad):
    net = SimpleNamespace(vocabulary=len(PIECES) + spare)
    assert accused(TRAIN, VAL, net=net) == ["text-vocabulary"] * bad


def test_special_tokens_that_are_missing():
    bare = tokenizer_for(word_pieces(special=False))
    assert accused(made(rated("a"), bare), None, bare) == ["text-special-tokens"]
    assert accused(made(rated("a"), bare), None, BERT) == ["text-special-tokens"]


def test_much_truncation():
    assert accused(made(rated("abc"), max_length=5), VAL) == ["text-truncation"]


def test_many_unknown_tokens():
    assert accused(made(rated(["zebra", "quartz"])), VAL) == ["text-unknown"]


def test_padding_before_tokens():
    class Left:
        buckets = TRAIN.source.buckets

        def __len__(self):
            return len(TRAIN)

        def take(self, rows):
            inputs, targets = TRAIN.source.take(rows)
            return {name: part[:, ::-1] for name, part in inputs.items()}, targets

    train = dataclasses.replace(TRAIN, source=Left())
    assert "text-padding" in accused(train, VAL)


def test_other_tokens_as_padding():
    tokens = dataclasses.replace(TRAIN.source.tokens, pad=7)
    source = dataclasses.replace(TRAIN.source, tokens=tokens)
    assert accused(dataclasses.replace(TRAIN, source=source), VAL) == ["text-padding"]


def test_labels_that_are_numbered_differently():
    assert accused(TRAIN, made(rated("de", labels=("no", "yes")))) == ["text-alignment"]


def test_tags_of_other_words():
    words = [{"tokens": ["cats", "sat"], "tags": ["O", "B-X"]} for _ in range(20)]
    data = tag_data(words, BERT, max_length=16)
    shifted = dataclasses.replace(data.source.words, values=data.source.words.values[::-1].copy())
    source = dataclasses.replace(data.source, words=shifted)
    assert accused(dataclasses.replace(data, source=source), None) == ["text-alignment"]
    assert accused(data, None) == []


def test_spans_of_other_tokens():
    texts = [f"{word} {letter}" for word in WORDS for letter in "abcdefg"]
    rows = [
        {"question": "who?", "context": text, "answers": [{"text": text[:3], "start": 0}]}
        for text in texts
    ]
    data = answer_data(rows, BERT, max_length=16)
    assert accused(data, None) == []
    later = np.minimum(data.source.targets + 2, 6)
    source = dataclasses.replace(data.source, targets=later)
    assert accused(dataclasses.replace(data, source=source), None) == ["text-alignment"]


def test_texts_in_both_splits():
    assert accused(TRAIN, made(rated("cd"))) == ["text-split"]
    assert accused(TRAIN, made(rated("C", text="{}   {} "))) == ["text-split"]
