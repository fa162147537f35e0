"""Vectors: each column standardised."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from jrecipe.types import TaskError

_SHOWN = 8  # columns in a decoded text


@dataclasses.dataclass(frozen=True)
class VectorEncoder:
    """Standardises each column; a column that is constant in training becomes 0.

    Attributes:
      mean: per column, of the training split.
      std: per column, of the training split; 0 marks a constant column.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, vectors: Any) -> VectorEncoder:
        """Finds mean and deviation of the finite values of training vectors [n, d].

        Raises:
          TaskError: if they are no vectors of numbers.
        """
        values = _two_axes(vectors)
        values = np.where(np.isfinite(values), values, np.nan)
        known = np.maximum(np.sum(~np.isnan(values), axis=0), 1)
        mean = np.nansum(values, axis=0) / known
        std = np.sqrt(np.nansum(np.square(values - mean), axis=0) / known)
        low = np.fmin.reduce(values, axis=0)
        high = np.fmax.reduce(values, axis=0)
        std = np.where(high > low, std, 0.0)  # the deviation of equal floats need not be exactly 0
        return cls(mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    @property
    def size(self) -> int:
        """Numbers per vector."""
        return len(self.mean)

    def encode(self, raw: Any) -> np.ndarray:
        """Returns float32[n, d]; NaN and infinity stay, so that a check can find them.

        Raises:
          TaskError: if the number of columns is another than in training.
        """
        values = _two_axes(raw)
        if values.shape[1] != len(self.mean):
            raise TaskError(
                f"vectors have {values.shape[1]} columns, but the training vectors had "
                f"{len(self.mean)}; give the same columns in the same order."
            )
        std = np.array(self.std)
        centred = values - np.array(self.mean)
        scaled = centred / np.where(std > 0.0, std, 1.0)
        # A constant column becomes 0 also where a new file has other values, but NaN stays NaN.
        return np.where((std > 0.0) | ~np.isfinite(values), scaled, 0.0).astype(np.float32)

    def decode(self, inputs: np.ndarray) -> list[str]:
        """Returns one text per vector with its first values in the units of the training data."""
        values = np.asarray(inputs, np.float64) * np.array(self.std) + np.array(self.mean)
        more = ", ..." if values.shape[1] > _SHOWN else ""
        return [
            ", ".join(f"x{i}={value:.4g}" for i, value in enumerate(row[:_SHOWN])) + more
            for row in values
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {"kind": "vector", "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> VectorEncoder:
        """Restores an encoder from the fields of `to_json`."""
        return cls(mean=tuple(stored["mean"]), std=tuple(stored["std"]))


def _two_axes(vectors: Any) -> np.ndarray:
    values = np.asarray(vectors)
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise TaskError(
            f"vectors need shape [n, d] and numbers, got {values.dtype} {list(values.shape)}."
        )
    return values.astype(np.float64)
