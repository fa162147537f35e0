"""A real PostgreSQL server for a test, on a socket of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """Returns where `initdb` and `pg_ctl` are; distributions keep them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb")
    return Path(found).parent if found else folders[-1] if folders else None


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Starts a server, and yields the URL of its database; skips where there is none."""
    pytest.importorskip("psycopg", reason="needs the extra `postgresql`")
    where = binaries()
    if where is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl on this machine")
    # It refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory() as folder:  # short: a socket's path has 107 characters
        shutil.chown(folder, user)
        data = f"{folder}/data"

        def run(*command: str) -> None:
            with open(f"{folder}.log", "ab") as log:
                subprocess.run(command, check=True, user=user, cwd=folder, stdout=log, stderr=log)

        run(str(where / "initdb"), "-D", data, "-U", "me", "-A", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses=''"
        run(str(where / "pg_ctl"), "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://me@/postgres?host={folder}"
        finally:
            run(str(where / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
            os.unlink(f"{folder}.log")
