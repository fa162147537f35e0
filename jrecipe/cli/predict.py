"""`jrecipe predict`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from jrecipe.cli import options
from jrecipe.cli.stop import StopError


@click.command(
    epilog=options.examples(
        "jrecipe predict runs/digits new.png",
        "jrecipe predict runs/my_table more.csv --json",
        "jrecipe predict runs/digits --split test",
        "jrecipe predict runs/reviews 'A film to remember.' more.txt",
    )
)
@options.together(
    click.argument("run", metavar="RUN"),
    click.argument("files", nargs=-1, metavar="[FILES]..."),
    click.option(
        "--split",
        type=click.Choice(["test", "val"]),
        help="Predict a split of the run's own data in place of FILES, with the true answers.",
    ),
    options.as_json,
    options.with_traceback,
)
def predict(run: str, files: tuple[str, ...], split: str | None, as_json: bool) -> int:
    """Use the best network of a run on new files.

    RUN is a folder that `jrecipe cook`, `fit` or `finetune` wrote. FILES are of the kind it was
    trained on: pictures or folders of them, .csv, .jsonl, .npy, .npz, or .txt with a text per line;
    for a fine-tuned network also texts themselves. Prints one line per example: name, answer
    (numbers in their own units), probability, with tabs between.
    """
    if bool(files) == (split is not None):
        given = f"{len(files)} FILES and --split {split}" if files else "no FILES and no --split"
        raise StopError(f"predict got {given}; give files, or --split test, and not both.")
    if (Path(run) / "finetuned.json").is_file():
        from jrecipe.cli.predict_text import predict_text

        return predict_text(run, files, split, as_json=as_json)
    from jrecipe.cli.answers import answers_of, text_of, truths_of
    from jrecipe.cli.restore import new_inputs, restore, split_inputs

    trained = restore(run)
    task, truths = trained.task, None
    if split is not None:
        inputs, targets, names = split_inputs(trained, split)
        truths = truths_of(task.loss, targets, task.class_names)
    else:
        inputs, names = new_inputs(trained, files)
    answers = answers_of(task.loss, trained.outputs(inputs), task.class_names, trained.scale)
    for row, (name, answer) in enumerate(zip(names, answers, strict=True)):
        truth = [] if truths is None else [truths[row]]
        if as_json:
            line = {"name": name, "answer": answer.value}
            if answer.probability is not None:
                line["probability"] = answer.probability
            if answer.probabilities:
                line["probabilities"] = answer.probabilities
            if truth:
                line["target"] = truth[0]
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            share = "" if answer.probability is None else f"{answer.probability:.4f}"
            true = [f"true: {text_of(value)}" for value in truth]
            click.echo("\t".join([name, answer.text, *([share] if share else []), *true]))
    return 0
