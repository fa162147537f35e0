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
    as_json: bool,
    quiet: bool,
) -> int:
    """Look at the data only: duplicates, corrupt examples, balance (A1 to A3).

    TARGET is as in `jrecipe check`; nothing is trained. The exit code is 1 if a check failed.
    """
    if out is not None:
        refuse_run(out)
    with saying(quiet) as say:
        from jrecipe.cli.inspected import look
        from jrecipe.report import Section

        say.briefly(f"Load {target}")
        loaded = load_target(target, seed=seed, column=column, data_dir=data_dir, skip_damaged=True)
        splits = loaded.splits
        report = look(
            loaded.task if splits is None else splits,
            seed=seed,
            ignore=ignore,
            command=command_of(arguments),
            progress=lambda entry: say(f"{entry.item} {entry.question}"),
        )
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

        save_run(Path(out), arguments, report=report)
        print_place(Path(out), as_json=as_json)
    return code_of(report)
