"""One call of an objective that may be anybody's code (E)."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from jrecipe.tune.space import Params
from jrecipe.types import one_line

Report = Callable[[int, float], None]
Objective = Callable[[Params, Report], Any]  # -> float, or (float, {name: float})
HOPELESS = 5  # failures without one success, after which a search ends


class StopTrialError(Exception):
    """Raised by `report` where other trials were better at that step; pass it on."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a call came to.

    Attributes:
      value: what is minimised; NaN if it failed.
      numbers: what else was measured.
      why: what went wrong, "" if nothing.
    """

    value: float
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    why: str = ""


def attempt(objective: Objective, params: Params, report: Report) -> Outcome:
    """Calls an objective; what it raises, and what is no finite number, is a failed trial.

    Raises:
      StopTrialError: if `report` did.
    """
    try:
        given = objective(dict(params), report)
    except StopTrialError:
        raise
    except Exception as error:  # the objective is the user's: what raises is a finding
        return Outcome(math.nan, why=one_line(f"{type(error).__name__}: {error}")[:500])
    value, others = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
    try:
        value = float(value)
    except (TypeError, ValueError):
        return Outcome(math.nan, why=f"{given!r} in place of a number")
    if not math.isfinite(value):
        return Outcome(math.nan, why=f"the value {value}, which is not finite")
    kept = {k: float(v) for k, v in others.items() if isinstance(v, numbers.Real)}
    return Outcome(value, kept)
