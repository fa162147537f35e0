"""A small class-conditional generator: a flow from noise to examples of a class (D3).

A network learns the velocity with which to move from noise (time 0) to data (time 1) along straight
lines; following it from fresh noise gives fresh examples.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.data import as_source
from jrecipe.types import Array, Key, PyTree, TaskError

_WAVES, _AVERAGE = 16, 0.999


class _Velocity(nn.Module):
    """Dense blocks with residuals, told the time and the class."""

    size: int
    classes: int
    width: int

    @nn.compact
    def __call__(self, x: Array, time: Array, label: Array) -> Array:
        angles = time[:, None] * jnp.pi * 2.0 ** jnp.linspace(-1, 4, _WAVES)[None]
        told = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        told = nn.Dense(self.width)(told) + nn.Embed(self.classes, self.width)(label)
        hidden = nn.Dense(self.width)(x) + told
        for _ in range(3):
            inner = nn.silu(
                nn.Dense(self.width)(nn.LayerNorm()(hidden)) + nn.Dense(self.width)(told)
            )
            hidden = hidden + nn.Dense(self.width)(inner)
        return nn.Dense(self.size, kernel_init=nn.initializers.zeros)(nn.LayerNorm()(hidden))


@dataclasses.dataclass(frozen=True, eq=False)
class Generator:
    """A trained flow; `sample` makes examples of given classes.

    Attributes:
      params: of the network, averaged over the last updates.
      shape: of one example.
      classes: number of classes.
      width: units of each layer.
      mean: what was taken from all values in training.
      scale: and what they were divided by.
      low: smallest value in the data; none is below.
      high: largest value in the data; none is above.
      loss: mean squared error of the velocity over the last tenth of training.
    """

    params: PyTree
    shape: tuple[int, ...]
    classes: int
    width: int
    mean: float
    scale: float
    low: float
    high: float
    loss: float

    def sample(self, keys: Key, labels: Array, *, steps: int = 40) -> Array:
        """Makes one example for each key; pure, and each depends on its own key alone.

        Args:
          keys: typed keys [k].
          labels: int[k], classes.
          steps: of the midpoint rule on the way from noise to data.

        Returns:
          float32[k, *shape].
        """
        size = int(np.prod(self.shape))
        net = _Velocity(size, self.classes, self.width)
        x = jax.vmap(lambda key: jax.random.normal(key, (size,)))(keys)

        def velocity(x: Array, at: Array) -> Array:
            return jnp.asarray(net.apply(self.params, x, jnp.full((len(x),), at), labels))

        def move(i: Array, x: Array) -> Array:
            half = x + velocity(x, i / steps) / (2 * steps)
            return x + velocity(half, (i + 0.5) / steps) / steps

        x = jax.lax.fori_loop(0, steps, move, x)
        return jnp.clip(x * self.scale + self.mean, self.low, self.high).reshape(-1, *self.shape)


def fit_generator(
    train: Any,
    classes: int,
    *,
    steps: int = 4_000,
    batch_size: int = 128,
    width: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Generator:
    """Trains a class-conditional generator on examples held in memory.

    Dense layers: meant for pictures up to about 28 x 28 and for vectors. Train it on the training
    split alone; what it makes resembles what it saw, and is not new information about the world.

    Args:
      train: a pair `(inputs float[n, ...], targets int[n])` or a source of such.
      classes: number of classes; targets are 0 .. classes - 1.
      steps: updates with Adam, the rate falling to 0 by a cosine.
      batch_size: examples in each, drawn anew with replacement.
      width: units of each layer.
      learning_rate: at the start.
      seed: decides weights, batches and noise.

    Raises:
      TaskError: if inputs are no float array, targets no class indices, or a number too small.

    References:
      Lipman et al., "Flow Matching for Generative Modeling", 2022, arXiv:2210.02747; Liu et al.,
      "Flow Straight and Fast", 2022, arXiv:2209.03003.
    """
    for name, value in (("steps", steps), ("batch_size", batch_size), ("width", width)):
        if value < 1:
            raise TaskError(f"fit_generator needs {name} of at least 1, got {value}.")
    source = as_source(train)
    inputs, targets = source.take(np.arange(len(source)))
    if not hasattr(inputs, "dtype") or inputs.dtype.kind != "f" or inputs.ndim < 2:
        raise TaskError(
            "fit_generator needs inputs as one array float[n, ...], got "
            f"{getattr(inputs, 'dtype', type(inputs).__name__)}; convert them first."
        )
    labels = np.asarray(targets)
    if labels.shape != (len(inputs),) or labels.dtype.kind not in "iu":
        raise TaskError(
            f"fit_generator needs targets as class indices int[n], got {labels.dtype}"
            f"{list(labels.shape)}."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise TaskError(
            f"fit_generator needs targets in 0 .. {classes - 1}, got {labels.min()} to "
            f"{labels.max()}; give classes={labels.max() + 1}, or number them from 0."
        )
    mean, scale = float(inputs.mean()), float(inputs.std()) or 1.0
    data = jnp.asarray((inputs.reshape(len(inputs), -1) - mean) / scale)
    params, losses = _train(
        data, jnp.asarray(labels, jnp.int32), classes, steps, batch_size, width, learning_rate, seed
    )
    return Generator(
        params=params,
        shape=inputs.shape[1:],
        classes=classes,
        width=width,
        mean=mean,
        scale=scale,
        low=float(inputs.min()),
        high=float(inputs.max()),
        loss=float(losses[-max(steps // 10, 1) :].mean()),
    )


def _train(
    data: Array,
    labels: Array,
    classes: int,
    steps: int,
    batch_size: int,
    width: int,
    learning_rate: float,
    seed: int,
) -> tuple[PyTree, np.ndarray]:
    """Returns the averaged weights, and the loss of each update."""
    net = _Velocity(data.shape[1], classes, width)
    tx = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    start, run = jax.random.split(jax.random.key(seed))
    params = net.init(start, data[:1], jnp.zeros(1), labels[:1])

    def loss_of(params: PyTree, key: Key) -> Array:
        rows, noise, time = jax.random.split(key, 3)
        chosen = jax.random.randint(rows, (batch_size,), 0, len(data))
        x, label = data[chosen], labels[chosen]
        z, t = jax.random.normal(noise, x.shape), jax.random.uniform(time, (batch_size,))
        at = t[:, None] * x + (1 - t[:, None]) * z
        return jnp.mean((net.apply(params, at, t, label) - (x - z)) ** 2)

    def update(carry: Any, i: Array) -> tuple[Any, Array]:
        params, state, average = carry
        loss, gradient = jax.value_and_grad(loss_of)(params, jax.random.fold_in(run, i))
        change, state = tx.update(gradient, state, params)
        params = optax.apply_updates(params, change)
        decay = jnp.minimum(_AVERAGE, (1.0 + i) / (10.0 + i))
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
        return (params, state, average), loss

    @jax.jit
    def scan(carry: Any) -> tuple[Any, Array]:
        return jax.lax.scan(update, carry, jnp.arange(steps))

    (_, _, average), losses = scan((params, tx.init(params), params))
    return average, np.asarray(losses)
