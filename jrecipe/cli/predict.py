"""`jrecipe predict`."""

from __future__ import annotations

from pathlib import Path

import click

from jrecipe.cli import options
from jrecipe.cli.stop import StopError


@click.command(
    epilog=options.examples(
        "jrecipe predict runs/digits new.png",
        "jrecipe predict runs/my_table more.csv --json",
        "jrecipe predict runs/digits --split test",
        "jrecipe predict runs/digits/onnx new.png",
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

    RUN is a folder that `jrecipe cook`, `fit`, `finetune` or `export` wrote. FILES are of the kind
    it was trained on: pictures or folders of them, .csv, .jsonl, .npy, .npz, or .txt with a text
    per line; for a fine-tuned network also texts themselves. Prints one line per example: name,
    answer (numbers in their own units), probability, with tabs between.
    """
    if bool(files) == (split is not None):
        given = f"{len(files)} FILES and --split {split}" if files else "no FILES and no --split"
        raise StopError(f"predict got {given}; give files, or --split test, and not both.")
    if (Path(run) / "finetuned.json").is_file():
        from jrecipe.cli.predict_text import predict_text

        return predict_text(run, files, split, as_json=as_json)
    if (Path(run) / "exported.json").is_file():
        from jrecipe.cli.predict_exported import predict_exported

        return predict_exported(run, files, split, as_json=as_json)
    import numpy as np

    from jrecipe.cli.answers import answer_lines, answers_of, truths_of
    from jrecipe.cli.new_inputs import new_inputs
    from jrecipe.cli.restore import restore, split_inputs

    trained = restore(run)
    task, truths = trained.task, None
    if split is not None:
        inputs, targets, names = split_inputs(trained, split)
        truths = truths_of(task.loss, targets, task.class_names)
    else:
        inputs, names = new_inputs(files, trained.encoder, task.train.take(np.arange(1))[0])
    answers = answers_of(task.loss, trained.outputs(inputs), task.class_names, trained.scale)
    for line in answer_lines(names, answers, truths, as_json=as_json):
        click.echo(line)
    return 0
