"""The options of `jrecipe fit`, in the order of its help."""

from __future__ import annotations

import click

from jrecipe.cli import options

_ending = options.together(
    click.option(
        "--steps",
        type=click.IntRange(1),
        help="Updates in all, those before a --resume counted; default 2000.",
    ),
    click.option(
        "--forever",
        is_flag=True,
        help="Train on without an end, until Ctrl-C, SIGTERM, --minutes or --patience.",
    ),
    click.option(
        "--minutes",
        type=click.FloatRange(0.0, min_open=True),
        help="End after so long, not counting what is before a --resume; without --steps nothing "
        "else ends it.",
    ),
    click.option(
        "--cooldown",
        type=click.IntRange(1),
        help="Let the learning rate fall to 0 over the last so many updates; with --resume and "
        "without --steps, over so many more.",
    ),
)
_layout = options.together(
    click.option(
        "--accumulate",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Pass each batch through the network in so many parts, to save memory.",
    ),
    click.option(
        "--devices",
        type=options.COUNT_OR_AUTO,
        default=1,
        show_default=True,
        metavar="N|auto",
        help="Share each batch between so many devices, or as many as are fastest in a short "
        "measurement; on a CPU they are virtual ones.",
    ),
    click.option(
        "--parallel",
        type=click.Choice(["jit", "pmap"]),
        default="jit",
        show_default=True,
        help="How devices share a batch: as one program on a mesh, or each with its own noise.",
    ),
    click.option(
        "--join",
        is_flag=True,
        help="Train together with other processes (`jrecipe launch`, SLURM, a TPU pod); needs "
        "--out, in a folder that all of them see.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        default="float32",
        show_default=True,
        help="What the network computes in; its weights are float32 in any case.",
    ),
    click.option(
        "--keep-memory",
        is_flag=True,
        help="Keep freed memory in the process: faster on a CPU with Linux, for more memory.",
    ),
)
_stopping = options.together(
    click.option(
        "--save-every",
        type=click.IntRange(1),
        help="Updates between two checkpoints; default a tenth of the run, or a minute where it "
        "has no end.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(1),
        help="Stop after so many evaluations in which the validation loss did not fall: ten in a "
        "run or, without an end, one per epoch.",
    ),
    click.option(
        "--on-nan",
        type=click.Choice(["stop", "skip"]),
        default="stop",
        show_default=True,
        help="What to do before an update that is not finite.",
    ),
)
every_option = options.together(
    options.target,
    _ending,
    options.out,
    options.resume,
    options.network,
    options.width,
    options.learning_rate,
    options.batch_size,
    _layout,
    _stopping,
    click.option(
        "--monitor", is_flag=True, help="Look at updates and predictions, and judge the run."
    ),
    options.seed,
    options.column,
    options.data_dir,
    options.as_json,
    options.quiet,
    options.with_traceback,
)
