"""Six tags of a thing; an MLP with dropout in NNX, and one of plain functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.plain_networks import plain
from gallery.unseen.splits import Array, Splits, halves, rng_of


def tags(seed: int, rate: float = 0.5) -> Splits:
    """Returns float[n, 20] and tags [n, 6], each true for a share `rate` of the rows."""
    rng, n = rng_of("tags", seed), 1200
    x = rng.normal(size=(n, 20)).astype(np.float32)
    score = x @ rng.normal(size=(20, 6)) + 1.5 * np.tanh(2 * x @ rng.normal(size=(20, 6)))
    y = (score > np.quantile(score, 1 - rate, axis=0)).astype(np.float32)
    return halves(x, y, seed)


class Tagger(nnx.Module):
    """Two hidden layers and a logit for each tag.

    Args:
      rngs: of weights and dropout.
      drop: share of hidden units that are dropped.
      always: whether they are dropped in evaluation too.
      bias: where the logits start.
    """

    def __init__(self, rngs: nnx.Rngs, drop: float = 0.1, always: bool = False, bias: float = 0.0):
        self.lift, self.mix = nnx.Linear(20, 48, rngs=rngs), nnx.Linear(48, 32, rngs=rngs)
        self.head = nnx.Linear(32, 6, bias_init=nnx.initializers.constant(bias), rngs=rngs)
        self.dropout = nnx.Dropout(drop, rngs=rngs)
        self.mode = {"deterministic": False} if always else {}

    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 6]."""
        x = self.dropout(jax.nn.gelu(self.lift(x)), **self.mode)
        return self.head(jax.nn.gelu(self.mix(x)))


def tag_task(splits: Splits, model: Any, **changes: Any) -> jr.Task:
    given = {"model": model, "loss": jr.losses.multilabel_cross_entropy(), **splits}
    return jr.Task(**{**given, "optimizer": optax.adam(2e-3), "batch_size": 64, **changes})


def tags_twin(seed: int) -> jr.Task:
    return tag_task(tags(seed), lambda rngs: Tagger(rngs))


def tags_dropout_stays(seed: int, strength: Strength) -> jr.Task:
    """Dropout is told at its call to drop, in evaluation too: half of the units; weakly, 5 %."""
    drop = pick(strength, 0.5, 0.05)
    return tag_task(tags(seed), lambda rngs: Tagger(rngs, drop, always=True))


RARE, PRIOR = 0.06, float(np.log(0.06 / 0.94))


def rare_tags(seed: int, bias: float) -> jr.Task:
    return tag_task(tags(seed, RARE), lambda rngs: Tagger(rngs, bias=bias), imbalance_intended=True)


def tags_prior_reversed(seed: int, strength: Strength) -> jr.Task:
    """The bias starts at the logit of "no tag" in place of "tag"; weakly, at 0, for 6 % tags."""
    return rare_tags(seed, pick(strength, -PRIOR, 0.0))


def tags_prior_twin(seed: int) -> jr.Task:
    return rare_tags(seed, PRIOR)


def tags_weight_norm(seed: int) -> jr.Task:
    """Each unit has a direction, used at length 1, and a length of its own."""

    def layer(key: Any, fan_in: int, fan_out: int) -> Any:
        direction = jax.random.normal(key, (fan_in, fan_out))
        return {"v": direction, "g": jnp.ones(fan_out), "b": jnp.zeros(fan_out)}

    def normed(p: Any, x: Array) -> Array:
        return x @ (p["v"] * p["g"] / jnp.linalg.norm(p["v"], axis=0)) + p["b"]

    def start(key: Any) -> Any:
        one, two = jax.random.split(key)
        return {"hidden": layer(one, 20, 48), "head": layer(two, 48, 6)}

    def predict(params: Any, x: Array) -> Array:
        return normed(params["head"], jnp.tanh(normed(params["hidden"], x)))

    model = plain(start, predict, "weight_norm")
    return tag_task(tags(seed), model, optimizer=optax.adam(5e-3))


init, procedure = planter("init"), planter("procedure")

FAULTS: tuple[Fault, ...] = (
    init(
        "tags_nnx/prior-reversed",
        tags_prior_reversed,
        tags_prior_twin,
        "the first outputs are near the best constant",
        "head-bias-ignores-prior",
        "head init model",
        "head",
    ),
    procedure(
        "tags_nnx/dropout-stays",
        tags_dropout_stays,
        tags_twin,
        "evaluation is a function of its input",
        "eval-not-deterministic",
        "eval model",
    ),
)
HEALTHY: tuple[Healthy, ...] = (Healthy(name="tags_plain/weight-norm", build=tags_weight_norm),)
