"""Loops that move layers in turn, or each at a rate of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import digits, moons
from gallery.unseen.loop_networks import Params, declared, forward, mlp
from gallery.unseen.loop_parts import CLASSES, Gradient, Moved, State, choose, loop, plain, with_opt

# Two parts in turn


def moons_alternating(seed: int, lost: Callable[[jax.Array], jax.Array] | None = None) -> jr.Task:
    """Trunk first, then the head on the new trunk; `lost(count)` says when the trunk's is lost."""
    tx = optax.adam(3e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        old = state["params"]
        loss, grads = gradient(old, batch)
        moves, trunk_opt = tx.update(
            {"stem": grads["stem"], "hidden": grads["hidden"]}, state["trunk_opt"]
        )
        trunk = optax.apply_updates({"stem": old["stem"], "hidden": old["hidden"]}, moves)
        middle = {**trunk, "head": old["head"]}
        _, grads = gradient(middle, batch)
        move, head_opt = tx.update(grads["head"], state["head_opt"])
        params = {**middle, "head": optax.apply_updates(old["head"], move)}
        if lost is not None:
            params = choose(lost(state["count"]), {**old, "head": params["head"]}, params)
        return {
            "params": params,
            "trunk_opt": trunk_opt,
            "head_opt": head_opt,
            "count": state["count"] + 1,
        }, loss

    def start(params: Params) -> dict[str, Any]:
        trunk = {"stem": params["stem"], "hidden": params["hidden"]}
        return {"trunk_opt": tx.init(trunk), "head_opt": tx.init(params["head"]), "count": 0}

    return loop(moons(seed), CLASSES, mlp(2, 16, 16, 2), forward, update, start=start)


def second_overwrites_first(seed: int, strength: Strength) -> jr.Task:
    """The head's update is put into the old weights: the trunk's is lost; weak: at odd steps."""
    return moons_alternating(
        seed, lost=pick(strength, lambda count: count >= 0, lambda count: count % 2 == 1)
    )


# Odd loops that are right


def by_turns(seed: int) -> jr.Task:
    """The head moves at even steps, everything before it at odd steps."""
    tx = optax.adam(5e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        even = state["count"] % 2 == 0
        params, opt = dict(state["params"]), dict(state["opt"])
        for name in params:
            moves, moments = tx.update(grads[name], opt[name])
            mine = even if name == "head" else ~even
            moved = optax.apply_updates(params[name], moves)
            params[name] = choose(mine, moved, params[name])
            opt[name] = choose(mine, moments, opt[name])
        return {"params": params, "opt": opt, "count": state["count"] + 1}, loss

    def start(params: Params) -> dict[str, Any]:
        return {"opt": {name: tx.init(part) for name, part in params.items()}, "count": 0}

    return loop(moons(seed), CLASSES, mlp(2, 16, 16, 2), forward, update, start=start)


def rates_by_depth(seed: int) -> jr.Task:
    """Each layer has half the rate of the layer behind it."""
    data = digits(seed)
    rates = {"stem": 1e-3, "hidden": 2e-3, "head": 4e-3}
    tx = optax.multi_transform(
        {name: optax.adam(rate) for name, rate in rates.items()},
        lambda params: {name: jax.tree.map(lambda _, n=name: n, params[name]) for name in params},
    )
    init = mlp(data[0][0].shape[1], 32, 32, 10)

    return loop(
        data,
        CLASSES,
        init,
        forward,
        plain(tx),
        start=with_opt(tx),
        model=declared(init, forward),
        optimizer=tx,
    )


step_fault = planter("step")

FAULTS: tuple[Fault, ...] = (
    step_fault(
        "moons_alternating/second-overwrites-first",
        second_overwrites_first,
        moons_alternating,
        "an update starts from the newest weights",
        "parameters-frozen leaf-not-in-optimizer stale-parameters state-not-threaded",
        "step optimizer",
        "stem",
        "hidden",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="moons/by-turns", build=by_turns),
    Healthy(name="digits/rates-by-depth", build=rates_by_depth),
)
