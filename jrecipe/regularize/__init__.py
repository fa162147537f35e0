"""Regularisers of the update: decay, limits, pulls and noise, each an optax transformation (D10).

What acts inside the network is a layer (`jr.models`: dropout, stochastic depth), what acts on the
targets is an argument of the loss (label smoothing), and what acts on the run is an option of
`jr.fit` (early stopping).
"""

from jrecipe.regularize.decay import adamw, add_l2, decay_mask
from jrecipe.regularize.gradient_noise import gradient_noise
from jrecipe.regularize.l2_sp import l2_sp
from jrecipe.regularize.max_norm import max_norm

__all__ = ["adamw", "add_l2", "decay_mask", "gradient_noise", "l2_sp", "max_norm"]
