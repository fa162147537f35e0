"""What is known of the file of each example, where inputs were picture files (A4, A7)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jrecipe.explore.examples import Column
from jrecipe.explore.gather import Gathered


def name_columns(gathered: Gathered) -> Iterator[Column]:
    """Yields where each file is below the folder of the data, with that of its class."""
    if gathered.files is not None:
        names = np.array([f"{file.folder}/{file.name}" for file in gathered.files])
        yield Column("file", names, "path below the folder of the data")


def file_columns(gathered: Gathered) -> Iterator[Column]:
    """Yields sizes and kind of each file and of the picture in it, before it was resized."""
    if gathered.files is None:
        return
    files = gathered.files
    width, height = (np.array([getattr(f, side) for f in files]) for side in ("width", "height"))
    yield Column("width", width, "pixels of the picture, upright, before it was resized")
    yield Column("height", height, "pixels of the picture, upright, before it was resized")
    yield Column("aspect", width / height, "width over height")
    yield Column("format", np.array([file.format for file in files]), "of the file's content")
    modes = np.array([file.mode for file in files])
    yield Column("mode", modes, "of a pixel: L is grey, P a palette, RGBA has transparency")
    yield Column("bytes", np.array([file.bytes for file in files]), "size of the file")
