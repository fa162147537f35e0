"""A1: examples of one split that are nearly those of another: noisy, rescaled, moved, mirrored.

How near is too near is read off the data: the nearest training row of an example is normally hardly
nearer than the next ones, and by how much depends on how many directions the data vary in. A near
copy is many times nearer than the next row. Training rows are asked the same about each other, so
that a dense table, a grid or a series has nothing to explain. Exact copies are told by
`duplicates` and left out here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.duplicates import common_dtypes, repeats_by_nature, row_hashes
from jrecipe.checks.examples import gallery, name_rows
from jrecipe.checks.neighbours import WIDTH, Points, maker_of, nearest, points_of
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "A1", "near-duplicates"
NEIGHBOURS = 12  # copies of one row that are looked for
RATIOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the distance to a copy to that to the next row
QUERIES = 1000  # rows of a split that are looked at


@dataclasses.dataclass(frozen=True)
class Nearness:
    """How often rows have a neighbour far nearer than the next, in one way of comparing them.

    Attributes:
      way: how rows were compared, "as they are", "mirrored", ...
      ratio: distance to the copies over that to the next row, at the most.
      hits: number of rows with such a neighbour.
      rows: number of rows that were looked at.
      train_hits: number of training rows with such a neighbour in training.
      train_rows: number of training rows that were looked at.
      natural: share of rows that have one by chance, as the data vary in so many directions.
      cautious: the same in half as many directions.
      which: int[hits], their numbers in the split.
      copies: int[hits], number of the training row that each is near to.
    """

    way: str
    ratio: float
    hits: int
    rows: int
    train_hits: int
    train_rows: int
    natural: float
    cautious: float
    which: np.ndarray
    copies: np.ndarray

    @property
    def z(self) -> float:
        """Excess over the training rows' share, in standard errors of a difference of shares."""
        share, usual = self.hits / max(self.rows, 1), self.train_hits / max(self.train_rows, 1)
        usual = max(usual, min(self.natural, 1.0))
        pooled = (self.hits + usual * self.train_rows + 0.5) / (self.rows + self.train_rows + 1)
        spread = pooled * (1 - pooled) * (1 / max(self.rows, 1) + 1 / max(self.train_rows, 1))
        return (share - usual) / math.sqrt(max(spread, 1e-12))


def jumps(distance: np.ndarray) -> np.ndarray:
    """Returns the least ratio of a distance to the next one, float64[n].

    Args:
      distance: float[n, k], to the nearest points, nearest first. A row with three copies has its
        jump after the third.
    """
    if distance.shape[1] < 2:
        return np.ones(len(distance))
    floor = 1e-6 * max(float(np.median(distance)), 1e-12)
    ratio = (distance[:, :-1] + floor) / (distance[:, 1:] + floor)
    least: np.ndarray = ratio.min(axis=1)
    return least


def directions(distance: np.ndarray) -> float:
    """Returns in how many directions the points vary: how fast neighbours grow with the distance.

    The nearest few are left out, as they may be copies; of two shells the one counts that has no
    jump from copies to other rows within.

    Args:
      distance: float[n, k], to the nearest points, nearest first.

    References:
      Levina, Bickel, "Maximum likelihood estimation of intrinsic dimension", 2004.
    """
    k, found = distance.shape[1], [1.0]
    for near, far in ((k // 4, k // 2), (k // 2, k)):
        if near < 1 or far <= near:
            continue
        inner, outer = distance[:, near - 1], distance[:, far - 1]
        good = (inner > 0) & (outer > inner)
        if good.any():
            growth = float(np.median(np.log(outer[good] / inner[good])))
            found.append(math.log(far / near) / growth)
    return float(np.clip(max(found), 0.5, 64))


def natural_share(ratio: float, dimensions: float) -> float:
    """Returns the share of rows with such a jump by chance, at one of the first neighbours.

    In `d` directions the ratio of the k-th to the next distance is below r with chance r^(k d).
    """
    small = ratio**dimensions
    return small / (1 - small) if small < 0.5 else 1.0


def measure_nearness(
    way: str,
    points: Points,
    near: tuple[np.ndarray, np.ndarray],
    train: Points,
    near_train: tuple[np.ndarray, np.ndarray],
    kept: np.ndarray,
) -> list[Nearness]:
    """Compares a split with training at every ratio, first where it stands out most.

    Args:
      way: name of the way of comparing.
      points: rows of the split.
      near: their nearest training points, `(which, distance)`.
      train: the training points.
      near_train: nearest training points of these.
      kept: bool[n], rows of the split that are no exact copies.
    """
    own, usual = jumps(near[1]), jumps(near_train[1])
    dimensions = directions(near_train[1])
    found = []
    for ratio in RATIOS:
        hits = np.flatnonzero(kept & (own < ratio))
        found.append(
            Nearness(
                way=way,
                ratio=ratio,
                hits=len(hits),
                rows=int(kept.sum()),
                train_hits=int((usual < ratio).sum()),
                train_rows=len(usual),
                natural=natural_share(ratio, dimensions),
                cautious=natural_share(ratio, dimensions / 2),
                which=points.rows[hits],
                copies=train.rows[near[0][hits, 0]],
            )
        )
    return sorted(found, key=lambda each: (-each.z, each.ratio))


def judge_leak(
    split: str, found: Nearness, *, ways: int, dense: bool, ids: bool = False
) -> Finding | None:
    """Judges a split: FAILED if it has near copies of training rows, None if not.

    Args:
      split: its name.
      found: where it stands out most.
      ways: number of ways that were tried.
      dense: whether rows repeat by nature; then only training rows tell what is too near.
      ids: whether some inputs name things, as words: then the same words in another order count as
        near, and between short texts are a coincidence.
    """
    share = found.hits / max(found.rows, 1)
    usual = found.train_hits / max(found.train_rows, 1)
    expected = max(usual, found.natural)
    unnatural = found.cautious * found.rows < 0.5 and found.ratio <= 0.2 and not ids
    stands_out = found.z > (4.5 if ways <= 1 else 5) or (unnatural and found.z > 2.5)
    stands_out = stands_out and (share - expected) * found.rows >= 3 and share - expected >= 0.01
    everywhere = not dense and found.train_rows >= 100
    everywhere = everywhere and share > max(0.1, 10 * found.cautious) and found.ratio <= 0.3
    if not (stands_out or everywhere):
        return None
    where = f"{split} rows {name_rows(found.which, 12)} = train rows {name_rows(found.copies, 12)}"
    why = (
        f"{found.hits} of {found.rows} {split} rows, compared {found.way}, are "
        f"{1 / found.ratio:.3g} times nearer to a training row than to the next ones; by nature "
        f"{expected:.1%} would be, and {usual:.1%} of the training rows are so near to each other"
    )
    evidence: dict[str, float | int | str | bool | None] = {
        "split": split,
        "compared": found.way,
        "near_copies": found.hits,
        "rows": found.rows,
        "share": share,
        "share_in_train": usual,
        "share_by_nature": found.natural,
        "ratio": found.ratio,
        "z": found.z,
    }
    return concluding(ITEM, CHECK, evidence)(
        Verdict.FAILED,
        f"Near copies leak: {why}.",
        "Split before augmenting, resampling or adding noise; keep what comes from one source in "
        "one split.",
        Suspect(cause="split-leakage", component="split", where=where, why=why),
    )


def judge_copies(found: Nearness) -> Finding | None:
    """Judges the training rows among themselves: WARNED if most are near copies, None if not."""
    share = found.hits / max(found.rows, 1)
    if found.ratio > 0.3 or found.rows < 30 or share < 0.4 or found.natural > 0.1:
        return None
    why = (
        f"{share:.0%} of the {found.rows} training rows are at least {1 / found.ratio:.3g} times "
        f"nearer to some others than to the next; {found.natural:.1%} would be by nature"
    )
    evidence = {"share": share, "share_by_nature": found.natural, "ratio": found.ratio}
    pairs = f"train rows {name_rows(found.which, 6)} = train rows {name_rows(found.copies, 6)}"
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"Most training rows are near copies of others: {why}.",
        "Count the examples that are really different; augment while training, not in the file.",
        Suspect(cause="duplicated-rows", component="data", where=pairs, why=why),
    )


Change = Callable[[np.ndarray], np.ndarray]


def pictures(inputs: np.ndarray) -> np.ndarray | None:
    """Returns inputs as pictures [n, h, w, c], None if they are none; square rows may be some."""
    if inputs.ndim == 4 and min(inputs.shape[1:3]) >= 6:
        return inputs
    if inputs.ndim == 3 and min(inputs.shape[1:3]) >= 6:
        return inputs[..., None]
    side = math.isqrt(inputs[:1].size)
    if inputs.ndim == 2 and side * side == inputs.shape[1] and side >= 7:
        return inputs.reshape(len(inputs), side, side, 1)
    return None


def ways_of(array: np.ndarray) -> Iterator[tuple[str, Change, Change]]:
    """Yields `(name, what is done to queries, what is done to training rows)` for a leaf.

    Args:
      array: [n, ...], a leaf of numbers with at least 8 in a row.
    """

    def shape_only(x: np.ndarray) -> np.ndarray:
        table = x.reshape(len(x), -1).astype(np.float32)
        table = table - table.mean(axis=1, keepdims=True)
        length = np.sqrt((table**2).sum(axis=1, keepdims=True))
        scaled: np.ndarray = table / np.maximum(length, 1e-6)
        return scaled

    yield "but for brightness and scale", shape_only, shape_only
    if pictures(array[:1]) is None:
        return

    def mirror(x: np.ndarray) -> np.ndarray:
        return _flat(_picture(x)[:, :, ::-1])

    yield "mirrored", (lambda x: _flat(_picture(x))), mirror
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):

        def inner(x: np.ndarray) -> np.ndarray:
            return _flat(_picture(x)[:, 1:-1, 1:-1])

        def moved(x: np.ndarray, down: int = down, right: int = right) -> np.ndarray:
            return _flat(np.roll(_picture(x), (down, right), axis=(1, 2))[:, 1:-1, 1:-1])

        name = {(0, 1): "right", (0, -1): "left", (1, 0): "down", (-1, 0): "up"}[down, right]
        yield f"moved {name} by a pixel", inner, moved


def _picture(x: np.ndarray) -> np.ndarray:
    found = pictures(x)
    assert found is not None
    return found


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _changed(
    context: Context, points: dict[str, Points], name: str
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Yields `(way, nearest of the split, nearest of the training rows)` for every changed form."""
    leaves = {key: _leaf(points[key]) for key in ("train", name)}
    train, other = leaves["train"], leaves[name]
    if train is None or other is None:
        return
    make = _same if pictures(train[:1]) is not None else maker_of(train)
    for way, query, change in ways_of(train):
        against, asked = change(make(train)), query(make(other))
        project = _sketch(against.shape[1], context.seed)
        against = project(against)
        own = project(query(make(train[: QUERIES // 2])))
        k = min(NEIGHBOURS, 4)  # a changed copy is one, not many
        yield way, nearest(project(asked), against, k), nearest(own, against, k, same=True)


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _sketch(columns: int, seed: int) -> Change:
    """Returns a random projection on 64 columns, which keeps distances to about a tenth."""
    if columns <= WIDTH:
        return lambda x: x.astype(np.float32)
    draw = np.random.default_rng((seed % 2**32, 23)).normal(size=(columns, WIDTH))
    matrix = (draw / math.sqrt(WIDTH)).astype(np.float32)
    return lambda x: x.astype(np.float32) @ matrix


def _leaf(points: Points) -> np.ndarray | None:
    """Returns the only leaf of numbers with 8 or more in a row, thinned where it is large."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(points.inputs)]
    if len(leaves) != 1 or leaves[0].dtype.kind not in "fu" or leaves[0][:1].size < 8:
        return None
    leaf = leaves[0]
    if leaf[:1].size > 16384 or not np.isfinite(leaf).all():
        return None
    return leaf


def check_near_duplicates(context: Context) -> tuple[Finding, ...]:
    """Looks for near copies of training examples in other splits, and in training itself (A1)."""
    points = points_of(context)
    result = concluding(ITEM, CHECK, {})
    if "train" not in points or len(points["train"].rows) < 16:
        return (result(Verdict.SKIPPED, "There are too few training rows to tell near from far."),)
    if context.task.ordered_data:
        said = "Rows are ordered in time, so that neighbours in time are near by nature."
        return (result(Verdict.SKIPPED, said),)
    dtypes = common_dtypes(*(each.inputs for each in points.values()))
    hashes = {name: row_hashes(each.inputs, dtypes) for name, each in points.items()}
    first = np.sort(np.unique(hashes["train"], return_index=True)[1])
    train = _only(points["train"], first)
    usual = nearest(train.values, train.values, NEIGHBOURS, same=True)
    dense = repeats_by_nature(train.inputs)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(train.inputs)]
    kind = {"dense": dense, "ids": any(x.dtype.kind in "iu" and x.ndim == 2 for x in leaves)}
    findings: list[Finding] = []
    best: dict[str, Nearness] = {}
    for name in points:
        if name == "train":
            continue
        step = max(1, -(-len(points[name].rows) // QUERIES))
        some = np.arange(0, len(points[name].rows), step)
        each = _only(points[name], some)
        kept = ~np.isin(hashes[name][some], hashes["train"])
        if kept.sum() < 3:
            continue
        near = nearest(each.values, train.values, NEIGHBOURS)
        found, finding = _judged(
            name, measure_nearness("as they are", each, near, train, usual, kept), 1, **kind
        )
        if finding is None and not dense:
            for way, near, own in _changed(context, {"train": train, name: each}, name):
                other, finding = _judged(
                    name, measure_nearness(way, each, near, train, own, kept), 6, **kind
                )
                found = max(found, other, key=lambda one: one.z)
                if finding is not None:
                    found = other
                    break
        best[name] = found
        if finding is not None:
            inputs, targets = context.split(name)  # type: ignore[misc]
            title = f"{name} rows that are nearly training rows"
            figures = gallery(context.task, title, inputs, targets, rows=found.which[:12])
            findings.append(dataclasses.replace(finding, figures=figures))
    copies = _within(train, usual)
    finding = judge_copies(copies)
    if finding is not None and not dense:
        findings.append(finding)
    if findings:
        return tuple(findings)
    evidence: dict[str, float | int | str | bool | None] = {"train_near_copies": copies.hits}
    for name, found in best.items():
        evidence |= {f"{name}_near_copies": found.hits, f"{name}_z": found.z}
    said = ", ".join(f"{each.hits} of {each.rows} {name} rows" for name, each in best.items())
    text = f"No more rows than nature explains are nearly training rows: {said or 'none to judge'}."
    return (concluding(ITEM, CHECK, evidence)(Verdict.PASSED, text),)


def _judged(
    name: str, measured: list[Nearness], ways: int, **kind: bool
) -> tuple[Nearness, Finding | None]:
    """Returns the first ratio at which a split is judged to leak, else the first and None."""
    for each in measured:
        finding = judge_leak(name, each, ways=ways, **kind)
        if finding is not None:
            return each, finding
    return measured[0], None


def _within(train: Points, near: tuple[np.ndarray, np.ndarray]) -> Nearness:
    """Returns the near copies among the training rows, at the ratio that parts them best."""
    usual, dimensions = jumps(near[1]), directions(near[1])
    found = []
    for ratio in RATIOS:
        hits = np.flatnonzero(usual < ratio)
        found.append(
            Nearness(
                way="as they are",
                ratio=ratio,
                hits=len(hits),
                rows=len(usual),
                train_hits=0,
                train_rows=len(usual),
                natural=natural_share(ratio, dimensions),
                cautious=natural_share(ratio, dimensions / 2),
                which=train.rows[hits],
                copies=train.rows[near[0][hits, 0]],
            )
        )
    return next((each for each in found if each.hits > 0.4 * each.rows), found[0])


def _only(points: Points, some: np.ndarray) -> Points:
    return dataclasses.replace(
        points,
        rows=points.rows[some],
        values=points.values[some],
        inputs=jax.tree.map(lambda x: np.asarray(x)[some], points.inputs),
    )
