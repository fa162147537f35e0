"""`jrecipe ensemble`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jrecipe.cli import options
from jrecipe.cli.command_line import command_for, command_of
from jrecipe.cli.planned import dish_for
from jrecipe.cli.printing import code_of, print_place, print_report, print_table, warnings_as_lines
from jrecipe.cli.progress import saying
from jrecipe.cli.run_folder import choose_folder, claimed
from jrecipe.cli.stop import INTERRUPTED, StopError
from jrecipe.cli.target import load_target, user_code
from jrecipe.types import TaskError

if TYPE_CHECKING:
    from jrecipe.squeeze import TaskNetwork


@click.command(
    epilog=options.examples(
        "jrecipe ensemble digits --members 5 --steps 500",
        "jrecipe ensemble my_task.py:task --distil --out runs/five",
        "jrecipe predict runs/five new.png",
        "jrecipe predict runs/five/student new.png",
    )
)
@options.together(
    options.target,
    click.option(
        "--members", type=click.IntRange(2), default=5, show_default=True, help="Networks."
    ),
    click.option(
        "--steps",
        type=click.IntRange(1),
        default=2_000,
        show_default=True,
        help="Updates of each network.",
    ),
    click.option(
        "--shared",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Updates that are made once for all; then their weights are averaged too (a soup).",
    ),
    click.option(
        "--distil", is_flag=True, help="Also train one network on what the ensemble answers."
    ),
    click.option(
        "--temperature",
        type=click.FloatRange(0.0, min_open=True),
        help="Of --distil, by which logits are divided; default 4.",
    ),
    click.option(
        "--hard",
        type=click.FloatRange(0.0, 1.0),
        help="Share of the labels in the loss of --distil; default 0.1.",
    ),
    options.out,
    options.network,
    options.width,
    options.learning_rate,
    options.batch_size,
    options.seed,
    options.column,
    options.data_dir,
    options.as_json,
    options.quiet,
    options.with_traceback,
    click.pass_obj,
)
def ensemble(
    arguments: tuple[str, ...],
    target: str,
    members: int,
    steps: int,
    shared: int,
    distil: bool,
    temperature: float | None,
    hard: float | None,
    out: str | None,
    network: str | None,
    width: int | None,
    learning_rate: float | None,
    batch_size: int | None,
    seed: int,
    column: str | None,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train several networks and average their probabilities.

    TARGET is as in `jrecipe check`. Writes the ensemble, report.html, report.json and run.json
    into the run's folder, and with --distil the student as a run of its own, DIR/student. The
    report says what each way gained, with its interval and its cost; the test split is read once,
    for that.
    """
    for option, value in (("--temperature", temperature), ("--hard", hard)):
        if value is not None and not distil:
            raise TaskError(f"{option} is {value}, but nothing is distilled; add --distil.")
    if shared >= steps:
        raise TaskError(f"--shared is {shared} of --steps {steps}; give less, as {steps // 2}.")
    folder = choose_folder("", out, False) if out is not None else None
    with saying(quiet) as say:
        from jrecipe import squeeze, train
        from jrecipe.cli.saving import network_record, no_storage_log, save_run, versions
        from jrecipe.recipe.checked import facts
        from jrecipe.report import Report
        from jrecipe.squeeze.ensemble_report import section_of, ways_of

        say.briefly(f"Load {target}")
        loaded = load_target(target, seed=seed, column=column, data_dir=data_dir)
        chosen = {
            "network": network,
            "width": width,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
        }
        dish = dish_for(loaded, chosen)
        task = dish.task
        folder = choose_folder(loaded.name, out, False) if folder is None else folder
        record: dict[str, Any] = {
            "kind": "ensemble",
            "status": "running",
            "command": command_for(arguments, folder),
            "target": loaded.text,
            "place": loaded.place,
            "seed": seed,
            "options": chosen | {"target": column},
            "name": task.name,
            "network": network_record(dish),
            "versions": versions(),
        }
        with (
            claimed(folder, record, resume=False),
            user_code(loaded),
            no_storage_log(),
            warnings_as_lines(),
            train.Clock() as clock,
        ):
            try:
                say(f"{members} networks of {task.name}: {steps} updates each")
                found = squeeze.ensemble(task, members, steps, seed=seed, shared=shared)
                others: list[tuple[str, TaskNetwork, float | None]] = []
                if shared:
                    soup = squeeze.greedy_soup(found)
                    others.append((f"greedy soup of {len(soup.kept)}", soup, None))
                student = None
                if distil:
                    say(f"A student of the ensemble: {steps} updates")
                    how = {"temperature": temperature, "hard": hard}
                    given = {name: value for name, value in how.items() if value is not None}
                    taught = squeeze.distil(found, task, **given)
                    student = train.fit(taught, steps, seed=seed + members, progress=False)
                    if student.signal:
                        raise KeyboardInterrupt
                    if student.problem:
                        raise TaskError(f"--distil: {student.problem}.")
                    own = squeeze.student_of(student, task)
                    others.append(("student of the ensemble", own, student.seconds))
                split = "test" if task.test is not None else "val"
                ways = ways_of(found, split, others)
            except KeyboardInterrupt:
                again = command_for(arguments, folder)
                (folder / "run.json").unlink(missing_ok=True)
                raise StopError(
                    f"nothing was kept; start again with: {again}", INTERRUPTED
                ) from None
            squeeze.save(found, folder / "ensemble")
    joint = ways[2].evaluations[0]
    section = section_of(task, ways, split, found.temperature)
    test = {"loss": joint.loss, "n": joint.n}
    if task.metric is not None:
        test[getattr(task.metric, "__name__", "metric")] = joint.metric
    report = Report(
        task=task.name,
        findings=(squeeze.judge_ensemble(task, ways, split),),
        sections=(section,),
        facts=facts(task, seed, clock, command_of(arguments))
        | {"network": dish.size, "members": members, "steps": steps},
        test=test if split == "test" else None,
    )
    record |= {"status": "done", "steps": steps, "members": members}
    save_run(folder, arguments, report=report, record=record)
    if student is not None:
        own_record = record | {"kind": "fit", "command": command_for(arguments, folder)}
        plain = squeeze.student_fit(student, task)
        save_run(folder / "student", arguments, record=own_record, fit=plain)
    if as_json:
        print_report(report, as_json=True, quiet=quiet)
    else:
        assert section.table is not None
        print_table(section.table.columns, section.table.rows)
    print_place(folder, as_json=as_json)
    return code_of(report)
