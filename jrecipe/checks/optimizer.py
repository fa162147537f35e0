"""G14: the optimiser alone - what does it do with gradients it is given?

No network and no data take part: gradients of the size of the first real one go through the task's
optimiser for a few thousand updates, and the answers are compared (`optimizer_answers`). With a
trainer of the user's own this is the optimiser that the task declares; what the trainer really does
is the question of the reference step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
import optax

from jrecipe.checks.context import Context
from jrecipe.checks.optimizer_answers import Answers, ask, gain_of, responds_at_size
from jrecipe.checks.optimizer_judges import (
    CHECK,
    ITEM,
    judge_clipping,
    judge_decay,
    judge_finite,
    judge_leaves,
    judge_memory,
    judge_schedule,
)
from jrecipe.checks.optimizer_probe import Probe, describe, first_gradient
from jrecipe.checks.result import Finding, Verdict, concluding
from jrecipe.train.frozen import freeze
from jrecipe.train.reference import optimizer_of


def judge_optimizer(answers: Answers, steps_per_epoch: float) -> tuple[Finding, ...]:
    """Judges all the answers of an optimiser, the likeliest cause first.

    Args:
      answers: see `Answers`.
      steps_per_epoch: updates of one pass over the training split.
    """
    broken = judge_finite(answers)
    if not answers.finite.all():
        return broken
    leaves = judge_leaves(answers)
    decay = judge_decay(answers)
    strong = {"decay-coupled", "decay-dominates"} & {f.suspects[0].cause for f in decay}
    found = (
        *broken,
        *leaves,
        # Weights that shrink or grow by themselves look like gradients that are remembered.
        *(() if strong else judge_memory(answers)),
        *decay,
        *judge_schedule(answers, steps_per_epoch),
        *judge_clipping(answers),
    )
    if found:
        return found
    frozen = sum(leaf.frozen for leaf in answers.leaves)
    evidence = {
        "parameters": len(answers.leaves),
        "declared_frozen": frozen,
        "updates_looked_at": answers.steps,
        "rate_ends_after_updates": answers.last_rate + 1,
        "most_lost_in_1000_updates": float(answers.shrink.max(initial=0.0)),
    }
    lasts = (
        "throughout"
        if answers.last_rate + 1 == answers.steps
        else (f"up to update {answers.last_rate + 1}")
    )
    return (
        concluding(ITEM, CHECK, evidence)(
            Verdict.PASSED,
            f"{len(answers.leaves) - frozen} of {len(answers.leaves)} parameters follow made-up "
            f"gradients downhill, {lasts} of {answers.steps} updates; old gradients are forgotten, "
            f"and decay takes {evidence['most_lost_in_1000_updates']:.1%} at most in 1000.",
        ),
    )


def _skipped(reason: str) -> tuple[Finding, ...]:
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=reason),)


def _half(leaves: Sequence[object]) -> bool:
    return any(np.dtype(getattr(leaf, "dtype", np.float32)).itemsize < 4 for leaf in leaves)


def check_optimizer(context: Context) -> tuple[Finding, ...]:
    """Measures and judges the optimiser alone (G14)."""
    task = context.task
    if context.model is None:
        return _skipped("The task has no model, so the parameters of its optimiser are not known.")
    params, grads = first_gradient(context)
    if not jax.tree.leaves(params):
        return _skipped("The network has no parameters.")
    tx, leaves = optimizer_of(task), describe(params, grads, tuple(task.frozen))
    probe, problem = None, ""
    for small in (True, False):
        try:
            probe = Probe(tx, params, leaves, small=small)
            break
        except (
            TypeError,
            ValueError,
        ) as error:  # it holds arrays of the real shapes, or needs more
            problem = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    if probe is None:
        return _skipped(f"The optimiser cannot be run on its own: {problem}")
    answers = ask(probe, context.seed, clipping=not _half(jax.tree.leaves(params)))
    trained = np.array([not leaf.frozen for leaf in leaves])
    if not answers.responds[trained].all() and answers.first < 16:
        # A mask may go by shapes, and the probe has small ones: ask again with the real ones.
        again = responds_at_size(tx, params, grads, steps=max(4, answers.first + 1))
        answers = dataclasses.replace(answers, responds=answers.responds | again)
    if answers.period > 1 and isinstance(task.optimizer, optax.MultiSteps):
        inner = Probe(freeze(task.optimizer.inner_opt, tuple(task.frozen)), params, leaves)
        answers = dataclasses.replace(answers, gain=gain_of(probe, inner))
    return judge_optimizer(answers, max(1, len(task.train) // task.batch_size))
