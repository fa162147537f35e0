"""All planted faults: every one at two strengths, with its repaired twin."""

from __future__ import annotations

from gallery import (
    faults_data,
    faults_init,
    faults_loss,
    faults_model,
    faults_optimizer,
    faults_procedure,
    faults_step,
)
from gallery.program import Fault

FAULTS: tuple[Fault, ...] = (
    *faults_data.FAULTS,
    *faults_model.FAULTS,
    *faults_init.FAULTS,
    *faults_loss.FAULTS,
    *faults_optimizer.FAULTS,
    *faults_procedure.FAULTS,
    *faults_step.FAULTS,
)
