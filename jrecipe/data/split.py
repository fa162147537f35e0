"""Cutting one data set into parts, by seed, with every class in every part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jrecipe.types import TaskError

_WORD = 2**64
_SPLIT = 0x53504C4954  # keeps these draws apart from the order of the epochs


def stratified_split(
    targets_or_n: Any, fractions: Sequence[float], seed: int
) -> tuple[np.ndarray, ...]:
    """Cuts `n` examples into disjoint parts.

    Integer, bool or string labels in one axis are stratified: each part gets each class's share up
    to rounding, the rounding evens out over the classes, and a class with at least as many examples
    as there are parts is in every part. Other targets, or a bare count, are cut at random.

    Args:
      targets_or_n: targets with a leading axis `n`, or the number `n`.
      fractions: share of each part, each > 0, together at most 1; what remains is in no part.
      seed: any integer; the same seed cuts alike.

    Returns:
      One int64 index array per part, in ascending order.

    Raises:
      TaskError: if a fraction is not positive, their sum exceeds 1, or a part would be empty.

    Example:
      >>> big, small = stratified_split([0, 0, 0, 0, 1, 1], (0.5, 0.5), seed=0)
      >>> len(big), len(small)
      (3, 3)
    """
    shares = [float(fraction) for fraction in fractions]
    if not shares or not all(share > 0.0 for share in shares) or sum(shares) > 1.0 + 1e-9:
        raise TaskError(
            f"stratified_split needs fractions > 0 with a sum of at most 1, got {tuple(fractions)}."
        )
    groups = _groups(targets_or_n)
    n = sum(len(group) for group in groups)
    rest = 1.0 - sum(shares)
    ideal = np.array([*shares, rest] if rest > 1e-9 else shares)
    draw = np.random.Philox(key=np.array([int(seed) % _WORD, _SPLIT], np.uint64)).random_raw
    parts: list[list[np.ndarray]] = [[] for _ in ideal]
    owed = np.zeros(len(ideal))  # what rounding has kept from each part so far
    for which in np.argsort(draw(len(groups)), kind="stable"):  # not by label: else small classes
        group = groups[which]  # would always fall to the same part
        group = group[np.argsort(draw(len(group)), kind="stable")]
        counts = _apportion(ideal * len(group), owed)
        owed += ideal * len(group) - counts
        if len(groups) > 1 and len(group) >= len(shares):
            counts = _at_least_one(counts, ideal * len(group), len(shares))
        for part, rows in zip(parts, np.split(group, np.cumsum(counts)[:-1]), strict=True):
            part.append(rows)
    cut = tuple(np.sort(np.concatenate(part)) for part in parts[: len(shares)])
    for share, rows in zip(shares, cut, strict=True):
        if len(rows) == 0:
            raise TaskError(
                f"stratified_split would leave an empty part: a share of {share:g} of {n} examples;"
                " give more examples or a larger share."
            )
    return cut


def _groups(targets_or_n: Any) -> list[np.ndarray]:
    """Returns the rows of each class, or all rows as one group."""
    if isinstance(targets_or_n, int | np.integer):
        return [np.arange(int(targets_or_n))]
    targets = np.asarray(targets_or_n)
    if targets.ndim == 0:
        raise TaskError(f"stratified_split needs targets or an integer count, got {targets!r}.")
    if targets.ndim != 1 or targets.dtype.kind not in "iubUS" or len(targets) == 0:
        return [np.arange(len(targets))]
    order = np.argsort(targets, kind="stable")
    _, starts = np.unique(targets[order], return_index=True)
    return np.split(order, starts[1:])


def _apportion(ideal: np.ndarray, owed: np.ndarray) -> np.ndarray:
    """Rounds `ideal`, whose sum is whole, to whole numbers; parts that are owed most round up."""
    counts = np.floor(ideal + 1e-9).astype(np.int64)
    left = round(float(ideal.sum())) - int(counts.sum())
    # Every part is at most one above its floor, so no share is off by a whole example.
    claims = np.where(ideal - counts > 1e-9, ideal - counts + owed, -np.inf)
    counts[np.argsort(-claims, kind="stable")[:left]] += 1
    return counts


def _at_least_one(counts: np.ndarray, ideal: np.ndarray, parts: int) -> np.ndarray:
    counts = counts.copy()
    for part in range(parts):
        if counts[part] == 0:
            spare = np.where(counts > (np.arange(len(counts)) < parts), counts - ideal, -np.inf)
            counts[np.argmax(spare)] -= 1
            counts[part] += 1
    return counts
