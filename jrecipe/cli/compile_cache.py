"""Programs that were compiled once are kept, so that the next command starts in a fraction."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import MutableMapping
from pathlib import Path

_MOST = 2**30  # bytes that are kept; JAX drops what was not used for longest


def keep_programs(environment: MutableMapping[str, str]) -> None:
    """Tells JAX, before it is imported, where to keep compiled programs.

    They lie in `$XDG_CACHE_HOME/jrecipe`, by default `~/.cache/jrecipe`, apart for each kind of
    processor: a program that was compiled for another one may crash. Whoever sets
    JAX_COMPILATION_CACHE_DIR, or JAX_ENABLE_COMPILATION_CACHE=false, has decided already.

    Args:
      environment: of the process; changed.
    """
    if "JAX_COMPILATION_CACHE_DIR" in environment:
        return
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "jrecipe" / f"programs-{processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written: everything is compiled anew, as before
        return
    environment["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    environment.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_MOST))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")


def processor() -> str:
    """Returns a short name of what this processor can do."""
    said = platform.machine() + platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        said += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(said.encode()).hexdigest()[:12]
