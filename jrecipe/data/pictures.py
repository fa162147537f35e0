"""Reading picture files of any size and mode as arrays of one shape."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.data.damage import Damage, DamageError, Notice, refuse
from jrecipe.data.picture_file import ERRORS, PictureFile, unreadable
from jrecipe.types import TaskError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
LARGEST = 256  # pixels along the longer side, unless a size is asked for
_GREY = ("1", "L", "LA", "I", "I;16", "F")


@dataclasses.dataclass(frozen=True, eq=False)
class PictureFiles:
    """Picture files, as raw inputs of an `ImageEncoder`; read when they are needed unless held.

    Attributes:
      files: one for each row.
      shape: (height, width, channels) that every picture is brought to; channels 1 or 3.
      pixels: uint8[n, h, w, c] of all of them, or None to read files.
    """

    files: tuple[PictureFile, ...]
    shape: tuple[int, int, int]
    pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns the pictures `rows` int[k] as uint8[k, h, w, c].

        Raises:
          TaskError: naming a file that cannot be read.
        """
        if self.pixels is not None:
            return self.pixels[rows]
        out = np.empty((len(rows), *self.shape), np.uint8)
        for i, row in enumerate(rows):
            out[i] = read_picture(self.files[row].path, self.shape)
        return out

    def subset(self, rows: np.ndarray) -> PictureFiles:
        """Returns the files `rows` int[k], without reading them."""
        return dataclasses.replace(
            self,
            files=tuple(self.files[row] for row in rows),
            pixels=None if self.pixels is None else self.pixels[rows],
        )


def read_picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads one picture file as uint8[h, w, c], upright, resized if needed.

    Checksums are compared, so that damaged pixels are not taken for sound ones; of the formats here
    only PNG has them.

    Raises:
      TaskError: naming the file, if it is missing or damaged.
    """
    read = _pixels(path, shape)
    if isinstance(read, Damage):
        raise DamageError(read)
    return read


def read_sound(
    headers: Sequence[PictureFile | Damage],
    shape: tuple[int, int, int],
    notice: Notice,
    *,
    hold: bool,
) -> PictureFiles:
    """Decodes every picture once, tells of those that cannot be, and returns the others (A2).

    Args:
      headers: of the files, as `read_header` returns them.
      shape: that every picture is brought to.
      notice: told of what is damaged. If it is `refuse` and nothing is held, no picture is decoded:
        what is damaged is refused when it is needed.
      hold: whether to keep the pixels.
    """
    sound: list[PictureFile] = []
    kept: list[np.ndarray] = []
    for header in headers:
        if isinstance(header, Damage):
            notice(header)
            continue
        if hold or notice is not refuse:
            read = _pixels(header.path, shape)
            if isinstance(read, Damage):
                notice(read)
                continue
            if hold:
                kept.append(read)
        sound.append(header)
    pixels = np.array(kept, np.uint8).reshape(len(kept), *shape) if hold else None
    return PictureFiles(tuple(sound), shape, pixels)


def joined(parts: Sequence[PictureFiles], order: np.ndarray) -> PictureFiles:
    """Returns the files of several as one, in the order int[n] of places behind one another.

    Args:
      parts: at least one, all of one shape, and with pixels either all or none.
      order: a permutation.
    """
    files = [file for part in parts for file in part.files]
    held = [part.pixels for part in parts if part.pixels is not None]
    return PictureFiles(
        files=tuple(files[place] for place in order),
        shape=parts[0].shape,
        pixels=np.concatenate(held)[order] if held else None,
    )


def _pixels(path: Path, shape: tuple[int, int, int]) -> np.ndarray | Damage:
    """Returns the pixels of a file, or why it has none."""
    from PIL import Image, ImageOps

    data = b""
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # compares checksums; it decodes nothing, and closes the picture
        with Image.open(io.BytesIO(data)) as image:
            return to_shape(ImageOps.exif_transpose(image), shape)
    except (*ERRORS, Image.DecompressionBombError) as error:
        return unreadable(path, error, data)


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
    files: Sequence[PictureFile], size: int | tuple[int, int] | None
) -> tuple[int, int, int]:
    """Returns the (height, width, channels) that pictures of different sizes are brought to.

    Args:
      files: without any, and without a size, pictures are a pixel.
      size: (height, width), or one number for both; None takes the commonest size, at most 256
        pixels along the longer side.

    Raises:
      TaskError: for a size below 1.
    """
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
    else:
        sizes = Counter((file.height, file.width) for file in files)
        height, width = max(sizes, key=lambda found: (sizes[found], found), default=(1, 1))
        if max(height, width) > LARGEST:
            shrink = LARGEST / max(height, width)
            height, width = max(1, round(height * shrink)), max(1, round(width * shrink))
    if height < 1 or width < 1:
        raise TaskError(f"size needs a height and width of at least 1, got {size!r}.")
    return height, width, 1 if all(file.mode in _GREY for file in files) else 3
