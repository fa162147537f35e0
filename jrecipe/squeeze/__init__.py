"""The last per cent of a trained network: ensembles, soups, distillation (F)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jrecipe.squeeze.distil_layers import distil_encoder, every_other_layer
    from jrecipe.squeeze.distillation import distil, student_of
    from jrecipe.squeeze.ensemble_folder import load_ensemble, load_network, save
    from jrecipe.squeeze.ensemble_scores import EnsembleScores, calibration_error
    from jrecipe.squeeze.ensemble_training import ensemble
    from jrecipe.squeeze.ensembles import Ensemble, ensemble_of
    from jrecipe.squeeze.task_network import TaskNetwork, refresh_statistics
    from jrecipe.squeeze.snapshot import snapshots
    from jrecipe.squeeze.soup import Soup, greedy_soup

_NAMES = {
    "Ensemble": "ensembles",
    "EnsembleScores": "ensemble_scores",
    "TaskNetwork": "task_network",
    "Soup": "soup",
    "calibration_error": "ensemble_scores",
    "distil": "distillation",
    "distil_encoder": "distil_layers",
    "ensemble": "ensemble_training",
    "ensemble_of": "ensembles",
    "every_other_layer": "distil_layers",
    "greedy_soup": "soup",
    "load_ensemble": "ensemble_folder",
    "load_network": "ensemble_folder",
    "refresh_statistics": "task_network",
    "save": "ensemble_folder",
    "snapshots": "snapshot",
    "student_of": "distillation",
}
__all__ = [
    "Ensemble",
    "EnsembleScores",
    "TaskNetwork",
    "Soup",
    "calibration_error",
    "distil",
    "distil_encoder",
    "ensemble",
    "ensemble_of",
    "every_other_layer",
    "greedy_soup",
    "load_ensemble",
    "load_network",
    "refresh_statistics",
    "save",
    "snapshots",
    "student_of",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jrecipe.squeeze.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.squeeze' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
