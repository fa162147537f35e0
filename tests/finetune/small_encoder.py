"""A folder of public weights that is made in a moment: a small BERT and a tokenizer of words."""

from __future__ import annotations

import json

import jax
import numpy as np

import jrecipe as jr

WORDS = [
    "a",
    "the",
    "film",
    "is",
    "was",
    "good",
    "bad",
    "great",
    "awful",
    "not",
    "and",
    "it",
    "he",
    "she",
    "in",
    "paris",
    "london",
    "anna",
    "otto",
    "who",
    "lives",
    "where",
    "?",
    ".",
    ",",
    "lovely",
    "dull",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_small_encoder(folder, seed=0, length=128):
    """Writes config.json, model.safetensors and tokenizer.json; returns the folder."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    encoder = jr.models.Bert(
        len(vocabulary), width=16, depth=2, heads=2, hidden=32, length=length, dropout=0.0
    )
    text = {"ids": np.ones((1, 4), np.int32), "mask": np.ones((1, 4), bool)}
    params = encoder.init(jax.random.key(seed), text)["params"]
    jr.finetune.write_encoder(folder, encoder, params)
    special = {name: vocabulary[name] for name in ("[CLS]", "[SEP]")}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocabulary[name],
                "content": name,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for name in SPECIAL
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", special["[SEP]"]],
            "cls": ["[CLS]", special["[CLS]"]],
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def reviews(n, seed=0):
    """Returns n rows of a text and the class that one of its words gives away."""
    rng = np.random.default_rng(seed)
    said = {"good": ["good", "great", "lovely"], "bad": ["bad", "awful", "dull"]}
    rows = []
    for _ in range(n):
        label = str(rng.choice(["bad", "good"]))
        filler = rng.choice(["the film", "it", "a film", "he and she"], size=rng.integers(1, 4))
        rows.append(
            {"text": f"{' and '.join(filler)} was {rng.choice(said[label])} .", "label": label}
        )
    return rows


def tweets(n, seed=0):
    """Returns n rows of words and BIO2 tags: names of people and places."""
    rng = np.random.default_rng(seed)
    people, places = ["anna", "otto"], ["paris", "london"]
    rows = []
    for _ in range(n):
        words = [str(rng.choice(people)), "lives", "in", str(rng.choice(places)), "."]
        rows.append({"tokens": words, "tags": ["B-PER", "O", "O", "B-LOC", "O"]})
    return rows


def questions(n, seed=0):
    """Returns n rows of a passage, a question and its answer."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        who, where = str(rng.choice(["anna", "otto"])), str(rng.choice(["paris", "london"]))
        context = f"{who} lives in {where} ."
        asked = bool(rng.integers(2))
        text = who if asked else where
        rows.append(
            {
                "id": str(i),
                "context": context,
                "question": "who ?" if asked else "where ?",
                "answers": [{"text": text, "start": context.index(text)}],
            }
        )
    return rows


def pairs(n, seed=0):
    """Returns n rows of two texts and how alike they are: 5 for the same, 0 for others."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        one, two = rng.choice(["good great lovely", "bad awful dull", "in paris ."], 2)
        rows.append({"s1": str(one), "s2": str(two), "score": 5.0 if one == two else 0.0})
    return rows
