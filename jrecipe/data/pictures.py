"""Reading picture files of any size and mode as arrays of one shape."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.types import TaskError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
LARGEST = 256  # pixels along the longer side, unless a size is asked for
_GREY = ("1", "L", "LA", "I", "I;16", "F")


@dataclasses.dataclass(frozen=True)
class PictureFiles:
    """Picture files that are read when they are needed, as raw inputs of an `ImageEncoder`.

    Attributes:
      paths: the files.
      shape: (height, width, channels) that every picture is brought to; channels 1 or 3.
    """

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns the pictures `rows` int[k] as uint8[k, h, w, c].

        Raises:
          TaskError: naming a file that cannot be read.
        """
        out = np.empty((len(rows), *self.shape), np.uint8)
        for i, row in enumerate(rows):
            out[i] = read_picture(self.paths[row], self.shape)
        return out

    def subset(self, rows: np.ndarray) -> PictureFiles:
        """Returns the files `rows` int[k], without reading them."""
        return dataclasses.replace(self, paths=tuple(self.paths[row] for row in rows))


def read_picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads one picture file as uint8[h, w, c], upright, resized if needed.

    Raises:
      TaskError: naming the file, if it is missing or damaged.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            return to_shape(upright, shape)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise TaskError(
            f"{path} cannot be read as a picture ({type(error).__name__}: {error}); "
            "repair or remove it."
        ) from error


def to_shape(image: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a PIL image as uint8[h, w, c] of the shape asked for; transparency becomes white."""
    from PIL import Image

    height, width, channels = shape
    if image.mode.startswith("I"):  # 16-bit grey, which `convert` would clip at 255
        grey = np.asarray(image, np.float64)
        image = Image.fromarray((grey / (257.0 if grey.max() > 255 else 1.0)).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(shape)


def common_shape(
    paths: Sequence[Path], size: int | tuple[int, int] | None
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Finds the shape that pictures of different sizes are brought to, from their headers.

    Args:
      paths: at least one file.
      size: (height, width), or one number for both; None takes the commonest size, at most 256
        pixels along the longer side.

    Returns:
      `((height, width, channels), notes)`; one channel if all pictures are grey.

    Raises:
      TaskError: naming a file that is no picture.
    """
    from PIL import Image

    sizes: Counter[tuple[int, int]] = Counter()
    grey = True
    for path in paths:
        try:
            with Image.open(path) as image:
                sizes[image.height, image.width] += 1
                grey = grey and image.mode in _GREY
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise TaskError(
                f"{path} cannot be read as a picture ({type(error).__name__}: {error}); "
                "repair or remove it."
            ) from error
    channels = 1 if grey else 3
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
    else:
        height, width = max(sizes, key=lambda found: (sizes[found], found))
        if max(height, width) > LARGEST:
            shrink = LARGEST / max(height, width)
            height, width = max(1, round(height * shrink)), max(1, round(width * shrink))
    if height < 1 or width < 1:
        raise TaskError(f"size needs a height and width of at least 1, got {size!r}.")
    others = sum(sizes.values()) - sizes[height, width]
    notes = (
        (f"{others} of {len(paths)} pictures were resized to {height}x{width} pixels.",)
        if others
        else ()
    )
    return (height, width, channels), notes
