"""`jrecipe fit`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from jrecipe.cli import fit_options, options
from jrecipe.cli.command_line import command_for, command_of
from jrecipe.cli.planned import dish_for
from jrecipe.cli.printing import code_of, print_place, warnings_as_lines
from jrecipe.cli.progress import saying
from jrecipe.cli.run_folder import choose_folder, claimed
from jrecipe.cli.stop import INTERRUPTED, TERMINATED, StopError, os_stop
from jrecipe.cli.target import Target, load_target, user_code
from jrecipe.types import TaskError

if TYPE_CHECKING:
    from jrecipe.recipe.dish import Dish
    from jrecipe.task import Task
    from jrecipe.train import Fit

_STEPS = 2_000  # updates, where nothing else is said
_COOLDOWN = 100  # updates of one that is proposed, at least
_TRIED = 8  # virtual devices of a CPU with --devices auto


@click.command(
    epilog=options.examples(
        "jrecipe fit digits --steps 500 --network mlp",
        "jrecipe fit my_task.py:task --out runs/first",
        "jrecipe fit my_task.py:task --out runs/first --resume --steps 4000",
        "jrecipe fit my_task.py:task --out runs/long --forever",
        "jrecipe fit my_task.py:task --out runs/long --resume --cooldown 1000",
    )
)
@fit_options.every_option
@click.pass_obj
def fit(
    arguments: tuple[str, ...],
    target: str,
    steps: int | None,
    forever: bool,
    minutes: float | None,
    cooldown: int | None,
    out: str | None,
    resume: bool,
    network: str | None,
    width: int | None,
    learning_rate: float | None,
    batch_size: int | None,
    accumulate: int,
    devices: int | Literal["auto"],
    parallel: Literal["jit", "pmap"],
    join: bool,
    precision: Literal["float32", "bfloat16"],
    keep_memory: bool,
    save_every: int | None,
    patience: int | None,
    on_nan: Literal["stop", "skip"],
    monitor: bool,
    seed: int,
    column: str | None,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train only, without checks; Ctrl-C and SIGTERM save and say how to go on.

    TARGET is as in `jrecipe check`. Writes checkpoints, history.jsonl, report.html, report.json and
    run.json into the run's folder.
    """
    _require_one_end(steps, forever, cooldown)
    _virtual_devices(devices)
    writes = _joined(out) if join else True
    folder = None if out is None else choose_folder("", out, resume) if writes else Path(out)
    with saying(quiet or not writes) as say:
        from jrecipe import train
        from jrecipe.cli.answered import add_answers
        from jrecipe.cli.saving import no_storage_log, save_run
        from jrecipe.recipe.stages import can_be_saved

        if keep_memory and not train.keep_memory():
            say("--keep-memory changes nothing here: it needs glibc, as on most Linux")
        say.briefly(f"Load {target}")
        loaded = load_target(target, seed=seed, column=column, data_dir=data_dir)
        folder = choose_folder(loaded.name, out, resume) if folder is None else folder
        done = _updates_in(folder) if resume else 0
        if steps is None and resume and cooldown is not None:
            steps = done + cooldown
        elif steps is None and (cooldown is not None or not (forever or minutes)):
            steps = _STEPS
        chosen = {
            "network": network,
            "width": width,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
        }
        dish = dish_for(loaded, chosen)
        task = _in_precision(dish.task, precision)
        how: dict[str, Any] = {
            "steps": steps,
            "seed": seed,
            "resume": resume,
            "monitor": monitor,
            "accumulate": accumulate,
            "devices": None if join else devices,
            "parallel": parallel,
            "save_every": save_every,
            "patience": patience,
            "on_nan": on_nan,
            "minutes": minutes,
            "cooldown": cooldown or 0,
        }
        if not writes:
            result = train.fit(task, out=folder, progress=False, **how)
            return _code_of_signal(result) if result.interrupted else 0
        chosen |= {"target": column, "precision": precision}
        record = _record(arguments, loaded, dish, folder, seed, chosen)
        _require_more(steps, done, folder)
        # A cooldown that is interrupted goes on to the end that it began with.
        ending = () if cooldown is None else ("--steps", str(steps), "--cooldown", str(cooldown))
        again = command_for(arguments, folder, resume=True, ending=ending)
        with (
            claimed(folder, record, resume=resume),
            user_code(loaded),
            no_storage_log(),
            warnings_as_lines(),
            train.Clock() as clock,
        ):
            until = "without an end" if steps is None else f"{steps} updates"
            say.briefly(f"Train {dish.task.name}: {until}")
            try:
                result = train.fit(
                    task,
                    out=folder if resume or can_be_saved(task, seed) else None,
                    progress=False if quiet else None,
                    **how,
                )
            except KeyboardInterrupt:
                raise StopError(
                    f"this part of the training is lost; go on with: {again}", INTERRUPTED
                ) from None
            except OSError as error:
                raise StopError(f"{os_stop(error).message} Then run: {again}") from error
    from jrecipe.cli.fit_report import print_result, report_of

    cooling = "" if steps is not None else _cooling_command(arguments, folder, result)
    report = report_of(dish, result, seed, clock, command_of(arguments), cooling)
    if monitor and not result.problem:
        from jrecipe.recipe import check_fit

        checked = check_fit(result)
        sections = (*report.sections, *checked.sections[1:])  # its first is the training too
        report = dataclasses.replace(report, findings=checked.findings, sections=sections)
    print_result(report, result, as_json=as_json, quiet=quiet)
    record |= {"status": "interrupted" if result.interrupted else "done", "steps": result.steps}
    saved = result.out is not None and not result.unsaved
    save_run(folder, arguments, report=report, record=record, fit=None if saved else result)
    if result.interrupted:
        whole = "" if steps is None else f" of {steps}"
        said = f"saved after {result.steps}{whole} updates; go on with: {again}"
        raise StopError(said, _code_of_signal(result))
    if not result.problem:
        add_answers(folder, arguments, report, result, loaded)
    print_place(folder, as_json=as_json)
    return code_of(report)


def _virtual_devices(devices: int | Literal["auto"]) -> None:
    """Lets JAX have so many devices on a CPU; it reads this when it is imported."""
    count = _TRIED if devices == "auto" else devices
    if count > 1:
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(count))


def _joined(out: str | None) -> bool:
    """Joins the other processes; returns whether this one writes the run's folder."""
    if out is None:
        raise TaskError("--join needs --out DIR: a folder that all processes see, as runs/two.")
    from jrecipe.train.processes import first_process, join_processes

    join_processes()
    return first_process()


def _in_precision(task: Task, precision: Literal["float32", "bfloat16"]) -> Task:
    """Returns the task with its network computing in another precision."""
    if precision == "float32":
        return task
    if task.model is None or task.trainer is not None:
        raise TaskError(
            f"--precision is {precision}, but the task has a trainer of its own, which decides "
            "that by itself; leave --precision out."
        )
    from jrecipe.models import in_precision

    return task.replace(model=in_precision(task.model, precision))


def _code_of_signal(result: Fit) -> int:
    return TERMINATED if result.signal == "SIGTERM" else INTERRUPTED


def _record(
    arguments: tuple[str, ...],
    loaded: Target,
    dish: Dish,
    folder: Path,
    seed: int,
    chosen: dict[str, Any],
) -> dict[str, Any]:
    from jrecipe.cli.saving import network_record, versions

    return {
        "kind": "fit",
        "status": "running",
        "command": command_for(arguments, folder),
        "target": loaded.text,
        "place": loaded.place,
        "seed": seed,
        "options": chosen,
        "name": dish.task.name,
        "network": network_record(dish),
        "versions": versions(),
    }


def _require_one_end(steps: int | None, forever: bool, cooldown: int | None) -> None:
    """Refuses options that contradict one another, before anything is loaded."""
    if forever and steps is not None:
        raise TaskError(f"--forever has no end, but --steps is {steps}; leave one of them out.")
    if forever and cooldown is not None:
        raise TaskError(
            f"--cooldown {cooldown} is the end of a run, and --forever has none; press Ctrl-C when "
            f"it is time, then: --resume --cooldown {cooldown}."
        )
    if steps is not None and cooldown is not None and cooldown > steps:
        raise TaskError(
            f"--cooldown {cooldown} is longer than the run, whose --steps are {steps}; give at "
            "most as many."
        )


def _updates_in(folder: Path) -> int:
    """Returns how many updates the run in a folder has saved."""
    from jrecipe.train import checkpoint_steps

    return max(checkpoint_steps(folder / "checkpoints"), default=0)


def _require_more(steps: int | None, done: int, folder: Path) -> None:
    if steps is not None and done > steps:
        raise TaskError(
            f"--steps is {steps}, but the run in {folder} has {done} updates already; give more, "
            "or name another folder."
        )


def _cooling_command(arguments: tuple[str, ...], folder: Path, result: Fit) -> str:
    """Returns the command that lets the rate of a run without an end fall, "" if it cannot."""
    from jrecipe.train.cooldown import coolable

    updates = max(_COOLDOWN, result.steps // 10)
    if result.problem or not coolable(result.task, result.state):
        return ""
    return command_for(arguments, folder, resume=True, ending=("--cooldown", str(updates)))
