"""Examples as points, and who stands near whom: what the checks of labels and of splits share.

Inputs of any kind become at most 64 numbers a row, made alike for every split: numbers are
standardised by the training split (pictures with one floor for all pixels, so that the border does
not drown the rest), token ids become weighted counts, and what is wide is projected on the
directions in which the training rows differ most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.data.source import nbytes
from jrecipe.task import spread
from jrecipe.types import PyTree

ROWS = 2000  # rows of a split that become points
WIDTH = 64  # numbers that a point has at the most
COLUMNS = 4096  # numbers of a row that are looked at
BAG = 512  # kinds of tokens that are told apart
BYTES = 4_000_000_000  # what is read of one split at the most

Maker = Callable[[np.ndarray], np.ndarray]  # a leaf [n, ...] -> float32[n, d]


@dataclasses.dataclass(frozen=True)
class Points:
    """Rows of a split as points.

    Attributes:
      rows: int[n], their numbers in the split, ascending.
      values: float32[n, d], comparable between splits.
      inputs: the inputs of these rows, leading axis n.
      targets: the targets of *all* rows of the split, leading axis `total`; those of the points
        alone where the split is too large to be read (`total == n` then, see `whole`).
      whole: whether `targets` has every row of the split, so that `targets[rows]` is right.
    """

    rows: np.ndarray
    values: np.ndarray
    inputs: PyTree
    targets: PyTree
    whole: bool

    @property
    def own_targets(self) -> PyTree:
        """The targets of the points, leading axis n."""
        return jax.tree.map(lambda x: x[self.rows], self.targets) if self.whole else self.targets


def points_of(context: Context) -> dict[str, Points]:
    """Returns the points of every split, the training split first; made once for all checks.

    A split whose inputs have another structure or shape than those of the training split is left
    out, as are empty inputs.
    """
    return context.once("neighbours.points", lambda: _points_of(context))


def _points_of(context: Context) -> dict[str, Points]:
    found: dict[str, Points] = {}
    makers: list[Maker] = []
    project: Maker = _same
    shapes: list[tuple[int, ...]] = []
    structure = None
    for name, source in context.task.splits.items():
        whole = nbytes(source) <= BYTES
        pair = context.split(name, None if whole else ROWS)
        assert pair is not None
        inputs, targets = pair
        rows = spread(len(source), ROWS)
        if whole and len(rows) < len(source):
            inputs = jax.tree.map(lambda x, rows=rows: x[rows], inputs)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
        if name == "train":
            structure, shapes = jax.tree.structure(inputs), [leaf.shape[1:] for leaf in leaves]
            makers = [maker_of(leaf) for leaf in leaves]
        elif jax.tree.structure(inputs) != structure or shapes != [x.shape[1:] for x in leaves]:
            continue
        parts = [make(leaf) for make, leaf in zip(makers, leaves, strict=True)]
        values = np.concatenate(parts, axis=1) if parts else np.zeros((len(rows), 0), np.float32)
        if name == "train":
            project = projection(values, context.seed)
        if values.shape[1]:
            found[name] = Points(rows, project(values), inputs, targets, whole)
    return found


def _same(values: np.ndarray) -> np.ndarray:
    return values


def flat(leaf: np.ndarray) -> np.ndarray:
    """Returns a leaf as float32[n, d], `d` at most `COLUMNS`; pictures are thinned on both sides.

    Args:
      leaf: [n, ...] of any real type.
    """
    leaf = np.asarray(leaf)
    if leaf.ndim >= 3:
        while leaf[:1].size > COLUMNS and max(leaf.shape[1:3]) > 8:
            leaf = leaf[:, ::2, ::2]
    table = leaf.reshape(len(leaf), -1)
    if table.shape[1] > COLUMNS:
        table = table[:, spread(table.shape[1], COLUMNS)]
    return table.astype(np.float32)


def maker_of(leaf: np.ndarray) -> Maker:
    """Returns the function that turns a leaf of any split into features, set up on `leaf`.

    Args:
      leaf: [n, ...], the leaf of the training split.
    """
    leaf = np.asarray(leaf)
    if leaf.dtype.kind in "iu" and leaf.dtype != np.uint8:
        if _kinds(leaf):
            return _one_hot(np.unique(leaf))
        if leaf.ndim == 2 and leaf.shape[1] > 1 and _tokens(leaf):
            return _bag(leaf)
    return _standardised(leaf)


def _kinds(leaf: np.ndarray) -> bool:
    """Whether a leaf of integers has one number a row that names one of a few kinds."""
    return leaf[:1].size == 1 and 2 < len(np.unique(leaf)) <= 20


def _tokens(leaf: np.ndarray) -> bool:
    """Whether integers [n, t] name tokens: more than two kinds, and neighbours are not alike."""
    if leaf.min(initial=0) < 0 or len(np.unique(leaf)) <= 2:
        return False
    left, right = leaf[:, :-1].reshape(-1), leaf[:, 1:].reshape(-1)
    both = (left != 0) & (right != 0)
    if both.sum() < 8 or np.ptp(left[both]) == 0 or np.ptp(right[both]) == 0:
        return True
    return abs(float(np.corrcoef(left[both], right[both])[0, 1])) < 0.3


def _one_hot(values: np.ndarray) -> Maker:
    def make(leaf: np.ndarray) -> np.ndarray:
        hot = leaf.reshape(len(leaf), 1) == values
        return np.asarray(hot, np.float32)

    return make


def _bag(leaf: np.ndarray) -> Maker:
    """Counts of tokens, rare ones weighing more; rows have length 2."""

    def count(leaf: np.ndarray) -> np.ndarray:
        place = (leaf.astype(np.int64) if leaf.max(initial=0) < BAG else leaf * 40503 % 65537) % BAG
        counts = np.zeros((len(leaf), BAG), np.float32)
        np.add.at(counts, (np.arange(len(leaf))[:, None], place), (leaf != 0).astype(np.float32))
        return np.log1p(counts)

    known = (count(leaf) > 0).mean(axis=0)
    weight = np.log((1 + 1 / len(leaf)) / (known + 1 / len(leaf))).astype(np.float32) + 0.1

    def make(leaf: np.ndarray) -> np.ndarray:
        weighed = count(leaf) * weight
        length = np.linalg.norm(weighed, axis=1, keepdims=True)
        scaled: np.ndarray = 2 * weighed / np.maximum(length, 1e-6)
        return scaled

    return make


def _standardised(leaf: np.ndarray) -> Maker:
    """Numbers less their median over their deviation, at most 6 in size; what is not finite is 0.

    Where all columns are on one scale, as pixels are, none that moves less than usual is enlarged.
    """
    table = flat(leaf)
    middle, scale = _middle_and_scale(table)
    moving = scale > 1e-6 * (np.abs(middle) + 1e-30)
    if moving.any():
        size = float(np.sqrt(np.mean(scale[moving].astype(np.float64) ** 2)))
        if leaf.ndim >= 3 or (moving.sum() >= 24 and size < 3 * np.median(scale[moving])):
            scale = np.maximum(scale, size)
    scale = np.where(moving | (scale > 1e-12), scale, 1.0)

    def make(leaf: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            moved = (flat(leaf) - middle) / scale
        return np.clip(np.nan_to_num(moved, nan=0.0, posinf=6.0, neginf=-6.0), -6.0, 6.0)

    return make


def _middle_and_scale(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns median (of many columns: mean) and deviation of the finite values of each column."""
    if np.isfinite(table).all():
        middle = np.median(table, axis=0) if table.shape[1] <= 256 else table.mean(axis=0)
        return middle, table.std(axis=0)
    table = np.where(np.isfinite(table), table, np.nan)
    some = np.isfinite(table).any(axis=0)
    middle, scale = np.zeros(table.shape[1], np.float32), np.ones(table.shape[1], np.float32)
    if some.any():
        middle[some] = np.nanmedian(table[:, some], axis=0)
        scale[some] = np.nanstd(table[:, some], axis=0)
    return middle, scale


def projection(values: np.ndarray, seed: int, width: int = WIDTH) -> Maker:
    """Returns a projection on the directions of largest variance, the identity if narrow enough.

    Args:
      values: float32[n, d], what the directions are taken from.
      seed: of the random start of the search for directions.
      width: directions kept.

    References:
      Halko, Martinsson, Tropp, "Finding structure with randomness", 2011, algorithm 4.3.
    """
    if values.shape[1] <= width:
        return _same
    mean = values.mean(axis=0)
    centred = values - mean
    rng = np.random.default_rng((seed % 2**32, 5))
    start = rng.normal(size=(values.shape[1], width + 8)).astype(np.float32)
    basis = np.linalg.qr(centred @ start)[0]
    basis = np.linalg.qr(centred @ (centred.T @ basis))[0]
    directions = np.linalg.svd(basis.T @ centred, full_matrices=False)[2][:width].T

    def project(values: np.ndarray) -> np.ndarray:
        moved: np.ndarray = (values - mean) @ directions
        return moved

    return project


def nearest(
    queries: np.ndarray, points: np.ndarray, k: int, *, same: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest points of each query.

    Args:
      queries: float[m, d].
      points: float[n, d].
      k: neighbours asked for; there are fewer if there are fewer points.
      same: whether query i is made from point i, which then is no neighbour of it.

    Returns:
      `(which int[m, k], distance float64[m, k])`, nearest first. Ties are in the order of rows.
    """
    queries, points = np.asarray(queries, np.float32), np.asarray(points, np.float32)
    k = max(0, min(k, len(points) - int(same)))
    which = np.zeros((len(queries), k), int)
    distance = np.zeros((len(queries), k))
    if k == 0:
        return which, distance
    size = (points.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    for start in range(0, len(queries), 512):
        part = queries[start : start + 512]
        gap = size - 2 * part @ points.T
        if same:
            gap[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        near = np.sort(np.argpartition(gap, k - 1, axis=1)[:, :k], axis=1)
        apart = part[:, None].astype(np.float64) - points[near]
        exact = np.sqrt((apart**2).sum(axis=2))
        order = np.argsort(exact, axis=1, kind="stable")
        which[start : start + len(part)] = np.take_along_axis(near, order, axis=1)
        distance[start : start + len(part)] = np.take_along_axis(exact, order, axis=1)
    return which, distance


def near_train(context: Context, name: str, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Returns `nearest` of a split among the training points, once for all checks.

    Args:
      context: the task under examination.
      name: a split in `points_of`; with "train" a row is no neighbour of itself.
      k: neighbours asked for.
    """

    def measure() -> tuple[np.ndarray, np.ndarray]:
        points = points_of(context)
        train = points["train"].values
        return nearest(points[name].values, train, k, same=name == "train")

    return context.once(f"neighbours.{name}.{k}", measure)


def classes_of(targets: PyTree) -> np.ndarray | None:
    """Returns the class of each row, None where targets name no classes.

    Classes are integers or truth values [n] or [n, 1], numbers of which there are only two, or
    one-hot rows [n, c].

    Args:
      targets: one array or a pytree with one leaf.

    Returns:
      int64[n], the values as they are, the place of the 1 for one-hot rows.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(targets)]
    if len(leaves) != 1 or leaves[0].dtype.kind not in "biuf" or leaves[0].ndim not in (1, 2):
        return None
    leaf = leaves[0]
    if leaf.ndim == 2 and leaf.shape[1] > 1:
        hot = (leaf == 1).sum(axis=1) == 1
        only = hot.all() and bool(((leaf == 0) | (leaf == 1)).all())
        return leaf.argmax(axis=1) if only and len(leaf) > 1 else None
    leaf = leaf.reshape(len(leaf))
    if leaf.dtype.kind == "f":
        known = np.unique(leaf)
        if len(known) != 2 or not np.isfinite(known).all():
            return None
        return (
            (leaf == known[1]).astype(np.int64)
            if (known != np.round(known)).any()
            else (leaf.astype(np.int64))
        )
    return leaf.astype(np.int64) if len(np.unique(leaf)) <= max(2, len(leaf) // 3) else None


def embedded(targets: Sequence[PyTree], seed: int = 0) -> list[np.ndarray]:
    """Returns targets of any kind as vectors whose products say how alike they are.

    Two rows drawn at random have a product of 0 on average, a row with itself one of 1. Classes
    count as their share asks for: to agree on a rare one says more.

    Args:
      targets: those of the training split first, then of other splits of the same structure.
      seed: of the projection of wide targets.

    Returns:
      float64[n, q] for each.
    """
    classes = [each for each in map(classes_of, targets) if each is not None]
    if len(classes) == len(targets):
        known, counts = np.unique(classes[0], return_counts=True)
        share = counts / counts.sum()
        scale = np.sqrt(np.maximum(share, 0.02) * max(len(known) - 1, 1))
        return [((each[:, None] == known) - share) / scale for each in classes]
    leaves = [[np.asarray(leaf) for leaf in jax.tree.leaves(each)] for each in targets]
    parts: list[list[np.ndarray]] = [[] for _ in targets]
    for which, leaf in enumerate(leaves[0]):
        make = maker_of(leaf)
        values = make(leaf)
        project = projection(values[spread(len(values), ROWS)], seed, 32)
        own = project(values)
        mean = own.mean(axis=0)
        size = float(np.sqrt(((own - mean) ** 2).sum(axis=1).mean()))
        for part, each in zip(parts, leaves, strict=True):
            moved = (project(make(each[which])) - mean).astype(np.float64)
            part.append(moved / (size * len(leaves[0]) ** 0.5) if size > 1e-6 else 0 * moved)
    return [np.concatenate(part, axis=1) for part in parts]
