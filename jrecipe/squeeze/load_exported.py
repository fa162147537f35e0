"""Exported networks, read again without their code (J9)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jrecipe.squeeze.export_meaning import Meaning
from jrecipe.squeeze.export_shapes import fitted
from jrecipe.squeeze.network import Network, in_rows
from jrecipe.types import PyTree, TaskError

RECORD = "exported.json"
SCHEMA = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Exported:
    """A network that was exported.

    Attributes:
      folder: where it is.
      record: what `exported.json` says.
      meaning: how raw files are encoded and what the outputs are.
      run: `inputs -> outputs`, for a batch of any size.
    """

    folder: Path
    record: Mapping[str, Any]
    meaning: Meaning
    run: Callable[[PyTree], PyTree]

    def outputs(self, inputs: PyTree) -> PyTree:
        """Returns the outputs for encoded inputs [n, ...], as NumPy arrays.

        Raises:
          TaskError: if they are not what the network takes.
        """
        return in_rows(self.run, fitted(inputs, self.record["inputs"], str(self.folder)))


def is_exported(folder: str | Path) -> bool:
    """Says whether a folder is one that `export` wrote."""
    return (Path(folder) / RECORD).is_file()


def load_exported(folder: str | Path, *, network: Network | None = None) -> Exported:
    """Loads a folder that `export` wrote. StableHLO and ONNX need nothing of the network's code.

    Args:
      folder: with `exported.json` and the file that it names.
      network: for safetensors, which hold weights alone: the network, with any numbers.

    Raises:
      TaskError: if it is no such folder, the file was changed after it was exported, or a package
        is missing.
    """
    folder = Path(folder)
    record = read_exported(folder)
    try:
        path = folder / Path(record["file"]).name
        kind, sha256 = record["format"], record["sha256"]
        meaning = Meaning.from_json(record["meaning"])
        _, outputs = record["inputs"], record["outputs"]
    except (KeyError, TypeError) as error:
        raise TaskError(f"{folder / RECORD} lacks {error}; export the network again.") from error
    if not path.is_file():
        raise TaskError(f"{folder} has no {path.name}; export the network again.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise TaskError(
            f"{path} is damaged, or another file: its checksum is not the one in {RECORD}; export "
            "the network again."
        )
    run = _reader(kind, path, outputs, network)
    return Exported(folder, record, meaning, run)


def read_exported(folder: str | Path) -> dict[str, Any]:
    """Reads `exported.json`.

    Raises:
      TaskError: if there is none, or it is damaged or of another version.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise TaskError(
            f"{folder} has no {RECORD}; give the folder that `jrecipe export` wrote, not a file "
            "of it."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskError(f"{path} is damaged ({error}); export the network again.") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise TaskError(
            f"{path} was not written by this version of jrecipe (schema {SCHEMA} is needed); "
            "export the network again."
        )
    return record


def _reader(
    kind: str, path: Path, outputs: dict[str, Any], network: Network | None
) -> Callable[[PyTree], PyTree]:
    if kind == "stablehlo":
        from jrecipe.squeeze.stablehlo import read_stablehlo

        return read_stablehlo(path)
    if kind == "onnx":
        from jrecipe.squeeze.onnx import read_onnx

        return read_onnx(path, outputs)
    if kind != "safetensors":
        raise TaskError(f"{path.parent / RECORD} names the format {kind!r}, which is unknown.")
    if network is None:
        raise TaskError(
            f"{path} holds weights alone; give the network too, as load_exported(folder, "
            "network=...), or export it to stablehlo."
        )
    from jrecipe.squeeze.weights_file import read_weights

    return read_weights(path, network)
