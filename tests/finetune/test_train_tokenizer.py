"""Tokenizers learned from texts: special tokens, determinism, files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tokenizers import Tokenizer

from jrecipe.finetune.train_tokenizer import BERT_TOKENS, train_tokenizer
from jrecipe.types import TaskError

TEXTS = [
    f"The {colour} {animal} sees {count} {animal}s, and the {other} runs."
    for colour in ("red", "green", "grey", "blueish")
    for animal in ("dog", "elephant", "bird")
    for other in ("Café", "wolf")
    for count in range(9)
]
kinds = pytest.mark.parametrize("kind", ["wordpiece", "unigram"])


def test_word_pieces_have_the_tokens_of_bert():
    tokenizer = train_tokenizer(TEXTS, 120)
    assert [tokenizer.id_to_token(i) for i in range(5)] == list(BERT_TOKENS)
    assert tokenizer.get_vocab_size() <= 120
    pair = tokenizer.encode("The red dog", "ELEPHANTS")
    assert pair.tokens == ["[CLS]", "the", "red", "dog", "[SEP]", "elephants", "[SEP]"]
    assert pair.type_ids == [0, 0, 0, 0, 0, 1, 1]
    assert tokenizer.encode("cafe").ids == tokenizer.encode("Café").ids
    assert tokenizer.decode(tokenizer.encode("the birds see.").ids) == "the birds see."
    assert tokenizer.encode("dog Ω").tokens[2] == "[UNK]"
    kept = train_tokenizer(TEXTS, 120, lowercase=False)
    assert kept.encode("The").ids != kept.encode("the").ids


def test_unigrams_have_the_tokens_of_t5():
    tokenizer = train_tokenizer(TEXTS, 120, "unigram", sentinels=20)
    found = [tokenizer.id_to_token(i) for i in range(5)]
    assert found == ["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_1>"]
    assert tokenizer.token_to_id("<extra_id_19>") == 22
    assert tokenizer.token_to_id("<extra_id_20>") is None
    assert tokenizer.get_vocab_size() <= 120
    text = "The grey elephant sees 3 birds."
    ids = tokenizer.encode(text).ids
    assert ids[-1] == 1
    assert 2 not in ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode("dog <extra_id_3>").ids[-2:] == [6, 1]
    assert 2 in tokenizer.encode("Ω").ids
    assert tokenizer.encode("The").ids != tokenizer.encode("the").ids
    lower = train_tokenizer(TEXTS, 120, "unigram", lowercase=True, sentinels=20)
    assert lower.encode("THE Grey").ids == lower.encode("the grey").ids


@kinds
def test_the_special_tokens_are_marked_as_such(kind):
    tokenizer = train_tokenizer(TEXTS, 120, kind, sentinels=4)
    added = tokenizer.get_added_tokens_decoder()
    assert all(token.special for token in added.values())
    assert sorted(added) == list(range(5 if kind == "wordpiece" else 7))


@pytest.mark.exhaustive
@kinds
def test_the_file_is_the_tokenizer_and_the_same_in_every_process(kind, tmp_path):
    made = train_tokenizer(iter(TEXTS), 200, kind, tmp_path / "new" / "folder")
    path = tmp_path / "new" / "folder" / "tokenizer.json"
    assert [p.name for p in path.parent.iterdir()] == ["tokenizer.json"]
    assert Tokenizer.from_file(str(path)).to_str() == made.to_str()
    # Hash maps are seeded anew in each process, so that it takes another one to see an order.
    program = (
        "import sys, test_train_tokenizer as t; "
        f"sys.stdout.write(t.train_tokenizer(t.TEXTS, 200, {kind!r}).to_str())"
    )
    here = os.path.dirname(__file__)
    again = subprocess.run(
        [sys.executable, "-c", program], cwd=here, capture_output=True, text=True, check=True
    )
    assert again.stdout == made.to_str()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"texts": "one"}, "several texts"),
        ({"texts": ["", " "]}, "not empty"),
        ({"kind": "bpe"}, "'wordpiece' or 'unigram', got 'bpe'"),
        ({"size": 5}, "above its 5 special tokens, got 5"),
        ({"size": 103, "kind": "unigram"}, "above its 103 special"),
        ({"size": 104, "kind": "unigram"}, "cannot learn 1 pieces"),
    ],
)
def test_arguments_of_no_use_are_refused(call, message):
    with pytest.raises(TaskError, match=message):
        train_tokenizer(**{"texts": TEXTS, "size": 120} | call)


@pytest.mark.parametrize(
    ("package", "kind"), [("tokenizers", "wordpiece"), ("sentencepiece", "unigram")]
)
def test_a_missing_package_names_the_extra(package, kind, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TaskError, match=rf"package {package}; pip install 'jrecipe\[finetune\]'"):
        train_tokenizer(TEXTS, 120, kind)
