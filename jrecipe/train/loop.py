"""`fit`: chunks of steps as one program, exact evaluation between them, resumable at any step."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax

from jrecipe.task import Task, validate_values
from jrecipe.train.cadence import UPDATES, Cadence, require_count
from jrecipe.train.checkpoint import checkpoint_steps, unstorable
from jrecipe.train.chunks import longest_chunk
from jrecipe.train.clock import Clock
from jrecipe.train.cooldown import cooling, require_coolable
from jrecipe.train.early_stopping import out_of_patience
from jrecipe.train.fitted import Fit
from jrecipe.train.interrupt import on_interrupt
from jrecipe.train.layout import Parallel, make_layout
from jrecipe.train.layout_choice import measured_devices
from jrecipe.train.loggers import Logger, Loggers
from jrecipe.train.monitor import Monitor
from jrecipe.train.pace import Pace
from jrecipe.train.plateau import Plateaus
from jrecipe.train.processes import TIME, agreed, first_before_others, first_process
from jrecipe.train.progress import progress_bar
from jrecipe.train.running import OnNaN, Running
from jrecipe.train.saver import STATES, Saver, load_newest
from jrecipe.types import TaskError
from jrecipe.unfreezing import Unfreezing


def fit(
    task: Task,
    steps: int | None = 2_000,
    *,
    seed: int = 0,
    eval_every: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    monitor: bool = False,
    accumulate: int = 1,
    parallel: Parallel = "jit",
    devices: int | Literal["auto"] | None = None,
    shard_params: bool = False,
    save_every: int | None = None,
    keep: int = 2,
    on_nan: OnNaN = "stop",
    average: bool = False,
    patience: int | None = None,
    min_delta: float = 0.0,
    minutes: float | None = None,
    cooldown: int = 0,
    loggers: Sequence[Logger] = (),
) -> Fit:
    """Trains a task.

    The same (task, seed, steps) gives bit-identical results on a CPU, also when the run was
    interrupted and resumed. Data that fits goes to the device once, and chunks of steps run as one
    loop on it; larger data is streamed with prefetch.

    Args:
      task: what to train.
      steps: updates in all, >= 1, counting those before a resume. None trains on without an end,
        until Ctrl-C, SIGTERM, `minutes` or `patience`. The history and the evaluations of such a
        run thin out as it grows longer, and it tells plateaus of the validation loss.
      seed: decides weights, order and draws.
      eval_every: evaluate on the whole validation split each so many updates; default about 10
        times in the run or, without an end, once per epoch and not before 200 updates.
      out: folder for checkpoints and `history.jsonl`; None keeps everything in memory.
      resume: go on from the newest checkpoint in `out`.
      progress: show a bar; None shows it on a terminal only, and elsewhere no more than lines that
        tell plateaus.
      monitor: look at updates, gradients and predictions every 100 updates; `jr.check_fit` judges
        what was seen. It changes nothing in the run.
      accumulate: pass each batch through the network in so many parts, which needs the memory of
        one; the gradient is that of the whole batch, see `make_update`.
      parallel: how several devices share a batch: "jit" on a mesh computes what one device would,
        to rounding; "pmap" lets each device draw its own noise and use its own part's BatchNorm
        statistics.
      devices: how many of `jax.devices()` share each batch; None for one, or for all of them where
        several processes train together (`jr.train.join_processes`); "auto" for as many as a short
        measurement finds fastest, see `measured_devices`.
      shard_params: cut parameters and optimiser state between the devices too, where a copy on each
        would not fit.
      save_every: with `out`, save each so many updates, in the background; default `eval_every`
        or, without an end, about each minute.
      keep: newest checkpoints to keep, >= 1; two, so that one is left if the other is damaged.
      on_nan: when a loss or gradient is not finite, "stop" before that update, or "skip" it, up to
        100 times in a run. Stopping says what is not finite first, and with `out` keeps the batch
        as `nan/STEP.npz`. A trainer of the task's own is only stopped.
      average: evaluate, choose the best state and predict with the averaged weights that the
        optimiser keeps, see `jr.train.ema` and `jr.train.swa`; `Fit.state` goes on with its own.
      patience: stop early after so many evaluations in which the validation loss did not fall;
        None never does (D11). The best state is kept in any case, see `Fit.best`.
      min_delta: with `patience`, a loss has fallen only if it is lower by more than this.
      minutes: end after so long, > 0, compilation counted but no time before a resume; whatever
        comes first.
      cooldown: so many updates at the end of `steps` over which the learning rate falls in a line
        to 0; see `jrecipe.train.cooldown`.
      loggers: functions `(step, numbers) -> None` that are told each row of the history, by a
        thread; see `jr.train.loggers`.

    Returns:
      A `Fit`. If Ctrl-C was pressed or SIGTERM came, it is `interrupted` and, with `out`, saved.
      If the loss became NaN, `problem` says where, and `state` is the last that was finite.
      If `patience` or `minutes` ended it, `stopped` says so; `predict` and `evaluate` use the best
      state.

    Raises:
      TaskError: if an argument or a value in the data cannot be used.
      OSError: if `out` cannot be made; a checkpoint that cannot be written is a warning, and
        `Fit.unsaved` if it was the last.
    """
    if on_nan not in ("stop", "skip"):
        raise TaskError(f"fit got on_nan={on_nan!r}; there are 'stop' and 'skip'.")
    if resume and out is None:
        raise TaskError("fit got resume=True without `out`; name the folder of the run to resume.")
    steady = jax.process_count() > 1
    cadence = Cadence(task, steps, eval_every, save_every, cooldown, steady)
    eval_every = cadence.eval_every
    for name, count in (("accumulate", accumulate), ("keep", keep)):
        require_count(name, count)
    if patience is not None:
        require_count("patience", patience)
    if isinstance(min_delta, bool) or not 0 <= min_delta < math.inf:
        raise TaskError(f"fit needs a finite min_delta >= 0, got {min_delta!r}; try 0.0.")
    if minutes is not None and (isinstance(minutes, bool) or not 0 < minutes < math.inf):
        raise TaskError(f"fit needs minutes as a number > 0, got {minutes!r}; None sets no limit.")
    if devices == "auto" and task.trainer is None and jax.process_count() == 1:
        devices = measured_devices(task, accumulate, parallel)
    layout = make_layout(parallel, devices, shard_params, task.batch_size)
    if task.trainer is not None and (layout.several or accumulate > 1):
        raise TaskError(
            f"fit got devices={devices!r}, accumulate={accumulate} with a trainer of the task's "
            "own, whose step they cannot change; lay it out there."
        )
    if task.trainer is not None and average:
        raise TaskError(
            "fit got average=True with a trainer of the task's own, whose optimizer it does not "
            "know; average there."
        )
    if layout.processes > 1 and monitor:
        raise TaskError(
            f"fit got monitor=True in {layout.processes} processes, whose clocks differ; look at a "
            "run of one process."
        )
    if layout.processes > 1 and isinstance(task.frozen, Unfreezing):
        raise TaskError(
            f"fit got Task.frozen with phases in {layout.processes} processes; train them in one "
            "process, or give the patterns of one phase."
        )
    validate_values(task)
    folder = None if out is None else Path(out)
    first = first_process()
    run = Running(
        task,
        seed,
        layout,
        accumulate=accumulate,
        on_nan=on_nan,
        average=average,
        folder=folder if first else None,
        dense=UPDATES if cadence.endless or cooldown else None,
        factor=cooling(steps, cooldown) if steps is not None and cooldown else None,
    )
    if cooldown:
        require_coolable(task, run.state, steps, cooldown)
    if folder is not None:
        _open_folder(folder, run, resume)
    unsaved, known = "", len(run.history.rows)
    watch = Monitor(task, seed) if monitor else None
    with (
        Clock() as clock,
        on_interrupt() as interrupted,
        progress_bar(task.name, steps, progress if first else False) as shows,
        Saver(folder, keep) if folder is not None and first else contextlib.nullcontext() as saver,
        Loggers(loggers if first else ()) as told,
    ):
        run.begin()
        if watch is not None:
            run.history.add(run.step, watch.begin(run.step, run.state))
        plateaus = Plateaus(run.history, eval_every) if cadence.endless else None
        told.add(run.history.rows[known:])
        longest = longest_chunk(task) if watch is None else min(watch.every, longest_chunk(task))
        pace = Pace(longest, steady=steady)
        request = agreed(interrupted())
        stopped = out_of_patience(run.history, patience, min_delta, eval_every)
        while not (cadence.is_over(run.step) or request or run.problem or stopped):
            known, begun, started = len(run.history.rows), run.step, time.perf_counter()
            numbers = run.advance(min(cadence.room(run.step), pace.count))
            pace.took(run.step - begun, time.perf_counter() - started)
            if watch is not None and watch.due(run.step):
                run.history.add(run.step, watch.look(run.step, run.state))
            late = minutes is not None and clock.seconds >= 60 * minutes
            request = agreed(interrupted() or (TIME if late else ""))
            if not run.problem and (cadence.evaluates(run.step) or request == TIME):
                row = run.evaluate()
                stopped = out_of_patience(run.history, patience, min_delta, eval_every)
                numbers |= {name: row[name] for name in ("val_loss", "val_metric") if name in row}
                if plateaus is not None and (plateau := plateaus.add(row)):
                    run.history.add(run.step, plateau.row())
                    shows.say(str(plateau))
            if folder is not None and not run.problem and cadence.saves(run.step):
                state = layout.local(run.state)
                if saver is not None:
                    saver.save(run.step, state, run.best_step, run.best, run.history)
            told.add(run.history.rows[known:])
            shows.advance(run.step, numbers)
            request = request or agreed(interrupted())
        state = layout.local(run.state)
        if saver is not None and not (run.problem and task.trainer is not None):
            unsaved = saver.finish(run.step, state, run.best_step, run.best, run.history)
        request = request or agreed(interrupted())
    if request == TIME:
        stopped = stopped or f"its {minutes:g} minutes are over"
    over = cadence.is_over(run.step)
    ended = bool(over or run.problem or stopped)
    return Fit(
        task=task,
        seed=seed,
        state=state,
        best=run.best,
        best_step=run.best_step,
        history=run.history,
        steps=run.step,
        seconds=clock.seconds,
        compile_seconds=clock.compile_seconds,
        interrupted=not ended,
        signal="" if request == TIME else request,
        problem=run.problem,
        stopped="" if run.problem or over else stopped,
        unsaved=unsaved,
        monitor=watch,
        out=folder,
        devices=len(layout.devices),
    )


def _open_folder(folder: Path, run: Running, resume: bool) -> None:
    """Makes the folder of a run, and goes on from its newest checkpoint if asked to.

    Args:
      folder: of the run.
      run: before its first update.
      resume: whether a checkpoint may be there.
    """
    if kind := unstorable(run.state):
        raise TaskError(
            f"fit got `out`, but Trainer.init returned a state with a {kind}, which no "
            "checkpoint can hold; make the state a pytree of arrays, or leave `out`."
        )
    found = checkpoint_steps(folder / STATES)
    if found and not resume:
        raise TaskError(
            f"fit got out={str(folder)!r}, which holds another run (step {found[-1]}); "
            "resume it or name another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    saved = first_before_others(lambda: load_newest(folder, run.like))
    if saved is not None:
        run.resume(saved)
