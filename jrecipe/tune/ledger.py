"""The books of a study: every trial is accounted for, and none is made twice (E).

A study of n trials has n slots. Each slot is in the queue, in work at one worker, or at an end.
When a worker dies its trial is closed, and the slot goes back into the queue with the same values.
So it does not matter how many workers there are, when they come and how they go.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MOST_KILLS = 3  # a trial that ends its worker so often is given up


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Where each slot is.

    Attributes:
      ends: slot -> the trial that ended it.
      running: trials in work.
      waiting: slots in the queue.
      missing: slot -> values with which it has to go into the queue, {} for any.
    """

    ends: dict[int, Any]
    running: tuple[Any, ...]
    waiting: frozenset[int]
    missing: dict[int, dict[str, Any]]

    @property
    def failed(self) -> int:
        """How many slots ended in failure."""
        return sum(trial.state.name == "FAIL" for trial in self.ends.values())


def read_ledger(trials: Iterable[Any], count: int) -> Ledger:
    """Reads where each slot of a study is.

    Args:
      trials: Optuna's, in the order of their numbers; those with the attribute "surplus", and
        those of no slot, do not count.
      count: of slots.
    """
    ends: dict[int, Any] = {}
    killed: dict[int, list[Any]] = {}
    running, waiting = [], set()
    for trial in trials:
        slot = trial.user_attrs.get("slot")
        if slot is None or trial.user_attrs.get("surplus"):
            continue
        state = trial.state.name
        if state in ("COMPLETE", "PRUNED") or (state == "FAIL" and "error" in trial.user_attrs):
            ends.setdefault(slot, trial)
        elif state == "RUNNING":
            running.append(trial)
        elif state == "WAITING":
            waiting.add(slot)
        else:
            own = killed.setdefault(slot, [])
            own.append(trial)
            if sum(not one.user_attrs.get("interrupted") for one in own) >= MOST_KILLS:
                ends.setdefault(slot, trial)
    busy = {trial.user_attrs["slot"] for trial in running} | waiting | set(ends)
    missing = {
        slot: dict(killed[slot][-1].params) if slot in killed else {}
        for slot in range(count)
        if slot not in busy
    }
    return Ledger(ends, tuple(running), frozenset(waiting), missing)


def is_surplus(mine: Any, trials: Iterable[Any]) -> bool:
    """Whether another trial has the slot of one that was just taken from the queue.

    Two workers that put a slot into the queue at the same time make two; that of the lower number
    is the one that counts.
    """
    slot = mine.user_attrs.get("slot")
    if slot is None:
        return True
    for other in trials:
        if other.user_attrs.get("slot") != slot or other.user_attrs.get("surplus"):
            continue
        state = other.state.name
        ended = state in ("COMPLETE", "PRUNED") or "error" in other.user_attrs
        if other.number != mine.number and ended:
            return True
        if other.number < mine.number and state in ("RUNNING", "WAITING"):
            return True
    return False


def me() -> str:
    """Returns the name of this process among all that may work on a study."""
    return f"{_host()}:{os.getpid()}"


class Watch:
    """Tells which trials lost their worker.

    A worker on this machine is dead if its process is. For one elsewhere the sign is that it no
    longer counts its "beat" up, by the clock of the watcher alone: clocks need not agree.

    Args:
      grace: seconds without a beat after which a worker counts as dead.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self._seen: dict[int, tuple[Any, float]] = {}

    def lost(self, trial: Any) -> bool:
        """Whether the worker of a running trial is dead."""
        host, _, process = str(trial.user_attrs.get("worker", "")).rpartition(":")
        if host == _host() and not _alive(int(process)):
            return True
        beat, now = trial.user_attrs.get("beat"), time.monotonic()
        before, since = self._seen.get(trial.number, (None, now))
        if trial.number not in self._seen or before != beat:
            self._seen[trial.number] = (beat, now)
            return False
        return now - since > self.grace


def _host() -> str:
    """Returns a name of the machine; containers with process numbers of their own are others."""
    space = Path("/proc/self/ns/pid")
    inside = os.readlink(space) if space.exists() else ""
    return f"{socket.gethostname()} {inside}".strip()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
