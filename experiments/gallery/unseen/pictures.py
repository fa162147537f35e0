"""Pictures of digits: which digit one shows, and what it is without its noise."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn import datasets

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.splits import Array, Data, Splits, halves, rng_of, standardised

# Digits in sixteen patches; an MLP mixer in NNX, its normalisation written by hand.


def digits(seed: int, n: int = 1500) -> Data:
    """Returns pictures float[n, 8, 8] and their digits."""
    x, y = datasets.load_digits(return_X_y=True)
    rows = rng_of("digits", seed).permutation(len(x))[:n]
    return x[rows].reshape(-1, 8, 8), y[rows]


class Norm(nnx.Module):
    """Takes mean and scale off, along some axes of [b, t, d], and gives its own."""

    def __init__(self, width: int, axes: tuple[int, ...] = (2,)):
        self.axes = axes
        self.scale, self.bias = nnx.Param(jnp.ones(width)), nnx.Param(jnp.zeros(width))

    def __call__(self, x: Array) -> Array:
        """Returns [b, t, d], normalised."""
        mean = x.mean(axis=self.axes, keepdims=True)
        variance = x.var(axis=self.axes, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * self.scale[...] + self.bias[...]


class Mix(nnx.Module):
    """Mixes the patches of a picture, then the channels of a patch."""

    def __init__(self, rngs: nnx.Rngs, axes: tuple[int, ...]):
        self.before, self.between = Norm(32, axes), Norm(32, axes)
        self.patches = nnx.List([nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 16, rngs=rngs)])
        self.channels = nnx.List([nnx.Linear(32, 64, rngs=rngs), nnx.Linear(64, 32, rngs=rngs)])

    def __call__(self, x: Array) -> Array:
        """Returns [b, 16, 32] from the same."""
        h = self.before(x).swapaxes(1, 2)
        x = x + self.patches[1](jax.nn.gelu(self.patches[0](h))).swapaxes(1, 2)
        return x + self.channels[1](jax.nn.gelu(self.channels[0](self.between(x))))


class Mixer(nnx.Module):
    """A mixer of 2x2 patches; `inner` and `last` are the axes that are normalised over."""

    def __init__(self, rngs: nnx.Rngs, inner: tuple[int, ...] = (2,), last: tuple[int, ...] = (2,)):
        self.embed = nnx.Linear(4, 32, rngs=rngs)
        self.first, self.second = Mix(rngs, inner), Mix(rngs, inner)
        self.norm = Norm(32, last)
        self.head = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 10] of pictures [b, 8, 8]."""
        x = x.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)
        x = self.norm(self.second(self.first(self.embed(x))))
        return self.head(x.mean(axis=1))


def digit_splits(seed: int, n: int = 1500) -> Splits:
    return standardised(halves(*digits(seed, n), seed), axis=None)


def digit_task(seed: int, model: Any, **changes: Any) -> jr.Task:
    given = {"model": model, "loss": jr.losses.softmax_cross_entropy(), **digit_splits(seed)}
    return jr.Task(**{**given, "optimizer": optax.adam(3e-3), "batch_size": 64, **changes})


def mixer_twin(seed: int) -> jr.Task:
    return digit_task(seed, lambda rngs: Mixer(rngs))


def mixer_norm_over_batch(seed: int, strength: Strength) -> jr.Task:
    """Normalisation runs over the pictures of the batch; weakly, the last one over everything."""
    if strength == "strong":
        return digit_task(seed, lambda rngs: Mixer(rngs, inner=(0,), last=(0,)))
    return digit_task(seed, lambda rngs: Mixer(rngs, last=(0, 1, 2)))


def decaying(decay_steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(3e-3, decay_steps))


def mixer_schedule_in_epochs(seed: int, strength: Strength) -> jr.Task:
    """The cosine ends after 30 updates of 2000; weakly, after 125, the number of epochs."""
    return digit_task(seed, lambda rngs: Mixer(rngs), optimizer=decaying(pick(strength, 30, 125)))


def mixer_schedule_twin(seed: int) -> jr.Task:
    return digit_task(seed, lambda rngs: Mixer(rngs), optimizer=decaying(2000))


# Digits without their noise; a convolutional autoencoder in Linen with BatchNorm.


def noisy_digits(seed: int) -> Splits:
    """Returns noisy pictures float[n, 8, 8, 1] and the clean ones, float[n, 64]."""
    splits, rng = digit_splits(seed), rng_of("noise", seed)
    return {
        name: ((x + rng.normal(0, 0.5, x.shape)).astype(np.float32)[..., None], x.reshape(-1, 64))
        for name, (x, _) in splits.items()
    }


class Autoencoder(nn.Module):
    """Two convolutions, 24 numbers, and back; `memory` is how slowly BatchNorm forgets."""

    memory: float = 0.9

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Returns pictures [b, 64] from pictures [b, 8, 8, 1]."""
        for i, width in enumerate((12, 16)):
            x = nn.Conv(width, (3, 3), strides=(1 + i, 1 + i), use_bias=False)(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=self.memory)(x)
            x = nn.relu(x)
        code = nn.Dense(24, name="code")(x.reshape(len(x), -1))
        return nn.Dense(64, name="head")(nn.relu(nn.Dense(64)(nn.tanh(code))))


def clean_task(seed: int, memory: float) -> jr.Task:
    return jr.Task(
        model=Autoencoder(memory),
        loss=jr.losses.l2(),
        **noisy_digits(seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
    )


def clean_twin(seed: int) -> jr.Task:
    return clean_task(seed, 0.9)


def clean_statistics_stand(seed: int, strength: Strength) -> jr.Task:
    """BatchNorm keeps all of its old statistics, by a momentum of 1; weakly, of 0.9995."""
    return clean_task(seed, pick(strength, 1.0, 0.9995))


# Odd, and nothing wrong.


class Cosine(nnx.Module):
    """Digits by the angle to ten directions, times a scale that is learned."""

    def __init__(self, rngs: nnx.Rngs):
        self.lift, self.mix = nnx.Linear(64, 48, rngs=rngs), nnx.Linear(48, 32, rngs=rngs)
        self.classes = nnx.Param(jax.random.normal(rngs.params(), (32, 10)))
        self.scale = nnx.Param(jnp.asarray(4.0))

    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 10] of pictures [b, 8, 8]."""
        x = self.mix(jax.nn.relu(self.lift(x.reshape(len(x), -1))))
        x = x / (jnp.linalg.norm(x, axis=1, keepdims=True) + 1e-6)
        directions = self.classes[...]
        return self.scale[...] * x @ (directions / jnp.linalg.norm(directions, axis=0))


def digits_cosine(seed: int) -> jr.Task:
    """The head is a cosine with a learned scale, without a bias."""
    return digit_task(seed, lambda rngs: Cosine(rngs))


def erased(key: Any, batch: jr.Batch) -> jr.Batch:
    """Sets up to a third of the pixels of a picture to the mean; how many is drawn for each."""
    share, pixels = jax.random.split(key)
    gone = jax.random.uniform(share, (len(batch.targets), 1, 1), maxval=0.33)
    hidden = jax.random.uniform(pixels, batch.inputs.shape) < gone
    return batch._replace(inputs=jnp.where(hidden, 0.0, batch.inputs))


def mixer_erased(seed: int) -> jr.Task:
    """Training pictures have holes, from none to a third of their pixels."""
    return digit_task(seed, lambda rngs: Mixer(rngs), augment=erased)


def mixer_whole_batch(seed: int) -> jr.Task:
    """Each update sees every example; the rate falls to zero at the end of 2000 updates."""
    changes = {"batch_size": 700, "optimizer": decaying(2000), **digit_splits(seed, 1000)}
    return digit_task(seed, lambda rngs: Mixer(rngs), **changes)


model, optimizer, procedure = planter("model"), planter("optimizer"), planter("procedure")

FAULTS: tuple[Fault, ...] = (
    model(
        "digits_mixer/norm-over-batch",
        mixer_norm_over_batch,
        mixer_twin,
        "each output depends on its own input only",
        "batch-mixing eval-depends-on-batch",
        "model eval",
    ),
    optimizer(
        "digits_mixer/schedule-in-epochs",
        mixer_schedule_in_epochs,
        mixer_schedule_twin,
        "the learning rate lasts as long as training",
        "schedule-ends-early",
        "schedule optimizer",
    ),
    procedure(
        "digits_autoencoder/statistics-stand",
        clean_statistics_stand,
        clean_twin,
        "stored statistics follow training",
        "statistics-never-updated train-eval-differ",
        "model eval",
        "BatchNorm",
        "batch_stats",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="digits_nnx/cosine-head", build=digits_cosine),
    Healthy(name="digits_mixer/pixels-erased", build=mixer_erased),
    Healthy(name="digits_mixer/whole-batch-cosine", build=mixer_whole_batch),
)
