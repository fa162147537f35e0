"""Trained networks made smaller, and made into files that run without their code (J8, J9).

| for | names |
| --- | --- |
| a network with its numbers, of a `Fit` | `Network`, `network_of` |
| weights in 8 bits, and layers computed in them | `quantise`, `quantise_activations` |
| training that foresees 8 bits | `quantise_aware` |
| weights at exactly 0, as the last link of an optimiser | `prune`, `sparsity` |
| weights as products of thin matrices | `low_rank` |
| size, latency, throughput and accuracy beside the original | `compare`, `Comparison` |
| StableHLO, ONNX and safetensors, checked before they are written | `export`, `Meaning` |
| what was exported, without the network's code | `load_exported`, `Exported`, `is_exported` |

The names load when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Comparison": "compare",
    "Exported": "load_exported",
    "Meaning": "export_meaning",
    "Network": "network",
    "compare": "compare",
    "export": "export",
    "is_exported": "load_exported",
    "load_exported": "load_exported",
    "low_rank": "low_rank",
    "network_of": "network",
    "prune": "prune",
    "quantise": "quantise",
    "quantise_activations": "quantise_activations",
    "quantise_aware": "quantise_aware",
    "sparsity": "prune",
}
__all__ = [
    "Comparison",
    "Exported",
    "Meaning",
    "Network",
    "compare",
    "export",
    "is_exported",
    "load_exported",
    "low_rank",
    "network_of",
    "prune",
    "quantise",
    "quantise_activations",
    "quantise_aware",
    "sparsity",
]

if TYPE_CHECKING:
    from jrecipe.squeeze.compare import Comparison, compare
    from jrecipe.squeeze.export import export
    from jrecipe.squeeze.export_meaning import Meaning
    from jrecipe.squeeze.load_exported import Exported, is_exported, load_exported
    from jrecipe.squeeze.low_rank import low_rank
    from jrecipe.squeeze.network import Network, network_of
    from jrecipe.squeeze.prune import prune, sparsity
    from jrecipe.squeeze.quantise import quantise
    from jrecipe.squeeze.quantise_activations import quantise_activations
    from jrecipe.squeeze.quantise_aware import quantise_aware


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jrecipe.squeeze.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.squeeze' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
