"""Pictures: scaled to [0, 1], then standardised per channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from jrecipe.types import TaskError

_CHUNK = 1024  # pictures held in float64 at a time


@dataclasses.dataclass(frozen=True)
class ImageEncoder:
    """Scales pictures to [0, 1] and standardises each channel.

    Attributes:
      shape: (height, width, channels) of every picture.
      low: stored value that becomes 0.
      high: stored value that becomes 1.
      mean: per channel, of the scaled training pictures.
      std: per channel; 1 where a channel is constant.
    """

    shape: tuple[int, int, int]
    low: float
    high: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, pictures: Any, high: float | None = None, limit: int = 20_000) -> ImageEncoder:
        """Finds range, mean and deviation of training pictures.

        Args:
          pictures: [n, h, w] or [n, h, w, c], any real dtype; or a reader with `take(rows)`.
          high: value of white, if known; else by dtype and range (uint8: 255).
          limit: look at so many pictures at most, spread evenly.

        Raises:
          TaskError: if they are no pictures.
        """
        rows = np.arange(len(pictures))
        if len(rows) > limit:
            rows = np.linspace(0, len(rows) - 1, limit).astype(int)
        first = _four_axes(_read(pictures, rows[:1]))
        if high is not None:
            low = 0.0
        else:
            low, high = _range(first.dtype, pictures, rows)
        total = np.zeros(first.shape[-1])
        squares = np.zeros(first.shape[-1])
        pixels = 0
        # Sums about the first picture's mean, so that nearly constant channels keep their digits.
        centre = ((first.astype(np.float64) - low) / (high - low)).mean(axis=(0, 1, 2))
        for chunk in _chunks(pictures, rows):
            scaled = (chunk.astype(np.float64) - low) / (high - low) - centre
            total += scaled.sum(axis=(0, 1, 2))
            squares += np.square(scaled).sum(axis=(0, 1, 2))
            pixels += scaled[..., 0].size
        mean = total / pixels
        std = np.sqrt(np.maximum(squares / pixels - mean**2, 0.0))
        std = np.where(std > 1e-7, std, 1.0)
        height, width, channels = first.shape[1:]
        return cls(
            shape=(int(height), int(width), int(channels)),
            low=float(low),
            high=float(high),
            mean=tuple((mean + centre).tolist()),
            std=tuple(std.tolist()),
        )

    @property
    def size(self) -> int:
        """Numbers per picture."""
        return int(np.prod(self.shape))

    def encode(self, raw: Any) -> np.ndarray:
        """Returns float32[n, h, w, c], mean 0 and deviation 1 per channel over the training split.

        Args:
          raw: [n, h, w] or [n, h, w, c] of the fitted shape and range.

        Raises:
          TaskError: if the shape is another.
        """
        pictures = _four_axes(np.asarray(raw))
        if pictures.shape[1:] != self.shape:
            raise TaskError(
                f"pictures have shape {_by(pictures.shape[1:])}, but the training pictures had "
                f"{_by(self.shape)} (height x width x channels); resize or convert them."
            )
        scale = 1.0 / ((self.high - self.low) * np.array(self.std))
        shift = -np.array(self.mean) / np.array(self.std) - self.low * scale
        out = np.empty(pictures.shape, np.float32)
        for start in range(0, len(pictures), _CHUNK):
            out[start : start + _CHUNK] = pictures[start : start + _CHUNK] * scale + shift
        return out

    def decode(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the pictures float32[n, h, w, c] in [0, 1] of encoded inputs."""
        values = np.asarray(inputs, np.float32)
        scaled = values * np.array(self.std, np.float32) + np.array(self.mean, np.float32)
        return np.clip(scaled, 0.0, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {
            "kind": "image",
            "shape": list(self.shape),
            "low": self.low,
            "high": self.high,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ImageEncoder:
        """Restores an encoder from the fields of `to_json`."""
        height, width, channels = stored["shape"]
        return cls(
            shape=(height, width, channels),
            low=stored["low"],
            high=stored["high"],
            mean=tuple(stored["mean"]),
            std=tuple(stored["std"]),
        )


def _read(pictures: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(pictures[rows] if isinstance(pictures, np.ndarray) else pictures.take(rows))


def _chunks(pictures: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _CHUNK):
        yield _four_axes(_read(pictures, rows[start : start + _CHUNK]))


def _four_axes(pictures: np.ndarray) -> np.ndarray:
    if pictures.ndim == 3:
        pictures = pictures[..., None]
    if pictures.ndim != 4 or pictures.dtype.kind not in "buif":
        raise TaskError(
            f"pictures need shape [n, h, w] or [n, h, w, c] and numbers, got {pictures.dtype} "
            f"{list(pictures.shape)}."
        )
    return pictures


def _range(dtype: np.dtype, pictures: Any, rows: np.ndarray) -> tuple[float, float]:
    """Returns the stored values of black and white."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype in (np.uint8, np.uint16):
        return 0.0, float(np.iinfo(dtype).max)
    low, high = np.inf, -np.inf
    for chunk in _chunks(pictures, rows):
        finite = chunk[np.isfinite(chunk)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if not high >= low:
        raise TaskError("pictures hold no finite value; look at how they were stored.")
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    if low >= 0.0 and high <= 255.0 and high > 16.0:
        return 0.0, 255.0
    return (low, high) if high > low else (low, low + 1.0)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
