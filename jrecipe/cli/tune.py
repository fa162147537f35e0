"""`jrecipe tune`."""

from __future__ import annotations

import os
from typing import Literal

import click

from jrecipe.cli import options
from jrecipe.cli.command_line import command_for, command_of
from jrecipe.cli.printing import print_place, print_report
from jrecipe.cli.progress import saying
from jrecipe.cli.run_folder import choose_folder, claimed
from jrecipe.cli.stop import INTERRUPTED, StopError, os_stop
from jrecipe.cli.target import user_code
from jrecipe.types import TaskError


@click.command(
    epilog=options.examples(
        "jrecipe tune digits --network mlp --trials 64",
        "jrecipe tune digits --trials 40 --workers 4 --storage runs/study.journal",
        "jrecipe tune my_task.py:make_task --out runs/tuned",
    )
)
@options.together(
    options.target,
    click.option(
        "--trials",
        type=click.IntRange(1),
        default=32,
        show_default=True,
        help="Sets of values to try, those before a --resume counted.",
    ),
    click.option(
        "--steps",
        type=click.IntRange(1),
        default=900,
        show_default=True,
        help="Updates of each trial.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Search by Optuna, with so many processes; a killed one's trial is taken over.",
    ),
    click.option(
        "--storage",
        metavar="FILE|URL",
        help="Search by Optuna, kept in a file, or in a database as sqlite:///study.db or "
        "postgresql://...; default DIR/study.journal.",
    ),
    click.option(
        "--by",
        type=click.Choice(["loss", "metric"]),
        default="loss",
        show_default=True,
        help="What counts on the validation split.",
    ),
    click.option("--no-stopping", is_flag=True, help="Train every trial to its end."),
    click.option(
        "--seeds",
        type=click.IntRange(2),
        default=5,
        show_default=True,
        help="Fresh seeds from which the best and the defaults are trained again.",
    ),
    options.network,
    options.out,
    options.resume,
    options.seed,
    options.column,
    options.data_dir,
    options.as_json,
    options.quiet,
    options.with_traceback,
    click.pass_obj,
)
def tune(
    arguments: tuple[str, ...],
    target: str,
    trials: int,
    steps: int,
    workers: int | None,
    storage: str | None,
    by: Literal["loss", "metric"],
    no_stopping: bool,
    seeds: int,
    network: str | None,
    out: str | None,
    resume: bool,
    seed: int,
    column: str | None,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Search for good values; the best is trained again from fresh seeds.

    TARGET is a data set as in `jrecipe check`, or file.py:make_task, a function (params) -> jr.Task
    beside a `space`. Without --workers and --storage the trials are points of a Sobol sequence,
    trained as one program and halved as they go; with them Optuna chooses each by those before.
    Writes trials.jsonl, best.json, report.html and report.json.
    """
    bayesian = workers is not None or storage is not None
    if not bayesian:  # members are shared by the cores; JAX reads this when it is imported
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count() or 1))
    folder = choose_folder("", out, resume) if out is not None else None
    with saying(quiet) as say:
        from jrecipe.cli.saving import save_run
        from jrecipe.cli.tuned import load_tuned
        from jrecipe.cli.tuning import Job
        from jrecipe.train import Clock

        say.briefly(f"Load {target}")
        tuned = load_tuned(target, seed, column, data_dir, network, steps)
        folder = choose_folder(tuned.name, out, resume) if folder is None else folder
        chosen = {"steps": steps, "by": by, "network": network, "target": column}
        record = {
            "kind": "tune",
            "status": "running",
            "command": command_for(arguments, folder),
            "place": tuned.place,
            "seed": seed,
            "options": {**chosen, "no_stopping": no_stopping, "bayesian": bayesian},
            "name": tuned.name,
        }
        again = command_for(arguments, folder, resume=True)
        with (
            claimed(folder, record, resume=resume),
            user_code(tuned.target),
            Clock() as clock,
        ):
            job = Job(
                tuned,
                trials=trials,
                steps=steps,
                seeds=seeds,
                seed=seed,
                by=by,
                stopping=not no_stopping,
                folder=folder,
                resume=resume,
                say=say,
                clock=clock,
            )
            try:
                if bayesian:
                    place = storage or str(folder / "study.journal")
                    found = job.bayesian(workers or 1, place, join=storage is not None)
                else:
                    found = job.population()
                report = job.report(found, command_of(arguments))
            except KeyboardInterrupt:
                raise StopError(f"{job.kept()}; go on with: {again}", INTERRUPTED) from None
            except TaskError as error:
                if not job.ended:
                    raise
                raise StopError(f"{error} {job.kept()}.") from error
            except OSError as error:
                raise StopError(f"{os_stop(error).message} Then run: {again}") from error
    save_run(folder, arguments, report=report, record={**record, "status": "done"}, lists=job.best)
    print_report(report, as_json=as_json, quiet=quiet)
    print_place(folder, as_json=as_json)
    return 0
