"""Rule sets that the field has published, re-implemented from their thresholds, for comparison.

Each tool is a function of a `Trace` to the names of its rules that fired; `TOOLS` has the same as
functions of a task. Where a threshold leaves room, the reading that alarms less was taken: rules
on "the loss" read evaluations on the whole training split and not noisy batches, and a rule that
cannot see what it needs (gradients of a foreign loop, layers of a network that is not Linen) is
silent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import jrecipe as jr
from gallery.rules_trace import Trace, trace


def autotrainer(run: Trace) -> tuple[str, ...]:
    """AUTOTRAINER: vanishing, exploding, dying ReLU, oscillation, slow convergence.

    Ratio of the first to the last layer's gradient norm above 70, or below 1e-3 with the first
    below 1e-4; at least 70 % zero gradients; accuracy moving by .03 in at least a fifth of the
    epochs; best gain below .01. All of it only while accuracy stays under .6; programs without an
    accuracy are judged by gradients alone.
    """
    accuracy = run.train_accuracy
    if not np.isfinite(run.train_loss).all() or not run.finite:
        return ("exploding-gradient",)
    if len(accuracy) and accuracy.max() >= 0.6:
        return ()
    fired = []
    late = slice(int(0.3 * len(run.loss)), None)
    if len(run.kernels) > 1:
        first, last = np.median(run.grad_norm[late][:, [0, -1]], axis=0)
        ratio = first / max(last, 1e-30)
        if ratio < 1e-3 and first < 1e-4:
            fired.append("vanishing-gradient")
        if ratio > 70:
            fired.append("exploding-gradient")
    if run.kernels and np.median(run.grad_zeros[late], axis=0).mean() >= 0.7:
        fired.append("dying-relu")
    if len(accuracy) > 2:
        if (np.abs(np.diff(accuracy)) >= 0.03).mean() >= 0.2:
            fired.append("oscillating-loss")
        if np.diff(accuracy).max() < 0.01:
            fired.append("slow-convergence")
    return tuple(fired)


def umlaut(run: Trace) -> tuple[str, ...]:
    """UMLAUT: inputs outside [-1, 1], last layer no softmax, linear hidden layers, and so on.

    Dropout above .5; learning rate outside 1e-7..1e-2; validation loss up while training loss goes
    down, at one evaluation; NaN.
    """
    fired = []
    if min(run.input_range) < -1.0 or max(run.input_range) > 1.0:
        fired.append("input-range")
    if run.softmax_outputs is False:
        fired.append("no-softmax")
    if run.linear_hidden:
        fired.append("linear-hidden-layer")
    if run.dropout > 0.5:
        fired.append("high-dropout")
    if run.rate is not None and not 1e-7 <= run.rate <= 1e-2 * (1 + 1e-6):
        fired.append("learning-rate-range")
    if ((np.diff(run.val_loss) > 0) & (np.diff(run.train_loss) < 0)).any():
        fired.append("overfitting")
    if not np.isfinite(run.train_loss).all():
        fired.append("nan-loss")
    return tuple(fired)


def sagemaker(run: Trace) -> tuple[str, ...]:
    """SageMaker Debugger's built-in rules at their defaults.

    Mean |gradient| below 1e-7; over half of the ReLUs active in under 1 % of examples; update ratio
    outside 1e-8..10; weights unchanged over 3 steps; loss down by less than .1 % over 10
    evaluations; most to least frequent class above 10; (val - train) / train above .1 at the end;
    tensors that are not finite.
    """
    fired = []
    if run.kernels:
        if (run.grad_mean < 1e-7).any():
            fired.append("vanishing-gradient")
        if (run.ratio < 1e-8).any() or (run.ratio > 10).any():
            fired.append("update-ratio")
        if _in_a_row(run.unchanged > 0, 3):
            fired.append("unchanged-tensor")
    if any(share > 0.5 for share in run.inactive):
        fired.append("dead-relu")
    if not_decreasing(run.train_loss):
        fired.append("loss-not-decreasing")
    if run.class_counts and max(run.class_counts) > 10 * min(run.class_counts):
        fired.append("class-imbalance")
    last, held_out = run.train_loss[-1], run.val_loss[-1]
    if last > 0 and (held_out - last) / last > 0.1:
        fired.append("overfit")
    if not run.finite or not np.isfinite(run.train_loss).all():
        fired.append("exploding-tensor")
    return tuple(fired)


def deepdiagnosis(run: Trace) -> tuple[str, ...]:
    """The symptoms of DeepDiagnosis that have a clear threshold.

    Values that are not finite; a loss that does not fall and an accuracy that does not rise over
    10 evaluations; layers with 70 % dead units; mean |gradient| below 1e-7; weights that stay.
    """
    fired = []
    if not run.finite or not np.isfinite(run.train_loss).all():
        fired.append("numerical-error")
    if not_decreasing(run.train_loss):
        fired.append("loss-not-decreasing")
    if len(run.train_accuracy) and not_decreasing(1.0 - run.train_accuracy):
        fired.append("accuracy-not-increasing")
    if any(share >= 0.7 for share in run.inactive):
        fired.append("dead-node")
    if run.kernels and (np.median(run.grad_mean, axis=0) < 1e-7).any():
        fired.append("vanishing-gradient")
    if run.kernels and _in_a_row(run.unchanged > 0, 10):
        fired.append("unchanged-weight")
    return tuple(fired)


def not_decreasing(values: np.ndarray, over: int = 10) -> bool:
    """Whether values float[n] that are not 0 yet ever fell by less than .1 % over `over` places."""
    if len(values) <= over:
        return False
    before, after = values[:-over], values[over:]
    return bool(((after > before - 1e-3 * np.abs(before)) & (before != 0)).any())


def _in_a_row(flags: np.ndarray, times: int) -> bool:
    """Whether a column of bool[n, k] is True that many times in a row."""
    if len(flags) < times:
        return False
    runs = np.lib.stride_tricks.sliding_window_view(flags, times, axis=0)
    return bool(runs.all(axis=-1).any())


class _Traces:
    """The last trace, so that all tools judge one run of a task."""

    def __init__(self) -> None:
        self.last: tuple[jr.Task, int, Trace] | None = None

    def of(self, task: jr.Task, seed: int) -> Trace:
        """Returns the trace of a task, trained once for all tools."""
        if self.last is None or self.last[0] is not task or self.last[1] != seed:
            self.last = (task, seed, trace(task, seed))
        return self.last[2]


_TRACES = _Traces()


def _on_task(judge: Callable[[Trace], tuple[str, ...]]) -> Callable[..., tuple[str, ...]]:
    """Returns a rule set as a function of (task, seed)."""
    return lambda task, seed=0: judge(_TRACES.of(task, seed))


# tool -> (task, seed) -> names of its rules that fired
TOOLS: dict[str, Callable[..., tuple[str, ...]]] = {
    "AUTOTRAINER": _on_task(autotrainer),
    "UMLAUT": _on_task(umlaut),
    "SageMaker Debugger": _on_task(sagemaker),
    "DeepDiagnosis": _on_task(deepdiagnosis),
}
