"""An augmentation at work: batches before and after, and which row each new input was made of."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.movements import IDENTITY, Moves, recognise, views
from jrecipe.checks.probing import as_numpy, same_structure
from jrecipe.train.compiled import jit_once
from jrecipe.types import Batch, PyTree

EXAMPLES = 256  # looked at, in batches of the task's size
WHOLE = 0.9  # share of another row from which an input is that row, with something on top


@dataclasses.dataclass(frozen=True)
class Augmented:
    """Examples before and after.

    Attributes:
      before: NumPy leaves with leading axis n.
      after: the same examples.
      call: int[n], which call of the augmentation made them: rows of one call were a batch.
    """

    before: Batch
    after: Batch
    call: np.ndarray


@dataclasses.dataclass(frozen=True)
class Sources:
    """Which rows of the batch went into each new input.

    Attributes:
      row: int[n], the row that an input is (its own, unless rows were exchanged).
      other: int[n], another row mixed in, -1 if none.
      share: float[n], how much of it.
    """

    row: np.ndarray
    other: np.ndarray
    share: np.ndarray


def measure_augmented(context: Context) -> Augmented:
    """Calls the task's augmentation on a few batches, with a key for each."""
    assert context.task.augment is not None
    total = len(context.task.train)
    size = min(context.task.batch_size, 128, total)
    calls = int(np.clip(EXAMPLES // size, 2, 8))
    rows = min(calls * size, total // size * size)
    given: Batch = as_numpy(context.batch(rows))
    augment = jit_once(context.task.augment)
    before, after, call = [], [], []
    for k in range(calls):
        start = k * size % rows
        part = jax.tree.map(lambda x, s=start: x[s : s + size], given)
        key = jax.random.fold_in(context.key, 1000 + k)
        try:
            made = augment(key, jax.tree.map(jnp.asarray, part))
        except jax.errors.JAXTypeError:
            # NumPy inside: fine for a trainer of one's own, which need not compile it.
            if not context.foreign:
                raise
            augment = context.task.augment
            made = augment(key, jax.tree.map(np.array, part))
        before.append(part)
        after.append(as_numpy(made))
        call.append(np.full(size, k))
    join = lambda *leaves: np.concatenate(leaves)  # noqa: E731
    return Augmented(
        before=jax.tree.map(join, *before),
        after=jax.tree.map(join, *after),
        call=np.concatenate(call),
    )


def same_layout(a: PyTree, b: PyTree) -> bool:
    """Tells whether two pytrees have the same structure and shapes."""
    return same_structure(a, b) and all(
        np.shape(x) == np.shape(y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def picture_moves(before: np.ndarray, after: np.ndarray) -> tuple[Moves, tuple[int, ...]] | None:
    """Recognises how the rows of a leaf were moved, as pictures or as strips.

    Args:
      before: [n, ...].
      after: the same shape.

    Returns:
      `(moves, shape)`: under the shape of one example that explains most; None if it is no picture.
    """
    best = None
    for shape in views(before):
        a, b = before.reshape(-1, *shape), after.reshape(-1, *shape)
        moves = recognise(a, b, least=0.8 if shape[0] > 1 else 0.9999)
        if shape[0] == 1:
            # Tokens or signals: what is moved stays equal, and a few tokens can do so by chance.
            varied = np.array([len(np.unique(row)) >= 6 for row in b])
            moves = dataclasses.replace(moves, known=moves.known & varied)
        if best is None or moves.moved.sum() > best[0].moved.sum():
            best = (moves, shape)
        if moves.known.mean() > 0.9:
            break
    return best


def row_matrix(tree: PyTree) -> np.ndarray:
    """Returns float64[n, f]: all numbers of each row, each leaf as it is."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    flat = [leaf.reshape(len(leaf), -1).astype(np.float64) for leaf in leaves if leaf.size]
    return np.nan_to_num(np.concatenate(flat, axis=1))


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0.0)


def measure_sources(augmented: Augmented, moves: Moves | None) -> Sources:
    """Finds out which row each augmented input is, and which other was mixed into it.

    Args:
      augmented: examples before and after.
      moves: movements recognised; a picture that was mirrored is still its own.
    """
    old, new = row_matrix(augmented.before.inputs), row_matrix(augmented.after.inputs)
    scale = np.where(old.std(axis=0) > 0, old.std(), 1.0)
    n = len(old)
    row, other, share = np.arange(n), np.full(n, -1), np.zeros(n)
    own_move = np.zeros(n, bool) if moves is None else moves.moved & (moves.score > 0.95)
    for k in np.unique(augmented.call):
        rows = np.flatnonzero(augmented.call == k)
        a, b = old[rows] / scale, new[rows] / scale
        centre = a.mean(axis=0)
        a, b = a - centre, b - centre
        apart, to = _distances(a, a), _distances(b, a)
        typical = float(apart.sum() / max(len(rows) * (len(rows) - 1), 1))
        own = to.diagonal().copy()
        elsewhere = to.copy()
        np.fill_diagonal(elsewhere, np.inf)
        nearest, least = elsewhere.argmin(axis=1), elsewhere.min(axis=1)
        changed = (own > 1e-2 * typical) & ~own_move[rows]
        exact = changed & (least <= 1e-8 * typical)
        loose = changed & (least <= 0.1 * np.minimum(own, typical))
        taken = loose if loose.mean() > 0.5 else exact
        row[rows[taken]] = rows[nearest[taken]]
        open_ = (own > 1e-6 * typical) & ~own_move[rows] & ~taken
        if a.shape[1] >= 12:
            _blends(a, b, apart, typical, rows, open_, other, share)
            _patches(old[rows], new[rows], rows, open_ & (other[rows] < 0), other, share)
    whole = (other >= 0) & (share >= WHOLE)
    row = np.where(whole, other, row)
    other, share = np.where(whole, -1, other), np.where(whole, 0.0, share)
    return Sources(row, other, share)


def _blends(
    a: np.ndarray,
    b: np.ndarray,
    apart: np.ndarray,
    typical: float,
    rows: np.ndarray,
    open_: np.ndarray,
    other: np.ndarray,
    share: np.ndarray,
) -> None:
    """Finds inputs on the line between two rows; writes into `other` and `share`."""
    change = b - a
    along = change @ a.T - (change * a).sum(axis=1)[:, None]
    size = np.sqrt((change**2).sum(axis=1))[:, None] * np.sqrt(apart)
    cosine = np.where(apart > 0.1 * typical, along / np.maximum(size, 1e-300), 0.0)
    best = cosine.argmax(axis=1)
    at = np.arange(len(rows))
    part = along[at, best] / np.maximum(apart[at, best], 1e-300)
    found = open_ & (cosine[at, best] >= 0.99) & (part > 0.05) & (part < 1.05)
    other[rows[found]], share[rows[found]] = rows[best[found]], part[found]


def _patches(
    old: np.ndarray,
    new: np.ndarray,
    rows: np.ndarray,
    open_: np.ndarray,
    other: np.ndarray,
    share: np.ndarray,
) -> None:
    """Finds inputs with a part taken from another row; writes into `other` and `share`."""
    for i in np.flatnonzero(open_)[:32]:
        part = new[i] != old[i]
        if part.sum() < 8 or len(np.unique(new[i, part])) < 4:
            continue
        alike = (old[:, part] == new[i, part]).mean(axis=1)
        alike[i] = 0.0
        best = int(alike.argmax())
        if alike[best] >= 0.99:
            other[rows[i]], share[rows[i]] = rows[best], float(part.mean())


def differs(tree: PyTree, rows: np.ndarray, other: PyTree, others: np.ndarray) -> np.ndarray:
    """Returns bool[k]: whether rows of one pytree differ from rows of another with its layout.

    Args:
      tree: leading axis n.
      rows: int[k].
      other: the same layout.
      others: int[k].
    """
    result = np.zeros(len(rows), bool)
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        x, y = np.asarray(a)[rows], np.asarray(b)[others]
        same = (x == y) | ((x != x) & (y != y))
        if x.dtype.kind == "f":
            same |= np.isclose(x, y, rtol=1e-5, atol=1e-7)
        result |= ~same.reshape(len(rows), -1).all(axis=1)
    return result


def in_place(augmented: Augmented, moves: Moves | None) -> np.ndarray:
    """Returns bool[n]: inputs that the augmentation left exactly as they were."""
    n = len(augmented.call)
    same = ~differs(augmented.before.inputs, np.arange(n), augmented.after.inputs, np.arange(n))
    if moves is not None:
        same &= (moves.turn == IDENTITY) | ~moves.known
    return same
