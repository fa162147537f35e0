"""What can be searched: numbers and choices, each a map from [0, 1) to its values (E).

A parameter holds no state and draws nothing. A design draws points of the unit cube, and a
parameter says which value lies there, so that random search, Sobol sequences and grids differ in
nothing but their points.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Protocol

from jrecipe.types import TaskError


class Parameter(Protocol):
    """Something to search over."""

    def at(self, place: float) -> Any:
        """Returns the value at a place in [0, 1)."""

    def place(self, value: Any) -> float:
        """Returns a place in [0, 1] at which `value` lies; the inverse of `at`."""

    @property
    def traced(self) -> bool:
        """Whether members of a population with different values can share a program."""


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A number between two others, each part of the range as likely.

    Attributes:
      low: smallest value.
      high: largest value, > `low`.

    Example:
      >>> Uniform(0.0, 0.5).at(0.5)
      0.25
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _require_range("Uniform", self.low, self.high)

    traced = True

    def at(self, place: float) -> float:
        """Returns the value at a place in [0, 1)."""
        return _within(self.low + place * (self.high - self.low), self.low, self.high)

    def place(self, value: float) -> float:
        """Returns the place of a value."""
        return (value - self.low) / (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A number > 0, each factor of the range as likely: for rates, decay, sizes.

    Attributes:
      low: smallest value, > 0.
      high: largest value, > `low`.

    Example:
      >>> round(LogUniform(1e-4, 1e-2).at(0.5), 12)
      0.001
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _require_range("LogUniform", self.low, self.high)
        if self.low <= 0:
            raise TaskError(
                f"LogUniform needs low > 0, as no factor leads to 0, got low={self.low!r}; use a "
                "small number such as 1e-6, or Choice(0.0, 1e-4, ...) if 0 itself matters."
            )

    traced = True

    def at(self, place: float) -> float:
        """Returns the value at a place in [0, 1)."""
        value = math.exp(math.log(self.low) + place * math.log(self.high / self.low))
        return _within(value, self.low, self.high)

    def place(self, value: float) -> float:
        """Returns the place of a value."""
        return math.log(value / self.low) / math.log(self.high / self.low)


@dataclasses.dataclass(frozen=True)
class Int:
    """A whole number, as the units of a layer; both ends belong to it.

    Attributes:
      low: smallest value.
      high: largest value, >= `low`.
      log: each factor as likely, instead of each number; needs `low` > 0.
      traced: whether it may be traced: then it must change no shape. Otherwise each of its values
        makes a group of a population, with a program of its own.

    Example:
      >>> [Int(1, 3).at(u) for u in (0.0, 0.5, 0.99)]
      [1, 2, 3]
    """

    low: int
    high: int
    log: bool = False
    traced: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TaskError(f"Int needs whole numbers, got {name}={value!r}.")
        if self.low > self.high:
            raise TaskError(f"Int needs low <= high, got low={self.low}, high={self.high}.")
        if self.log and self.low <= 0:
            raise TaskError(
                f"Int(log=True) needs low > 0, as no factor leads to 0, got low={self.low}."
            )

    def at(self, place: float) -> int:
        """Returns the value at a place in [0, 1)."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high + 1)
            value = int(math.exp(low + place * (high - low)))
        else:
            value = self.low + int(place * (self.high + 1 - self.low))
        return min(max(value, self.low), self.high)

    def place(self, value: int) -> float:
        """Returns the place in the middle of those of a value."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high + 1)
            return (math.log(value + 0.5) - low) / (high - low)
        return (value + 0.5 - self.low) / (self.high + 1 - self.low)


@dataclasses.dataclass(frozen=True, init=False)
class Choice:
    """One of some values, each as likely; they need no order.

    Attributes:
      values: at least one, which differ; numbers, texts, bools or None.

    Example:
      >>> Choice("adam", "sgd").at(0.7)
      'sgd'
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if not values:
            raise TaskError("Choice got no values; give at least one, as Choice('adam', 'sgd').")
        for value in values:
            if value is not None and not isinstance(value, bool | int | float | str):
                raise TaskError(
                    f"Choice needs numbers, texts, bools or None, got {value!r}; give names, and "
                    "look them up in the objective."
                )
        kinds = [(type(value), value) for value in values]
        if len(set(kinds)) < len(kinds):
            raise TaskError(f"Choice needs values that differ, got {list(values)}.")
        object.__setattr__(self, "values", values)

    traced = False

    def at(self, place: float) -> Any:
        """Returns the value at a place in [0, 1)."""
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]

    def place(self, value: Any) -> float:
        """Returns the place in the middle of those of a value."""
        return (self.values.index(value) + 0.5) / len(self.values)


@dataclasses.dataclass(frozen=True)
class When:
    """A parameter that exists only where another one has certain values.

    Attributes:
      name: of the other parameter, which stands before this one in the space.
      values: of the other parameter.
      parameter: what is searched there.

    Example:
      >>> momentum = When("optimizer", ("sgd",), Uniform(0.5, 0.99))
    """

    name: str
    values: Sequence[Any]
    parameter: Parameter

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or not isinstance(self.values, Sequence):
            raise TaskError(
                f"When needs a tuple of values of {self.name!r}, got {self.values!r}; write "
                f"({self.values!r},)."
            )
        object.__setattr__(self, "values", tuple(self.values))

    @property
    def traced(self) -> bool:
        """As that of the parameter."""
        return self.parameter.traced

    def at(self, place: float) -> Any:
        """Returns the value at a place in [0, 1), where it exists."""
        return self.parameter.at(place)

    def place(self, value: Any) -> float:
        """Returns the place of a value."""
        return self.parameter.place(value)


def kind_of(parameter: Parameter) -> Parameter:
    """Returns the parameter itself, without its condition."""
    return parameter.parameter if isinstance(parameter, When) else parameter


def _require_range(kind: str, low: Any, high: Any) -> None:
    for name, value in (("low", low), ("high", high)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise TaskError(f"{kind} needs finite numbers, got {name}={value!r}.")
    if not low < high:
        raise TaskError(
            f"{kind} needs low < high, got low={low!r}, high={high!r}; give what is fixed as a "
            "plain value."
        )


def _within(value: float, low: float, high: float) -> float:
    """Returns a value that rounding may have carried past the ends."""
    return min(max(value, low), high)
