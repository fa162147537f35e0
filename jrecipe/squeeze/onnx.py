"""Networks as ONNX graphs, by jax2onnx, which onnxruntime runs without JAX."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from jrecipe.squeeze.export_shapes import shapes_of, structs_of
from jrecipe.squeeze.onnx_program import plain_program
from jrecipe.types import PyTree, TaskError, one_line

FILE = "model.onnx"
_SHOWN = 300  # characters of another package's message


def write_onnx(path: Path, function: Callable[[PyTree], PyTree], inputs: PyTree) -> None:
    """Writes a function with its numbers as a graph, for any number of examples.

    The graph's inputs and outputs are named by their places: "inputs", or "inputs.ids" of a dict.

    Args:
      path: of the file.
      function: `inputs -> outputs`, which JAX can trace.
      inputs: [n, ...] each, for their shapes.

    Raises:
      TaskError: if jax2onnx is missing, or knows no ONNX for an operation of the network.
    """
    try:
        from jax2onnx import to_onnx
    except ImportError as error:
        raise TaskError(
            "export to onnx needs the packages jax2onnx and onnxruntime; "
            "pip install 'jrecipe[onnx]'."
        ) from error
    (batch,) = jax_export.symbolic_shape("b")
    structs = structs_of(shapes_of(inputs), batch)
    leaves, structure = jax.tree.flatten(structs)

    def flat(*arrays: Any) -> list[Any]:
        return jax.tree.leaves(function(jax.tree.unflatten(structure, arrays)))

    logger = logging.getLogger("onnx_ir")  # warns of shapes that it infers later
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        program = plain_program(flat, *leaves)
        names = _names(structs, "inputs"), _names(jax.eval_shape(function, structs), "outputs")
        to_onnx(
            program,
            leaves,
            return_mode="file",
            output_path=str(path),
            export_mode="web",  # one file, however large its weights
            input_names=names[0],
            output_names=names[1],
        )
    # What jax2onnx raises for an operation that it lacks depends on where it meets it.
    except (NotImplementedError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise TaskError(
            f"jax2onnx cannot write the network as ONNX ({one_line(str(error))[:_SHOWN]}); export "
            "it to stablehlo, or write that layer with other operations."
        ) from error
    finally:
        logger.setLevel(level)


def read_onnx(path: Path, outputs: dict[str, Any]) -> Callable[[PyTree], PyTree]:
    """Returns the function `inputs -> outputs` of a file, run by onnxruntime on the CPU.

    Args:
      path: of the file.
      outputs: what `shapes_of` says of its outputs.

    Raises:
      TaskError: if onnxruntime is missing, or the file is damaged.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as refusals
    except ImportError as error:
        raise TaskError(
            f"running {path} needs the package onnxruntime; pip install 'jrecipe[onnx]'."
        ) from error
    refused = (
        refusals.Fail,
        refusals.InvalidArgument,
        refusals.InvalidGraph,
        refusals.InvalidProtobuf,
        refusals.NotImplemented,
        refusals.RuntimeException,
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except refused as error:
        raise TaskError(
            f"{path} is no ONNX graph that onnxruntime {onnxruntime.__version__} can run "
            f"({one_line(str(error))[:_SHOWN]}); export the network again."
        ) from error
    structure = jax.tree.structure(structs_of(outputs, 1))
    names = [put.name for put in session.get_inputs()]

    def run(inputs: PyTree) -> PyTree:
        arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
        try:
            found = session.run(None, dict(zip(names, arrays, strict=True)))
        except refused as error:
            raise TaskError(
                f"onnxruntime {onnxruntime.__version__} cannot run {path.name} "
                f"({one_line(str(error))[:_SHOWN]}); export the network to stablehlo."
            ) from error
        return jax.tree.unflatten(structure, found)

    return run


def _names(tree: PyTree, root: str) -> list[str]:
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return [
        ".".join([root, *filter(None, [jax.tree_util.keystr(p, simple=True, separator=".")])])
        for p in paths
    ]
