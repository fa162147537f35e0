"""Faults planted in networks."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import jrecipe as jr
from gallery.bases_digits import CNN, MLP, digits, digits_cnn, digits_mlp
from gallery.bases_pictures import Segmenter, segmentation
from gallery.bases_sequences import LanguageModel, Tagger, causal, char_lm, tagger
from gallery.bases_tables import (
    logit,
    rare,
    regression,
    regressor,
    table_model,
    tabular_imbalanced,
)
from gallery.planting import Split, pick, planter
from gallery.program import Fault, Strength

plant = planter("model")


def part(x: Any, count: int, change: Any) -> Any:
    """Returns `x` with its first `count` features (last axis) changed."""
    return jnp.concatenate([change(x[..., :count]), x[..., count:]], axis=-1)


# --- examples and times that mix ---------------------------------------------------------------


def softmax_over_batch(seed: int, strength: Strength) -> jr.Task:
    """Outputs pass a softmax over the examples / the first hidden layer is gated by one."""
    over_batch = lambda x: jax.nn.log_softmax(x, axis=0)  # noqa: E731
    if strength == "strong":
        return digits_mlp(seed, model=MLP(last=over_batch))
    gate = lambda x: nn.relu(x) * (1 + jax.nn.softmax(x, axis=0))  # noqa: E731
    return digits_mlp(seed, model=MLP(activations=(gate, nn.relu)))


def attention_over_batch(seed: int, strength: Strength) -> jr.Task:
    """Attention weights sum to one over the examples: in both heads / in the second."""

    def weigh(scores: Any) -> Any:
        wrong = jnp.where(scores < -1e8, 0.0, jax.nn.softmax(scores, axis=0))
        right = jax.nn.softmax(scores, axis=-1)
        return wrong if strength == "strong" else jnp.concatenate([right[:, :1], wrong[:, 1:]], 1)

    return char_lm(seed, model=LanguageModel(weigh=weigh))


def reshape_for_transpose(seed: int, strength: Strength) -> jr.Task:
    """[b, h, w, c] becomes [b, c * h * w] by way of a reshape that mixes rows: all / 2 channels."""

    def flatten(x: Any) -> Any:
        b, h, w, c = x.shape
        count = pick(strength, c, 2)
        mixed = x[..., :count].reshape(count * h * w, b).T  # meant: transpose, then reshape
        return jnp.concatenate([mixed, x[..., count:].reshape(b, -1)], axis=1)

    return digits_cnn(seed, model=CNN(flatten=flatten))


def divides_by_batch(seed: int, strength: Strength) -> jr.Task:
    """Outputs are divided by the number of examples / are a little warmer in small batches."""

    def last(x: Any) -> Any:
        b = x.shape[0]
        return x * pick(strength, 32.0 / b, 1.0 + 2.0 / b)

    return digits_mlp(seed, model=MLP(last=last))


def batch_mean_taken_off(seed: int, strength: Strength) -> jr.Task:
    """The mean of the batch is taken off the pictures / off the outputs of one layer, a tenth."""
    if strength == "strong":
        return regression(seed, model=regressor(prepare=lambda x: x - x.mean(0, keepdims=True)))
    own = lambda x: jax.nn.relu(x - 0.1 * x.mean(0, keepdims=True))  # noqa: E731
    return regression(seed, model=regressor(activations=(own, jax.nn.relu)))


def causal_mask(seed: int, strength: Strength) -> jr.Task:
    """No causal mask / one that lets the next position through."""
    if strength == "strong":
        return char_lm(seed, model=LanguageModel(mask=None))
    return char_lm(seed, model=LanguageModel(mask=lambda ids: causal(1)))


def mean_over_time(seed: int, strength: Strength) -> jr.Task:
    """The block adds the mean over all times / is normalised by the spread over all times."""
    mean = lambda x: x + x.mean(axis=1, keepdims=True)  # noqa: E731
    norm = lambda x: x / (0.5 + x.std(axis=1, keepdims=True))  # noqa: E731
    return char_lm(seed, model=LanguageModel(mix=pick(strength, mean, norm)))


def rolled_in_time(seed: int, strength: Strength) -> jr.Task:
    """All features / 2 of 16 features are those of the next character."""

    def mix(x: Any) -> Any:
        shift = lambda z: jnp.concatenate([z[:, 1:], z[:, -1:]], axis=1)  # noqa: E731
        return x + shift(x) if strength == "strong" else part(x, 2, shift)

    return char_lm(seed, model=LanguageModel(mix=mix))


def padding_read(seed: int, strength: Strength) -> jr.Task:
    """Padding has an embedding that convolution and mean read / that the mean alone reads."""
    if strength == "strong":
        return tagger(seed, model=Tagger(blank=False, masked_mean=False))
    return tagger(seed, model=MeanOfPadding())


class MeanOfPadding(nn.Module):
    """A tagger whose mean of the sentence runs over padding too, and only that."""

    @nn.compact
    def __call__(self, inputs: Any) -> Any:
        """Returns logits [b, t, 4]."""
        padding = 1.0 - inputs["mask"][..., None]
        read = (nn.Embed(12, 16, name="pads")(inputs["ids"]) * padding).mean(axis=1)
        outputs = Tagger(name="tagger")(inputs)
        return outputs + nn.Dense(4, name="from_pads")(read)[:, None, :]


# --- outputs -----------------------------------------------------------------------------------


def three_questions(seed: int) -> tuple[Split, Split]:
    """Returns digits with three labels: odd, above 4, and below 4."""
    (x, y), (vx, vy) = digits(seed)
    ask = lambda y: np.stack([y % 2, y > 4, y < 4], axis=1).astype(np.float32)  # noqa: E731
    return (x, ask(y)), (vx, ask(vy))


def questions(seed: int, last: Any = lambda x: x) -> jr.Task:
    """Three labels for each digit."""
    loss = jr.losses.multilabel_cross_entropy()
    return digits_mlp(seed, data=three_questions(seed), loss=loss, model=MLP(outputs=3, last=last))


def softmax_on_one_unit(seed: int, strength: Strength) -> jr.Task:
    """Each of three units / the last one passes a softmax over itself alone, and is 1."""
    alone = lambda x: jax.nn.softmax(x[..., None], axis=-1)[..., 0]  # noqa: E731
    first = lambda x: jnp.concatenate([x[:, :2], alone(x[:, 2:])], axis=1)  # noqa: E731
    return questions(seed, pick(strength, alone, first))


def softmax_of_binary(seed: int, strength: Strength) -> jr.Task:
    """One unit with a softmax, for two classes / a sigmoid before a loss that has its own."""
    bias = logit(rare(seed)[0][1])
    alone = lambda x: jax.nn.softmax(x, axis=1)[:, 0]  # noqa: E731
    squashed = lambda x: jax.nn.sigmoid(x[:, 0])  # noqa: E731
    return tabular_imbalanced(seed, model=table_model(bias, last=pick(strength, alone, squashed)))


def double_softmax(seed: int, strength: Strength) -> jr.Task:
    """A softmax / a sigmoid of every unit comes before a loss that has a softmax of its own."""
    return digits_mlp(seed, model=MLP(last=pick(strength, nn.softmax, nn.sigmoid)))


def double_softmax_of_tags(seed: int, strength: Strength) -> jr.Task:
    """The same for tags: a softmax / three times a softmax."""
    return tagger(seed, model=Tagger(last=lambda x: pick(strength, 1.0, 3.0) * nn.softmax(x)))


def probability_maps(seed: int, strength: Strength) -> jr.Task:
    """The loss takes logits and gets probabilities / gets logits that are never below 0."""
    last = pick(strength, nn.sigmoid, nn.relu)
    return segmentation(seed, model=Segmenter(last=lambda x: last(x[..., 0])))


def range_of_outputs(seed: int, strength: Strength) -> jr.Task:
    """A sigmoid / a tanh at the end, for numbers from -3 to 3."""
    return regression(seed, model=regressor(last=pick(strength, jax.nn.sigmoid, jnp.tanh)))


def rectified_answer(seed: int, strength: Strength) -> jr.Task:
    """A ReLU at the end for numbers of which half are negative / that stops at -0.7."""
    low = pick(strength, 0.0, -0.7)
    return regression(seed, model=regressor(last=lambda x: jnp.maximum(x, low)))


# --- paths that lead nowhere -------------------------------------------------------------------


def linear_layers(seed: int, strength: Strength) -> jr.Task:
    """No activation in the network / none between its first two layers."""
    none = lambda x: x  # noqa: E731
    return digits_mlp(seed, model=MLP(activations=(none, pick(strength, none, nn.relu))))


def linear_regressor(seed: int, strength: Strength) -> jr.Task:
    """No activation in the network / none before the head."""
    none = lambda x: x  # noqa: E731
    activations = (pick(strength, none, jax.nn.relu), none)
    return regression(seed, model=regressor(activations=activations))


class Branched(nn.Module):
    """An MLP with a side branch that is forgotten: whole, or its scale only."""

    whole: bool = False
    scale: bool = False

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        side = nn.relu(nn.Dense(32, name="side")(x))
        scale = self.param("scale", nn.initializers.ones_init(), (32,))
        side = side if self.scale else side * scale[None]
        main = nn.relu(nn.Dense(32, name="main")(x))
        both = main if self.whole else main + side
        return nn.Dense(10, name="head")(both)


def branched(seed: int) -> jr.Task:
    """Two branches that are added."""
    return digits_mlp(seed, model=Branched())


def branch_unused(seed: int, strength: Strength) -> jr.Task:
    """The side branch is computed and not added / its learned scale is not applied."""
    return digits_mlp(seed, model=Branched(whole=strength == "strong", scale=strength == "weak"))


def gradient_cut(seed: int, strength: Strength) -> jr.Task:
    """No gradient passes the second layer / the first."""
    cut = lambda x: jax.lax.stop_gradient(nn.relu(x))  # noqa: E731
    return digits_mlp(seed, model=MLP(activations=pick(strength, (nn.relu, cut), (cut, nn.relu))))


def rounded(seed: int, strength: Strength) -> jr.Task:
    """Hidden units are rounded / the hidden bias is detached, so that no gradient comes back."""
    bias = logit(rare(seed)[0][1])
    if strength == "strong":
        between = lambda x: jnp.round(4 * jax.nn.relu(x)) / 4  # noqa: E731
        return tabular_imbalanced(seed, model=table_model(bias, between=between))
    inner = lambda layer: {**layer, "b": jax.lax.stop_gradient(layer["b"])}  # noqa: E731
    return tabular_imbalanced(seed, model=table_model(bias, inner=inner))


def dead_layer(seed: int, strength: Strength) -> jr.Task:
    """A ReLU of what is never positive: all units of the second layer / 40 of 64 of the first."""
    dead = lambda x: nn.relu(-nn.relu(x))  # noqa: E731
    if strength == "strong":
        return digits_mlp(seed, model=MLP(activations=(nn.relu, dead)))
    half = lambda x: jnp.concatenate([dead(x[:, :40]), nn.relu(x[:, 40:])], axis=1)  # noqa: E731
    return digits_mlp(seed, model=MLP(activations=(half, nn.relu)))


def inputs_lost(seed: int, strength: Strength) -> jr.Task:
    """Inputs times 0 / rounded down to one of two values far from all data."""
    lose = pick(strength, lambda x: x * 0.0, lambda x: jnp.where(x > 50.0, 1.0, 0.0))
    return regression(seed, model=regressor(prepare=lose))


def keep_as_drop(seed: int, strength: Strength) -> jr.Task:
    """The share to keep was given as the share to drop: 0.99 / 0.95."""
    return digits_cnn(seed, model=CNN(dropout=pick(strength, 0.99, 0.95)))


ISOLATED = "an output depends on its own example only"
CAUSAL = "an output depends on earlier inputs only"
RANGE = "outputs can be what the loss asks for"
FLOW = "every parameter is used and gets a gradient"
FAULTS: tuple[Fault, ...] = (
    plant("digits_mlp/softmax-over-batch", softmax_over_batch, digits_mlp,
          ISOLATED, "batch-mixing", "model head", "axis 0"),
    plant("char_lm/attention-over-batch", attention_over_batch, char_lm,
          ISOLATED, "batch-mixing", "model", "axis 0"),
    plant("digits_cnn/reshape-for-transpose", reshape_for_transpose, digits_cnn,
          ISOLATED, "batch-mixing", "model", "axis 0"),
    plant("digits_mlp/divides-by-batch", divides_by_batch, digits_mlp,
          ISOLATED, "eval-depends-on-batch batch-mixing vectorisation", "model eval head"),
    plant("regression/batch-mean-taken-off", batch_mean_taken_off, regression,
          ISOLATED, "batch-mixing", "model", "axis 0"),
    plant("char_lm/causal-mask", causal_mask, char_lm,
          CAUSAL, "causal-leak", "model", "axis 1"),
    plant("char_lm/mean-over-time", mean_over_time, char_lm,
          CAUSAL, "causal-leak", "model", "axis 1"),
    plant("char_lm/rolled-in-time", rolled_in_time, char_lm,
          CAUSAL, "causal-leak", "model", "axis 1"),
    plant("tagger/padding-read", padding_read, tagger,
          "padding changes no output", "padding-read", "model", "axis 1", "mask"),
    plant("questions/softmax-on-one-unit", softmax_on_one_unit, questions,
          RANGE, "inputs-ignored gradient-cut parameters-unused outputs-cannot-reach-targets",
          "model head"),
    plant("tabular_imbalanced/squashed-unit", softmax_of_binary, tabular_imbalanced,
          RANGE, "double-softmax outputs-cannot-reach-targets inputs-ignored", "model head"),
    plant("digits_mlp/double-softmax", double_softmax, digits_mlp,
          RANGE, "double-softmax outputs-cannot-reach-targets", "head model loss"),
    plant("tagger/double-softmax", double_softmax_of_tags, tagger,
          RANGE, "double-softmax outputs-cannot-reach-targets", "head model loss"),
    plant("segmentation/squashed-maps", probability_maps, segmentation,
          RANGE, "double-softmax outputs-cannot-reach-targets", "head model loss"),
    plant("regression/range-of-outputs", range_of_outputs, regression,
          RANGE, "outputs-cannot-reach-targets", "head model"),
    plant("regression/rectified-answer", rectified_answer, regression,
          RANGE, "outputs-cannot-reach-targets", "head model"),
    plant("digits_mlp/linear-layers", linear_layers, digits_mlp,
          "layers have a non-linearity between them", "missing-nonlinearity", "model",
          "Dense_0/kernel", "Dense_1/kernel"),
    plant("regression/linear-layers", linear_regressor, regression,
          "layers have a non-linearity between them", "missing-nonlinearity", "model",
          "second/kernel", "head/kernel"),
    plant("branched/branch-unused", branch_unused, branched,
          FLOW, "parameters-unused", "model", "side/kernel", "side/bias", "scale"),
    plant("digits_mlp/gradient-cut", gradient_cut, digits_mlp,
          FLOW, "gradient-cut", "model", "Dense_0/kernel", "Dense_0/bias", "Dense_1/kernel"),
    plant("tabular_imbalanced/gradient-cut", rounded, tabular_imbalanced,
          FLOW, "gradient-cut", "model", "hidden/w", "hidden/b"),
    plant("digits_mlp/dead-layer", dead_layer, digits_mlp,
          FLOW, "dead-units gradient-cut parameters-unused", "model init",
          "Dense_0", "Dense_1"),
    plant("regression/inputs-lost", inputs_lost, regression,
          "outputs depend on the inputs", "inputs-ignored parameters-unused constant-input",
          "model data"),
    plant("digits_cnn/keep-as-drop", keep_as_drop, digits_cnn,
          "training sees what evaluation sees", "train-eval-differ inputs-ignored no-learning",
          "model"),
)  # fmt: skip
