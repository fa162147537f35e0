"""Where the pictures of a batch are, and what augmentations ask of them.

Pictures are the inputs themselves, or the one leaf of the inputs that is called "image".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.augment.numbers import is_concrete
from jrecipe.types import Array, Batch, TaskError

IMAGE = "image"
Range = tuple[float, float]


def last_name(path: tuple[Any, ...]) -> str:
    """Returns the name of a leaf in its mapping or dataclass, "" in a sequence."""
    last = path[-1] if path else None
    return str(getattr(last, "key", getattr(last, "name", "")))


def pictures_of(batch: Batch, name: str) -> Array:
    """Returns the pictures [b, h, w, c] of a batch.

    Raises:
      TaskError: if there are none, or several; `name` is the augmentation that asked.
    """
    x = batch.inputs
    if not hasattr(x, "shape"):
        leaves = jax.tree_util.tree_leaves_with_path(x)
        named = [leaf for path, leaf in leaves if last_name(path) == IMAGE]
        if len(named) != 1:
            raise TaskError(
                f"{name} needs pictures [b, h, w, c] as inputs, got {type(x).__name__} with "
                f"{len(named)} leaves called 'image'; give the pictures themselves, or one "
                "inputs['image']."
            )
        x = named[0]
    if getattr(x, "ndim", None) != 4:
        raise TaskError(
            f"{name} needs pictures [b, h, w, c] as inputs, got shape {tuple(x.shape)}; grey ones "
            "have c = 1, as x[..., None]."
        )
    return x


def float_pictures_of(batch: Batch, name: str, channels: int | None = None) -> Array:
    """Returns the pictures as float32, for operations that make values in between.

    Args:
      batch: its pictures are of any floating dtype.
      name: the augmentation that asked.
      channels: how many there need to be.

    Raises:
      TaskError: also if the pictures are integers, or have other channels.
    """
    x = pictures_of(batch, name)
    require_float(x, name)
    if channels is not None and x.shape[-1] != channels:
        raise TaskError(
            f"{name} needs pictures with {channels} channels (red, green, blue), got "
            f"{x.shape[-1]} in shape {tuple(x.shape)}; leave it out for grey pictures."
        )
    return jnp.asarray(x, jnp.float32)


def require_float(x: Array, name: str) -> None:
    """Raises TaskError if pictures are integers."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TaskError(
            f"{name} needs float pictures, got {x.dtype}; convert them before, as with "
            "x.astype('float32') / 255."
        )


def require_in_range(x: Array, value_range: Range | None, name: str) -> None:
    """Raises TaskError if concrete pictures leave the range; inside `jit` nothing can be seen."""
    if value_range is None or not is_concrete(x) or x.size == 0:
        return
    values = np.asarray(x)
    low, high = float(values.min()), float(values.max())
    slack = 1e-3 * (value_range[1] - value_range[0])
    if not (low >= value_range[0] - slack and high <= value_range[1] + slack):
        raise TaskError(
            f"{name} needs pictures with values in value_range={value_range}, got {low:.4g} to "
            f"{high:.4g}; give the range that yours have, or value_range=None for no limit."
        )


def with_pictures(batch: Batch, pictures: Array) -> Batch:
    """Returns the batch with other pictures, in the dtype that the old ones had."""
    x = batch.inputs
    if hasattr(x, "shape"):
        return batch._replace(inputs=pictures.astype(x.dtype))
    replace = lambda path, leaf: (  # noqa: E731
        pictures.astype(leaf.dtype) if last_name(path) == IMAGE else leaf
    )
    return batch._replace(inputs=jax.tree_util.tree_map_with_path(replace, x))


def recoloured(
    batch: Batch,
    name: str,
    change: Callable[[Array], Array],
    value_range: Range | None,
    channels: int | None = None,
) -> Batch:
    """Returns the batch with `change(pictures float32)`, kept within a range; targets stay.

    Raises:
      TaskError: as `float_pictures_of`; or if concrete pictures are outside the range.
    """
    x = float_pictures_of(batch, name, channels)
    require_in_range(x, value_range, name)
    changed = change(x)
    return with_pictures(batch, changed if value_range is None else jnp.clip(changed, *value_range))


def per_picture(values: Array) -> Array:
    """Returns [b] as [b, 1, 1, 1], to be combined with pictures."""
    return values[:, None, None, None]
