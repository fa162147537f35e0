"""What targets must be: each function returns them as NumPy or names the first bad row."""

from __future__ import annotations

import numpy as np

from jrecipe.types import Array, TaskError


def as_integers(targets: Array, name: str, rank: int) -> np.ndarray:
    """Returns integer targets as int64 with `rank` axes, or raises TaskError."""
    array = _array(targets, name)
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype == bool):
        first = array.reshape(-1)[0] if array.size else "nothing"
        raise TaskError(
            f"{name} need integer class indices, got {array.dtype}{list(array.shape)} "
            f"(row 0 is {first}); convert labels with .astype(int), one-hot labels with "
            ".argmax(-1), or use jr.losses.l2() to predict a number."
        )
    if array.ndim != rank:
        want = "int[b]" if rank == 1 else "int[b, t]"
        way_out = "one-hot labels need .argmax(-1)" if rank == 1 else "give one id per position"
        raise TaskError(
            f"{name} need shape {want}, got {array.dtype}{list(array.shape)}; {way_out}."
        )
    return array.astype(np.int64)


def as_numbers(targets: Array, name: str) -> np.ndarray:
    """Returns finite numeric targets as float64, or raises TaskError."""
    array = _array(targets, name)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        # bfloat16 and its kin are numbers to JAX, but not to NumPy.
        try:
            array = array.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise TaskError(
                f"{name} need numbers, got {array.dtype}{list(array.shape)}; encode them first."
            ) from error
    if np.issubdtype(array.dtype, np.complexfloating):
        raise TaskError(
            f"{name} need real numbers, got {array.dtype}{list(array.shape)}; take .real or split "
            "them into two columns."
        )
    if array.ndim == 0:
        raise TaskError(f"{name} need the examples along axis 0, got one {array.dtype}.")
    array = array.astype(np.float64)
    require(np.isfinite(array), array, name, "finite numbers", "drop or impute these rows")
    return array


def require(good: np.ndarray, array: np.ndarray, name: str, want: str, way_out: str) -> None:
    """Raises TaskError that names the first row where `good` is False."""
    if good.all():
        return
    bad = ~good.reshape(len(array), -1)
    rows = np.any(bad, axis=1)
    row = int(np.argmax(rows))
    value = array.reshape(len(array), -1)[row, int(np.argmax(bad[row]))]
    raise TaskError(
        f"{name} need {want}, got {value} in row {row} ({int(rows.sum())} of {len(rows)} rows); "
        f"{way_out}."
    )


def require_several(array: np.ndarray, name: str, what: str) -> None:
    """Raises TaskError if two or more rows hold one value only."""
    if len(array) >= 2 and array.size and bool((array == array.reshape(-1)[0]).all()):
        raise TaskError(
            f"{name} have one {what} only, {array.reshape(-1)[0]} in all {len(array)} rows; there "
            f"is nothing to learn: give data with at least two."
        )


def _array(targets: Array, name: str) -> np.ndarray:
    """Returns `targets` as one NumPy array, or raises TaskError."""
    if isinstance(targets, dict | tuple):
        raise TaskError(
            f"{name} need one array, got a {type(targets).__name__}; for a pytree of targets write "
            "a loss of your own, (outputs, targets) -> float32[b]."
        )
    array = np.asarray(targets)
    if array.dtype == object:
        raise TaskError(f"{name} need one array of numbers, got objects; encode them first.")
    return array
