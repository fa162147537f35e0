"""A network for a task that starts from pre-trained weights (D4, H6)."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax

from jrecipe.finetune.head_swap import with_head
from jrecipe.finetune.load import PretrainedText
from jrecipe.models.adapt import as_model
from jrecipe.models.t5 import T5
from jrecipe.types import Key, Model, PyTree


def start_from(network: nn.Module, found: PretrainedText) -> Model:
    """Returns a network whose `init` gives the loaded encoder, and a head drawn by the key.

    Args:
      network: with its encoder under "encoder", such as
        `jr.models.TextClassifier(found.module, outputs=2)`; or a `jr.models.T5`, which keeps its
        last layer.
      found: what `load_pretrained` returned. A pooler that the network does not use is left out.

    Raises:
      TaskError: from `init`, if the network's encoder has other parameters than the loaded one.
    """
    model = as_model(network)

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        fresh, state = model.init(key, inputs)
        if isinstance(found.module, T5):
            begun = with_head(found.params, fresh)
            begun |= {"head": found.params["head"]} if "head" in fresh else {}  # that of the words
        else:
            used = fresh.get("encoder", {})
            body = {n: part for n, part in found.params.items() if n != "pooler" or n in used}
            begun = with_head({"encoder": body}, fresh)
        # Copies: a step may donate them, and what was loaded is used again.
        return jax.tree.map(jax.numpy.array, begun), state

    return dataclasses.replace(model, init=init)
