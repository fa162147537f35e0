"""Trying a few learning rates, batch sizes and epochs before the run that counts (J7)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jrecipe.data.order import epoch_order
from jrecipe.finetune.kinds import Kind
from jrecipe.finetune.load import PretrainedText
from jrecipe.finetune.row_splits import rows_at
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.text_data import TextData
from jrecipe.finetune.tokenizer import TextTokenizer, read_tokenizer
from jrecipe.finetune.tuning import Plan, tune

RATES = (2e-5, 5e-5, 1e-4, 2e-4)
BATCH_SIZES = (16, 32)
EPOCHS = (3, 4, 5)
_FIRST = 512  # rows of the trial by which the others are sized
_VAL = 1_000  # most validation rows of a trial


@dataclasses.dataclass(frozen=True)
class Trial:
    """One short run.

    Attributes:
      plan: what was tried.
      rate: its highest learning rate.
      rows: training rows it had.
      score: on the validation rows, higher is better.
      seconds: it took, compilation included.
    """

    plan: Plan
    rate: float
    rows: int
    score: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a sweep tried.

    Attributes:
      trials: in the order of trying.
      best: the plan to run.
      measure: name of the score.
      cut: whether time ended it before all was tried.
    """

    trials: tuple[Trial, ...]
    best: Plan
    measure: str
    cut: bool

    def __str__(self) -> str:
        lines = [f"{'rate':>8} {'batch':>6} {'epochs':>7} {'rows':>7} {self.measure:>10}"]
        lines += [
            f"{t.rate:8.0e} {t.plan.batch_size:6} {t.plan.epochs:7} {t.rows:7} {t.score:10.3f}"
            for t in self.trials
        ]
        return "\n".join(lines)


def sweep(
    kind: Kind,
    found: PretrainedText,
    train: TextRows,
    val: TextRows,
    plan: Plan | None = None,
    *,
    rates: Sequence[float] = RATES,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    epochs: Sequence[int] = EPOCHS,
    minutes: float = 10.0,
    say: Callable[[str], None] = lambda text: None,
) -> Sweep:
    """Tries learning rates, then batch sizes, then epochs, each time going on with the best.

    Trials are whole runs in small, with the rate rising and falling as in the final one, on as many
    of the rows as the time allows; all trials but the first have the same rows. The best is chosen
    by validation rows, so a later score on them is a little too good.

    Args:
      kind: of the task.
      found: the pre-trained network.
      train: training rows.
      val: validation rows.
      plan: what is not tried, and where to begin.
      rates: learning rates, > 0.
      batch_sizes: rows of an update.
      epochs: passes over the rows.
      minutes: for all trials together, > 0; one that has begun is finished.
      say: told what is being tried.
    """
    plan = Plan() if plan is None else plan
    tokenizer = read_tokenizer(found)
    labels = kind.read(train, tokenizer).labels or None
    watched = kind.read(_some(val, _VAL, plan.seed), tokenizer, labels)
    ends = time.monotonic() + 60 * minutes

    def run(tried: Plan, rows: int) -> Trial:
        data = kind.read(_some(train, rows, plan.seed), tokenizer, labels)
        return _trial(kind, found, tokenizer, data, watched, tried)

    say(f"Sweep: learning rate {rates[0]:g}")
    first = dataclasses.replace(plan, rate=rates[0], epochs=1)
    begun = time.monotonic()
    run(first, min(_FIRST, len(train)))
    per_row = (time.monotonic() - begun) / min(_FIRST, len(train))
    count = len(rates) + len(batch_sizes) + len(epochs) - 2
    rows = int((ends - time.monotonic()) / count / per_row / max(plan.epochs, 1))
    rows = max(min(rows, len(train)), min(_FIRST, len(train)))
    trials: list[Trial] = []
    best = plan
    for name, changed in _steps(rates, batch_sizes, epochs):
        for value in changed:
            changes: dict[str, Any] = {name: value}
            tried = dataclasses.replace(best, **changes)
            if any(trial.plan == tried for trial in trials):
                continue
            if time.monotonic() > ends:
                break
            called = "learning rate" if name == "rate" else name.replace("_", " ")
            say(f"Sweep: {called} {value:g}")
            trials.append(run(tried, rows))
        if trials:
            best = max(trials, key=lambda trial: trial.score).plan
    return Sweep(tuple(trials), best, kind.measure, time.monotonic() > ends)


def _steps(
    rates: Sequence[float], batch_sizes: Sequence[int], epochs: Sequence[int]
) -> Iterator[tuple[str, Sequence[float]]]:
    yield "rate", rates
    yield "batch_size", batch_sizes
    yield "epochs", epochs


def _trial(
    kind: Kind,
    found: PretrainedText,
    tokenizer: TextTokenizer,
    train: TextData,
    val: TextData,
    plan: Plan,
) -> Trial:
    begun = time.monotonic()
    tuned = tune(kind, found, tokenizer, train, val, plan, progress=False)
    return Trial(
        plan, tuned.strategy.rate, len(train.source), tuned.headline, time.monotonic() - begun
    )


def _some(rows: TextRows, count: int, seed: int) -> TextRows:
    """Returns up to `count` rows, drawn by the seed, in their order."""
    if count >= len(rows):
        return rows
    return rows_at(rows, np.sort(epoch_order(len(rows), seed, 1)[:count]))
