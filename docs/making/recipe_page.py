"""The recipe, item by item, out of the package's own list: it cannot go stale.

`docs/recipe.md` has the words at the top; what follows comes from `jrecipe items`, from the table
of `docs/checks.md`, and from the pictures beside this file.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from api_pages import link

from jrecipe.cli.items import Item, known_items

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parents[1]
DRAWN = Path(__file__).parent / "pictures"  # what pictures.py drew

# Where more is said, by item or by stage.
MORE = {
    "A": "inspect.md",
    "B": "checks.md",
    "B6": "human.md",
    "C": "checks.md",
    "C1": "models.md#which-one-first",
    "C2": "training.md",
    "C3": "ladder.md",
    "C4": "training.md#schedules-in-shares-of-the-run",
    "D": "regularize.md",
    "D1": "ladder.md",
    "D2": "augmentation.md",
    "D3": "augmentation.md#simulated-data",
    "D4": "models.md#pretrained-weights",
    "D5": "finetune.md",
    "D6": "ladder.md",
    "D8": "ladder.md",
    "D9": "regularize.md#dropout",
    "D10": "regularize.md#weight-decay",
    "D11": "training.md#stopping-early",
    "D12": "ladder.md",
    "D13": "inside.md",
    "E": "tune.md",
    "F": "ensembles.md",
    "G": "faults.md",
    "G1": "checks.md",
    "G3": "checks.md",
    "H": "finetune.md",
    "H1": "models.md#which-one-first",
    "H3": "experiments.md",
    "H4": "regularize.md#max-norm",
    "I": "ladder.md#nine-rungs-on-cifar-10",
    "J": "finetune.md",
    "J4": "training.md",
    "J8": "deploy.md",
    "J9": "deploy.md",
}
# Pictures that other pages show: file, what is seen.
SHOWN = {
    "A7": ("explorer.png", "Fashion-MNIST, the labels that a probe doubts most"),
    "B6": ("human.png", "The page that asks a person"),
    "D2": ("augmentation.png", "Each augmentation on one rendered scene"),
    "D12": ("decision_boundary.png", "One network: random, under-fit, robust and over-fit"),
    "D13": ("inside.png", "First-layer filters and activations of a trained network"),
    "E": ("random_beats_grid.png", "Grid and random points over two parameters that matter"),
    "H3": (
        "mnist_dropout_maxnorm.png",
        "Dropout, a limit on the weights, and both, over five seeds",
    ),
    "I": ("cifar10_ladder.png", "Training and validation accuracy of each rung"),
}
NO_PICTURE = "*No picture: what it gives are words and numbers.*"
MARK = "<!-- the items -->"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Writes the items into the page that has the mark."""
    return markdown.replace(MARK, "\n".join(items_text())) if MARK in markdown else markdown


def items_text() -> Iterator[str]:
    """Yields the lines of all items, stage by stage."""
    asked = how_decided((DOCS / "checks.md").read_text(encoding="utf-8"))
    for letter, of_stage in itertools.groupby(known_items(), lambda item: item.id[0]):
        items = list(of_stage)
        yield f"\n## {letter}. {items[0].stage}\n"
        for _, same in itertools.groupby(items, lambda item: item.id):
            yield from _item(list(same), asked)


def how_decided(checks_page: str) -> dict[str, list[str]]:
    r"""Returns how each item's checks decide, as the page of the checks says it.

    Example:
      >>> how_decided("| A1 | Do examples repeat? | Rows are compared. |\n")
      {'A1': ['Rows are compared.']}
    """
    found = defaultdict(list)
    for ids, how in re.findall(r"^\| ([A-J]\d+[^|]*) \| [^|]+\? \| (.+) \|$", checks_page, re.M):
        for item in ids.split(", "):
            found[item].append(how)
    return dict(found)


def _item(same: Sequence[Item], asked: dict[str, list[str]]) -> Iterator[str]:
    first = same[0]
    yield f"\n### {first.id} {first.name} {{ #{first.id.lower()} }}\n"
    yield " ".join(dict.fromkeys(item.asks for item in same)) + "\n"
    yield from (f"{how}\n" for how in asked.get(first.id, []))
    functions = dict.fromkeys(link(item.function) for item in same if item.function)
    commands = dict.fromkeys(f"`{item.command}`" for item in same if item.command)
    checks = [f"`{item.check}`" for item in same if item.check]
    page = MORE.get(first.id) or MORE[first.id[0]]
    does = [f"check {', '.join(checks)}"] if checks else []
    does += [f"function {', '.join(functions)}"] if functions else []
    does += [f"command {'; '.join(commands)}"] if commands else []
    does.append(f"more: [{page.partition('#')[0].removesuffix('.md')}]({page})")
    yield f"{' · '.join(does)}\n{{ .does }}\n"
    yield _picture(first.id)


def _picture(item: str) -> str:
    if item in SHOWN:
        file, seen = SHOWN[item]
        return f"![{seen}]({file})\n"
    drawn = DRAWN / f"{item}.html"
    if drawn.is_file():
        return f'<div class="drawn">{drawn.read_text(encoding="utf-8").strip()}</div>\n'
    return f"{NO_PICTURE}\n"
