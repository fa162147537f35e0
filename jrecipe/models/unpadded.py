"""Texts as one row per token, without the padding between them.

A batch of texts [b, t] is mostly padding where few are as long as the longest. All of a transformer
but attention looks at one token at a time, so it can work on the n real tokens [n, width] alone.
`n` has to be known while compiling: `inputs["room"]`, any array [b, k], says n = b * k.

References:
  Portes et al., "MosaicBERT", 2023, arXiv:2312.17482 (unpadding).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jrecipe.types import Array


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where the rows of tokens stand in the texts.

    Attributes:
      shape: (b, t) of the texts.
      kept: int32[n], the place b * t + t of each row; out of range where there is no token. None
        where every place has its row.
      rows: int32[b * t], the row of each place; n at padding.
      fits: bool[], whether there are rows for all tokens.
    """

    shape: tuple[int, int]
    kept: Array | None = None
    rows: Array | None = None
    fits: Array | None = None

    def flat(self, x: Array) -> Array:
        """Returns the rows [n, ...] of [b, t, ...]; zeros where there is no token."""
        x = x.reshape(-1, *x.shape[2:])
        return x if self.kept is None else _moved(x, self.kept, self.rows)

    def square(self, x: Array) -> Array:
        """Returns [b, t, ...] of rows [n, ...]; zeros at padding."""
        x = x if self.kept is None else _moved(x, self.rows, self.kept)
        return x.reshape(*self.shape, *x.shape[1:])

    def checked(self, x: Array) -> Array:
        """Returns `x`, or NaN if there was no room for some token."""
        return x if self.fits is None else jnp.where(self.fits, x, jnp.nan)


def grid_of(mask: Array, room: Array | None = None) -> Grid:
    """Returns the grid of texts.

    Args:
      mask: bool[b, t], True on tokens.
      room: [b, k], of which only the shape counts: there are b * k rows. None for all b * t.

    Example:
      >>> mask = jnp.array([[True, False, False], [True, True, False]])
      >>> grid = grid_of(mask, jnp.zeros((2, 2)))
      >>> rows = grid.flat(jnp.array([[5, 0, 0], [6, 7, 0]]))
      >>> rows.tolist(), grid.square(rows).tolist()
      ([5, 6, 7, 0], [[5, 0, 0], [6, 7, 0]])
    """
    b, t = mask.shape
    if room is None or room.shape[1] >= t:
        return Grid((b, t))
    n, real = room.shape[0] * room.shape[1], mask.reshape(-1)
    before = jnp.cumsum(real, dtype=jnp.int32)
    rows = jnp.where(real, before - 1, n)
    kept = (
        jnp.full(n, b * t, jnp.int32).at[rows].set(jnp.arange(b * t, dtype=jnp.int32), mode="drop")
    )
    return Grid((b, t), kept, rows, before[-1] <= n)


@jax.custom_vjp
def _moved(x: Array, to: Array, back: Array) -> Array:
    """Returns the rows `to` of `x`, 0 for those out of range; `back` leads from them to `x`.

    Each row is wanted at most once, so the gradient is a look-up as well: told so, XLA need not add
    one row after another.
    """
    return jnp.take(x, to, axis=0, mode="fill", fill_value=0)


def _forward(x: Array, to: Array, back: Array) -> tuple[Array, Array]:
    return _moved(x, to, back), back


def _backward(back: Array, gradient: Array) -> tuple[Array, None, None]:
    return jnp.take(gradient, back, axis=0, mode="fill", fill_value=0), None, None


_moved.defvjp(_forward, _backward)
