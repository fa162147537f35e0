"""G7: do labels stand beside their own rows?

Neighbours have like targets, whatever the task: `embedded` makes of targets of any kind vectors
whose product is 0 on average for two rows drawn at random. If in some stretch of the file a row
is no more like its neighbours than chance, but its target a row further on is, then the labels of
that stretch have slipped, as when one row is lost in the middle of one of two files. If no shift
helps, while another split shows that neighbours do agree, the two have been shuffled apart.

Forecasts look like slipped labels by nature: the target of a row is an input of the next. They are
told by rows that follow each other in time, and by a realigned target that is a copy of an input.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.neighbours import (
    Points,
    classes_of,
    embedded,
    flat,
    near_train,
    nearest,
    points_of,
)
from jrecipe.checks.probing import same_structure
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "G7", "labels-aligned"
SHIFTS = (-3, -2, -1, 0, 1, 2, 3)
NEIGHBOURS = 10
LEAST_ROWS = 24  # a stretch has at least so many
LEAST_Z = 6.0  # standard errors over chance that a shift must bring


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Rows of one split that follow each other, and how they agree with their neighbours.

    Attributes:
      split: name of the split.
      first: number of the first row.
      last: number of the last row.
      shift: the target of row i stands in row i + shift.
      stored: mean agreement of the targets as they are stored; 0 is chance, 1 equality.
      realigned: mean agreement of the targets `shift` rows further on.
      stderr: standard error of either under chance.
      copied: whether the realigned target is one of the inputs.
    """

    split: str
    first: int
    last: int
    shift: int
    stored: float
    realigned: float
    stderr: float
    copied: bool = False

    @property
    def slipped(self) -> bool:
        """Whether the labels are at chance as they stand, and far from it realigned."""
        chance = abs(self.stored) < max(0.3 * self.realigned, 2 * self.stderr)
        return (
            chance and self.realigned > LEAST_Z * self.stderr and self.stored < self.realigned / 2
        )


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Mean agreement of a split with its neighbours, as stored: 0 is chance.

    Attributes:
      mean: over the rows.
      stderr: its standard error under chance.
      rows: number of rows.
    """

    mean: float
    stderr: float
    rows: int

    @property
    def clear(self) -> bool:
        """Whether neighbours agree beyond doubt."""
        return self.mean > LEAST_Z * self.stderr and self.mean > 0.05

    @property
    def chance(self) -> bool:
        """Whether neighbours agree no more than by chance."""
        return abs(self.mean) < 2.5 * self.stderr


def agreements(
    targets: np.ndarray, rows: np.ndarray, votes: np.ndarray, shifts: tuple[int, ...] = SHIFTS
) -> np.ndarray:
    """Returns how each row's target, and those of rows nearby in the file, agree with its votes.

    Args:
      targets: float[total, q], all of the split, see `embedded`.
      rows: int[n], the rows that were looked at.
      votes: float[n, q], mean over the neighbours of each.
      shifts: how far the target may stand from its row.

    Returns:
      float[shifts, n]; 0 where the shifted row is outside the file.
    """
    found = np.zeros((len(shifts), len(rows)))
    for i, shift in enumerate(shifts):
        there = rows + shift
        inside = (there >= 0) & (there < len(targets))
        found[i, inside] = (targets[there[inside]] * votes[inside]).sum(axis=1)
    return found


def stderr_of(values: np.ndarray) -> float:
    """Returns the standard error of mean agreement; pairs count twice, once from either side."""
    if len(values) < 2:
        return float("inf")
    return float(math.sqrt(2) * values.std(ddof=1) / math.sqrt(len(values))) + 1e-9


def slipped_stretch(gains: np.ndarray) -> tuple[int, int, float]:
    """Returns the stretch of rows that gains most by a shift, for its length.

    Args:
      gains: float[n], agreement with the shift less that without.

    Returns:
      `(start, stop, z)`: the rows start..stop-1, and their sum in standard deviations of a sum of
      as many independent rows.
    """
    n = len(gains)
    total = np.concatenate([[0.0], np.cumsum(gains)])
    deviation = float(np.sqrt(np.mean(gains**2))) + 1e-12
    grid = np.unique(np.linspace(0, n, min(n, 96) + 1).astype(int))
    length = grid[None, :] - grid[:, None]
    z = np.where(
        length >= min(LEAST_ROWS, n),
        (total[grid][None, :] - total[grid][:, None])
        / (deviation * np.sqrt(np.maximum(length, 1))),
        -np.inf,
    )
    start, stop = (int(grid[i]) for i in np.unravel_index(int(z.argmax()), z.shape))
    # The sum itself has its extremes where the stretch begins and ends.
    step = int(np.diff(grid).max()) * 3
    low, high = max(0, start - step), min(stop - LEAST_ROWS // 2, start + step) + 1
    start = low + int(total[low : max(high, low + 1)].argmin())
    low, high = max(start + LEAST_ROWS // 2, stop - step), min(n, stop + step) + 1
    stop = low + int(total[low:high].argmax()) if low < high else stop
    sure = (total[stop] - total[start]) / (deviation * math.sqrt(max(stop - start, 1)))
    return start, stop, float(sure)


def measure_stretches(
    split: str,
    targets: np.ndarray,
    rows: np.ndarray,
    near: np.ndarray,
    reference: np.ndarray | None = None,
) -> tuple[list[Stretch], Agreement]:
    """Returns the stretches of a split whose targets agree better elsewhere, and the whole of it.

    Args:
      split: its name.
      targets: float[total, q], all targets of the split.
      rows: int[n], the rows that were looked at.
      near: int[n, k], their neighbours: places in `rows` itself, or in `reference`.
      reference: float[m, q], targets of the rows that neighbours are among, None for the split's.
    """
    place = np.zeros(len(rows), int)  # index of the shift of each row, as far as it is known
    own = SHIFTS.index(0)
    place[:] = own

    def votes(place: np.ndarray) -> np.ndarray:
        if reference is not None:
            return np.asarray(reference[near].mean(axis=1))
        there = np.clip(rows + np.asarray(SHIFTS)[place], 0, len(targets) - 1)
        return np.asarray(targets[there][near].mean(axis=1))

    stored = agreements(targets, rows, votes(place))
    blocks = np.array_split(stored[own], max(1, min(8, len(rows) // LEAST_ROWS)))
    if reference is None and any(block.mean() < 3 * stderr_of(block) for block in blocks):
        place = _start(targets, rows, near, len(blocks))
    for _ in range(6):
        found = agreements(targets, rows, votes(place))
        now = found[place, np.arange(len(rows))]
        best = max(
            ((*slipped_stretch(found[i] - now), i) for i in range(len(SHIFTS))),
            key=lambda each: each[2],
        )
        start, stop, z, shift = best
        if z < LEAST_Z or (place[start:stop] == shift).all():
            break
        place[start:stop] = shift
    for _ in range(2):
        place = _moved_edges(place, agreements(targets, rows, votes(place)))
    found = agreements(targets, rows, votes(place))
    whole = Agreement(float(stored[own].mean()), stderr_of(stored[own]), len(rows))
    stretches = []
    edges = [0, *(np.flatnonzero(np.diff(place)) + 1), len(rows)]
    for start, stop in itertools.pairwise(edges):
        shift = int(place[start])
        if shift == own or stop - start < LEAST_ROWS // 2:
            continue
        stretches.append(
            Stretch(
                split=split,
                first=int(rows[start]),
                last=int(rows[stop - 1]),
                shift=SHIFTS[shift],
                stored=float(found[own, start:stop].mean()),
                realigned=float(found[shift, start:stop].mean()),
                stderr=stderr_of(found[own, start:stop]),
            )
        )
    return stretches, whole


def _moved_edges(place: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Moves each change of the shift to the row where it fits best.

    Args:
      place: int[n], the index of the shift of each row.
      found: float[shifts, n], see `agreements`.
    """
    place = place.copy()
    edges = [0, *(np.flatnonzero(np.diff(place)) + 1), len(place)]
    for i in range(1, len(edges) - 1):
        low, high = edges[i - 1], edges[i + 1]
        left, right = place[edges[i] - 1], place[edges[i]]
        gain = np.concatenate([[0.0], np.cumsum(found[left, low:high] - found[right, low:high])])
        edges[i] = low + int(gain.argmax())
        place[low : edges[i]], place[edges[i] : high] = left, right
    return place


def _start(targets: np.ndarray, rows: np.ndarray, near: np.ndarray, parts: int) -> np.ndarray:
    """Returns int[n], the index of a shift of each row under which neighbours agree best.

    Where labels have slipped, those of the neighbours have too, and nothing agrees until both are
    put right. Tried are all rows by one shift, and all rows from some part of the file on.
    """
    own, n = SHIFTS.index(0), len(rows)
    edges = [0, *(len(part) for part in np.array_split(rows, parts))]
    tried = []
    for begin in np.cumsum(edges)[:-1]:
        for shift in range(len(SHIFTS)):
            place = np.full(n, own)
            place[begin:] = shift
            there = rows + np.asarray(SHIFTS)[place]
            moved = targets[np.clip(there, 0, len(targets) - 1)]
            tried.append(
                (float((moved * moved[near].mean(axis=1)).sum()), -abs(shift - own), place)
            )
    return max(tried, key=lambda each: each[:2])[2]


def follow_each_other(points: np.ndarray) -> bool:
    """Tells whether rows that follow each other are alike, as in a series or a sorted file.

    Args:
      points: float[n, d] in the order of the file.
    """
    if len(points) < 8:
        return False
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    other = np.linalg.norm(points - np.roll(points, len(points) // 2, axis=0), axis=1)
    spread = math.sqrt(other.var() / len(other) + step.var() / len(step))
    return bool(step.mean() < 0.8 * other.mean() - 3 * spread)


def is_copied(inputs: object, targets: np.ndarray) -> bool:
    """Tells whether a target is one of the inputs, or the side of a threshold on which it lies.

    Args:
      inputs: array or pytree, leading axis n.
      targets: float[n, q] or int[n].
    """
    table = np.concatenate([flat(np.asarray(leaf)) for leaf in jax.tree.leaves(inputs)], axis=1)
    table = np.nan_to_num(table[:, :1024], posinf=0.0, neginf=0.0)
    ranks = table.argsort(axis=0, kind="stable").argsort(axis=0).astype(np.float64)
    targets = targets.reshape(len(targets), -1)
    for target in targets[:, :8].T:
        values = np.unique(target)
        if len(values) == 2:
            ones = target == values[1]
            mean = ranks[ones].mean(axis=0) - (ones.sum() - 1) / 2
            area = mean / max(int((~ones).sum()), 1)
            if (np.abs(area - 0.5) > 0.498).any():
                return True
        elif len(values) > 2:
            own = target.argsort(kind="stable").argsort().astype(np.float64)
            both = (ranks - ranks.mean(axis=0)).T @ (own - own.mean())
            if (np.abs(both) > 0.998 * len(own) * own.var()).any():
                return True
    return False


def _plain_targets(points: Points) -> np.ndarray:
    classes = classes_of(points.targets)
    if classes is not None and len(np.unique(classes)) == 2:
        return classes
    leaves = [flat(np.asarray(leaf)) for leaf in jax.tree.leaves(points.targets)]
    return np.concatenate(leaves, axis=1)


def judge_stretch(stretch: Stretch, rows: int) -> Finding | None:
    """Judges one stretch: FAILED if its labels have slipped, None if they have not.

    Args:
      stretch: what was measured.
      rows: number of rows of the split.
    """
    if not stretch.slipped or stretch.copied:
        return None
    where = f"{stretch.split} rows {stretch.first}-{stretch.last}, by {stretch.shift:+d}"
    part = "all" if stretch.last - stretch.first >= rows - 4 else "these"
    why = (
        f"neighbours agree on the labels of {part} rows by {stretch.stored:.2f} as they are stored "
        f"(0 is chance), by {stretch.realigned:.2f} when row i takes the label of row "
        f"i{stretch.shift:+d}; the standard error is {stretch.stderr:.2g}"
    )
    evidence: dict[str, float | int | str | bool | None] = {
        "split": stretch.split,
        "first_row": stretch.first,
        "last_row": stretch.last,
        "shift": stretch.shift,
        "agreement_stored": stretch.stored,
        "agreement_realigned": stretch.realigned,
        "stderr": stretch.stderr,
    }
    return concluding(ITEM, CHECK, evidence)(
        Verdict.FAILED,
        f"Labels of {where} stand beside the wrong rows: {why}.",
        "Look for a header, a lost row or an off-by-one where inputs and labels are read; join "
        "them by a key, not by position.",
        Suspect(cause="labels-shifted", component="labels", where=where, why=why),
    )


def judge_apart(
    *, split: str, own: Agreement, other_name: str, other: Agreement, across: bool
) -> Finding | None:
    """Judges a split whose labels have nothing to do with its inputs, while those of another have.

    Args:
      split: name of the split.
      own: how it agrees with its own neighbours, or across with those of the other split.
      other_name: name of the other split.
      other: how that agrees with its own.
      across: whether the neighbours of `own` were in the other split.
    """
    # What a split of this size shows by chance must be far under what the other one shows.
    chance = own.mean < 2.5 * own.stderr if across else own.chance
    if not (chance and other.clear and own.rows >= 2 * LEAST_ROWS):
        return None
    if own.mean + 4 * own.stderr > 0.5 * other.mean:
        return None
    evidence: dict[str, float | int | str | bool | None] = {
        "split": split,
        "agreement": own.mean,
        "stderr": own.stderr,
        f"agreement_within_{other_name}": other.mean,
    }
    if across:
        why = (
            f"{split} and {other_name} each agree with themselves, but not with each other "
            f"({own.mean:.2f} +- {own.stderr:.2g} against {other.mean:.2f}): are classes "
            "numbered alike in both?"
        )
    else:
        why = (
            f"neighbours in {split} agree on labels no more than by chance ({own.mean:.2f} +- "
            f"{own.stderr:.2g}), those in {other_name} do ({other.mean:.2f})"
        )
    return concluding(ITEM, CHECK, evidence)(
        Verdict.FAILED,
        f"The labels of {split} do not belong to its inputs: {why}.",
        "Look for a shuffle or a sort of the inputs that the labels did not take part in, and for "
        "an encoder of labels that was fitted anew.",
        Suspect(cause="labels-shifted", component="labels", where=split, why=why),
    )


def check_labels_aligned(context: Context) -> tuple[Finding, ...]:
    """Measures and judges whether targets stand beside their inputs, in every split (G7)."""
    points = points_of(context)
    result = concluding(ITEM, CHECK, {})
    if "train" not in points or len(points["train"].rows) < 2 * LEAST_ROWS:
        return (result(Verdict.SKIPPED, "There are too few training rows to compare neighbours."),)
    if not all(each.whole for each in points.values()):
        return (result(Verdict.SKIPPED, "A split is too large to be read as a whole."),)
    first = points["train"].targets
    names = [name for name, each in points.items() if same_structure(each.targets, first)]
    targets = dict(
        zip(names, embedded([points[name].targets for name in names], context.seed), strict=True)
    )
    inside: dict[str, Agreement] = {}
    stretches: list[Stretch] = []
    across: dict[str, Agreement] = {}
    series = {name: follow_each_other(_in_order(points[name])) for name in names}
    for name in names:
        each = points[name]
        near = (
            near_train(context, name, NEIGHBOURS)
            if name == "train"
            else nearest(each.values, each.values, NEIGHBOURS, same=True)
        )[0]
        if near.shape[1] == 0 or len(each.rows) < LEAST_ROWS:
            continue
        found, inside[name] = measure_stretches(name, targets[name], each.rows, near)
        if not (context.task.ordered_data or series[name]):
            stretches += [_with_copies(each, stretch) for stretch in found]
        if name != "train" and not context.task.ordered_data and _known_targets(points, name):
            own = targets["train"][points["train"].rows]
            which, distance = near_train(context, name, NEIGHBOURS)
            votes = own[which].mean(axis=1)
            values = (targets[name][each.rows] * votes).sum(axis=1)
            usual = np.median(near_train(context, "train", NEIGHBOURS)[1][:, 0])
            if np.median(distance[:, 0]) < 1.5 * usual + 1e-9:
                across[name] = Agreement(float(values.mean()), stderr_of(values), len(values))
    findings = [judge_stretch(stretch, len(targets[stretch.split])) for stretch in stretches]
    slipped = {stretch.split for stretch in stretches if stretch.slipped}
    findings += _apart(inside, across, slipped)
    alarms = tuple(finding for finding in findings if finding is not None)
    if alarms:
        return alarms
    evidence: dict[str, float | int | str | bool | None] = {}
    for name, agreement in inside.items():
        evidence |= {f"{name}_agreement": agreement.mean, f"{name}_stderr": agreement.stderr}
    said = ", ".join(
        f"{name} {agreement.mean:.2f} +- {agreement.stderr:.2g}"
        for name, agreement in inside.items()
    )
    if not any(agreement.clear for agreement in inside.values()):
        said = f"Neighbours do not agree on targets ({said}; 0 is chance), so they cannot tell."
        return (concluding(ITEM, CHECK, evidence)(Verdict.SKIPPED, said),)
    said = f"Neighbours agree on targets as they are stored: {said} (0 is chance, 1 equality)."
    if context.task.ordered_data or any(series.values()):
        said += " Rows follow each other in time, so shifts were not tried."
    return (concluding(ITEM, CHECK, evidence)(Verdict.PASSED, said),)


def _in_order(points: Points) -> np.ndarray:
    """Points that stand one behind the other in the file, where all of them were looked at."""
    return points.values if len(points.rows) == points.rows[-1] + 1 else points.values[:0]


def _known_targets(points: dict[str, Points], name: str) -> bool:
    """Whether a split has no classes that training has not."""
    own, train = (classes_of(points[which].targets) for which in (name, "train"))
    return own is None or train is None or bool(np.isin(own, train).all())


def _with_copies(points: Points, stretch: Stretch) -> Stretch:
    if not stretch.slipped:
        return stretch
    some = (points.rows >= stretch.first) & (points.rows <= stretch.last)
    there = points.rows + stretch.shift
    plain = _plain_targets(points)
    some &= (there >= 0) & (there < len(plain))
    inputs = jax.tree.map(lambda x: np.asarray(x)[some], points.inputs)
    return dataclasses.replace(stretch, copied=is_copied(inputs, plain[there[some]]))


def _apart(
    inside: dict[str, Agreement], across: dict[str, Agreement], slipped: set[str]
) -> list[Finding | None]:
    """Judges every split against the one that agrees with itself most clearly."""
    findings: list[Finding | None] = []
    clear = [name for name in inside if inside[name].clear]
    for name in inside:
        best = max((n for n in clear if n != name), key=lambda n: inside[n].mean, default=None)
        if name in slipped or best is None:
            continue
        findings.append(
            judge_apart(
                split=name,
                own=inside[name],
                other_name=best,
                other=inside[best],
                across=False,
            )
        )
    for name, agreement in across.items():
        if {name, "train"} & slipped or not ({name, "train"} <= set(clear)):
            continue
        least = min(inside[name], inside["train"], key=lambda each: each.mean)
        findings.append(
            judge_apart(split=name, own=agreement, other_name="train", other=least, across=True)
        )
    return findings
