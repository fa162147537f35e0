"""Odd but healthy losses and targets: densities, margins, counts, several tasks, soft targets."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.healthy_parts import (
    TRAIN,
    VAL,
    Net,
    classify,
    cross_entropy,
    cut,
    digits,
    numbers,
    on_targets,
    regress,
    squared,
    task,
)
from gallery.program import Healthy


def hinge(outputs: Any, targets: Any) -> Any:
    """The multi-class hinge loss, with the largest wrong score."""
    here = jax.nn.one_hot(targets, outputs.shape[1]) > 0
    right = jnp.sum(jnp.where(here, outputs, 0.0), axis=1)
    wrong = jnp.max(jnp.where(here, -jnp.inf, outputs), axis=1)
    return jnp.maximum(0.0, 1.0 + wrong - right)


def focal(outputs: Any, targets: Any) -> Any:
    """Cross-entropy that counts easy examples less."""
    nats = cross_entropy(outputs, targets)
    return (1.0 - jnp.exp(-nats)) ** 2 * nats


def smoothed(outputs: Any, targets: Any) -> Any:
    """Cross-entropy with a tenth of each label spread over all classes."""
    soft = optax.smooth_labels(jax.nn.one_hot(targets, outputs.shape[1]), 0.1)
    return optax.softmax_cross_entropy(outputs, soft)


def brier(outputs: Any, targets: Any) -> Any:
    """Squared error of the probabilities, which the loss itself makes of logits."""
    return jnp.sum((jax.nn.softmax(outputs) - jax.nn.one_hot(targets, outputs.shape[1])) ** 2, 1)


def log_probability(outputs: Any, targets: Any) -> Any:
    """Minus the log-probability, for a network that answers log-probabilities."""
    return -jnp.take_along_axis(outputs, targets[:, None], axis=1)[:, 0]


def of_probabilities(outputs: Any, targets: Any) -> Any:
    """The same for a network that answers probabilities."""
    return log_probability(jnp.log(jnp.clip(outputs, 1e-7, 1.0)), targets)


def binary_of_probability(outputs: Any, targets: Any) -> Any:
    """Binary cross-entropy for a network that ends in a sigmoid."""
    p = jnp.clip(outputs, 1e-6, 1.0 - 1e-6)
    return -jnp.where(targets > 0, jnp.log(p), jnp.log1p(-p))


def pinball(outputs: Any, targets: Any) -> Any:
    """Three quantiles at once."""
    quantiles = jnp.array([[0.1, 0.5, 0.9]])
    error = targets - outputs
    return jnp.mean(jnp.maximum(quantiles * error, (quantiles - 1.0) * error), axis=1)


def log_cosh(outputs: Any, targets: Any) -> Any:
    """Quadratic near 0, linear far away."""
    error = outputs - targets
    return jnp.mean(error + jax.nn.softplus(-2.0 * error) - jnp.log(2.0), axis=1)


def gaussian(outputs: Any, targets: Any) -> Any:
    """Minus the log-density, up to a constant; below 0 where the scale is small."""
    error = (targets - outputs["mean"]) * jnp.exp(-outputs["log_scale"])
    return (0.5 * error**2 + outputs["log_scale"])[:, 0]


class MeanAndScale(nn.Module):
    """Answers a mean and the log of a scale."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns a dict of two [b, 1]."""
        x = nn.relu(nn.Dense(48)(x))
        return {"mean": nn.Dense(1)(x), "log_scale": nn.Dense(1)(x)}


class Mixture(nn.Module):
    """Answers a mixture of three densities."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns a dict of three [b, 3]."""
        x = nn.relu(nn.Dense(48)(x))
        names = ("logits", "mean", "log_scale")
        return {name: nn.Dense(3, name=name)(x) for name in names}


def mixture(outputs: Any, targets: Any) -> Any:
    """Minus the log-density of the mixture, up to a constant."""
    error = (targets - outputs["mean"]) * jnp.exp(-outputs["log_scale"])
    parts = jax.nn.log_softmax(outputs["logits"]) - 0.5 * error**2 - outputs["log_scale"]
    return -jax.nn.logsumexp(parts, axis=1)


class Vae(nn.Module):
    """Three hidden causes of 12 numbers; a draw of them in training, their mean otherwise."""

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns a dict of the rebuilt [b, 12] and the posterior's [b, 3] twice."""
        h = nn.relu(nn.Dense(32)(x))
        mean, log_scale = nn.Dense(3)(h), nn.Dense(3)(h)
        z = mean
        if train:
            draw = jax.random.normal(self.make_rng("dropout"), mean.shape)
            z = mean + jnp.exp(log_scale) * draw
        rebuilt = nn.Dense(x.shape[-1])(nn.relu(nn.Dense(32)(z)))
        return {"rebuilt": rebuilt, "mean": mean, "log_scale": log_scale}


def negative_elbo(outputs: Any, targets: Any) -> Any:
    """Minus the evidence lower bound, with a fixed scale of 0.2; below 0 when trained."""
    error = (outputs["rebuilt"] - targets) / 0.2
    fit = jnp.mean(0.5 * error**2 + jnp.log(0.2) + 0.919, axis=1)
    mean, log_scale = outputs["mean"], outputs["log_scale"]
    apart = 0.5 * (mean**2 + jnp.exp(2 * log_scale) - 1.0) - log_scale
    return fit + jnp.sum(apart, axis=1) / targets.shape[1]


def vae(seed: int) -> jr.Task:
    """A variational auto-encoder of data with three causes."""
    rng = np.random.default_rng([seed, 8])
    x = rng.normal(size=(TRAIN + VAL, 3)) @ rng.normal(size=(3, 12))
    x = (x / x.std(axis=0) + 0.05 * rng.normal(size=x.shape)).astype(np.float32)
    return task(seed, cut(x, x), model=Vae(), loss=negative_elbo, optimizer=optax.adam(1e-2))


def counts(seed: int, shift: float = 1.5) -> jr.Task:
    """Counts, with the Poisson loss up to a constant, which may be below 0."""
    rng = np.random.default_rng([seed, 9])
    x = rng.normal(size=(TRAIN + VAL, 6)).astype(np.float32)
    y = rng.poisson(np.exp(shift + 0.5 * x[:, :1] - 0.5 * x[:, 1:2])).astype(np.float32)

    def loss(outputs: Any, targets: Any) -> Any:
        return (jnp.exp(outputs) - targets * outputs)[:, 0]

    return regress(seed, data=cut(x, y), loss=loss, optimizer=optax.adam(3e-3))


def waiting_times(seed: int) -> jr.Task:
    """Waiting times with an exponential density whose rate the network answers."""
    rng = np.random.default_rng([seed, 10])
    x = rng.normal(size=(TRAIN + VAL, 6)).astype(np.float32)
    y = rng.exponential(np.exp(x[:, :1] - 0.5 * x[:, 1:2])).astype(np.float32)

    def loss(outputs: Any, targets: Any) -> Any:
        return (targets * jnp.exp(-outputs) + outputs)[:, 0]

    return regress(seed, data=cut(x, y), loss=loss, optimizer=optax.adam(3e-3))


class Unit(nn.Module):
    """An embedding of length 1, of any number of views."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns float[..., 16]."""
        z = nn.Dense(16)(nn.relu(nn.Dense(48)(x)))
        return z * jax.lax.rsqrt(1e-6 + jnp.sum(z**2, axis=-1, keepdims=True))


def nt_xent(outputs: Any, targets: Any) -> Any:
    """Finds the other view of an example among the batch: mixes examples on purpose."""
    del targets
    alike = outputs[:, 0] @ outputs[:, 1].T / 0.2
    both = jax.nn.log_softmax(alike, axis=1) + jax.nn.log_softmax(alike, axis=0)
    return -0.5 * jnp.diagonal(both)


def contrastive(seed: int) -> jr.Task:
    """Two noisy views of each digit; the loss compares all of a batch, and says so."""
    (x, _), (vx, _) = digits(seed)
    rng = np.random.default_rng([seed, 11])

    def views(x: np.ndarray) -> np.ndarray:
        return (x[:, None] + 0.4 * rng.normal(size=(len(x), 2, 64))).astype(np.float32)

    data = cut(np.concatenate([views(x), views(vx)]), np.zeros(TRAIN + VAL, np.int32))
    return classify(seed, Unit(), data=data, loss=nt_xent, examples_independent=False)


def same_class(outputs: Any, targets: Any) -> Any:
    """Supervised contrastive: examples of one class are to lie together."""
    alike = outputs @ outputs.T / 0.3
    other = 1.0 - jnp.eye(len(outputs))
    nats = alike - jax.nn.logsumexp(jnp.where(other > 0, alike, -1e9), axis=1, keepdims=True)
    pairs = (targets[:, None] == targets[None]) * other
    return -jnp.sum(pairs * nats, axis=1) / jnp.maximum(1.0, pairs.sum(axis=1))


def siamese(seed: int) -> jr.Task:
    """Pairs of digits, alike or not, by the distance of their embeddings."""
    (x, y), (vx, vy) = digits(seed)

    def pair(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
        same = rng.random(len(x)) < 0.5
        of_class = [
            np.flatnonzero((y == c) if s else (y != c)) for c, s in zip(y, same, strict=True)
        ]
        other = np.array([rng.choice(rows) for rows in of_class])
        return np.stack([x, x[other]], axis=1), same.astype(np.float32)

    def loss(outputs: Any, targets: Any) -> Any:
        far = jnp.sqrt(1e-6 + jnp.sum((outputs[:, 0] - outputs[:, 1]) ** 2, axis=-1))
        apart = jnp.maximum(0.0, 1.0 - far) ** 2
        return targets * far**2 + (1.0 - targets) * apart

    rng = np.random.default_rng([seed, 12])
    return classify(seed, Unit(), data=(pair(x, y, rng), pair(vx, vy, rng)), loss=loss)


class TwoTasks(nn.Module):
    """One trunk, two heads."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns a dict of logits [b, 10] and a number [b]."""
        x = nn.relu(nn.Dense(48)(x))
        return {"digit": nn.Dense(10)(x), "ink": nn.Dense(1)(x)[:, 0]}


def two_tasks(seed: int) -> jr.Task:
    """The digit and how much ink it took, for a third of the rows only the ink."""
    rng = np.random.default_rng([seed, 13])

    def targets(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        known = (rng.random(len(y)) < 0.7).astype(np.float32)
        ink = (x.mean(axis=1) / 0.12).astype(np.float32)
        return {"digit": y, "ink": ink - ink.mean(), "known": known}

    def loss(outputs: Any, targets: Any) -> Any:
        nats = cross_entropy(outputs["digit"], targets["digit"])
        return targets["known"] * nats + 0.5 * (outputs["ink"] - targets["ink"]) ** 2

    (x, y), (vx, vy) = digits(seed)
    data = ((x, targets(x, y)), (vx, targets(vx, vy)))
    return classify(seed, TwoTasks(), data=data, loss=loss)


def weighted_rows(seed: int) -> jr.Task:
    """Some examples count three times as much as others, by a weight beside the value."""
    rng = np.random.default_rng([seed, 14])

    def change(y: np.ndarray) -> dict[str, np.ndarray]:
        return {"y": y, "w": rng.choice([1.0, 3.0], len(y)).astype(np.float32)}

    def loss(outputs: Any, targets: Any) -> Any:
        return cross_entropy(outputs, targets["y"]), targets["w"]

    return classify(seed, data=on_targets(digits(seed), change), loss=loss)


def class_weighted(seed: int) -> jr.Task:
    """Class weights as a weight beside the value, so that the mean stays a mean."""
    weight = jnp.linspace(0.5, 1.5, 10)

    def loss(outputs: Any, targets: Any) -> Any:
        return cross_entropy(outputs, targets), weight[targets]

    return classify(seed, loss=loss)


def multi_label(seed: int) -> jr.Task:
    """Three yes-no questions about each digit."""
    ask = lambda y: np.stack([y % 2, y > 4, np.isin(y, (0, 6, 8, 9))], 1).astype(np.float32)  # noqa: E731
    data = on_targets(digits(seed), ask)
    return classify(seed, Net(3), data=data, loss=jr.losses.multilabel_cross_entropy())


def binary(seed: int, model: Any, loss: Any) -> jr.Task:
    """Whether a digit is above 4."""
    data = on_targets(digits(seed), lambda y: (y > 4).astype(np.int32))
    return classify(seed, model, data=data, loss=loss)


def distilled(seed: int) -> jr.Task:
    """Soft targets of a linear teacher, with the floor of the loss declared."""
    (x, y), (vx, _) = digits(seed)
    w = np.linalg.lstsq(x, 3.0 * np.eye(10)[y], rcond=1e-2)[0]

    def soft(x: np.ndarray) -> np.ndarray:
        p = np.exp(2.0 * (x @ w))
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    def loss(outputs: Any, targets: Any) -> Any:
        return optax.softmax_cross_entropy(outputs, targets)

    p = soft(x).astype(np.float64)
    floor = float(-(p * np.log(p + 1e-12)).sum(axis=1).mean())
    return classify(seed, data=((x, soft(x)), (vx, soft(vx))), loss=loss, loss_floor=floor)


def ordinal(seed: int) -> jr.Task:
    """Ordered grades by cumulative logits: one yes-no question per threshold."""
    (x, y), (vx, vy) = numbers(seed)
    grade = lambda y: (np.digitize(y, (-1.0, 0.0, 1.0))).astype(np.int32)[:, 0]  # noqa: E731

    def loss(outputs: Any, targets: Any) -> Any:
        above = (targets[:, None] > jnp.arange(3)[None]).astype(jnp.float32)
        return jnp.sum(optax.sigmoid_binary_cross_entropy(outputs, above), axis=1)

    return regress(seed, Net(3), data=((x, grade(y)), (vx, grade(vy))), loss=loss)


def unit_interval(seed: int) -> jr.Task:
    """Targets in (0, 1) behind a sigmoid, with squared error."""

    class Share(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.sigmoid(nn.Dense(1)(nn.relu(nn.Dense(48)(x))))

    squash = lambda y: (1.0 / (1.0 + np.exp(-1.5 * y))).astype(np.float32)  # noqa: E731
    return regress(seed, Share(), data=on_targets(numbers(seed), squash), loss=squared)


def directions(seed: int) -> jr.Task:
    """Unit vectors as targets, compared by their angle."""

    def turn(y: np.ndarray) -> np.ndarray:
        return np.stack([np.cos(y[:, 0]), np.sin(y[:, 0])], axis=1).astype(np.float32)

    def loss(outputs: Any, targets: Any) -> Any:
        length = jnp.sqrt(1e-6 + jnp.sum(outputs**2, axis=1))
        return 1.0 - jnp.sum(outputs * targets, axis=1) / length

    return regress(seed, Net(2), data=on_targets(numbers(seed), turn), loss=loss)


def user_loss(name: str, loss: Any, model: Any = None, **fields: Any) -> Healthy:
    """Returns the digits under a loss of the user's own."""
    build = lambda s: classify(s, model, loss=loss, **fields)  # noqa: E731
    return Healthy(name=f"digits/{name}", build=build)


class Ending(nn.Module):
    """A network that ends in a function."""

    end: Any
    outputs: int = 10

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns what `end` makes of the last layer."""
        return self.end(nn.Dense(self.outputs)(nn.relu(nn.Dense(48)(x))))


def yes(x: Any) -> Any:
    """Returns the probability [b] of one logit."""
    return nn.sigmoid(x[:, 0])


LOSSES: tuple[Healthy, ...] = (
    user_loss("own-cross-entropy", cross_entropy),
    user_loss("hinge", hinge),
    user_loss("focal", focal),
    user_loss("brier", brier),
    user_loss("smoothed-declared", smoothed, loss_floor=0.5003),
    user_loss("smoothed-shipped", jr.losses.softmax_cross_entropy(label_smoothing=0.1)),
    user_loss("log-probabilities", log_probability, Ending(nn.log_softmax)),
    user_loss("probabilities", of_probabilities, Ending(nn.softmax)),
    user_loss("supervised-contrastive", same_class, Unit(), examples_independent=False),
    Healthy(name="digits/contrastive", build=contrastive),
    Healthy(name="digits/siamese", build=siamese),
    Healthy(name="digits/two-tasks", build=two_tasks),
    Healthy(name="digits/weighted-rows", build=weighted_rows),
    Healthy(name="digits/weighted-classes", build=class_weighted),
    Healthy(name="digits/multi-label", build=multi_label),
    Healthy(name="digits/distilled", build=distilled),
    Healthy(
        name="binary/sigmoid-in-the-net",
        build=lambda s: binary(s, Ending(yes, 1), binary_of_probability),
    ),
    Healthy(
        name="binary/logit",
        build=lambda s: binary(s, Net(1, squeeze=True), jr.losses.sigmoid_cross_entropy()),
        odd=False,
    ),
    Healthy(
        name="numbers/gaussian",
        build=lambda s: regress(
            s, MeanAndScale(), data=numbers(s, scale=0.1, noise=0.3), loss=gaussian
        ),
    ),
    Healthy(
        name="numbers/mixture",
        build=lambda s: regress(s, Mixture(), data=numbers(s, noise=0.3), loss=mixture),
    ),
    Healthy(
        name="numbers/quantiles",
        build=lambda s: regress(s, Net(3), data=numbers(s, noise=0.5), loss=pinball),
    ),
    Healthy(name="numbers/huber", build=lambda s: regress(s, loss=jr.losses.huber())),
    Healthy(name="numbers/log-cosh", build=lambda s: regress(s, loss=log_cosh)),
    Healthy(name="numbers/ordinal", build=ordinal),
    Healthy(name="numbers/sigmoid-range", build=unit_interval),
    Healthy(name="numbers/directions", build=directions),
    Healthy(
        name="numbers/four-outputs",
        build=lambda s: regress(s, Net(4), data=numbers(s, outputs=4)),
    ),
    Healthy(
        name="numbers/mean-1e4-well",
        build=lambda s: jr.init_well(regress(s, data=numbers(s, mean=1e4))),
    ),
    Healthy(
        name="numbers/scale-1e4-rate-scaled",
        build=lambda s: regress(
            s, data=numbers(s, scale=1e4), loss=jr.losses.l1(), optimizer=optax.adam(30.0)
        ),
    ),
    Healthy(name="counts/poisson", build=counts),
    Healthy(name="times/exponential", build=waiting_times),
    Healthy(name="causes/vae", build=vae),
)
