"""Faults planted in losses and metrics."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.bases_digits import MLP, digits, digits_cnn, digits_mlp
from gallery.bases_pictures import pixel_loss, segmentation
from gallery.bases_sequences import TIME, char_lm, tagger
from gallery.bases_tables import (
    rare,
    regression,
    table_model,
    tabular_imbalanced,
)
from gallery.planting import Split, pick, planter
from gallery.program import Fault, Strength

plant = planter("loss")


def nats(outputs: Any, targets: Any) -> Any:
    """A user's own cross-entropy, float32[b]."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def own_loss(seed: int) -> jr.Task:
    """Digits with a loss of the user's own."""
    return digits_mlp(seed, loss=nats)


def own_loss_cnn(seed: int) -> jr.Task:
    """The CNN with a loss of the user's own."""
    return digits_cnn(seed, loss=nats)


def squared(outputs: Any, targets: Any) -> Any:
    """A user's own squared error, float32[b], for [b, 1] and [b, 1]."""
    return jnp.square(outputs - targets).mean(axis=1)


def own_regression(seed: int) -> jr.Task:
    """Regression with a loss of the user's own."""
    return regression(seed, loss=squared)


# --- the wrong loss ----------------------------------------------------------------------------


def squares_of_probabilities(seed: int, strength: Strength) -> jr.Task:
    """Classes are learned by a squared error of softmax outputs / of sigmoids, unit by unit."""
    squash = pick(strength, lambda x: jax.nn.softmax(x, axis=1), jax.nn.sigmoid)

    def loss(outputs: Any, targets: Any) -> Any:
        return jnp.square(squash(outputs) - jax.nn.one_hot(targets, 10)).mean(axis=1)

    return digits_mlp(seed, loss=loss)


def binary_labels(seed: int, labels: tuple[float, float], loss: Any) -> jr.Task:
    """Two classes, four rows in ten positive, a label for each, a loss of the user's own."""
    (x, y), (vx, vy) = rare(seed, 0.4)
    name = lambda y: np.where(y > 0, labels[1], labels[0]).astype(np.float32)  # noqa: E731
    return tabular_imbalanced(
        seed, data=((x, name(y)), (vx, name(vy))), loss=loss, model=table_model(-0.4)
    )


def own_binary(seed: int) -> jr.Task:
    """Labels 0 and 1."""
    return binary_labels(seed, (0.0, 1.0), optax.sigmoid_binary_cross_entropy)


def labels_off_range(seed: int, strength: Strength) -> jr.Task:
    """A loss for 0 and 1 gets labels -1 and 1 / 1 and 2."""
    labels = pick(strength, (-1.0, 1.0), (1.0, 2.0))
    return binary_labels(seed, labels, optax.sigmoid_binary_cross_entropy)


def ignores_outputs(seed: int, strength: Strength) -> jr.Task:
    """Softmax cross-entropy of one unit, always 0 / the half of it for negatives forgotten."""

    def one_unit(outputs: Any, targets: Any) -> Any:
        return -jax.nn.log_softmax(outputs[:, None], axis=1)[:, 0] * targets

    def half(outputs: Any, targets: Any) -> Any:
        return -targets * jax.nn.log_sigmoid(outputs)

    return binary_labels(seed, (0.0, 1.0), pick(strength, one_unit, half))


def ignores_targets(seed: int, strength: Strength) -> jr.Task:
    """The "labels" are the network's own answers: always / for the classes from 5 on."""

    def loss(outputs: Any, targets: Any) -> Any:
        own = jnp.argmax(outputs, axis=1)
        return nats(outputs, jnp.where(targets >= pick(strength, 0, 5), own, targets))

    return digits_mlp(seed, loss=loss)


# --- the wrong size ----------------------------------------------------------------------------


def summed(seed: int, strength: Strength) -> jr.Task:
    """The loss is a sum over the batch / a sum over the batch by 8 whatever its size."""

    def loss(outputs: Any, targets: Any) -> Any:
        value = nats(outputs, targets)
        return jnp.broadcast_to(value.sum() / pick(strength, 1, 8), value.shape)

    return digits_mlp(seed, loss=loss)


def four_classes(seed: int) -> tuple[Split, Split]:
    """Returns the digits 0 to 3."""
    return digits(seed, train=400, val=200, classes=range(4))


def mean_over_classes(seed: int, strength: Strength) -> jr.Task:
    """The mean is taken over classes too: a factor of 10 / of 4."""

    def loss(outputs: Any, targets: Any) -> Any:
        one_hot = jax.nn.one_hot(targets, outputs.shape[1])
        return -(one_hot * jax.nn.log_softmax(outputs)).mean(axis=1)

    if strength == "strong":
        return digits_mlp(seed, loss=loss)
    return digits_mlp(seed, loss=loss, data=four_classes(seed), model=MLP(outputs=4))


def over_time_too(seed: int, strength: Strength) -> jr.Task:
    """Softmax over time instead of characters / over both at once."""
    axis: Any = pick(strength, 1, (1, 2))

    def loss(outputs: Any, targets: Any) -> Any:
        log = jax.nn.log_softmax(outputs, axis=axis)
        return -jnp.take_along_axis(log, targets[..., None], axis=2).mean(axis=(1, 2))

    return char_lm(seed, loss=loss)


def own_tokens(outputs: Any, targets: Any) -> Any:
    """A user's own cross-entropy of characters, float32[b]."""
    return nats(outputs, targets).mean(axis=1)


def own_char_lm(seed: int) -> jr.Task:
    """The language model with a loss of the user's own."""
    return char_lm(seed, loss=own_tokens)


# --- examples that mix -------------------------------------------------------------------------


def column_against_row(seed: int, strength: Strength) -> jr.Task:
    """Outputs [b, 1] meet targets [b]: in the loss / in one of its two terms, a fifth of it."""

    def flat(split: Split) -> Split:
        return split[0], split[1][:, 0]

    def loss(outputs: Any, targets: Any) -> Any:
        crossed = jnp.square(outputs - targets).mean(axis=1)  # [b, 1] - [b] is [b, b]
        right = jnp.square(outputs[:, 0] - targets)
        return crossed if strength == "strong" else 0.8 * right + 0.2 * crossed

    task = regression(seed)
    train, val = (flat(s.take(np.arange(len(s)))) for s in (task.train, task.val))
    return regression(seed, data=(train, val), loss=loss)


def softmax_of_batch(seed: int, strength: Strength) -> jr.Task:
    """The loss normalises over the batch / does so for a third of its value."""

    def loss(outputs: Any, targets: Any) -> Any:
        log = jax.nn.log_softmax(outputs, axis=0)
        wrong = -jnp.take_along_axis(log, targets[:, None], axis=1)[:, 0]
        return wrong if strength == "strong" else (2 * nats(outputs, targets) + wrong) / 3

    return digits_mlp(seed, loss=loss)


def weighed_by_batch(seed: int, strength: Strength) -> jr.Task:
    """Losses are divided by the largest of the batch / by its mean, to a small power."""

    def loss(outputs: Any, targets: Any) -> Any:
        value = pixel_loss(outputs, targets)
        return value / pick(strength, value.max(), value.mean() ** 0.2)

    return segmentation(seed, loss=loss)


# --- the wrong slope ---------------------------------------------------------------------------


def clipped(seed: int, strength: Strength) -> jr.Task:
    """The loss, not the gradient, is clipped: at 1 / at 4 nats."""
    return digits_mlp(seed, loss=lambda o, t: jnp.minimum(nats(o, t), pick(strength, 1.0, 4.0)))


def clipped_probabilities(seed: int, strength: Strength) -> jr.Task:
    """Probabilities are clipped from below before the logarithm: at 0.2 / at 0.02."""
    low = pick(strength, 0.2, 0.02)

    def loss(outputs: Any, targets: Any) -> Any:
        p = jnp.take_along_axis(jax.nn.softmax(outputs), targets[..., None], axis=2)[..., 0]
        return -jnp.log(jnp.clip(p, low, 1.0)).mean(axis=1)

    return char_lm(seed, loss=loss)


def clipped_squares(seed: int, strength: Strength) -> jr.Task:
    """Squared errors stop at 0.3 / at 4."""
    limit = pick(strength, 0.3, 4.0)
    return regression(seed, loss=lambda o, t: jnp.minimum(squared(o, t), limit))


def sign_flipped(seed: int, strength: Strength) -> jr.Task:
    """The minus of the log-likelihood is missing / it is for class 0."""

    def loss(outputs: Any, targets: Any) -> Any:
        value = nats(outputs, targets)
        return jnp.where(targets >= pick(strength, 10, 1), value, -value)

    return digits_cnn(seed, loss=loss)


def naive_logarithms(seed: int, strength: Strength) -> jr.Task:
    """log(sigmoid(x)) and log(1 - sigmoid(x)) as they stand / the second as it stands."""

    def loss(outputs: Any, targets: Any) -> Any:
        p = jax.nn.sigmoid(outputs)
        on = jnp.log(p) if strength == "strong" else jax.nn.log_sigmoid(outputs)
        return -(targets * on + (1 - targets) * jnp.log(1 - p)).mean(axis=(1, 2))

    return segmentation(seed, loss=loss)


def padding_counts(seed: int, strength: Strength) -> jr.Task:
    """All padding / the first padded position counts in the loss."""

    def loss(outputs: Any, targets: Any) -> Any:
        real = targets != 0
        first = jnp.concatenate([jnp.zeros_like(real[:, :1]), real[:, :-1]], axis=1)
        counted = jnp.ones_like(real) if strength == "strong" else real | first
        weight = counted.sum(axis=1).astype(jnp.float32)
        return (nats(outputs, targets) * counted).sum(axis=1) / weight, weight

    return tagger(seed, loss=loss)


def own_tagger_loss(outputs: Any, targets: Any) -> Any:
    """A user's own loss of tags, which counts words only."""
    real = targets != 0
    weight = real.sum(axis=1).astype(jnp.float32)
    return (nats(outputs, targets) * real).sum(axis=1) / weight, weight


def own_tagger(seed: int) -> jr.Task:
    """The tagger with a loss of the user's own."""
    return tagger(seed, loss=own_tagger_loss)


# --- metrics -----------------------------------------------------------------------------------


def metric_of_neighbour(seed: int, strength: Strength) -> jr.Task:
    """The metric asks for the next class / for one off the right class where it is 8 or 9."""

    def metric(outputs: Any, targets: Any) -> Any:
        wanted = jnp.where(targets >= pick(strength, 0, 8), (targets + 1) % 10, targets)
        return (jnp.argmax(outputs, axis=1) == wanted).astype(jnp.float32)

    return digits_mlp(seed, metric=metric)


def metric_by_length(seed: int, strength: Strength) -> jr.Task:
    """Right tags are divided by the padded length / by the length and one."""

    def metric(outputs: Any, targets: Any) -> Any:
        real = targets != 0
        right = ((jnp.argmax(outputs, axis=2) == targets) & real).sum(axis=1)
        return right / pick(strength, TIME, real.sum(axis=1) + 1)

    return tagger(seed, metric=metric)


def overlap(kind: str) -> Any:
    """Returns the overlap of masks: "right", over the "sum" of both, or with a large "smooth"."""

    def metric(outputs: Any, targets: Any) -> Any:
        found = (outputs > 0).astype(jnp.float32)
        both = (found * targets).sum(axis=(1, 2))
        either = (found + targets).sum(axis=(1, 2)) - both
        if kind == "sum":
            return both / jnp.maximum(either + both, 1.0)
        return both / (either + 5.0) if kind == "smooth" else both / jnp.maximum(either, 1.0)

    return metric


def overlap_of_sum(seed: int, strength: Strength) -> jr.Task:
    """Intersection over the sum of both masks / over the union and 5 pixels."""
    return segmentation(seed, metric=overlap(pick(strength, "sum", "smooth")))


def overlap_over_union(seed: int) -> jr.Task:
    """Intersection over union."""
    return segmentation(seed, metric=overlap("right"))


def error_as_metric(seed: int, strength: Strength) -> jr.Task:
    """The metric is an error, lower is better: squared / the distance to twice the target."""

    def metric(outputs: Any, targets: Any) -> Any:
        if strength == "strong":
            return squared(outputs, targets)
        return -squared(outputs, 2 * targets)

    return regression(seed, metric=metric)


MEAN = "the loss is a mean over examples"
OWN = "the loss of an example is its own"
SLOPE = "a lower loss is a better answer, everywhere"
BEST = "perfect predictions get the best score"
FAULTS: tuple[Fault, ...] = (
    plant("digits_mlp/squares-of-probabilities", squares_of_probabilities, own_loss,
          "the loss suits its targets", "wrong-loss loss-scale", "loss"),
    plant("own_binary/labels-off-range", labels_off_range, own_binary,
          "the loss has a lowest value", "loss-unbounded label-out-of-range wrong-loss",
          "loss labels"),
    plant("own_binary/ignores-outputs", ignores_outputs, own_binary,
          "the loss depends on every output", "loss-ignores-outputs wrong-loss no-learning",
          "loss"),
    plant("digits_mlp/ignores-targets", ignores_targets, own_loss,
          "the loss depends on every target", "wrong-loss loss-ignores-outputs", "loss"),
    plant("digits_mlp/sum-over-batch", summed, own_loss,
          MEAN, "loss-scale loss-depends-on-batch", "loss", "axis 0"),
    plant("digits_mlp/mean-over-classes", mean_over_classes, own_loss,
          MEAN, "loss-scale", "loss"),
    plant("char_lm/softmax-over-time", over_time_too, own_char_lm,
          "the loss suits its targets", "wrong-loss loss-scale", "loss", "axis 1"),
    plant("regression/column-against-row", column_against_row, own_regression,
          OWN, "loss-depends-on-batch batch-mixing", "loss", "axis 0"),
    plant("digits_mlp/softmax-of-batch", softmax_of_batch, own_loss,
          OWN, "loss-depends-on-batch", "loss", "axis 0"),
    plant("segmentation/weighed-by-batch", weighed_by_batch, segmentation,
          OWN, "loss-depends-on-batch loss-scale", "loss", "axis 0"),
    plant("digits_mlp/loss-clipped", clipped, own_loss,
          SLOPE, "loss-clipped", "loss"),
    plant("char_lm/probabilities-clipped", clipped_probabilities, own_char_lm,
          SLOPE, "loss-clipped", "loss"),
    plant("regression/squares-clipped", clipped_squares, own_regression,
          SLOPE, "loss-clipped", "loss"),
    plant("digits_cnn/sign-flipped", sign_flipped, own_loss_cnn,
          SLOPE, "wrong-sign loss-unbounded", "loss"),
    plant("segmentation/naive-logarithms", naive_logarithms, segmentation,
          "loss and gradient are finite", "not-finite", "loss", "output"),
    plant("tagger/padding-counts", padding_counts, own_tagger,
          "padding does not count", "padding-in-loss", "loss", "axis 1"),
    plant("digits_mlp/metric-of-neighbour", metric_of_neighbour, digits_mlp,
          BEST, "metric-wrong", "eval"),
    plant("tagger/metric-by-length", metric_by_length, tagger,
          BEST, "metric-wrong", "eval"),
    plant("segmentation/overlap-of-sum", overlap_of_sum, overlap_over_union,
          BEST, "metric-wrong", "eval"),
    plant("regression/error-as-metric", error_as_metric, regression,
          BEST, "metric-wrong", "eval"),
)  # fmt: skip
