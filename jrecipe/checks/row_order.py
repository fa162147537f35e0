"""A4: whether training rows are stored in the order of their targets."""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "A4", "shortcuts"
SEED = 20


@dataclasses.dataclass(frozen=True)
class Order:
    """How targets lie in the file.

    Attributes:
      rows: how many.
      classes: how many, 0 for numbers.
      changes: places where the class changes from one row to the next.
      expected: what to expect of a shuffled file.
      together: share of rows that lie within the densest stretch of their class as long as the
        class is frequent; 1 for a sorted file.
      together_shuffled: the same of shuffled files, on average.
      in_order: whether the places of the classes follow their numbers.
      block: length of which all stretches of one class are multiples, 0 if there is none.
      cyclic: whether the stretches follow each other in a fixed cycle, as seasons do.
      monotone: share of steps from row to row that go one way, of those where something changes.
      layers: for numbers: parts of the file, none overlapping the next in value.
    """

    rows: int
    classes: int = 0
    changes: int = 0
    expected: float = 0.0
    together: float = 0.0
    together_shuffled: float = 0.0
    in_order: bool = False
    block: int = 0
    cyclic: bool = False
    monotone: float = 0.5
    layers: int = 1


def _together(labels: np.ndarray, classes: int) -> float:
    total = 0
    for c in range(classes):
        hits = np.concatenate([[0], np.cumsum(labels == c)])
        size = int(hits[-1])
        if size:
            total += int((hits[size:] - hits[:-size]).max())
    return total / len(labels)


def _one_way(numbers: np.ndarray) -> float:
    steps = np.diff(numbers)
    up, down = int((steps > 0).sum()), int((steps < 0).sum())
    return max(up, down) / max(up + down, 1)


def _layers(numbers: np.ndarray) -> int:
    """Counts parts, each a twentieth of the file at least, all of one below all of the next.

    Parts in which neighbours are alike do not count: that is how a wandering series climbs.
    """
    n, best = len(numbers), 1
    for x in (numbers, -numbers):
        highest = np.maximum.accumulate(x)[:-1]
        lowest = np.minimum.accumulate(x[::-1])[::-1][1:]
        cuts, every = [0], np.flatnonzero(highest <= lowest) + 1
        for cut in every:
            if cut - cuts[-1] >= n / 20 and n - cut >= n / 20:
                cuts.append(int(cut))
        rest = np.concatenate([part - part.mean() for part in np.split(x, every)])
        alike = float((rest[1:] * rest[:-1]).sum() / max(float((rest**2).sum()), 1e-300))
        if alike < 0.1 + 3 / np.sqrt(n):
            best = max(best, len(cuts))
    return best


def measure_order(classes: np.ndarray | None, numbers: np.ndarray | None) -> Order:
    """Measures how targets lie in the file.

    Args:
      classes: int[n] in the order of the file, or None.
      numbers: float[n], or None; one of the two is given.
    """
    if classes is None:
        assert numbers is not None
        return Order(rows=len(numbers), monotone=_one_way(numbers), layers=_layers(numbers))
    n, kinds = len(classes), int(classes.max()) + 1
    starts = np.flatnonzero(np.concatenate([[True], classes[1:] != classes[:-1]]))
    share = np.bincount(classes) / n
    lengths = np.diff(np.concatenate([starts, [n]]))
    whole = lengths[:-1]  # the last stretch may have been cut
    block = int(np.gcd.reduce(whole)) if len(whole) >= 3 else 0
    follows: dict[int, set[int]] = {}
    for a, b in zip(classes[starts[:-1]], classes[starts[1:]], strict=True):
        follows.setdefault(int(a), set()).add(int(b))
    place = np.array([np.median(np.flatnonzero(classes == c)) for c in np.unique(classes)])
    rng = np.random.default_rng(SEED)
    some = kinds if kinds <= 200 else 200
    shuffled = [_together(rng.permutation(classes), some) for _ in range(3)]
    return Order(
        rows=n,
        classes=kinds,
        changes=len(starts) - 1,
        expected=(n - 1) * (1 - float((share**2).sum())) * n / (n - 1),
        together=_together(classes, some),
        together_shuffled=float(np.mean(shuffled)),
        in_order=_one_way(place) >= 0.8,
        block=block,
        monotone=_one_way(classes[starts]),
        cyclic=len(starts) > kinds + 1 and all(len(after) == 1 for after in follows.values()),
    )


def judge_order(order: Order, *, ordered: bool = False, along: str = "") -> Finding:
    """Judges the order of the file.

    A drift or a season makes neighbours alike; it does not put each class into one stretch of its
    own. So what is asked for is a file in blocks: hardly more changes than there are classes, or
    each class for the most part in one place, or stretches all of one length.

    Args:
      order: what was measured.
      ordered: whether the task declares that the order means something.
      along: name of an input by which the rows are sorted; numbers may then be in its order.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "rows": order.rows,
        "class_changes": order.changes if order.classes else None,
        "class_changes_expected": order.expected if order.classes else None,
        "class_in_one_place": order.together if order.classes else None,
        "class_in_one_place_shuffled": order.together_shuffled if order.classes else None,
        "steps_one_way": order.monotone,
        "layers": None if order.classes else order.layers,
    }
    result = concluding(ITEM, CHECK, evidence)
    why = ""
    if order.classes:
        apart = order.together_shuffled + 0.7 * (1 - order.together_shuffled)
        rare = order.changes <= 0.15 * order.expected
        once = order.changes <= order.classes and order.together > apart
        # Sorted files, one after the other, leave each class in two places, but in order.
        twice = order.classes >= 4 and order.changes < 2 * order.classes and order.monotone >= 0.85
        if order.rows >= 30 and rare and (once or twice):
            why = (
                f"the class changes {order.changes} times in {order.rows} rows, where a shuffled "
                f"file has {order.expected:.0f} changes"
            )
        elif order.rows >= 60 and order.together > max(apart, 0.75) and order.in_order:
            why = (
                f"{order.together:.0%} of the rows lie in one stretch with their class, where a "
                f"shuffled file has {order.together_shuffled:.0%}"
            )
        elif order.block >= 8 and not order.cyclic and order.classes > 1:
            why = f"the classes come in blocks of {order.block} rows"
    elif order.rows >= 20 and order.monotone >= 0.98 and not along:
        why = f"{order.monotone:.0%} of the steps from row to row go one way"
    elif order.rows >= 60 and order.layers >= 4 and not along:
        why = f"the rows come in {order.layers} parts, all targets of one below all of the next"
    if not why:
        said = (
            f"the class changes {order.changes} times in {order.rows} rows, {order.expected:.0f} "
            "are to be expected"
            if order.classes
            else f"{order.monotone:.0%} of the steps from row to row go one way"
        )
        return result(
            Verdict.PASSED,
            f"Training rows are not stored in the order of their targets: {said}"
            + (f" (rows are sorted by {along})." if along and not order.classes else "."),
        )
    if ordered:
        return result(
            Verdict.PASSED, f"Training rows are in the order of their targets, as declared: {why}."
        )
    return result(
        Verdict.WARNED,
        f"Training rows are stored in the order of their targets: {why}. jr.fit shuffles every "
        "epoch, so that it is harmless there; in a loader of your own it is not.",
        "Shuffle the rows once before splitting, and every epoch; declare ordered_data=True if "
        "the order means something.",
        Suspect(
            cause="unshuffled-data",
            component="data",
            where="train rows in order of the target",
            why=why,
        ),
    )
