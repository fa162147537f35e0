"""A space: what is searched, and what it is searched for (E)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jrecipe.tune.parameters import Parameter, When, kind_of
from jrecipe.types import TaskError

Params = dict[str, Any]
PLAIN = (bool, int, float, str, type(None))


class Space(Mapping[str, Parameter]):
    """Parameters by name, told apart by what they are for.

    In the words of the Deep Learning Tuning Playbook a parameter is *scientific* if the search is
    to say which of its values is best, *nuisance* if it has to be tuned only so that those values
    are compared fairly, and *fixed* if it stays as it is, which makes what is found hold for that
    value alone.

    Args:
      parameters: name -> what is searched; a plain value is fixed. A `When` stands after the
        parameter that it asks for.
      scientific: names of those that the search is about; all others that are searched are nuisance
        parameters.

    Raises:
      TaskError: if nothing is searched, or a name or condition is not understood.

    References:
      Godbole, Dahl, Gilmer, Shallue and Nado, "Deep Learning Tuning Playbook", 2023.

    Example:
      >>> import jrecipe as jr
      >>> space = jr.tune.Space({"dropout": jr.tune.Uniform(0.0, 0.5), "width": 64})
      >>> space.at([0.5])
      {'width': 64, 'dropout': 0.25}
    """

    def __init__(self, parameters: Mapping[str, Any], scientific: Sequence[str] = ()) -> None:
        if isinstance(scientific, str):
            raise TaskError(
                f"Space.scientific needs a tuple of names, got the text {scientific!r}; write "
                f"({scientific!r},)."
            )
        self.fixed: Params = {}
        self._searched: dict[str, Parameter] = {}
        for name, given in parameters.items():
            if isinstance(given, PLAIN):
                self.fixed[name] = given
            elif callable(getattr(given, "at", None)) and callable(getattr(given, "place", None)):
                self._condition(name, given, parameters)
                self._searched[name] = given
            else:
                raise TaskError(
                    f"Space got {name}={given!r}; it needs Uniform, LogUniform, Int, Choice, When, "
                    "or a plain value that stays fixed."
                )
        if not self._searched:
            raise TaskError(
                f"Space has nothing to search, only {self.fixed or 'no parameters at all'}; give "
                "at least one parameter, as {'rate': LogUniform(1e-4, 1e-1)}."
            )
        for name in scientific:
            if name not in self._searched:
                raise TaskError(
                    f"Space.scientific names {name!r}, which is not searched; there are "
                    f"{', '.join(self._searched)}."
                )
        self.scientific = tuple(scientific)

    def _condition(self, name: str, given: Parameter, parameters: Mapping[str, Any]) -> None:
        if not isinstance(given, When):
            return
        if given.name not in self._searched and given.name not in self.fixed:
            where = "after it" if given.name in parameters else "nowhere"
            raise TaskError(
                f"Space: {name} asks for {given.name!r}, which stands {where}; put it before "
                f"{name}."
            )

    def __getitem__(self, name: str) -> Parameter:
        return self._searched[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._searched)

    def __len__(self) -> int:
        return len(self._searched)

    def __repr__(self) -> str:
        return f"Space({ {**self._searched, **self.fixed} }, scientific={self.scientific})"

    @property
    def nuisance(self) -> tuple[str, ...]:
        """Names of what is tuned so that scientific values are compared fairly."""
        return tuple(name for name in self if name not in self.scientific)

    def at(self, point: Sequence[float] | np.ndarray) -> Params:
        """Returns the values at a point of the unit cube, float[len(self)] in [0, 1).

        Parameters whose condition does not hold are left out.
        """
        found: Params = dict(self.fixed)
        for (name, parameter), place in zip(self.items(), point, strict=True):
            if exists(parameter, found):
                found[name] = parameter.at(float(place))
        return found

    def places(self, params: Mapping[str, Any]) -> np.ndarray:
        """Returns float64[len(self)], where values lie in the unit cube; NaN for those left out."""
        return np.array(
            [
                parameter.place(params[name]) if name in params else np.nan
                for name, parameter in self.items()
            ]
        )

    def roles(self) -> dict[str, str]:
        """Returns name -> "scientific", "nuisance" or "fixed"."""
        return {
            **dict.fromkeys(self.scientific, "scientific"),
            **dict.fromkeys(self.nuisance, "nuisance"),
            **dict.fromkeys(self.fixed, "fixed"),
        }

    def group_of(self, params: Mapping[str, Any]) -> Params:
        """Returns what of some values a program is compiled for: what is not traced."""
        return {
            name: value
            for name, value in params.items()
            if name in self.fixed or not kind_of(self[name]).traced
        }


def exists(parameter: Parameter, params: Mapping[str, Any]) -> bool:
    """Whether a parameter exists beside the values found so far."""
    return not isinstance(parameter, When) or params.get(parameter.name) in parameter.values
