"""What every network for pictures does with them: look at their shape, and pool them at the end."""

from __future__ import annotations

from typing import Literal

import jax

from jrecipe.types import TaskError

Pool = Literal["gap", "flatten"]


def check_pictures(inputs: jax.Array, owner: str, *, smallest: int = 1) -> None:
    """Says what is wrong with inputs that are not pictures [b, h, w, c].

    Args:
      inputs: what a network was called with.
      owner: name of the network.
      smallest: pixels that a side needs, so that something is left after all strides.

    Raises:
      TaskError: with the shape and the way out.
    """
    if inputs.ndim != 4:
        raise TaskError(
            f"{owner} needs pictures [b, h, w, c], got shape {inputs.shape}; for one channel add "
            "it with x[..., None], for vectors use jr.models.MLP."
        )
    if min(inputs.shape[1:3]) < smallest:
        raise TaskError(
            f"{owner} needs pictures of {smallest} pixels a side or more, got shape "
            f"{inputs.shape}; for smaller ones use jr.models.ConvNet, or resize them."
        )


def pooled(x: jax.Array, head: Pool, owner: str) -> jax.Array:
    """Returns features [b, d] of feature maps [b, h, w, c] (D7).

    Args:
      x: feature maps.
      head: "gap", the mean over places, d = c; or "flatten", which keeps places apart, d = h w c.
      owner: name of the network, for the message.

    Raises:
      TaskError: for another `head`.

    References:
      Lin et al., "Network In Network", 2013, arXiv:1312.4400 (global average pooling).
    """
    if head not in ("gap", "flatten"):
        raise TaskError(f"{owner}.head needs 'gap' or 'flatten', got {head!r}.")
    return x.mean(axis=(1, 2)) if head == "gap" else x.reshape(x.shape[0], -1)
