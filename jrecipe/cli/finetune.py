"""`jrecipe finetune`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jrecipe.cli import options
from jrecipe.cli.command_line import command_for, command_of
from jrecipe.cli.printing import print_place, warnings_as_lines
from jrecipe.cli.progress import saying
from jrecipe.cli.run_folder import choose_folder, claimed
from jrecipe.cli.stop import INTERRUPTED, TERMINATED, StopError, os_stop
from jrecipe.types import TaskError

if TYPE_CHECKING:
    from jrecipe.finetune import FineTuned, Kind

_KINDS = ("classify", "tag", "answer", "similar", "summarise")
_STRATEGIES = ("full", "head", "freeze-first", "gradual", "discriminative", "lora", "auto")


def _existing(context: click.Context, parameter: click.Parameter, data: str) -> str:
    """Refuses the path of nothing; sets of TensorFlow Datasets are looked up later."""
    if not data.startswith("tfds:"):
        click.Path(exists=True).convert(data, parameter, context)
    return data


@click.command(
    epilog=options.examples(
        "jrecipe finetune classify reviews.csv --encoder weights/minilm",
        "jrecipe finetune tag my_folder --encoder weights/minilm --words tokens --tags tags",
        "jrecipe finetune classify reviews.csv --encoder weights/minilm --sweep",
        "jrecipe predict runs/reviews 'A film to remember.'",
    )
)
@options.together(
    click.argument("kind", type=click.Choice(_KINDS), metavar="TASK"),
    click.argument("data", metavar="DATA", callback=_existing),
    click.option(
        "--encoder",
        required=True,
        metavar="PATH",
        help="Folder of public weights, or hub:OWNER/NAME to fetch one.",
    ),
    options.out,
    options.resume,
    click.option(
        "--strategy",
        type=click.Choice(_STRATEGIES),
        default="full",
        show_default=True,
        help="Which parameters learn, and how.",
    ),
    click.option(
        "--learning-rate",
        type=click.FloatRange(0.0, min_open=True),
        help="The highest, by default that of the strategy; it rises for a tenth of the run and "
        "falls to 0.",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(1),
        default=3,
        show_default=True,
        help="Passes over the training rows.",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=32,
        show_default=True,
        help="Rows per update.",
    ),
    click.option(
        "--sweep",
        is_flag=True,
        help="Try several learning rates, batch sizes and epochs first, and take the best.",
    ),
    click.option(
        "--minutes",
        type=click.FloatRange(0.0, min_open=True),
        default=10.0,
        show_default=True,
        help="With --sweep: how long to try.",
    ),
    click.option("--text", metavar="NAME", help="Field of the text."),
    click.option("--second", metavar="NAME", help="Field of a second text."),
    click.option("--label", metavar="NAME", help="Field of the class, or number."),
    click.option("--words", metavar="NAME", help="Field of the words, for tag."),
    click.option("--tags", metavar="NAME", help="Field of their tags, for tag."),
    click.option("--summary", metavar="NAME", help="Field of the text to write, for summarise."),
    click.option("--prefix", help="For summarise: stands before each text, as 'summarize: '."),
    click.option(
        "--summary-length",
        type=click.IntRange(1),
        help="For summarise: most tokens of a text to write.",
    ),
    click.option("--beams", type=click.IntRange(1), help="For summarise: of the search."),
    click.option(
        "--length-penalty", type=float, help="For summarise: above 0 favours longer texts."
    ),
    click.option(
        "--no-repeat",
        type=click.IntRange(0),
        help="For summarise: tokens of the runs that are not written twice.",
    ),
    click.option("--high", type=float, help="For similar: the number of texts that are the same."),
    click.option("--no-crf", is_flag=True, help="For tag: decide word by word."),
    click.option("--max-length", type=click.IntRange(8), help="Most tokens of a text."),
    click.option(
        "--scratch", is_flag=True, help="Start from random weights, to see what they are worth."
    ),
    options.data_dir,
    options.seed,
    options.as_json,
    options.quiet,
    options.with_traceback,
    click.pass_obj,
)
def finetune(
    arguments: tuple[str, ...],
    kind: str,
    data: str,
    encoder: str,
    out: str | None,
    resume: bool,
    strategy: str,
    learning_rate: float | None,
    epochs: int,
    batch_size: int,
    sweep: bool,
    minutes: float,
    data_dir: str | None,
    seed: int,
    scratch: bool,
    as_json: bool,
    quiet: bool,
    **fields: Any,
) -> int:
    """Fine-tune BERT, or a T5, on texts.

    TASK is classify, tag, answer, similar, or summarise with a T5. DATA is a file (.csv, .tsv,
    .jsonl, CoNLL, SQuAD's .json, each also .gz), a folder with train.*, and dev.* and test.* if
    there are, or tfds:NAME or tfds:NAME:CONFIG. The run's folder predicts (`jrecipe predict`), and
    transformers reads its encoder, unless that is a T5 that copies.
    """
    chosen = _kind(kind, fields)
    is_tfds = data.startswith("tfds:")
    place = data if is_tfds else str(Path(data).resolve())
    name = (
        data[5:].replace(":", "-").replace("/", "-") if is_tfds else Path(place).name.split(".")[0]
    )
    folder = choose_folder(name, out, resume)
    from jrecipe import finetune as tools
    from jrecipe.train import keep_memory

    keep_memory()
    plan = tools.Plan(
        strategy=strategy,
        rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        scratch=scratch,
        seed=seed,
    )
    record = {
        "kind": "finetune",
        "status": "running",
        "command": command_for(arguments, folder),
        "place": place,
        "data_dir": data_dir,
        "seed": seed,
        "options": {
            "task": kind,
            "encoder": encoder,
            "sweep": sweep,
            **dataclasses.asdict(plan),
            **fields,
        },
        "name": name,
    }
    again = command_for(arguments, folder, resume=True)
    with saying(quiet) as say:
        say.briefly(f"Load {encoder}")
        found = tools.load_pretrained(encoder)
        say.briefly(f"Read {data}")
        splits = tools.read_splits(data, seed=seed, data_dir=data_dir)
        with claimed(folder, record, resume=resume), warnings_as_lines():
            try:
                tried = None
                if sweep:
                    tried = tools.sweep(
                        chosen,
                        found,
                        splits["train"],
                        splits["val"],
                        plan,
                        minutes=minutes,
                        say=say,
                    )
                    plan = tried.best
                say.briefly(f"Train {name}: {plan.epochs} epochs")
                tuned = tools.fine_tune(
                    chosen,
                    found,
                    splits["train"],
                    splits["val"],
                    plan,
                    out=folder,
                    resume=resume,
                    progress=False if quiet else None,
                )
            except KeyboardInterrupt:
                raise StopError(f"go on with: {again}", INTERRUPTED) from None
            except OSError as error:
                raise StopError(f"{os_stop(error).message} Then run: {again}") from error
    if tuned.fit.interrupted:
        code = TERMINATED if tuned.fit.signal == "SIGTERM" else INTERRUPTED
        raise StopError(f"saved after {tuned.fit.steps} updates; go on with: {again}", code)
    return _finish(tuned, splits, tried, folder, record, command_of(arguments), as_json, quiet)


def _kind(name: str, fields: dict[str, Any]) -> Kind:
    """Returns the task with the options that were given, or says which one it does not have."""
    from jrecipe.finetune.kinds import KINDS

    made: Any = KINDS[name]
    known = {field.name for field in dataclasses.fields(made)}
    given = {
        key: value for key, value in fields.items() if value is not None and value is not False
    }
    if given.pop("no_crf", False):
        given["crf"] = False
    for key in given:
        if key not in known:
            called = "--no-crf" if key == "crf" else f"--{key.replace('_', '-')}"
            raise TaskError(f"{called} has no meaning for the task {name}; leave it out.")
    kind: Kind = made(**given)
    return kind


def _finish(
    tuned: FineTuned,
    splits: dict[str, Any],
    tried: Any,
    folder: Path,
    record: dict[str, Any],
    command: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Tests, writes the folder and its report, and prints what came out."""
    from jrecipe.cli.finetune_report import report_of
    from jrecipe.cli.run_folder import write_record

    kind, predictor = tuned.predictor.kind, tuned.predictor
    test, said = None, {"training": tuned.train.notes, "validation": tuned.val.notes}
    if "test" in splits:
        labels = predictor.labels or None
        data = kind.read(splits["test"], predictor.tokenizer, labels)
        test, said["test"] = predictor.score(data), data.notes
    for split, notes in said.items():
        for note in notes:
            click.echo(f"{split}: {note}", err=True)
    numbers: dict[str, Any] = {"measure": kind.measure, "val": tuned.headline}
    if test is not None:
        numbers["test"] = kind.headline(test)
    report = report_of(tuned, test, tried, command, said)
    try:
        predictor.save(folder, {"scores": numbers})
        report.save(folder)
        write_record(folder, {**record, "status": "done", "scores": numbers})
    except OSError as error:
        raise StopError(os_stop(error).message) from error
    if as_json:
        click.echo(json.dumps({**numbers, "folder": str(folder), "kept": tuned.kept}))
        return 0
    if not quiet:
        for finding in report.findings:
            if finding.remedy:
                click.echo(str(finding))
        click.echo(str(tuned.fit))
    click.echo(f"validation: {tuned.scores}")
    if test is not None:
        click.echo(f"test: {test}")
    print_place(folder, as_json=as_json)
    return 0
