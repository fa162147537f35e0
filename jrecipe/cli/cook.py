"""`jrecipe cook`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jrecipe.cli import options
from jrecipe.cli.command_line import command_for
from jrecipe.cli.printing import code_of, print_place, print_report
from jrecipe.cli.progress import saying
from jrecipe.cli.run_folder import choose_folder, claimed
from jrecipe.cli.saving import save_run
from jrecipe.cli.stop import INTERRUPTED, StopError, os_stop
from jrecipe.cli.target import Target, load_target, user_code

if TYPE_CHECKING:
    from jrecipe.checks.context import Budget
    from jrecipe.recipe.cooked import Dinner
    from jrecipe.recipe.dish import Dish


@click.command(
    epilog=options.examples(
        "jrecipe cook digits",
        "jrecipe cook my_table.csv --target price --out runs/price",
        "jrecipe cook my_task.py:task --keep-going --ignore imbalance",
    )
)
@options.together(
    options.target,
    options.out,
    options.seed,
    click.option("--keep-going", is_flag=True, help="Pass gates that failed."),
    click.option(
        "--minutes",
        type=click.FloatRange(0.0, min_open=True),
        help="Wall time to divide among the stages; default: as much work as the data needs.",
    ),
    options.resume,
    click.option(
        "--human",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help='A person\'s answers on the validation split: {"rows": [0, 4], "labels": ["7", "2"]}.',
    ),
    options.budget,
    options.ignore,
    options.column,
    options.data_dir,
    options.as_json,
    options.quiet,
    options.with_traceback,
    click.pass_obj,
)
def cook(
    arguments: tuple[str, ...],
    target: str,
    out: str | None,
    seed: int,
    keep_going: bool,
    minutes: float | None,
    resume: bool,
    human: str | None,
    budget: Budget,
    ignore: tuple[str, ...],
    column: str | None,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Look at the data, check, overfit, regularise, tune, squeeze, and test once.

    TARGET is `digits`, a data set (tfds:NAME, a folder, a .csv, .jsonl or .npz file), or a task of
    your own as my_task.py:task. A stage with a failed check is a gate: it stops there with exit
    code 1. Writes report.html, report.json, history.jsonl, checkpoints, run.json, copies.csv and
    suspects.csv; and, as runs of their own, `ensemble` and `student`. Ctrl-C loses the stage that
    ran at most: --resume goes on there.
    """
    start = time.monotonic()
    folder = choose_folder("", out, resume) if out is not None else None
    with saying(quiet) as say:
        from jrecipe.cli.answered import ROWS, add_answers
        from jrecipe.cli.inspected import lists_of
        from jrecipe.cli.saving import no_storage_log
        from jrecipe.explore import fragment
        from jrecipe.recipe import cook as run
        from jrecipe.recipe import dish_of

        say.briefly(f"Load {target}")
        loaded = load_target(target, seed=seed, column=column, data_dir=data_dir)
        folder = choose_folder(loaded.name, out, resume) if folder is None else folder
        chosen = {"budget": budget, "target": column, "minutes": minutes}
        dish = dish_of(loaded.what)
        answers = None
        if human is not None:
            from jrecipe.human import answers_for

            read = answers_for(dish.task, "val", human, dish.task.class_names)
            answers = (read.rows, read.labels)
        command = command_for(arguments, folder)
        record = _record(command, loaded, dish, seed, chosen)
        again = command_for(arguments, folder, resume=True)
        if minutes is not None:  # what is loaded by now counts
            minutes = max(minutes - (time.monotonic() - start) / 60, 1e-3)
        with claimed(folder, record, resume=resume), user_code(loaded), no_storage_log():
            try:
                dinner = run(
                    loaded.what,
                    seed=seed,
                    keep_going=keep_going,
                    ignore=ignore,
                    budget=budget,
                    minutes=minutes,
                    out=folder,
                    resume=resume,
                    human=answers,
                    command=command,
                    show=say,
                    progress=False if quiet else None,
                )
            except KeyboardInterrupt:
                raise StopError(
                    f"only the stage that ran is lost; go on with: {again}", INTERRUPTED
                ) from None
            except OSError as error:
                raise StopError(f"{os_stop(error).message} Then run: {again}") from error
    print_report(dinner.report, as_json=as_json, quiet=quiet)
    record = _record(command, loaded, dinner.dish, seed, chosen)
    record["status"] = (
        "interrupted"
        if dinner.interrupted
        else f"stopped: {dinner.stopped}"
        if dinner.stopped
        else "done"
    )
    if dinner.report.test is not None:
        record["test"] = dict(dinner.report.test)
    trained = dinner.fit
    if trained is not None and trained.out is not None and not trained.unsaved:
        trained = None  # it is there already
    seen = dinner.survey
    save_run(
        folder,
        arguments,
        report=dinner.report,
        record=record,
        fit=trained,
        # After training the page shows the answers too, see `add_answers`.
        explorer=fragment(seen.examples, rows=ROWS) if seen and not dinner.fit else None,
        lists=lists_of(seen) if seen else {},
    )
    if dinner.interrupted:
        assert dinner.fit is not None
        raise StopError(f"saved after {dinner.fit.steps} updates; go on with: {again}", INTERRUPTED)
    _save_squeezed(folder, arguments, dinner, record)
    if dinner.fit is not None and not dinner.fit.problem:
        tested = dinner.report.test is not None
        add_answers(folder, arguments, dinner.report, dinner.fit, loaded, tested=tested)
    print_place(folder, as_json=as_json)
    return code_of(dinner.report)


def _save_squeezed(
    folder: Path, arguments: tuple[str, ...], dinner: Dinner, record: dict[str, Any]
) -> None:
    """Writes ensemble and student as runs of their own, for `jrecipe predict` and `export`."""
    from jrecipe.squeeze import save, student_fit

    if dinner.ensemble is not None:
        save(dinner.ensemble, folder / "ensemble" / "ensemble")
        members = {"kind": "ensemble", "members": len(dinner.ensemble)}
        save_run(folder / "ensemble", arguments, record=record | members)
    if dinner.student is not None:
        plain = student_fit(dinner.student, dinner.dish.task)
        save_run(folder / "student", arguments, record=record | {"kind": "fit"}, fit=plain)


def _record(
    command: str, loaded: Target, dish: Dish, seed: int, chosen: dict[str, Any]
) -> dict[str, Any]:
    from jrecipe.cli.saving import network_record, versions

    return {
        "kind": "cook",
        "status": "running",
        "command": command,
        "target": loaded.text,
        "place": loaded.place,
        "seed": seed,
        "options": chosen,
        "name": dish.task.name,
        "network": network_record(dish),
        "versions": versions(),
    }
