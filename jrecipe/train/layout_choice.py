"""How many devices a run is fastest on, by a short measurement.

More are not always faster: on a CPU, XLA leaves a part of the cores idle in convolutions, which a
batch cut over virtual devices uses, while a small MLP only pays for the cutting.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import jax

from jrecipe.task import Task
from jrecipe.train.chunks import own_chunk
from jrecipe.train.layout import Layout, Parallel
from jrecipe.train.reference import trainer_of

_UPDATES, _TIMES = 5, 3  # that are timed at once, and how often, after as many that compile
_GAIN = 0.9  # of the time of fewer devices, to be worth more of them


def measured_devices(task: Task, accumulate: int = 1, parallel: Parallel = "jit") -> int:
    """Returns on how many of `jax.devices()` a task's updates take least time.

    It tries 1, 2, 4, ... that divide the batch, with a few updates each; nothing of them is kept.
    Each is compiled, so that it is for runs that are much longer than that. Another run of it may
    choose otherwise; what is trained differs by rounding then.

    Args:
      task: with a model.
      accumulate: see `make_update`.
      parallel: see `fit`.
    """
    there = jax.devices()
    counts = [2**i for i in range(len(there).bit_length()) if task.batch_size % 2**i == 0]
    return choose(
        {
            count: _seconds(task, Layout(tuple(there[:count]), parallel), accumulate)
            for count in counts
        }
    )


def choose(seconds: Mapping[int, float]) -> int:
    """Returns the number of devices to use; more only where they save a tenth of the time.

    Args:
      seconds: of some updates, by number of devices, ascending.

    Example:
      >>> choose({1: 1.0, 2: 0.95, 4: 0.7, 8: 0.69}), choose({1: 1.0, 2: 2.0})
      (4, 1)
    """
    best = next(iter(seconds))
    for count, taken in seconds.items():
        if taken < _GAIN * seconds[best]:
            best = count
    return best


def _seconds(task: Task, layout: Layout, accumulate: int) -> float:
    state = layout.place(trainer_of(task).init(jax.random.key(0)))
    run = own_chunk(task, state, 0, layout, accumulate)
    seconds = []
    for i in range(1 + _TIMES):
        start = time.perf_counter()
        state, _ = run(state, i * _UPDATES, _UPDATES)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
