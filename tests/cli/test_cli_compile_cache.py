"""Compiled programs are kept between commands, unless somebody has decided otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import ROOT, write_classes

from jrecipe.cli.compile_cache import keep_programs, processor


def test_the_folder_is_that_of_the_user_and_of_the_processor(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    keep_programs(environment)
    folder = Path(environment["JAX_COMPILATION_CACHE_DIR"])
    assert folder == tmp_path / "jrecipe" / f"programs-{processor()}"
    assert folder.is_dir()
    assert int(environment["JAX_COMPILATION_CACHE_MAX_SIZE"]) == 2**30


def test_a_choice_of_the_user_stays():
    environment = {"JAX_COMPILATION_CACHE_DIR": "/elsewhere"}
    keep_programs(environment)
    assert environment == {"JAX_COMPILATION_CACHE_DIR": "/elsewhere"}


def test_a_home_that_cannot_be_written_changes_nothing(tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    environment = {"XDG_CACHE_HOME": str(file)}
    keep_programs(environment)
    assert environment == {"XDG_CACHE_HOME": str(file)}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_second_command_finds_what_the_first_compiled_and_learns_the_same(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    losses = []
    for name in ("a", "b"):
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from jrecipe.cli import main; main()"
        )
        args = ["fit", str(table), "--network", "linear", "--steps", "50", "--out", name]
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        # Every program is kept: which of them take longer than a limit is not the same each time.
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        subprocess.run(
            [sys.executable, "-c", code, *args], cwd=tmp_path, env=environment, check=True
        )
        losses.append((tmp_path / name / "history.jsonl").read_text())
        programs = {path.name for path in (tmp_path / "cache" / "jrecipe").rglob("*-cache")}
        assert programs
        if name == "a":
            first = programs
    assert programs == first
    assert losses[0] == losses[1]
