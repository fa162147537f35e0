"""Reading picture files of any size and mode as arrays of one shape."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.data.damage import Damage, DamageError, Notice
from jrecipe.types import TaskError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
LARGEST = 256  # pixels along the longer side, unless a size is asked for
# What Pillow raises for files that are damaged somewhere.
_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
_STARTS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
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

    Checksums are compared, so that damaged pixels are not taken for sound ones; of the formats here
    only PNG has them.

    Raises:
      TaskError: naming the file, if it is missing or damaged.
    """
    read = _pixels(path, shape)
    if isinstance(read, str):
        raise DamageError(_unreadable(path, read))
    return read


def sound_pictures(paths: Sequence[Path], notice: Notice) -> list[Path]:
    """Decodes every picture, tells of those that cannot be, and returns the others (A2)."""
    sound = []
    for path in paths:
        read = _pixels(path, (1, 1, 3))
        if isinstance(read, str):
            notice(_unreadable(path, read))
        else:
            sound.append(path)
    return sound


def _pixels(path: Path, shape: tuple[int, int, int]) -> np.ndarray | str:
    """Returns the pixels of a file, or why it has none."""
    from PIL import Image, ImageOps

    data = b""
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # compares checksums; it decodes nothing, and closes the picture
        with Image.open(io.BytesIO(data)) as image:
            return to_shape(ImageOps.exif_transpose(image), shape)
    except (*_ERRORS, Image.DecompressionBombError) as error:
        return _why(error, data)


def _why(error: Exception, data: bytes) -> str:
    """Says in few words why a file with these bytes is no picture."""
    from PIL import UnidentifiedImageError

    if isinstance(error, OSError) and error.strerror is not None:
        return f"cannot be opened ({error.strerror})"
    if not data:
        return "empty file"
    if isinstance(error, UnidentifiedImageError):
        if data.startswith(_STARTS):
            return "the picture is cut short, or its header is damaged"
        return f"no picture, it starts with {data[:8]!r}"
    said = (str(error).splitlines() or [type(error).__name__])[0]
    if "truncated" in said.lower():
        return "the picture is cut short"
    if "checksum" in said:
        return "the picture is damaged (wrong checksum)"
    return f"the picture is damaged ({said})"


def _unreadable(path: Path, why: str) -> Damage:
    return Damage(path=str(path), reason=why, what="file", fix="repair or remove the file")


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
        data = b""
        try:
            with Image.open(path) as image:
                sizes[image.height, image.width] += 1
                grey = grey and image.mode in _GREY
        except (*_ERRORS, Image.DecompressionBombError) as error:
            with contextlib.suppress(OSError):
                data = path.read_bytes()
            raise DamageError(_unreadable(path, _why(error, data))) from error
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
