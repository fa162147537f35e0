"""Help, version and the table of items."""

from __future__ import annotations

import functools
import itertools
import json
import re
import subprocess
import sys

import click
import pytest
from cli_runs import ROOT, finish, jrecipe, process

import jrecipe as jr
from jrecipe.checks import CHECKS
from jrecipe.checks.registry import FIT_CHECKS
from jrecipe.cli.commands import TABLE, main


def test_help_lists_the_commands_and_loads_none_of_them(tmp_path):
    probe = (
        "import atexit; atexit.register(lambda: print('LOADED', sorted(m for m in sys.modules "
        "if m in ('jax', 'flax', 'numpy.linalg', 'rich', 'orbax', 'matplotlib') "
        "and m != 'numpy.linalg')))"
    )
    result = finish(process("--help", cwd=tmp_path, before=probe))
    assert result.code == 0
    assert result.err == ""
    assert all(re.search(rf"^  {name} ", result.out, re.MULTILINE) for name in TABLE)
    assert "LOADED []" in result.out


def test_the_module_runs_as_the_command_does(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "jrecipe", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"jrecipe {jr.__version__}\n")


def test_without_a_command_it_shows_its_help():
    assert jrecipe().out == jrecipe("--help").out
    assert jrecipe().code == 0


@pytest.mark.parametrize("name", TABLE)
def test_each_command_says_what_it_does_with_examples(name):
    result = jrecipe(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert f"  jrecipe {name}" in result.out
    command = main.get_command(None, name)
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


def test_the_examples_of_the_help_are_commands_that_exist():
    for name in TABLE:
        lines = re.findall(r"^ *jrecipe (.*)$", jrecipe(name, "--help").out, re.MULTILINE)
        commands = [part for line in lines for part in line.split(" -- jrecipe ")]
        for line in commands:
            words = line.partition(" -- ")[0].split()
            command = main.get_command(None, words[0])
            known = {o for p in command.params for o in p.opts}
            assert {w for w in words if w.startswith("--")} <= known, line


def test_items_lists_every_check_and_what_else_is_there():
    result = jrecipe("items", "--json")
    found = json.loads(result.out)
    assert {item["check"] for item in found if item["check"]} == {
        c.name for c in (*CHECKS, *FIT_CHECKS)
    }
    assert {"A6", "A7", "A8", "A9", "C1", "C2", "C3", "D2", "D9", "D10", "D11", "J9"} <= {
        i["id"] for i in found
    }
    for item in found:
        assert item["asks"]
        assert item["name"]
        words = item["command"].split()
        if words[:1] == ["jrecipe"]:
            command = main.get_command(None, words[1])
            known = {o for p in command.params for o in p.opts}
            assert {w for w in words if w.startswith("--")} <= known, item["command"]
            for only in (w for before, w in itertools.pairwise(words) if before == "--only"):
                assert set(only.split(",")) <= {c.name for c in CHECKS}, item["command"]
        elif words:
            assert words[0] == "python"
            assert (ROOT / words[1]).is_file()
        if item["function"]:
            names = item["function"].removeprefix("jr.").split(".")
            assert functools.reduce(getattr, names, jr), item["function"]
    ids = [item["id"] for item in found]
    assert ids.index("B2") < ids.index("B10") < ids.index("C1")
    table = jrecipe("items").out.splitlines()
    assert len(table) == 1 + len(found)
