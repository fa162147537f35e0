"""Lines of a text file, plain or gzipped, and which of them cannot be trusted (A2)."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, NamedTuple

from jrecipe.data.damage import Damage, Notice
from jrecipe.data.gzipped import ERRORS, open_gzip, why
from jrecipe.types import TaskError

_UTF16 = ("\udcff\udcfe", "\udcfe\udcff")  # its byte order marks, as bytes that are no UTF-8


class Lines(NamedTuple):
    """The lines of a file.

    Attributes:
      texts: n lines, each with its line end.
      wrong: index of a line that cannot be trusted, from 0 -> (why, what to do about it).
    """

    texts: list[str]
    wrong: dict[int, tuple[str, str]]


def read_lines(path: Path, notice: Notice) -> Lines:
    """Reads all lines as UTF-8, with or without a byte order mark; gzipped if it ends in `.gz`.

    Args:
      path: the file.
      notice: told of an archive that is damaged or cut short; the whole lines above are returned.

    Raises:
      TaskError: if there is no such file.
    """
    texts: list[str] = []
    try:
        with contextlib.ExitStack() as stack:
            file: Any = stack.enter_context(open(path, "rb"))
            if path.suffix == ".gz":
                file = stack.enter_context(open_gzip(file))
            # Bytes that are no UTF-8 become surrogates, so that the lines around them can be read.
            text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
            for line in stack.enter_context(text):
                texts.append(line)
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist; give the path of a table.") from error
    except ERRORS as error:
        here = " after this line" if texts else ""
        notice(
            Damage(
                path=str(path),
                reason=f"the archive is damaged or cut short{here} ({why(error)})",
                what="file",
                line=len(texts) or None,
                fix="get it again",
            )
        )
    wrong = {i: said for i, line in enumerate(texts) if (said := _wrong(line)) is not None}
    return Lines(texts, wrong)


def _wrong(text: str) -> tuple[str, str] | None:
    """Returns what is wrong with a line and what to do about it, None where nothing is."""
    if "\0" not in text and text.isascii():
        return None
    if text.startswith(_UTF16):
        return "UTF-16, not UTF-8", "save the file as UTF-8"
    if "\0" in text:
        return "holds NUL bytes", "write the line again, or save the file as UTF-8"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        byte, place = ord(text[error.start]) - 0xDC00, error.start + 1
        return f"not UTF-8 (byte {byte:#04x} at character {place})", "save the file as UTF-8"
    return None
