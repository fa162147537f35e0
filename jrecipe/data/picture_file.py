"""A picture file by its header: its size, and the picture's before it is resized (A2, A4, A7)."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
import zlib
from pathlib import Path
from typing import Any

from jrecipe.data.damage import Damage

# What Pillow raises for files that are damaged somewhere.
ERRORS = (
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
_ORIENTATION = 0x0112  # tag of EXIF; from 5 on, rows of the file are columns of the picture


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """What is known of a picture file before its pixels are read.

    Attributes:
      path: where it is.
      folder: the folder that says its split and class, below that of the data set: "train/cat".
      name: the file below `folder`, with "/" in between: "cam2/IMG_0012.png".
      bytes: size of the file.
      width: pixels of the picture upright, before it is resized.
      height: the same.
      format: as its content has it, whatever its name says: "PNG", "JPEG".
      mode: how a pixel is stored, as Pillow calls it: "RGB", "L" for grey, "P" for a palette.
    """

    path: Path
    folder: str
    name: str
    bytes: int
    width: int
    height: int
    format: str
    mode: str


def read_header(path: Path, folder: Path, root: Path) -> PictureFile | Damage:
    """Reads what a picture file tells of itself, or what is wrong with it; decodes nothing.

    Args:
      path: the file.
      folder: that of its class, in which it is.
      root: that of the data set.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = _upright(image)
            return PictureFile(
                path=path,
                folder=folder.relative_to(root).as_posix(),
                name=path.relative_to(folder).as_posix(),
                bytes=path.stat().st_size,
                width=width,
                height=height,
                format=image.format or "",
                mode=image.mode,
            )
    except (*ERRORS, Image.DecompressionBombError) as error:
        data = b""
        with contextlib.suppress(OSError):
            data = path.read_bytes()
        return unreadable(path, error, data)


def unreadable(path: Path, error: Exception, data: bytes) -> Damage:
    """Says what is wrong with a file of these bytes, at which Pillow raised `error`."""
    why = _why(error, data)
    return Damage(path=str(path), reason=why, what="file", fix="repair or remove the file")


def _upright(image: Any) -> tuple[int, int]:
    """Returns width and height as they are once the picture is turned as EXIF says.

    A PNG that says so behind its pixels is taken as it is stored: they would have to be decoded.
    """
    turned = False
    if image.format != "PNG" or "exif" in image.info:
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else (image.width, image.height)


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
