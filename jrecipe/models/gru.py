"""A recurrent network with gated recurrent units (C1)."""

from __future__ import annotations

import flax.linen as nn

from jrecipe.models.recurrent import Recurrent


class GRU(Recurrent):
    """A GRU over tokens int[b, t] or numbers [b, t, d], then a linear head; see `Recurrent`.

    References:
      Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014,
      arXiv:1406.1078.
    """

    cell = nn.GRUCell
