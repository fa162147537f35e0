"""What the gallery is made of: healthy programs, and faults with their repaired twins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import jrecipe as jr

Strength = Literal["strong", "weak"]
STRENGTHS: tuple[Strength, ...] = ("strong", "weak")
# The families on which tolerances were set, and the others.
TUNING = ("data", "init", "optimizer")
CONFIRMING = ("model", "loss", "procedure", "step")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Healthy:
    """A program without a fault, odd as it may be.

    Attributes:
      name: "base/variant".
      build: `(seed) -> Task`.
      odd: whether it does something that a naive rule would flag.
      unseen: written by somebody who did not know the checks, after those were built.
    """

    name: str
    build: Callable[[int], jr.Task]
    odd: bool = True
    unseen: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A planted fault.

    Attributes:
      name: "base/fault".
      family: "data", "model", "init", "loss", "optimizer", "procedure" or "step".
      property: the property that it violates, one line.
      build: `(seed, strength) -> Task`, with the fault in it.
      twin: `(seed) -> Task`, the same program repaired.
      causes: codes that name it rightly; one of them should come first.
      components: components that are right.
      where: texts of which one must occur in `Suspect.where`; empty if no place is finer than the
        component.
      real: a program that somebody published, not one of ours with a fault planted.
      unseen: planted by somebody who did not know the checks, after those were built.
    """

    name: str
    family: str
    property: str
    build: Callable[[int, Strength], jr.Task]
    twin: Callable[[int], jr.Task]
    causes: tuple[str, ...]
    components: tuple[str, ...]
    where: tuple[str, ...] = ()
    real: bool = False
    unseen: bool = False
