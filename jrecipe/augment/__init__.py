"""Random changes of a batch, each `(key, batch) -> batch` (D2)."""

from jrecipe.augment.compose import compose
from jrecipe.augment.flip import random_flip
from jrecipe.augment.translate import random_translate

__all__ = ["compose", "random_flip", "random_translate"]
