"""B11: prediction dynamics - how the predictions on a fixed batch move while training.

Predictions that hardly move say that the learning rate is too low; predictions that jump about, or
a loss that a tenth of the rate would have lowered, that it is too high. Both are told by comparing
with arms of a tenth and ten times the rate, never from the curve alone.
"""

from __future__ import annotations

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.overfit_batch import few_floor
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.figures import Curves, Figure
from jrecipe.types import PyTree

ITEM, CHECK = "B11", "prediction-dynamics"


def as_predictions(outputs: np.ndarray, kind: str) -> np.ndarray:
    """Turns outputs into what the network answers: probabilities where it classifies.

    Args:
      outputs: float[..., c] or float[...].
      kind: `Loss.kind`, or "" to leave outputs as they are.
    """
    outputs = np.asarray(outputs, np.float64)
    if kind in ("classes", "tokens"):
        shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)
    if kind in ("binary", "multilabel"):
        return 0.5 * (1 + np.tanh(outputs / 2))
    return outputs


def jitter(predictions: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Measures how predictions move between looks.

    Args:
      predictions: float[s, p, ...], predictions on p examples at s looks.

    Returns:
      The mean distance of one example between two looks; the share of the way that was not progress
      (1 - distance from start to end / length of the path); and the distance at each look
      float[s-1].
    """
    flat = predictions.reshape(*predictions.shape[:2], -1)
    hops = np.linalg.norm(np.diff(flat, axis=0), axis=-1)
    way = np.linalg.norm(flat[-1] - flat[0], axis=-1)
    length = hops.sum(axis=0)
    wasted = float(np.mean(1 - way / np.maximum(length, 1e-12))) if len(hops) else 0.0
    return float(hops.mean()) if len(hops) else 0.0, wasted, hops.mean(axis=1)


def standing(hops: np.ndarray) -> int:
    """Returns the number of the last hop that was one, 0 if they go on into the second half.

    Args:
      hops: float[s], mean distance that predictions moved between looks.

    Example:
      >>> standing(np.array([1.0, 0.5, 0.0, 0.0, 0.0, 0.0])), standing(np.ones(6))
      (2, 0)
    """
    largest = float(hops.max(initial=0.0))
    if not np.isfinite(largest) or largest == 0 or len(hops) < 6:
        return 0
    last = int(np.flatnonzero(hops > 1e-4 * largest)[-1]) + 1
    return last if 2 * last <= len(hops) + 2 else 0


def judge_dynamics(
    *,
    start: float,
    end: float,
    slower: float | None,
    faster: float | None,
    blank: float | None = None,
    floor: float,
    hop: float,
    wasted: float,
    moved: float = 1.0,
    stopped: int = 0,
    epochs: float = 0.0,
    pretrained: bool = False,
    figures: tuple[Figure, ...] = (),
) -> Finding:
    """Judges the learning rate from what the same training reaches with a tenth and ten times it.

    Args:
      start: training loss before training.
      end: training loss at the end; NaN or infinite if it diverged.
      slower: the same with a tenth or a hundredth of the rate, the better; None if not run.
      faster: the same with ten times the rate; None if not run.
      blank: the same with blank inputs; None if not run. To learn how often each target comes is
        little: what a rate that is too low gets done counts from there.
      floor: lowest training loss that can be reached.
      hop: mean distance of a prediction between two looks.
      wasted: share of the predictions' way that was not progress.
      moved: how far the weights moved, relative to their size; exactly 0 if nothing updates them,
        which is another check's finding.
      stopped: updates after which predictions no longer move at all; 0 if they do to the end.
      epochs: passes over the data that these are.
      pretrained: whether the weights are given: fine-tuning moves little on purpose.
      figures: the predictions over time.
    """
    room = max(start - floor, 1e-12)

    def progress(loss: float | None) -> float | None:
        if loss is None:
            return None
        return (start - loss) / room if np.isfinite(loss) else -np.inf

    done, slow = progress(end), progress(slower)
    assert done is not None
    evidence = {
        "start": start,
        "end": end,
        "end_at_a_tenth_of_the_rate": slower,
        "end_at_ten_times_the_rate": faster,
        "end_with_blank_inputs": blank,
        "movement_between_looks": hop,
        "share_of_the_way_wasted": wasted,
    }

    result = concluding(ITEM, CHECK, evidence, figures)

    if stopped and stopped < 200 and epochs < 20 and done < 0.95:
        return result(
            Verdict.WARNED,
            f"Predictions stand still after {stopped} updates, {epochs:.2g} passes over the data, "
            f"with a loss of {end:.4g} ({start:.4g} at the start, {floor:.4g} possible).",
            "Schedules count updates, not epochs: see what the learning rate is by then.",
            Suspect(
                cause="schedule-ends-early",
                component="schedule",
                why=f"no prediction moves from update {stopped} on",
            ),
        )
    if slow is not None and (
        (done < 0.05 and slow > max(0.1, done + 0.1)) or (done < 0.5 and slow > 0.9)
    ):
        return result(
            Verdict.FAILED,
            f"The loss goes from {start:.4g} to {end:.4g}, while a tenth of the learning rate, or "
            f"a hundredth, reaches {slower:.4g}.",
            "Lower the learning rate tenfold.",
            Suspect(
                cause="learning-rate-too-high",
                component="optimizer",
                why=f"a tenth of it gets {slow:.0%} of the way, this one {max(done, -1):.0%}",
            ),
        )
    if 0 < moved < 1e-4:
        return result(
            Verdict.WARNED,
            f"The weights move by {moved:.1e} of their size in all of the training, and the loss "
            f"goes from {start:.4g} to {end:.4g}.",
            "Raise the learning rate a thousandfold: usual ones move weights by 1e-3 per update.",
            Suspect(
                cause="learning-rate-too-low",
                component="optimizer",
                why=f"the weights move by {moved:.1e} of their size",
            ),
        )
    known = start if blank is None or not np.isfinite(blank) else min(start, blank)
    learned, could = ((known - x) / max(known - floor, 1e-12) for x in (end, _finite(faster)))
    if not pretrained and abs(learned) < 0.05 and could > max(0.1, 10 * abs(learned)):
        without = "" if known == start else f", hardly lower than with blank inputs ({blank:.4g})"
        return result(
            Verdict.WARNED,
            f"The predictions hardly move: the loss goes from {start:.4g} to {end:.4g}{without}; "
            f"with ten times the learning rate it goes to {faster:.4g}.",
            "Raise the learning rate tenfold, or see that training is as long as this rate needs.",
            Suspect(
                cause="learning-rate-too-low",
                component="optimizer",
                why=f"{learned:.1%} of the way, ten times the rate gets {could:.0%}",
            ),
        )
    return result(
        Verdict.PASSED,
        f"Predictions on a fixed batch move by {hop:.3g} between looks, {wasted:.0%} of their way "
        f"is jitter; the loss falls from {start:.4g} to {end:.4g}.",
    )


def check_dynamics(context: Context) -> Finding:
    """Measures and judges how predictions move during training (B11)."""
    controls, loss = context.controls, context.task.loss
    real = controls.arms["real"]
    kind = loss.kind if isinstance(loss, losses.Loss) else ""
    leaf = jax.tree.leaves(real.probe)[0]
    predictions = as_predictions(leaf, kind)
    hop, wasted, hops = jitter(predictions)
    stopped = int(real.looks[standing(hops)]) if context.foreign else 0  # else see G14
    known = few_floor(context)
    start = float(real.train_start.mean())
    floor = min(float(np.min(real.train)), start) if known is None else known
    end = lambda name: (  # noqa: E731
        float(np.mean(controls.arms[name].train)) if name in controls.arms else None
    )
    figures: tuple[Figure, ...] = (
        Curves(
            title="How far predictions on a fixed batch move between two looks",
            x=real.looks[1:],
            lines={
                name: jitter(as_predictions(jax.tree.leaves(arm.probe)[0], kind))[2]
                for name, arm in controls.arms.items()
                if name in ("real", "rate/10", "rate*10")
            },
            ylabel="distance",
        ),
        *_tracks(predictions, controls.probe.targets, real.looks, kind),
    )
    return judge_dynamics(
        start=start,
        end=float(np.mean(real.train)),
        slower=_best(end("rate/10"), end("rate/100")),
        faster=end("rate*10"),
        blank=end("blank"),
        floor=min(floor, start),
        moved=float(np.sqrt(sum(size**2 for size in real.moved.values()))),
        stopped=stopped,
        epochs=stopped * context.task.batch_size / len(context.task.train),
        pretrained=context.pretrained,
        hop=hop,
        wasted=wasted,
        figures=figures,
    )


def _finite(loss: float | None) -> float:
    return np.inf if loss is None or not np.isfinite(loss) else loss


def _best(*ends: float | None) -> float | None:
    finite = [end for end in ends if end is not None and np.isfinite(end)]
    return min(finite) if finite else None


def _tracks(
    predictions: np.ndarray, targets: PyTree, looks: np.ndarray, kind: str, examples: int = 8
) -> tuple[Curves, ...]:
    """Draws the probability of the right answer for a few examples over time."""
    if kind not in ("classes", "binary") or not hasattr(targets, "shape"):
        return ()
    labels = np.asarray(targets).reshape(-1)[:examples].astype(int)
    if kind == "classes":
        tracks = predictions[:, np.arange(len(labels)), labels]
    else:
        flat = predictions.reshape(len(predictions), -1)[:, : len(labels)]
        tracks = np.where(labels > 0, flat, 1 - flat)
    return (
        Curves(
            title="Probability given to the right answer, on a fixed batch of validation",
            x=looks,
            lines={f"example {i}": tracks[:, i] for i in range(len(labels))},
            ylabel="probability",
        ),
    )
