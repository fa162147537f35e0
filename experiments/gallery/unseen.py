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
"""

from __future__ import annotations

import dataclasses

from gallery import unseen_loops, unseen_models
from gallery.program import Fault, Healthy

UNSEEN: tuple[Fault, ...] = tuple(
    dataclasses.replace(fault, name=f"unseen/{fault.name}", unseen=True)
    for fault in (*unseen_models.FAULTS, *unseen_loops.FAULTS)
)
UNSEEN_HEALTHY: tuple[Healthy, ...] = tuple(
    dataclasses.replace(program, name=f"unseen/{program.name}", unseen=True)
    for program in (*unseen_models.HEALTHY, *unseen_loops.HEALTHY)
)
