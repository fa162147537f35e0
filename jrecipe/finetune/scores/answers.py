"""Exact match and F1 of short answers in text, as SQuAD counts them."""

from __future__ import annotations

import collections
import dataclasses
import re
import string
from collections.abc import Sequence

from jrecipe.finetune.scores.checking import require_text, same_length
from jrecipe.types import TaskError

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclasses.dataclass(frozen=True)
class AnswerScores:
    """Scores of a question answerer on a split; see `answer_scores`.

    Attributes:
      n: questions.
      exact: share of the answers that equal a right one.
      f1: mean overlap of words with the right answer that is nearest.
    """

    n: int
    exact: float
    f1: float

    def __str__(self) -> str:
        return f"EM {100 * self.exact:.1f} %, F1 {100 * self.f1:.1f} % (n={self.n})"


def answer_scores(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> AnswerScores:
    """Returns exact match and F1 over words, the best over the right answers of a question (J5).

    Case, punctuation, the articles a, an, the, and spaces do not count.

    Args:
      predictions: one answer per question; "" says that there is none.
      targets: the right answers of each question; no answers, or "", if there is none.

    Raises:
      TaskError: if lengths differ, or something is no text; with its row.

    References:
      Rajpurkar et al., "SQuAD", 2016, arXiv:1606.05250; Rajpurkar et al., "Know What You Don't
      Know", 2018, arXiv:1806.03822 (questions without an answer).

    Example:
      >>> print(answer_scores(["The Eiffel tower!", "in 1887"], [["Eiffel Tower"], ["1887", "99"]]))
      EM 50.0 %, F1 83.3 % (n=2)
    """
    n = same_length(predictions, targets, "answers")
    exact = f1 = 0.0
    for row, (guess, answers) in enumerate(zip(predictions, targets, strict=True)):
        require_text(guess, "predictions", row)
        if isinstance(answers, str):
            raise TaskError(
                f"targets need a list of right answers per question, got {answers!r} in row {row}; "
                "put it into a list."
            )
        for answer in answers:
            require_text(answer, "targets", row)
        words = normalise(guess).split()
        right = [normalise(answer).split() for answer in answers] or [[]]
        exact += any(words == each for each in right)
        f1 += max(overlap(words, each) for each in right)
    return AnswerScores(n, exact / n, f1 / n)


def normalise(text: str) -> str:
    """Returns text in lower case without punctuation, articles and spare spaces.

    Example:
      >>> normalise("The  cat's a-b, an END.")
      'cats ab end'
    """
    text = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def overlap(guess: Sequence[str], right: Sequence[str]) -> float:
    """Returns the F1 of two bags of words in [0, 1]; 1 if both are empty, 0 if one is."""
    if not guess or not right:
        return float(guess == right)
    common = sum((collections.Counter(guess) & collections.Counter(right)).values())
    return 2 * common / (len(guess) + len(right))
