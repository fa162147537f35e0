"""Tuning: spaces, random and quasi-random search, populations, Bayesian search, reports (E)."""

from jrecipe.tune.attempt import StopTrialError
from jrecipe.tune.designs import grid, random, sobol
from jrecipe.tune.importance import Importance, importance
from jrecipe.tune.parameters import Choice, Int, LogUniform, Uniform, When
from jrecipe.tune.population import Halving, population
from jrecipe.tune.rerun import Interval, Rerun, rerun
from jrecipe.tune.search import search
from jrecipe.tune.space import Space
from jrecipe.tune.story import tuning_report
from jrecipe.tune.study import study
from jrecipe.tune.task_objective import TaskObjective
from jrecipe.tune.trials import Trial, best_of, read_trials

__all__ = [
    "Choice",
    "Halving",
    "Importance",
    "Int",
    "Interval",
    "LogUniform",
    "Rerun",
    "Space",
    "StopTrialError",
    "TaskObjective",
    "Trial",
    "Uniform",
    "When",
    "best_of",
    "grid",
    "importance",
    "population",
    "random",
    "read_trials",
    "rerun",
    "search",
    "sobol",
    "study",
    "tuning_report",
]
