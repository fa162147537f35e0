"""Networks in their plainest form (C1), and the adapters that turn any network into a `Model`.

| for | networks |
| --- | --- |
| vectors, and anything flattened | `Linear`, `MLP` |
| pictures | `ConvNet`, `LeNet`, `ResNetCifar`, `ResNet9`, `ResNet`, `ViT`, `SqueezeNet` |
| sequences with one answer | `GRU`, `LSTM` |
| tokens, the next one at each place | `GPT` |
| texts, for a head; from public weights by `jrecipe.finetune` | `Bert` |
| texts, on an encoder | `TextClassifier`, `Tagger`, `SpanFinder`, `PairSimilarity` |
| hidden words of a text, to pre-train an encoder | `MaskedLM` |
| texts from texts | `T5` |

`suggest(data)` names the plainest fit for a data set and says why. Every network but `Bert`,
`MaskedLM` and `T5` is a Linen module with `outputs`, computes in `dtype` and answers in float32;
its last layer starts at zero unless `head_init` says otherwise, so that the loss at initialisation
is that of an uninformed model (B4);
`module.apply(variables, inputs, method="features")` gives what that layer sees.
`load_pretrained(path)` reads weights together with the normalisation they need (D4).

The names load when they are first used, since `jrecipe.task` needs `adapt` but not flax.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Bert": "bert",
    "Conv": "conv",
    "ConvNet": "convnet",
    "Dropout": "dropout",
    "GPT": "gpt",
    "GRU": "gru",
    "LSTM": "lstm",
    "LeNet": "lenet",
    "Linear": "linear",
    "MLP": "mlp",
    "MaskedLM": "masked_lm",
    "PairSimilarity": "pair_similarity",
    "Pretrained": "pretrained",
    "ResNet": "resnet",
    "ResNet9": "resnet9",
    "ResNetCifar": "resnet_cifar",
    "SpanFinder": "span_finder",
    "SpatialDropout": "dropout",
    "SqueezeNet": "squeezenet",
    "StochasticDepth": "dropout",
    "Suggestion": "suggestion",
    "T5": "t5",
    "Tagger": "tagger",
    "TextClassifier": "text_classifier",
    "ViT": "vit",
    "as_model": "adapt",
    "in_precision": "precision",
    "load_pretrained": "pretrained",
    "remat": "rematerialize",
    "suggest": "suggestion",
}
__all__ = [
    "GPT",
    "GRU",
    "LSTM",
    "MLP",
    "T5",
    "Bert",
    "Conv",
    "ConvNet",
    "Dropout",
    "LeNet",
    "Linear",
    "MaskedLM",
    "PairSimilarity",
    "Pretrained",
    "ResNet",
    "ResNet9",
    "ResNetCifar",
    "SpanFinder",
    "SpatialDropout",
    "SqueezeNet",
    "StochasticDepth",
    "Suggestion",
    "Tagger",
    "TextClassifier",
    "ViT",
    "as_model",
    "in_precision",
    "load_pretrained",
    "remat",
    "suggest",
]

if TYPE_CHECKING:
    from jrecipe.models.adapt import as_model
    from jrecipe.models.bert import Bert
    from jrecipe.models.conv import Conv
    from jrecipe.models.convnet import ConvNet
    from jrecipe.models.dropout import Dropout, SpatialDropout, StochasticDepth
    from jrecipe.models.gpt import GPT
    from jrecipe.models.gru import GRU
    from jrecipe.models.lenet import LeNet
    from jrecipe.models.linear import Linear
    from jrecipe.models.lstm import LSTM
    from jrecipe.models.masked_lm import MaskedLM
    from jrecipe.models.mlp import MLP
    from jrecipe.models.pair_similarity import PairSimilarity
    from jrecipe.models.precision import in_precision
    from jrecipe.models.pretrained import Pretrained, load_pretrained
    from jrecipe.models.rematerialize import remat
    from jrecipe.models.resnet import ResNet
    from jrecipe.models.resnet9 import ResNet9
    from jrecipe.models.resnet_cifar import ResNetCifar
    from jrecipe.models.span_finder import SpanFinder
    from jrecipe.models.squeezenet import SqueezeNet
    from jrecipe.models.suggestion import Suggestion, suggest
    from jrecipe.models.t5 import T5
    from jrecipe.models.tagger import Tagger
    from jrecipe.models.text_classifier import TextClassifier
    from jrecipe.models.vit import ViT


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jrecipe.models.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
