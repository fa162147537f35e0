"""`jrecipe check`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jrecipe.cli import options
from jrecipe.cli.command_line import command_of
from jrecipe.cli.planned import plan_for
from jrecipe.cli.printing import code_of, print_place, print_report
from jrecipe.cli.progress import saying
from jrecipe.cli.run_folder import refuse_run
from jrecipe.cli.target import load_target, require_splits
from jrecipe.types import TaskError

if TYPE_CHECKING:
    from jrecipe.checks.context import Budget


@click.command(
    epilog=options.examples(
        "jrecipe check digits --network mlp",
        "jrecipe check my_task.py:task --only B4,B12",
        "jrecipe check my_table.csv --target price --out checked",
        "jrecipe check my_task.py:task --sarif jrecipe.sarif",
    )
)
@options.together(
    options.target,
    options.only,
    options.ignore,
    options.budget,
    options.network,
    options.seed,
    options.column,
    options.data_dir,
    options.out_report,
    options.sarif,
    options.as_json,
    options.quiet,
    options.with_traceback,
    click.pass_obj,
)
def check(
    arguments: tuple[str, ...],
    target: str,
    only: tuple[str, ...],
    ignore: tuple[str, ...],
    budget: Budget,
    network: str | None,
    seed: int,
    column: str | None,
    data_dir: str | None,
    out: str | None,
    sarif: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Check a task, or a data set with the plainest network for it.

    TARGET is `digits`, a data set (tfds:NAME, a folder, a .csv, .jsonl or .npz file), or a task of
    your own as my_task.py:task. The exit code is 1 if a check failed.
    """
    if out is not None:
        refuse_run(out)
    if sarif is not None and not os.access(Path(sarif).parent, os.W_OK):
        raise TaskError(
            f"--sarif {sarif}: the folder {Path(sarif).parent} is not there or cannot be written; "
            "name a file in another one."
        )
    with saying(quiet) as say:
        from jrecipe.cli.checking import known_checks
        from jrecipe.recipe import build_task
        from jrecipe.recipe import check as run
        from jrecipe.task import validate_values

        known_checks(only)
        say.briefly(f"Load {target}")
        loaded = load_target(target, seed=seed, column=column, data_dir=data_dir)
        require_splits(loaded, {"--network": network})
        if loaded.splits is not None:
            task = build_task(loaded.splits, plan_for(loaded.splits, network=network))
            validate_values(task)
        else:
            task = loaded.task
        report = run(
            task,
            seed=seed,
            only=only,
            ignore=ignore,
            budget=budget,
            command=command_of(arguments),
            progress=lambda entry: say(f"{entry.item} {entry.question}"),
        )
    print_report(report, as_json=as_json, quiet=quiet)
    if sarif is not None:
        from jrecipe.report.report import write_whole
        from jrecipe.report.sarif import to_sarif

        log = to_sarif(report, "" if loaded.file is None else relative(loaded.file))
        write_whole(Path(sarif), json.dumps(log, indent=2, allow_nan=False) + "\n")
    if out is not None:
        from jrecipe.cli.saving import save_run

        save_run(Path(out), arguments, report=report)
        print_place(Path(out), as_json=as_json)
    return code_of(report)


def relative(file: Path) -> str:
    """Returns a path relative to the working folder, whole where it lies outside of it."""
    path = os.path.relpath(file)
    return str(file.resolve()) if path.startswith("..") else Path(path).as_posix()
