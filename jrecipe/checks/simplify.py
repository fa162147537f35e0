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

from jrecipe.checks.context import Context
from jrecipe.checks.controls import simplified
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.train.reference import optimizer_of
from jrecipe.train.step import make_loss_fn
from jrecipe.types import PyTree

ITEM, CHECK = "B2", "simplify"


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
    zeros = jax.tree.map(jnp.zeros_like, params)
    with_weights = tx.update(grads, tx.init(params), params)[0]
    without = tx.update(grads, tx.init(zeros), zeros)[0]

    def leaf(a: jax.Array, b: jax.Array) -> tuple[float, int]:
        a64, b64 = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
        size = np.linalg.norm(a64) * np.linalg.norm(b64)
        return (1.0 - float(a64 @ b64 / size) if size > 0 else 0.0), a64.size

    pairs = [
        leaf(a, b)
        for a, b in zip(jax.tree.leaves(with_weights), jax.tree.leaves(without), strict=True)
    ]
    total = sum(n for _, n in pairs)
    return sum(share * n for share, n in pairs) / max(total, 1)


def dropout_noise(context: Context) -> tuple[float, float]:
    """Returns the relative change of outputs between two keys: as it is, and simplified."""
    task = context.task

    def noise(model: object) -> float:
        params, state = context.variables()
        batch = context.batch(8)
        rng = jax.random.key(context.seed + 1)
        # A zero-initialised head would hide any randomness behind it.
        noisy = jax.tree.map(
            lambda x: (
                x + 0.1 * jax.random.normal(rng, x.shape, x.dtype)
                if jnp.issubdtype(x.dtype, jnp.floating)
                else x
            ),
            params,
        )
        run = jax.jit(lambda key: model.apply(noisy, state, batch.inputs, key=key, train=True)[0])  # type: ignore[attr-defined]
        a, b = run(jax.random.key(1)), run(jax.random.key(2))
        gap = optax.tree.norm(jax.tree.map(jnp.subtract, a, b))
        return float(gap / jnp.maximum(optax.tree.norm(a), 1e-12))

    return noise(task.model), noise(simplified(task).model)


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
    params, state = context.variables()
    batch = context.batch()
    loss_fn = make_loss_fn(simplified(task).model, task.loss)

    def mean_loss(params: PyTree) -> jax.Array:
        value, weight, _ = loss_fn(params, state, batch, context.key)
        return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

    grads = jax.jit(jax.grad(mean_loss))(params)
    noise, noise_left = dropout_noise(context)
    return judge_simplify(
        augmented=task.augment is not None,
        noise=noise,
        noise_left=noise_left,
        decay=decay_share(optimizer_of(task), grads, params),
    )
