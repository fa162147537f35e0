"""A1: exact duplicates inside a split, and examples that leak from one split into another.

Rows are joined by a 64-bit hash, so the cost grows with the number of rows, not with its square.
Whether shared rows are a leak is judged against chance: a table of a few discrete columns repeats
itself by nature, so training rows are asked first how often *they* have a twin in training.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.examples import gallery, name_rows
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.data.source import nbytes
from jrecipe.figures import Figure
from jrecipe.types import Array, PyTree

ITEM, CHECK = "A1", "duplicates"
BYTES = 4_000_000_000  # what is read of one split at the most
ACCIDENTS = 0.05  # share of rich rows whose repetition needs no copying to be explained
NATURAL_BITS = 64.0  # rows that carry more do not repeat by chance
FEW_VALUES = 16  # distinct values up to which a feature counts as discrete


def row_hashes(tree: PyTree, dtypes: Sequence[np.dtype] | None = None) -> np.ndarray:
    """Returns a hash of every row, equal for equal rows.

    Args:
      tree: array or pytree of arrays with a common leading axis n; all leaves count.
      dtypes: dtype to compare each leaf in, as `common_dtypes` gives it; default its own.

    Returns:
      uint64[n]. -0.0 and 0.0 are equal. Two different rows of a million collide with a chance of
      about 3e-8.

    Example:
      >>> a, b, c = row_hashes(np.array([[1.0, 0.0], [2.0, 0.0], [1.0, -0.0]]))
      >>> bool(a == c), bool(a == b)
      (True, False)
    """
    leaves = [_plain(leaf) for leaf in jax.tree.leaves(tree)]
    digests = np.zeros((len(leaves), len(leaves[0])), np.uint64)
    for which, leaf in enumerate(leaves):
        dtype = leaf.dtype if dtypes is None else dtypes[which]
        for start in range(0, len(leaf), 8192):
            part = leaf[start : start + 8192].astype(dtype)
            part = part + np.zeros((), dtype) if dtype.kind in "fc" else part
            rows = np.ascontiguousarray(part.reshape(len(part), -1)).view(np.uint8)
            digests[which, start : start + len(part)] = [_digest(row) for row in rows]
    if len(digests) == 1:
        return digests[0]
    columns = np.ascontiguousarray(digests.T).view(np.uint8)
    return np.array([_digest(row) for row in columns], np.uint64)


def common_dtypes(*trees: PyTree) -> list[np.dtype]:
    """Returns for each leaf the dtype that holds the values of all `trees` exactly."""
    leaves = [[_plain(leaf).dtype for leaf in jax.tree.leaves(tree)] for tree in trees]
    return [np.result_type(*dtypes) for dtypes in zip(*leaves, strict=True)]


def has_twin(hashes: np.ndarray) -> np.ndarray:
    """Returns bool[n]: which rows have an equal row elsewhere in the same split."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    twin: np.ndarray = counts[inverse] > 1
    return twin


def shared_rows(hashes: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joins a split with the training split.

    Args:
      hashes: uint64[m], rows of the split.
      train: uint64[n], rows of the training split.

    Returns:
      `(rows int[k], train_rows int[k])`: rows of the split that occur in training, and the first
      training row that equals each.
    """
    known, first = np.unique(train, return_index=True)
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    rows = np.flatnonzero(known[place] == hashes)
    return rows, first[place[rows]]


def repeats_by_nature(tree: PyTree, limit: int = 1024) -> bool:
    """Tells whether equal rows are to be expected, as in a table of a few discrete columns.

    They are not where some feature is continuous (non-integers, mostly all different), or where the
    entropies of the features add up to more than `NATURAL_BITS`, as in pictures.

    Args:
      tree: inputs, leading axis n; best without duplicates, which hide how varied rows are.
      limit: rows looked at, spread evenly.
    """
    bits = 0.0
    for leaf in map(_plain, jax.tree.leaves(tree)):
        rows = np.linspace(0, len(leaf) - 1, min(limit, len(leaf))).astype(int)
        table = leaf[rows].reshape(len(rows), -1)
        picked = np.linspace(0, table.shape[1] - 1, min(1024, table.shape[1])).astype(int)
        for column in table[:, picked].T if table.size else ():
            values, counts = np.unique(column, return_counts=True)
            continuous = leaf.dtype.kind == "f" and len(values) > 0.5 * len(rows) >= 4
            values = values[np.isfinite(values)] if continuous else values
            if continuous and bool(np.any(values != np.round(values))):
                return False
            share = counts / len(rows)
            bits -= float((share * np.log2(share)).sum()) * table.shape[1] / len(picked)
        if bits > NATURAL_BITS:
            return False
    return True


def covered_space(tree: PyTree, unique: int) -> float:
    """Returns the share of all possible inputs that `unique` rows are, 0 in a large space.

    Four rows are all of XOR: an example of another split cannot but occur among them.

    Args:
      tree: inputs, leading axis n.
      unique: number of different rows in it.
    """
    possible = 0.0  # logarithm of the number of combinations
    for leaf in map(_plain, jax.tree.leaves(tree)):
        table = leaf.reshape(len(leaf), -1)
        if table.shape[1] > 64:
            return 0.0
        for column in table.T:
            values = len(np.unique(column))
            if values > FEW_VALUES:
                return 0.0
            possible += math.log(values)
    return min(1.0, math.exp(min(0.0, math.log(max(unique, 1)) - possible)))


def judge_leakage(
    *, split: str, rows: int, shared: int, train_rows: int, chance: float, natural: bool
) -> tuple[Verdict, float]:
    """Judges the rows that a split shares with training.

    Args:
      split: name of the split.
      rows: its number of rows.
      shared: how many of them occur in training.
      train_rows: number of training rows.
      chance: share that nature explains: of training rows with a twin in training, or of the space
        of inputs that training covers.
      natural: whether rows repeat by nature, see `repeats_by_nature`.

    Returns:
      `(verdict, z)`: z is the excess over chance in standard errors of a difference of shares.
      FAILED needs z > 5, three rows and 1 % of the split in excess; below 1 % it is WARNED. Where
      rows do not repeat by nature z > 3 suffices, and over half of 20 rows or more fails anyway.
    """
    del split
    share = shared / rows
    pooled = (shared + chance * train_rows) / (rows + train_rows)
    error = math.sqrt(max(pooled * (1 - pooled), 1e-12) * (1 / rows + 1 / train_rows))
    excess = share - chance
    z = excess / error
    if not natural and share > 0.5 and rows >= 20:
        return Verdict.FAILED, z
    if z > (5 if natural else 3) and excess * rows >= 3:
        return (Verdict.FAILED if excess >= 0.01 else Verdict.WARNED), z
    return Verdict.PASSED, z


def judge_duplicates(*, rows: int, unique: int, natural: bool, balancing: bool = False) -> Verdict:
    """Judges the copies inside the training split.

    Args:
      rows: of the split.
      unique: different ones among them.
      natural: whether rows repeat by nature, see `repeats_by_nature`.
      balancing: whether the copies are there to balance the classes, see `balances_classes`.

    Returns:
      WARNED if over a fifth of the rows are copies for which there is no such reason.
    """
    excused = natural or balancing
    return Verdict.WARNED if not excused and 1 - unique / rows > 0.2 else Verdict.PASSED


def balances_classes(hashes: np.ndarray, targets: PyTree) -> bool:
    """Tells whether rare classes are repeated and the most frequent one is not.

    Args:
      hashes: uint64[n], of the rows.
      targets: of the rows; False unless they are integers, one per row.

    Example:
      >>> balances_classes(np.array([1, 2, 3, 9, 9, 9]), np.array([0, 0, 0, 1, 1, 1]))
      True
      >>> balances_classes(np.array([1, 1, 3, 9, 9, 9]), np.array([0, 0, 0, 1, 1, 1]))
      False
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(targets)]
    if len(leaves) != 1 or leaves[0].shape != hashes.shape or leaves[0].dtype.kind not in "biu":
        return False
    classes = leaves[0]
    unique = {k: len(np.unique(hashes[classes == k])) for k in np.unique(classes).tolist()}
    most = max(unique, key=lambda k: unique[k])
    return len(unique) > 1 and unique[most] == int((classes == most).sum())


def check_duplicates(ctx: Context) -> tuple[Finding, ...]:
    """Joins the rows of all splits, inputs only, and judges leaks and copies (A1)."""
    splits, limited = _read(ctx)
    structures = {jax.tree.structure(inputs) for inputs, _ in splits.values()}
    shapes = {
        tuple(np.shape(leaf)[1:] for leaf in jax.tree.leaves(inputs))
        for inputs, _ in splits.values()
    }
    if len(structures) > 1 or len(shapes) > 1:
        reason = "The splits have inputs of different shapes (see A2), so no row can be shared."
        return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=reason),)
    dtypes = common_dtypes(*(inputs for inputs, _ in splits.values()))
    hashes = {name: row_hashes(inputs, dtypes) for name, (inputs, _) in splits.items()}
    train = hashes["train"]
    first = np.unique(train, return_index=True)[1]
    unique = len(first)
    inputs = jax.tree.map(lambda x: x[np.sort(first)], splits["train"][0])
    natural = repeats_by_nature(inputs)
    twins = float(has_twin(train).mean())
    # Rich rows repeat by nature in a few cases at most, as blank pictures do; else they are copies.
    chance = max(twins, covered_space(inputs, unique)) if natural else min(twins, ACCIDENTS)
    evidence: dict[str, float | int | str | bool | None] = {
        "train_rows": len(train),
        "train_unique_share": unique / len(train),
        "chance_share": chance,
        "repeats_by_nature": natural,
    }
    findings = []
    for name in hashes:
        if name == "train":
            continue
        rows, same = shared_rows(hashes[name], train)
        evidence |= {f"{name}_rows": len(hashes[name]), f"{name}_rows_in_train": len(rows)}
        verdict, z = judge_leakage(
            split=name,
            rows=len(hashes[name]),
            shared=len(rows),
            train_rows=len(train),
            chance=chance,
            natural=natural,
        )
        if verdict is not Verdict.PASSED:
            findings.append(_leak(ctx, splits, name, rows, same, verdict, {**evidence, "z": z}))
    balancing = balances_classes(train, splits["train"][1])
    copies = judge_duplicates(rows=len(train), unique=unique, natural=natural, balancing=balancing)
    if copies is Verdict.WARNED:
        findings.append(_copies(ctx, splits["train"], train, unique, evidence))
    if findings:
        return tuple(findings)
    shared = ", ".join(
        f"{evidence[f'{name}_rows_in_train']} of {len(hashes[name])} {name} rows occur in train"
        for name in hashes
        if name != "train"
    )
    said = f"{unique / len(train):.1%} of the {len(train)} training rows are unique; {shared}"
    said += f", chance explains {chance:.1%}." if chance > 0 else "."
    if limited:
        said += f" Only part of {', '.join(limited)} was read."
    return (
        Finding(item=ITEM, check=CHECK, verdict=Verdict.PASSED, evidence=evidence, finding=said),
    )


def _read(ctx: Context) -> tuple[dict[str, tuple[PyTree, PyTree]], list[str]]:
    """Returns every split, and the names of those too large to be read as a whole."""
    splits, limited = {}, []
    for name, source in ctx.task.splits.items():
        size = nbytes(source)
        limit = None if size <= BYTES else max(1, int(len(source) * BYTES / size))
        if limit is not None:
            limited.append(name)
        pair = ctx.split(name, limit)
        assert pair is not None
        splits[name] = pair
    return splits, limited


def _leak(
    ctx: Context,
    splits: Mapping[str, tuple[PyTree, PyTree]],
    name: str,
    rows: np.ndarray,
    same: np.ndarray,
    verdict: Verdict,
    evidence: Mapping[str, float | int | str | bool | None],
) -> Finding:
    total = len(jax.tree.leaves(splits[name][0])[0])
    chance = float(evidence["chance_share"])  # type: ignore[arg-type]
    where = f"{name} rows {name_rows(rows)} = train rows {name_rows(same)}"
    said = f"{len(rows)} of {total} {name} rows ({len(rows) / total:.1%}) occur in train"
    said += f"; chance explains {chance:.1%}." if chance > 0 else "."
    if len(rows) == total:
        said = f"All {total} {name} rows occur in train: {name} measures memory, not learning."
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=verdict,
        evidence=evidence,
        finding=said,
        remedy=f"Take these rows out of train, or split before copying and augmenting ({where}).",
        suspects=(
            Suspect(
                cause="split-leakage",
                component="split",
                where=where,
                why=f"{len(rows)} of {total} rows are shared, {chance * total:.1f} are expected",
            ),
        ),
        figures=gallery(
            ctx.task, f"{name} rows that are also in train", *splits[name], rows=rows[:12]
        ),
    )


def _copies(
    ctx: Context,
    train: tuple[PyTree, PyTree],
    hashes: np.ndarray,
    unique: int,
    evidence: Mapping[str, float | int | str | bool | None],
) -> Finding:
    _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:12]
    rows = np.flatnonzero(hashes == hashes[first[largest[0]]])
    share = 1 - unique / len(hashes)
    figures: tuple[Figure, ...] = gallery(
        ctx.task,
        "The most frequent training rows",
        *train,
        rows=first[largest],
        notes=[f"{count} times" for count in counts[largest]],
    )
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.WARNED,
        evidence=evidence,
        finding=f"{share:.0%} of the {len(hashes)} training rows are copies: {unique} are unique.",
        remedy="Look for a loop that appends the same file or epoch again; keep one of each.",
        suspects=(
            Suspect(
                cause="duplicated-rows",
                component="data",
                where=f"train rows {name_rows(rows)} are one",
                why=f"{unique} unique rows of {len(hashes)}, although rows do not repeat by nature",
            ),
        ),
        figures=figures,
    )


def _plain(leaf: Array) -> np.ndarray:
    """Returns a leaf as a NumPy array of a dtype that NumPy knows."""
    array = np.asarray(leaf)
    return array if array.dtype.kind in "biufc" else array.astype(np.float32)


def _digest(row: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(row.data, digest_size=8).digest(), "little")
