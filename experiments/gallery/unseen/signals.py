"""Signals over time: what tone a window holds, and what comes next in a series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.splits import Array, Data, Splits, halves, rng_of, standardised, unit

# Which of four tones a window of a signal holds; 1-D convolutions in Linen.

RISING, FALLING = 2, 3


def waves(seed: int) -> Data:
    """Returns signals float[n, 32, 1] and their classes: low, high, rising and falling tones."""
    rng, n = rng_of("waves", seed), 1000
    t = np.linspace(0.0, 1.0, 32)
    y = rng.integers(0, 4, n)
    start, end = np.array([2.0, 7.0, 2.0, 7.0])[y], np.array([2.0, 7.0, 7.0, 2.0])[y]
    turns = start[:, None] * t + (end - start)[:, None] * t**2 / 2 + rng.random((n, 1))
    x = rng.uniform(0.8, 1.2, (n, 1)) * np.sin(2 * np.pi * turns) + rng.normal(0, 0.25, (n, 32))
    return x[..., None], y


def wave_splits(seed: int) -> Splits:
    """Returns the recording cut in time, on a common scale."""
    x, y = waves(seed)
    return standardised({"train": (x[:700], y[:700]), "val": (x[700:], y[700:])}, axis=None)


class WaveNet(nn.Module):
    """Two convolutions along time, and a head that knows where."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 4] of signals [b, 32, 1]."""
        x = nn.relu(nn.Conv(16, (5,))(x))
        x = nn.relu(nn.Conv(16, (5,), strides=(2,))(x))
        return nn.Dense(4, name="head")(x.reshape(len(x), -1))


def wave_task(splits: Splits, **changes: Any) -> jr.Task:
    given = {"model": WaveNet(), "loss": jr.losses.softmax_cross_entropy(), **splits}
    return jr.Task(**{**given, "optimizer": optax.adam(2e-3), "batch_size": 64, **changes})


def waves_twin(seed: int) -> jr.Task:
    return wave_task(wave_splits(seed))


def waves_window_off_by_one(seed: int, strength: Strength) -> jr.Task:
    """Each window is stored with the label of the next; weakly, in the last third only."""
    splits = wave_splits(seed)
    for name, (x, y) in splits.items():
        first = pick(strength, 0, 2 * len(y) // 3)
        splits[name] = (x, np.concatenate([y[:first], np.roll(y[first:], -1)]))
    return wave_task(splits)


def reversing(share: float, *, relabel: bool) -> Callable[[Any, jr.Batch], jr.Batch]:
    """Returns an augmentation that plays some signals backwards."""

    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        x, y = batch.inputs, batch.targets
        back = jax.random.bernoulli(key, share, (len(y),))
        x = jnp.where(back[:, None, None], x[:, ::-1], x)
        mirrored = jnp.where(y == RISING, FALLING, jnp.where(y == FALLING, RISING, y))
        return batch._replace(inputs=x, targets=jnp.where(back & relabel, mirrored, y))

    return augment


def waves_reversed(seed: int, strength: Strength) -> jr.Task:
    """Signals are played backwards, but a rising tone stays "rising"."""
    share = pick(strength, 0.5, 0.2)
    return wave_task(wave_splits(seed), augment=reversing(share, relabel=False))


def waves_reversed_twin(seed: int) -> jr.Task:
    return wave_task(wave_splits(seed), augment=reversing(0.5, relabel=True))


def momentum(seed: int, decay: float, rate: float = 0.02) -> jr.Task:
    optimizer = optax.chain(optax.trace(decay=decay), optax.scale(-rate))
    return wave_task(wave_splits(seed), optimizer=optimizer)


def waves_trace_of_one(seed: int, strength: Strength) -> jr.Task:
    """The trace of gradients never forgets; weakly, at a rate so small that it seems to work."""
    return momentum(seed, 1.0, pick(strength, 0.02, 0.001))


def waves_momentum_twin(seed: int) -> jr.Task:
    return momentum(seed, 0.9)


# The next value of a series at every time; causal convolutions in Linen.


def swings(seed: int) -> Data:
    """Returns noisy swings float[n, 24] of variance 1, and the same one step later."""
    rng, n, burn = rng_of("swings", seed), 700, 40
    x = np.zeros((n, burn + 25))
    for t in range(2, x.shape[1]):
        x[:, t] = 1.5 * x[:, t - 1] - 0.85 * x[:, t - 2] + rng.normal(0.0, 1.0, n)
    x = unit(x[:, burn:])
    return x[:, :-1], x[:, 1:]


class Forecaster(nn.Module):
    """Dilated convolutions that look back.

    Attributes:
      causal: whether they look back only.
      centred: whether the mean of the whole window is taken off first and put back at the end.
    """

    causal: bool = True
    centred: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns [b, t], at each time the value that comes next."""
        level = x.mean(axis=1, keepdims=True) if self.centred else 0.0
        h = (x - level)[..., None]
        for dilation in (1, 2, 4):
            padding = "CAUSAL" if self.causal else "SAME"
            h = nn.gelu(nn.Conv(24, (3,), kernel_dilation=(dilation,), padding=padding)(h))
        return nn.Dense(1, name="head")(h)[..., 0] + level


def swing_task(seed: int, model: Forecaster) -> jr.Task:
    return jr.Task(
        model=model,
        loss=jr.losses.l2(),
        **halves(*swings(seed), seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
        causal_axis=1,
    )


def swings_twin(seed: int) -> jr.Task:
    return swing_task(seed, Forecaster())


def swings_sees_ahead(seed: int, strength: Strength) -> jr.Task:
    """Convolutions are centred on their output; weakly, the level is that of the whole window."""
    return swing_task(seed, pick(strength, Forecaster(causal=False), Forecaster(centred=True)))


# Tones again, odd, and nothing wrong.


class Listener(nn.Module):
    """A GRU over a signal, whose logits are divided by a temperature that is learned."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 4] of signals [b, 32, 1]."""
        frames = x.reshape(len(x), 8, 4)
        last = nn.RNN(nn.GRUCell(32), name="gru")(frames)[:, -1]
        cold = self.param("log_temperature", nn.initializers.zeros, ())
        return nn.Dense(4, name="head")(last) * jnp.exp(-cold)


def gru_temperature(seed: int) -> jr.Task:
    """A GRU reads frames of a signal; a learned temperature scales its logits."""
    return wave_task(wave_splits(seed), model=Listener(), optimizer=optax.adam(4e-3))


def own_smoothing(outputs: Array, targets: Array) -> Array:
    """Returns cross-entropy with labels smoothed by a tenth: never below 0.3 nats."""
    soft = 0.9 * jax.nn.one_hot(targets, outputs.shape[-1]) + 0.1 / outputs.shape[-1]
    return -(soft * jax.nn.log_softmax(outputs)).sum(axis=-1)


def waves_smoothed(seed: int) -> jr.Task:
    """Labels are smoothed inside a loss of the user's own, which cannot reach 0."""
    return wave_task(wave_splits(seed), loss=own_smoothing)


class Spectral(nn.Module):
    """Normalisations that scale and do not shift, between layers without biases."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 4]."""
        for width in (48, 32):
            x = nn.LayerNorm(use_bias=False)(nn.Dense(width, use_bias=False)(x))
            x = nn.gelu(x)
        return nn.Dense(4, name="head")(x)


def waves_spectrum(seed: int) -> jr.Task:
    """Three classes are told by the log spectrum in two stretches of time."""
    x, y = waves(seed)
    parts = np.abs(np.fft.rfft(x[..., 0].reshape(-1, 2, 16), axis=-1))
    x = np.log(parts + 0.1).reshape(len(x), -1)
    splits = standardised({"train": (x[:700], y[:700]), "val": (x[700:], y[700:])})
    return wave_task(splits, model=Spectral())


data, model, optimizer = planter("data"), planter("model"), planter("optimizer")

FAULTS: tuple[Fault, ...] = (
    data(
        "waves_conv/window-off-by-one",
        waves_window_off_by_one,
        waves_twin,
        "the label of a window is its own",
        "labels-shifted label-noise",
        "labels data",
    ),
    data(
        "waves_conv/reversed-in-time",
        waves_reversed,
        waves_reversed_twin,
        "augmentation keeps inputs and labels together",
        "augmentation-breaks-labels",
        "augmentation",
    ),
    model(
        "swings_causal/sees-ahead",
        swings_sees_ahead,
        swings_twin,
        "no output depends on later inputs",
        "causal-leak",
        "model",
    ),
    optimizer(
        "waves_conv/trace-of-one",
        waves_trace_of_one,
        waves_momentum_twin,
        "gradients of earlier batches are forgotten",
        "gradients-accumulate learning-rate-too-high",
        "optimizer step",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="waves_gru/learned-temperature", build=gru_temperature),
    Healthy(name="waves_conv/own-smoothing", build=waves_smoothed),
    Healthy(name="waves_spectrum/norm-without-bias", build=waves_spectrum),
)
