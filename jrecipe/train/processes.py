"""Several processes that train together, each with some of the devices: how they find each other.

Every process runs the same script on the same data; `fit` cuts each batch over the devices of all
of them. The first process writes, tells and shows; the others only compute.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from jrecipe.types import TaskError

T = TypeVar("T")

COORDINATOR = "JRECIPE_COORDINATOR"  # host:port of the first process
COUNT, INDEX = "JRECIPE_PROCESSES", "JRECIPE_PROCESS"
TIME = "TIME"  # that ran out
_REQUESTS = ("", TIME, "SIGINT", "SIGTERM")


def join_processes() -> None:
    """Joins the other processes of this run; call it before anything else of JAX.

    Under `jrecipe launch` the processes are named in environment variables. Otherwise JAX finds
    them: it knows SLURM, Open MPI, Kubernetes and TPU pods (`jax.distributed.initialize`).

    Raises:
      TaskError: if there is no other process to be found.
    """
    given = {name: os.environ.get(name, "") for name in (COORDINATOR, COUNT, INDEX)}
    try:
        if all(given.values()):
            jax.distributed.initialize(
                coordinator_address=given[COORDINATOR],
                num_processes=int(given[COUNT]),
                process_id=int(given[INDEX]),
            )
        else:
            jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise TaskError(
            f"join_processes found no processes to join ({error}). Start them with "
            "`jrecipe launch`, or under SLURM, Open MPI or on a TPU pod, and join before JAX is "
            "first used."
        ) from error


def first_process() -> bool:
    """Returns whether this process is the one that writes; True where there is only one."""
    return jax.process_index() == 0


def first_before_others(read: Callable[[], T]) -> T:
    """Returns what `read` returns; the other processes call it when the first has done so."""
    if jax.process_count() == 1:
        return read()
    from jax.experimental import multihost_utils

    found = read() if first_process() else None
    multihost_utils.sync_global_devices("jrecipe: the first process has read")
    return found if first_process() else read()  # type: ignore[return-value]


def agreed(request: str) -> str:
    """Returns a request to stop that any of the processes got, the same in all of them.

    Args:
      request: what this one got: "SIGINT", "SIGTERM", `TIME` or "".
    """
    if jax.process_count() == 1:
        return request
    from jax.experimental import multihost_utils

    seen: Any = multihost_utils.process_allgather(np.int32(_REQUESTS.index(request)))
    return _REQUESTS[int(np.max(seen))]
