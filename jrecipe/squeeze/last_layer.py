"""Which weights may lose whole units: all but those of the layer that makes the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jrecipe.regularize.decay import decay_mask, path_name
from jrecipe.squeeze.network import Network
from jrecipe.train.init_well import find_head_bias
from jrecipe.types import PyTree, TaskError


def all_but_last(network: Network, inputs: PyTree) -> PyTree:
    """Returns `decay_mask` of the parameters without the last layer, for `prune(structured=True)`.

    The last layer is found by what it does: its bias is added to the outputs.

    Args:
      network: whose outputs are one array.
      inputs: [b, ...], a few.

    Raises:
      TaskError: if no parameter is added to the outputs.
    """
    bias = find_head_bias(network.model, network.params, network.state, inputs)
    if bias is None:
        raise TaskError(
            f"the network {network.model.name!r} adds no bias to its outputs, so that its last "
            "layer, whose units have to stay, is not known; give prune a mask that leaves it out."
        )
    layer = bias.rpartition("/")[0] + "/"

    def stays(path: Sequence[Any], use: bool) -> bool:
        return use and not path_name(path).startswith(layer)

    return jax.tree_util.tree_map_with_path(stays, decay_mask(network.params))
