"""`jrecipe human`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import click

from jrecipe.cli import options
from jrecipe.cli.progress import saying
from jrecipe.cli.stop import StopError, os_stop
from jrecipe.cli.target import Target, load_target, user_code


@click.command(
    epilog=options.examples(
        "jrecipe human digits -n 50",
        "jrecipe human digits --score human-digits-val.json",
        "jrecipe cook digits --human human-digits-val.json",
    )
)
@options.together(
    options.target,
    click.option(
        "-n",
        "count",
        type=click.IntRange(1, 10_000),
        default=100,
        show_default=True,
        help="Examples on the page, drawn by chance.",
    ),
    click.option(
        "--split",
        type=click.Choice(["val", "test", "train"]),
        default="val",
        show_default=True,
        help="Of these examples; test, to label a test set twice.",
    ),
    click.option(
        "--score",
        "scored",
        type=click.Path(dir_okay=False),
        multiple=True,
        metavar="FILE",
        help="Score a person's answers; give it twice to compare two persons.",
    ),
    click.option(
        "--out",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="The page; default human-NAME-SPLIT.html here.",
    ),
    options.seed,
    options.column,
    options.data_dir,
    options.as_json,
    options.quiet,
    options.with_traceback,
)
def human(
    target: str,
    count: int,
    split: str,
    scored: tuple[str, ...],
    out: str | None,
    seed: int,
    column: str | None,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Ask a person: writes one page with examples, and scores the answers (B6).

    The page asks with keys or touch, keeps what was answered, and gives it as a file; it needs no
    network. With --score FILE the answers are compared with the recorded targets: accuracy with
    its interval, what is mistaken for what, and Cohen's kappa of each two persons.

    TARGET is as in `jrecipe check`, with one class for each example.
    """
    with saying(quiet) as say:
        say.briefly(f"Load {target}")
        loaded = load_target(target, seed=seed, column=column, data_dir=data_dir)
        task = _task_of(loaded)
        if scored:
            return _score(task, split, scored, as_json=as_json)
        from jrecipe.human import make_sheet, render

        texts = None if loaded.splits is None else loaded.splits.texts.get(split)
        with user_code(loaded):
            sheet = make_sheet(task, split=split, n=count, seed=seed, texts=texts)
        path = Path(out or f"human-{loaded.name}-{split}.html")
        try:
            path.write_text(render(sheet), encoding="utf-8")
        except OSError as error:
            raise StopError(os_stop(error).message) from error
    if as_json:
        click.echo(json.dumps({"page": str(path), "examples": len(sheet.rows), "split": split}))
        return 0
    if not quiet:
        click.echo(f"{len(sheet.rows)} examples of {split}, {len(sheet.class_names)} classes.")
        click.echo("Open the page, answer, download; then:")
        click.echo(f"  jrecipe human {target} --split {split} --score FILE")
    click.echo(f"Page: {path}")
    return 0


def _task_of(loaded: Target) -> Any:
    if loaded.splits is None:
        return loaded.task
    from jrecipe.recipe import build_task, suggest_plan

    return build_task(loaded.splits, suggest_plan(loaded.splits))


def _score(task: Any, split: str, files: tuple[str, ...], *, as_json: bool) -> int:
    """Scores files of answers, and compares each two."""
    from jrecipe.human import agreement, answers_for, class_names_of, score_answers, targets_of

    names = class_names_of(task, split)
    targets = targets_of(task, split)
    found = {file: answers_for(task, split, file, names) for file in files}
    scores = {file: score_answers(answers, targets, names) for file, answers in found.items()}
    pairs = {(a, b): agreement(found[a], found[b]) for a, b in itertools.combinations(found, 2)}
    if as_json:
        told = {
            "split": split,
            "persons": [
                {
                    "file": file,
                    "person": found[file].person,
                    "n": one.n,
                    "accuracy": one.accuracy,
                    "low": one.low,
                    "high": one.high,
                    "left_unanswered": one.skipped,
                    "median_seconds": one.seconds if one.seconds == one.seconds else None,
                    "confusion": one.confusion.tolist(),
                    "wrong_rows": one.wrong.tolist(),
                }
                for file, one in scores.items()
            ],
            "agreement": [
                {
                    "files": [a, b],
                    "n": pair.n,
                    "same": pair.same,
                    "kappa": pair.kappa if pair.kappa == pair.kappa else None,
                }
                for (a, b), pair in pairs.items()
            ],
            "classes": list(names),
        }
        click.echo(json.dumps(told, ensure_ascii=False))
        return 0
    for file, one in scores.items():
        click.echo(f"{found[file].person or file}: {one}")
    for (a, b), pair in pairs.items():
        click.echo(f"{found[a].person or a} and {found[b].person or b}: {pair}")
    return 0
