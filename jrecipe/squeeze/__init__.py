"""The last per cent of a trained network, and what it takes to run it elsewhere (F, J8, J9).

| for | names |
| --- | --- |
| the mean of the probabilities of several | `ensemble`, `ensemble_of`, `snapshots`, `Ensemble` |
| one network of mean weights | `greedy_soup`, `Soup`, `refresh_statistics` |
| one network that learns what others say | `distil`, `student_of`, `student_fit`, `TaskNetwork` |
| a BERT of fewer layers | `every_other_layer`, `distil_encoder` |
| what an ensemble gains, and how sure it is | `EnsembleScores`, `calibration_error` |
| both as findings of a report | `judge_ensemble`, `judge_smaller` |
| an ensemble or a network on disk | `save`, `load_ensemble`, `load_network` |
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

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# A module would hide the function of its name if that came later.
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

if TYPE_CHECKING:
    from jrecipe.squeeze.distil_layers import distil_encoder, every_other_layer
    from jrecipe.squeeze.distillation import distil, student_fit, student_of
    from jrecipe.squeeze.ensemble_folder import load_ensemble, load_network, save
    from jrecipe.squeeze.ensemble_scores import EnsembleScores, calibration_error
    from jrecipe.squeeze.ensemble_training import ensemble
    from jrecipe.squeeze.ensembles import Ensemble, ensemble_of
    from jrecipe.squeeze.judged import judge_ensemble, judge_smaller
    from jrecipe.squeeze.snapshot import snapshots
    from jrecipe.squeeze.soup import Soup, greedy_soup
    from jrecipe.squeeze.task_network import TaskNetwork, refresh_statistics

# Loaded when they are asked for, as what was exported runs without the code of networks.
_LATER = {
    "Ensemble": "ensembles",
    "EnsembleScores": "ensemble_scores",
    "Soup": "soup",
    "TaskNetwork": "task_network",
    "calibration_error": "ensemble_scores",
    "distil": "distillation",
    "distil_encoder": "distil_layers",
    "ensemble": "ensemble_training",
    "ensemble_of": "ensembles",
    "every_other_layer": "distil_layers",
    "greedy_soup": "soup",
    "judge_ensemble": "judged",
    "judge_smaller": "judged",
    "load_ensemble": "ensemble_folder",
    "load_network": "ensemble_folder",
    "refresh_statistics": "task_network",
    "save": "ensemble_folder",
    "snapshots": "snapshot",
    "student_fit": "distillation",
    "student_of": "distillation",
}
__all__ = [
    "Comparison",
    "Ensemble",
    "EnsembleScores",
    "Exported",
    "Meaning",
    "Network",
    "Soup",
    "TaskNetwork",
    "all_but_last",
    "calibration_error",
    "compare",
    "distil",
    "distil_encoder",
    "ensemble",
    "ensemble_of",
    "every_other_layer",
    "export",
    "greedy_soup",
    "is_exported",
    "judge_ensemble",
    "judge_smaller",
    "load_ensemble",
    "load_exported",
    "load_network",
    "low_rank",
    "network_of",
    "prune",
    "quantise",
    "quantise_activations",
    "quantise_aware",
    "refresh_statistics",
    "save",
    "snapshots",
    "sparsity",
    "student_fit",
    "student_of",
    "train_on",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(f"jrecipe.squeeze.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.squeeze' has no attribute {name!r}")
