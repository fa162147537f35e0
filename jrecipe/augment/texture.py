"""Random textures, as backgrounds and as noise that has a shape (D3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import Array, Key

_GRIDS = (2, 4, 8)  # coarse to fine


def textures(key: Key, shape: tuple[int, int, int, int]) -> Array:
    """Draws pictures float32[b, h, w, c] in [0, 1]: a colour, with soft patches and stripes.

    Args:
      key: decides everything; each picture draws for itself.
      shape: `(b, h, w, c)`.
    """
    b, h, w, c = shape
    # One call for all: a colour, the patches of each grid, a tint, and four numbers for the shapes.
    ends = np.cumsum([c, *(n * n * c for n in _GRIDS), c, len(_GRIDS) + 1, 2])
    numbers = jax.random.uniform(key, (b, ends[-1]))
    colour, *patches, tint, sizes, waves = jnp.split(numbers, ends[:-1], axis=1)
    sizes = sizes / sizes.sum(axis=1, keepdims=True)
    stripes = _stripes(waves, h, w)[..., None] * (2 * tint - 1)[:, None, None]
    total = sizes[:, 0, None, None, None] * stripes
    for i, (n, flat) in enumerate(zip(_GRIDS, patches, strict=True)):
        grid = (2 * flat - 1).reshape(b, n, n, c)
        rows, columns = jnp.asarray(_hats(n, h)), jnp.asarray(_hats(n, w))
        soft = jnp.einsum("hi,bijc,wj->bhwc", rows, grid, columns)
        total = total + sizes[:, i + 1, None, None, None] * soft
    return jnp.clip(colour[:, None, None] + 0.9 * total, 0.0, 1.0)


def _stripes(draw: Array, h: int, w: int) -> Array:
    """Returns waves float32[b, h, w], of a direction and a number that it draws."""
    angle, waves = np.pi * draw[:, 0, None, None], 1 + 5 * draw[:, 1, None, None]
    y, x = jnp.linspace(0, 1, h)[None, :, None], jnp.linspace(0, 1, w)[None, None, :]
    return jnp.sin(2 * np.pi * waves * (jnp.cos(angle) * x + jnp.sin(angle) * y))


def _hats(n: int, size: int) -> np.ndarray:
    """Returns float32[size, n]: the linear interpolation of n numbers at `size` pixels."""
    at = (np.arange(size) + 0.5) / size * (n - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(n)[None]), 0).astype(np.float32)
