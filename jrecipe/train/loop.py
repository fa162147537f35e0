"""`fit`: chunks of steps as one program, exact evaluation between them, resumable at any step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.data.order import batch_rows
from jrecipe.data.source import in_memory
from jrecipe.data.stream import batches
from jrecipe.figures import Curves
from jrecipe.task import Task, read, validate_values
from jrecipe.train.checkpoint import checkpoint_steps, load_checkpoint, save_checkpoint
from jrecipe.train.clock import Clock
from jrecipe.train.compiled import roll, scans_well
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.train.history import History
from jrecipe.train.interrupt import on_interrupt
from jrecipe.train.progress import progress_bar
from jrecipe.train.reference import trainer_of, update_of
from jrecipe.types import Array, Batch, PyTree, TaskError

# (state, step, count) -> (state, {"loss": float[count], ...}): the updates step .. step + count - 1
Chunk = Callable[[Any, int, int], tuple[Any, dict[str, np.ndarray]]]


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
      interrupted: whether Ctrl-C ended it early.
      problem: why it stopped early otherwise, empty if it did not.
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
    problem: str = ""

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
        steps = self.history.steps("loss")
        val_steps, val = self.history.steps("val_loss"), self.history["val_loss"]
        spread = np.full(len(steps), np.nan)
        spread[np.searchsorted(steps, val_steps[val_steps > 0])] = val[val_steps > 0]
        known = np.isfinite(spread)
        if known.any():  # a line through the evaluations
            spread = np.interp(steps, steps[known], spread[known], left=np.nan)
        return Curves(
            title=f"{self.task.name}: loss while training",
            x=steps,
            lines={"training batch": self.history["loss"], "validation, exact": spread},
            ylabel="loss",
            log_y=True,
        )

    def __str__(self) -> str:
        val = self.history["val_loss"]
        best = (
            f", best validation loss {val.min():.4g} at step {self.best_step}" if len(val) else ""
        )
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

    Returns:
      A `Fit`. If Ctrl-C was pressed, it is `interrupted` and, with `out`, saved. If the loss became
      NaN, `problem` says where.

    Raises:
      TaskError: if an argument or a value in the data cannot be used.
      OSError: if `out` cannot be written.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise TaskError(f"fit needs steps as an integer >= 1, got {steps!r}.")
    eval_every = max(1, math.ceil(steps / 10)) if eval_every is None else eval_every
    if eval_every < 1:
        raise TaskError(f"fit needs eval_every >= 1, got {eval_every!r}.")
    validate_values(task)
    trainer = trainer_of(task)
    state = trainer.init(jax.random.key(seed))
    history, start, best, best_step, best_loss = History(), 0, state, 0, math.inf
    folder = None if out is None else Path(out)
    if folder is not None:
        found = checkpoint_steps(folder / "checkpoints")
        if found and not resume:
            raise TaskError(
                f"fit got out={str(folder)!r}, which holds another run (step {found[-1]}); "
                "resume it or name another folder."
            )
        folder.mkdir(parents=True, exist_ok=True)
        if found:
            state = load_checkpoint(folder / "checkpoints", state)
            start = found[-1]
            history = History.load(folder / "history.jsonl").until(start)
            best_step = checkpoint_steps(folder / "best")[-1]
            best = load_checkpoint(folder / "best", state, best_step)
            best_loss = float(np.nanmin(history["val_loss"]))
    start = min(start, steps)

    def measure(step: int) -> dict[str, float]:
        result = evaluate(trainer.predict, state, task.val, task.loss, metric=task.metric)
        row = {"val_loss": result.loss, "val_loss_stderr": result.loss_stderr}
        if task.metric is not None:
            row["val_metric"] = result.metric
        history.add(step, row)
        return row

    def save(step: int) -> None:
        if folder is None:
            return
        save_checkpoint(folder / "checkpoints", step, state)
        if best_step not in checkpoint_steps(folder / "best"):
            save_checkpoint(folder / "best", best_step, best)
        history.save(folder / "history.jsonl")

    problem, step = "", start
    with (
        Clock() as clock,
        on_interrupt() as interrupted,
        progress_bar(task.name, steps, progress) as advance,
    ):
        run = _foreign_chunk(task, seed) if task.trainer is not None else _chunk(task, state, seed)
        if start == 0:
            best_loss = _nan_is_worst(measure(0)["val_loss"])
            best = _copy(state) if task.trainer is None else state
        while step < steps and not interrupted() and not problem:
            due = min((step // eval_every + 1) * eval_every, steps)
            count = min(due - step, 100)
            state, rows = run(state, step, count)
            for i in range(count):
                history.add(step + i + 1, {name: row[i] for name, row in rows.items()})
            step += count
            problem = _blow_up(history, step, count)
            shown = {"loss": float(rows["loss"][-1])} if "loss" in rows else {}
            if step == due:
                row = measure(step)
                shown |= {name: row[name] for name in ("val_loss", "val_metric") if name in row}
                if row["val_loss"] < best_loss:
                    best_loss, best_step = row["val_loss"], step
                    best = _copy(state) if task.trainer is None else state
            advance(step, shown)
        save(step)
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
        problem=problem,
    )


def _copy(state: PyTree) -> PyTree:
    """Copies every buffer: the train step donates its own."""
    return jax.tree.map(jnp.copy, state)


def _nan_is_worst(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


def _blow_up(history: History, step: int, count: int) -> str:
    """Says where the loss of the last `count` steps stopped being finite, or nothing."""
    rows = [row for row in history.rows[-count:] if "loss" in row]
    for row in rows:
        if not math.isfinite(row["loss"]):
            before = [r for r in history.rows if "loss" in r and r["step"] < row["step"]]
            norm = f"; grad_norm was {before[-1]['grad_norm']:.3g} before" if before else ""
            return f"the loss became {row['loss']} at step {int(row['step'])}{norm}"
    return ""


def _chunk(task: Task, state: Any, seed: int) -> Chunk:
    """Builds the chunk of the reference trainer: compiled, data on the device if it fits."""
    update, n, size = update_of(task), len(task.train), task.batch_size

    def on_batch(state: Any, batch: Batch) -> tuple[Any, dict[str, Array]]:
        return update(state, batch, jax.random.fold_in(state.key, state.step))

    def rows_of(step: int, count: int) -> np.ndarray:
        return batch_rows(n, size, seed, step, count)

    if not in_memory(task.train):
        stepper = jax.jit(on_batch, donate_argnums=0)
        ones = jnp.ones(size, jnp.float32)

        def streamed(state: Any, step: int, count: int) -> tuple[Any, dict[str, np.ndarray]]:
            numbers = []
            for inputs, targets in batches(task.train, iter(rows_of(step, count))):
                state, row = stepper(state, Batch(inputs, targets, ones))
                numbers.append(row)
            return state, {k: np.array([float(r[k]) for r in numbers]) for k in numbers[0]}

        return streamed

    inputs, targets = jax.tree.map(jnp.asarray, read(task.train))

    def on_rows(state: Any, rows: Array, inputs: PyTree, targets: PyTree) -> tuple[Any, Any]:
        take = lambda x: x[rows]  # noqa: E731
        batch = Batch(jax.tree.map(take, inputs), jax.tree.map(take, targets), jnp.ones(size))
        return on_batch(state, batch)

    scan = scans_well(on_rows, state, jnp.zeros(size, jnp.int32), inputs, targets)
    runner = roll(on_rows, scan)

    def resident(state: Any, step: int, count: int) -> tuple[Any, dict[str, np.ndarray]]:
        state, numbers = runner(state, rows_of(step, count), inputs, targets)
        return state, {name: np.asarray(row) for name, row in numbers.items()}

    return resident


def _foreign_chunk(task: Task, seed: int) -> Chunk:
    """Builds the chunk of a user's own trainer: one call a step, as the user would make it."""
    trainer, n = task.trainer, len(task.train)
    assert trainer is not None
    key = jax.random.fold_in(jax.random.key(seed), 1)

    def rows(step: int, count: int) -> Iterator[np.ndarray]:
        return iter(batch_rows(n, task.batch_size, seed, step, count))

    def run(state: Any, step: int, count: int) -> tuple[Any, dict[str, np.ndarray]]:
        numbers: list[dict[str, float]] = []
        for i, row in enumerate(rows(step, count)):
            inputs, targets = jax.tree.map(jnp.asarray, task.train.take(row))
            batch = Batch(inputs, targets, jnp.ones(len(row), jnp.float32))
            state, metrics = trainer.step(state, batch, jax.random.fold_in(key, step + i))
            numbers.append(scalars(metrics))
        names = set.intersection(*(set(row) for row in numbers))
        return state, {k: np.array([row[k] for row in numbers]) for k in sorted(names)}

    return run


def scalars(metrics: Any) -> dict[str, float]:
    """Returns the scalars among a foreign trainer's metrics by name; a lone scalar is the loss."""
    if not isinstance(metrics, dict):
        metrics = {"loss": metrics} if np.ndim(metrics) == 0 and metrics is not None else {}
    return {str(k): float(v) for k, v in metrics.items() if np.ndim(v) == 0 and v is not None}
