"""ROUGE of summaries, by rouge-score."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jrecipe.finetune.scores.checking import require_text, same_length
from jrecipe.types import TaskError

_KINDS = ("rouge1", "rouge2", "rougeL")


@dataclasses.dataclass(frozen=True)
class SummaryScores:
    """Scores of summaries of a split, means of F1; see `summary_scores`.

    Attributes:
      n: texts.
      rouge1: of words.
      rouge2: of pairs of neighbouring words.
      rougeL: of the longest common subsequence of words.
    """

    n: int
    rouge1: float
    rouge2: float
    rougeL: float  # noqa: N815

    def __str__(self) -> str:
        shares = (self.rouge1, self.rouge2, self.rougeL)
        named = (f"{k} {100 * x:.1f}" for k, x in zip("12L", shares, strict=True))
        return f"ROUGE-{' / '.join(named)} % (n={self.n})"


def summary_scores(
    predictions: Sequence[str],
    targets: Sequence[str | Sequence[str]],
    *,
    stem: bool = True,
) -> SummaryScores:
    """Returns ROUGE-1, ROUGE-2 and ROUGE-L, means of F1 over texts (J5).

    Args:
      predictions: one summary per text; an empty one scores 0.
      targets: the right summary of each, or several, of which the best counts each time.
      stem: compare stems of words (Porter's), as papers mostly do; English only. Words are of the
        letters a-z and digits, so that text in other alphabets scores 0.

    Raises:
      TaskError: if lengths differ, a target is empty, or something is no text; with its row.

    References:
      Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004.

    Example:
      >>> print(summary_scores(["the cat sat"], ["the cat sat down"]))
      ROUGE-1 85.7 / 2 80.0 / L 85.7 % (n=1)
    """
    from rouge_score.rouge_scorer import RougeScorer

    n = same_length(predictions, targets, "summaries")
    scorer = RougeScorer(list(_KINDS), use_stemmer=stem)
    totals = dict.fromkeys(_KINDS, 0.0)
    for row, (guess, given) in enumerate(zip(predictions, targets, strict=True)):
        right = [given] if isinstance(given, str) else list(given)
        require_text(guess, "predictions", row)
        for each in right:
            require_text(each, "targets", row)
        if not any(each.strip() for each in right):
            raise TaskError(
                f"targets need a summary per text, got {given!r} in row {row}; drop this row."
            )
        best = scorer.score_multi(right, guess)
        for kind in _KINDS:
            totals[kind] += best[kind].fmeasure
    return SummaryScores(n, **{kind: total / n for kind, total in totals.items()})
