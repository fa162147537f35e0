"""Faulty programs that people published, at the size of a test, each beside its repair.

Most are questions of Stack Overflow (the number in the name), repaired as their answers or common
sense have it; one is an issue of TensorFlow-Examples. Data and widths are scaled down, the mistake
is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.healthy_parts import (
    Splits,
    classify,
    cross_entropy,
    cut,
    digits,
    on_targets,
    squared,
    task,
)
from gallery.program import Fault, Strength

NORMAL = nn.initializers.normal(1.0)


class Layers(nn.Module):
    """Dense layers with one activation between them and another at the end."""

    widths: tuple[int, ...]
    activate: Callable[[Any], Any] = nn.relu
    end: Callable[[Any], Any] = lambda x: x
    kernel_init: Any = nn.initializers.lecun_normal()
    bias_init: Any = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns float[b, widths[-1]]."""
        for i, width in enumerate(self.widths):
            x = nn.Dense(width, kernel_init=self.kernel_init, bias_init=self.bias_init)(x)
            x = self.activate(x) if i < len(self.widths) - 1 else self.end(x)
        return x


def linear(x: Any) -> Any:
    """Returns what it is given: an activation that was forgotten."""
    return x


def binary_of_sigmoid(outputs: Any, targets: Any) -> Any:
    """Binary cross-entropy of probabilities, whatever the targets are; as Keras clips them."""
    p = jnp.clip(outputs.reshape(len(outputs)), 1e-7, 1 - 1e-7)
    y = targets.astype(jnp.float32)
    return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def categorical_of_units(outputs: Any, targets: Any) -> Any:
    """Categorical cross-entropy of outputs that are first made to sum to one, as Keras does."""
    p = outputs / jnp.sum(outputs, axis=-1, keepdims=True)
    y = targets.astype(jnp.float32).reshape(len(outputs), -1)
    return -jnp.sum(y * jnp.log(jnp.clip(p, 1e-7, 1 - 1e-7)), axis=-1)


def absolute(outputs: Any, targets: Any) -> Any:
    """Mean absolute error."""
    return jnp.mean(jnp.abs(outputs - targets), axis=1)


def summed(outputs: Any, targets: Any) -> Any:
    """The sum of squares over the batch, written so that a mean over examples gives it back."""
    return squared(outputs, targets) * len(outputs)


def unit_pixels(seed: int) -> Splits:
    """Returns the digits with pixels in [0, 1], as MNIST programs have them."""
    (x, y), (vx, vy) = digits(seed, 400, 200)
    low, high = x.min(), x.max()
    return ((x - low) / (high - low), y), ((vx - low) / (high - low), vy)


def blobs(seed: int, classes: int) -> Splits:
    """Returns points around as many centres: float32[n, 4] and int32[n]."""
    rng = np.random.default_rng([seed, 40])
    centres = np.random.default_rng(5).normal(size=(classes, 4)) * 2.0
    y = rng.integers(0, classes, 400).astype(np.int32)
    x = (centres[y] + rng.normal(size=(400, 4))) / 2.2
    return cut(x.astype(np.float32), y, 280)


def one_hot(data: Splits) -> Splits:
    """Returns the labels as float32[n, 10]."""
    return on_targets(data, lambda y: np.eye(10, dtype=np.float32)[y])


# --- the programs ------------------------------------------------------------------------------


def so_60874661(seed: int, strength: Strength = "strong") -> jr.Task:
    """Ten classes as integers, one sigmoid unit, binary cross-entropy: the loss goes below 0."""
    del strength
    net = Layers((64, 1), end=nn.sigmoid)
    return classify(seed, net, data=unit_pixels(seed), loss=binary_of_sigmoid)


def so_60874661_fixed(seed: int) -> jr.Task:
    """Ten logits and the cross-entropy of classes."""
    return classify(
        seed,
        Layers((64, 10)),
        data=unit_pixels(seed),
        loss=cross_entropy,
        optimizer=optax.adam(3e-3),
    )


def so_41596619(seed: int, strength: Strength = "strong") -> jr.Task:
    """Labels 0..3 for one sigmoid unit."""
    del strength
    net = Layers((16, 1), end=nn.sigmoid)
    return classify(seed, net, data=blobs(seed, 4), loss=binary_of_sigmoid)


def so_41596619_fixed(seed: int) -> jr.Task:
    """Four logits."""
    net, fast = Layers((16, 4)), optax.adam(3e-3)
    return classify(seed, net, data=blobs(seed, 4), loss=cross_entropy, optimizer=fast)


def so_66602662(seed: int, strength: Strength = "strong") -> jr.Task:
    """Five classes as integers, one unit, categorical cross-entropy: the loss is 0 throughout."""
    del strength
    net = Layers((16, 1), end=nn.softmax)
    return classify(seed, net, data=blobs(seed, 5), loss=categorical_of_units)


def so_66602662_fixed(seed: int) -> jr.Task:
    """Five logits."""
    net, fast = Layers((16, 5)), optax.adam(3e-3)
    return classify(seed, net, data=blobs(seed, 5), loss=cross_entropy, optimizer=fast)


def so_59325381(seed: int, strength: Strength = "strong") -> jr.Task:
    """Labels divided like pixels, so that all are class 0; test pictures not divided at all."""
    del strength
    (x, y), (vx, vy) = unit_pixels(seed)
    data = (x, (y / 255).astype(np.int32)), (vx * np.float32(255.0), vy)
    return classify(seed, Layers((64, 10)), data=data, loss=cross_entropy)


def so_59325381_fixed(seed: int) -> jr.Task:
    """Labels left alone, both splits divided."""
    return so_60874661_fixed(seed)


def parabola(seed: int, standardised: bool) -> Splits:
    """Returns x and 5 x^2 plus noise, float32[n, 1] both."""
    rng = np.random.default_rng([seed, 41])
    x = rng.uniform(-10, 10, (400, 1))
    y = 5 * x**2 + rng.normal(0, 10, x.shape)
    if standardised:
        x, y = x / x.std(), (y - y.mean()) / y.std()
    return cut(x.astype(np.float32), y.astype(np.float32), 280)


def so_48934338(seed: int, strength: Strength = "strong") -> jr.Task:
    """A parabola in raw units by SGD at 0.1."""
    del strength
    fields: dict[str, Any] = {"loss": squared, "optimizer": optax.sgd(0.1)}
    return task(seed, parabola(seed, False), model=Layers((32, 1)), **fields)


def so_48934338_fixed(seed: int) -> jr.Task:
    """Units of one deviation, and a rate that suits them."""
    fields: dict[str, Any] = {"loss": squared, "optimizer": optax.sgd(0.03)}
    return task(seed, parabola(seed, True), model=Layers((32, 1)), **fields)


def line(seed: int, standardised: bool) -> Splits:
    """Returns the features (t, 1) and a noisy line over t = 0..99, in random order."""
    rng = np.random.default_rng([seed, 42])
    t = rng.permutation(100).astype(np.float64)
    y = (0.3 * t - 4.0 + rng.normal(size=100))[:, None]
    if standardised:
        t, y = (t - 49.5) / 28.9, (y - y.mean()) / y.std()
    x = np.stack([t, np.ones(100)], axis=1)
    return cut(x.astype(np.float32), y.astype(np.float32), 70)


def so_43636736(seed: int, strength: Strength = "strong") -> jr.Task:
    """A line over raw times, with a step of 0.5: NaN."""
    del strength
    fields: dict[str, Any] = {"loss": squared, "optimizer": optax.sgd(0.5), "batch_size": 70}
    return task(seed, line(seed, False), model=nn.Dense(1, use_bias=False), **fields)


def so_43636736_fixed(seed: int) -> jr.Task:
    """The time standardised."""
    fields: dict[str, Any] = {"loss": squared, "optimizer": optax.sgd(0.1), "batch_size": 70}
    return task(seed, line(seed, True), model=nn.Dense(1, use_bias=False), **fields)


def plane(seed: int) -> Splits:
    """Returns three features and a linear answer."""
    rng = np.random.default_rng([seed, 43])
    x = rng.normal(size=(384, 3))
    y = x @ np.array([[1.0], [-0.7], [0.4]]) + 0.1 * rng.normal(size=(384, 1))
    return cut(x.astype(np.float32), y.astype(np.float32), 256)


def so_46577203(seed: int, strength: Strength = "strong") -> jr.Task:
    """The sum of squares over 128 examples in place of their mean, with a step of 0.01."""
    del strength
    fields: dict[str, Any] = {"loss": summed, "optimizer": optax.sgd(0.01), "batch_size": 128}
    return task(seed, plane(seed), model=nn.Dense(1), **fields)


def so_46577203_fixed(seed: int) -> jr.Task:
    """The mean."""
    fields: dict[str, Any] = {"loss": squared, "optimizer": optax.sgd(0.03), "batch_size": 128}
    return task(seed, plane(seed), model=nn.Dense(1), **fields)


def exclusive_or(seed: int) -> Splits:
    """Returns the four corners with a little noise, so that no row repeats."""
    rng = np.random.default_rng([seed, 44])
    corner = rng.integers(0, 2, (240, 2))
    x = (corner + 0.05 * rng.normal(size=corner.shape)).astype(np.float32)
    return cut(x, (corner.sum(axis=1, keepdims=True) == 1).astype(np.float32), 160)


def so_31556268(seed: int, strength: Strength = "strong") -> jr.Task:
    """Exclusive or with sigmoids, absolute error and slow SGD."""
    del strength
    tx = optax.sgd(0.05, momentum=0.11, nesterov=True)
    net = Layers((4, 1), activate=nn.sigmoid, end=nn.sigmoid)
    fields: dict[str, Any] = {"loss": absolute, "optimizer": tx, "batch_size": 4}
    return task(seed, exclusive_or(seed), model=net, **fields)


def so_31556268_fixed(seed: int) -> jr.Task:
    """Cross-entropy of a logit and Adam, and a few more units so that no start gets stuck."""
    net = Layers((16, 1), activate=nn.tanh)
    loss = lambda o, y: optax.sigmoid_binary_cross_entropy(o, y)[:, 0]  # noqa: E731
    fields: dict[str, Any] = {"loss": loss, "optimizer": optax.adam(0.01), "batch_size": 32}
    return task(seed, exclusive_or(seed), model=net, **fields)


def two_squares(seed: int) -> Splits:
    """Returns points of two separate squares: float32[n, 2] and int32[n]."""
    rng = np.random.default_rng([seed, 45])
    y = rng.integers(0, 2, 260).astype(np.int32)
    x = rng.uniform(0.2, 0.4, (260, 2)) + 0.3 * y[:, None]
    return cut(x.astype(np.float32), y, 160)


def so_50306988(seed: int, strength: Strength = "strong") -> jr.Task:
    """Two separate squares, two sigmoid units, Adam at 1e-3 for a handful of epochs."""
    del strength
    net = Layers((2, 2), activate=nn.sigmoid)
    return classify(seed, net, data=two_squares(seed), loss=cross_entropy)


def so_50306988_fixed(seed: int) -> jr.Task:
    """A rate that gets there, and centred inputs."""
    (x, y), (vx, vy) = two_squares(seed)
    data = ((x - 0.45) / 0.16, y), ((vx - 0.45) / 0.16, vy)
    net, fast = Layers((8, 2), activate=nn.tanh), optax.adam(0.01)
    return classify(seed, net, data=data, loss=cross_entropy, optimizer=fast)


def bit_strings(seed: int) -> Splits:
    """Returns all strings of eight bits and the same with their places permuted."""
    x = (np.arange(256)[:, None] >> np.arange(8)[None]) & 1
    x = np.random.default_rng([seed, 46]).permutation(x).astype(np.float32)
    return cut(x, x[:, [3, 0, 6, 1, 7, 5, 2, 4]], 192)


def so_39217567(seed: int, strength: Strength = "strong") -> jr.Task:
    """A permutation of bits by three narrow sigmoid layers, squared error and SGD at 0.01."""
    del strength
    net = Layers((8, 8, 8), activate=nn.sigmoid, end=nn.sigmoid)
    fields: dict[str, Any] = {"loss": squared, "optimizer": optax.sgd(0.01)}
    return task(seed, bit_strings(seed), model=net, **fields)


def so_39217567_fixed(seed: int) -> jr.Task:
    """ReLUs, logits with a cross-entropy per bit, Adam, and inputs of -1 and 1."""
    (x, y), (vx, vy) = bit_strings(seed)

    def loss(outputs: Any, targets: Any) -> Any:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(outputs, targets), axis=1)

    fields: dict[str, Any] = {"loss": loss, "optimizer": optax.adam(3e-3)}
    return task(seed, ((2 * x - 1, y), (2 * vx - 1, vy)), model=Layers((32, 8)), **fields)


def so_48385830(seed: int, strength: Strength = "strong") -> jr.Task:
    """Digits by two linear layers from N(0, 1), squared error, SGD at 3."""
    del strength
    net = Layers((30, 10), activate=linear, kernel_init=NORMAL, bias_init=NORMAL)
    data = one_hot(unit_pixels(seed))
    return classify(seed, net, data=data, loss=squared, optimizer=optax.sgd(3.0))


def so_48385830_fixed(seed: int) -> jr.Task:
    """A ReLU between, weights scaled by the width, the cross-entropy, SGD at 0.1."""
    net = Layers((30, 10))
    return classify(seed, net, data=unit_pixels(seed), loss=cross_entropy, optimizer=optax.sgd(0.1))


def so_48723158(seed: int, strength: Strength = "strong") -> jr.Task:
    """Three wide ReLU layers from N(0, 1): starts at a loss of thousands, and still learns."""
    del strength
    net = Layers((96, 96, 96, 10), kernel_init=NORMAL)
    return classify(seed, net, data=unit_pixels(seed), loss=cross_entropy)


def so_48723158_fixed(seed: int) -> jr.Task:
    """Weights scaled by the width."""
    net = Layers((96, 96, 96, 10), kernel_init=nn.initializers.he_normal())
    return classify(seed, net, data=unit_pixels(seed), loss=cross_entropy)


def tf_examples_368(seed: int, strength: Strength = "strong") -> jr.Task:
    """A multilayer perceptron without activations, from N(0, 1), Adam at 0.1: 94 %, and silent."""
    del strength
    net = Layers((64, 64, 10), activate=linear, kernel_init=NORMAL, bias_init=NORMAL)
    data = unit_pixels(seed)
    return classify(seed, net, data=data, loss=cross_entropy, optimizer=optax.adam(0.1))


def tf_examples_368_fixed(seed: int) -> jr.Task:
    """ReLUs, weights scaled by the width, Adam at 1e-3."""
    return classify(seed, Layers((64, 64, 10)), data=unit_pixels(seed), loss=cross_entropy)


def real(
    build: Callable[..., jr.Task],
    twin: Callable[[int], jr.Task],
    causes: tuple[str, ...],
    components: tuple[str, ...],
) -> Fault:
    """Returns a published program as a fault of the gallery."""
    says = (build.__doc__ or "").strip()
    return Fault(
        name=f"real/{build.__name__}",
        family="real",
        property=says,
        build=build,
        twin=twin,
        causes=causes,
        components=components,
        real=True,
    )


LABELS = ("labels", "loss", "head")
RATE = ("optimizer", "schedule")
REAL: tuple[Fault, ...] = (
    real(
        so_60874661,
        so_60874661_fixed,
        ("wrong-loss", "label-out-of-range", "loss-unbounded", "outputs-cannot-reach-targets"),
        LABELS,
    ),
    real(
        so_41596619,
        so_41596619_fixed,
        ("wrong-loss", "label-out-of-range", "loss-unbounded", "outputs-cannot-reach-targets"),
        LABELS,
    ),
    real(
        so_66602662,
        so_66602662_fixed,
        ("loss-ignores-outputs", "wrong-loss", "outputs-cannot-reach-targets"),
        ("loss", "head", "model"),
    ),
    real(
        so_59325381,
        so_59325381_fixed,
        ("missing-class", "prepared-differently", "imbalance"),
        ("labels", "data", "split"),
    ),
    real(
        so_48934338,
        so_48934338_fixed,
        ("learning-rate-too-high", "not-finite", "data-on-wrong-scale"),
        (*RATE, "data"),
    ),
    real(
        so_43636736,
        so_43636736_fixed,
        ("learning-rate-too-high", "not-finite", "data-on-wrong-scale"),
        (*RATE, "data"),
    ),
    real(
        so_46577203,
        so_46577203_fixed,
        ("loss-scale", "loss-depends-on-batch", "learning-rate-too-high"),
        ("loss", *RATE),
    ),
    real(
        so_31556268,
        so_31556268_fixed,
        ("learning-rate-too-low", "no-learning", "wrong-loss"),
        (*RATE, "loss"),
    ),
    real(so_50306988, so_50306988_fixed, ("learning-rate-too-low", "no-learning"), RATE),
    real(
        so_39217567,
        so_39217567_fixed,
        ("learning-rate-too-low", "no-learning", "wrong-loss"),
        (*RATE, "loss", "model"),
    ),
    real(
        so_48385830,
        so_48385830_fixed,
        ("learning-rate-too-high", "missing-nonlinearity", "init-scale", "not-finite"),
        (*RATE, "model", "init"),
    ),
    real(so_48723158, so_48723158_fixed, ("init-scale",), ("init",)),
    real(
        tf_examples_368,
        tf_examples_368_fixed,
        ("missing-nonlinearity", "init-scale", "learning-rate-too-high"),
        ("model", "init", *RATE),
    ),
)
