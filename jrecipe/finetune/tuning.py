"""Fine-tuning of a pre-trained network on rows of text (J1-J5)."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.checks.result import Finding
from jrecipe.finetune.kinds import Kind
from jrecipe.finetune.load import PretrainedText
from jrecipe.finetune.pitfalls import text_findings
from jrecipe.finetune.predictor import Predictor
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.start import start_from
from jrecipe.finetune.strategies import Strategy, strategy
from jrecipe.finetune.text_data import TextData
from jrecipe.finetune.tokenizer import TextTokenizer, read_tokenizer
from jrecipe.models.adapt import as_model
from jrecipe.task import Task
from jrecipe.train.fitted import Fit
from jrecipe.train.loop import fit
from jrecipe.types import TaskError

_PHASES = 3  # of gradual unfreezing: each compiles a program for each length of the texts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How a network is fine-tuned.

    Attributes:
      strategy: which parameters learn, and how: "full", "head", "freeze-first", "gradual",
        "discriminative", "lora" or "auto"; see `strategy`.
      rate: highest learning rate, > 0; 2e-5 to 5e-5 is usual for whole encoders. None for that of
        the strategy.
      epochs: passes over the training rows, >= 1; 3 to 5 are usual.
      batch_size: rows of an update, >= 1.
      warm_up: share of the run in which the rate rises from 0, in [0, 1); it falls to 0 after.
      scratch: start from random weights instead, to see what pre-training is worth.
      seed: decides everything that is drawn.
    """

    strategy: str = "full"
    rate: float | None = None
    epochs: int = 3
    batch_size: int = 32
    warm_up: float = 0.1
    scratch: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate is not None and not (
            isinstance(self.rate, int | float) and 0 < self.rate < math.inf
        ):
            raise TaskError(f"Plan.rate needs a number > 0, got {self.rate!r}; try 5e-5.")
        for name in ("epochs", "batch_size"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise TaskError(f"Plan.{name} needs an integer >= 1, got {count!r}.")
        if not 0 <= self.warm_up < 1:
            raise TaskError(f"Plan.warm_up needs a share in [0, 1), got {self.warm_up!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuned:
    """A fine-tuned network and how it came about.

    Attributes:
      predictor: the network, ready to answer.
      plan: how it was tuned.
      strategy: what of it learned.
      fit: the training.
      train: the training rows as tokens; its notes say what was cut or left out.
      val: the validation rows as tokens.
      scores: on the validation rows.
      kept: "last" or "best": which state is kept. The best is that with the lowest validation loss;
        the last is kept if it scores as well or higher, as the loss often rises while fewer answers
        are wrong.
      findings: what `text_findings` said of the rows before training, none of it FAILED.
      reading_seconds: spent on tokenisation.
    """

    predictor: Predictor
    plan: Plan
    strategy: Strategy
    fit: Fit
    train: TextData
    val: TextData
    scores: Any
    kept: str
    findings: tuple[Finding, ...]
    reading_seconds: float

    @property
    def headline(self) -> float:
        """The validation score that counts, see `Kind.measure`."""
        return self.predictor.kind.headline(self.scores)


def fine_tune(
    kind: Kind,
    found: PretrainedText,
    train: TextRows,
    val: TextRows,
    plan: Plan | None = None,
    *,
    tokenizer: TextTokenizer | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> FineTuned:
    """Fine-tunes a pre-trained network on rows of text.

    Batches hold texts of like length, each padded to one of a few lengths, so that little is
    computed on padding and few programs are compiled.

    Args:
      kind: of the task, such as `Classify()`.
      found: what `load_pretrained` returned.
      train: rows to learn from; the labels are theirs.
      val: rows to choose by; a label that `train` lacks is an error.
      plan: strategy, rate, epochs and the like; None for the defaults.
      tokenizer: None reads that of `found`.
      out: folder for checkpoints, see `jr.fit`.
      resume: go on from the newest checkpoint there; the result is that of a run without a break.
      progress: show a bar; None shows it on a terminal only.

    Raises:
      TaskError: if rows, labels or texts do not fit the task or the network, or `text_findings`
        has one that FAILED.
    """
    plan = Plan() if plan is None else plan
    kind.network(found.module, ())  # refuses one that does not fit before any text is read
    began = time.perf_counter()
    tokenizer = read_tokenizer(found) if tokenizer is None else tokenizer
    train_data = kind.read(train, tokenizer)
    labels = train_data.labels
    val_data = kind.read(val, tokenizer, labels or None)
    reading = time.perf_counter() - began
    return tune(
        kind,
        found,
        tokenizer,
        train_data,
        val_data,
        plan,
        out=out,
        resume=resume,
        progress=progress,
        reading_seconds=reading,
    )


def tune(
    kind: Kind,
    found: PretrainedText,
    tokenizer: TextTokenizer,
    train: TextData,
    val: TextData,
    plan: Plan,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    reading_seconds: float = 0.0,
) -> FineTuned:
    """Fine-tunes on rows that are tokens already; see `fine_tune`."""
    findings = text_findings(train, val, tokenizer, found.module)
    for finding in findings:
        if not finding.ok:
            raise TaskError(f"{finding.finding} {finding.remedy}")
    network = kind.network(found.module, train.labels)
    size = min(plan.batch_size, len(train.source))
    epoch = math.ceil(len(train.source) / size)
    steps = plan.epochs * epoch
    model = as_model(network) if plan.scratch else start_from(network, found)
    first = train.source.take(np.arange(1))[0]
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), first)[0])
    chosen = strategy(
        plan.strategy,
        model,
        shapes,
        rate=plan.rate,
        steps=steps,
        warm_up=plan.warm_up,
        rows=len(train.source),
        phases=_PHASES,
    )
    task = Task(
        model=chosen.model,
        loss=kind.loss(train.labels),
        train=train.source,
        val=val.source,
        optimizer=chosen.optimizer,
        frozen=chosen.frozen,
        batch_size=size,
        class_names=train.labels,
        name=kind.name,
    )
    fitted = fit(
        task,
        steps,
        seed=plan.seed,
        eval_every=epoch,
        out=out,
        resume=resume,
        progress=progress,
    )
    best: tuple[float, str, Any, Any] | None = None
    for which, state in (("last", fitted.state), ("best", fitted.best)):
        if which == "best" and fitted.best_step == fitted.steps:
            continue
        params = jax.tree.map(np.asarray, chosen.export(state.params))
        predictor = Predictor(kind, train.labels, network, params, tokenizer, found)
        scores = predictor.score(val)
        value = kind.headline(scores)
        if best is None or value > best[0]:
            best = (value, which, predictor, scores)
    assert best is not None
    return FineTuned(
        predictor=best[2],
        plan=plan,
        strategy=chosen,
        fit=fitted,
        train=train,
        val=val,
        scores=best[3],
        kept=best[1],
        findings=findings,
        reading_seconds=reading_seconds,
    )
