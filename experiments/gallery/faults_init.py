"""Faults planted in the weights that training starts from."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

import jrecipe as jr
from gallery.bases_digits import MLP, digits_mlp, finetune, lecun, zeros
from gallery.bases_sequences import LanguageModel, char_lm
from gallery.bases_tables import (
    logit,
    numbers,
    rare,
    regression,
    regressor,
    table_model,
    tabular_imbalanced,
)
from gallery.planting import pick, planter
from gallery.program import Fault, Strength

plant = planter("init")
constant, normal = nn.initializers.constant, nn.initializers.normal


def flat_weights(seed: int, strength: Strength) -> jr.Task:
    """All kernels are zeros / the first is 0.05 everywhere."""
    kernels = pick(strength, (zeros, zeros, zeros), (constant(0.05), lecun, lecun))
    return digits_mlp(seed, model=MLP(kernel_inits=kernels))


def flat_hidden(seed: int, strength: Strength) -> jr.Task:
    """Hidden units start equal, at 0.1 / at the same random column, and the head is constant."""
    bias = logit(rare(seed)[0][1])
    flat = pick(strength, lambda w: 0 * w + 0.1, lambda w: w[:, :1] + 0 * w)
    model = table_model(bias, hidden=flat)

    def init(key: Any, inputs: Any) -> Any:
        params, state = model.init(key, inputs)
        return {**params, "head": {**params["head"], "w": jnp.full((32, 1), 0.1)}}, state

    return tabular_imbalanced(seed, model=jr.Model(init, model.apply, name="table"))


def unit_normal(seed: int, strength: Strength) -> jr.Task:
    """Every kernel / the second kernel is drawn from N(0, 1)."""
    one = normal(1.0)
    kernels = pick(strength, (one, one, one), (lecun, one, lecun))
    return digits_mlp(seed, model=MLP(kernel_inits=kernels))


def loud_head(seed: int, strength: Strength) -> jr.Task:
    """The head's variance is 100 / 20 times what keeps its outputs at the size of its inputs."""
    return char_lm(seed, model=LanguageModel(head_scale=pick(strength, 100.0, 20.0)))


def tiny_weights(seed: int, strength: Strength) -> jr.Task:
    """All kernels / those of the hidden layers are drawn with a deviation of 1e-5."""
    small = normal(1e-5)
    kernels = (small, small, pick(strength, small, lecun))
    return digits_mlp(seed, model=MLP(kernel_inits=kernels))


def saturated(seed: int, strength: Strength) -> jr.Task:
    """Tanh units start saturated: weights 30 times too large in both hidden layers / in one."""
    scales = pick(strength, (900.0, 900.0, 1.0), (900.0, 1.0, 1.0))
    tanh = (jnp.tanh, jnp.tanh)
    return regression(seed, model=regressor(scales=scales, activations=tanh))


def tanh_regression(seed: int) -> jr.Task:
    """Tanh units that start where tanh has a slope."""
    return regression(seed, model=regressor(activations=(jnp.tanh, jnp.tanh)))


def born_dead(seed: int, strength: Strength) -> jr.Task:
    """A bias of -30 switches the ReLUs of a whole layer / of three quarters of it off for good."""
    count = pick(strength, 64, 48)
    start = lambda key, shape, dtype: jnp.where(  # noqa: E731
        jnp.arange(shape[0]) < count, -30.0, 0.0
    ).astype(dtype)
    return digits_mlp(seed, model=MLP(bias_inits=(start, zeros, zeros)))


def absurd_bias(seed: int, strength: Strength) -> jr.Task:
    """The final biases run from 0 to 30 / to 8."""
    stop = pick(strength, 30.0, 8.0)
    start = lambda key, shape, dtype: jnp.linspace(0.0, stop, shape[0], dtype=dtype)  # noqa: E731
    return digits_mlp(seed, model=MLP(bias_inits=(zeros, zeros, start)))


def bias_without_prior(seed: int, strength: Strength) -> jr.Task:
    """One row in 30 / in 11 is positive, and the final bias starts at 0."""
    data = rare(seed, pick(strength, 1 / 30, 1 / 11))
    return tabular_imbalanced(seed, data=data, model=table_model(None))


def far_targets(seed: int, bias: float, mean: float) -> jr.Task:
    """Numbers around `mean`, and the final bias."""
    (x, y), (vx, vy) = numbers(seed)
    data = ((x, y + mean), (vx, vy + mean))
    return regression(seed, data=data, model=regressor(bias=bias))


def bias_without_mean(seed: int, strength: Strength) -> jr.Task:
    """Numbers of mean 100 / 8 and deviation 1, and the final bias starts at 0."""
    return far_targets(seed, 0.0, pick(strength, 100.0, 8.0))


def biased_well(seed: int) -> jr.Task:
    """Numbers of mean 100, and the final bias starts there."""
    return far_targets(seed, 100.0, 100.0)


def not_loaded(seed: int, strength: Strength) -> jr.Task:
    """Neither layer of the frozen trunk was loaded / the second was not."""

    def load(new: Any, loaded: Any) -> Any:
        return new if strength == "strong" else {**loaded, "Dense_1": new["Dense_1"]}

    return finetune(seed, load=load)


def loaded_and_scaled(seed: int, strength: Strength) -> jr.Task:
    """The trunk was loaded in another unit: weights 100 / 20 times too large."""
    factor = pick(strength, 100.0, 20.0)

    def load(new: Any, loaded: Any) -> Any:
        del new
        return {name: {k: v * factor for k, v in layer.items()} for name, layer in loaded.items()}

    return finetune(seed, load=load)


SCALE = "signals keep their size through the layers"
FAULTS: tuple[Fault, ...] = (
    plant("digits_mlp/flat-weights", flat_weights, digits_mlp,
          "units start different", "init-symmetric", "init", "Dense_0/kernel", "Dense_1/kernel"),
    plant("tabular_imbalanced/flat-hidden", flat_hidden, tabular_imbalanced,
          "units start different", "init-symmetric", "init", "hidden/w"),
    plant("digits_mlp/unit-normal", unit_normal, digits_mlp,
          SCALE, "init-scale", "init", "Dense_1/kernel"),
    plant("char_lm/loud-head", loud_head, char_lm,
          SCALE, "init-scale", "init head", "head/kernel"),
    plant("digits_mlp/tiny-weights", tiny_weights, digits_mlp,
          SCALE, "init-scale", "init", "Dense_0/kernel", "Dense_1/kernel"),
    plant("regression/saturated", saturated, tanh_regression,
          SCALE, "init-scale dead-units", "init", "first/kernel"),
    plant("digits_mlp/born-dead", born_dead, digits_mlp,
          "units can be switched on", "dead-units", "init model", "Dense_0"),
    plant("digits_mlp/absurd-bias", absurd_bias, digits_mlp,
          "untrained outputs say what is known before any input",
          "init-scale head-bias-ignores-prior", "init head", "Dense_2/bias"),
    plant("tabular_imbalanced/bias-without-prior", bias_without_prior, tabular_imbalanced,
          "untrained outputs say what is known before any input",
          "head-bias-ignores-prior", "head init", "head/b"),
    plant("regression/bias-without-mean", bias_without_mean, biased_well,
          "untrained outputs say what is known before any input",
          "head-bias-ignores-prior", "head init labels", "head/bias"),
    plant("finetune/not-loaded", not_loaded, finetune,
          "frozen weights are given ones", "pretrained-not-loaded", "init",
          "trunk/Dense_1/kernel", "trunk/Dense_0/kernel"),
    plant("finetune/other-unit", loaded_and_scaled, finetune,
          SCALE, "init-scale data-on-wrong-scale", "init", "trunk/", "head/kernel"),
)  # fmt: skip
