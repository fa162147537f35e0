"""Per-example losses that know their value for an uninformed model (B4, B5)."""

from jrecipe.losses.base import Loss, weighted, weighted_mean
from jrecipe.losses.classification import (
    multilabel_cross_entropy,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from jrecipe.losses.crf import crf
from jrecipe.losses.regression import huber, l1, l2
from jrecipe.losses.spans import span_cross_entropy
from jrecipe.losses.tags import bio2_steps
from jrecipe.losses.tokens import token_cross_entropy

__all__ = [
    "Loss",
    "bio2_steps",
    "crf",
    "huber",
    "l1",
    "l2",
    "multilabel_cross_entropy",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "span_cross_entropy",
    "token_cross_entropy",
    "weighted",
    "weighted_mean",
]
