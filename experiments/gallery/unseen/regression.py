"""Numbers to predict: counts, quantiles, densities, prices, fields."""

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
from gallery.unseen.plain_networks import dense, plain, through
from gallery.unseen.splits import Array, Data, Splits, halves, rng_of, unit

# How many events in a stretch of time of known length; Poisson, in Linen, two inputs.


def events(seed: int) -> Data:
    """Returns `{"x": float[n, 6], "log_time": float[n]}` and counts, one in the mean."""
    rng, n = rng_of("events", seed), 1500
    x, log_time = rng.normal(size=(n, 6)), rng.uniform(-1.0, 1.0, n)
    log_rate = 0.7 * x[:, 0] - 0.6 * x[:, 1] + 0.6 * np.tanh(2 * x[:, 2]) + log_time - 0.55
    inputs = {"x": x.astype(np.float32), "log_time": log_time.astype(np.float32)}
    return inputs, rng.poisson(np.exp(log_rate)).astype(np.float32)


class Rate(nn.Module):
    """The log of the expected count: what the network says of the rate, and the time given."""

    @nn.compact
    def __call__(self, inputs: Any) -> Array:
        """Returns log expected counts [b]."""
        h = nn.tanh(nn.Dense(24)(inputs["x"]))
        head = nn.Dense(1, kernel_init=nn.initializers.variance_scaling(0.1, "fan_in", "normal"))
        return head(h)[:, 0] + inputs["log_time"]


def deviance(outputs: Array, targets: Array) -> Array:
    """Returns half of the Poisson deviance of log rates; 0 where the rate is the count."""
    own = jnp.where(targets > 0, targets * jnp.log(jnp.maximum(targets, 1.0)), 0.0)
    return jnp.exp(outputs) - targets * outputs - targets + own


def event_task(seed: int, loss: Callable[[Array, Array], Array]) -> jr.Task:
    return jr.Task(
        model=Rate(),
        loss=loss,
        **halves(*events(seed), seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


def events_twin(seed: int) -> jr.Task:
    return event_task(seed, deviance)


def events_loss_capped(seed: int, strength: Strength) -> jr.Task:
    """The loss is cut off "against outliers", which then teach nothing: at 0.6; weakly, at 2."""
    top = pick(strength, 0.6, 2.0)
    return event_task(seed, lambda outputs, targets: jnp.minimum(deviance(outputs, targets), top))


# The upper fifth of what may happen; quantile regression in Linen.


def delays(seed: int) -> Splits:
    """Returns float[n, 5] and numbers whose spread depends on the inputs, of variance 1."""
    rng, n = rng_of("delays", seed), 1400
    x = rng.normal(size=(n, 5))
    centre = 1.5 * x[:, 0] + np.sin(2 * x[:, 1]) - x[:, 2]
    y = unit(centre + (0.2 + 0.4 * np.abs(x[:, 3])) * rng.normal(size=n))
    return halves(x.astype(np.float32), y, seed)


class Upper(nn.Module):
    """An MLP with outputs [b, 1]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns [b, 1]."""
        x = nn.silu(nn.Dense(32)(x))
        return nn.Dense(1, name="head")(nn.silu(nn.Dense(32)(x)))


def pinball(error: Array) -> Array:
    """Returns the loss whose least mean is at the 0.8 quantile, of `target - output`."""
    return jnp.maximum(0.8 * error, -0.2 * error)


def delay_task(seed: int, loss: Callable[[Array, Array], Array]) -> jr.Task:
    return jr.Task(
        model=Upper(), loss=loss, **delays(seed), optimizer=optax.adam(2e-3), batch_size=64
    )


def delays_twin(seed: int) -> jr.Task:
    return delay_task(seed, lambda outputs, targets: pinball(targets - outputs[:, 0]))


def delays_all_pairs(seed: int, strength: Strength) -> jr.Task:
    """Targets [b] less outputs [b, 1] are [b, b]: every row is asked for the targets of all rows.

    Weakly, the errors are divided by the spread of the targets of the batch.
    """

    def crossed(outputs: Array, targets: Array) -> Array:
        return pinball(targets - outputs).mean(axis=1)

    def rescaled(outputs: Array, targets: Array) -> Array:
        return pinball((targets - outputs[:, 0]) / (targets.std() + 1e-3))

    return delay_task(seed, pick(strength, crossed, rescaled))


# Odd, and nothing wrong.


class Spread(nn.Module):
    """A mean and a log variance, which stays between -5 and 5."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns [b, 2]."""
        x = nn.silu(nn.Dense(32)(nn.silu(nn.Dense(32)(x))))
        out = nn.Dense(2, kernel_init=nn.initializers.normal(0.05), name="head")(x)
        return jnp.stack([out[:, 0], 5 * jnp.tanh(out[:, 1] / 5)], axis=1)


def gaussian(outputs: Array, targets: Array) -> Array:
    """Returns the negative log density, less its constant, of a mean and a log variance."""
    mean, log_variance = outputs[:, 0], outputs[:, 1]
    return 0.5 * (jnp.square(targets - mean) * jnp.exp(-log_variance) + log_variance)


def delays_spread(seed: int) -> jr.Task:
    """The loss is a density and goes below 0; its lowest value is declared."""
    return jr.Task(
        model=Spread(),
        loss=gaussian,
        **delays(seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
        loss_floor=-2.5,
    )


def prices_log(seed: int) -> jr.Task:
    """Prices over two powers of ten are targets as they are; the loss takes their logs."""
    rng, n = rng_of("prices", seed), 1200
    x = rng.normal(size=(n, 7)).astype(np.float32)
    log_price = 0.9 * x[:, 0] - 0.5 * x[:, 1] + 0.5 * x[:, 2] * (x[:, 3] > 0)
    price = np.exp(log_price + rng.normal(0.0, 0.1, n)).astype(np.float32)

    def relative(outputs: Array, targets: Array) -> Array:
        return optax.huber_loss(outputs[:, 0], jnp.log(targets))

    return jr.Task(
        model=Upper(),
        loss=relative,
        **halves(x, price, seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
    )


class Experts(nn.Module):
    """Four linear experts, mixed by gates that are soft."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns numbers [b]."""
        gates = nn.softmax(nn.Dense(4, name="gate")(x))
        answers = nn.Dense(4, name="experts")(x)
        return (gates * answers).sum(axis=-1)


def regions_experts(seed: int) -> jr.Task:
    """Two linear laws, one on each side of a plane: experts without a hidden layer."""
    rng, n = rng_of("regions", seed), 1200
    x = rng.normal(size=(n, 6)).astype(np.float32)
    laws = rng.normal(size=(6, 2))
    y = unit(np.where(x[:, 0] + x[:, 1] > 0, x @ laws[:, 0], x @ laws[:, 1]))
    return jr.Task(
        model=Experts(),
        loss=jr.losses.l2(),
        **halves(x, y, seed),
        optimizer=optax.adam(1e-2),
        batch_size=64,
    )


def field_sines(seed: int) -> jr.Task:
    """A field over a plane, by a network of sines."""
    rng, n = rng_of("field", seed), 1200
    x = rng.uniform(-1.0, 1.0, (n, 2)).astype(np.float32)
    y = unit(np.sin(4 * x[:, 0] + 1) * np.cos(3 * x[:, 1]) + 0.5 * x[:, 0])

    def start(key: Any) -> Any:
        one, two, three = jax.random.split(key, 3)
        first = {"w": jax.random.uniform(one, (2, 48), minval=-5, maxval=5), "b": jnp.zeros(48)}
        return {"first": first, "second": dense(two, 48, 32), "head": dense(three, 32, 1)}

    def predict(params: Any, x: Array) -> Array:
        x = jnp.sin(through(params["first"], x))
        return through(params["head"], jnp.sin(through(params["second"], x)))[:, 0]

    return jr.Task(
        model=plain(start, predict, "sines"),
        loss=jr.losses.l2(),
        **halves(x, y, seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


loss = planter("loss")

FAULTS: tuple[Fault, ...] = (
    loss(
        "events_poisson/loss-capped",
        events_loss_capped,
        events_twin,
        "examples with a large loss have a gradient",
        "loss-clipped",
        "loss",
    ),
    loss(
        "delays_quantile/all-pairs",
        delays_all_pairs,
        delays_twin,
        "the loss of an example does not depend on other examples",
        "loss-depends-on-batch",
        "loss",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="delays_mlp/heteroscedastic", build=delays_spread),
    Healthy(name="prices_mlp/log-targets-in-loss", build=prices_log),
    Healthy(name="regions_experts/soft-gates", build=regions_experts),
    Healthy(name="field_sines/periodic-activations", build=field_sines),
)
