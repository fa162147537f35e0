"""Cross-entropies: softmax over classes, sigmoid for yes/no, several yes/no labels at once."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.losses import checking
from jrecipe.losses.base import Kind, Loss, Shape, shape_error
from jrecipe.types import Array, TaskError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftmaxCrossEntropy(Loss):
    """See `softmax_cross_entropy`."""

    name: str = "softmax cross-entropy"
    kind: Kind = "classes"
    label_smoothing: float = 0.0

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Returns float32[b] from logits float[b, c] and class indices int[b].

        Shares of the classes float[b, c], as mixup makes of indices in training, do as well.
        """
        outputs, targets = jnp.asarray(outputs), jnp.asarray(targets)
        integers = jnp.issubdtype(targets.dtype, jnp.integer) or targets.dtype == bool
        soft = jnp.issubdtype(targets.dtype, jnp.floating) and targets.shape == outputs.shape
        indices = integers and targets.shape == outputs.shape[:1]
        if outputs.ndim != 2 or not (soft or indices):
            raise shape_error(self.name, outputs, targets, "logits [b, c] and class indices int[b]")
        logits = outputs.astype(jnp.float32)
        if soft:
            shares = optax.smooth_labels(targets.astype(jnp.float32), self.label_smoothing)
            return optax.softmax_cross_entropy(logits, shares)
        labels = targets.astype(jnp.int32)
        traced = isinstance(self.label_smoothing, jax.core.Tracer)
        if not traced and self.label_smoothing == 0:
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        shares = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[1]), self.label_smoothing)
        return optax.softmax_cross_entropy(logits, shares)

    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the log prior, centred; of the smoothed labels if labels are smoothed."""
        self.validate(targets, shape=shape, several=False)
        counts = np.bincount(np.asarray(targets, np.int64), minlength=shape[-1])
        return log_prior(self._smooth(counts))

    def constant_loss(self, constant: Array, targets: Array) -> float:
        """Returns the mean cross-entropy of the same logits float[c] for every example."""
        logits = np.asarray(constant, np.float64)
        self.validate(targets, shape=logits.shape, several=False)
        counts = np.bincount(np.asarray(targets, np.int64), minlength=len(logits))
        shares = self._smooth(counts)
        return float(logsumexp(logits) - shares / shares.sum() @ logits)

    def spread_cost(self, outputs: Array) -> float:
        """Returns `mean_i lse(z_i) - lse(mean_i z_i)` in nats; exact for independent targets.

        For Gaussian logits of variance s^2 beyond their batch mean it is at most about s^2 / 2,
        and (1 - 1/c) s^2 / 2 for small s.
        """
        logits = np.asarray(outputs, np.float64)
        return float(np.mean(logsumexp(logits)) - logsumexp(logits.mean(axis=0)))

    def validate(
        self,
        targets: Array,
        name: str = "targets",
        shape: Shape | None = None,
        *,
        several: bool = True,
    ) -> None:
        """Asks for int[b] in 0..c-1; see `Loss.validate`."""
        labels = checking.as_integers(targets, name, rank=1)
        if shape is not None and len(shape) != 1:
            raise TaskError(
                f"{self.name} needs logits [b, c] for {name} int[b], got outputs {['b', *shape]}; "
                "give the network one output per class."
            )
        checking.require(
            labels >= 0, labels, name, "class indices >= 0", "number the classes from 0"
        )
        if shape is not None:
            classes = shape[0]
            checking.require(
                labels < classes,
                labels,
                name,
                f"class indices below the number of outputs, {classes}",
                f"number the classes from 0, or give the network {labels.max() + 1} outputs",
            )
        if several:
            checking.require_several(labels, name, "class")

    def decide(self, outputs: Array) -> Array:
        """Returns the class of the largest logit, int[b]."""
        return jnp.argmax(jnp.asarray(outputs), axis=-1)

    def floor(self, targets: Array, shape: Shape) -> float:
        """Returns the entropy of one smoothed label, in nats."""
        del targets
        one = self._smooth(np.eye(1, shape[-1])[0])
        return float(-np.sum(one * np.log(np.where(one > 0, one, 1.0))))

    def _smooth(self, counts: np.ndarray) -> np.ndarray:
        """Returns class counts after label smoothing, float64[c]."""
        mass = self.label_smoothing
        return (1 - mass) * counts + mass * counts.sum() / len(counts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SigmoidCrossEntropy(Loss):
    """See `sigmoid_cross_entropy` and `multilabel_cross_entropy`."""

    name: str = "sigmoid cross-entropy"
    kind: Kind = "binary"

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Returns float32[b]; the mean over labels where there are several."""
        if self.kind == "multilabel":
            logits, labels = jnp.asarray(outputs), jnp.asarray(targets)
            if logits.ndim != 2 or logits.shape != labels.shape:
                raise shape_error(self.name, logits, labels, "logits [b, l] and labels [b, l]")
        else:
            logits, labels = same_shape(self.name, outputs, targets)
        value = optax.sigmoid_binary_cross_entropy(
            logits.astype(jnp.float32), labels.astype(jnp.float32)
        )
        return mean_over_rest(value)

    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the logit of the positive rate, of each label by itself."""
        labels = self._labels(targets, shape)
        half = 0.5 / len(labels)  # half an example stands in for none
        rate = labels.mean(axis=0)
        rate = np.where(rate <= 0, half, np.where(rate >= 1, 1 - half, rate))
        return (np.log(rate) - np.log1p(-rate)).reshape(shape)

    def constant_loss(self, constant: Array, targets: Array) -> float:
        """Returns the mean over examples and labels for the same logits everywhere."""
        logits = np.asarray(constant, np.float64)
        labels = self._labels(targets, logits.shape)
        rate = labels.mean(axis=0).reshape(logits.shape)
        return float(np.mean(softplus(logits) - rate * logits))

    def spread_cost(self, outputs: Array) -> float:
        """Returns `mean_i softplus(z_i) - softplus(mean_i z_i)` in nats, averaged over labels.

        Exact for independent targets; at most s^2 / 8 for logits of variance s^2.
        """
        logits = np.asarray(outputs, np.float64)
        return float(np.mean(softplus(logits)) - np.mean(softplus(logits.mean(axis=0))))

    def validate(
        self,
        targets: Array,
        name: str = "targets",
        shape: Shape | None = None,
        *,
        several: bool = True,
    ) -> None:
        """Asks for values in [0, 1], [b] or for several labels [b, l]; see `Loss.validate`."""
        labels = checking.as_numbers(targets, name)
        if self.kind == "multilabel" and labels.ndim != 2:
            raise TaskError(
                f"{name} need shape [b, l], one column per label, got {list(labels.shape)}; for a "
                "single label use jr.losses.sigmoid_cross_entropy(), for one class per example "
                "jr.losses.softmax_cross_entropy()."
            )
        if self.kind == "binary" and labels.ndim != 1 and labels.shape[1:] != (1,):
            raise TaskError(
                f"{name} need shape [b], one label per example, got {list(labels.shape)}; for "
                "several labels use jr.losses.multilabel_cross_entropy()."
            )
        checking.require(
            (labels >= 0) & (labels <= 1),
            labels,
            name,
            "labels in [0, 1]",
            "use 0 for no and 1 for yes, or jr.losses.softmax_cross_entropy() for class indices",
        )
        if shape is not None:
            check_trailing(self.name, name, labels, shape)
        if several:
            checking.require_several(labels, name, "class")

    def decide(self, outputs: Array) -> Array:
        """Returns int32 {0, 1}: [b] for one label, [b, l] for several."""
        logits = jnp.asarray(outputs)
        if self.kind == "binary" and logits.ndim == 2:
            logits = logits[:, 0]
        return (logits > 0).astype(jnp.int32)

    def floor(self, targets: Array, shape: Shape) -> float:
        """Returns the mean entropy of the labels, which is 0 unless they are soft."""
        labels = self._labels(targets, shape)
        inside = np.where((labels > 0) & (labels < 1), labels, 0.5)
        entropy = -inside * np.log(inside) - (1 - inside) * np.log1p(-inside)
        return float(np.mean(np.where((labels > 0) & (labels < 1), entropy, 0.0)))

    def _labels(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns validated labels, float64[b, ...]."""
        self.validate(targets, shape=shape, several=False)
        return np.asarray(targets, np.float64)


def softmax_cross_entropy(label_smoothing: float = 0.0) -> SoftmaxCrossEntropy:
    """Cross-entropy of one class out of c, from logits float[b, c] and class indices int[b].

    Uninformed value H(prior), which is log(c) for balanced classes; best constant the log prior.

    Args:
      label_smoothing: share of each label that is spread evenly over all classes, in [0, 1)
        (Szegedy et al., "Rethinking the Inception Architecture", 2015, arXiv:1512.00567). The
        lowest loss is then above 0, see `Loss.floor`. It may be traced, so that runs with
        different smoothing share a program.

    Raises:
      TaskError: if `label_smoothing` is outside [0, 1).

    Example:
      >>> loss = softmax_cross_entropy()
      >>> loss(jnp.zeros((2, 4)), jnp.array([0, 3])).tolist() == [float(np.float32(np.log(4)))] * 2
      True
      >>> round(loss.uninformed(np.array([0, 0, 0, 1]), shape=(2,)), 4)  # H(3/4, 1/4)
      0.5623
    """
    traced = isinstance(label_smoothing, jax.core.Tracer)
    if not traced and not 0.0 <= label_smoothing < 1.0:
        raise TaskError(
            f"softmax_cross_entropy needs label_smoothing in [0, 1), got {label_smoothing!r}; "
            "try 0.1."
        )
    return SoftmaxCrossEntropy(
        label_smoothing=label_smoothing if traced else float(label_smoothing)
    )


def sigmoid_cross_entropy() -> SigmoidCrossEntropy:
    """Cross-entropy of one yes/no label, from logits float[b] or [b, 1] and labels [b] in [0, 1].

    Uninformed value the entropy of the positive rate; best constant its logit. Shapes must match:
    outputs [b, 1] lose their last axis against targets [b], everything else is an error, so that
    nothing is ever broadcast to [b, b].
    """
    return SigmoidCrossEntropy()


def multilabel_cross_entropy() -> SigmoidCrossEntropy:
    """Cross-entropy of l yes/no labels per example, from logits and labels [b, l].

    The **mean** over the labels (not the sum), so that the scale does not depend on l; the
    uninformed value is the mean of the binary entropies of the labels' positive rates.
    """
    return SigmoidCrossEntropy(name="multi-label cross-entropy", kind="multilabel")


def same_shape(name: str, outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Returns outputs and targets of one shape; outputs [b, 1] become [b] for targets [b].

    Raises:
      TaskError: for any other difference in shape, at trace time.
    """
    outputs, targets = jnp.asarray(outputs), jnp.asarray(targets)
    if targets.ndim == 1 and outputs.shape == (*targets.shape, 1):
        outputs = outputs[:, 0]
    if outputs.shape != targets.shape or outputs.ndim == 0:
        raise shape_error(name, outputs, targets, "outputs and targets of one shape, [b] or [b, d]")
    return outputs, targets


def mean_over_rest(value: Array) -> Array:
    """Returns the mean over every axis but the first, float32[b]."""
    return jnp.mean(value.reshape(value.shape[0], -1), axis=1)


def check_trailing(loss: str, name: str, targets: np.ndarray, shape: Shape) -> None:
    """Raises TaskError unless outputs of `shape` fit targets [b, ...]."""
    if targets.shape[1:] == shape or (targets.ndim == 1 and shape == (1,)):
        return
    raise TaskError(
        f"{loss} needs outputs and {name} of one shape, got outputs {['b', *shape]} and {name} "
        f"{['b', *targets.shape[1:]]}; reshape one of them."
    )


def log_prior(counts: np.ndarray) -> np.ndarray:
    """Returns centred log shares of `counts` float64[c]; half an example stands in for none."""
    logs = np.log(np.where(counts > 0, counts, 0.5))
    return logs - logs.mean()


def logsumexp(x: np.ndarray) -> np.ndarray:
    """Returns `log(sum(exp(x)))` over the last axis, float64."""
    top = x.max(axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=-1)) + top[..., 0]


def softplus(x: np.ndarray) -> np.ndarray:
    """Returns `log(1 + exp(x))`, float64."""
    return np.logaddexp(0.0, x)
