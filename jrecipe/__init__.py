"""jrecipe: Karpathy's recipe for training neural networks, as software, in JAX.

The names below load when they are first used, so that `import jrecipe` and `jrecipe --help` stay
quick. `jr.check(task)` checks a task, `jr.fit(task)` trains it, `jr.cook(task)` does the whole
recipe.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jrecipe.version import __version__

_MODULES = (
    "augment",
    "checks",
    "data",
    "explore",
    "figures",
    "finetune",
    "generate",
    "human",
    "losses",
    "metrics",
    "models",
    "regularize",
    "report",
    "rungs",
    "squeeze",
    "testing",
    "train",
)
_NAMES = {
    "Batch": "types",
    "Model": "types",
    "Source": "types",
    "TaskError": "types",
    "Task": "task",
    "Trainer": "task",
    "Finding": "checks.result",
    "Suspect": "checks.result",
    "Verdict": "checks.result",
    "Fit": "train.fitted",
    "TrainState": "train.state",
    "evaluate": "train.evaluate",
    "fit": "train.loop",
    "init_well": "train.init_well",
    "inspect": "explore",
    "ladder": "rungs",
    "look_inside": "checks.inside",
    "make_train_step": "train.step",
    "Report": "report",
    "check": "recipe",
    "check_fit": "recipe",
    "cook": "recipe",
}
__all__ = ["__version__", *_MODULES, *_NAMES]

if TYPE_CHECKING:
    from jrecipe import (
        augment,
        checks,
        data,
        explore,
        figures,
        finetune,
        generate,
        human,
        losses,
        metrics,
        models,
        regularize,
        report,
        rungs,
        squeeze,
        testing,
        train,
    )
    from jrecipe.checks.inside import look_inside
    from jrecipe.checks.result import Finding, Suspect, Verdict
    from jrecipe.explore.surveying import inspect
    from jrecipe.recipe import check, check_fit, cook
    from jrecipe.report import Report
    from jrecipe.rungs import ladder
    from jrecipe.task import Task, Trainer
    from jrecipe.train.evaluate import evaluate
    from jrecipe.train.fitted import Fit
    from jrecipe.train.init_well import init_well
    from jrecipe.train.loop import fit
    from jrecipe.train.state import TrainState
    from jrecipe.train.step import make_train_step
    from jrecipe.types import Batch, Model, Source, TaskError


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"jrecipe.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jrecipe.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
