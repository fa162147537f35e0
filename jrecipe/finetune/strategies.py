"""stub"""

from __future__ import annotations

import dataclasses
from typing import Any

import optax

import jrecipe.regularize.decay as decay
from jrecipe.train import schedules


@dataclasses.dataclass(frozen=True)
class Strategy:
    name: str
    model: Any
    optimizer: Any
    frozen: Any
    why: str

    def export(self, params: Any) -> Any:
        return params


def strategy(
    name: str, model: Any, encoder: Any, *, rate: float, steps: int, warm_up: float, rows: int
) -> Strategy:
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            schedules.linear(rate, steps, warm_up=warm_up), weight_decay=0.01, mask=decay.decay_mask
        ),
    )
    return Strategy(name, model, tx, (), "all")
