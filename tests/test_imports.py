"""The direction of imports in the house, and what `import jrecipe` leaves for later."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import jrecipe

HOUSE = Path(jrecipe.__file__).parent

# What each room may import, low to high; what is not named here is not allowed.
BASE = {"types", "version"}
ABOVE_TASK = {*BASE, "unfreezing", "task", "losses", "data", "figures"}
RECIPE = {
    *ABOVE_TASK,
    "augment",
    "checks",
    "draw",
    "explore",
    "finetune",
    "metrics",
    "models",
    "regularize",
    "report",
    "squeeze",
    "train",
    "tune",
}
ALL = {*RECIPE, "human", "recipe", "rungs", "jrecipe"}
MAY_IMPORT: dict[str, set[str]] = {
    "types": set(),
    "version": set(),
    "unfreezing": BASE,
    "figures": set(),
    "data": BASE,
    "augment": BASE,
    "generate": {*BASE, "data"},
    "models": BASE,
    "losses": BASE,
    "regularize": BASE,
    "metrics": BASE,
    "draw": {"figures"},
    "task": {*BASE, "augment.fields", "data", "losses", "metrics", "models.adapt", "unfreezing"},
    "train": {*ABOVE_TASK, "augment.checked", "models.adapt", "draw"},
    "checks": {
        *ABOVE_TASK,
        "augment.fields",
        "augment.pictures",
        "metrics",
        "train",
        "models.copies",
    },
    "report": {*BASE, "figures", "draw", "checks.result"},
    "explore": {*ABOVE_TASK, "checks", "draw", "train"},
    "finetune": {*ABOVE_TASK, "metrics", "models", "train", "checks.result"},
    "rungs": {*ABOVE_TASK, "train", "report"},
    "tune": {*ABOVE_TASK, "train", "report", "draw", "checks.result"},
    "squeeze": {
        *ABOVE_TASK,
        "checks.intervals",
        "checks.result",
        "draw",
        "metrics",
        "models",
        "regularize",
        "report",
        "train",
    },
    "human": {*BASE, "data.order", "draw", "task", "checks.examples", "checks.intervals"},
    "recipe": RECIPE | {"jrecipe"},  # of the package itself: its version
    "testing": ALL,
    "cli": ALL,
    "__main__": {"cli"},
}
# Findings are the words that checks and reports share; they hold nothing but figures.
INSIDE = {"checks.result": {"figures"}}


def imports_of(path: Path) -> set[str]:
    """Returns the modules of jrecipe that a file imports, without "jrecipe."; lazy ones count."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [m if is_module(m) else str(node.module) for m in modules]
        found |= {n.removeprefix("jrecipe.") for n in names if n.split(".")[0] == "jrecipe"}
    return found


def is_module(name: str) -> bool:
    path = HOUSE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def test_data_flows_one_way():
    wrong = []
    for path in sorted(HOUSE.rglob("*.py")):
        module = ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")
        room = module.split(".")[0]
        if module == "__init__":
            continue
        assert room in MAY_IMPORT, f"jrecipe.{room} has no place in the house; give it one here"
        allowed = INSIDE.get(module, {room, *MAY_IMPORT[room]})
        for name in imports_of(path):
            parts = name.split(".")
            if not {".".join(parts[:i]) for i in range(1, len(parts) + 1)} & allowed:
                wrong.append(f"jrecipe.{module} imports jrecipe.{name}")
    assert not wrong, "\n".join(wrong)


def test_the_rooms_themselves_have_an_order():
    # The table above is a partial order: no room can reach itself through what it may import.
    reaches = defaultdict(set)
    for room, allowed in MAY_IMPORT.items():
        reaches[room] = {name.split(".")[0] for name in allowed} - {"jrecipe"}
        if room == "report":
            reaches[room].discard("checks")  # only `checks.result`, which imports figures alone
    for _ in reaches:
        for room in list(reaches):
            reaches[room] |= set().union(*(reaches[name] for name in reaches[room]))
    assert not [room for room in reaches if room in reaches[room]]


def test_every_public_name_loads():
    for name in jrecipe.__all__:
        assert getattr(jrecipe, name) is not None
        assert name in dir(jrecipe)


def test_importing_jrecipe_leaves_everything_heavy_for_later():
    heavy = "jax flax optax matplotlib sklearn orbax grain tensorflow_datasets PIL rich jinja2"
    code = f"import jrecipe, sys; print([m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOUSE.parent
    )
    assert done.stdout.strip() == "[]"


def test_names_of_test_files_are_unique():
    """Pytest imports them by their bare names, and sees two of one name only in one process."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))
    assert [name for name, count in names.items() if count > 1 and name != "conftest.py"] == []
