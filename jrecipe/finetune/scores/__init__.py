"""Scores of a whole split, as the field reports them: shares in [0, 1], printed in percent (J5).

`jr.metrics` are means over examples; these are not (F1, correlations), or come from libraries that
everybody else's numbers come from.
"""

from jrecipe.finetune.scores.answers import AnswerScores, answer_scores
from jrecipe.finetune.scores.classes import ClassScores, class_scores
from jrecipe.finetune.scores.correlation import Correlation, correlation
from jrecipe.finetune.scores.entities import EntityScores, entity_scores
from jrecipe.finetune.scores.found import Found
from jrecipe.finetune.scores.summaries import SummaryScores, summary_scores

__all__ = [
    "AnswerScores",
    "ClassScores",
    "Correlation",
    "EntityScores",
    "Found",
    "SummaryScores",
    "answer_scores",
    "class_scores",
    "correlation",
    "entity_scores",
    "summary_scores",
]
