"""A fine-tuned network with all it needs to answer for new texts, and its folder (J9)."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jrecipe.finetune.folder import write_encoder
from jrecipe.finetune.kinds import KINDS, Kind
from jrecipe.finetune.load import PretrainedText, load_pretrained
from jrecipe.finetune.row_outputs import row_outputs
from jrecipe.finetune.rows import Row, TextRows, as_rows
from jrecipe.finetune.t5_folder import write_t5
from jrecipe.finetune.text_data import TextData, TextWarning
from jrecipe.finetune.tokenizer import TextTokenizer, read_tokenizer
from jrecipe.models.t5 import T5
from jrecipe.models.weights import fill, read_arrays
from jrecipe.types import PyTree, TaskError

RECORD = "finetuned.json"
HEAD = "head.safetensors"
SCHEMA = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A network for texts, fine-tuned, with its tokenizer and the names of its answers.

    Attributes:
      kind: of the task, with its options.
      labels: names of the classes or tags, in order; empty where there are none.
      network: encoder and head.
      params: its parameters, `encoder/...` and others.
      tokenizer: of the encoder.
      found: the pre-trained network it was tuned from.
    """

    kind: Kind
    labels: tuple[str, ...]
    network: nn.Module
    params: PyTree
    tokenizer: TextTokenizer
    found: PretrainedText

    def answers(self, rows: TextRows | Sequence[Row]) -> list[dict[str, Any]]:
        """Returns an answer for each row, without looking at what is right (J9).

        Args:
          rows: with the fields that the task reads; those of the right answers may be missing.

        Returns:
          Dicts with "answer", and with "probability" and "probabilities" where there are classes.

        Warns:
          TextWarning: if texts were cut or are empty, with how many.
        """
        blank = [self.kind.blank(row, self.labels) for row in rows]
        data = self.kind.read(as_rows(blank), self.tokenizer, self.labels or None)
        if data.truncated or data.empty:
            warnings.warn(" ".join(data.notes), TextWarning, stacklevel=2)
        return self.kind.answers(self.decided(data), data, self.tokenizer)

    def score(self, data: TextData, *, batch_size: int = 64) -> Any:
        """Returns the scores on rows with right answers; see the function of the kind."""
        decided = self.decided(data, batch_size=batch_size)
        return self.kind.score(self.kind.answers(decided, data, self.tokenizer), data)

    def decided(self, data: TextData, *, batch_size: int = 64) -> list[PyTree]:
        """Returns what the answers are made of, for each row of the source."""
        predict = functools.partial(self._compiled, self.params)
        return row_outputs(predict, data.source, batch_size=batch_size)

    @functools.cached_property
    def _compiled(self) -> Callable[[PyTree, PyTree], PyTree]:
        def decided(params: PyTree, inputs: PyTree) -> PyTree:
            return self.kind.run(self.network, params, inputs, self.labels)

        return jax.jit(decided)

    def save(self, folder: str | Path, numbers: Mapping[str, Any] | None = None) -> None:
        """Writes one folder that predicts: weights, tokenizer, configuration, names (J9).

        `config.json`, `model.safetensors` and the tokenizer are the encoder's, as transformers
        reads them; `head.safetensors` and `finetuned.json` are the rest. The latter is written
        last, so that a folder without it is not finished.

        Args:
          folder: made if it is not there.
          numbers: what else `finetuned.json` keeps, such as scores; JSON values.

        Raises:
          TaskError: if safetensors is missing.
          OSError: if a file cannot be written.
        """
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        for name, path in self.found.tokenizer_files.items():
            if path.resolve() != (folder / name).resolve():
                shutil.copyfile(path, folder / name)
        rest: dict[str, PyTree] = {}
        if isinstance(self.found.module, T5):
            write_t5(folder, self.found.module, self.params)
        else:
            encoder = self.params["encoder"]
            write_encoder(folder, self.found.module, encoder, config=self.found.config)
            rest = {name: part for name, part in self.params.items() if name != "encoder"}
        arrays = {
            jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(rest)
        }
        save_file(arrays, folder / f"{HEAD}.new")
        os.replace(folder / f"{HEAD}.new", folder / HEAD)
        kind: Any = self.kind
        options = dataclasses.asdict(kind)
        record = {
            "schema": SCHEMA,
            "kind": self.kind.name,
            "options": options,
            "labels": list(self.labels),
            **(numbers or {}),
        }
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{RECORD}.new").write_text(text, encoding="utf-8")
        os.replace(folder / f"{RECORD}.new", folder / RECORD)


def is_finetuned(folder: str | Path) -> bool:
    """Says whether a folder is one that `Predictor.save` wrote."""
    return (Path(folder) / RECORD).is_file()


def load_finetuned(folder: str | Path) -> Predictor:
    """Loads a folder that `Predictor.save` wrote.

    Raises:
      TaskError: if it is none, was written by another version, or a file of it is damaged.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise TaskError(
            f"{folder} has no {RECORD}; give a folder that `jrecipe finetune` wrote to the end."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskError(f"{path} is damaged ({error}); fine-tune again.") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise TaskError(
            f"{path} was not written by this version of jrecipe (schema {SCHEMA} is needed); "
            "fine-tune again."
        )
    try:
        kind: Any = KINDS[record["kind"]](**record["options"])
        labels = tuple(record["labels"])
    except (KeyError, TypeError) as error:
        raise TaskError(f"{path} lacks or misnames {error}; fine-tune again.") from error
    found = load_pretrained(folder)
    network = kind.network(found.module, labels)
    if isinstance(found.module, T5):
        return Predictor(kind, labels, network, found.params, read_tokenizer(found), found)
    text = kind.example()
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), text))["params"]
    rest = {name: part for name, part in shapes.items() if name != "encoder"}
    arrays = read_arrays(Path(folder) / HEAD) if rest else {}
    head = fill(rest, arrays, name_of="/".join, turn=np.asarray, where=str(Path(folder) / HEAD))
    params = {"encoder": found.params, **head}
    return Predictor(kind, labels, network, params, read_tokenizer(found), found)
