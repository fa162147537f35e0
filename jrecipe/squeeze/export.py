"""Networks into files that run elsewhere; what disagrees with the network is not written (J8)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.squeeze import onnx, stablehlo, weights_file
from jrecipe.squeeze.ensembles import Ensemble
from jrecipe.squeeze.export_meaning import Meaning, meaning_of
from jrecipe.squeeze.export_shapes import shapes_of
from jrecipe.squeeze.load_exported import RECORD, SCHEMA, Exported, load_exported
from jrecipe.squeeze.network import Network, in_rows, network_of
from jrecipe.squeeze.task_network import TaskNetwork
from jrecipe.train.fitted import Fit
from jrecipe.types import PyTree, TaskError

FILES = {
    "stablehlo": stablehlo.FILE,
    "onnx": onnx.FILE,
    "safetensors": weights_file.FILE,
}
_SIZES = (1, 3)  # batches that are compared besides the large one


def export(
    trained: Network | TaskNetwork | Ensemble | Fit | Callable[[PyTree], PyTree],
    folder: str | Path,
    *,
    to: str = "stablehlo",
    inputs: PyTree,
    meaning: Meaning | None = None,
    tolerance: float = 1e-4,
    run: Mapping[str, Any] | None = None,
) -> Exported:
    """Writes a trained network as a folder that predicts, after it has been compared with it.

    The folder holds the network as one file and `exported.json`: what its inputs and outputs are,
    how raw files are encoded, the names of the classes, and how far it is from the original. It is
    written under another name, read back, compared on all of `inputs` in several batch sizes, and
    then renamed; if it disagrees, nothing is left.

    Args:
      trained: a `Fit`, whose best state is exported; a `Network`; an `Ensemble`, whose members and
        mean become one; or a function `inputs -> outputs` that JAX can trace, see `network_of`.
      folder: to be made; nothing may be there.
      to: "stablehlo", which JAX runs, by its promise also one that is six months newer; "onnx",
        which onnxruntime and many devices run; or "safetensors", the weights alone.
      inputs: real ones, [n, ...] each, as the network takes them; 1,000 are good.
      meaning: of inputs and outputs; by default as much as the `Fit` knows.
      tolerance: largest difference of an output, times that output where it is above 1.
      run: for "safetensors", JSON values that say how to build the network again.

    Returns:
      The exported network, loaded.

    Raises:
      TaskError: if there is something at `folder`, the format is unknown or cannot hold the
        network, or the outputs disagree.
      OSError: if it cannot be written.
    """
    if to not in FILES:
        raise TaskError(f"export got to={to!r}; there are {', '.join(FILES)}.")
    folder = Path(folder)
    if folder.exists():
        raise TaskError(
            f"export to {folder}: something is there already; remove it, or name another folder."
        )
    network = network_of(trained)
    given = jax.tree.map(np.asarray, inputs)
    if meaning is None:
        meaning = meaning_of(trained.task) if isinstance(trained, Fit) else Meaning()
    inputs_json = shapes_of(given)
    wanted = in_rows(network, given)
    outputs_json = shapes_of(wanted)
    with _made(folder) as fresh:
        file = fresh / FILES[to]
        if to == "safetensors":
            weights_file.write_weights(file, network)
        else:
            write = stablehlo.write_stablehlo if to == "stablehlo" else onnx.write_onnx
            write(file, lambda x: network.model.apply(network.params, network.state, x)[0], given)
        record = {
            "schema": SCHEMA,
            "format": to,
            "file": file.name,
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "inputs": inputs_json,
            "outputs": outputs_json,
            "meaning": meaning.to_json(),
            "versions": {"jax": jax.__version__},
            "run": None if run is None else dict(run),
        }
        _write(fresh / RECORD, record)
        loaded = load_exported(fresh, network=network)
        largest, count = _compared(loaded, network, given, wanted, tolerance, to)
        checked = {"examples": count, "largest_difference": largest, "tolerance": tolerance}
        _write(fresh / RECORD, record | {"checked": checked})
    return load_exported(folder, network=network)


def _compared(
    exported: Exported,
    network: Network,
    inputs: PyTree,
    wanted: PyTree,
    tolerance: float,
    to: str,
) -> tuple[float, int]:
    """Returns the largest difference of an output and how many examples were compared."""
    rows = len(jax.tree.leaves(inputs)[0])
    pairs = [(wanted, exported.outputs(inputs))]
    for size in _SIZES:
        few = jax.tree.map(lambda x, size=size: x[:size], inputs)
        pairs.append((jax.tree.map(np.asarray, network(few)), exported.outputs(few)))
    largest = 0.0
    for original, found in pairs:
        for want, got in zip(jax.tree.leaves(original), jax.tree.leaves(found), strict=True):
            want, got = np.asarray(want, np.float64), np.asarray(got, np.float64)
            if want.shape != got.shape:
                raise TaskError(
                    f"export to {to} was not written: it gives outputs of shape "
                    f"{list(got.shape)}, the network {list(want.shape)}; use another format."
                )
            gap = np.where(want == got, 0.0, np.abs(want - got))
            # By each output: one of -1e9, as masks have it, allows the others no more.
            over = (gap / np.maximum(1.0, np.abs(want))).reshape(len(want), -1)
            worst = np.where(np.isnan(over), np.inf, over).max(axis=1, initial=0.0)
            row = int(np.argmax(worst))
            if worst[row] > tolerance:
                raise TaskError(
                    f"export to {to} was not written: for example {row} an output differs by "
                    f"{worst[row]:.3g} from the network's, more than {tolerance:.3g}; use another "
                    "format, or a larger tolerance if that is enough for you."
                )
            largest = max(largest, float(gap.max(initial=0.0)))
    return largest, rows


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """Gives a folder to write into, which takes its name at the end, or goes if anything fails."""
    missing = [path for path in folder.parents if not path.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield fresh
        mask = _umask()
        os.chmod(fresh, 0o777 & ~mask)
        for path in fresh.iterdir():  # safetensors lets nobody else read
            os.chmod(path, 0o666 & ~mask)
        os.rename(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        for parent in missing:  # the innermost first
            with contextlib.suppress(OSError):  # somebody else put something there
                parent.rmdir()
        raise


def _umask() -> int:
    mask = os.umask(0o022)  # there is no way to read it without setting it
    os.umask(mask)
    return mask


def _write(path: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(_finite(record), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """Returns JSON values with None for numbers that JSON has not."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
