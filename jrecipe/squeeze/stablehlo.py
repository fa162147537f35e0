"""Networks as StableHLO programs, by `jax.export`: no code of the network is needed to run one."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path

import jax
from jax import export as jax_export

from jrecipe.squeeze.export_shapes import shapes_of, structs_of
from jrecipe.types import PyTree, TaskError

FILE = "model.stablehlo"
_PLATFORMS = ("cpu", "cuda", "tpu")


def write_stablehlo(path: Path, function: Callable[[PyTree], PyTree], inputs: PyTree) -> None:
    """Writes a function with its numbers as one program, for any number of examples.

    Args:
      path: of the file.
      function: `inputs -> outputs`, which JAX can trace.
      inputs: [n, ...] each, for their shapes.

    Raises:
      TaskError: if flatbuffers is missing, or the function depends on how many examples there are.
    """
    _require_flatbuffers(path)
    (batch,) = jax_export.symbolic_shape("b")
    structs = structs_of(shapes_of(inputs), batch)
    try:
        program = jax_export.export(jax.jit(function), platforms=_PLATFORMS)(structs)
    except jax.errors.JaxRuntimeError as error:
        raise TaskError(f"XLA cannot export the network ({error}).") from error
    except (
        TypeError,
        ValueError,
        NotImplementedError,
        jax.errors.InconclusiveDimensionOperation,
    ) as error:
        raise TaskError(
            f"the network cannot be exported for any number of examples ({error}); write it so "
            "that its shapes follow from inputs.shape, without int() or if on the batch's size."
        ) from error
    path.write_bytes(program.serialize())


def read_stablehlo(path: Path) -> Callable[[PyTree], PyTree]:
    """Returns the function `inputs -> outputs` of a file.

    Raises:
      TaskError: if flatbuffers is missing, or the file damaged or of a version that JAX cannot run.
    """
    _require_flatbuffers(path)
    try:
        program = jax_export.deserialize(bytearray(path.read_bytes()))
    except (ValueError, TypeError, IndexError, KeyError, AssertionError, struct.error) as error:
        raise TaskError(
            f"{path} is no StableHLO program that JAX {jax.__version__} can run ({error}); export "
            "the network again."
        ) from error
    run: Callable[[PyTree], PyTree] = jax.jit(program.call)
    return run


def _require_flatbuffers(path: Path) -> None:
    if importlib.util.find_spec("flatbuffers") is None:
        raise TaskError(
            f"JAX needs the package flatbuffers for {path.name}; pip install 'jrecipe[export]'."
        )
