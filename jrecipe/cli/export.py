"""`jrecipe export`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from jrecipe.cli import options
from jrecipe.cli.progress import saying

ROWS = 1_000  # examples that are compared


@click.command(
    epilog=options.examples(
        "jrecipe export runs/digits --to onnx",
        "jrecipe export runs/digits --to stablehlo --int8 --out small",
        "jrecipe predict runs/digits/onnx new.png",
    )
)
@options.together(
    click.argument("run", metavar="RUN"),
    click.option(
        "--to",
        type=click.Choice(["stablehlo", "onnx", "safetensors"]),
        required=True,
        help="A program for JAX, a graph for onnxruntime, or the weights alone.",
    ),
    click.option(
        "--out",
        type=click.Path(file_okay=False),
        metavar="DIR",
        help="The folder to make; default RUN/FORMAT.",
    ),
    click.option("--int8", is_flag=True, help="With weights in 8 bits, a quarter of the size."),
    click.option(
        "--inputs",
        multiple=True,
        metavar="FILE",
        help="Compare on the examples of these files, in place of the run's own data.",
    ),
    options.as_json,
    options.quiet,
    options.with_traceback,
)
def export(
    run: str,
    to: str,
    out: str | None,
    int8: bool,
    inputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Write the best network of a run as a folder that predicts without its code.

    RUN is a folder that `jrecipe cook` or `fit` wrote. The file is read back and compared with the
    network on up to 1,000 examples of its test split, or of --inputs; if an output differs by more
    than 1e-4, nothing is written. `jrecipe predict DIR FILES` then answers as with RUN. Needs the
    extra `export`, and `onnx` for that format.
    """
    with saying(quiet) as say:
        from jrecipe.cli.exporting import (
            examples_of,
            meaning_of_run,
            network_of_run,
            refuse_texts,
        )
        from jrecipe.cli.restore import restore
        from jrecipe.squeeze.export import export as write
        from jrecipe.squeeze.quantise import quantise

        folder = Path(run) / (f"{to}-int8" if int8 else to) if out is None else Path(out)
        refuse_texts(run)
        say.briefly(f"Load {run}")
        trained = restore(run)
        network = network_of_run(trained, run)
        if int8:
            network = quantise(network)
        given, where = examples_of(trained, inputs, ROWS)
        say.briefly(f"Write {to} and compare")
        exported = write(
            network,
            folder,
            to=to,
            inputs=given,
            meaning=meaning_of_run(trained),
            run={name: trained.record.get(name) for name in ("network", "name", "place", "seed")},
        )
    checked, size = exported.record["checked"], exported.record["bytes"]
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "format": to, "bytes": size, **checked}))
    else:
        click.echo(
            f"{folder}: {size:,} bytes; outputs within {checked['largest_difference']:.2g} of the "
            f"network's on {checked['examples']} examples of {where}"
        )
    return 0
