"""The folder of a run: which one, and that no run overwrites another."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jrecipe.cli.stop import StopError, reason
from jrecipe.types import TaskError

RECORD = "run.json"
SCHEMA = 1


def choose_folder(name: str, out: str | None, resume: bool) -> Path:
    """Returns the folder of a new run, or of the run to resume; makes nothing.

    Args:
      name: of the target, for a folder below `runs`.
      out: the folder itself, or None.
      resume: go on with a run that is there.

    Raises:
      TaskError: if `out` holds another run, or there is none to resume.
    """
    if resume:
        if out is not None:
            if not (Path(out) / RECORD).is_file():
                raise TaskError(
                    f"--resume: --out {out} holds no run; leave --resume out, or name the folder "
                    "of a run."
                )
            return Path(out)
        numbered = Path("runs").glob(f"{name}-*/{RECORD}")
        records = [path for path in numbered if path.parent.name[len(name) + 1 :].isdigit()]
        records += [path for path in [Path("runs") / name / RECORD] if path.is_file()]
        if not records:
            raise TaskError(
                f"--resume: there is no run in {Path('runs') / name}; name its folder with "
                "--out DIR, or leave --resume out."
            )
        return max(records, key=lambda path: path.stat().st_mtime).parent
    if out is not None:
        refuse_run(out)
        return Path(out)
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def refuse_run(out: str) -> None:
    """Raises TaskError if a folder holds a run already."""
    if (Path(out) / RECORD).exists():
        raise TaskError(
            f"--out {out} holds another run ({RECORD} is there); go on with it by --resume, or "
            "name another folder."
        )


def read_record(folder: str | Path) -> dict[str, Any]:
    """Reads `run.json`.

    Raises:
      TaskError: if the folder holds no run, or one that this version cannot read.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise TaskError(
            f"run {str(folder)!r} is no folder of a run: it has no {RECORD}; give a folder that "
            "`jrecipe cook` or `jrecipe fit` wrote, as runs/digits."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskError(f"{path} is damaged ({error}); train again into another folder.") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise TaskError(
            f"{path} was not written by this version of jrecipe (schema {SCHEMA} is needed); train "
            "again into another folder."
        )
    return record


def same_run(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Raises TaskError if the run in a folder was started differently than `wanted`."""
    stored = read_record(folder)
    for name in ("kind", "place", "seed", "options"):
        before, now = stored.get(name), wanted[name]
        if before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            name = next(key for key in {**before, **now} if before.get(key) != now.get(key))
            before, now = before.get(name), now.get(name)
        called = {"kind": "the command", "place": "the target"}.get(
            name, f"--{name.replace('_', '-')}"
        )
        raise TaskError(
            f"--resume: {called} is {now}, but the run in {folder} was started with {before}; "
            f"repeat its command ({stored.get('command')}), or name another folder."
        )


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Writes `run.json`, whole or not at all; makes the folder."""
    from jrecipe.report.report import plain, write_whole

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain({"schema": SCHEMA, **record}), indent=2, ensure_ascii=False)
    write_whole(folder / RECORD, text + "\n")


@contextlib.contextmanager
def claimed(folder: Path, record: Mapping[str, Any], *, resume: bool) -> Iterator[None]:
    """Holds a folder for a run; if the input then proves bad, leaves everything as it was.

    Args:
      folder: of the run.
      record: what `run.json` says.
      resume: the run is there already; it must have been started alike.

    Raises:
      StopError: if the folder cannot be written.
    """
    if resume:
        same_run(folder, record)
        yield
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        write_record(folder, record)
    except OSError as error:
        _leave(folder, missing)
        raise StopError(
            f"--out {folder} cannot be written: {reason(error)}; free space or allow the access, "
            "or name another folder with --out."
        ) from error
    try:
        yield
    except TaskError:
        (folder / RECORD).unlink(missing_ok=True)
        _leave(folder, missing)
        raise


def _leave(folder: Path, missing: list[Path]) -> None:
    for path in missing:  # the innermost first
        with contextlib.suppress(OSError):  # not made, or somebody else put something there
            path.rmdir()
