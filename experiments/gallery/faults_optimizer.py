"""Faults planted in optimisers and schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jrecipe as jr
from gallery.bases_digits import digits_cnn, digits_mlp
from gallery.bases_pictures import segmentation
from gallery.bases_sequences import char_lm, tagger
from gallery.bases_tables import regression, tabular_imbalanced
from gallery.planting import pick, planter
from gallery.program import Fault, Strength

plant = planter("optimizer")
RATE = 2e-3


def by_path(
    chosen: Callable[[str], bool], there: optax.GradientTransformation, elsewhere: Any
) -> optax.GradientTransformation:
    """Returns an optimiser for the leaves whose path is chosen, and one for all others."""

    def label(path: Any, _: Any) -> str:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return "there" if chosen(name) else "elsewhere"

    return optax.partition(
        {"there": there, "elsewhere": elsewhere},
        lambda params: jax.tree_util.tree_map_with_path(label, params),
    )


# --- rates -------------------------------------------------------------------------------------


def rate_too_high(seed: int, strength: Strength) -> jr.Task:
    """Adam with 3 / 0.3."""
    return digits_mlp(seed, optimizer=optax.adam(pick(strength, 3.0, 0.3)))


def rate_diverges(seed: int, strength: Strength) -> jr.Task:
    """Gradient descent with 20 / 2."""
    return regression(seed, optimizer=optax.sgd(pick(strength, 20.0, 2.0)))


def sgd_regression(seed: int) -> jr.Task:
    """Gradient descent with 0.05."""
    return regression(seed, optimizer=optax.sgd(0.05))


def rate_too_low(seed: int, strength: Strength) -> jr.Task:
    """Adam with 1e-8 / 1e-6."""
    return char_lm(seed, optimizer=optax.adam(pick(strength, 1e-8, 1e-6)))


def large_epsilon(seed: int, strength: Strength) -> jr.Task:
    """Adam's epsilon is 1e3 / 10, so that its steps are that much smaller."""
    return tabular_imbalanced(seed, optimizer=optax.adam(3e-3, eps=pick(strength, 1e3, 10.0)))


def epochs_for_steps(seed: int, strength: Strength) -> jr.Task:
    """A cosine over 10 steps instead of 10 epochs / a rate times .9 per step, not per epoch."""
    cosine = optax.cosine_decay_schedule(3e-3, 10)
    falling = optax.exponential_decay(3e-3, 1, 0.9)
    return tabular_imbalanced(seed, optimizer=optax.adam(pick(strength, cosine, falling)))


def falling_tabular(seed: int) -> jr.Task:
    """A cosine over 30 epochs of 17 steps."""
    return tabular_imbalanced(seed, optimizer=optax.adam(optax.cosine_decay_schedule(4e-3, 510)))


def milestones(seed: int, strength: Strength) -> jr.Task:
    """Drops by 1000 at steps 3 and 6 / by 10 at 5, 10, 15 and 20, meant as epochs of 15 steps."""
    steps = pick(strength, {3: 1e-3, 6: 1e-3}, {5: 0.1, 10: 0.1, 15: 0.1, 20: 0.1})
    schedule = optax.piecewise_constant_schedule(RATE, steps)
    return digits_cnn(seed, optimizer=optax.adam(schedule))


def dropping_cnn(seed: int) -> jr.Task:
    """Drops by 10 after 20 and 30 epochs."""
    schedule = optax.piecewise_constant_schedule(RATE, {300: 0.1, 450: 0.1})
    return digits_cnn(seed, optimizer=optax.adam(schedule))


def endless_warm_up(seed: int, strength: Strength) -> jr.Task:
    """The rate rises over ten million / a million steps."""
    steps = pick(strength, 10_000_000, 1_000_000)
    return tagger(seed, optimizer=optax.adam(optax.linear_schedule(0.0, 3e-3, steps)))


def warm_tagger(seed: int) -> jr.Task:
    """The rate rises over 30 steps."""
    return tagger(seed, optimizer=optax.adam(optax.linear_schedule(0.0, 3e-3, 30)))


# --- which leaves ------------------------------------------------------------------------------


def attention_left_out(seed: int, strength: Strength) -> jr.Task:
    """The optimiser does not know query, key, value and out / the kernel of the query."""
    names = ("query/", "key/", "value/", "out/")
    missing = lambda name: name.startswith(names)  # noqa: E731
    one = lambda name: name == "query/kernel"  # noqa: E731
    chosen = pick(strength, missing, one)
    return char_lm(seed, optimizer=by_path(chosen, optax.set_to_zero(), optax.adam(5e-3)))


def convolutions_left_out(seed: int, strength: Strength) -> jr.Task:
    """Both convolutions / the scale of the second BatchNorm is frozen by accident."""
    convolutions = lambda name: name.startswith("Conv_")  # noqa: E731
    one = lambda name: name == "BatchNorm_1/scale"  # noqa: E731
    chosen = pick(strength, convolutions, one)
    return digits_cnn(seed, optimizer=by_path(chosen, optax.set_to_zero(), optax.adam(RATE)))


def mask_inverted(seed: int, strength: Strength) -> jr.Task:
    """The head alone was to be left out, and it alone is trained / the first bias is left out."""
    head = lambda name: not name.startswith("head")  # noqa: E731
    one = lambda name: name == "first/bias"  # noqa: E731
    chosen = pick(strength, head, one)
    return regression(seed, optimizer=by_path(chosen, optax.set_to_zero(), optax.adam(RATE)))


def masked_passes_gradients(seed: int, strength: Strength) -> jr.Task:
    """`optax.masked` hands on what it leaves out: biases / one bias goes up its gradient."""

    def mask(params: Any) -> Any:
        biases = pick(strength, ("bias",), ("Dense_1/bias",))
        name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")  # noqa: E731
        return jax.tree_util.tree_map_with_path(lambda p, _: not name(p).endswith(biases), params)

    return digits_mlp(seed, optimizer=optax.masked(optax.adam(RATE), mask))


def never_applied(seed: int, strength: Strength) -> jr.Task:
    """All updates are zero / gradients of a million batches are collected for one update."""
    collecting = optax.MultiSteps(optax.adam(RATE), 1_000_000)
    return regression(seed, optimizer=pick(strength, optax.set_to_zero(), collecting))


# --- what is done to the gradient --------------------------------------------------------------


def uphill(seed: int, strength: Strength) -> jr.Task:
    """Updates have the sign of the gradient: all / those of the head."""
    up = optax.chain(optax.scale_by_adam(), optax.scale(5e-3))
    chosen = pick(strength, lambda name: True, lambda name: name.startswith("head"))
    return segmentation(seed, optimizer=by_path(chosen, up, optax.adam(5e-3)))


def summing(every: int) -> optax.GradientTransformation:
    """Returns a transformation that adds each gradient to those before, and forgets `every`."""

    def init(params: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32)

    def update(grads: Any, state: Any, params: Any = None) -> Any:
        del params
        total, count = state
        fresh = (count % every == 0) if every else (count < 0)
        total = jax.tree.map(lambda t, g: jnp.where(fresh, g, t + g), total, grads)
        return total, (total, count + 1)

    return optax.GradientTransformation(init, update)


def never_reset(seed: int, strength: Strength) -> jr.Task:
    """Gradients are never zeroed / are zeroed once in ten batches, and used after each."""
    tx = optax.chain(summing(pick(strength, 0, 10)), optax.sgd(0.01))
    return regression(seed, optimizer=tx)


def micro_batches_summed(seed: int, strength: Strength) -> jr.Task:
    """The gradients of 16 / 3 micro-batches are summed, with a rate meant for their mean."""
    k = pick(strength, 16, 3)
    return digits_mlp(seed, optimizer=optax.MultiSteps(optax.sgd(0.1), k, use_grad_mean=False))


def micro_batches_averaged(seed: int) -> jr.Task:
    """The gradients of 4 micro-batches are averaged."""
    return digits_mlp(seed, optimizer=optax.MultiSteps(optax.sgd(0.1), 4))


def clip_threshold(seed: int, strength: Strength) -> jr.Task:
    """Gradients are clipped to a norm of 1e-5 / 1e-3 before momentum."""
    clip = optax.clip_by_global_norm(pick(strength, 1e-5, 1e-3))
    return digits_mlp(seed, optimizer=optax.chain(clip, optax.sgd(0.05, momentum=0.9)))


def clipped_well(seed: int) -> jr.Task:
    """Gradients are clipped to a norm of 5."""
    clip = optax.clip_by_global_norm(5.0)
    return digits_mlp(seed, optimizer=optax.chain(clip, optax.sgd(0.05, momentum=0.9)))


def clip_elementwise(seed: int, strength: Strength) -> jr.Task:
    """Every element of a gradient is clipped to 1e-7 / 1e-5."""
    clip = optax.clip(pick(strength, 1e-7, 1e-5))
    return segmentation(seed, optimizer=optax.chain(clip, optax.sgd(0.5, momentum=0.9)))


def sgd_segmentation(seed: int) -> jr.Task:
    """Momentum without clipping."""
    return segmentation(seed, optimizer=optax.sgd(0.5, momentum=0.9))


def own_normaliser(whole: bool) -> optax.GradientTransformation:
    """Returns a transformation that divides a gradient by its size, elementwise or leaf by leaf."""

    def divide(g: Any) -> Any:
        return g / (jnp.sqrt((g * g).sum()) if whole else jnp.abs(g))

    return optax.stateless(lambda grads, params: jax.tree.map(divide, grads))


def zero_by_zero(seed: int, strength: Strength) -> jr.Task:
    """A normaliser of one's own divides a zero by zero: element by element / leaf by leaf."""
    tx = optax.chain(own_normaliser(strength == "weak"), optax.sgd(1e-3))
    return digits_mlp(seed, optimizer=tx)


# --- decay -------------------------------------------------------------------------------------


def decay_on_everything(seed: int, strength: Strength) -> jr.Task:
    """Decay of 5 / 0.5 shrinks biases and the scales of BatchNorm too."""
    return digits_cnn(seed, optimizer=optax.adamw(RATE, weight_decay=pick(strength, 5.0, 0.5)))


def decayed_kernels(seed: int) -> jr.Task:
    """A decay of 0.1, on kernels."""
    kernels = lambda params: jax.tree.map(lambda p: p.ndim > 1, params)  # noqa: E731
    return digits_cnn(seed, optimizer=optax.adamw(RATE, weight_decay=0.1, mask=kernels))


def decay_dominates(seed: int, strength: Strength) -> jr.Task:
    """An L2 penalty of 10 / 0.3 is added to the gradients before Adam."""
    penalty = optax.add_decayed_weights(pick(strength, 10.0, 0.3))
    return digits_mlp(seed, optimizer=optax.chain(penalty, optax.adam(RATE)))


def decoupled_dominates(seed: int, strength: Strength) -> jr.Task:
    """A decoupled decay of 100 / 20 takes 30 % / 6 % of the weights with each update."""
    tx = optax.adamw(3e-3, weight_decay=pick(strength, 100.0, 20.0))
    return tabular_imbalanced(seed, optimizer=tx)


def negative_decay(seed: int, strength: Strength) -> jr.Task:
    """The sign of the decay is wrong, so that weights grow: by 2 % / 0.2 % with each update."""
    tx = optax.adamw(5e-3, weight_decay=-pick(strength, 4.0, 0.4))
    return char_lm(seed, optimizer=tx)


RATES = "a tenth or ten times the rate is no better"
SCHEDULE = "the rate is there while there is something to learn"
LEAVES = "every leaf that is not declared frozen is trained"
DECAY = "regularisation is the smaller part of an update"
FAULTS: tuple[Fault, ...] = (
    plant("digits_mlp/rate-too-high", rate_too_high, digits_mlp,
          RATES, "learning-rate-too-high", "optimizer schedule"),
    plant("regression/rate-diverges", rate_diverges, sgd_regression,
          RATES, "learning-rate-too-high not-finite", "optimizer schedule"),
    plant("char_lm/rate-too-low", rate_too_low, char_lm,
          RATES, "learning-rate-too-low", "optimizer schedule"),
    plant("tabular_imbalanced/large-epsilon", large_epsilon, tabular_imbalanced,
          RATES, "learning-rate-too-low", "optimizer schedule"),
    plant("tabular_imbalanced/epochs-for-steps", epochs_for_steps, falling_tabular,
          SCHEDULE, "schedule-ends-early", "schedule optimizer"),
    plant("digits_cnn/milestones", milestones, dropping_cnn,
          SCHEDULE, "schedule-ends-early", "schedule optimizer"),
    plant("tagger/endless-warm-up", endless_warm_up, warm_tagger,
          SCHEDULE, "learning-rate-too-low schedule-ends-early", "schedule optimizer"),
    plant("char_lm/attention-left-out", attention_left_out, char_lm,
          LEAVES, "leaf-not-in-optimizer parameters-frozen", "optimizer", "query/kernel"),
    plant("digits_cnn/convolutions-left-out", convolutions_left_out, digits_cnn,
          LEAVES, "leaf-not-in-optimizer parameters-frozen", "optimizer",
          "Conv_0/kernel", "Conv_1/kernel", "BatchNorm_1/scale"),
    plant("regression/mask-inverted", mask_inverted, regression,
          LEAVES, "leaf-not-in-optimizer parameters-frozen", "optimizer",
          "first/kernel", "first/bias", "second/kernel"),
    plant("digits_mlp/masked-passes-gradients", masked_passes_gradients, digits_mlp,
          "updates go downhill", "wrong-sign update-differs", "optimizer", "/bias"),
    plant("regression/never-applied", never_applied, regression,
          LEAVES, "leaf-not-in-optimizer parameters-frozen no-learning", "optimizer"),
    plant("segmentation/uphill", uphill, segmentation,
          "updates go downhill", "wrong-sign", "optimizer"),
    plant("regression/never-reset", never_reset, sgd_regression,
          "an update is that of its own batch", "gradients-accumulate", "optimizer"),
    plant("digits_mlp/micro-batches-summed", micro_batches_summed, micro_batches_averaged,
          "micro-batches are averaged", "loss-scale update-differs", "optimizer"),
    plant("digits_mlp/clip-threshold", clip_threshold, clipped_well,
          "clipping is for outliers", "clip-always-active learning-rate-too-low", "optimizer"),
    plant("segmentation/clip-elementwise", clip_elementwise, sgd_segmentation,
          "clipping is for outliers", "clip-always-active learning-rate-too-low", "optimizer"),
    plant("digits_mlp/zero-by-zero", zero_by_zero, digits_mlp,
          "updates are finite", "not-finite", "optimizer"),
    plant("digits_cnn/decay-on-everything", decay_on_everything, decayed_kernels,
          "decay is for matrices", "decay-on-bias decay-dominates", "optimizer", "bias", "scale"),
    plant("digits_mlp/decay-dominates", decay_dominates, digits_mlp,
          DECAY, "decay-dominates", "optimizer"),
    plant("tabular_imbalanced/decay-dominates", decoupled_dominates, tabular_imbalanced,
          DECAY, "decay-dominates", "optimizer"),
    plant("char_lm/negative-decay", negative_decay, char_lm,
          "decay shrinks weights", "decay-coupled decay-dominates", "optimizer"),
)  # fmt: skip
