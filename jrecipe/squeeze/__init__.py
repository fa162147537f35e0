"""Trained networks made smaller, and made into files that run without their code (J8, J9).

| for | names |
| --- | --- |
| a network with its numbers, of a `Fit` | `Network`, `network_of` |
| weights in 8 bits, and layers computed in them | `quantise`, `quantise_activations` |
| training that foresees 8 bits | `quantise_aware` |
| weights at exactly 0, as the last link of an optimiser | `prune`, `sparsity`, `all_but_last` |
| some more updates on the way to either | `train_on` |
| weights as products of thin matrices | `low_rank` |
| size, latency, throughput and accuracy beside the original | `compare`, `Comparison` |
| StableHLO, ONNX and safetensors, checked before they are written | `export`, `Meaning` |
| what was exported, without the network's code | `load_exported`, `Exported`, `is_exported` |
"""

from jrecipe.squeeze.compare import Comparison, compare
from jrecipe.squeeze.export import export
from jrecipe.squeeze.export_meaning import Meaning
from jrecipe.squeeze.last_layer import all_but_last
from jrecipe.squeeze.load_exported import Exported, is_exported, load_exported
from jrecipe.squeeze.low_rank import low_rank
from jrecipe.squeeze.network import Network, network_of
from jrecipe.squeeze.prune import prune, sparsity
from jrecipe.squeeze.quantise import quantise
from jrecipe.squeeze.quantise_activations import quantise_activations
from jrecipe.squeeze.quantise_aware import quantise_aware
from jrecipe.squeeze.train_on import train_on

__all__ = [
    "Comparison",
    "Exported",
    "Meaning",
    "Network",
    "all_but_last",
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
    "train_on",
]
