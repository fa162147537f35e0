"""Pre-training of a small network on a user's own texts, where no weights can be had (D5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jrecipe.data.source import as_source
from jrecipe.data.split import stratified_split
from jrecipe.finetune.corruption import SpanCorruption
from jrecipe.finetune.folder import write_encoder
from jrecipe.finetune.masking import IGNORE, mask_tokens, masked
from jrecipe.finetune.packing import pack
from jrecipe.finetune.t5_folder import write_t5
from jrecipe.finetune.train_tokenizer import TOKENIZER, library, sentinel, write_tokenizer
from jrecipe.losses import token_cross_entropy
from jrecipe.models.bert import Bert
from jrecipe.models.masked_lm import MaskedLM
from jrecipe.models.t5 import T5
from jrecipe.task import Task
from jrecipe.types import PyTree, TaskError, one_line

_CHUNK = 1_000  # texts encoded at a time


def pretrain_task(
    texts: Sequence[str],
    tokenizer: Any,
    network: Bert | T5,
    *,
    length: int = 64,
    batch_size: int = 32,
    val_fraction: float = 0.05,
    optimizer: optax.GradientTransformation | None = None,
    draws: int = 10,
    seed: int = 0,
) -> Task:
    """Returns the task of finding hidden tokens of texts again: no labels are needed.

    A `Bert` gets the head of `MaskedLM` and learns by `mask_tokens`, masked anew in each update; a
    `T5` learns by `SpanCorruption`, each row with `draws` different sets of spans. Texts are packed
    into rows of `length` tokens, with a separator behind each ([SEP], </s>) and, for a Bert, [CLS]
    at the start of each row. Whole texts are held out for validation, whose hidden tokens are the
    same ones each time.

    What rate? AdamW with a tenth of warm-up and a line or cosine to 0, as in
    `optax.adamw(jr.train.schedules.linear(1e-3, steps, warm_up=0.1), weight_decay=0.01)`: about
    1e-3 for a width of 128 to 256 and batches of 32 rows, 5e-4 for 384, 1e-4 for BERT base (its
    authors' rate, with batches of 256); a T5 takes about 1e-3 at these sizes. For a while the loss
    stays where the frequencies of the tokens alone bring it, at 5 to 7 nats; the run is too short
    if it is still there at the end. Fine-tune with a tenth of the rate and less.

    Afterwards `write_pretrained("folder", network, fit.params, tokenizer)` gives a folder that
    `load_pretrained` reads.

    Args:
      texts: as many as there are; of any length.
      tokenizer: as `train_tokenizer` returns, or the path of a `tokenizer.json` or of its folder.
      network: a `Bert` with `length` positions at least, or a `T5`; with a `vocabulary` for the
        tokenizer.
      length: tokens of a row.
      batch_size: rows of an update.
      val_fraction: share of the texts held out, in (0, 1).
      optimizer: see above; None for the default of `jr.Task`.
      draws: T5 only: sets of spans for each row.
      seed: decides which texts are held out, and what is hidden in the validation rows.

    Raises:
      TaskError: if an argument is of no use, the tokenizer lacks a token that is needed, or the
        texts fill too few rows.
    """
    if isinstance(texts, str) or len(texts) < 2:
        raise TaskError("pretrain_task needs two texts or more, to hold out some; give a list.")
    words = core_of(tokenizer)
    size = vocabulary_of(words)
    if not isinstance(network, Bert | T5):
        raise TaskError(
            f"pretrain_task needs a jr.models.Bert or T5, got {type(network).__name__}; give the "
            "network without a head."
        )
    if network.vocabulary < size:
        raise TaskError(
            f"pretrain_task needs a network with a vocabulary for {size} tokens, got "
            f"{network.vocabulary}; give vocabulary={size}."
        )
    if isinstance(network, Bert) and network.length < length:
        raise TaskError(
            f"pretrain_task needs a network of {length} positions, got length={network.length}; "
            "give shorter rows or a longer network."
        )
    if not 0.0 < val_fraction < 1.0:
        raise TaskError(
            f"pretrain_task needs val_fraction in (0, 1), got {val_fraction!r}; 0.05 is usual."
        )
    held_out, kept = stratified_split(len(texts), (val_fraction, 1.0 - val_fraction), seed)
    ids = encoded(texts, words)
    parts = tuple([ids[row] for row in rows] for rows in (kept, held_out))
    fields: dict[str, Any]
    if isinstance(network, Bert):
        fields = _masked_words(parts, words, network, length, seed)
    else:
        fields = _cut_spans(parts, words, network, length, draws, seed)
    rows = len(fields["train"])
    if rows < batch_size:
        raise TaskError(
            f"pretrain_task needs texts for {batch_size} rows of {length} tokens, got {rows}; give "
            f"more texts, or a smaller length or batch_size."
        )
    return Task(
        **fields,
        optimizer=optimizer,
        batch_size=batch_size,
        decode=lambda inputs: words.decode_batch(
            np.asarray(inputs["ids"]).tolist(), skip_special_tokens=False
        ),
    )


def write_pretrained(
    folder: str | Path, network: Bert | T5, params: PyTree, tokenizer: Any
) -> None:
    """Writes a network with its tokenizer as a folder that `load_pretrained` reads (J9).

    Args:
      folder: made if it is not there; files are replaced, each as a whole.
      network: the `Bert` or `T5` that was given to `pretrain_task`.
      params: of the task's network, `encoder/...` and `head/...`, the latter of which is left out;
        or of a T5.
      tokenizer: as for `pretrain_task`.

    Raises:
      TaskError: if it cannot be written, see `write_encoder`.
    """
    if isinstance(network, T5):
        write_t5(folder, network, params)
    else:
        write_encoder(folder, network, params["encoder"])
    write_tokenizer(folder, core_of(tokenizer))


def core_of(tokenizer: Any) -> Any:
    """Returns a `tokenizers.Tokenizer` of one's own that neither cuts nor pads.

    Args:
      tokenizer: one, or what holds one as its `core`, or the path of a `tokenizer.json` or of its
        folder.

    Raises:
      TaskError: if there is no such file, or it is damaged.
    """
    lib = library()
    if isinstance(tokenizer, str | Path):
        path = Path(tokenizer)
        path = path / TOKENIZER if path.is_dir() else path
        if not path.is_file():
            raise TaskError(
                f"there is no {path}; give a {TOKENIZER} or its folder, or learn one by "
                "jr.finetune.train_tokenizer."
            )
        text = path.read_text(encoding="utf-8")
    else:
        path, text = Path(TOKENIZER), getattr(tokenizer, "core", tokenizer).to_str()
    try:
        words = lib.Tokenizer.from_str(text)
    except Exception as error:
        if type(error) is not Exception:  # the library raises nothing narrower for a bad file
            raise
        raise TaskError(
            f"{path} is no tokenizer ({one_line(str(error))}); fetch or learn it again."
        ) from error
    words.no_truncation()
    words.no_padding()
    return words


def vocabulary_of(words: Any) -> int:
    """Returns one more than the largest id of a tokenizer, added tokens included."""
    return 1 + max(words.get_vocab().values(), default=-1)


def encoded(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Returns the ids of each text, without special tokens around it."""
    return [
        encoding.ids
        for start in range(0, len(texts), _CHUNK)
        for encoding in tokenizer.encode_batch(
            list(texts[start : start + _CHUNK]), add_special_tokens=False
        )
    ]


_Parts = tuple[list[list[int]], ...]  # the ids of the texts for training, and of those held out


def _masked_words(
    parts: _Parts, words: Any, network: Bert, length: int, seed: int
) -> dict[str, Any]:
    separator, first, mask, pad = (
        _id_of(words, *names)
        for names in (("[SEP]", "</s>"), ("[CLS]", "<s>"), ("[MASK]", "<mask>"), ("[PAD]", "<pad>"))
    )
    special = [i for i, token in words.get_added_tokens_decoder().items() if token.special]
    masking = mask_tokens(vocabulary_of(words), mask, special_ids=special)
    key = jax.random.key(seed)
    splits = []
    for number, texts in enumerate(parts):
        ids = pack(texts, length, separator=separator, first=first, pad=pad)
        inputs = {"ids": ids, "mask": ids != pad}
        splits.append(as_source(masked(inputs, masking, jax.random.fold_in(key, number))))
    return {
        "model": MaskedLM(network),
        "loss": token_cross_entropy(pad=IGNORE),
        "train": splits[0],
        "val": splits[1],
        "augment": masking,
        "name": "masked words",
    }


def _cut_spans(
    parts: _Parts, words: Any, network: T5, length: int, draws: int, seed: int
) -> dict[str, Any]:
    pad, eos = _id_of(words, "<pad>"), _id_of(words, "</s>")
    known = words.get_vocab()
    sentinels = [known[sentinel(n)] for n in range(len(known)) if sentinel(n) in known]
    splits = []
    for number, texts in enumerate(parts):
        rows = pack(texts, length, separator=eos, pad=pad)
        if len(rows) > 1 and rows[-1, 1] == pad:  # a separator alone
            rows = rows[:-1]
        splits.append(
            SpanCorruption(
                rows,
                sentinels,
                seed=2 * seed + number,
                draws=1 if number else draws,
                pad=pad,
                eos=eos,
                start=pad,
            )
        )
    return {
        "model": network,
        "loss": token_cross_entropy(pad=pad),
        "train": splits[0],
        "val": splits[1],
        "name": "cut spans",
    }


def _id_of(words: Any, *names: str) -> int:
    """Returns the id of the first of these tokens that there is."""
    for name in names:
        found = words.token_to_id(name)
        if found is not None:
            return int(found)
    raise TaskError(
        f"pretrain_task needs a tokenizer with {' or '.join(names)}, which this one lacks; "
        "learn one by jr.finetune.train_tokenizer, kind 'wordpiece' for a Bert, 'unigram' for a T5."
    )
