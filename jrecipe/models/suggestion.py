"""Which network to begin with: the plainest one that fits the data ("don't be a hero", C1)."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn

from jrecipe.models.convnet import ConvNet
from jrecipe.models.facts import Facts, facts_of
from jrecipe.models.gpt import GPT
from jrecipe.models.gru import GRU
from jrecipe.models.mlp import MLP
from jrecipe.models.resnet import ResNet

SMALL, LARGE = 16, 64  # pixels of the shorter side: below one stage less, from there on a ResNet


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """A network to begin with.

    Attributes:
      model: the Linen module, ready for `jr.Task`.
      name: of the network, as "ConvNet".
      why: one or two sentences with the numbers it was chosen by.
    """

    model: nn.Module
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


def suggest(data: Any) -> Suggestion:
    """Names the plainest network that fits a data set, and says why (C1).

    | inputs, one example | network |
    | --- | --- |
    | vector or table float[d] | `MLP`, 2 layers of 128 |
    | text as tf-idf weights float[v] | `MLP`, 2 layers of 128 |
    | picture [h, w, c] below 16 pixels | `ConvNet`, 1 convolution a stage, "flatten" |
    | picture [h, w, c] of 16 to 63 pixels | `ConvNet`, 2 convolutions a stage, "flatten" |
    | picture [h, w, c] of 64 pixels or more | `ResNet`, depth 18 |
    | grey picture without its axis [h, w] | `MLP`, 2 layers of 128 |
    | series float[t, d] | `GRU` |
    | tokens int[t], one answer | `GRU` with an embedding |
    | tokens int[t], a token at each place | `GPT`, 4 blocks of 128 |
    | any other array | `MLP`, 2 layers of 128 |

    Two axes are a picture if they are uint8 or square from 8x8 on, else a series; integers wider
    than 8 bits along one axis are tokens.

    Args:
      data: a `jr.Task` (its own network is not looked at), what `jr.data.load` returns, a source,
        or a pair (inputs, targets).

    Raises:
      TaskError: for anything else, or inputs that are a pytree other than (sequences, lengths).

    Source: Karpathy, "A Recipe for Training Neural Networks", 2019, "don't be a hero".

    Example:
      >>> import numpy as np
      >>> pair = np.zeros((50, 28, 28, 1), np.float32), np.arange(50) % 10
      >>> print(suggest(pair))
      ConvNet: 50 pictures of 28x28x1 for 10 classes. The plainest network that uses where \
pixels lie: 3 stages of 2 3x3 convolutions.
    """
    facts = facts_of(data)
    options: dict[str, Any] = {"squeeze": facts.squeeze}
    seen = f"{facts.rows:,} {_inputs(facts)} for {_answers(facts)}."
    if facts.targets == "tokens" and facts.kind == "tokens":
        length = facts.shape[0]
        return Suggestion(
            GPT(facts.outputs, length=length),
            "GPT",
            f"{seen} A token at each place is what a decoder-only transformer answers; four blocks "
            "of width 128 are enough to see whether the rest works.",
        )
    if facts.kind in ("tokens", "series"):
        read = "embeds the tokens and reads" if facts.vocabulary else "reads"
        return Suggestion(
            GRU(facts.outputs, vocabulary=facts.vocabulary, **options),
            "GRU",
            f"{seen} Order matters and the answer is one: a GRU {read} them one step at a time.",
        )
    if facts.kind == "picture" and min(facts.shape[:2]) >= LARGE:
        return Suggestion(
            ResNet(facts.outputs, depth=18, **options),
            "ResNet",
            f"{seen} At this size ResNet-18 costs less than plain convolutions, since it shrinks "
            "pictures by four at once; pretrained weights (jr.models.load_pretrained) come before "
            "a larger one.",
        )
    if facts.kind == "picture":
        depth = 1 if min(facts.shape[:2]) < SMALL else 2
        stages = ConvNet(1).stages(facts.shape)
        layers = "3x3 convolution" if depth == 1 else "3x3 convolutions"
        return Suggestion(
            ConvNet(facts.outputs, width=32, depth=depth, head="flatten", **options),
            "ConvNet",
            f"{seen} The plainest network that uses where pixels lie: {stages} stages of {depth} "
            f"{layers}.",
        )
    return Suggestion(MLP(facts.outputs, **options), "MLP", f"{seen} {_REASONS[facts.kind]}")


_REASONS = {
    "vector": "Columns without an order need no more than two hidden layers; Linear is the rung "
    "below.",
    "table": "Columns without an order need no more than two hidden layers; Linear is the rung "
    "below.",
    "text": "The order of the words is gone already, so two hidden layers; Linear is the rung "
    "below.",
    "grey": "As they are, without an axis for the channel, only an MLP takes them; with x[..., "
    "None] a ConvNet fits better.",
    "other": "No network here knows this shape, so two hidden layers on the flattened numbers.",
}


def _inputs(facts: Facts) -> str:
    shape = "x".join(str(size) for size in facts.shape)
    return {
        "vector": f"vectors of {shape}",
        "table": f"rows of a table, {shape} numbers each",
        "text": f"texts as weights of {shape} words",
        "picture": f"pictures of {shape}",
        "grey": f"grey pictures of {shape}",
        "series": f"series of {shape} (steps x numbers)",
        "tokens": f"sequences of {shape} tokens out of {facts.vocabulary}",
        "other": f"arrays of {shape}",
    }[facts.kind]


def _answers(facts: Facts) -> str:
    count = facts.outputs
    return {
        "classes": f"{count} classes",
        "binary": "yes or no" if count == 1 else f"{count} times yes or no",
        "multilabel": f"{count} labels",
        "number": "one number" if count == 1 else f"{count} numbers",
        "tokens": f"a token out of {count} at each place",
    }[facts.targets]
