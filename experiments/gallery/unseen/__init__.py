"""The blind exam: programs by authors who had not read the checks, nor the rest of the gallery.

What the checks said when they first met them, at seed 105, before anything was mended (70 of 72
cases, 36 twins, 30 odd programs; version 16fad43 of this repository):

| | detected | right cause first | in three | pairs |
| --- | --- | --- | --- | --- |
| strong | 31 of 35 | 29 of 35 | 30 of 35 | 30 of 35 |
| weak | 24 of 35 | 21 of 35 | 21 of 35 | 23 of 35 |
| all | 55 of 70 = 79 % (68 to 87) | 71 % | 73 % | 76 % |

False alarms: 1 of 36 repaired twins, 3 of 30 odd programs. What they showed was then mended as
properties, so later tables no longer have them as strangers.

The second exam (`mixed`), at seed 106, again before anything was mended for it (version 4cdd343):
35 of 40 cases detected (87.5 %, 74 to 95), each with the right cause first; strong 18 of 20, weak
17 of 20; pairs 31 of 40. False alarms: 2 of 20 twins, 4 of 24 odd programs, four of these six from
two mistakes that are mended (masks written as labels, labels of -1 and 1).

Two authors wrote the first: one the networks under jrecipe's own trainer (they build on `splits`),
one people's own training loops (they build on `loop_parts`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import ModuleType

from gallery.program import Fault, Healthy
from gallery.unseen import (
    averages,
    batch_parts,
    by_layer,
    memory,
    mixed,
    objects,
    padding,
    pictures,
    ratings,
    regression,
    signals,
    states,
    tables,
    tags,
    targets,
    texts,
    updates,
)

_NETWORKS = (pictures, ratings, regression, signals, tables, tags, texts)
_LOOPS = (averages, batch_parts, by_layer, memory, objects, padding, states, targets, updates)


@dataclasses.dataclass(frozen=True)
class Exam:
    """Programs by authors who did not know the checks, run once before anything was mended.

    Attributes:
      faults: with their twins.
      healthy: odd ones.
      seed: at which they were run.
    """

    faults: tuple[Fault, ...]
    healthy: tuple[Healthy, ...]
    seed: int


def _exam(modules: Sequence[ModuleType], seed: int) -> Exam:
    return Exam(
        faults=tuple(
            dataclasses.replace(fault, name=f"unseen/{fault.name}", unseen=True)
            for module in modules
            for fault in module.FAULTS
        ),
        healthy=tuple(
            dataclasses.replace(program, name=f"unseen/{program.name}", unseen=True)
            for module in modules
            for program in module.HEALTHY
        ),
        seed=seed,
    )


EXAMS = (_exam((*_NETWORKS, *_LOOPS), 105), _exam((mixed,), 106))
UNSEEN: tuple[Fault, ...] = tuple(fault for exam in EXAMS for fault in exam.faults)
UNSEEN_HEALTHY: tuple[Healthy, ...] = tuple(p for exam in EXAMS for p in exam.healthy)
