"""`jrecipe predict` with a fine-tuned network: texts, or files of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from jrecipe.cli.answers import text_of
from jrecipe.cli.printing import warnings_as_lines
from jrecipe.cli.run_folder import read_record
from jrecipe.finetune.kinds import Kind
from jrecipe.finetune.predictor import load_finetuned
from jrecipe.finetune.row_splits import read_splits
from jrecipe.finetune.rows import read_rows
from jrecipe.types import TaskError


def predict_text(run: str, given: Sequence[str], split: str | None, *, as_json: bool) -> int:
    """Prints the answer for each text.

    Args:
      run: the folder.
      given: texts, and files of rows (.csv, .tsv, .jsonl, ...) or of lines (.txt).
      split: of the run's own data in their place, or None.
      as_json: print an object per line.

    Raises:
      TaskError: naming the file or the text that does not fit.
    """
    predictor = load_finetuned(run)
    kind = predictor.kind
    named = _of_split(run, split) if split is not None else _of(given, kind)
    with warnings_as_lines():
        answers = predictor.answers([row for _, row in named])
    for (name, _), answer in zip(named, answers, strict=True):
        if as_json:
            click.echo(json.dumps({"name": name, **answer}, ensure_ascii=False))
        else:
            share = f"\t{answer['probability']:.4f}" if "probability" in answer else ""
            click.echo(f"{name}\t{text_of(answer['answer'])}{share}")
    return 0


def _of(given: Sequence[str], kind: Kind) -> list[tuple[str, Mapping[str, Any]]]:
    named: list[tuple[str, Mapping[str, Any]]] = []
    for item in given:
        path = Path(item)
        if len(item) > 255 or not path.is_file():
            if item.endswith((".txt", ".csv", ".tsv", ".jsonl", ".json", ".gz")):
                raise TaskError(f"{item} does not exist; give the path of a file, or a text.")
            named.append((" ".join(item.split())[:40], kind.row_of(item)))
        elif path.suffix == ".txt":
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [kind.row_of(line) for line in lines if line.strip()]
            named += [(f"{item}[{row}]", made) for row, made in enumerate(rows)]
        else:
            named += [(f"{item}[{row}]", made) for row, made in enumerate(read_rows(path))]
    return named


def _of_split(run: str, split: str) -> list[tuple[str, Mapping[str, Any]]]:
    record = read_record(run)
    splits = read_splits(record["place"], seed=record["seed"], data_dir=record.get("data_dir"))
    if split not in splits:
        raise TaskError(f"--split {split}: the data has none; there are {', '.join(splits)}.")
    return [(f"{split}[{row}]", made) for row, made in enumerate(splits[split])]
