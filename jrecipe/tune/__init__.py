"""Tuning: spaces, random and quasi-random search, populations, Bayesian search, reports (E)."""

from jrecipe.tune.designs import grid, random, sobol
from jrecipe.tune.parameters import Choice, Int, LogUniform, Uniform, When
from jrecipe.tune.space import Space

__all__ = ["Choice", "Int", "LogUniform", "Space", "Uniform", "When", "grid", "random", "sobol"]
