"""What stored arrays of inputs are - pictures, vectors, texts - and so how they are encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jrecipe.data.encode import Encoder, ImageEncoder, TextEncoder, VectorEncoder
from jrecipe.types import TaskError

_CHANNELS = (1, 3, 4)


class Inputs(NamedTuple):
    """How arrays of inputs are read.

    Attributes:
      convert: stored array -> raw inputs of the encoder.
      fit: raw training inputs -> encoder, or None to use the inputs as they are.
      notes: what was decided, in sentences.
    """

    convert: Callable[[np.ndarray], Any]
    fit: Callable[[Any], Encoder] | None
    notes: tuple[str, ...] = ()


def recognise(inputs: np.ndarray, where: str) -> Inputs:
    """Looks at shape and dtype of stored training inputs.

    Four axes with 1, 3 or 4 channels (last or second) are pictures, and so are three axes of uint8
    or of square pictures; two axes are vectors, one axis of text is text. All else stays as it is.

    Args:
      inputs: any array with a leading axis `n`.
      where: the file, for error messages.

    Raises:
      TaskError: if they are objects, or a single value.
    """
    kind, shape = inputs.dtype.kind, inputs.shape
    if kind not in "biufUS" or inputs.ndim == 0:
        raise TaskError(
            f"{where}: inputs have dtype {inputs.dtype} and shape {list(shape)}; give numbers or "
            "text with the examples along the first axis."
        )
    if kind in "US":
        if inputs.ndim != 1:
            raise TaskError(f"{where}: text inputs need shape [n], got {list(shape)}.")
        return Inputs(_texts, TextEncoder.fit)
    if inputs.ndim == 4 and shape[-1] in _CHANNELS:
        return Inputs(_same, ImageEncoder.fit)
    if inputs.ndim == 4 and shape[1] in _CHANNELS:
        note = f"Pictures {_by(shape[1:])} were taken as channels first and turned."
        return Inputs(lambda x: np.moveaxis(x, 1, -1), ImageEncoder.fit, (note,))
    if inputs.ndim == 3 and (inputs.dtype == np.uint8 or shape[1] == shape[2] >= 8):
        return Inputs(_same, ImageEncoder.fit)
    if inputs.ndim == 2:
        return Inputs(_same, VectorEncoder.fit)
    if inputs.ndim == 1:
        return Inputs(lambda x: x[:, None], VectorEncoder.fit)
    note = f"Inputs of shape {_by(shape[1:])} were left as they are; standardise them if needed."
    return Inputs(_same, None, (note,))


def _same(inputs: np.ndarray) -> np.ndarray:
    return inputs


def _texts(inputs: np.ndarray) -> list[str]:
    decoded = np.char.decode(inputs, "utf-8") if inputs.dtype.kind == "S" else inputs
    return [str(text) for text in decoded]


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
