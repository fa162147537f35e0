"""A recurrent network with long short-term memory (C1)."""

from __future__ import annotations

import flax.linen as nn

from jrecipe.models.recurrent import Recurrent


class LSTM(Recurrent):
    """An LSTM over tokens int[b, t] or numbers [b, t, d], then a linear head; see `Recurrent`.

    References:
      Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997.
      Gers et al., "Learning to Forget", 2000 (the forget gate).
    """

    cell = nn.OptimizedLSTMCell
