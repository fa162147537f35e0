"""Learning-rate schedules stated in fractions of this run (C4).

A schedule copied from another run, in its steps, is the trap: 30,000 steps of decay in a run of
2,000 are no decay, and 2,000 in a run of 30,000 leave the network still. So each of these takes
the steps of the run, and everything else is a share of it. They return optax schedules,
`count int32[] -> rate float32[]`; `preview` draws one.

A constant rate is the default of jrecipe, and of the recipe: decay comes last.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import numpy as np
import optax

from jrecipe.figures import Curves
from jrecipe.types import TaskError


def constant(rate: float, steps: int, *, warm_up: float = 0.0) -> optax.Schedule:
    """Returns a constant rate, after a linear warm-up from 0.

    Args:
      rate: >= 0.
      steps: of the run, >= 1.
      warm_up: share of the run, 0 to below 1.

    Raises:
      TaskError: if an argument is out of range, as for all schedules here.
    """
    warm, _ = _split(rate, steps, warm_up)
    return _warmed(rate, warm, optax.constant_schedule(rate))


def linear(rate: float, steps: int, *, end: float = 0.0, warm_up: float = 0.0) -> optax.Schedule:
    """Returns a straight line from `rate` to `end` times it, after a linear warm-up from 0.

    Args:
      rate: >= 0.
      steps: of the run, >= 1.
      end: share of the rate at the last step, 0 to 1.
      warm_up: share of the run, 0 to below 1.

    References:
      Devlin et al., "BERT", 2019, appendix A.2: a tenth of warm-up, then a line to 0.

    Example:
      >>> rate = linear(1e-3, steps=100, warm_up=0.1)
      >>> [round(float(rate(step)), 6) for step in (0, 5, 10, 55, 100)]
      [0.0, 0.0005, 0.001, 0.0005, 0.0]
    """
    _require_share("end", end)
    warm, rest = _split(rate, steps, warm_up)
    return _warmed(rate, warm, optax.linear_schedule(rate, end * rate, rest))


def cosine(rate: float, steps: int, *, end: float = 0.0, warm_up: float = 0.0) -> optax.Schedule:
    """Returns half a cosine from `rate` to `end` times it, after a linear warm-up from 0.

    Args:
      rate: >= 0.
      steps: of the run, >= 1.
      end: share of the rate at the last step, 0 to 1.
      warm_up: share of the run, 0 to below 1.

    References:
      Loshchilov and Hutter, "SGDR", 2017.
    """
    _require_share("end", end)
    warm, rest = _split(rate, steps, warm_up)
    return _warmed(rate, warm, optax.cosine_decay_schedule(rate, rest, end))


def exponential(
    rate: float, steps: int, *, end: float = 0.01, warm_up: float = 0.0
) -> optax.Schedule:
    """Returns a rate that shrinks by the same factor each step, down to `end` times itself.

    Args:
      rate: >= 0.
      steps: of the run, >= 1.
      end: share of the rate at the last step, above 0 to 1.
      warm_up: share of the run, 0 to below 1.
    """
    _require_share("end", end)
    if end == 0:
        raise TaskError("exponential needs end > 0, got 0: it never gets there; 0.01 is usual.")
    warm, rest = _split(rate, steps, warm_up)
    return _warmed(rate, warm, optax.exponential_decay(rate, rest, end, end_value=end * rate))


def stepwise(
    rate: float,
    steps: int,
    *,
    at: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
    warm_up: float = 0.0,
) -> optax.Schedule:
    """Returns a rate that is multiplied by `factor` at each of some points of the run.

    Args:
      rate: >= 0.
      steps: of the run, >= 1.
      at: shares of the whole run, ascending, each after the warm-up and below 1.
      factor: at each point, above 0 to 1.
      warm_up: share of the run, 0 to below 1.

    References:
      He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2: CIFAR-10 nets
      divide the rate by 10 at 50 % and 75 % of the run.
    """
    _require_share("factor", factor)
    warm, _ = _split(rate, steps, warm_up)
    points = [warm_up, *at, 1.0]
    if factor == 0 or any(a >= b for a, b in itertools.pairwise(points)):
        raise TaskError(
            f"stepwise needs factor > 0 and points that ascend between warm_up and 1, got "
            f"{factor=}, at={tuple(at)!r}, {warm_up=}."
        )
    drops = {round(point * steps) - warm: factor for point in at}
    return _warmed(rate, warm, optax.piecewise_constant_schedule(rate, drops))


def one_cycle(
    rate: float,
    steps: int,
    *,
    peak: float = 0.3,
    start: float = 0.04,
    end: float = 1e-4,
) -> optax.Schedule:
    """Returns one cycle: half a cosine up to `rate`, and another down.

    Args:
      rate: at the peak, >= 0.
      steps: of the run, >= 2.
      peak: share of the run at which it comes, 0 to 1, both excluded.
      start: share of the peak at the first step.
      end: share of the first rate at the last step.

    References:
      Smith and Topin, "Super-Convergence", 2018.
    """
    _require_share("start", start)
    _require_share("end", end)
    _split(rate, steps, 0.0)
    if not 0 < peak < 1 or steps < 2 or start == 0 or end == 0:
        raise TaskError(
            f"one_cycle needs 0 < peak < 1, start > 0, end > 0 and steps >= 2, got {peak=}, "
            f"{start=}, {end=}, {steps=}."
        )
    return optax.cosine_onecycle_schedule(steps, rate, peak, 1 / start, 1 / end)


def preview(schedule: optax.Schedule, steps: int) -> Curves:
    """Returns the rate over a run as a figure.

    Args:
      schedule: `count -> rate`, from here or from optax.
      steps: of the run, >= 1; a schedule written for another number shows itself.
    """
    at = np.unique(np.linspace(0, steps, 513).astype(np.int32))
    rates = np.asarray(jax.vmap(schedule)(at), np.float64) * np.ones(len(at))
    return Curves(
        title=f"Learning rate over {steps} steps: {rates[0]:.3g} at first, at most "
        f"{rates.max():.3g}, {rates[-1]:.3g} at the end",
        x=at,
        lines={"learning rate": rates},
        ylabel="learning rate",
    )


def _split(rate: float, steps: int, warm_up: float) -> tuple[int, int]:
    """Returns the steps of the warm-up and those after it."""
    if not rate >= 0:
        raise TaskError(f"a schedule needs a rate >= 0, got {rate!r}.")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise TaskError(f"a schedule needs the steps of the run, >= 1, got {steps!r}.")
    if not 0 <= warm_up < 1:
        raise TaskError(
            f"a schedule needs warm_up as a share of the run, 0 to below 1, got {warm_up!r}; "
            f"divide a number of steps by {steps}."
        )
    warm = min(round(warm_up * steps), int(steps) - 1)
    return warm, int(steps) - warm


def _warmed(rate: float, warm: int, after: optax.Schedule) -> optax.Schedule:
    """Puts a line from 0 to `rate` over `warm` steps before a schedule."""
    if warm == 0:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warm), after], [warm])


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise TaskError(f"a schedule needs {name} as a share, 0 to 1, got {value!r}.")
