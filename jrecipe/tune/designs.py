"""Which points to try: at random, evenly spread, or on a grid (E)."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np

from jrecipe.tune.space import Params, Space
from jrecipe.types import TaskError


def random(space: Space, count: int, seed: int = 0) -> list[Params]:
    """Returns `count` points drawn independently.

    Every point has a value of its own for each parameter, so that of those that matter as many
    values are tried as there are points, however many others there are beside them.

    Args:
      space: what is searched.
      count: how many, >= 1.
      seed: decides the points.

    References:
      Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", 2012.

    Example:
      >>> import jrecipe as jr
      >>> space = Space({"x": jr.tune.Uniform(0.0, 1.0)})
      >>> random(space, 2) == random(space, 3)[:2]  # more points go on with the same
      True
    """
    _require("random", count)
    points = np.random.default_rng(seed).random((count, len(space)))
    return [space.at(point) for point in points]


def sobol(space: Space, count: int, seed: int = 0) -> list[Params]:
    """Returns the first `count` points of a scrambled Sobol sequence: spread more evenly.

    It leaves no large holes as random points do, most evenly for a power of two. Points are not
    independent, so their spread is no standard error.

    Args:
      space: what is searched.
      count: how many, >= 1.
      seed: of the scrambling.

    References:
      Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals",
      1967; Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998.
    """
    from scipy.stats import qmc

    _require("sobol", count)
    sequence = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    with warnings.catch_warnings():
        # A number that is no power of two is less even, and no fault.
        warnings.filterwarnings("ignore", message="The balance properties of Sobol")
        points = sequence.random(count)
    return [space.at(point) for point in np.minimum(points, np.nextafter(1.0, 0.0))]


def grid(space: Space, count: int) -> list[Params]:
    """Returns the finest grid of at most `count` points, to be compared with; do not use it.

    Each parameter has `floor(count^(1/d))` values, at the middle of equal parts of its range, so
    that of those that matter only so few are tried.

    Args:
      space: what is searched, without conditions.
      count: most points, >= 1.
    """
    _require("grid", count)
    each = math.floor(count ** (1 / len(space)) + 1e-9)
    if each < 2:
        raise TaskError(
            f"grid needs 2^{len(space)} = {2 ** len(space)} points for {len(space)} parameters, "
            f"got count={count}; use random or sobol, which do with any number."
        )
    middles = (np.arange(each) + 0.5) / each
    return [space.at(point) for point in itertools.product(middles, repeat=len(space))]


DESIGNS = {"random": random, "sobol": sobol}


def _require(design: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise TaskError(f"{design} needs a count >= 1, got {count!r}.")
