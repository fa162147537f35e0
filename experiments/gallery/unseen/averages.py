"""Loops that predict by an average: of weights over time, or of outputs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import arrows, clusters, digits
from gallery.unseen.loop_networks import Params, declared, forward, mlp
from gallery.unseen.loop_parts import (
    CLASSES,
    Gradient,
    Moved,
    State,
    blend,
    choose,
    descend,
    loop,
    plain,
    with_opt,
)

# Averaged weights for prediction


def clusters_average(
    seed: int, *, back: float | None = None, skipped: tuple[str, ...] = ()
) -> jr.Task:
    """Adam, and an exponential average of the weights for prediction; the defaults are right.

    Args:
      seed: of the data.
      back: share of new weights in an average that training goes on from; None for none.
      skipped: layers that the labels of the optimiser do not know.
    """
    init, adam = mlp(8, 32, 32, 4), optax.adam(3e-3)
    tx = adam
    if skipped:
        kinds = lambda params: {  # noqa: E731
            name: jax.tree.map(lambda _, n=name: "rest" if n in skipped else "net", part)
            for name, part in params.items()
        }
        tx = optax.multi_transform({"net": adam, "rest": optax.set_to_zero()}, kinds)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        new = descend(tx, state, grads)
        average = blend(state["average"], new["params"], back or 0.05)
        params = new["params"] if back is None else average
        return {**new, "params": params, "average": average}, loss

    return loop(
        clusters(seed),
        CLASSES,
        init,
        forward,
        update,
        start=lambda params: {"opt": tx.init(params), "average": params},
        judged=lambda state: state["average"],
        model=declared(init, forward),
        optimizer=tx,
    )


def average_written_back(seed: int, strength: Strength) -> jr.Task:
    """Training goes on from the average, so that a small share of each update is left."""
    return clusters_average(seed, back=pick(strength, 0.05, 0.5))


def labels_of_another_tree(seed: int, strength: Strength) -> jr.Task:
    """Layers with names that the optimiser's labels do not know stand still."""
    return clusters_average(seed, skipped=pick(strength, ("stem", "hidden"), ("hidden",)))


# Odd loops that are right


def lookahead(seed: int) -> jr.Task:
    """Slow weights go half of the way after each five fast steps; they are what predicts."""
    data, tx = digits(seed), optax.adam(2e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        state = descend(tx, state, grads)
        count = state["count"] + 1
        turn = count % 5 == 0
        slow = choose(turn, blend(state["slow"], state["params"], 0.5), state["slow"])
        params = choose(turn, slow, state["params"])
        return {**state, "params": params, "slow": slow, "count": count}, loss

    return loop(
        data,
        CLASSES,
        mlp(data[0][0].shape[1], 32, 10),
        forward,
        update,
        start=lambda params: {**with_opt(tx)(params), "slow": params},
        judged=lambda state: state["slow"],
    )


def averaged_late(seed: int) -> jr.Task:
    """Predictions use the plain mean of all weights since step 50 (SWA), before it the weights."""
    tx = optax.sgd(0.1)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        state = descend(tx, state, grads)
        share = 1.0 / jnp.maximum(state["count"] - 50, 1)
        mean_of_all = blend(state["mean"], state["params"], share)
        return {**state, "mean": mean_of_all, "count": state["count"] + 1}, loss

    return loop(
        clusters(seed),
        CLASSES,
        mlp(8, 32, 32, 4),
        forward,
        update,
        start=lambda params: {**with_opt(tx)(params), "mean": params},
        judged=lambda state: state["mean"],
    )


def mirror_averaged(seed: int) -> jr.Task:
    """A prediction is the mean over a picture and its mirror image, left and right swapped."""
    tx = optax.sgd(0.05, momentum=0.9)

    def both(params: Params, inputs: jax.Array) -> jax.Array:
        mirrored = forward(params, inputs[:, :, ::-1])[:, np.array([1, 0, 2])]
        return (forward(params, inputs) + mirrored) / 2

    return loop(
        arrows(seed),
        CLASSES,
        mlp(100, 32, 3),
        forward,
        plain(tx),
        start=with_opt(tx),
        evaluate=both,
    )


step_fault, optimizer_fault = planter("step"), planter("optimizer")

FAULTS: tuple[Fault, ...] = (
    step_fault(
        "clusters_average/average-written-back",
        average_written_back,
        clusters_average,
        "an update is the one that the optimiser gives",
        "update-differs stale-parameters learning-rate-too-low",
        "step optimizer",
    ),
    optimizer_fault(
        "clusters_average/labels-of-another-tree",
        labels_of_another_tree,
        clusters_average,
        "the optimiser moves every parameter",
        "leaf-not-in-optimizer parameters-frozen",
        "optimizer step",
        "hidden",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="digits/lookahead", build=lookahead),
    Healthy(name="clusters/averaged-late", build=averaged_late),
    Healthy(name="arrows/mirror-averaged-predictions", build=mirror_averaged),
)
