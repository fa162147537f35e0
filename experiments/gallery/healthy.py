"""Every healthy program of the gallery: most are odd, none has a fault."""

from __future__ import annotations

from gallery.healthy_data import DATA
from gallery.healthy_foreign import FOREIGN
from gallery.healthy_losses import LOSSES
from gallery.healthy_networks import NETWORKS
from gallery.healthy_training import TRAINING
from gallery.program import Healthy

HEALTHY: tuple[Healthy, ...] = (*TRAINING, *NETWORKS, *LOSSES, *DATA, *FOREIGN)
