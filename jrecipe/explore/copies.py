"""Which examples are copies of others, exactly or nearly, over all splits (A1).

Pairs of candidates come from searches that are nearly linear in the number of examples; what is
called a copy is decided for each pair by itself. Copies of copies make a group.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.checks.duplicates import repeats_by_nature, row_hashes
from jrecipe.checks.neighbours import classes_of
from jrecipe.explore.gather import Gathered
from jrecipe.explore.picture_copies import picture_pairs
from jrecipe.explore.text_copies import text_pairs
from jrecipe.explore.vector_copies import vector_pairs


@dataclasses.dataclass(frozen=True, eq=False)
class Copies:
    """Groups of examples that are copies of each other.

    Attributes:
      exact: int[n], number of the group of equal inputs, -1 for what has no equal.
      near: int[n], number of the group of near copies, equal ones among them, -1 for none.
      across: bool[n], rows of other splits than training with a copy in training, exact or near.
      partner: int[n], the place of a copy, preferably in training and equal; -1 for none.
      natural: whether rows repeat by nature, as in a table of a few discrete columns.
    """

    exact: np.ndarray
    near: np.ndarray
    across: np.ndarray
    partner: np.ndarray
    natural: bool


def find_copies(gathered: Gathered, seed: int = 0) -> Copies:
    """Finds exact and near copies.

    Near are pictures that are mirrored, moved by a pixel, recompressed or of another brightness;
    texts that differ in case, punctuation or a few words; vectors with a little noise.

    Args:
      gathered: all examples.
      seed: of the search for candidates.
    """
    hashes = row_hashes(gathered.inputs)
    if gathered.texts is not None:
        # An encoder may make one input of two texts.
        hashes = np.unique(np.array(gathered.texts, object), return_inverse=True)[1]
    exact = numbered(np.unique(hashes, return_inverse=True)[1])
    natural = gathered.texts is None and repeats_by_nature(gathered.inputs)
    pairs = np.zeros((0, 2), int)
    if not natural:
        first = np.sort(np.unique(hashes, return_index=True)[1])  # one of each kind is compared
        pairs = _near_pairs(gathered, first, seed)
    near = joined(exact, pairs)
    training = gathered.split == "train"
    partner, equal = _partners(near, training), _partners(exact, training)
    across = (partner >= 0) & ~training & training[partner]
    # An equal one is shown before a near one, but none before one in training.
    prefer = (equal >= 0) & (training | training[equal] | ~across)
    partner = np.where(prefer, equal, partner)
    return Copies(exact=exact, near=near, across=across, partner=partner, natural=natural)


def is_equal(copies: Copies) -> np.ndarray:
    """Returns bool[n]: which rows equal their partner, rather than nearly so."""
    same: np.ndarray = (copies.exact >= 0) & (copies.exact == copies.exact[copies.partner])
    return same


def _partners(groups: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Returns for each row another of its group, one of training if there is one, int[n] or -1."""
    own = np.arange(len(groups))
    leader = _leaders(groups, training)
    others = _others(groups, own, leader)
    partner = np.where(leader[groups] == own, others[groups], leader[groups])
    result: np.ndarray = np.where(groups >= 0, partner, -1)
    return result


def _near_pairs(gathered: Gathered, rows: np.ndarray, seed: int) -> np.ndarray:
    """Returns the pairs of near copies among the given rows, int[p, 2]."""
    if gathered.texts is not None:
        found = text_pairs([gathered.texts[row] for row in rows], seed=seed)
    elif gathered.pictures is not None:
        found = picture_pairs(gathered.pictures[rows], seed=seed)
    else:
        found = vector_pairs(gathered, rows, seed=seed)
    return rows[found]


def numbered(groups: np.ndarray) -> np.ndarray:
    """Returns groups int[n] renumbered from 0 in the order of their first rows, -1 for lone rows.

    Example:
      >>> numbered(np.array([7, 3, 7, 5, 3, 3])).tolist()
      [0, 1, 0, -1, 1, 1]
    """
    _, first, inverse, counts = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    names = np.full(len(counts), -1)
    several = np.flatnonzero(counts > 1)
    names[several[np.argsort(first[several])]] = np.arange(len(several))
    result: np.ndarray = names[inverse]
    return result


def joined(exact: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Returns the groups int[n] that exact groups and pairs int[p, 2] make together, -1 for none.

    Example:
      >>> joined(np.array([0, -1, 0, -1, -1]), np.array([[2, 3]])).tolist()
      [0, -1, 0, 0, -1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(exact)
    members = np.flatnonzero(exact >= 0)
    leader = np.zeros(int(exact.max(initial=-1)) + 1, int)
    leader[exact[members][::-1]] = members[::-1]
    a = np.concatenate([members, pairs[:, 0]])
    b = np.concatenate([leader[exact[members]], pairs[:, 1]])
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    return numbered(connected_components(graph, directed=False)[1])


def conflicting(copies: Copies, targets: object) -> np.ndarray:
    """Returns bool[n]: which rows have a copy with another class; all False without classes."""
    classes = classes_of(targets)
    clash = np.zeros(len(copies.near), bool)
    rows = np.flatnonzero(copies.near >= 0)
    if classes is None or not len(rows):
        return clash
    groups = copies.near[rows]
    pairs = np.unique(np.stack([groups, classes[rows]], axis=1), axis=0)
    several = np.bincount(pairs[:, 0], minlength=groups.max() + 1) > 1
    clash[rows] = several[groups]
    return clash


def _leaders(near: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Returns for each group a row that stands for it, one of training where there is one."""
    rows = np.flatnonzero(near >= 0)
    leader = np.zeros(int(near.max(initial=-1)) + 2, int)  # the last one for rows of no group
    for some in (rows[~training[rows]], rows[training[rows]]):
        leader[near[some][::-1]] = some[::-1]
    return leader


def _others(near: np.ndarray, own: np.ndarray, leader: np.ndarray) -> np.ndarray:
    """Returns for each group a row that is not its leader."""
    rows = np.flatnonzero(near >= 0)
    rows = rows[leader[near[rows]] != own[rows]]
    other = np.zeros(len(leader), int)
    other[near[rows][::-1]] = rows[::-1]
    return other
