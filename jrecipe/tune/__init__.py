"""Tuning: spaces, random and quasi-random search, populations, Bayesian search, reports (E)."""

from jrecipe.tune.attempt import StopTrialError
from jrecipe.tune.designs import grid, random, sobol
from jrecipe.tune.parameters import Choice, Int, LogUniform, Uniform, When
from jrecipe.tune.population import Halving, population
from jrecipe.tune.search import search
from jrecipe.tune.space import Space
from jrecipe.tune.study import study
from jrecipe.tune.trials import Trial, best_of, read_trials

__all__ = [
    "Choice",
    "Halving",
    "Int",
    "LogUniform",
    "Space",
    "StopTrialError",
    "Trial",
    "Uniform",
    "When",
    "best_of",
    "grid",
    "population",
    "random",
    "read_trials",
    "search",
    "sobol",
    "study",
]
