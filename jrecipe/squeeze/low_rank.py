"""Weights as products of two thin matrices (J8)."""

from __future__ import annotations

import jax
import numpy as np

from jrecipe.regularize.decay import Mask, decay_mask
from jrecipe.squeeze.network import Network, require_params
from jrecipe.squeeze.packed import LowRank, packed_model
from jrecipe.types import Array, PyTree, TaskError


def low_rank(network: Network, keep: int | float, *, mask: Mask = decay_mask) -> Network:
    """Returns the network with each weight as the nearest product `left @ right` of low rank.

    A kernel [h, w, in, out] counts as a matrix of h * w * in rows. A weight that would take no less
    space so stays as it is. A file of it is smaller; the network multiplies the two out before it
    computes, so it is no faster.

    Args:
      network: of any framework.
      keep: the rank, an integer >= 1; or a share in (0, 1): the lowest rank for each weight that
        keeps so much of the sum of its squares.
      mask: which parameters are factored; of these, arrays of two axes or more.

    Raises:
      TaskError: if `keep` is neither, or the network has no parameters.

    References:
      Eckart and Young, "The approximation of one matrix by another of lower rank", 1936.
    """
    whole = isinstance(keep, int | np.integer) and not isinstance(keep, bool) and keep >= 1
    if not whole and not (isinstance(keep, float) and 0.0 < keep < 1.0):
        raise TaskError(
            f"low_rank needs a rank >= 1 or a share of the squares in (0, 1), got {keep!r}; try "
            "0.95."
        )
    require_params(network, "low_rank")
    chosen = mask(network.params) if callable(mask) else mask

    def pack(use: bool, branch: PyTree) -> PyTree:  # a mask may name a whole branch
        return jax.tree.map(lambda leaf: _factored(leaf, keep) if use else leaf, branch)

    params = jax.tree.map(pack, chosen, network.params)
    return network.replace(model=packed_model(network.model), params=params)


def _factored(weight: Array, keep: int | float) -> Array | LowRank:
    if np.ndim(weight) < 2:
        return weight
    matrix = np.asarray(weight, np.float64).reshape(-1, weight.shape[-1])
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    rank = int(keep) if isinstance(keep, int | np.integer) else _rank(singular, float(keep))
    rank = min(rank, len(singular))
    if rank * sum(matrix.shape) >= matrix.size:
        return weight
    root = np.sqrt(singular[:rank])  # half to each, so that both have weights of one size
    dtype = np.asarray(weight).dtype
    return LowRank(
        (left[:, :rank] * root).astype(dtype),
        (root[:, None] * right[:rank]).astype(dtype),
        tuple(weight.shape),
    )


def _rank(singular: np.ndarray, share: float) -> int:
    """Returns the lowest rank that keeps a share of the squares of float[n], falling."""
    squares = np.cumsum(np.square(singular))
    return int(np.searchsorted(squares, share * squares[-1])) + 1
