"""Options that several commands share, each described once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]


def _listed(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(word.strip() for part in given for word in part.split(",") if word.strip())


class _CountOrAuto(click.ParamType):
    """An integer >= 1, or the word "auto"."""

    name = "count"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "auto" or isinstance(value, int):
            return value
        if str(value).isdigit() and int(value) >= 1:
            return int(value)
        raise click.BadParameter(
            f"{value!r} is neither an integer >= 1 nor 'auto'", ctx=ctx, param=param
        )


COUNT_OR_AUTO = _CountOrAuto()
target = click.argument("target")
seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Decides everything that is drawn.",
)
out = click.option(
    "--out",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="The run's folder itself; default runs/NAME, as in --out runs/today.",
)
out_report = click.option(
    "--out",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Also write report.html and report.json there, as in --out checked.",
)
resume = click.option(
    "--resume", is_flag=True, help="Go on with the run in --out DIR, or with the last one."
)
sarif = click.option(
    "--sarif",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write what failed or warned as SARIF, for a code host.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else."
)
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress, and only what matters.")
ignore = click.option(
    "--ignore",
    multiple=True,
    callback=_listed,
    metavar="CODES",
    help="Causes, items or checks to silence, as in --ignore imbalance,B6.",
)
budget = click.option(
    "--budget",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="How long the controls of the checks train.",
)
only = click.option(
    "--only",
    multiple=True,
    callback=_listed,
    metavar="ITEMS",
    help="Only these items or checks, as in --only B4,B12.",
)
network = click.option(
    "--network",
    type=click.Choice(["linear", "mlp", "convnet"]),
    help="For a data set; by default what jr.models.suggest names.",
)
width = click.option(
    "--width", type=click.IntRange(1), help="Units, or channels, of a hidden layer."
)
learning_rate = click.option(
    "--learning-rate", type=click.FloatRange(0.0, min_open=True), help="Of Adam; default 3e-4."
)
batch_size = click.option(
    "--batch-size", type=click.IntRange(1), help="Examples per update; default 64."
)
column = click.option(
    "--target",
    "column",
    metavar="NAME",
    help="Column, array or feature that holds the targets, as in --target price.",
)
data_dir = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Where tfds has its prepared data sets.",
)
with_traceback = click.option(
    "--traceback",
    is_flag=True,
    expose_value=False,
    help="Show the whole traceback of an error too.",
)


def together(*options: Decorator) -> Callable[[Function], Function]:
    """Joins options into one decorator; help lists them in this order."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def examples(*commands: str) -> str:
    """Returns the end of a help text: commands that can be pasted."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
