"""Tokenizers of a few pieces, made in a moment, and folders as the public ones are."""

from __future__ import annotations

import json

import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

_PIECES = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e f g h the cat dog sat on mat run ##s ##ning
##ner red blue big who what is was in paris london . , ? ! new york ##a ##b ##c"""
PIECES = _PIECES.split()
VOCABULARY = {piece: i for i, piece in enumerate(PIECES)}
CLS, SEP, UNK = VOCABULARY["[CLS]"], VOCABULARY["[SEP]"], VOCABULARY["[UNK]"]
SPECIAL = [("[CLS]", CLS), ("[SEP]", SEP)]
SENTENCES = [
    f"{who} {does} {what} in {where}."
    for who in ("A red cat", "The big dog", "My brother", "Nobody", "An old lady")
    for does in ("sees", "runs to", "likes", "was looking for")
    for what in ("the house", "a blue tree", "some water", "the river")
    for where in ("Paris", "London", "the morning")
]


def word_pieces(special=True):
    """Returns the core of a BERT with PIECES."""
    core = tokenizers.Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.add_special_tokens(PIECES[:5])
    if special:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=SPECIAL
        )
    return core


def byte_pairs():
    """Returns the core of a RoBERTa whose pieces are bytes, and " a"."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}
    vocabulary["Ġa"] = len(vocabulary)
    core = tokenizers.Tokenizer(models.BPE(vocabulary, [("Ġ", "a")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    core.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    return core


def write_spiece(folder, size=48):
    """Writes a trained SentencePiece model as T5 has it; returns its processor."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_prefix=str(folder / "spiece"),
        vocab_size=size,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))


def write_bert(folder, names=("tokenizer.json", "vocab.txt"), **settings):
    """Writes the files of a BERT's tokenizer."""
    folder.mkdir(exist_ok=True)
    if "tokenizer.json" in names:
        word_pieces().save(str(folder / "tokenizer.json"))
    if "vocab.txt" in names:
        (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def write_config(folder, **changes):
    """Writes the configuration of a small BERT."""
    config = {
        "model_type": "bert",
        "vocab_size": len(PIECES),
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 32,
        "type_vocab_size": 2,
    }
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")
    return folder
