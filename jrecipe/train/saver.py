"""The folder of a run: written by a thread while training goes on, and read after any end.

What stands in the folder is whole at every moment. A checkpoint appears under its name when all of
it is written, after what a resume reads beside it (the best state, the history). So a run that is
killed goes on from its newest checkpoint, and one whose newest files were damaged afterwards from
the newest that is not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import jax

from jrecipe.train.checkpoint import checkpoint_steps, load_checkpoint, save_checkpoint
from jrecipe.train.checkpoint_record import record_file
from jrecipe.train.history import History
from jrecipe.train.state import copy_state
from jrecipe.types import PyTree, RecipeWarning, TaskError

STATES, BEST, HISTORY = "checkpoints", "best", "history.jsonl"


class SavingWarning(RecipeWarning, RuntimeWarning):
    """A checkpoint could not be written, or is damaged; the run goes on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """What a run goes on from.

    Attributes:
      step: updates applied.
      state: the state after them.
      best: the state with the lowest validation loss until then.
      best_step: the updates it had seen.
      best_loss: its validation loss; infinite if it is not known any more.
      history: rows up to `step`.
    """

    step: int
    state: PyTree
    best: PyTree
    best_step: int
    best_loss: float
    history: History


class Saver:
    """Writes checkpoints of a run in the background; a context manager that waits at the end.

    A write that fails (a full disk) is said once, as a warning, and tried again at the next one;
    training goes on meanwhile, and what was written before stays.

    Attributes:
      folder: of the run.
      keep: newest checkpoints to keep; the best state that each of them knew is kept too.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jrecipe-saver")
        self._running: Future[None] | None = None
        self._rows = 0  # of the history that are in the file
        self._warned = False

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)

    def save(
        self, step: int, state: PyTree, best_step: int, best: PyTree, history: History
    ) -> None:
        """Begins to write a checkpoint, when the one before is written.

        Args:
          step: updates applied.
          state: copied, as training goes on with it.
          best_step: the updates that the best state had seen.
          best: nobody may change it later.
          history: up to `step`.
        """
        try:
            self._settle()
        except OSError as error:
            self._warn(error)
        own = jax.block_until_ready(copy_state(state))  # before the original is donated
        rows = list(history.rows)
        self._running = self._pool.submit(self._write, step, own, best_step, best, rows)

    def finish(
        self, step: int, state: PyTree, best_step: int, best: PyTree, history: History
    ) -> str:
        """Writes the last checkpoint, if it is not there, and waits for it.

        Returns:
          Why it could not be written, "" if it was: a finished training is worth more than an
          error.
        """
        with contextlib.suppress(OSError):  # this one says whether there is room now
            self._settle()
        if step in checkpoint_steps(self.folder / STATES):
            return ""
        try:
            self.save(step, state, best_step, best, history)
            self._settle()
        except OSError as error:
            self._warn(error)
            return str(error)
        return ""

    def _settle(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            newest = checkpoint_steps(self.folder / STATES)
            there = f"the newest is that of step {newest[-1]}" if newest else "there is none yet"
            warnings.warn(
                f"A checkpoint in {self.folder} could not be written ({error}); {there}. What is "
                "trained goes on, and so do later attempts.",
                SavingWarning,
                stacklevel=3,
            )
        self._warned = True

    def _write(
        self, step: int, state: PyTree, best_step: int, best: PyTree, rows: list[dict[str, float]]
    ) -> None:
        # What a resume reads beside the checkpoint comes first: a full disk leaves no half of it.
        if best_step not in checkpoint_steps(self.folder / BEST):
            save_checkpoint(self.folder / BEST, best_step, best)
        self._write_history(rows)
        save_checkpoint(self.folder / STATES, step, state)
        self._prune()

    def _write_history(self, rows: list[dict[str, float]]) -> None:
        """Appends what is new; the first time, and after an error, writes the whole file anew."""
        path = self.folder / HISTORY
        known, self._rows = self._rows, 0
        if known:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in History(rows[known:]).lines())
        else:
            fresh = path.with_suffix(".new")
            History(rows).save(fresh)
            os.replace(fresh, path)
        self._rows = len(rows)

    def _prune(self) -> None:
        kept = checkpoint_steps(self.folder / STATES)[-self.keep :]
        best = checkpoint_steps(self.folder / BEST)
        needed = {max((b for b in best if b <= step), default=-1) for step in kept}
        for name, wanted in ((STATES, set(kept)), (BEST, needed)):
            for step in checkpoint_steps(self.folder / name):
                if step not in wanted:
                    _remove(self.folder / name / str(step))


def _remove(path: Path) -> None:
    """Removes a checkpoint so that no half of it can be taken for one."""
    gone = path.with_name(f"{path.name}.removed")
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    record_file(path).unlink(missing_ok=True)


def load_newest(folder: Path, like: Callable[[int], PyTree]) -> Saved | None:
    """Loads the newest checkpoint of a run that is whole; None if the run never saved one.

    A newer one that is damaged is renamed to `STEP.damaged` and named in a warning.

    Args:
      folder: of the run.
      like: `(step) -> state` with the structure, shapes, dtypes and layout to expect there.

    Raises:
      TaskError: if none can be loaded, or there is no history.
    """
    steps = checkpoint_steps(folder / STATES)
    if not steps:
        return None
    path = folder / HISTORY
    if not path.is_file():
        raise TaskError(f"fit cannot resume {str(folder)!r}: history.jsonl is not there.")
    problems: list[TaskError] = []
    for step in reversed(steps):
        try:
            state = load_checkpoint(folder / STATES, like(step), step)
        except TaskError as error:
            problems.append(error)
            continue
        for damaged, problem in zip(reversed(steps), problems, strict=False):
            _set_aside(folder / STATES / str(damaged), problem)
        return _beside(folder, like, step, state)
    raise problems[0]


def _beside(folder: Path, like: Callable[[int], PyTree], step: int, state: PyTree) -> Saved:
    """Loads what stands beside a checkpoint: the best state until then, and the history."""
    history = History.load(folder / HISTORY).until(step)
    best_step = max((s for s in checkpoint_steps(folder / BEST) if s <= step), default=-1)
    try:
        best = load_checkpoint(folder / BEST, like(max(best_step, 0)), best_step)
    except TaskError as error:
        if best_step >= 0:
            _set_aside(folder / BEST / str(best_step), error)
        return Saved(
            step=step,
            state=state,
            best=copy_state(state),
            best_step=step,
            best_loss=math.inf,
            history=history,
        )
    known = [loss for loss in history["val_loss"] if math.isfinite(loss)]
    return Saved(
        step=step,
        state=state,
        best=best,
        best_step=best_step,
        best_loss=min(known, default=math.inf),
        history=history,
    )


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    warnings.warn(
        f"{error} It was set aside as {aside.name}, and the run goes on from the one before.",
        SavingWarning,
        stacklevel=3,
    )
