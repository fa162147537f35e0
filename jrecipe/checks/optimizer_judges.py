"""What the answers of an optimiser mean (G14): a judge for each thing that can be wrong with it."""

from __future__ import annotations

import math

import numpy as np

from jrecipe.checks.optimizer_answers import Answers
from jrecipe.checks.optimizer_clipping import HIGH
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "G14", "optimizer"
EVERY = "every parameter"
# Decay of biases: what 1000 updates take, and what one takes of what the gradient moves.
_BIAS_LOSS, _BIAS_RATIO = 0.15, 0.1
# Decay of matrices: the same in 300 updates.
_MATRIX_LOSS, _MATRIX_RATIO = 0.5, 0.3
_GROWTH = 0.003  # of weights under decay in 1000 updates
_ONE_SIDED = 0.01  # loss in 1000 updates of biases alone, where matrices keep theirs
# What acts on smaller gradients only may be a safeguard of a denominator.
_CLIP_FROM = 3e-5


def _names(answers: Answers, which: np.ndarray) -> str:
    """Returns the paths of some leaves, for `Suspect.where`; "" for all that are trained."""
    trained = np.array([not leaf.frozen for leaf in answers.leaves])
    if (which | ~trained).all():
        return ""
    return _paths(answers, which)


def _paths(answers: Answers, which: np.ndarray) -> str:
    return ", ".join(leaf.path for leaf, named in zip(answers.leaves, which, strict=True) if named)


def judge_leaves(answers: Answers) -> tuple[Finding, ...]:
    """Judges whether every trained parameter moves, down the gradient, and no frozen one does."""
    frozen = np.array([leaf.frozen for leaf in answers.leaves])
    evidence = {
        "parameters": len(frozen),
        "declared_frozen": int(frozen.sum()),
        "answer_the_gradient": int((answers.responds & ~frozen).sum()),
        "expected_to_answer": int((~frozen).sum()),
    }
    result = concluding(ITEM, CHECK, evidence)
    found = []
    escaped = frozen & answers.moves
    if escaped.any():
        where = _paths(answers, escaped)
        found.append(
            result(
                Verdict.FAILED,
                f"The optimiser moves {where}, declared frozen.",
                "Put what freezes last in the chain, so that decay does not pass by it.",
                Suspect(
                    cause="frozen-parameters-move",
                    component="optimizer",
                    where=where,
                    why="its updates are not 0",
                ),
            )
        )
    trained = ~frozen
    silent = trained & ~answers.responds
    if trained.any() and (silent | ~trained).all():
        why = f"no gradient changes any update in {answers.steps} updates"
        found.append(
            result(
                Verdict.FAILED,
                "The optimiser moves no parameter, whatever the gradient.",
                "Look for a learning rate of 0, set_to_zero, or a mask that leaves nothing.",
                Suspect(cause="parameters-frozen", component="optimizer", where=EVERY, why=why),
                Suspect(cause="leaf-not-in-optimizer", component="optimizer", where=EVERY, why=why),
            )
        )
        return tuple(found)
    if silent.any() and answers.visible:
        where = _names(answers, silent)
        found.append(
            result(
                Verdict.FAILED,
                f"No gradient of {where} changes its update: it is not in the optimiser.",
                "Look at the labels or mask of the optimiser; if it should not be trained, declare "
                "it in Task.frozen.",
                Suspect(
                    cause="leaf-not-in-optimizer",
                    component="optimizer",
                    where=where,
                    why=f"{int(silent.sum())} of {int(trained.sum())} parameters get the same "
                    f"update from a gradient and from its opposite in {answers.steps} updates",
                ),
            )
        )
    upward = trained & (answers.ascent > 0.5)
    through = upward & answers.raw
    if through.any() and not (through | ~trained).all():
        where = _names(answers, through)
        why = "its update is the gradient itself, untransformed, as behind optax.masked"
        found.append(
            result(
                Verdict.FAILED,
                f"The gradient of {where} passes through as its update, which climbs the loss.",
                "optax.masked leaves what it masks out as it is; use optax.partition, with "
                "set_to_zero for what should stay (and Task.frozen to say so).",
                Suspect(cause="wrong-sign", component="optimizer", where=where, why=why),
                Suspect(cause="leaf-not-in-optimizer", component="optimizer", where=where, why=why),
            )
        )
        upward &= ~through
    if upward.any():
        where = _names(answers, upward)
        found.append(
            result(
                Verdict.FAILED,
                f"Updates {f'of {where} ' if where else ''}go along the gradient, up the loss.",
                "Scale by minus the learning rate, once: optax.scale(-rate) or "
                "scale_by_learning_rate.",
                Suspect(
                    cause="wrong-sign",
                    component="optimizer",
                    where=where,
                    why=f"cosine between update and gradient "
                    f"{float(answers.ascent[upward].min()):.2f}; -1 is descent",
                ),
            )
        )
    return tuple(found)


def judge_memory(answers: Answers) -> tuple[Finding, ...]:
    """Judges whether gradients of long ago lose their say, and every micro-batch has one."""
    stuck = answers.responds & (np.nan_to_num(answers.turned, nan=-1.0) > 0.2)
    evidence = {
        "parameters_stuck": int(stuck.sum()),
        "updates_between_moves": answers.period,
        "micro_batches_over_one_batch": answers.gain,
        "micro_batches_over_one_batch_expected": 1.0,
        "micro_batches_without_influence": len(answers.unread),
    }
    result = concluding(ITEM, CHECK, evidence)
    found = []
    if stuck.any():
        where = _names(answers, stuck)
        found.append(
            result(
                Verdict.FAILED,
                "440 updates after the gradient has turned, updates still follow the 560 before: "
                "gradients are never forgotten.",
                "Reset what is accumulated after each update; a momentum has to be below 1.",
                Suspect(
                    cause="gradients-accumulate",
                    component="optimizer",
                    where=where,
                    why=f"{int(stuck.sum())} parameters keep moving against the present gradient",
                ),
            )
        )
    if answers.sawtooth > 1:
        found.append(
            result(
                Verdict.FAILED,
                f"Under one gradient, updates grow {answers.sawtooth}-fold in {answers.sawtooth} "
                "updates and begin anew: gradients are added up and used in between.",
                "Reset what is accumulated after each update.",
                Suspect(
                    cause="gradients-accumulate",
                    component="optimizer",
                    why=f"update k of {answers.sawtooth} is k times the first",
                ),
            )
        )
    if answers.period > 1 and abs(answers.gain / answers.period - 1) < 0.05:
        found.append(
            result(
                Verdict.FAILED,
                f"{answers.period} micro-batches with one gradient give {answers.gain:.3g} times "
                "the update of one batch with it: they are summed.",
                "Average them: optax.MultiSteps(..., use_grad_mean=True).",
                Suspect(
                    cause="loss-scale",
                    component="optimizer",
                    why=f"the update is {answers.gain:.3g} times that of the optimiser inside",
                ),
            )
        )
    if answers.unread:
        where = f"micro-batches {', '.join(str(i + 1) for i in answers.unread)}"
        found.append(
            result(
                Verdict.FAILED,
                f"Weights move every {answers.period} updates, but the gradients of {where} have "
                "no influence on where.",
                "Average the gradients of all micro-batches, as optax.MultiSteps does.",
                Suspect(
                    cause="examples-ignored",
                    component="optimizer",
                    where=f"{where} of {answers.period}",
                    why="a gradient in these places alone moves nothing",
                ),
            )
        )
    return tuple(found)


def judge_decay(answers: Answers) -> tuple[Finding, ...]:
    """Judges what the optimiser does to weights whatever their gradient."""
    live = answers.responds & np.array([not leaf.frozen for leaf in answers.leaves])
    matrix = np.array([leaf.matrix for leaf in answers.leaves])
    matrices, vectors = live & matrix, live & ~matrix

    def typical(values: np.ndarray, which: np.ndarray) -> float:
        return float(np.median(values[which])) if which.any() else 0.0

    lost, lost_300 = typical(answers.shrink, vectors), typical(answers.shrink_300, matrices)
    ratio = typical(answers.decay_ratio, matrices)
    evidence = {
        "biases_lose_in_1000_updates": lost,
        "biases_lose_limit": _BIAS_LOSS,
        "decay_of_biases_over_gradient": typical(answers.decay_ratio, vectors),
        "decay_of_biases_limit": _BIAS_RATIO,
        "matrices_lose_in_300_updates": lost_300,
        "matrices_lose_limit": _MATRIX_LOSS,
        "decay_of_matrices_over_gradient": ratio,
        "decay_of_matrices_limit": _MATRIX_RATIO,
    }
    result = concluding(ITEM, CHECK, evidence)
    grown = live & (answers.shrink < -_GROWTH)
    if grown.any():
        where, most = _names(answers, grown), -float(answers.shrink[grown].min())
        return (
            result(
                Verdict.FAILED,
                f"Without regard to the gradient, weights grow by {most:.1%} in 1000 updates: "
                "decay works backwards.",
                "Put add_decayed_weights before the scaling by minus the learning rate, or use "
                "optax.adamw.",
                Suspect(
                    cause="decay-coupled",
                    component="optimizer",
                    where=where,
                    why=f"what updates for opposite gradients share points along the weights "
                    f"({most:.1%} in 1000 updates)",
                ),
            ),
        )
    heavy = vectors & (answers.shrink > _BIAS_LOSS) & (answers.decay_ratio > _BIAS_RATIO)
    heavy &= heavy.sum() >= 0.5 * vectors.sum()
    decays = vectors & (answers.shrink > _ONE_SIDED)
    kept = matrices.any() and bool(
        np.abs(answers.shrink[matrices]).max() < 0.1 * answers.shrink[decays].min(initial=np.inf)
    )
    on_bias: tuple[Suspect, ...] = ()
    if heavy.any() or (decays.any() and kept):
        named = decays if kept else heavy
        most = float(answers.shrink[named].max())
        on_bias = (
            Suspect(
                cause="decay-on-bias",
                component="optimizer",
                where=_paths(answers, named),
                why=f"they lose {most:.0%} in 1000 updates whatever the gradient"
                + (", and the matrices nothing: the mask may be inverted" if kept else ""),
            ),
        )
    if lost_300 > _MATRIX_LOSS and ratio > _MATRIX_RATIO:
        return (
            result(
                Verdict.WARNED,
                f"Decay takes {lost_300:.0%} of the matrices in 300 updates, and moves them "
                f"{ratio:.2g} times as far as the gradient does.",
                "Lower the weight decay; 1e-4 to 1e-1 is usual with optax.adamw.",
                Suspect(
                    cause="decay-dominates",
                    component="optimizer",
                    where=_paths(answers, live & (answers.shrink_300 > _MATRIX_LOSS)),
                    why=f"half of a weight is gone after "
                    f"{300 * math.log(0.5) / math.log(max(1 - lost_300, 1e-9)):.0f} updates",
                ),
                *on_bias,
            ),
        )
    if on_bias:
        return (
            result(
                Verdict.WARNED,
                f"Weight decay shrinks biases and scales: {on_bias[0].where} "
                f"{on_bias[0].why.removeprefix('they ')}.",
                "Mask it: jr.regularize.adamw, or optax.adamw(..., mask=jr.regularize.decay_mask).",
                *on_bias,
            ),
        )
    return ()


def judge_schedule(answers: Answers, steps_per_epoch: float) -> tuple[Finding, ...]:
    """Judges whether the learning rate lasts, and arrives.

    A schedule that was written in epochs and is counted in updates ends after a few dozen updates,
    a small part of a pass over the data or a few passes. One that ends after many passes, or with
    one whole pass, may be meant.

    Args:
      answers: see `Answers`.
      steps_per_epoch: updates of one pass over the training split.
    """
    ends = answers.last_rate + 1
    epochs = ends / steps_per_epoch
    evidence = {
        "rate_ends_after_updates": ends,
        "rate_ends_after_epochs": epochs,
        "updates_looked_at": answers.steps,
        "ramp": answers.ramp,
    }
    result = concluding(ITEM, CHECK, evidence)
    few = ends < 200 and epochs < 20
    part = epochs < 0.8 and ends < answers.steps / 2
    if ends > 0 and (few or part):
        return (
            result(
                Verdict.WARNED,
                f"The learning rate is down to nothing after {ends} updates, {epochs:.2g} passes "
                f"over the data, and stays there for the {answers.steps} looked at.",
                "Schedules count updates, not epochs: multiply their lengths by "
                f"{steps_per_epoch:.0f} updates per epoch.",
                Suspect(
                    cause="schedule-ends-early",
                    component="schedule",
                    why=f"after update {ends} updates are below 2 % of their largest size",
                ),
            ),
        )
    # What is never forgotten looks like a warm-up too, see `judge_memory`.
    ramp = answers.ramp and not (answers.turned > 0.2).any()
    if ramp and answers.steps > 100 * steps_per_epoch:
        return (
            result(
                Verdict.WARNED,
                f"The learning rate is still warming up after {answers.steps} updates, "
                f"{answers.steps / steps_per_epoch:.0f} passes over the data.",
                "Shorten the warm-up to a few per cent of the updates you intend.",
                Suspect(
                    cause="learning-rate-too-low",
                    component="schedule",
                    why=f"the rate grows evenly from 0 through all {answers.steps} updates",
                ),
            ),
        )
    return ()


def judge_clipping(answers: Answers) -> tuple[Finding, ...]:
    """Judges whether clipping ever rests."""
    clipped = answers.clipped & answers.responds
    evidence = {
        "clipped_parameters": int(clipped.sum()),
        "clipped_from": answers.clip_from,
        "clipped_from_expected_above": HIGH,
    }
    share = clipped.sum() / max(answers.responds.sum(), 1)
    if share < 0.5 or answers.clip_from < _CLIP_FROM:
        return ()
    return (
        concluding(ITEM, CHECK, evidence)(
            Verdict.WARNED,
            f"Gradients are clipped from {answers.clip_from:.1g} of the size of the first one on: "
            "at every update, whatever the example.",
            "Raise the threshold to about the usual norm of the gradient (1.0 is a common choice).",
            Suspect(
                cause="clip-always-active",
                component="optimizer",
                where=_names(answers, clipped),
                why=f"gradients of {HIGH:.3f} and {HIGH / 3:.3f} of the first one's size give one "
                "and the same update",
            ),
        ),
    )


def judge_finite(answers: Answers) -> tuple[Finding, ...]:
    """Judges whether finite gradients give finite updates."""
    evidence = {
        "parameters": len(answers.leaves),
        "finite": int(answers.finite.sum()),
        "finite_with_zeros": int(answers.finite_at_zero.sum()),
    }
    result = concluding(ITEM, CHECK, evidence)
    if not answers.finite.all():
        where = _names(answers, ~answers.finite)
        return (
            result(
                Verdict.FAILED,
                f"Finite gradients give updates {f'of {where} ' if where else ''}"
                "that are NaN or infinite.",
                "Look for a division or a root in the optimiser.",
                Suspect(
                    cause="not-finite",
                    component="optimizer",
                    where=where,
                    why="constant gradients of usual size are enough",
                ),
            ),
        )
    if not answers.finite_at_zero.all():
        return (
            result(
                Verdict.FAILED,
                "Where a gradient is 0, as behind a dead unit or for a token that does not occur, "
                "the update is NaN or infinite.",
                "Add a small eps to what the optimiser divides by.",
                Suspect(
                    cause="not-finite",
                    component="optimizer",
                    where=_names(answers, ~answers.finite_at_zero),
                    why="gradients that are 0 in places give updates that are not finite",
                ),
            ),
        )
    return ()
