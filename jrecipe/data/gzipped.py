"""Gzipped files that are damaged or cut short, read up to that place (A2)."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, Any, cast

ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)  # what reading a damaged archive raises
_SIP = 512  # compressed bytes decoded at once: what is lost before a damaged place


def open_gzip(file: IO[bytes]) -> gzip.GzipFile:
    """Opens an archive so that reading it raises one of `ERRORS` close to the damaged place."""
    return gzip.GzipFile(fileobj=cast(IO[bytes], _Sips(file)))


def why(error: Exception) -> str:
    """Says in few words what is wrong with an archive."""
    if isinstance(error, EOFError):
        return "its end is missing"
    said = str(error)
    if said.startswith("Not a gzipped"):
        return "no gzip file"
    return "wrong checksum" if said.startswith("CRC") else "its data cannot be decoded"


def unpack(packed: bytes) -> tuple[bytes, str]:
    """Returns what an archive holds up to its damaged place, and what is wrong with it, or ""."""
    try:
        return gzip.decompress(packed), ""
    except ERRORS:
        pass
    parts = []
    with open_gzip(io.BytesIO(packed)) as archive:
        try:
            while part := archive.read1():
                parts.append(part)
        except ERRORS as error:
            return b"".join(parts), why(error)
    return b"".join(parts), ""


class _Sips:
    """A binary file that gives few bytes at a time.

    `zlib` raises for a damaged place without the bytes that it decoded before it in the same call.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(_SIP if size < 0 else min(size, _SIP))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
