"""A tokenizer learned from a user's own texts, with the special tokens of BERT or T5 (D5)."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from jrecipe.types import TaskError, one_line

TOKENIZER = "tokenizer.json"
BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
T5_TOKENS = ("<pad>", "</s>", "<unk>")  # ids 0 to 2, before the sentinels
_LETTERS = 1_000  # most characters that a word-piece tokenizer knows


def sentinel(number: int) -> str:
    """Returns T5's name of a sentinel."""
    return f"<extra_id_{number}>"


def train_tokenizer(
    texts: Iterable[str],
    size: int,
    kind: Literal["wordpiece", "unigram"] = "wordpiece",
    folder: str | Path | None = None,
    *,
    lowercase: bool | None = None,
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
      lowercase: make everything lower case, and for wordpiece take accents off; None to do so for
        wordpiece only, as the originals do.
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
        tokenizer = _word_pieces(lines, size, special, lowercase is not False)
    else:
        tokenizer = _unigram(lines, size, special, lowercase is True)
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
    letters = _letters(tokenizer, lines, min(_LETTERS, (size - len(special)) // 3))
    # The trainer numbers letters within words in the order in which it meets them, which differs
    # from run to run, and goes by numbers where pairs are equally frequent. So these come first.
    first = [*special, *letters, *(f"##{letter}" for letter in letters)]
    trainer = lib.trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=first,
        initial_alphabet=letters,
        limit_alphabet=max(len(letters), 1),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer, length=len(lines))
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    made = lib.Tokenizer(lib.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.add_special_tokens(list(special))
    made.normalizer, made.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    made.decoder = lib.decoders.WordPiece()
    made.post_processor = lib.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return made


def _letters(tokenizer: Any, lines: list[str], most: int) -> list[str]:
    """Returns the most frequent characters of the words, in the order of their code points."""
    counts: Counter[str] = Counter()
    for line in lines:
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line))
        for word, _ in words:
            counts.update(word)
    by_count = sorted(counts, key=lambda letter: (-counts[letter], letter))
    return sorted(by_count[:most])


def _unigram(lines: list[str], size: int, special: tuple[str, ...], lowercase: bool) -> Any:
    lib = library()
    spaces = lib.normalizers.Replace(lib.Regex(r"\s+"), " ")
    steps = [lib.normalizers.NFKC(), spaces, lib.normalizers.Strip()]
    steps += [lib.normalizers.Lowercase()] if lowercase else []
    normalizer = lib.normalizers.Sequence(steps)
    pieces = _pieces([normalizer.normalize_str(line) for line in lines], size - len(special))
    vocabulary = [(token, 0.0) for token in special] + pieces
    tokenizer = lib.Tokenizer(lib.models.Unigram(vocabulary, special.index("<unk>")))
    tokenizer.add_special_tokens(list(special))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = lib.pre_tokenizers.Metaspace()
    tokenizer.decoder = lib.decoders.Metaspace()
    tokenizer.post_processor = lib.processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def _pieces(lines: list[str], size: int) -> list[tuple[str, float]]:
    """Returns at most `size` pieces with their log-probabilities, by one thread of sentencepiece.

    The trainer of the package tokenizers sums in an order that differs from run to run.
    """
    try:
        import sentencepiece
    except ImportError as error:
        raise TaskError(
            "learning a unigram tokenizer needs the package sentencepiece; "
            "pip install 'jrecipe[finetune]'."
        ) from error
    model = io.BytesIO()
    letters = len(set().union(*lines))
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=size + 1,  # with <unk>, which is left out below
            hard_vocab_limit=False,
            character_coverage=1.0 if 4 * letters <= size else 0.9995,
            normalization_rule_name="identity",
            max_sentence_length=max(len(line.encode()) for line in lines) + 1,
            num_threads=1,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise TaskError(
            f"train_tokenizer cannot learn {size} pieces from {len(lines)} texts "
            f"({one_line(str(error))}); give another size or more texts."
        ) from error
    learned = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(1, len(learned))
    # Rounded, since the package tokenizers reads a long number a little wrong.
    return [(learned.id_to_piece(i), round(learned.get_score(i), 6)) for i in ids]
