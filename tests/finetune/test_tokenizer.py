"""Texts become the tokens that the libraries of the originals give, and what is cut is known."""

from __future__ import annotations

import itertools
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import given
from small_tokenizers import (
    CLS,
    PIECES,
    SENTENCES,
    SEP,
    UNK,
    VOCABULARY,
    byte_pairs,
    word_pieces,
    write_bert,
    write_config,
    write_spiece,
)

from jrecipe.finetune.folder import tokenizer_files
from jrecipe.finetune.load import PretrainedText
from jrecipe.finetune.tokenizer import read_tokenizer, tokenizer_for
from jrecipe.models.bert import Bert
from jrecipe.types import TaskError

BERT = tokenizer_for(word_pieces())
TEXTS = st.lists(st.sampled_from(["the", "cats", "running", "zebra", "Paris,"]), max_size=12).map(
    " ".join
)


def test_one_text_has_its_special_tokens_and_says_where_its_words_are():
    (got,) = BERT.encode(["The cats run"], max_length=16)
    names = ["[CLS]", "the", "cat", "##s", "run", "[SEP]"]
    assert [PIECES[i] for i in got.ids] == names
    assert got.offsets == [(0, 0), (0, 3), (4, 7), (7, 8), (9, 12), (0, 0)]
    assert got.words == [-1, 0, 1, 1, 2, -1]
    assert got.sides == [-1, 0, 0, 0, 0, -1]
    assert got.types == [0] * 6
    assert (got.length, got.cut) == (6, False)
    assert BERT.decode(got.ids) == "the cats run"
    assert (BERT.vocabulary, BERT.pad_id, BERT.unknown_id) == (len(PIECES), 0, UNK)


def test_an_empty_text_is_the_special_tokens():
    (got,) = BERT.encode([""], max_length=8)
    assert got.ids == [CLS, SEP]
    assert not got.cut


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.integers(5, 20))
def test_truncation_is_that_of_the_library(pairs, max_length):
    core = word_pieces()
    core.enable_truncation(max_length)
    first, second = (list(side) for side in zip(*pairs, strict=True))
    for args in ([first], [first, second]):
        wanted = core.encode_batch(list(zip(*args, strict=True)) if len(args) > 1 else first)
        got = BERT.encode(*args, max_length=max_length)
        assert [each.ids for each in got] == [each.ids for each in wanted]
        assert [each.types for each in got] == [each.type_ids for each in wanted]
        assert [each.cut for each in got] == [bool(each.overflowing) for each in wanted]


def test_truncating_the_second_text_leaves_the_first_whole():
    (got,) = BERT.encode(["a b c d"], ["e f g h"], max_length=9, truncate="second")
    assert BERT.decode(got.ids) == "a b c d e f"
    assert got.length == 11
    with pytest.raises(TaskError, match="'longest' or 'second', got 'third'"):
        BERT.encode(["a"], ["b"], max_length=9, truncate="third")


def test_every_word_has_a_token():
    words = ["cats", "\u200d", "new york", ""]
    (got,) = BERT.encode_words([words], max_length=16)
    assert got.words == [-1, 0, 0, 1, 2, 2, 3, -1]
    assert [got.ids[3], got.ids[6]] == [UNK, UNK]
    assert got.wordless == 2
    (plain,) = BERT.encode_words([["cats", "run"]], max_length=16)
    assert plain.wordless == 0
    assert plain.ids == BERT.encode(["cats run"], max_length=16)[0].ids


def test_words_of_a_byte_level_tokenizer_have_the_space_before_them():
    roberta = tokenizer_for(byte_pairs())
    (got,) = roberta.encode_words([["a", "a"]], max_length=8)
    spaced = roberta.core.token_to_id("Ġa")
    assert got.ids == [0, spaced, spaced, 2]
    (pair,) = roberta.encode(["a"], ["a"], max_length=9)
    assert [i for i, side in zip(pair.ids, pair.sides, strict=True) if side < 0] == [0, 2, 2, 2]
    assert set(pair.types) == {0}


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.integers(0, 9))
def test_windows_hold_all_of_a_context_and_overlap(letters, stride):
    context = " ".join(letters)
    windows = BERT.encode_windows(["who", "who"], [context, "a"], max_length=16, stride=stride)
    mine = [each for each in windows if each.row == 0]
    assert [each.row for each in windows].count(1) == 1
    assert all(len(each.ids) <= 16 and not each.cut for each in windows)
    pieces = [
        [o for o, side in zip(each.offsets, each.sides, strict=True) if side == 1] for each in mine
    ]
    assert sorted({o for piece in pieces for o in piece}) == [
        (2 * i, 2 * i + 1) for i in range(len(letters))
    ]
    for one, other in itertools.pairwise(pieces):
        assert len(set(one) & set(other)) == min(stride, 12 // 2)


def test_a_long_question_is_cut_to_half_of_the_window():
    (got,) = BERT.encode_windows(["a " * 20], ["b c"], max_length=13, stride=2)
    assert got.cut
    assert BERT.decode(got.ids) == "a a a a a b c"


def test_what_does_not_fit_is_refused():
    with pytest.raises(TaskError, match="at least 3 tokens, special ones included, got 2"):
        BERT.encode(["a"], max_length=2)
    with pytest.raises(TaskError, match="second has 2 texts and first 1"):
        BERT.encode(["a"], ["b", "c"], max_length=9)
    with pytest.raises(TaskError, match="got None in row 1"):
        BERT.encode(["a", None], max_length=9)
    with pytest.raises(TaskError, match="put it into a list"):
        BERT.encode("a", max_length=9)
    with pytest.raises(TaskError, match="list of words per text"):
        BERT.encode_words(["a b"], max_length=9)
    with pytest.raises(TaskError, match="stride needs"):
        BERT.encode_windows(["a"], ["b"], max_length=9, stride=-1)


def test_padding_and_truncation_of_the_file_are_switched_off(tmp_path):
    core = word_pieces()
    core.enable_padding(length=20)
    core.enable_truncation(4)
    core.save(str(tmp_path / "tokenizer.json"))
    (got,) = read_tokenizer(tmp_path).encode(["a b c d e"], max_length=16)
    assert len(got.ids) == 7


def test_a_vocabulary_file_gives_the_tokens_of_the_tokenizer_file(tmp_path):
    whole = read_tokenizer(write_bert(tmp_path / "whole"))
    listed = read_tokenizer(write_bert(tmp_path / "listed", ["vocab.txt"]))
    texts = ["The CATS, running!", "zebra [MASK] cafés", "", "new  york?"]
    assert listed.special == whole.special
    for pair in ([texts], [texts, texts[::-1]]):
        assert listed.encode(*pair, max_length=30) == whole.encode(*pair, max_length=30)


def test_case_is_kept_where_the_settings_say_so(tmp_path):
    cased = read_tokenizer(write_bert(tmp_path, ["vocab.txt"], do_lower_case=False))
    (got,) = cased.encode(["The cat"], max_length=9)
    assert got.ids[1] == UNK
    assert got.ids[2] == VOCABULARY["cat"]


def test_sentence_pieces_are_those_of_sentencepiece(tmp_path):
    original = write_spiece(tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    texts = [
        *SENTENCES[:40],
        "ﬁne  spaces\tand \u00a0 more ",
        "zebra quartz 日本",
        " a",
        "",
        "x " * 9,
    ]
    got = tokenizer.encode(texts, max_length=200)
    assert [each.ids for each in got] == [[*original.encode(text), 1] for text in texts]
    assert (tokenizer.pad_id, tokenizer.end_id, tokenizer.unknown_id) == (0, 1, 2)
    assert tokenizer.vocabulary == 148
    assert tokenizer.core.token_to_id("<extra_id_0>") == 147  # the first one stands last
    assert tokenizer.decode(got[0].ids) == SENTENCES[0]


def test_a_tokenizer_has_to_fit_its_network(tmp_path):
    folder = write_config(write_bert(tmp_path))
    tokenizer = read_tokenizer(folder)
    assert tokenizer.longest == 32
    assert len(tokenizer.encode(["a " * 50], max_length=32)[0].ids) == 32
    with pytest.raises(TaskError, match="max_length=33 is above the 32 positions"):
        tokenizer.encode(["a"], max_length=33)
    write_config(folder, vocab_size=20)
    with pytest.raises(TaskError, match=rf"ids up to {len(PIECES) - 1}, .* vocabulary is 20"):
        read_tokenizer(folder)
    write_config(folder, type_vocab_size=1)
    (pair,) = read_tokenizer(folder).encode(["a"], ["b"], max_length=9)
    assert set(pair.types) == {0}


def test_a_loaded_network_brings_its_tokenizer(tmp_path):
    files = tokenizer_files(write_bert(tmp_path))
    net = Bert(len(PIECES), length=12)
    tokenizer = read_tokenizer(PretrainedText(net, {}, {}, tmp_path, files))
    assert (tokenizer.longest, tokenizer.vocabulary) == (12, len(PIECES))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.txt", "", "no tokenizer.json, vocab.txt or spiece.model"),
        ("tokenizer.json", "{}", "is no tokenizer"),
        ("tokenizer.json", "nonsense", "is no tokenizer"),
        ("vocab.txt", "a\nb\n", r"no line '\[CLS\]'"),
        ("vocab.txt", b"\xff\n", "not UTF-8"),
        ("spiece.model", b"\xff\xff\xff", "no SentencePiece model"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TaskError, match=message):
        read_tokenizer(tmp_path)


def test_a_tokenizer_without_padding_is_refused(tmp_path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TaskError, match="no padding token"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": {"content": "a"}}')
    assert read_tokenizer(tmp_path).pad_id == 0


@pytest.mark.parametrize(
    ("package", "name"), [("tokenizers", "vocab.txt"), ("sentencepiece", "spiece.model")]
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, name):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TaskError, match=rf"package.* {package}.*jrecipe\[finetune\]"):
        read_tokenizer(tmp_path)
