"""A run that is over, judged: what it learned, how sure it is, and whether the best was kept."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks.dynamics import as_predictions
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.figures import Curves, Figure
from jrecipe.task import read
from jrecipe.train.checkpoint import checkpoint_steps, load_checkpoint
from jrecipe.train.evaluate import Evaluation
from jrecipe.train.fitted import Fit

ROWS = 2048  # training examples that are scored


def judge_gap(
    *,
    train: tuple[float, float],
    val: tuple[float, float],
    constant: float | None,
    label_noise: float | None = None,
    augmented: bool = False,
) -> Finding:
    """Judges the generalisation gap (C, D11).

    Args:
      train: mean loss on training examples in evaluation mode, and its standard error.
      val: the same on validation.
      constant: validation loss of the best constant output; None if unknown.
      label_noise: as the task declares; noisy training labels make training look worse.
      augmented: training targets may be changed by augmentation, not those scored here.
    """
    gap, stderr = val[0] - train[0], float(np.hypot(train[1], val[1]))
    evidence = {
        "train_loss": train[0],
        "val_loss": val[0],
        "gap": gap,
        "gap_stderr": stderr,
        "best_constant": constant,
        "augmented": augmented,
    }
    result = concluding("D11", "generalisation-gap", evidence)
    if not np.isfinite(gap):
        return result(Verdict.SKIPPED, "The loss at the end is not finite.")
    if gap < -4 * stderr and gap < -0.1 * abs(train[0]) and not label_noise:
        return result(
            Verdict.WARNED,
            f"Validation scores better than training: {val[0]:.4g} against {train[0]:.4g}, by more "
            "than the noise.",
            "Look for validation examples that are easier, repeated, or known from training; "
            "noisy training labels are declared with label_noise.",
            Suspect(
                cause="val-better-than-train",
                component="split",
                where="val",
                why=f"better by {-gap:.3g} +- {stderr:.2g}, both in evaluation mode",
            ),
            Suspect(cause="label-noise", component="labels", where="train"),
        )
    if constant is not None and val[0] > constant + 3 * val[1] and train[0] < 0.5 * constant:
        return result(
            Verdict.WARNED,
            f"The best state knows its training examples ({train[0]:.4g}), and does worse on new "
            f"ones than a constant answer ({val[0]:.4g} against {constant:.4g}).",
            "More data, augmentation, a smaller network or decay; or labels that say nothing.",
            Suspect(
                cause="overfitting",
                component="model",
                why=f"a gap of {gap:.3g} +- {stderr:.2g}, worse than the best constant",
            ),
        )
    return result(
        Verdict.PASSED,
        f"The best state scores {train[0]:.4g} on training and {val[0]:.4g} on validation examples "
        f"(gap {gap:.3g} +- {stderr:.2g}).",
    )


def calibration(
    probabilities: np.ndarray, right: np.ndarray, bins: int = 10
) -> tuple[float, float, np.ndarray]:
    """Measures how far confidence is from accuracy.

    Args:
      probabilities: float[n], confidence of each answer.
      right: bool[n], whether it was right.
      bins: groups of equal size, by confidence.

    Returns:
      The expected calibration error, what chance alone would give a calibrated network of this
      size, and float[bins, 2] of mean confidence and accuracy.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    order = np.argsort(probabilities, kind="stable")
    groups = [g for g in np.array_split(order, bins) if len(g)]
    pairs = np.array([[probabilities[g].mean(), right[g].mean()] for g in groups])
    shares = np.array([len(g) for g in groups]) / len(order)
    error = float((shares * np.abs(pairs[:, 0] - pairs[:, 1])).sum())
    noise = [np.sqrt((probabilities[g] * (1 - probabilities[g])).sum()) / len(g) for g in groups]
    chance = float((shares * np.sqrt(2 / np.pi) * np.array(noise)).sum())
    return error, chance, pairs


def judge_calibration(
    *,
    error: float,
    chance: float,
    accuracy: float,
    confidence: float,
    n: int,
    figures: tuple[Figure, ...] = (),
) -> Finding:
    """Judges the calibration of a classifier: WARNED if it is off by 0.15 beyond chance."""
    evidence = {
        "calibration_error": error,
        "expected_by_chance": chance,
        "accuracy": accuracy,
        "confidence": confidence,
        "examples": n,
        "limit": 0.15 + 2 * chance,
    }
    result = concluding("A9", "calibration", evidence, figures)
    if error <= 0.15 + 2 * chance:
        return result(
            Verdict.PASSED,
            f"Answers are right {accuracy:.1%} of the time and {confidence:.1%} sure: calibration "
            f"error {error:.3f}, chance alone gives {chance:.3f}.",
        )
    more = "surer" if confidence > accuracy else "less sure"
    return result(
        Verdict.WARNED,
        f"Answers are {confidence:.0%} sure and right {accuracy:.0%} of the time: the network is "
        f"much {more} than it may be.",
        "Fit a temperature on validation, smooth labels, or stop earlier.",
        Suspect(
            cause="miscalibrated",
            component="model",
            where="outputs",
            why=f"calibration error {error:.3f}, chance alone gives {chance:.3f}",
        ),
    )


def judge_restored(*, kept: float, recorded: float, reloaded: float | None) -> Finding:
    """Judges whether the best state scores what it scored in training (D11).

    Args:
      kept: validation loss of the state that was kept as best.
      recorded: validation loss in the history at its step.
      reloaded: the same after loading its checkpoint; None if nothing was saved.
    """
    evidence = {"kept": kept, "recorded": recorded, "reloaded": reloaded}
    result = concluding("D11", "best-restored", evidence)

    def same(value: float | None) -> bool:
        return value is None or bool(np.isclose(value, recorded, rtol=1e-4, atol=1e-7))

    if same(kept) and same(reloaded):
        also = "" if reloaded is None else ", and so does its checkpoint"
        return result(
            Verdict.PASSED, f"The best state scores {kept:.4g} again, as in training{also}."
        )
    which = "kept" if not same(kept) else "reloaded"
    return result(
        Verdict.FAILED,
        f"The best state scored {recorded:.6g} in training; the state {which} as best scores "
        f"{evidence[which]:.6g}.",
        "Copy the state when it is the best: later steps may write into it.",
        Suspect(
            cause="checkpoint-differs",
            component="eval",
            where="best state" if which == "kept" else "checkpoint",
            why=f"{evidence[which]:.6g} against {recorded:.6g} on the same examples",
        ),
    )


def check_gap(fit: Fit) -> Finding:
    """Measures and judges the generalisation gap of a run."""
    task = fit.task
    rows = np.linspace(0, len(task.train) - 1, min(ROWS, len(task.train))).astype(int)
    train = dataclasses.replace(fit, task=task.replace(val=task.train.take(rows))).evaluate("val")
    val = fit.evaluate("val")
    law, constant = task.loss, None
    if isinstance(law, losses.Loss):
        targets = jax.tree.map(np.asarray, read(task.val)[1])
        shape = _output_shape(fit)
        constant = None if shape is None else law.uninformed(targets, shape)
    return judge_gap(
        train=(train.loss, train.loss_stderr),
        val=(val.loss, val.loss_stderr),
        constant=constant,
        label_noise=task.label_noise,
        augmented=task.augment is not None,
    )


def check_calibration(fit: Fit) -> Finding:
    """Measures and judges the calibration of a classifier on validation."""
    loss = fit.task.loss
    kind = loss.kind if isinstance(loss, losses.Loss) else ""
    if kind not in ("classes", "binary"):
        said = "Confidence is defined for a classifier with one of jr.losses."
        return Finding(item="A9", check="calibration", verdict=Verdict.SKIPPED, finding=said)
    found: Evaluation = fit.evaluate("val", keep_outputs=True)
    predictions = as_predictions(np.asarray(found.outputs), kind)
    targets = np.asarray(read(fit.task.val)[1]).reshape(-1)
    if kind == "classes":
        confidence, right = predictions.max(axis=-1), predictions.argmax(axis=-1) == targets
    else:
        flat = predictions.reshape(-1)
        confidence, right = np.maximum(flat, 1 - flat), (flat > 0.5) == (targets > 0.5)
    if not np.isfinite(confidence).all() or len(confidence) < 50:
        said = f"Calibration needs 50 finite answers, there are {len(confidence)}."
        return Finding(item="A9", check="calibration", verdict=Verdict.SKIPPED, finding=said)
    error, chance, pairs = calibration(confidence, right)
    curves = Curves(
        title="Accuracy by confidence",
        x=pairs[:, 0],
        lines={"accuracy": pairs[:, 1], "if calibrated": pairs[:, 0]},
        xlabel="confidence",
        ylabel="accuracy",
    )
    return judge_calibration(
        error=error,
        chance=chance,
        accuracy=float(right.mean()),
        confidence=float(confidence.mean()),
        n=len(right),
        figures=(curves,),
    )


def check_restored(fit: Fit) -> Finding:
    """Evaluates the state that was kept as best again, and its checkpoint if there is one."""
    at = fit.history.steps("val_loss")
    recorded = fit.history["val_loss"][at == fit.best_step]
    if not len(recorded):
        said = "The history does not hold the evaluation of the best state."
        return Finding(item="D11", check="best-restored", verdict=Verdict.SKIPPED, finding=said)
    reloaded = None
    if fit.out is not None and fit.best_step in checkpoint_steps(fit.out / "best"):
        state = load_checkpoint(fit.out / "best", fit.best, fit.best_step)
        reloaded = dataclasses.replace(fit, best=state).evaluate("val").loss
    return judge_restored(
        kept=fit.evaluate("val").loss, recorded=float(recorded[-1]), reloaded=reloaded
    )


def check_after(fit: Fit) -> tuple[Finding, ...]:
    """Measures and judges a run that is over."""
    return check_gap(fit), check_calibration(fit), check_restored(fit)


def _output_shape(fit: Fit) -> tuple[int, ...] | None:
    outputs = fit.predict(fit.task.val.take(np.arange(1))[0])
    return tuple(outputs.shape[1:]) if hasattr(outputs, "shape") else None
