"""`jrecipe squeeze`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from jrecipe.cli import options
from jrecipe.cli.command_line import command_of
from jrecipe.cli.printing import print_place
from jrecipe.cli.progress import saying


class _Rank(click.ParamType):
    """An integer >= 1, or a share in (0, 1)."""

    name = "rank"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        text = str(value)
        if text.isdigit() and int(text) >= 1:
            return int(text)
        try:
            share = float(text)
        except ValueError:
            share = 0.0
        if not 0.0 < share < 1.0:
            raise click.BadParameter(
                f"{text!r} is neither a rank >= 1 nor a share in (0, 1)", ctx=ctx, param=param
            )
        return share


@click.command(
    epilog=options.examples(
        "jrecipe squeeze runs/digits",
        "jrecipe squeeze runs/digits --int8 --prune 0.5 --rank 0.95 --out small",
    )
)
@options.together(
    click.argument("run", metavar="RUN"),
    click.option("--int8", is_flag=True, help="Weights in 8 bits, after training."),
    click.option("--int8-layers", is_flag=True, help="Layers computed in 8 bits, by qwix."),
    click.option("--qat", is_flag=True, help="Train on with rounded weights, then 8 bits."),
    click.option(
        "--prune",
        type=click.FloatRange(0.0, 1.0, max_open=True),
        help="Train on with this share of each layer's weights at 0.",
    ),
    click.option(
        "--prune-units",
        type=click.FloatRange(0.0, 1.0, max_open=True),
        help="The same with whole units, the last layer left out.",
    ),
    click.option(
        "--rank",
        type=_Rank(),
        help="Weights as thin products: of this rank, or keeping this share of the squares.",
    ),
    click.option(
        "--steps",
        type=click.IntRange(1),
        default=500,
        show_default=True,
        help="Updates of each training on.",
    ),
    options.seed,
    options.out_report,
    options.as_json,
    options.quiet,
    options.with_traceback,
    click.pass_obj,
)
def squeeze(
    arguments: tuple[str, ...],
    run: str,
    int8: bool,
    int8_layers: bool,
    qat: bool,
    prune: float | None,
    prune_units: float | None,
    rank: int | float | None,
    steps: int,
    seed: int,
    out: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Make the best network of a run smaller in several ways, and compare each with it.

    RUN is a folder that `jrecipe cook` or `fit` wrote; its data are read again. Prints a table of
    size, latency, throughput and accuracy with intervals on the test split, and writes it as a
    report into RUN/squeeze. Without an option it is --int8 --prune 0.5.
    """
    from jrecipe.cli.run_folder import refuse_run

    if out is not None:
        refuse_run(out)
    if not (int8 or int8_layers or qat or prune or prune_units or rank):
        int8, prune = True, 0.5
    with saying(quiet) as say:
        from jrecipe.cli.squeezing import Ways, squeezed
        from jrecipe.recipe.checked import facts
        from jrecipe.report import Report, Section
        from jrecipe.squeeze import judge_smaller
        from jrecipe.train import Clock

        ways = Ways(int8, int8_layers, qat, prune or 0.0, prune_units or 0.0, rank)
        with Clock() as clock:
            task, comparison = squeezed(run, ways, steps, seed, say.briefly)
        table = comparison.table()
        made = [name for name in comparison.rows if not name.startswith("original")]
        report = Report(
            task=task.name,
            findings=tuple(judge_smaller(comparison, name) for name in made),
            sections=(Section(title="Made smaller", table=table),),
            facts=facts(task, seed, clock, command_of(arguments)),
        )
        folder = Path(run) / "squeeze" if out is None else Path(out)
        report.save(folder)
    if as_json:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        click.echo(json.dumps({"title": table.title, "rows": rows}, ensure_ascii=False))
    else:
        click.echo(f"{table.title}\n\n{table.markdown()}\n")
    print_place(folder, as_json=as_json)
    return 0
