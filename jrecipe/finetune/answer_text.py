"""From the logits of windows to the text of answers (J5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.finetune.answer_data import OUTSIDE, AnswerData
from jrecipe.types import Array, TaskError


def best_answers(
    logits: Array | Sequence[Array],
    data: AnswerData,
    *,
    longest: int = 30,
    may_be_none: bool = False,
) -> list[str]:
    """Returns the best answer to each question over all of its windows.

    The best span has the highest sum of the logits of its start and its end, of all that lie in the
    context, do not end before they start and have at most `longest` tokens; the first of equals.

    Args:
      logits: of start and end, float32[windows, t, 2], or one [t, 2] for each window. t may be
        above the number of tokens of a window; what is behind them is padding.
      data: what the windows are from.
      longest: most tokens of an answer, >= 1.
      may_be_none: answer "" where the first token, which stands for no answer, scores higher in
        every window than any span of it.

    Raises:
      TaskError: if there is not one [t, 2] for each window, or t is too small.

    References:
      Devlin et al., "BERT", 2018, arXiv:1810.04805, section 4.2 and 4.3.
    """
    if longest < 1:
        raise TaskError(f"best_answers needs longest >= 1 tokens, got {longest}; try 30.")
    starts, ends, none = _scores(logits, data)
    windows, t = starts.shape
    best, first, last = (np.full(windows, -np.inf), *np.zeros((2, windows), np.int64))
    for extra in range(min(longest, t)):  # spans of one token, of two, ...
        sums = starts[:, : t - extra] + ends[:, extra:]
        at = np.argmax(sums, axis=1)
        score = sums[np.arange(windows), at]
        better = score > best
        best = np.where(better, score, best)
        first = np.where(better, at, first)
        last = np.where(better, at + extra, last)
    answers = [""] * len(data.contexts)
    highest = np.full(len(answers), -np.inf)
    np.maximum.at(highest, data.question, best)
    if may_be_none:
        least = np.full(len(answers), np.inf)
        np.minimum.at(least, data.question, none)
        highest[least > highest] = np.inf
    for window in np.flatnonzero((best == highest[data.question]) & np.isfinite(best))[::-1]:
        offsets, row = data.offsets[window], int(data.question[window])
        start, end = offsets[first[window], 0], offsets[last[window], 1]
        answers[row] = data.contexts[row][start:end].strip()
    return answers


def _scores(
    logits: Array | Sequence[Array], data: AnswerData
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns starts and ends [windows, t], -inf outside the contexts, and of no answer."""
    if len(logits) != len(data):
        raise TaskError(
            f"logits are of {len(logits)} windows, the data have {len(data)}; give one [t, 2] for "
            "each, in their order."
        )
    lengths = data.offsets.lengths
    t = int(lengths.max())
    scores = np.full((len(data), t, 2), -np.inf)
    none = np.empty(len(data))
    for window, (each, length) in enumerate(zip(logits, lengths, strict=True)):
        own = np.asarray(each, np.float64)
        if own.ndim != 2 or own.shape[1] != 2 or len(own) < length:
            raise TaskError(
                f"logits of window {window} need shape [t, 2] with t >= {length}, got "
                f"{list(own.shape)}; give those of jr.models.SpanFinder."
            )
        scores[window, :length] = own[:length]
        none[window] = own[0].sum()
    every = np.arange(len(data))
    scores[data.offsets.padded(every, t, OUTSIDE)[:, :, 1] == OUTSIDE] = -np.inf
    return scores[:, :, 0], scores[:, :, 1], none
