"""`fit`: chunks of steps as one program, exact evaluation between them, resumable at any step."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jrecipe.figures import Curves
from jrecipe.task import Task, validate_values
from jrecipe.train.blow_up import became, explain, first_bad
from jrecipe.train.checkpoint import checkpoint_steps, unstorable
from jrecipe.train.chunks import foreign_chunk, own_chunk
from jrecipe.train.clock import Clock
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.train.history import History
from jrecipe.train.interrupt import on_interrupt
from jrecipe.train.layout import Parallel, make_layout
from jrecipe.train.loggers import Logger, Loggers
from jrecipe.train.monitor import Monitor
from jrecipe.train.progress import progress_bar
from jrecipe.train.reference import trainer_of
from jrecipe.train.saver import STATES, Saver, load_newest
from jrecipe.train.state import copy_state
from jrecipe.types import PyTree, TaskError

MOST_SKIPPED = 100  # updates that are not finite, before a run is given up


@dataclasses.dataclass(kw_only=True)
class Fit:
    """A trained task.

    Attributes:
      task: what was trained.
      seed: of weights, order and draws.
      state: the state after the last update.
      best: the state with the lowest validation loss among those evaluated.
      best_step: the updates it had seen.
      history: "loss" and "grad_norm" by step; "val_loss", "val_loss_stderr", "val_metric" by
        evaluation.
      steps: updates applied.
      seconds: wall time of this call.
      compile_seconds: part of it spent compiling.
      interrupted: whether Ctrl-C or SIGTERM ended it early.
      signal: "SIGINT" or "SIGTERM" if so, "" otherwise.
      problem: why it stopped early otherwise, empty if it did not.
      unsaved: why the last checkpoint could not be written, empty if it was or was not asked for.
      monitor: what was seen on the way, None if it was not asked for.
      out: folder with the checkpoints, None if they were not saved.
    """

    task: Task
    seed: int
    state: Any
    best: Any
    best_step: int
    history: History
    steps: int
    seconds: float
    compile_seconds: float
    interrupted: bool = False
    signal: str = ""
    problem: str = ""
    unsaved: str = ""
    monitor: Monitor | None = None
    out: Path | None = None

    def evaluate(self, split: str = "val", *, best: bool = True, **options: Any) -> Evaluation:
        """Evaluates on a split, exactly.

        Args:
          split: "train", "val" or "test".
          best: the best state by validation loss, or else the last.
          **options: passed on to `jr.evaluate`.

        Raises:
          TaskError: if the task has no such split.
        """
        source = self.task.splits.get(split)
        if source is None:
            raise TaskError(
                f"Fit.evaluate has no split {split!r}; there are {[*self.task.splits]}."
            )
        state = self.best if best else self.state
        predict = trainer_of(self.task).predict
        options = {"metric": self.task.metric, **options}
        return evaluate(predict, state, source, self.task.loss, **options)

    def predict(self, inputs: PyTree) -> PyTree:
        """Returns the outputs of the best state for a batch of inputs, in evaluation mode."""
        return trainer_of(self.task).predict(self.best, inputs)

    def curves(self) -> Curves:
        """Returns the learning curves as a figure."""
        at, loss = self.history.steps("loss"), self.history["loss"]
        val_at, val = self.history.steps("val_loss"), self.history["val_loss"]
        if not len(at):  # a trainer of the user's own may not tell its loss
            at, loss = val_at, np.full(len(val_at), np.nan)
        known = np.isfinite(val)
        line = np.full(len(at), np.nan)
        if known.any():  # a line through the evaluations
            first, last = val_at[known][[0, -1]]
            line = np.interp(at, val_at[known], val[known])
            line[(at < first) | (at > last)] = np.nan
        return Curves(
            title=f"{self.task.name}: loss while training",
            x=at,
            lines={"training batch": loss, "validation, exact": line},
            ylabel="loss",
            log_y=True,
        )

    def __str__(self) -> str:
        val = self.history["val_loss"]
        best = ""
        if np.isfinite(val).any():
            best = f", best validation loss {np.nanmin(val):.4g} at step {self.best_step}"
        more = f" ({self.problem})" if self.problem else ""
        return f"{self.task.name}: {self.steps} steps in {self.seconds:.1f} s{best}{more}"

    def _repr_html_(self) -> str:
        from jrecipe.draw import html

        return f"<p>{_escape(str(self))}</p>{html(self.curves())}"


def _escape(text: str) -> str:
    import html

    return html.escape(text)


def fit(
    task: Task,
    steps: int = 2_000,
    *,
    seed: int = 0,
    eval_every: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    monitor: bool = False,
    accumulate: int = 1,
    parallel: Parallel = "jit",
    devices: int | None = None,
    shard_params: bool = False,
    save_every: int | None = None,
    keep: int = 2,
    on_nan: Literal["stop", "skip"] = "stop",
    loggers: Sequence[Logger] = (),
) -> Fit:
    """Trains a task.

    The same (task, seed, steps) gives bit-identical results on a CPU, also when the run was
    interrupted and resumed. Data that fits goes to the device once, and chunks of steps run as one
    `lax.scan`; larger data is streamed with prefetch.

    Args:
      task: what to train.
      steps: updates in all, >= 1, counting those before a resume.
      seed: decides weights, order and draws.
      eval_every: evaluate on the whole validation split each so many updates; default about 10
        times in the run.
      out: folder for checkpoints and `history.jsonl`; None keeps everything in memory.
      resume: go on from the newest checkpoint in `out`.
      progress: show a bar; None shows it on a terminal only.
      monitor: look at updates, gradients and predictions every 100 updates; `jr.check_fit` judges
        what was seen. It changes nothing in the run.
      accumulate: pass each batch through the network in so many parts, which needs the memory of
        one; the gradient is that of the whole batch, see `make_update`.
      parallel: how several devices share a batch: "jit" on a mesh computes what one device would,
        to rounding; "pmap" lets each device draw its own noise and use its own part's BatchNorm
        statistics.
      devices: how many of `jax.devices()` share each batch; None for one.
      shard_params: cut parameters and optimiser state between the devices too, where a copy on each
        would not fit.
      save_every: with `out`, save each so many updates, in the background; default `eval_every`.
      keep: newest checkpoints to keep, >= 1; two, so that one is left if the other is damaged.
      on_nan: when a loss or gradient is not finite, "stop" before that update, or "skip" it, up to
        100 times in a run. Stopping says what is not finite first, and with `out` keeps the batch
        as `nan/STEP.npz`. A trainer of the task's own is only stopped.
      loggers: functions `(step, numbers) -> None` that are told each row of the history, by a
        thread; see `jr.train.loggers`.

    Returns:
      A `Fit`. If Ctrl-C was pressed or SIGTERM came, it is `interrupted` and, with `out`, saved.
      If the loss became NaN, `problem` says where, and `state` is the last that was finite.

    Raises:
      TaskError: if an argument or a value in the data cannot be used.
      OSError: if `out` cannot be made; a checkpoint that cannot be written is a warning, and
        `Fit.unsaved` if it was the last.
    """
    _require_count("steps", steps)
    if on_nan not in ("stop", "skip"):
        raise TaskError(f"fit got on_nan={on_nan!r}; there are 'stop' and 'skip'.")
    eval_every = max(1, math.ceil(steps / 10)) if eval_every is None else eval_every
    _require_count("eval_every", eval_every)
    if resume and out is None:
        raise TaskError("fit got resume=True without `out`; name the folder of the run to resume.")
    save_every = eval_every if save_every is None else save_every
    for name, count in (("accumulate", accumulate), ("save_every", save_every), ("keep", keep)):
        _require_count(name, count)
    layout = make_layout(parallel, devices, shard_params, task.batch_size)
    if task.trainer is not None and (layout.several or accumulate > 1):
        raise TaskError(
            f"fit got devices={devices!r}, accumulate={accumulate} with a trainer of the task's "
            "own, whose step they cannot change; lay it out there."
        )
    validate_values(task)
    trainer = trainer_of(task)
    predict = layout.predicting(trainer.predict)
    state = layout.place(trainer.init(jax.random.key(seed)))
    history, start, best, best_step, best_loss = History(), 0, state, 0, math.inf
    folder = None if out is None else Path(out)
    if folder is not None:
        if kind := unstorable(state):
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
        saved = load_newest(folder, state)
        if saved is not None:
            start, state, history = saved.step, saved.state, saved.history
            best, best_step, best_loss = saved.best, saved.best_step, saved.best_loss

    def measure(step: int) -> dict[str, float]:
        result = evaluate(predict, state, task.val, task.loss, metric=task.metric)
        row = {"val_loss": result.loss, "val_loss_stderr": result.loss_stderr}
        if task.metric is not None:
            row["val_metric"] = result.metric
        history.add(step, row)
        return row

    problem, unsaved, step, skipped, known = "", "", start, 0, len(history.rows)
    watch = Monitor(task, seed) if monitor else None
    with (
        Clock() as clock,
        on_interrupt() as interrupted,
        progress_bar(task.name, steps, progress) as advance,
        contextlib.nullcontext() if folder is None else Saver(folder, keep) as saver,
        Loggers(loggers) as told,
    ):
        if task.trainer is not None:
            run = foreign_chunk(task, seed)
        else:
            run = own_chunk(task, state, seed, layout, accumulate)
        if start == 0:
            best_loss = _nan_is_worst(measure(0)["val_loss"])
            best = copy_state(state)
        if watch is not None:
            history.add(start, watch.begin(start, state))
        told.add(history.rows[known:])
        while step < steps and not interrupted() and not problem:
            known = len(history.rows)
            due = min((step // eval_every + 1) * eval_every, steps)
            save_due = (step // save_every + 1) * save_every
            count = min(due - step, save_due - step, 100)
            before = None if task.trainer is not None else copy_state(state)
            state, rows = run(state, step, count)
            bad = first_bad(rows)
            if bad is not None and before is not None:  # back to the last good state
                state = run(before, step, bad)[0] if bad else before
                count = bad + 1
            for i in range(count):
                history.add(step + i + 1, {name: row[i] for name, row in rows.items()})
            if bad is None:
                step += count
            elif before is not None and on_nan == "skip" and skipped < MOST_SKIPPED:
                state = dataclasses.replace(state, step=state.step + 1)
                step, skipped = step + count, skipped + 1
                history.add(step, {"skipped": 1.0})
            else:
                problem = _story(history, rows, bad, step)
                step += count if before is None else bad
                if before is not None:
                    problem += f"; {explain(task, state, step, seed, folder)}"
            if watch is not None and watch.due(step):
                history.add(step, watch.look(step, state))
            shown = {"loss": float(rows["loss"][-1])} if "loss" in rows else {}
            if step == due and not problem:
                row = measure(step)
                shown |= {name: row[name] for name in ("val_loss", "val_metric") if name in row}
                if row["val_loss"] < best_loss:
                    best_loss, best_step, best = row["val_loss"], step, copy_state(state)
            if saver is not None and step == save_due and step < steps and not problem:
                saver.save(step, state, best_step, best, history)
            told.add(history.rows[known:])
            advance(step, shown)
        if saver is not None and not (problem and task.trainer is not None):
            unsaved = saver.finish(step, state, best_step, best, history)
    return Fit(
        task=task,
        seed=seed,
        state=state,
        best=best,
        best_step=best_step,
        history=history,
        steps=step,
        seconds=clock.seconds,
        compile_seconds=clock.compile_seconds,
        interrupted=step < steps and not problem,
        signal=interrupted() if step < steps and not problem else "",
        problem=problem,
        unsaved=unsaved,
        monitor=watch,
        out=folder,
    )


def _require_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise TaskError(f"fit needs {name} as an integer >= 1, got {value!r}.")


def _nan_is_worst(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


def _story(history: History, rows: Mapping[str, np.ndarray], bad: int, step: int) -> str:
    """Says which update is not finite, and how large the gradient was before."""
    norms = [
        row["grad_norm"] for row in history.rows if row["step"] <= step + bad and "grad_norm" in row
    ]
    norm = f"; grad_norm was {norms[-1]:.3g} before" if norms else ""
    return f"{became(rows, bad)} at step {step + bad + 1}{norm}"
