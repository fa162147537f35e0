"""Faults planted in how a network is evaluated, normalised, repeated and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import jrecipe as jr
from gallery.bases_digits import CNN, digits, digits_cnn, digits_mlp
from gallery.bases_loops import (
    NumpyLoop,
    cnn_loop,
    digits_loop,
    regression_loop,
    tagger_loop,
)
from gallery.bases_sequences import char_lm, characters
from gallery.planting import pick, planter
from gallery.program import Fault, Strength

plant = planter("procedure")


def dropout_in_evaluation(seed: int, strength: Strength) -> jr.Task:
    """Dropout stays on in evaluation: half / a twentieth of the units."""
    model = CNN(dropout=pick(strength, 0.5, 0.05), drop_in_evaluation=True)
    return digits_cnn(seed, model=model)


class Jitter(nn.Module):
    """Adds noise to the pictures, in training and, by mistake, in evaluation."""

    size: float

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10]."""
        del train
        noise = jax.random.normal(self.make_rng("dropout"), x.shape)
        return CNN()(x + self.size * noise)


def augmentation_in_evaluation(seed: int, strength: Strength) -> jr.Task:
    """Validation pictures get noise of size 1 / 0.05 whenever they are evaluated."""
    return digits_cnn(seed, model=Jitter(pick(strength, 1.0, 0.05)))


def statistics_stand_still(seed: int, strength: Strength) -> jr.Task:
    """A momentum of 1 keeps the first statistics: in both BatchNorms / in the second."""
    return digits_cnn(seed, model=CNN(momenta=pick(strength, (1.0, 1.0), (0.9, 1.0))))


def statistics_too_slow(seed: int, strength: Strength) -> jr.Task:
    """The statistics move by 1e-6 of the way with each batch / by 1e-4 in the second BatchNorm."""
    momenta = pick(strength, (1 - 1e-6, 1 - 1e-6), (0.9, 1 - 1e-4))
    return digits_cnn(seed, model=CNN(momenta=momenta))


def by_batch(x: Any) -> Any:
    """A normalisation of one's own, by the batch at hand, in evaluation too."""
    mean, spread = x.mean((0, 1, 2), keepdims=True), x.std((0, 1, 2), keepdims=True)
    return (x - mean) / (spread + 1e-3)


def batch_statistics_in_evaluation(seed: int, strength: Strength) -> jr.Task:
    """Evaluation normalises by its own batch: in both layers / in the second."""
    own = pick(strength, (by_batch, by_batch), (None, by_batch))
    return digits_cnn(seed, model=CNN(normalise=own))


class TwoWays(nn.Module):
    """Scales pictures in training only, or drops inputs without scaling what is left."""

    factor: float = 1.0
    drop: float = 0.0

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10]."""
        if train:
            x = x * self.factor
            if self.drop:
                x = x * jax.random.bernoulli(self.make_rng("dropout"), 1 - self.drop, x.shape)
        x = nn.relu(nn.Dense(64)(x))
        x = nn.Dropout(0.1, deterministic=not train)(nn.relu(nn.Dense(32)(x)))
        return nn.Dense(10)(x)


def two_ways(seed: int) -> jr.Task:
    """The same in training and evaluation, dropout aside."""
    return digits_mlp(seed, model=TwoWays())


def scaled_in_training(seed: int, strength: Strength) -> jr.Task:
    """Training halves the pictures five times / takes 60 % of them; evaluation does not."""
    return digits_mlp(seed, model=TwoWays(factor=pick(strength, 1 / 32, 0.6)))


def drop_without_scaling(seed: int, strength: Strength) -> jr.Task:
    """Dropout of 80 % / 40 % of the inputs that does not make up for what is missing."""
    return digits_mlp(seed, model=TwoWays(drop=pick(strength, 0.8, 0.4)))


def val_is_train(seed: int, strength: Strength) -> jr.Task:
    """Validation is the training set / for a half."""
    (x, y), (vx, vy) = digits(seed)
    count = pick(strength, len(vy), len(vy) // 2)
    vx[:count], vy[:count] = x[:count], y[:count]
    return digits_mlp(seed, data=((x, y), (vx, vy)))


def test_in_train(seed: int, strength: Strength) -> jr.Task:
    """All / a third of the test texts are training texts."""
    (x, y), (vx, vy) = characters(seed)
    half = len(vy) // 2
    rows = pick(strength, half, half // 3)
    test = tuple(np.concatenate([a[:rows], b[half + rows :]]) for a, b in ((x, vx), (y, vy)))
    return char_lm(seed, data=((x, y), (vx[:half], vy[:half])), test=test)


def tested_lm(seed: int) -> jr.Task:
    """The language model with a test split of its own."""
    train, (vx, vy) = characters(seed)
    half = len(vy) // 2
    return char_lm(seed, data=(train, (vx[:half], vy[:half])), test=(vx[half:], vy[half:]))


# --- loops of the user's own -------------------------------------------------------------------


def with_predict(task: jr.Task, change: Callable[..., Any]) -> jr.Task:
    """Returns the task with `predict` replaced by `change(predict, state, inputs)`."""
    trainer = task.trainer
    assert trainer is not None
    predict = lambda state, inputs: change(trainer.predict, state, inputs)  # noqa: E731
    return task.replace(trainer=dataclasses.replace(trainer, predict=predict))


def ragged_batch(seed: int, strength: Strength) -> jr.Task:
    """`predict` works in chunks of 50 and forgets / repeats a row into the last, ragged one."""

    def chunks(predict: Any, state: Any, inputs: Any) -> Any:
        outputs = np.array(predict(state, inputs))
        ragged = len(outputs) % 50
        if ragged and strength == "strong":
            outputs[-ragged:] = 0.0
        elif ragged:
            outputs[-1] = outputs[0]
        return outputs

    return with_predict(digits_loop(seed), chunks)


def normalised_by_batch(seed: int, strength: Strength) -> jr.Task:
    """`predict` standardises its inputs by themselves / halfway so."""
    share = pick(strength, 1.0, 0.2)

    def own(predict: Any, state: Any, inputs: Any) -> Any:
        x = np.asarray(inputs)
        standard = (x - x.mean(0, keepdims=True)) / (x.std(0, keepdims=True) + 1e-3)
        return predict(state, ((1 - share) * x + share * standard).astype(np.float32))

    return with_predict(regression_loop(seed), own)


def noise_in_predict(seed: int, strength: Strength) -> jr.Task:
    """`predict` adds noise of size 0.5 / 0.01 to its inputs, as in training."""
    size = pick(strength, 0.5, 0.01)

    def jitter(predict: Any, state: Any, inputs: Any) -> Any:
        noise = np.random.default_rng().normal(size=inputs.shape) * size
        return predict(state, (np.asarray(inputs) + noise).astype(np.float32))

    return with_predict(cnn_loop(seed), jitter)


def first_weights_kept(seed: int, strength: Strength) -> jr.Task:
    """`predict` uses the weights from before training: all / those of the first layer."""

    def remember(params: Any) -> Any:
        return params

    task = digits_loop(seed, remember=remember)

    def old(predict: Any, state: Any, inputs: Any) -> Any:
        first = state.memory
        if strength == "weak":
            first = {**state.params, "Dense_0": first["Dense_0"]}
        return predict(state._replace(params=first), inputs)

    return with_predict(task, old)


class Careless(NumpyLoop):
    """Starts from weights that no seed decides."""

    size = 1.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        rng = np.random.default_rng()
        noise = lambda p: (p + self.size * 0.1 * rng.normal(size=p.shape)).astype(p.dtype)  # noqa: E731
        self.params = jax.tree.map(noise, self.params)


class SlightlyCareless(Careless):
    """The same, by very little."""

    size = 1e-3


def hidden_start(seed: int, strength: Strength) -> jr.Task:
    """Initial weights come with noise of a clock's seed: of 0.1 / of 1e-4."""
    return regression_loop(seed, loop=pick(strength, Careless, SlightlyCareless))


def hidden_dropout(seed: int, strength: Strength) -> jr.Task:
    """The step draws its own key from the operating system: for inputs dropped by half / by 2 %."""
    task = tagger_loop(seed)
    share = pick(strength, 0.5, 0.02)
    inner = task.trainer
    assert inner is not None

    def step(state: Any, batch: Any, key: Any) -> Any:
        words = np.asarray(batch.inputs["ids"])
        gone = np.random.default_rng().random(words.shape) < share
        inputs = {**batch.inputs, "ids": jnp.asarray(np.where(gone & (words > 0), 1, words))}
        return inner.step(state, batch._replace(inputs=inputs), key)

    return task.replace(trainer=dataclasses.replace(inner, step=step))


REPEATS = "evaluation is a function of weights and example"
ALIKE = "training and evaluation see the same network"
FAULTS: tuple[Fault, ...] = (
    plant("digits_cnn/dropout-in-evaluation", dropout_in_evaluation, digits_cnn,
          REPEATS, "eval-not-deterministic", "eval model"),
    plant("digits_cnn/augmentation-in-evaluation", augmentation_in_evaluation, digits_cnn,
          REPEATS, "eval-not-deterministic", "eval model augmentation"),
    plant("digits_cnn/statistics-stand-still", statistics_stand_still, digits_cnn,
          ALIKE, "statistics-never-updated train-eval-differ", "model step eval", "BatchNorm_1"),
    plant("digits_cnn/statistics-too-slow", statistics_too_slow, digits_cnn,
          ALIKE, "train-eval-differ statistics-never-updated", "model step eval", "BatchNorm_1"),
    plant("digits_cnn/batch-statistics-in-evaluation", batch_statistics_in_evaluation, digits_cnn,
          REPEATS, "eval-depends-on-batch batch-mixing", "model eval", "axis 0"),
    plant("two_ways/scaled-in-training", scaled_in_training, two_ways,
          ALIKE, "train-eval-differ", "model eval"),
    plant("two_ways/drop-without-scaling", drop_without_scaling, two_ways,
          ALIKE, "train-eval-differ", "model eval"),
    plant("digits_mlp/val-is-train", val_is_train, digits_mlp,
          "splits have no example in common", "split-leakage", "split data", "val"),
    plant("char_lm/test-in-train", test_in_train, tested_lm,
          "splits have no example in common", "split-leakage", "split data", "test"),
    plant("digits_loop/ragged-batch", ragged_batch, digits_loop,
          REPEATS, "eval-depends-on-batch batch-mixing vectorisation", "eval step model"),
    plant("regression_loop/normalised-by-batch", normalised_by_batch, regression_loop,
          REPEATS, "eval-depends-on-batch batch-mixing", "eval step model", "axis 0"),
    plant("cnn_loop/noise-in-predict", noise_in_predict, cnn_loop,
          REPEATS, "eval-not-deterministic hidden-randomness", "eval step"),
    plant("digits_loop/first-weights-kept", first_weights_kept, digits_loop,
          "what is evaluated is what was trained",
          "stale-parameters checkpoint-differs parameters-unused", "eval step"),
    plant("regression_loop/hidden-start", hidden_start, regression_loop,
          "equal seeds give equal runs", "hidden-randomness", "step init"),
    plant("tagger_loop/hidden-dropout", hidden_dropout, tagger_loop,
          "equal seeds give equal runs", "hidden-randomness", "step"),
)  # fmt: skip
