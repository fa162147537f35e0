"""Spans of tokens cut out of a text, to be written by T5: span corruption (D5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from jrecipe.types import PyTree, TaskError

_WORD = 2**64
_TAG = 0x5350414E  # keeps these draws apart from the order of the epochs


def span_counts(length: int, rate: float = 0.15, mean_length: float = 3.0) -> tuple[int, int]:
    """Returns how many of `length` tokens are cut out, and in how many spans.

    Both are rounded, at least 1, and leave a token between any two spans.

    Args:
      length: tokens, >= 2.
      rate: share of them, in (0, 1).
      mean_length: of a span, >= 1.
    """
    cut = min(max(round(length * rate), 1), length - 1)
    return cut, min(max(round(cut / mean_length), 1), cut, length - cut + 1)


def draw_spans(length: int, cut: int, spans: int, seed: int, index: int) -> np.ndarray:
    """Draws which tokens are cut out, bool[length], a function of (seed, index).

    The spans' lengths, and the lengths of what remains between them, are each drawn evenly from all
    there are; a text may begin or end with a span.

    Args:
      length: tokens.
      cut: of them, how many are cut out.
      spans: in so many spans, between which something remains.
      seed: any integer.
      index: >= 0.
    """
    key = np.array([int(seed) % _WORD, index], np.uint64)
    draw = np.random.Philox(key=key, counter=_TAG).random_raw
    gone = _parts(draw(max(cut - 1, 1)), cut, spans)
    kept = _parts(draw(length - cut + 1), length - cut + 2, spans + 1)
    kept[[0, -1]] -= 1  # the text's ends may be cut out, so these two may be 0
    runs = np.zeros(2 * spans + 1, np.int64)
    runs[::2], runs[1::2] = kept, gone
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


def _parts(words: np.ndarray, total: int, parts: int) -> np.ndarray:
    """Returns `parts` whole numbers above 0 with the sum `total`, by the order of random words."""
    borders = np.sort(np.argsort(words[: total - 1], kind="stable")[: parts - 1]) + 1
    return np.diff(borders, prepend=0, append=total)


def corrupt(
    tokens: np.ndarray, gone: np.ndarray, sentinels: Sequence[int], eos: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what T5 reads and what it writes.

    What it reads has a sentinel in the place of each span, the first for the first span and so on.
    What it writes is each span behind its sentinel, and one more sentinel. Both end with `eos`.

    Args:
      tokens: int[n].
      gone: bool[n], the tokens cut out.
      sentinels: ids, one more than there are spans at least.
      eos: id of the end token.

    Raises:
      TaskError: if there are too few sentinels.

    Example:
      >>> read, written = corrupt(
      ...     np.array([11, 12, 13, 14, 15]), np.array([0, 1, 1, 0, 1], bool), (99, 98, 97)
      ... )
      >>> read.tolist(), written.tolist()
      ([11, 99, 14, 98, 1], [99, 12, 13, 98, 15, 97, 1])
    """
    first = gone & ~np.concatenate([[False], gone[:-1]])
    spans = int(first.sum())
    if spans >= len(sentinels):
        raise TaskError(
            f"corrupt needs {spans + 1} sentinels for {spans} spans, got {len(sentinels)}; give "
            "more, or shorter texts."
        )
    marks = np.asarray(sentinels[: spans + 1], np.int32)
    shown = tokens.astype(np.int32)
    shown[first] = marks[:-1]
    read = np.append(shown[first | ~gone], eos)
    starts = np.cumsum(gone)[first] - 1  # of the spans, among what is cut out
    written = np.insert(tokens[gone].astype(np.int32), starts, marks[:-1])
    return read.astype(np.int32), np.concatenate([written, marks[-1:], [eos]]).astype(np.int32)


def restore(read: Sequence[int], written: Sequence[int], sentinels: Sequence[int]) -> list[int]:
    """Returns the tokens that `corrupt` was given: the spans put back, without the end token."""
    spans: dict[int, list[int]] = {}
    place: list[int] = []
    for token in written[:-1]:
        if token in sentinels:
            place = spans.setdefault(int(token), [])
        else:
            place.append(int(token))
    return [t for token in read[:-1] for t in spans.get(int(token), [int(token)])]


@dataclasses.dataclass(frozen=True, eq=False)
class SpanCorruption:
    """A source of texts with spans cut out, for `jr.models.T5`; shapes do not depend on the draws.

    Each row is given `draws` times, with other spans; example i is row `i % n` in its `i // n`-th
    draw, a function of (seed, i). Inputs are `{"ids": int32[k, r], "mask": bool[k, r],
    "decoder_ids": int32[k, w]}`, targets int32[k, w], for
    `jr.losses.token_cross_entropy(pad=pad)`. Borders of documents are cut out as other tokens are.

    Attributes:
      rows: int32[n, length], tokens; `pad` behind the last one of a row that is shorter.
      sentinels: ids that stand for the spans, in order.
      seed: any integer.
      rate: share of the tokens cut out, in (0, 1).
      mean_length: of a span, >= 1.
      draws: times that each row is given, >= 1.
      pad: id of padding.
      eos: id of the end token.
      start: id of the token that the decoder starts from.

    Raises:
      TaskError: if an argument is out of range, or the sentinels are too few.

    References:
      Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
      Transformer", 2020, arXiv:1910.10683, section 3.1.4.

    Example:
      >>> source = SpanCorruption(np.arange(10, 50).reshape(2, 20), sentinels=range(99, 90, -1))
      >>> inputs, targets = source.take(np.array([0]))
      >>> inputs["ids"].shape, targets.shape
      ((1, 19), (1, 6))
    """

    rows: np.ndarray
    sentinels: Sequence[int]
    seed: int = 0
    rate: float = 0.15
    mean_length: float = 3.0
    draws: int = 1
    pad: int = 0
    eos: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        rows = self.rows
        if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer) or not len(rows):
            raise TaskError(
                f"SpanCorruption.rows needs int[n, length], got {rows.dtype}{list(rows.shape)}; "
                "pack the texts first."
            )
        if (rows[:, :2] == self.pad).any() or rows.shape[1] < 2:
            raise TaskError(
                "SpanCorruption.rows needs two tokens in each row, to keep one and cut out one; "
                "drop the shorter ones."
            )
        if not (0 < self.rate < 1 and self.mean_length >= 1 and self.draws >= 1):
            raise TaskError(
                f"SpanCorruption needs rate in (0, 1), mean_length and draws >= 1, got "
                f"{self.rate}, {self.mean_length} and {self.draws}; 0.15, 3 and 1 are usual."
            )
        _, spans = span_counts(rows.shape[1], self.rate, self.mean_length)
        if len(self.sentinels) <= spans:
            raise TaskError(
                f"SpanCorruption needs {spans + 1} sentinels for rows of {rows.shape[1]} tokens, "
                f"got {len(self.sentinels)}; give more, or shorter rows."
            )

    def __len__(self) -> int:
        return len(self.rows) * self.draws

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns `(inputs, targets)` of the examples `rows` int[k]."""
        rows = np.asarray(rows)
        read, written = self._lengths()
        ids = np.full((len(rows), read), self.pad, np.int32)
        targets = np.full((len(rows), written), self.pad, np.int32)
        mask = np.zeros(ids.shape, bool)
        for place, index in enumerate(rows):
            a, b = self._example(int(index))
            ids[place, : len(a)], mask[place, : len(a)], targets[place, : len(b)] = a, True, b
        decoder = np.concatenate([np.full_like(targets[:, :1], self.start), targets[:, :-1]], 1)
        return {"ids": ids, "mask": mask, "decoder_ids": decoder}, targets

    def _lengths(self) -> tuple[int, int]:
        """Returns how long what is read, and what is written, is at most."""
        counts = [
            (length, *span_counts(length, self.rate, self.mean_length))
            for length in range(2, self.rows.shape[1] + 1)
        ]
        read = max(length - cut + spans for length, cut, spans in counts) + 1
        return read, max(cut + spans for _, cut, spans in counts) + 2

    def _example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        tokens = self.rows[index % len(self.rows)]
        tokens = tokens[: int((tokens != self.pad).sum())]
        cut, spans = span_counts(len(tokens), self.rate, self.mean_length)
        gone = draw_spans(len(tokens), cut, spans, self.seed, index)
        return corrupt(tokens, gone, tuple(self.sentinels), self.eos)
