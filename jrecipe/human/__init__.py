"""The human baseline (B6): a page on which a person answers, and what the answers are worth."""

from jrecipe.human.answers import Answers, read_answers
from jrecipe.human.matching import answers_for
from jrecipe.human.page import render
from jrecipe.human.scores import Agreement, HumanScores, agreement, score_answers
from jrecipe.human.sheet import Sheet, class_names_of, make_sheet, targets_of

__all__ = [
    "Agreement",
    "Answers",
    "HumanScores",
    "Sheet",
    "agreement",
    "answers_for",
    "class_names_of",
    "make_sheet",
    "read_answers",
    "render",
    "score_answers",
    "targets_of",
]
