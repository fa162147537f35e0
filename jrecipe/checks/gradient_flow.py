"""G18: Does every parameter get a gradient, and does every unit live?

A parameter without a gradient never learns. Exact zeros are looked for on several batches, under
weights that were moved a little (a zero-initialised head is healthy), and under those of other
seeds. Then interventions tell why: if replacing the parameter changes no output it is unused; if
outputs change but the gradient is zero, it is cut off, or the units behind it are dead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.controls import simplified
from jrecipe.checks.network_layers import fresh_sizes, frozen_paths, layers_of
from jrecipe.checks.overfit_batch import few_learned
from jrecipe.checks.probing import disagreement, perturbed, rounding, visible_variables
from jrecipe.checks.program_walk import trace
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import path_name
from jrecipe.train.step import make_loss_fn
from jrecipe.types import Array, Batch, PyTree

ITEM, CHECK = "G18", "gradient-flow"
Reason = Literal["unused", "unfed", "unselected", "not-in-loss", "cut", "dead", "normalised"]
Leaves = Mapping[str, np.ndarray]  # path -> array
_SEEDS = 3  # other seeds under which a parameter must be without a gradient too


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gradients:
    """Which parameters get a gradient.

    Attributes:
      leaves: how many parameters were looked at; declared frozen ones are not.
      without: path -> why it gets none.
      not_finite: paths whose gradient at the start is NaN or infinite though the loss is finite.
      loss_blind: the loss has no gradient in the outputs either.
    """

    leaves: int
    without: Mapping[str, Reason]
    not_finite: Sequence[str] = ()
    loss_blind: bool = False


def measure_gradients(context: Context) -> Gradients:
    """Measures which parameters get a gradient, and why others do not; needs a model."""
    gradient = _gradient(context)
    batches = (context.batch(), context.other())
    moved, fresh = visible_variables(context), context.variables()
    loss, start = gradient(*fresh, batches[0])
    named = [name for name in start if name not in frozen_paths(context)]
    bad = [name for name in named if not np.isfinite(start[name]).all()]
    seen = [gradient(*moved, batch)[1] for batch in batches]
    silent = [name for name in named if not any(grads[name].any() for grads in (start, *seen))]
    without: dict[str, Reason] = {}
    if silent:
        structural = _unreached(context)
        others = [(perturbed(p, context.seed), fresh[1]) for p in _other_params(context)]
        for variables in others:
            for batch in batches:
                grads = gradient(*variables, batch)[1]
                silent = [name for name in silent if not grads[name].any()]
        for name in silent:
            reason = "unused" if name in structural else _reason(context, name, [moved, *others])
            if reason != "normalised":
                without[name] = reason
    return Gradients(
        leaves=len(named),
        without=without,
        not_finite=bad if np.isfinite(loss) else (),
        loss_blind=len(named) > 0 and len(without) == len(named) and _loss_blind(context, moved),
    )


def _other_params(context: Context) -> list[PyTree]:
    return [jax.tree.map(jnp.asarray, params) for params, _ in context.other_inits[:_SEEDS]]


def _gradient(context: Context) -> Callable[[PyTree, PyTree, Batch], tuple[float, Leaves]]:
    """Returns `(params, state, batch) -> (loss, gradients by path)`, in training, dropout out."""

    def build() -> Any:
        loss_fn = make_loss_fn(simplified(context.task).model, context.task.loss)

        def mean_loss(params: PyTree, state: PyTree, batch: Batch) -> Array:
            value, weight, _ = loss_fn(params, state, batch, context.key)
            return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

        return jit_once(jax.value_and_grad(mean_loss, allow_int=True))

    run = context.once("gradient-of-loss", build)

    def gradient(params: PyTree, state: PyTree, batch: Batch) -> tuple[float, Leaves]:
        value, grads = run(params, state, batch)
        pairs = jax.tree_util.tree_leaves_with_path(grads)
        return float(value), {
            path_name(path): np.asarray(leaf).astype(np.float64)
            for path, leaf in pairs
            if leaf.dtype != jax.dtypes.float0 and leaf.size
        }

    return gradient


def _unreached(context: Context) -> set[str]:
    """Returns the parameters from which no way leads to the outputs, in either mode."""
    assert context.model is not None
    model, (params, state) = context.model, context.variables()
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    inputs, found = context.batch().inputs, set(paths)
    for train in (False, True):
        options = {"key": context.key, "train": True} if train else {}
        program = trace(
            lambda p, s, x, options=options: model.apply(p, s, x, **options)[0],
            params,
            state,
            inputs,
        )
        needed = program.needed()
        found &= {path for path, i in zip(paths, program.inputs, strict=False) if i not in needed}
    return found


def _replaced(params: PyTree, name: str, seed: int) -> PyTree:
    """Returns parameters of which one has quite other values."""
    rng = np.random.default_rng((seed % 2**32, 23))

    def change(path: Any, leaf: Array) -> Array:
        if path_name(path) != name:
            return leaf
        values = np.asarray(leaf).astype(np.float64)
        noise = rng.normal(size=values.shape) * (values.std() + 0.5)
        return jnp.asarray((values + noise).astype(leaf.dtype))

    return jax.tree_util.tree_map_with_path(change, params)


def _reason(context: Context, name: str, tried: Sequence[tuple[PyTree, PyTree]]) -> Reason:
    """Returns why a parameter that is part of the program gets no gradient."""
    batch, changes = context.batch(), {"train": False, "evaluation": False, "loss": False}
    part = _part(context)
    tolerance = rounding(context)
    for params, state in tried:
        other = _replaced(params, name, context.seed)
        for train in (False, True):
            run = [
                context.apply(p, state, batch.inputs, context.key, train, part if train else ())[0]
                for p in (params, other)
            ]
            gap = disagreement(*run)
            mode = "train" if train else "evaluation"
            changes[mode] |= gap > (tolerance if train else 0.0)
            if gap > tolerance:
                values = [np.asarray(context.losses(x, batch.targets)[0]) for x in run]
                changes["loss"] |= not np.array_equal(values[0], values[1])
    if changes["evaluation"] and not changes["train"]:
        return "normalised"  # as a bias before BatchNorm
    dead = any(share == 1.0 for _, share in _dead_layers(context, tried[0]))
    if not changes["evaluation"] and not changes["train"]:
        if dead:
            return "dead"
        return "unfed" if _unfed(context, name, tried[0]) else "unselected"
    if not changes["loss"]:
        return "not-in-loss"
    return "dead" if dead else "cut"


def _part(context: Context) -> tuple[str, ...]:
    assert context.model is not None
    return ("dropout",) if context.model.without is not None else ()


def _dead_layers(
    context: Context, variables: tuple[PyTree, PyTree], inside: bool = False
) -> list[tuple[str, float]]:
    """Returns (path before it, share of dead units) of each activation with dead units.

    Args:
      context: the task.
      variables: `(params, state)`.
      inside: leave out activations that no layer follows; what those can answer is for B8.
    """
    layers = layers_of(context)
    if layers is None:
        return []
    products, sizes = layers.flow.products, layers.sizes(variables)
    off = sizes.off
    followed = frozenset().union(*(product.given.near for product in products))
    found = [
        (products[i].path, float(off[k]))
        for k, unit in enumerate(layers.flow.units)
        for i in sorted(unit.after)
        if (off[k] if unit.directly else off[k] == 1.0) and (i in followed or not inside)
    ]
    starved = [j for j, size in enumerate(sizes.entering) if size == 0]
    return found + [
        (products[i].path, 1.0) for j in starved for i in sorted(products[j].given.near)
    ]


def _unfed(context: Context, name: str, variables: tuple[PyTree, PyTree]) -> bool:
    """Tells whether all that a parameter is multiplied with is exactly 0."""
    layers = layers_of(context)
    if layers is None:
        return False
    entering = layers.sizes(variables).entering
    own = [i for i, product in enumerate(layers.flow.products) if name in product.leaves]
    return bool(own) and all(entering[i] == 0 for i in own)


def _loss_blind(context: Context, variables: tuple[PyTree, PyTree]) -> bool:
    """Tells whether the loss has no gradient in any output."""
    batch = context.batch()
    outputs = context.apply(*variables, batch.inputs, context.key)[0]
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(outputs)):
        return True
    grads = jit_once(jax.grad(lambda o: context.losses(o, batch.targets)[0].sum()))(outputs)
    return not any(np.asarray(x).any() for x in jax.tree.leaves(grads))


def judge_gradients(found: Gradients, dead: Sequence[tuple[str, float]] = ()) -> Finding:
    """Judges parameters that get no gradient.

    Args:
      found: what was measured.
      dead: (path before it, share of its units that are off) of each layer of activations.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "parameters": found.leaves,
        "without_gradient": len(found.without),
        "without_gradient_expected": 0,
        "gradient_not_finite": len(found.not_finite),
    }
    result = concluding(ITEM, CHECK, evidence)
    if found.not_finite:
        where = _places(found.not_finite)
        return result(
            Verdict.FAILED,
            f"The loss is finite at the start, but its gradient is not: {where}.",
            "Look for a square root, norm, logarithm or division at 0 in the loss or network.",
            Suspect(
                cause="not-finite",
                component="model" if len(found.not_finite) < found.leaves else "loss",
                where=where,
                why=f"NaN or infinite gradient in {len(found.not_finite)} of {found.leaves}",
            ),
        )
    if not found.without:
        return result(
            Verdict.PASSED,
            f"All {found.leaves} parameters get a gradient under weights moved off their start.",
        )
    by = {reason: [n for n, r in found.without.items() if r == reason] for reason in _SAID}
    suspects = []
    full = list(dict.fromkeys(path for path, share in dead if share == 1.0))
    for reason in _SAID:
        names = by[reason]
        if not names:
            continue
        cause, component, why = _SAID[reason]
        if reason == "cut" and found.loss_blind:
            component, why = "loss", "the loss has no gradient in any output"
        where = _places(full if reason == "dead" and full else names)
        suspects.append(Suspect(cause=cause, component=component, where=where, why=why))
    certain = any(by[reason] for reason in ("dead", "cut", "unfed", "unused"))
    return result(
        Verdict.FAILED if certain else Verdict.WARNED,
        f"{len(found.without)} of {found.leaves} parameters get no gradient at all: "
        f"{_places(list(found.without))}; {suspects[0].why}.",
        "Follow the parameter to the loss: is its result used, is there a stop_gradient, rounding "
        "or argmax between, are the units behind it all off?",
        *suspects,
    )


_SAID: dict[str, tuple[str, str, str]] = {
    "dead": ("dead-units", "model", "the units behind them are off, or saturated, for every input"),
    "cut": (
        "gradient-cut",
        "model",
        "other values change outputs and loss, but the gradient is exactly 0",
    ),
    "unfed": ("inputs-ignored", "model", "all that they are multiplied with is exactly 0"),
    "unused": ("parameters-unused", "model", "no way leads from them to the outputs"),
    "unselected": (
        "parameters-unused",
        "model",
        f"other values change no output, under the weights of {_SEEDS + 1} seeds",
    ),
    "not-in-loss": (
        "loss-ignores-outputs",
        "loss",
        "other values change outputs, but never the loss",
    ),
}


def _places(names: Sequence[str]) -> str:
    """Names up to four parameters, kernels first."""
    ordered = sorted(names, key=lambda name: name.rsplit("/", 1)[-1] in ("bias", "b", "scale"))
    return ", ".join(ordered[:4]) + (", ..." if len(ordered) > 4 else "")


def alike(leaf: np.ndarray) -> str:
    """Returns along which axis all units of a matrix are equal: "units", "inputs" or "".

    Units are along the last axis. Equal means up to the rounding of training.

    Example:
      >>> alike(np.array([[1.0, 1.0], [2.0, 2.0]])), alike(np.array([[1.0, 2.0], [3.0, 4.0]]))
      ('units', '')
    """
    if leaf.ndim < 2 or not np.isfinite(leaf).all():
        return ""
    tolerance = 1e-4 * float(np.abs(leaf).max())
    if leaf.shape[-1] > 1 and (np.ptp(leaf, axis=-1) <= tolerance).all():
        return "units"
    if leaf.shape[0] > 1 and (np.ptp(leaf, axis=0) <= tolerance).all():
        return "inputs"
    return ""


def judge_symmetry(before: Leaves, after: Leaves, gradient: Leaves, updates: int) -> Finding | None:
    """Judges units that start equal and stay so; None if there are none.

    Args:
      before: path -> values before training.
      after: path -> values after training.
      gradient: path -> gradient of the loss after training; equal along the same axis if nothing
        will ever part the units.
      updates: made between the two.
    """
    stuck = {}
    for name, leaf in after.items():
        along = alike(leaf)
        if along and name in gradient and alike(before[name]) in (along, "units"):
            axis = -1 if along == "units" else 0
            slope = gradient[name]
            size = float(np.abs(slope).max())
            if np.isfinite(slope).all() and (np.ptp(slope, axis=axis) <= 1e-3 * size).all():
                stuck[name] = along
    names = [name for name, along in stuck.items() if along == "units"] or list(stuck)
    if not names:
        return None
    evidence = {"parameters_with_equal_units": len(names), "expected": 0, "updates": updates}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.FAILED,
        f"All units of {_places(names)} are still equal after {updates} updates: the layer is one "
        "unit wide.",
        "Draw weights at random (lecun, Glorot or He); zeros and constants suit biases only.",
        Suspect(
            cause="init-symmetric",
            component="init",
            where=_places(names),
            why="units start equal and get equal gradients",
        ),
    )


def measure_equal_starts(context: Context) -> list[str]:
    """Returns matrices whose units start equal, though not 0, before a layer that reads them."""
    layers = layers_of(context)
    if layers is None:
        return []
    products, weights = layers.flow.products, _by_path(context.variables()[0])
    followed = frozenset().union(*(product.given.near for product in products))
    return [
        product.path
        for i, product in enumerate(products)
        if i in followed
        and product.groups == 1
        and product.leaves == {product.path}
        and product.path not in frozen_paths(context)
        and weights[product.path].any()
        and alike(weights[product.path]) == "units"
    ]


def judge_equal_starts(names: Sequence[str]) -> Finding | None:
    """Judges hidden units that start equal to each other; None if there are none.

    Args:
      names: paths of the matrices, see `measure_equal_starts`.
    """
    if not names:
        return None
    evidence = {"parameters_with_equal_units": len(names), "expected": 0}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"All units of {_places(names)} start equal: only what follows can part them.",
        "Draw weights at random (lecun, Glorot or He); zeros and constants suit biases only.",
        Suspect(
            cause="init-symmetric",
            component="init",
            where=_places(names),
            why="its columns are equal and not 0 before training",
        ),
    )


def judge_born_dead(shares: Sequence[tuple[str, int, Sequence[float]]]) -> Finding | None:
    """Judges units that are off for every input before training; None if they are few.

    Inputs that are all positive may switch off half of the units, so it takes more than half, by
    three standard errors, under every seed.

    Args:
      shares: (path before them, how many units, share that is off under each seed).
    """
    limits = [min(0.5 + 1.5 / np.sqrt(width), 0.999) for _, width, _ in shares]
    dead = [
        (min(off), limit, path)
        for (path, _, off), limit in zip(shares, limits, strict=True)
        if min(off) > limit
    ]
    if not dead:
        return None
    share, limit, path = max(dead)
    evidence = {"share_dead_at_start": share, "share_expected": limit}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"Before training, {share:.0%} of the units behind {path} are off for every input, under "
        "every seed.",
        "Start biases at 0 and draw weights around 0.",
        Suspect(
            cause="dead-units",
            component="init",
            where=path,
            why=f"{share:.0%} of its units pass no gradient for any input",
        ),
    )


def measure_born_dead(context: Context) -> list[tuple[str, int, list[float]]]:
    """Returns (path before it, units, share that is off under each seed) of each activation."""
    layers, first = layers_of(context), fresh_sizes(context)
    if layers is None or first is None or not (first.off > 0.5).any():
        return []
    state = context.variables()[1]
    sizes = [first, *(layers.sizes((params, state)) for params in _other_params(context))]
    return [
        (
            layers.flow.products[i].path,
            int(first.width[k]),
            [float(s.off[k] if unit.directly else s.off[k] == 1.0) for s in sizes],
        )
        for k, unit in enumerate(layers.flow.units)
        for i in sorted(unit.after)
    ]


def judge_flow(gradient: Leaves, weights: Leaves, learned: float) -> Finding | None:
    """Judges gradients that vanish or explode on their way, in a run that fails; else None.

    Args:
      gradient: path -> gradient before training.
      weights: path -> values before training.
      learned: share of the way that a few examples went, see `few_learned`.
    """
    rates = {
        name: float(np.linalg.norm(gradient[name]) / np.linalg.norm(weights[name]))
        for name in gradient
        if gradient[name].ndim >= 2 and gradient[name].any() and weights[name].any()
    }
    if learned >= 0.9 or len(rates) < 2:
        return None
    low, high = min(rates, key=lambda n: rates[n]), max(rates, key=lambda n: rates[n])
    if rates[high] <= 1e6 * rates[low]:
        return None
    evidence = {"smallest": rates[low], "largest": rates[high], "largest_ratio_expected": 1e6}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"Gradients span from {rates[low]:.1e} of the weights at {low} to {rates[high]:.1e} at "
        f"{high}, and the network does not learn.",
        "Initialise to keep the scale from layer to layer; add normalisation or residual branches.",
        Suspect(
            cause="init-scale",
            component="init",
            where=low,
            why=f"relative to the weights, its gradient is {rates[low] / rates[high]:.0e} of that "
            f"at {high}",
        ),
    )


def judge_dead(dead: Sequence[tuple[str, float]], learned: float) -> Finding | None:
    """Judges units that died in training, in a run that fails; None if it does not or none did.

    Args:
      dead: (path before it, share of units that are off for all rows) of each activation layer.
      learned: share of the way that a few examples went.
    """
    worst = max(dead, key=lambda pair: pair[1], default=("", 0.0))
    if learned >= 0.9 or worst[1] < 0.9:
        return None
    evidence = {"share_dead": worst[1], "share_of_the_way_learned": learned}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"After training {worst[1]:.0%} of the units behind {worst[0]} are off for every input, "
        "and the network does not learn.",
        "Lower the learning rate, initialise smaller, or use an activation that never goes flat.",
        Suspect(
            cause="dead-units",
            component="model",
            where=worst[0],
            why=f"{worst[1]:.0%} of its units answer the same for every input",
        ),
    )


def judge_given(differing: Sequence[str], frozen: int) -> Finding | None:
    """Judges frozen weights that are drawn at random; None if there are none.

    Args:
      differing: paths of frozen matrices whose start depends on the seed.
      frozen: how many frozen parameters there are.
    """
    if not differing:
        return None
    evidence = {"frozen": frozen, "frozen_and_random": len(differing), "expected": 0}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"{_places(differing)} are frozen, but start at random: weights that should be given were "
        "not loaded.",
        "Load the weights in init; freeze only what has been trained.",
        Suspect(
            cause="pretrained-not-loaded",
            component="init",
            where=_places(differing),
            why="another seed gives other values, and training is told to leave them alone",
        ),
    )


def measure_given(context: Context) -> tuple[list[str], int]:
    """Returns the frozen matrices whose start depends on the seed, and how many are frozen.

    A layer twice as wide as what it reads may be random on purpose (random features), if the rest
    learns on top of it.
    """
    frozen = frozen_paths(context)
    if not frozen:
        return [], 0
    own = _by_path(context.trainer.params(context.fresh_state()))
    other = _by_path(context.other_inits[0][0])
    found = [
        name
        for name in sorted(frozen)
        if own[name].ndim >= 2 and not np.array_equal(own[name], other[name])
    ]
    spread = all(
        own[name].ndim == 2 and own[name].shape[1] >= 2 * own[name].shape[0] for name in found
    )
    if found and spread and few_learned(context) >= 0.9:
        return [], len(frozen)
    return found, len(frozen)


def _by_path(params: PyTree) -> dict[str, np.ndarray]:
    return {
        path_name(path): np.array(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    }


def check_gradient_flow(context: Context) -> tuple[Finding, ...]:
    """Measures and judges what reaches each parameter, and what lives behind it (G18)."""
    given = judge_given(*measure_given(context))
    if context.foreign or context.model is None:
        said = "A foreign trainer does not show its gradients; B8 and G15 look at what it moves."
        skipped = Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said)
        return (skipped,) if given is None else (given,)
    found = measure_gradients(context)
    dead = _dead_layers(context, visible_variables(context)) if found.without else ()
    finding = judge_gradients(found, dead)
    alarms = [finding] if finding.verdict is not Verdict.PASSED else []
    real = context.controls.arms["real"]
    assert real.variables is not None
    gradient, batch = _gradient(context), context.batch()
    before, after = _by_path(context.variables()[0]), _by_path(real.variables[0])
    frozen = frozen_paths(context)
    after = {name: leaf for name, leaf in after.items() if name not in frozen}
    if any(alike(leaf) for leaf in after.values()):
        symmetric = judge_symmetry(before, after, gradient(*real.variables, batch)[1], real.steps)
        alarms = [symmetric] if symmetric else alarms
    if not alarms:
        early = (
            judge_equal_starts(measure_equal_starts(context)),
            judge_born_dead(measure_born_dead(context)),
        )
        alarms = [finding for finding in early if finding is not None]
    learned = few_learned(context)
    if not alarms and learned < 0.9:
        slopes = gradient(*context.variables(), batch)[1]
        slopes = {name: leaf for name, leaf in slopes.items() if name not in frozen}
        more = (
            judge_dead(_dead_layers(context, real.variables, inside=True), learned),
            judge_flow(slopes, before, learned),
        )
        alarms = [finding for finding in more if finding is not None]
    alarms += [given] if given is not None else []
    return tuple(alarms) or (finding,)
