"""Encoders: from what is stored (pictures, tables, texts, vectors) to what enters a network.

An encoder is fitted on the training split only, is immutable, and goes through plain JSON, so that
new files are encoded exactly as the training data were.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jrecipe.data.encode_image import ImageEncoder
from jrecipe.data.encode_table import TabularEncoder
from jrecipe.data.encode_text import TextEncoder
from jrecipe.data.encode_vector import VectorEncoder
from jrecipe.types import PyTree, TaskError

__all__ = [
    "EncodedSource",
    "Encoder",
    "ImageEncoder",
    "TabularEncoder",
    "TextEncoder",
    "VectorEncoder",
    "encoder_from_json",
    "pick",
    "select",
]


class Encoder(Protocol):
    """Turns raw inputs into arrays."""

    @property
    def size(self) -> int:
        """Numbers per encoded example."""

    def encode(self, raw: Any) -> np.ndarray:
        """Returns float32[n, ...] for `n` raw inputs; raises TaskError if they do not fit."""

    def decode(self, inputs: np.ndarray) -> Any:
        """Returns what a person looks at: pictures float32[n, h, w, c] in [0, 1], or n texts."""

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values; `encoder_from_json` restores the encoder from them."""


_KINDS: dict[str, Any] = {
    "image": ImageEncoder,
    "table": TabularEncoder,
    "text": TextEncoder,
    "vector": VectorEncoder,
}


def encoder_from_json(stored: Mapping[str, Any] | str) -> Encoder:
    """Restores an encoder that encodes bit for bit as the stored one did.

    Args:
      stored: what `to_json` returned, or the same as a JSON text.

    Raises:
      TaskError: if it is no JSON or no stored encoder.
    """
    try:
        values = json.loads(stored) if isinstance(stored, str) else stored
        kind, fields = values["kind"], {k: v for k, v in values.items() if k != "kind"}
        restored: Encoder = _KINDS[kind].from_json(fields)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise TaskError(
            f"this is no stored encoder ({type(error).__name__}: {error}); it needs a 'kind' of "
            f"{', '.join(_KINDS)} and that kind's fields, as `to_json` writes them."
        ) from error
    return restored


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedSource:
    """A source that encodes examples as they are read, for inputs that do not fit in memory.

    Attributes:
      raw: raw inputs: an array, a list, a dict of columns, or a reader, an object with
        `take(rows)`, `subset(rows)` and a length.
      targets: array with the same leading axis.
      encoder: applied to the rows that are read.
    """

    raw: Any
    targets: np.ndarray
    encoder: Encoder

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns `(encoded inputs, targets)` of the examples `rows` int[k]."""
        rows = np.asarray(rows)
        return self.encoder.encode(pick(self.raw, rows)), self.targets[rows]


def select(raw: Any, rows: np.ndarray) -> Any:
    """Returns raw inputs for some rows only; those of a reader are not read yet."""
    return raw.subset(rows) if hasattr(raw, "subset") else pick(raw, rows)


def pick(raw: Any, rows: np.ndarray) -> Any:
    """Returns the raw inputs of some rows: of an array, a list, a dict of columns, or a reader."""
    if isinstance(raw, Mapping):
        return {name: pick(column, rows) for name, column in raw.items()}
    if isinstance(raw, list):
        return [raw[row] for row in rows]
    return raw[rows] if isinstance(raw, np.ndarray) else raw.take(rows)
