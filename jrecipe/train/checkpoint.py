"""Checkpoints of a training state, by orbax: written whole or not at all, never pickled."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.train.checkpoint_record import damage, misfit, note, record_file
from jrecipe.types import PyTree, TaskError

_ROOM = 2**17  # bytes of a checkpoint besides its arrays


def _plain(state: PyTree) -> PyTree:
    """Replaces typed keys by their uint32 data, and NumPy's scalars by arrays."""

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = jax.random.key_data(leaf)
            # With several processes orbax takes no array that only one of them has.
            return data if jax.process_count() == 1 else np.asarray(data)
        return np.asarray(leaf) if isinstance(leaf, np.generic) else leaf

    return jax.tree.map(convert, state)


def _typed(like: PyTree, plain: PyTree) -> PyTree:
    """Puts typed keys back where `like` has them."""

    def convert(leaf: Any, data: Any) -> Any:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        return data

    return jax.tree.map(convert, like, plain)


def unstorable(state: PyTree) -> str:
    """Returns the type of a leaf that no checkpoint can hold, "" if there is none."""
    for leaf in jax.tree.leaves(state):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float):
            return type(leaf).__name__
    return ""


def save_checkpoint(folder: str | Path, step: int, state: PyTree) -> Path:
    """Saves a state as `folder/STEP`, replacing one of the same step; atomic.

    Args:
      folder: made if it is not there.
      step: the number of updates applied.
      state: a pytree of arrays.

    Returns:
      The folder of this checkpoint.

    Raises:
      OSError: if it cannot be written (full disk, no permission); earlier checkpoints stay.
    """
    import orbax.checkpoint as ocp

    path = Path(folder).absolute() / str(step)
    _require_room(path.parent, _ROOM + sum(getattr(x, "nbytes", 8) for x in jax.tree.leaves(state)))
    plain = _plain(state)
    record_file(path).unlink(missing_ok=True)  # of the one that is replaced
    try:
        _writer().save(path, args=ocp.args.PyTreeSave(plain), force=True)
    except ValueError as error:  # the storage layer reports its write errors as ValueError
        raise OSError(f"could not write the checkpoint {path}: {error}") from error
    note(path, plain)
    return path


@functools.cache
def _writer() -> Any:
    """Returns what writes: uncompressed, as packing random digits saves a tenth of the space.

    It takes a third more of the cores that training wants; to make it for each checkpoint, a
    quarter.
    """
    import orbax.checkpoint as ocp

    handler = ocp.PyTreeCheckpointHandler(
        use_compression=False, multiprocessing_options=_this_process()
    )
    return ocp.Checkpointer(handler, multiprocessing_options=_this_process())


def _reader() -> Any:
    import orbax.checkpoint as ocp

    return ocp.StandardCheckpointer(multiprocessing_options=_this_process())


def _this_process() -> Any:
    """Returns orbax's options for one process alone; of several, only one writes."""
    import orbax.checkpoint as ocp

    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    own = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process_{own}"
    )


def _require_room(folder: Path, nbytes: int) -> None:
    """Raises OSError if `folder` cannot be written or lacks the space.

    Asked before, because orbax's threads wait five minutes for a folder that they cannot make, and
    are loud about a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".room", dir=folder):
        free = shutil.disk_usage(folder).free
    if free < nbytes:
        raise OSError(
            errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, {nbytes} bytes wanted", str(folder)
        )


def checkpoint_steps(folder: str | Path) -> list[int]:
    """Returns the steps of the finished checkpoints in `folder`, ascending."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def load_checkpoint(folder: str | Path, like: PyTree, step: int | None = None) -> PyTree:
    """Loads a state saved by `save_checkpoint`.

    Args:
      folder: where the checkpoints are.
      like: a state with the structure, shapes and dtypes to expect.
      step: which one; the newest if None.

    Raises:
      TaskError: if there is none, it belongs to another model, or its files were damaged.
    """
    import orbax.checkpoint as ocp

    steps = checkpoint_steps(folder)
    if not steps or (step is not None and step not in steps):
        raise TaskError(
            f"There is no checkpoint{'' if step is None else f' {step}'} in {folder}, found "
            f"{steps}; name the folder of a run that was saved."
        )
    path = Path(folder).absolute() / str(steps[-1] if step is None else step)
    if said := damage(path):
        raise TaskError(
            f"The checkpoint {path} is damaged: {said}; use an earlier one, or another --out."
        )
    wanted = _plain(like)
    if said := misfit(path, wanted):
        raise TaskError(_foreign(path, said))
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, wanted)
    try:
        with _reader() as reader:
            plain = reader.restore(path, target)
    except (ValueError, KeyError, TypeError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TaskError(_foreign(path, first[:200])) from error
    shapes = jax.tree.map(lambda a, b: np.shape(a) == np.shape(b), target, plain)
    if not all(jax.tree.leaves(shapes)):
        raise TaskError(f"The checkpoint {path} holds arrays of other shapes than this model.")
    return _typed(like, plain)


def _foreign(path: Path, why: str) -> str:
    return (
        f"The checkpoint {path} does not fit this model and optimizer, or is damaged ({why}); use "
        "the task that made it, or another --out."
    )
