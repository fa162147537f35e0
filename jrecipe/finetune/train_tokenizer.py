"""A tokenizer learned from a user's own texts, with the special tokens of BERT or T5 (D5)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from jrecipe.types import TaskError

TOKENIZER = "tokenizer.json"
BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
T5_TOKENS = ("<pad>", "</s>", "<unk>")  # ids 0 to 2, before the sentinels


def sentinel(number: int) -> str:
    """Returns T5's name of a sentinel."""
    return f"<extra_id_{number}>"


def train_tokenizer(
    texts: Iterable[str],
    size: int,
    kind: Literal["wordpiece", "unigram"] = "wordpiece",
    folder: str | Path | None = None,
    *,
    lowercase: bool = True,
    sentinels: int = 100,
) -> Any:
    """Learns a tokenizer from texts; the same texts give the same one.

    | kind | as in | special tokens |
    | --- | --- | --- |
    | wordpiece | BERT | [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4 |
    | unigram | T5 | <pad> 0, </s> 1, <unk> 2, <extra_id_0> 3, <extra_id_1> 4, ... |

    A text is encoded as `[CLS] text [SEP]`, a pair as `[CLS] one [SEP] other [SEP]`; by T5's as
    `text </s>`.

    Args:
      texts: to learn from; a few thousand sentences are enough for some thousand tokens.
      size: tokens in all, special ones included. Fewer come out where the texts hold no more.
      kind: of the tokenizer.
      folder: where to write `tokenizer.json`, made if it is not there; None writes nothing.
      lowercase: wordpiece only: make everything lower case and take accents off.
      sentinels: unigram only: how many there are.

    Returns:
      A `tokenizers.Tokenizer`.

    Raises:
      TaskError: if an argument is of no use, or the package tokenizers is missing.

    References:
      Wu et al., "Google's Neural Machine Translation System", 2016, arXiv:1609.08144 (word
      pieces). Kudo, "Subword Regularization", 2018, arXiv:1804.10959 (unigram).
    """
    if kind not in ("wordpiece", "unigram"):
        raise TaskError(f"train_tokenizer needs kind 'wordpiece' or 'unigram', got {kind!r}.")
    if isinstance(texts, str):
        raise TaskError("train_tokenizer needs several texts, got one; give a list of them.")
    special = BERT_TOKENS if kind == "wordpiece" else (*T5_TOKENS, *map(sentinel, range(sentinels)))
    if size <= len(special):
        raise TaskError(
            f"train_tokenizer needs a size above its {len(special)} special tokens, got {size}; "
            "some thousand are usual."
        )
    lines = [text for text in texts if text.strip()]
    if not lines:
        raise TaskError("train_tokenizer needs texts that are not empty, got none.")
    if kind == "wordpiece":
        tokenizer = _word_pieces(lines, size, special, lowercase)
    else:
        tokenizer = _unigram(lines, size, special)
    if folder is not None:
        write_tokenizer(folder, tokenizer)
    return tokenizer


def write_tokenizer(folder: str | Path, tokenizer: Any) -> None:
    """Writes `tokenizer.json` into a folder, which is made if it is not there; as a whole."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{TOKENIZER}.new"
    fresh.write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    os.replace(fresh, folder / TOKENIZER)


def library() -> Any:
    """Returns the package tokenizers.

    Raises:
      TaskError: if it is missing.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise TaskError(
            "tokenizers of texts need the package tokenizers; pip install 'jrecipe[finetune]'."
        ) from error
    return tokenizers


def _word_pieces(lines: list[str], size: int, special: tuple[str, ...], lowercase: bool) -> Any:
    lib = library()
    tokenizer = lib.Tokenizer(lib.models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = lib.normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = lib.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = lib.decoders.WordPiece()
    trainer = lib.trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(special), show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer, length=len(lines))
    tokenizer.post_processor = lib.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def _unigram(lines: list[str], size: int, special: tuple[str, ...]) -> Any:
    lib = library()
    tokenizer = lib.Tokenizer(lib.models.Unigram())
    spaces = lib.normalizers.Replace(lib.Regex(r"\s+"), " ")
    tokenizer.normalizer = lib.normalizers.Sequence(
        [lib.normalizers.NFKC(), spaces, lib.normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = lib.pre_tokenizers.Metaspace()
    tokenizer.decoder = lib.decoders.Metaspace()
    trainer = lib.trainers.UnigramTrainer(
        vocab_size=size, special_tokens=list(special), unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer, length=len(lines))
    tokenizer.post_processor = lib.processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer
