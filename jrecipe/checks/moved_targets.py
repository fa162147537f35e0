"""Whether targets followed when their pictures were moved: masks, coordinates, classes."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from jrecipe.checks.movements import IDENTITY, TURNS, Moves, moved_like, recognise

SEED = 31


def classes_of(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns `(int[n], int[n])`, the classes before and after; None if these are no classes.

    Args:
      before: whole numbers [n] or [n, 1] of few kinds, or shares [n, c] that sum to 1.
      after: the same shape.
    """
    a, b = (np.asarray(x).reshape(len(x), -1) for x in (before, after))
    if a.dtype.kind not in "fiub" or before.ndim > 2:
        return None
    if a.shape[1] == 1:
        whole = a.dtype.kind in "iub" or bool((a == np.round(a)).all())
        if not whole or len(np.unique(a)) > len(a) / 2:
            return None
        return np.round(a[:, 0]).astype(int), np.round(b[:, 0].astype(np.float64)).astype(int)
    if (a >= 0).all() and np.allclose(a.sum(axis=1), 1, atol=1e-3):
        return a.argmax(axis=1), b.argmax(axis=1)
    return None


@dataclasses.dataclass(frozen=True)
class Spatial:
    """Masks beside moved pictures.

    Attributes:
      alike: examples whose target was moved as the picture was.
      kept: examples whose target stayed, though the picture moved.
      otherwise: examples whose target was moved in another way.
      turn: the commonest movement of the pictures that were wrong, else of all.
    """

    alike: int
    kept: int
    otherwise: int
    turn: str


def _unlike(a: np.ndarray, b: np.ndarray, inside: np.ndarray) -> float:
    """Returns the share of places inside where two maps differ."""
    if a.dtype.kind == "f":
        size = max(float(np.ptp(a)), float(np.ptp(b)), 1e-30)
        apart = np.abs(a.astype(np.float64) - b) > 0.05 * size
    else:
        apart = a != b
    apart = apart.reshape(*inside.shape, -1).any(axis=2)
    return float(apart[inside].mean())


def measure_spatial(before: np.ndarray, after: np.ndarray, moves: Moves) -> Spatial:
    """Compares how targets were moved with how their pictures were.

    Args:
      before: targets [n, h, w] or [n, h, w, c].
      after: the same shape.
      moves: of the pictures.
    """
    alike, kept, otherwise = 0, 0, 0
    turns: Counter[str] = Counter()
    unclear: list[int] = []
    for i in map(int, np.flatnonzero(moves.known)):
        expected, inside = moved_like(before[i], moves, i)
        follows = _unlike(expected, after[i], inside)
        if not moves.moved[i]:
            if follows == 0:
                alike += 1
            else:
                unclear.append(i)
            continue
        differ = _unlike(expected, before[i], inside)
        if differ < 0.01:
            continue  # looks the same either way
        if follows <= 0.2 * differ:
            alike += 1
        elif _unlike(before[i], after[i], inside) <= 0.1 * differ:
            kept += 1
            turns[moves.named(i)] += 1
        else:
            unclear.append(i)
    if unclear:
        own = recognise(before[unclear], after[unclear], 0.98)
        for k in np.flatnonzero(own.known):
            if own.turn[k] != moves.turn[unclear[k]]:
                otherwise += 1
                turns[moves.named(unclear[k])] += 1
    if not turns:
        turns.update(moves.named(int(i)) for i in np.flatnonzero(moves.moved))
    return Spatial(alike, kept, otherwise, turns.most_common(1)[0][0] if turns else "identity")


@dataclasses.dataclass(frozen=True)
class Coordinates:
    """Numbers that a probe reads from pictures, after one kind of movement.

    Attributes:
      turn: the movement.
      column: the column of the target that fits worst.
      examples: examples moved so.
      before: correlation of that column with the probe on untouched pictures.
      after: the same on moved ones.
      gap: by how many standard errors it fell (Fisher's transform).
      explained: how the target should have changed, "" if nothing explains what the probe reads.
      kept: whether the target did not change at all.
    """

    turn: str
    column: int
    examples: int
    before: float
    after: float
    gap: float
    explained: str
    kept: bool


def _look(pictures: np.ndarray, median: float) -> np.ndarray:
    """Returns float[n, f]: pixels, and where what stands out is and how far it reaches."""
    x = pictures.astype(np.float64)
    x = x.mean(axis=3) if x.ndim == 4 else x
    step = max(1, max(x.shape[1:]) // 16)
    small = x[:, step // 2 :: step, step // 2 :: step].reshape(len(x), -1)
    weight = np.abs(x - median) + 1e-9
    weight = weight / weight.sum(axis=(1, 2), keepdims=True)
    rows, columns = np.arange(x.shape[1]), np.arange(x.shape[2])
    down, across = weight.sum(axis=2), weight.sum(axis=1)
    y, z = down @ rows, across @ columns
    tall = np.sqrt(np.maximum(down @ rows**2 - y**2, 0))
    wide = np.sqrt(np.maximum(across @ columns**2 - z**2, 0))
    places = np.stack([y, z, tall, wide], axis=1)
    scale = small.std() or 1.0
    # What stands out counts as much as a good many pixels do: ridge shares out by size.
    return np.concatenate([small / scale, 4 * places], axis=1)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns float[k, m]: correlations of the columns of a [n, k] with those of b [n, m]."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a**2).sum(axis=0))[:, None] * np.sqrt((b**2).sum(axis=0))[None]
    found: np.ndarray = np.where(scale > 0, a.T @ b / np.maximum(scale, 1e-300), 0.0)
    return found


def _not_among(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns rows int[k] of `pictures` that are not, bit for bit, among `others`."""
    taken = {row.tobytes() for row in others}
    return np.array([i for i, row in enumerate(pictures) if row.tobytes() not in taken], int)


def measure_coordinates(
    before: np.ndarray,
    after: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
    moves: Moves,
    pictures: np.ndarray,
    targets: np.ndarray,
) -> list[Coordinates]:
    """Asks a probe, fitted on untouched pictures, whether numbers changed as the pictures did.

    After a flip whose targets were kept, what the probe reads runs against them, or with another
    column. After a shift, it runs with the shift.

    Args:
      before: pictures [n, h, w(, c)].
      after: the same, augmented.
      old: their targets [n, ...].
      new: targets after augmentation.
      moves: of the pictures.
      pictures: untouched pictures [m, h, w(, c)] to fit the probe on.
      targets: their targets [m, ...].
    """
    rest = _not_among(pictures, before)
    rest = rest if len(rest) >= 40 else np.arange(len(pictures))
    if len(rest) < 40:
        return []
    old, new, known = (x.reshape(len(x), -1).astype(np.float64) for x in (old, new, targets[rest]))
    median = float(np.median(pictures))
    look = _look(pictures[rest], median)
    centre, mean = look.mean(axis=0), known.mean(axis=0)
    gram = (look - centre).T @ (look - centre)
    ridge = 1e-2 * float(np.trace(gram)) / len(gram)
    weights = np.linalg.solve(
        gram + (ridge + 1e-9) * np.eye(len(gram)), (look - centre).T @ (known - mean)
    )
    first = (_look(before, median) - centre) @ weights + mean
    second = (_look(after, median) - centre) @ weights + mean
    with_own = _correlation(first, old).diagonal()
    found = []
    for k, (name, _) in enumerate(TURNS):
        rows = np.flatnonzero(moves.moved & (moves.turn == k))
        if len(rows) < 10:
            continue
        kept = bool(np.allclose(old[rows], new[rows]))
        found.append(
            _shifted(first, second, old, rows, moves, with_own, kept)
            if k == IDENTITY
            else _turned(name, second[rows], new[rows], with_own, kept, len(before))
        )
    return [one for one in found if one is not None]


def _turned(
    name: str, read: np.ndarray, new: np.ndarray, with_own: np.ndarray, kept: bool, n: int
) -> Coordinates:
    table = _correlation(read, new)
    diagonal = table.diagonal()
    stderr = np.sqrt(1 / max(n - 3, 1) + 1 / max(len(read) - 3, 1))
    clip = lambda r: np.arctanh(np.clip(r, -0.999, 0.999))  # noqa: E731
    gaps = np.where(with_own >= 0.5, (clip(with_own) - clip(diagonal)) / stderr, 0.0)
    column = int(gaps.argmax())
    usual = float(with_own[column])
    explained = ""
    if diagonal[column] <= -0.5 * usual:
        explained = "it should have been mirrored"
    else:
        others = np.abs(np.delete(table[column], column))
        if len(others) and others.max() >= 0.7 * usual and diagonal[column] < 0.5 * others.max():
            explained = "it should have changed places with another column"
    return Coordinates(
        turn=name,
        column=column,
        examples=len(read),
        before=usual,
        after=float(diagonal[column]),
        gap=float(gaps[column]),
        explained=explained,
        kept=kept,
    )


def _shifted(
    first: np.ndarray,
    second: np.ndarray,
    old: np.ndarray,
    rows: np.ndarray,
    moves: Moves,
    with_own: np.ndarray,
    kept: bool,
) -> Coordinates | None:
    """Asks whether what the probe reads moves with the shift, while the target stays."""
    if not kept:
        return None
    by = np.stack([moves.down[rows], moves.right[rows]], axis=1).astype(np.float64)
    table = np.abs(_correlation(second[rows] - first[rows], by)).max(axis=1)
    table = np.where(with_own >= 0.8, table, 0.0)
    column = int(table.argmax())
    change = second[rows, column] - first[rows, column]
    spread = float(old[:, column].std())
    gap = float(np.arctanh(min(table[column], 0.999)) * np.sqrt(max(len(rows) - 3, 1)))
    plain = table[column] >= 0.5 and float(change.std()) > 0.1 * spread
    return Coordinates(
        turn="shift",
        column=column,
        examples=len(rows),
        before=float(with_own[column]),
        after=float(_correlation(second[rows], old[rows])[column, column]),
        gap=gap,
        explained="it should have moved with the picture" if plain else "",
        kept=True,
    )


@dataclasses.dataclass(frozen=True)
class Conversion:
    """Moved examples among untouched ones, which carry their labels.

    Attributes:
      turn: the movement.
      examples: examples moved so.
      before: share that looked like another class untouched.
      after: share that does so moved.
      stderr: standard error of the difference, paired.
      right_before: share whose nearest untouched neighbour has their label, untouched.
      right_after: the same, moved.
      right_stderr: standard error of the difference, paired.
      lost: share of the moved that lie farther from any real example than nine real ones of ten.
    """

    turn: str
    examples: int
    before: float
    after: float
    stderr: float
    right_before: float
    right_after: float
    right_stderr: float
    lost: float


def measure_conversion(
    before: np.ndarray,
    after: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
    moves: Moves,
    pictures: np.ndarray,
    targets: np.ndarray,
) -> list[Conversion]:
    """Compares moved pictures with untouched ones of their own and of other classes.

    To look like another class, a picture must lie as close to a real one of that class as real ones
    lie to each other, and closer than to any of its own.

    Args:
      before: pictures [n, h, w(, c)].
      after: the same, augmented.
      old: their targets.
      new: targets after augmentation.
      moves: of the pictures.
      pictures: untouched pictures [m, h, w(, c)].
      targets: their targets.
    """
    classes = classes_of(old, new)
    known = classes_of(targets, targets)
    if len(pictures) < 40 or classes is None or known is None or not moves.moved.any():
        return []
    labels = known[0]
    real = pictures.reshape(len(pictures), -1).astype(np.float64)
    centre = real.mean(axis=0)
    real = real - centre
    squares = (real**2).sum(axis=1)
    nothing = 1e-9 * float(squares.mean())

    def nearest(x: np.ndarray, own: np.ndarray, itself: bool) -> tuple[np.ndarray, np.ndarray]:
        flat = x.reshape(len(x), -1).astype(np.float64) - centre
        apart = (flat**2).sum(axis=1)[:, None] + squares[None] - 2 * flat @ real.T
        apart = np.where(apart <= nothing, 0.0, apart)
        same = own[:, None] == labels[None]
        mine = np.where(same, apart, np.inf)
        if itself:  # one that equals the picture is the picture
            at = mine.argmin(axis=1)
            rows = np.flatnonzero(mine.min(axis=1) == 0)
            mine[rows, at[rows]] = np.inf
        return mine.min(axis=1), np.where(same, np.inf, apart).min(axis=1)

    own0, other0 = nearest(before, classes[0], True)
    own1, other1 = nearest(after, classes[1], False)
    closest = np.minimum(own0, other0)
    usual, rare = np.quantile(closest, (0.5, 0.9))
    was = (other0 < own0) & (other0 <= usual)
    now = (other1 < own1) & (other1 <= usual)
    found = []
    for k, (name, _) in enumerate(TURNS):
        rows = np.flatnonzero(moves.moved & (moves.turn == k))
        if len(rows) < 10:
            continue
        right0, right1 = own0[rows] <= other0[rows], own1[rows] <= other1[rows]
        gain = now[rows].astype(float) - was[rows]
        loss = right0.astype(float) - right1
        found.append(
            Conversion(
                turn="shift" if k == IDENTITY else name,
                examples=len(rows),
                before=float(was[rows].mean()),
                after=float(now[rows].mean()),
                stderr=float(gain.std() / np.sqrt(len(rows))),
                right_before=float(right0.mean()),
                right_after=float(right1.mean()),
                right_stderr=float(loss.std() / np.sqrt(len(rows))),
                lost=float((np.minimum(own1, other1)[rows] > rare).mean()),
            )
        )
    return found
