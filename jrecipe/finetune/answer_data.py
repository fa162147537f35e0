"""Questions about texts, whose answers stand in the text (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jrecipe.finetune.fields import complete_rows, counted, list_field, text_field
from jrecipe.finetune.ragged import Ragged
from jrecipe.finetune.rows import Row, TextRows, as_rows
from jrecipe.finetune.text_data import TextData, tally
from jrecipe.finetune.tokenized import tokenized
from jrecipe.finetune.tokenizer import Encoded, TextTokenizer
from jrecipe.types import TaskError

OUTSIDE = -1  # offset of tokens that are not of the context


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class AnswerData(TextData):
    """Windows of questions and their contexts; see `answer_data`.

    Attributes:
      question: index of the question that each window is of, int32[n], ascending.
      offsets: characters of the context that each token stands for, int32[t, 2] a window; (-1, -1)
        for tokens of the question and special ones.
      contexts: of the q questions.
      answers: the right answers of each question, for `answer_scores`.
    """

    question: np.ndarray = dataclasses.field(repr=False)
    offsets: Ragged = dataclasses.field(repr=False)
    contexts: tuple[str, ...] = dataclasses.field(repr=False)
    answers: tuple[tuple[str, ...], ...] = dataclasses.field(repr=False)


def answer_data(
    rows: TextRows | Sequence[Row],
    tokenizer: TextTokenizer,
    *,
    question: str = "question",
    context: str = "context",
    answers: str = "answers",
    max_length: int = 256,
    stride: int = 96,
) -> AnswerData:
    """Returns rows as data for `jr.models.SpanFinder`; targets are spans int32[b, 2].

    A context that is too long becomes several windows, and an example is a window. Its target is
    the first and last token of the first answer, (0, 0) in windows that do not hold all of it.

    Args:
      rows: see `read_rows`; or a list of dicts. A row where a field is null is left out and
        counted.
      tokenizer: of the network.
      question: field of the question.
      context: field of the text to search.
      answers: field of the answers, a list of `{"text": ..., "start": ...}` with the character
        where it starts ("answer_start" is read too); empty if there is none.
      max_length: most tokens of a window.
      stride: tokens that neighbouring windows have in common.

    Raises:
      TaskError: if a field is missing or not as said, or the text of an answer does not stand where
        it should; with its row.
    """
    rows = as_rows(rows)
    kept, notes = complete_rows(rows, [question, context, answers])
    asked, contexts = (text_field(rows, kept, field) for field in (question, context))
    right = [
        [_answer(rows, int(i), answer, text) for answer in given]
        for i, given, text in zip(kept, list_field(rows, kept, answers), contexts, strict=True)
    ]
    encoded = tokenizer.encode_windows(asked, contexts, max_length=max_length, stride=stride)
    offsets = [_offsets(each) for each in encoded]
    owner = np.array([each.row for each in encoded], np.int32)
    spans = np.array(
        [
            _span(offset, right[row][0]) if right[row] else (0, 0)
            for offset, row in zip(offsets, owner, strict=True)
        ],
        np.int32,
    )
    held = np.zeros(len(kept), bool)
    held[owner[spans[:, 1] > 0]] = True
    answered = np.array([bool(each) for each in right])
    if len(encoded) > len(kept):
        notes += (f"{len(kept):,} questions became {len(encoded):,} windows.",)
    if not answered.all():
        share = counted((~answered).sum(), len(kept), "questions")
        notes += (f"{share} have no answer; their target is the first token.",)
    if (answered & ~held).any():
        share = counted((answered & ~held).sum(), len(kept), "questions")
        notes += (f"{share} have their answer in no window; their target is the first token.",)
    counts = tally(encoded, tokenizer, max_length)
    return AnswerData(
        source=tokenized(encoded, spans, pad=tokenizer.pad_id, longest=max_length),
        kept=kept[owner],
        keys=tuple((asked[row], contexts[row]) for row in owner),
        question=owner,
        offsets=Ragged(np.concatenate(offsets), np.cumsum([0, *(len(each) for each in offsets)])),
        contexts=tuple(contexts),
        answers=tuple(tuple(text for text, _ in each) for each in right),
        **counts.fields(rows, kept, *notes),
    )


def _answer(rows: TextRows, row: int, answer: Any, context: str) -> tuple[str, int]:
    """Returns the text of an answer and where it starts, or says what is wrong with it."""
    given = answer if isinstance(answer, dict) else {}
    text, start = given.get("text"), given.get("start", given.get("answer_start"))
    if not isinstance(text, str) or not isinstance(start, int) or isinstance(start, bool):
        raise TaskError(
            f"{rows.place(row)}: an answer needs 'text' and the character 'start', got "
            f"{answer!r:.60}."
        )
    if start < 0 or context[start : start + len(text)] != text:
        raise TaskError(
            f"{rows.place(row)}: the answer {text!r:.60} does not stand at character {start}, but "
            f"{context[max(start, 0) : max(start, 0) + len(text)]!r:.60}; correct its start."
        )
    return text, start


def _offsets(each: Encoded) -> np.ndarray:
    """Returns int32[t, 2], characters of the context, -1 elsewhere."""
    offsets = np.array(each.offsets, np.int32).reshape(-1, 2)
    offsets[np.array(each.sides) != 1] = OUTSIDE
    return offsets


def _span(offsets: np.ndarray, answer: tuple[str, int]) -> tuple[int, int]:
    """Returns the first and last token of an answer, (0, 0) if the window does not hold all."""
    text, start = answer
    end = start + len(text.rstrip())
    start += len(text) - len(text.lstrip())
    (places,) = np.nonzero(offsets[:, 1] != OUTSIDE)
    if start >= end or not len(places):
        return 0, 0
    begins, ends = offsets[places].T
    if begins[0] > start or ends[-1] < end:
        return 0, 0
    first = int(np.searchsorted(ends, start, side="right"))
    last = int(np.searchsorted(begins, end, side="left")) - 1
    return (int(places[first]), int(places[last])) if first <= last else (0, 0)
