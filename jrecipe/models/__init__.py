"""Networks in their plainest form (C1), and the adapters that turn any network into a `Model`.

The names load when they are first used, since `jrecipe.task` needs `adapt` but not flax.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Conv": "conv",
    "ConvNet": "convnet",
    "Dropout": "dropout",
    "Linear": "linear",
    "MLP": "mlp",
    "SpatialDropout": "dropout",
    "StochasticDepth": "dropout",
    "as_model": "adapt",
    "in_precision": "precision",
    "remat": "rematerialize",
}
__all__ = [
    "MLP",
    "Conv",
    "ConvNet",
    "Dropout",
    "Linear",
    "SpatialDropout",
    "StochasticDepth",
    "as_model",
    "in_precision",
    "remat",
]

if TYPE_CHECKING:
    from jrecipe.models.adapt import as_model
    from jrecipe.models.conv import Conv
    from jrecipe.models.convnet import ConvNet
    from jrecipe.models.dropout import Dropout, SpatialDropout, StochasticDepth
    from jrecipe.models.linear import Linear
    from jrecipe.models.mlp import MLP
    from jrecipe.models.precision import in_precision
    from jrecipe.models.rematerialize import remat


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jrecipe.models.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
