"""B2: the skeleton is simple - stage B runs without augmentation, dropout and decay, and says so.

Augmentation is left out of the task; dropout is taken out of the network where it can be taken
apart. Decay lives inside the optimiser and cannot be removed from outside, so what it does is
measured: how much of the first update comes from the weights rather than from the gradient.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.checks.compiling import jit_once
from jrecipe.checks.context import Context
from jrecipe.checks.controls import simplified
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.train.reference import optimizer_of
from jrecipe.train.step import make_loss_fn
from jrecipe.types import Model, PyTree

ITEM, CHECK = "B2", "simplify"
CALLS = 8  # of the optimiser with one gradient; more than most accumulate


def decay_share(tx: optax.GradientTransformation, grads: PyTree, params: PyTree) -> float:
    """Measures how much of the first update is due to the weights and not to the gradient.

    The update for `(grads, params)` is compared with that for `(grads, zeros)`. Only directions
    count, per leaf, so optimisers that scale with the size of the weights (LARS, LAMB) show none.

    Args:
      tx: the optimiser, decoupled or coupled decay inside or not.
      grads: a gradient.
      params: the weights.

    Returns:
      1 - cosine between the two, averaged over leaves with the size of the leaf; 0 without decay,
      about 1 and above when decay decides the direction.
    """

    def travelled(weights: PyTree) -> PyTree:
        def call(state: optax.OptState, _: None) -> tuple[optax.OptState, PyTree]:
            updates, state = tx.update(grads, state, weights)
            return state, updates

        # Several calls, as warm-up and gradient accumulation give no update at the first.
        updates = jax.lax.scan(call, tx.init(weights), None, length=CALLS)[1]
        return jax.tree.map(lambda x: x.sum(axis=0), updates)

    def shares(params: PyTree) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
        pairs = zip(
            jax.tree.leaves(travelled(params)),
            jax.tree.leaves(travelled(jax.tree.map(jnp.zeros_like, params))),
            strict=True,
        )
        flat = [(a.ravel().astype(jnp.float32), b.ravel().astype(jnp.float32)) for a, b in pairs]
        return [(a @ b, jnp.linalg.norm(a), jnp.linalg.norm(b)) for a, b in flat]

    sizes = [np.size(x) for x in jax.tree.leaves(params)]
    total = share = 0.0
    for (product, a, b), size in zip(jit_once(shares)(params), sizes, strict=True):
        length = float(a) * float(b)
        total += size
        share += size * (1.0 - float(product) / length if length > 0 else 0.0)
    return share / max(total, 1.0)


def measure_decay(context: Context) -> float:
    """Returns `decay_share` of the task's optimiser for the first gradient; needs a model."""
    task = context.task
    params, state = context.variables()
    batch = context.batch()
    loss_fn = make_loss_fn(simplified(task).model, task.loss)

    def mean_loss(params: PyTree) -> jax.Array:
        value, weight, _ = loss_fn(params, state, batch, context.key)
        return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

    return decay_share(optimizer_of(task), jit_once(jax.grad(mean_loss))(params), params)


def dropout_noise(context: Context) -> tuple[float, float]:
    """Returns the relative change of outputs between two keys: as it is, and simplified."""
    task = context.task

    params, state = context.variables()
    inputs = context.batch(8).inputs

    def noise(model: Model) -> float:
        def gap(params: PyTree) -> tuple[jax.Array, jax.Array]:
            leaves, tree = jax.tree.flatten(params)
            keys = jax.random.split(jax.random.key(context.seed + 1), len(leaves))
            # A zero-initialised head would hide any randomness behind it.
            noisy = jax.tree.unflatten(
                tree,
                [
                    x + 0.1 * jax.random.normal(key, x.shape, x.dtype)
                    if jnp.issubdtype(x.dtype, jnp.floating)
                    else x
                    for key, x in zip(keys, leaves, strict=True)
                ],
            )
            a, b = (
                model.apply(noisy, state, inputs, key=jax.random.key(i), train=True)[0]
                for i in (1, 2)
            )
            return optax.tree.norm(jax.tree.map(jnp.subtract, a, b)), optax.tree.norm(a)

        change, size = jit_once(gap)(params)
        return float(change) / max(float(size), 1e-12)

    simple = simplified(task).model
    if simple is task.model:
        alone = noise(task.model)
        return alone, alone
    return noise(task.model), noise(simple)


def judge_simplify(*, augmented: bool, noise: float, noise_left: float, decay: float) -> Finding:
    """Judges whether stage B is simple enough to trust what its other checks say.

    Args:
      augmented: whether the task has an augmentation (left out of stage B).
      noise: relative change of training outputs between two keys, the network as it is.
      noise_left: the same after dropout was taken out.
      decay: see `decay_share`.
    """
    off = ["augmentation"] * augmented + ["dropout"] * (noise > 0 and noise_left == 0)
    said = (
        f"Stage B runs without {' and '.join(off)}." if off else "Stage B runs the task as it is."
    )
    left = []
    if noise_left > 0:
        left.append("randomness inside the network that cannot be taken out stays on")
    if decay > 1e-3:
        left.append(f"weight decay stays on and turns the first update by {decay:.1%}")
    if left:
        said += " " + "; ".join(left).capitalize() + "."
    elif not off:
        said = "Nothing to simplify: no augmentation, no dropout, no weight decay."
    evidence = {
        "augmentation": augmented,
        "dropout_noise": noise,
        "noise_left": noise_left,
        "decay_share": decay,
        "decay_share_limit": 0.5,
    }
    if decay > 0.5:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.FAILED,
            evidence=evidence,
            finding=f"Weight decay, not the loss, decides the first update (share {decay:.0%}).",
            remedy="Lower the weight decay, or use decoupled decay (optax.adamw) at 1e-4 to 1e-2.",
            suspects=(
                Suspect(
                    cause="decay-dominates",
                    component="optimizer",
                    why=f"the update turns by {decay:.0%} when the weights are taken out of it",
                ),
            ),
        )
    return Finding(item=ITEM, check=CHECK, verdict=Verdict.PASSED, evidence=evidence, finding=said)


def check_simplify(context: Context) -> Finding:
    """Measures and judges what remains switched on in stage B (B2)."""
    task = context.task
    if context.foreign or context.model is None:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="The task brings its own trainer; switch augmentation, dropout and decay off "
            "there while you check the skeleton.",
        )
    noise, noise_left = dropout_noise(context)
    return judge_simplify(
        augmented=task.augment is not None,
        noise=noise,
        noise_left=noise_left,
        decay=measure_decay(context),
    )
