"""Examples in memory, and everything a user may hand over instead.

`as_source` is the one door: what it returns has equal lengths, numeric leaves and dtypes that JAX
keeps as they are, so that nothing behind it needs to look again.
"""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.data.buckets import buckets_of
from jrecipe.types import PyTree, Source, TaskError

_INT32 = np.iinfo(np.int32)


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
    """Examples held as NumPy arrays.

    Attributes:
      inputs: array or pytree of arrays with a common leading axis.
      targets: array or pytree of arrays, the same leading axis.

    Example:
      >>> source = ArraySource(np.arange(6).reshape(3, 2), np.array([0, 1, 0]))
      >>> source.take(np.array([2, 0]))[0].tolist()
      [[4, 5], [0, 1]]
    """

    inputs: PyTree
    targets: PyTree

    def __len__(self) -> int:
        return len(jax.tree.leaves((self.inputs, self.targets))[0])

    def __repr__(self) -> str:
        shape = lambda tree: jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree)  # noqa: E731
        return f"ArraySource(inputs={shape(self.inputs)}, targets={shape(self.targets)})"

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns copies of the examples `rows` int[k] as `(inputs, targets)`, leading axes `k`."""
        rows = np.asarray(rows)
        taken: tuple[PyTree, PyTree] = jax.tree.map(
            lambda leaf: leaf[rows], (self.inputs, self.targets)
        )
        return taken

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(int(leaf.nbytes) for leaf in jax.tree.leaves((self.inputs, self.targets)))


def as_source(value: Any, name: str = "train") -> Source:
    """Makes a source of what a user handed over, or says what is wrong with it (A2).

    Args:
      value: a `Source`, or a pair `(inputs, targets)`. Each is an array, a list that NumPy makes an
        array of, or a pytree of these (a tuple or dict is a node of the tree, a list an array).
        float64 becomes float32; int64 becomes int32; bool and narrower types stay.
      name: what error messages call it.

    Returns:
      The source itself, or an `ArraySource` with equal lengths in all leaves.

    Raises:
      TaskError: not a pair, no examples, lengths that differ, text, objects, 0-d arrays, or numbers
        too large for 32 bits.

    Example:
      >>> as_source(([[0.0, 1.0], [1.0, 0.0]], [0, 1]))
      ArraySource(inputs=float32[2, 2], targets=int32[2])
    """
    pair = "a pair (inputs, targets) of arrays with a common leading axis, or a jr.data source"
    if value is None:
        raise TaskError(f"{name} is None; give {pair}.")
    # Arrays and data frames have `take` and a length as well, but they are not sources.
    if isinstance(value, Source) and not hasattr(value, "shape"):
        return _check_foreign(value, name)
    if not isinstance(value, tuple | list):
        raise TaskError(f"{name} needs {pair}, got {_describe(value)}.")
    if len(value) != 2:
        raise TaskError(f"{name} needs {pair}, got a {type(value).__name__} of {len(value)}.")
    inputs, targets = (
        _as_arrays(tree, f"{name} {what}")
        for tree, what in zip(value, ("inputs", "targets"), strict=True)
    )
    lengths = {
        f"{what}{jax.tree_util.keystr(path)}": len(leaf)
        for what, tree in (("inputs", inputs), ("targets", targets))
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
    (first, length), *others = lengths.items()
    for other, its_length in others:
        if its_length != length:
            raise TaskError(
                f"{name} {first} has {length} examples, but {name} {other} has {its_length}; "
                "give one target per input, with the examples along the first axis."
            )
    if length == 0:
        raise TaskError(f"{name} is empty: {first} has 0 examples; give at least one.")
    return ArraySource(inputs, targets)


def in_memory(source: Source) -> bool:
    """Says whether a source holds its examples as arrays, so that reading costs nothing.

    One whose rows have several lengths (`buckets`) does not: together they would all be padded.
    """
    return isinstance(source, ArraySource) and getattr(source, "buckets", None) is None


def nbytes(source: Source) -> int:
    """Returns the bytes of all examples, read at once.

    Exact for arrays; else the first example times the count, or the longest where there are
    `buckets`.
    """
    buckets = getattr(source, "buckets", None)
    if isinstance(source, ArraySource) and buckets is None:
        return source.nbytes
    example = source.take(np.array([0 if buckets is None else np.argmax(buckets)], np.int32))
    return len(source) * sum(int(np.asarray(leaf).nbytes) for leaf in jax.tree.leaves(example))


def _check_foreign(source: Source, name: str) -> Source:
    """Returns a source that is not empty and whose `take` gives pairs, as it is."""
    if isinstance(source, ArraySource):  # made by hand, perhaps of arrays that do not fit together
        return as_source((source.inputs, source.targets), name)
    if len(source) == 0:
        raise TaskError(f"{name} is empty: the source has 0 examples; give at least one.")
    example: Any = source.take(np.zeros(1, np.int32))
    if not isinstance(example, tuple | list) or len(example) != 2:
        raise TaskError(
            f"{name} is a source whose take(rows) needs to return a pair (inputs, targets), "
            f"got {_describe(example)}."
        )
    buckets_of(source)  # or says what is wrong with them
    return source


def _as_arrays(tree: PyTree, name: str) -> PyTree:
    """Turns every leaf, and every list, into a NumPy array that JAX keeps as it is."""
    if tree is None:
        raise TaskError(f"{name} are None; give an array with the examples along the first axis.")
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_array_like)
    if not leaves:
        raise TaskError(f"{name} hold no array, got {tree!r}; give an array or a pytree of arrays.")
    arrays = [_as_array(leaf, f"{name}{jax.tree_util.keystr(path)}") for path, leaf in leaves]
    return jax.tree_util.tree_unflatten(structure, arrays)


def _is_array_like(node: Any) -> bool:
    if isinstance(node, list):
        return True
    return isinstance(node, tuple) and all(isinstance(item, numbers.Number | str) for item in node)


def _as_array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TaskError(
            f"{name} cannot be made an array: {str(error).splitlines()[0]}; "
            "give rows of equal shape, or pad them."
        ) from error
    if array.dtype.kind in "US":
        raise TaskError(
            f"{name} are text ({array.dtype}); encode text first, e.g. with jr.data.TextEncoder."
        )
    numeric = jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool
    if not numeric:
        raise TaskError(
            f"{name} have dtype {array.dtype}; give numbers in an array of equal shapes "
            "(missing values, mixed types and ragged rows have to go first)."
        )
    if array.ndim == 0:
        raise TaskError(
            f"{name} are a single number, {array}; give an array with the examples along the first "
            "axis."
        )
    return _to_32_bits(array, name)


def _to_32_bits(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "f" and array.dtype.itemsize > 4:
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        if bool(np.any(np.isinf(narrow) & np.isfinite(array))):
            raise TaskError(
                f"{name} reach {np.nanmax(np.abs(array[np.isfinite(array)])):.3g}, too large for "
                "float32; rescale them."
            )
        return narrow
    if array.dtype.kind == "c" and array.dtype.itemsize > 8:
        return array.astype(np.complex64)
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low < _INT32.min or high > _INT32.max:
            raise TaskError(
                f"{name} span {low} to {high}, too large for int32; renumber them, or give floats."
            )
        return array.astype(np.int32)
    return array


def _describe(value: Any) -> str:
    """Says in few words what something is, for an error message."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"a {type(value).__name__} of shape {tuple(shape)}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
