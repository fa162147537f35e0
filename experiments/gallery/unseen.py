"""The blind exam: programs by authors who had not read the checks, nor the rest of the gallery."""

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
