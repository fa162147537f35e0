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
    base, across, amount = (jax.random.fold_in(key, i) for i in range(3))
    colour = jax.random.uniform(base, (b, 1, 1, c))
    sizes = jax.random.dirichlet(amount, jnp.ones(len(_GRIDS) + 1), (b,))
    total = sizes[:, 0, None, None, None] * _stripes(across, shape)
    for i, n in enumerate(_GRIDS):
        grid = jax.random.uniform(jax.random.fold_in(key, 3 + i), (b, n, n, c), minval=-1.0)
        rows, columns = jnp.asarray(_hats(n, h)), jnp.asarray(_hats(n, w))
        patches = jnp.einsum("hi,bijc,wj->bhwc", rows, grid, columns)
        total = total + sizes[:, i + 1, None, None, None] * patches
    return jnp.clip(colour + 0.7 * total, 0.0, 1.0)


def _stripes(key: Key, shape: tuple[int, int, int, int]) -> Array:
    b, h, w, c = shape
    turn, count, tint = (jax.random.fold_in(key, i) for i in range(3))
    angle = jax.random.uniform(turn, (b, 1, 1), maxval=np.pi)
    waves = jax.random.uniform(count, (b, 1, 1), minval=1.0, maxval=6.0)
    y, x = jnp.linspace(0, 1, h)[None, :, None], jnp.linspace(0, 1, w)[None, None, :]
    phase = 2 * np.pi * waves * (jnp.cos(angle) * x + jnp.sin(angle) * y)
    return jnp.sin(phase)[..., None] * jax.random.uniform(tint, (b, 1, 1, c), minval=-1.0)


def _hats(n: int, size: int) -> np.ndarray:
    """Returns float32[size, n]: the linear interpolation of n numbers at `size` pixels."""
    at = (np.arange(size) + 0.5) / size * (n - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(n)[None]), 0).astype(np.float32)
