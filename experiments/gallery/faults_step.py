"""Faults planted inside training steps of the user's own, behind a `jr.Trainer`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

import jrecipe as jr
from gallery.bases_digits import digits_mlp
from gallery.bases_loops import (
    LoopState,
    NumpyLoop,
    apply_optax,
    cnn_loop,
    digits_loop,
    finetune_loop,
    optax_loop,
    regression_loop,
    tagger_loop,
)
from gallery.planting import pick, planter
from gallery.program import Fault, Strength

plant = planter("step")


def nats(outputs: Any, batch: jr.Batch) -> Any:
    """Cross-entropy of each example."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)


def scaled(tree: Any, factor: Any) -> Any:
    """Returns a tree times a number."""
    return jax.tree.map(lambda x: x * factor, tree)


# --- the gradient ------------------------------------------------------------------------------


def summed(seed: int, strength: Strength) -> jr.Task:
    """The step descends the sum over the batch / the sum by 16, for batches of 32."""
    divide = pick(strength, 1, 16)
    return digits_loop(seed, objective=lambda outputs, batch: nats(outputs, batch).sum() / divide)


def micro_batches(seed: int, strength: Strength) -> jr.Task:
    """The gradients of 8 / 2 micro-batches are summed, not averaged."""
    k = pick(strength, 8, 2)
    tx = optax.sgd(0.3)
    return tagger_loop(seed, optimizer=tx, change=lambda grads, params, memory: scaled(grads, k))


def sgd_tagger_loop(seed: int) -> jr.Task:
    """The tagger's loop with plain gradient descent."""
    return tagger_loop(seed, optimizer=optax.sgd(0.3))


def clipped(seed: int, strength: Strength) -> jr.Task:
    """The step clips the loss at 0.5 / at 3 nats and then differentiates."""
    limit = pick(strength, 0.5, 3.0)
    return digits_loop(
        seed, objective=lambda outputs, batch: jnp.minimum(nats(outputs, batch), limit).mean()
    )


def gradient_clipped(seed: int, strength: Strength) -> jr.Task:
    """The step clips elements of the gradient at 1e-5 / 1e-3, which nothing declares."""
    limit = pick(strength, 1e-5, 1e-3)
    clip = lambda grads, p, m: jax.tree.map(lambda g: jnp.clip(g, -limit, limit), grads)  # noqa: E731
    return digits_loop(seed, change=clip)


def leaf_missing(seed: int, strength: Strength) -> jr.Task:
    """The step leaves out the first layer / the bias of the second."""

    def change(grads: Any, params: Any, memory: Any) -> Any:
        if strength == "strong":
            return {**grads, "Dense_0": scaled(grads["Dense_0"], 0.0)}
        second = {**grads["Dense_1"], "bias": 0.0 * grads["Dense_1"]["bias"]}
        return {**grads, "Dense_1": second}

    return digits_loop(seed, change=change)


def leaf_uphill(seed: int, strength: Strength) -> jr.Task:
    """All / the kernel of the head has its gradient with the wrong sign."""

    def change(grads: Any, params: Any, memory: Any) -> Any:
        if strength == "strong":
            return scaled(grads, -1.0)
        head = {**grads["Dense_2"], "kernel": -grads["Dense_2"]["kernel"]}
        return {**grads, "Dense_2": head}

    return digits_loop(seed, change=change)


def hand_decayed(seed: int, coupled: float) -> jr.Task:
    """A decoupled decay of 0.1 is declared; `coupled` of it goes through the gradient."""
    rest = 0.1 - coupled
    tx = optax.adamw(2e-3, weight_decay=0.1)

    def update(declared: Any, grads: Any, opt_state: Any, params: Any) -> Any:
        del declared
        grads = jax.tree.map(lambda g, p: g + coupled * p, grads, params)
        return apply_optax(optax.adamw(2e-3, weight_decay=rest), grads, opt_state, params)

    return optax_loop(digits_mlp(seed, optimizer=tx), update=update)


def decay_coupled(seed: int, strength: Strength) -> jr.Task:
    """All / a fifth of the decay goes through the gradient and Adam instead of beside it."""
    return hand_decayed(seed, pick(strength, 0.1, 0.02))


def decay_beside(seed: int) -> jr.Task:
    """Decay beside Adam, as declared."""
    return hand_decayed(seed, 0.0)


def penalty(seed: int, strength: Strength) -> jr.Task:
    """An L2 penalty of 1 / 0.03 that nothing declares."""
    weight = pick(strength, 1.0, 0.03)

    def change(grads: Any, params: Any, memory: Any) -> Any:
        return jax.tree.map(lambda g, p: g + weight * p, grads, params)

    return digits_loop(seed, change=change)


def other_rate(seed: int, strength: Strength) -> jr.Task:
    """The rate is a hundredth / a third of what is declared."""
    factor = pick(strength, 0.01, 0.33)
    return digits_loop(seed, change=lambda grads, params, memory: scaled(grads, factor))


# --- the batch ---------------------------------------------------------------------------------


def labels_rolled(seed: int, strength: Strength) -> jr.Task:
    """The step moves the labels of the batch / of a quarter of it by one row."""

    def choose(batch: jr.Batch) -> jr.Batch:
        n = batch.targets.shape[0] // pick(strength, 1, 4)
        y = jnp.concatenate([jnp.roll(batch.targets[:n], 1), batch.targets[n:]])
        return batch._replace(targets=y)

    return digits_loop(seed, pick=choose)


def tags_rolled(seed: int, strength: Strength) -> jr.Task:
    """The step moves the tags of all sentences / of the second half by one sentence."""

    def choose(batch: jr.Batch) -> jr.Batch:
        n = pick(strength, 0, batch.targets.shape[0] // 2)
        y = jnp.concatenate([batch.targets[:n], jnp.roll(batch.targets[n:], 1, axis=0)])
        return batch._replace(targets=y)

    return tagger_loop(seed, pick=choose)


def part_of_batch(seed: int, strength: Strength) -> jr.Task:
    """The step uses the first half of a batch / all but its last eighth."""

    def choose(batch: jr.Batch) -> jr.Batch:
        n = batch.targets.shape[0]
        return jax.tree.map(lambda x: x[: pick(strength, n // 2, n - n // 8)], batch)

    return digits_loop(seed, pick=choose)


class FirstBatch(NumpyLoop):
    """Keeps the first batch and trains on it for ever."""

    fresh_every: int | None = None
    seen = 0

    def step(self, batch: jr.Batch) -> float:
        """One update, on the batch that was kept."""
        if self.seen == 0 or (self.fresh_every and self.seen % self.fresh_every == 0):
            self.kept = batch
        self.seen += 1
        return super().step(self.kept)


class EverySecondBatch(FirstBatch):
    """Trains on every second batch twice, and on the others never."""

    fresh_every = 2


def same_batch(seed: int, strength: Strength) -> jr.Task:
    """Every update uses the first batch / every second uses the batch before."""
    return regression_loop(seed, loop=pick(strength, FirstBatch, EverySecondBatch))


# --- the loss ----------------------------------------------------------------------------------


def double_softmax(seed: int, strength: Strength) -> jr.Task:
    """The step puts a softmax / sigmoids before the loss; `predict` gives logits."""
    squash = pick(strength, lambda x: jax.nn.softmax(x, axis=-1), jax.nn.sigmoid)
    return digits_loop(seed, outputs=squash)


def softmax_over_batch(seed: int, strength: Strength) -> jr.Task:
    """The step's softmax runs over the batch: for all / for half of the loss."""

    def objective(outputs: Any, batch: jr.Batch) -> Any:
        log = jax.nn.log_softmax(outputs, axis=0)
        wrong = -jnp.take_along_axis(log, batch.targets[:, None], axis=1).mean()
        return wrong if strength == "strong" else 0.5 * (wrong + nats(outputs, batch).mean())

    return digits_loop(seed, objective=objective)


def column_against_row(seed: int, strength: Strength) -> jr.Task:
    """The step compares every output with every target / for a third of its loss."""

    def objective(outputs: Any, batch: jr.Batch) -> Any:
        crossed = jnp.square(outputs - batch.targets.T).mean()
        right = jnp.square(outputs - batch.targets).mean()
        return crossed if strength == "strong" else (2 * right + crossed) / 3

    return regression_loop(seed, objective=objective)


def padding_counts(seed: int, strength: Strength) -> jr.Task:
    """The step counts all padding / padding with a tenth of the weight."""

    def objective(outputs: Any, batch: jr.Batch) -> Any:
        value = nats(outputs, batch)
        weight = jnp.where(batch.targets != 0, 1.0, pick(strength, 1.0, 0.1))
        return (value * weight).sum() / weight.sum()

    return tagger_loop(seed, objective=objective)


def reported_wrong(seed: int, strength: Strength) -> jr.Task:
    """The step reports the sum of the losses / a half of their mean."""
    factor = pick(strength, 32.0, 0.5)
    return digits_loop(seed, report=lambda loss, batch: loss * factor)


# --- what is carried on ------------------------------------------------------------------------


def stale(seed: int, strength: Strength) -> jr.Task:
    """Gradients are taken at the initial weights / at those of the step before."""

    def finish(old: LoopState, new: LoopState, grads: Any) -> LoopState:
        return new if strength == "strong" else new._replace(memory=old.params)

    return digits_loop(seed, remember=lambda p: p, at=lambda params, memory: memory, finish=finish)


def optimizer_state_lost(seed: int, strength: Strength) -> jr.Task:
    """Adam starts anew with every batch / momentum is lost, for the head."""

    def finish(old: LoopState, new: LoopState, grads: Any) -> LoopState:
        return new._replace(opt_state=old.opt_state)

    def partly(old: LoopState, new: LoopState, grads: Any) -> LoopState:
        trace = new.opt_state[0].trace
        zero = jax.tree.map(jnp.zeros_like, trace["Dense_2"])
        first = new.opt_state[0]._replace(trace={**trace, "Dense_2": zero})
        return new._replace(opt_state=(first, *new.opt_state[1:]))

    if strength == "strong":
        return digits_loop(seed, optimizer=optax.adam(2e-3), finish=finish)
    return digits_loop(seed, finish=partly)


def statistics_lost(seed: int, strength: Strength) -> jr.Task:
    """The statistics of both BatchNorms / of the second are not carried on."""

    def finish(old: LoopState, new: LoopState, grads: Any) -> LoopState:
        if strength == "strong":
            return new._replace(model_state=old.model_state)
        name = "batch_stats"
        second = {"BatchNorm_1": old.model_state[name]["BatchNorm_1"]}
        return new._replace(model_state={name: {**new.model_state[name], **second}})

    return cnn_loop(seed, finish=finish)


def never_reset(seed: int, strength: Strength) -> jr.Task:
    """Gradients of all batches / of up to four add up."""
    zero = lambda params: (scaled(params, 0.0), jnp.zeros((), jnp.int32))  # noqa: E731

    def change(grads: Any, params: Any, memory: Any) -> Any:
        return jax.tree.map(jnp.add, grads, memory[0])

    def finish(old: LoopState, new: LoopState, grads: Any) -> LoopState:
        count = old.memory[1] + 1
        keep = 1.0 if strength == "strong" else jnp.where(count % 4 == 0, 0.0, 1.0)
        return new._replace(memory=(scaled(grads, keep), count))

    return digits_loop(seed, optimizer=optax.sgd(0.05), remember=zero, change=change, finish=finish)


def sgd_digits_loop(seed: int) -> jr.Task:
    """The digits' loop with plain gradient descent."""
    return digits_loop(seed, optimizer=optax.sgd(0.05))


def update_discarded(seed: int, strength: Strength) -> jr.Task:
    """The new weights are thrown away: always / after two of three steps."""

    def finish(old: LoopState, new: LoopState, grads: Any) -> LoopState:
        keep = jnp.where((old.memory % 3 == 2) & (strength == "weak"), 1.0, 0.0)
        params = jax.tree.map(lambda o, n: o + keep * (n - o), old.params, new.params)
        return new._replace(params=params, memory=old.memory + 1)

    return digits_loop(seed, remember=lambda params: jnp.zeros((), jnp.int32), finish=finish)


def frozen_moves(seed: int, strength: Strength) -> jr.Task:
    """The trunk that is declared frozen is trained too / one of its biases is."""
    task = finetune_loop(seed)
    trained = pick(strength, (), ("trunk/Dense_0/*", "trunk/Dense_1/kernel"))
    return optax_loop(task.replace(frozen=trained)).replace(frozen=task.frozen)


def low_precision(seed: int, strength: Strength) -> jr.Task:
    """Weights are kept with 8 bits of mantissa between steps: all / those of the head."""

    def rough(tree: Any) -> Any:
        return jax.tree.map(lambda p: p.astype(jnp.bfloat16).astype(p.dtype), tree)

    def finish(old: LoopState, new: LoopState, grads: Any) -> LoopState:
        if strength == "strong":
            return new._replace(params=rough(new.params))
        return new._replace(params={**new.params, "Dense_2": rough(new.params["Dense_2"])})

    return digits_loop(seed, finish=finish)


def velocity_outlives(seed: int, strength: Strength) -> jr.Task:
    """The velocity lies outside the state, and the next run goes on with it: all / the head's."""
    kept: dict[str, Any] = {}

    class Leaky(NumpyLoop):
        """Reads and writes a velocity that all runs share."""

        def step(self, batch: jr.Batch) -> float:
            """One update with the velocity of whoever came before."""
            names = pick(strength, tuple(self.velocity), ("head",))
            self.velocity = {**self.velocity, **{n: kept[n] for n in names if n in kept}}
            loss = super().step(batch)
            kept.update({name: self.velocity[name] for name in names})
            return loss

    return regression_loop(seed, loop=Leaky)


CARRIED = "a step starts where the last one ended"
UPDATE = "an update is that of the declared loss and optimiser"
EVERY = "every example of a batch has its part in the update"
FAULTS: tuple[Fault, ...] = (
    plant("digits_loop/sum-for-mean", summed, digits_loop,
          UPDATE, "loss-scale update-differs", "step loss"),
    plant("tagger_loop/micro-batches-summed", micro_batches, sgd_tagger_loop,
          UPDATE, "loss-scale update-differs", "step loss optimizer"),
    plant("digits_loop/loss-clipped", clipped, digits_loop,
          UPDATE, "loss-clipped", "step loss"),
    plant("digits_loop/gradient-clipped", gradient_clipped, digits_loop,
          UPDATE, "clip-always-active update-differs", "step optimizer"),
    plant("digits_loop/leaf-missing", leaf_missing, digits_loop,
          UPDATE, "leaf-not-in-optimizer parameters-frozen", "step optimizer",
          "Dense_0/kernel", "Dense_0/bias", "Dense_1/bias"),
    plant("digits_loop/leaf-uphill", leaf_uphill, digits_loop,
          "updates go downhill", "wrong-sign", "step optimizer", "Dense_2/kernel", "every"),
    plant("digits_loop/decay-coupled", decay_coupled, decay_beside,
          UPDATE, "decay-coupled", "step optimizer"),
    plant("digits_loop/hidden-penalty", penalty, digits_loop,
          UPDATE, "decay-coupled decay-dominates update-differs", "step optimizer"),
    plant("digits_loop/other-rate", other_rate, digits_loop,
          UPDATE, "update-differs learning-rate-too-low loss-scale",
          "step optimizer schedule"),
    plant("digits_loop/labels-rolled", labels_rolled, digits_loop,
          "a target belongs to the input beside it", "labels-shifted", "step labels"),
    plant("tagger_loop/tags-rolled", tags_rolled, tagger_loop,
          "a target belongs to the input beside it", "labels-shifted", "step labels"),
    plant("digits_loop/part-of-batch", part_of_batch, digits_loop,
          EVERY, "examples-ignored", "step"),
    plant("regression_loop/same-batch", same_batch, regression_loop,
          EVERY, "batch-ignored", "step"),
    plant("digits_loop/double-softmax", double_softmax, digits_loop,
          UPDATE, "double-softmax", "step loss head"),
    plant("digits_loop/softmax-over-batch", softmax_over_batch, digits_loop,
          UPDATE, "loss-depends-on-batch batch-mixing", "step loss"),
    plant("regression_loop/column-against-row", column_against_row, regression_loop,
          UPDATE, "loss-depends-on-batch update-differs inputs-ignored", "step loss"),
    plant("tagger_loop/padding-counts", padding_counts, tagger_loop,
          "padding does not count", "padding-in-loss update-differs", "step loss"),
    plant("digits_loop/loss-reported-wrong", reported_wrong, digits_loop,
          "a step reports the loss of its batch", "loss-reported-wrong", "step"),
    plant("digits_loop/stale-parameters", stale, digits_loop,
          CARRIED, "stale-parameters", "step"),
    plant("digits_loop/optimizer-state-lost", optimizer_state_lost, digits_loop,
          CARRIED, "state-not-threaded", "step optimizer"),
    plant("cnn_loop/statistics-lost", statistics_lost, cnn_loop,
          CARRIED, "state-not-threaded statistics-never-updated", "step model", "BatchNorm_1"),
    plant("digits_loop/never-reset", never_reset, sgd_digits_loop,
          CARRIED, "gradients-accumulate", "step optimizer"),
    plant("digits_loop/update-discarded", update_discarded, digits_loop,
          CARRIED, "parameters-frozen no-learning update-differs", "step"),
    plant("finetune_loop/frozen-moves", frozen_moves, finetune_loop,
          "what is declared frozen stays", "frozen-parameters-move", "step optimizer",
          "trunk/Dense_0/kernel", "trunk/Dense_1/bias"),
    plant("digits_loop/low-precision", low_precision, digits_loop,
          UPDATE, "update-differs", "step", "Dense_2", "Dense_0"),
    plant("regression_loop/velocity-outlives-run", velocity_outlives, regression_loop,
          "equal seeds give equal runs", "hidden-randomness", "step"),
)  # fmt: skip
