"""`jrecipe items`."""

from __future__ import annotations

import dataclasses
import json

import click

from jrecipe.cli import options
from jrecipe.cli.printing import print_table


@dataclasses.dataclass(frozen=True)
class Item:
    """One item of the recipe that can be run.

    Attributes:
      id: such as "B4".
      stage: the part of the recipe.
      name: of the item.
      asks: what it asks.
      check: name of its check, empty if it is not one.
      function: the public name that does it.
      command: the command that shows it.
      moment: when a check looks, "before", "during" or "after" training; empty if it is none.
    """

    id: str
    stage: str
    name: str
    asks: str
    check: str
    function: str
    command: str
    moment: str = ""


def known_items() -> tuple[Item, ...]:
    """Returns every item that is there, in the order of the recipe."""
    from jrecipe.checks.registry import CHECKS, FIT_CHECKS
    from jrecipe.cli.beyond_checks import OTHERS
    from jrecipe.report.items import STAGES, item_name
    from jrecipe.report.report import recipe_order

    found = [
        Item(
            id=check.item,
            stage=STAGES.get(check.item[0], ""),
            name=item_name(check.item, check.name),
            asks=check.question,
            check=check.name,
            function="jr.check",
            command="jrecipe inspect digits"
            if check.stage == "inspect"
            else f"jrecipe check digits --only {check.name}",
            moment=check.moment,
        )
        for check in CHECKS
    ]
    found += [
        Item(
            id=check.item,
            stage=STAGES.get(check.item[0], ""),
            name=item_name(check.item, check.name),
            asks=check.question,
            check=check.name,
            function="jr.check_fit",
            command="jrecipe fit digits --monitor",
            moment=check.moment,
        )
        for check in FIT_CHECKS
    ]
    found += [
        Item(
            id=item,
            stage=STAGES.get(item[0], ""),
            name=item_name(item),
            asks=asks,
            check="",
            function=function,
            command=command,
        )
        for item, asks, function, command in OTHERS
    ]
    return tuple(sorted(found, key=lambda item: recipe_order(item.id)))


@click.command(epilog=options.examples("jrecipe items", "jrecipe items --json"))
@options.together(options.as_json)
def items(as_json: bool) -> int:
    """List what the recipe asks, and the command that shows each item."""
    found = known_items()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(item) for item in found], indent=2))
        return 0
    print_table(
        ("id", "stage", "name", "what it asks", "check", "function", "command", "when"),
        [dataclasses.astuple(item) for item in found],
    )
    return 0
