"""What a person thinks of a shelf of things; embeddings in plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.plain_networks import dense, plain, through
from gallery.unseen.splits import Array, Data, halves, rng_of, unit


def ratings(seed: int) -> Data:
    """Returns `{"user": int[n], "shelf": int[n, 6]}` and ratings of mean 0 and variance 1."""
    rng, n = rng_of("ratings", seed), 1500
    user, shelf = rng.integers(0, 30, n), rng.integers(0, 40, (n, 6))
    person, thing = rng.normal(size=(30, 2)), rng.normal(size=(40, 2))
    bag = thing[shelf].mean(axis=1) * np.sqrt(6)
    liked = person[user, 0] + 1.3 * bag[:, 0] + 0.4 * np.tanh(person[user, 1] * bag[:, 1])
    return {"user": user, "shelf": shelf}, unit(liked + rng.normal(0.0, 0.1, n))


def shelf_net(
    copies: int = 1, last: Callable[[Array], Array] = lambda x: x, width: int = 32
) -> jr.Model:
    """Returns embeddings, a hidden layer and a number.

    Args:
      copies: how often each hidden unit is there.
      last: what the output goes through.
      width: hidden units in all.
    """

    def init(key: Any) -> Any:
        keys = jax.random.split(key, 4)
        hidden, head = dense(keys[2], 24, width // copies), dense(keys[3], width // copies, 1)
        return {
            "user": jax.random.normal(keys[0], (30, 12)),
            "thing": jax.random.normal(keys[1], (40, 12)),
            "hidden": {"w": jnp.tile(hidden["w"], (1, copies)), "b": jnp.zeros(width)},
            "head": {"w": jnp.tile(head["w"], (copies, 1)) / copies, "b": head["b"]},
        }

    def predict(params: Any, inputs: Any) -> Array:
        bag = params["thing"][inputs["shelf"]].mean(axis=1) * np.sqrt(6.0)
        both = jnp.concatenate([params["user"][inputs["user"]], bag], axis=1)
        return last(through(params["head"], jnp.tanh(through(params["hidden"], both)))[:, 0])

    return plain(init, predict, "shelf_net")


def rating_task(seed: int, model: jr.Model) -> jr.Task:
    return jr.Task(
        model=model,
        loss=jr.losses.l2(),
        **halves(*ratings(seed), seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


def ratings_twin(seed: int) -> jr.Task:
    return rating_task(seed, shelf_net())


def ratings_squashed(seed: int, strength: Strength) -> jr.Task:
    """The rating goes through a ReLU, so none is below the mean; weakly, through a tanh."""
    return rating_task(seed, shelf_net(last=pick(strength, jax.nn.relu, jnp.tanh)))


def ratings_units_copied(seed: int, strength: Strength) -> jr.Task:
    """All hidden units are drawn once and tiled; weakly, each of them is there twice."""
    return rating_task(seed, shelf_net(copies=pick(strength, 32, 2)))


model, init = planter("model"), planter("init")

FAULTS: tuple[Fault, ...] = (
    model(
        "ratings_bag/squashed",
        ratings_squashed,
        ratings_twin,
        "the outputs can reach every target",
        "outputs-cannot-reach-targets",
        "model head loss",
    ),
    init(
        "ratings_bag/units-copied",
        ratings_units_copied,
        ratings_twin,
        "hidden units start different",
        "init-symmetric",
        "init model",
        "hidden",
    ),
)
HEALTHY: tuple[Healthy, ...] = ()
