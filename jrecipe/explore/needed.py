"""What the problem of a data set needs of its inputs (A6)."""

from __future__ import annotations

import jax
import numpy as np

from jrecipe.checks.neighbours import classes_of
from jrecipe.explore.gather import Gathered
from jrecipe.explore.needs import Need
from jrecipe.explore.needs_pictures import needs_of_pictures
from jrecipe.explore.needs_texts import needs_of_texts
from jrecipe.types import TaskError


def needs_of(gathered: Gathered, seed: int = 0) -> tuple[Need, ...] | str:
    """Asks a probe of the training rows what it can do without.

    Args:
      gathered: all examples.
      seed: of the rows that are asked and of the changes.

    Returns:
      A curve for each question, or why none was asked.
    """
    train = gathered.rows_of("train")
    targets = jax.tree.map(lambda x: np.asarray(x)[train], gathered.targets)
    labels = classes_of(targets)
    if labels is None:
        leaves = jax.tree.leaves(targets)
        if len(leaves) != 1 or leaves[0].size != len(train):
            return "targets are neither one class nor one number for each example"
        labels = leaves[0].reshape(len(train))
    try:
        if gathered.texts is not None:
            return needs_of_texts([gathered.texts[row] for row in train], labels, seed=seed)
        if gathered.pictures is not None:
            return needs_of_pictures(gathered.pictures[train], labels, seed=seed)
    except TaskError as error:  # too few examples, one class
        return str(error)
    return "inputs are neither pictures nor texts"
