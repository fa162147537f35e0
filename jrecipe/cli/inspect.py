"""`jrecipe inspect`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from jrecipe.cli import options
from jrecipe.cli.command_line import command_of
from jrecipe.cli.printing import code_of, print_place, print_report
from jrecipe.cli.progress import saying
from jrecipe.cli.run_folder import refuse_run
from jrecipe.cli.target import load_target


@click.command(
    epilog=options.examples(
        "jrecipe inspect digits", "jrecipe inspect my_table.csv --target price --out looked"
    )
)
@options.together(
    options.target,
    options.ignore,
    options.seed,
    options.column,
    options.data_dir,
    options.out_report,
    click.option(
        "--quick", is_flag=True, help="Leave it at the checks, and look at no single example."
    ),
    click.option(
        "--rows",
        type=click.IntRange(min=1),
        default=20_000,
        show_default=True,
        help="Examples on the report's page, at the most.",
    ),
    options.as_json,
    options.quiet,
    options.with_traceback,
    click.pass_obj,
)
def inspect(
    arguments: tuple[str, ...],
    target: str,
    ignore: tuple[str, ...],
    seed: int,
    column: str | None,
    data_dir: str | None,
    out: str | None,
    quick: bool,
    rows: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Look at the data only: what repeats, is damaged, mislabelled, or too easy (A1 to A8).

    TARGET is as in `jrecipe check`; its network is not trained. The report's page has every
    example to search, filter and sort, and copies.csv and suspects.csv list what to look at.
    The exit code is 1 if a check failed.
    """
    if out is not None:
        refuse_run(out)
    with saying(quiet) as say:
        from jrecipe.cli.inspected import look
        from jrecipe.report import Section

        say.briefly(f"Load {target}")
        loaded = load_target(target, seed=seed, column=column, data_dir=data_dir, skip_damaged=True)
        splits = loaded.splits
        looked = look(
            loaded.task if splits is None else splits,
            seed=seed,
            ignore=ignore,
            command=command_of(arguments),
            progress=lambda entry: say(f"{entry.item} {entry.question}"),
            say=say,
            quick=quick,
        )
        report = looked.report
        sizes = ", ".join(f"{n} {name}" for name, n in report.facts["examples"].items())
        notes = () if splits is None else splits.notes
        section = Section(title="The data", text=(f"{report.task}: {sizes} examples.", *notes))
        report = dataclasses.replace(report, sections=(section, *report.sections))
    if not as_json and not quiet:
        for line in section.text:
            click.echo(line)
        click.echo()
    print_report(report, as_json=as_json, quiet=quiet)
    if out is not None:
        from jrecipe.cli.saving import save_run

        with saying(quiet) as say:
            say("A7 Write every example")
            explorer = looked.explorer(rows, seed)
        save_run(Path(out), arguments, report=report, explorer=explorer, lists=looked.lists)
        print_place(Path(out), as_json=as_json)
    return code_of(report)
