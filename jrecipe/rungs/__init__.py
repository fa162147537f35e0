"""One complication at a time: rungs, what each brings over seeds, and the ladder of them (C3)."""

from jrecipe.rungs.climb import Ladder, Step, ladder
from jrecipe.rungs.compare import Difference, compare
from jrecipe.rungs.learning_curve import LearningCurve, learning_curve
from jrecipe.rungs.ready import batch_of, data_share, larger, pictures_of, progressive
from jrecipe.rungs.rung import Rung
from jrecipe.rungs.scores import Scores, train_rung

__all__ = [
    "Difference",
    "Ladder",
    "LearningCurve",
    "Rung",
    "Scores",
    "Step",
    "batch_of",
    "compare",
    "data_share",
    "ladder",
    "larger",
    "learning_curve",
    "pictures_of",
    "progressive",
    "train_rung",
]
