"""What predictions read, and whether updates reach it (G15, foreign trainers)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.checks.carried_state import stale_copies, still_statistics
from jrecipe.checks.foreign_state import Gradients
from jrecipe.checks.probing import as_numpy, disagreement, perturbed, rounding
from jrecipe.checks.step_probe import Probe, step_once
from jrecipe.checks.step_trouble import Trouble
from jrecipe.types import Array, Batch, PyTree

_LONG = 120  # updates after which an average of weights has begun to follow


def judge_cut(
    probe: Probe, gradients: Gradients, moved: list[bool], sizes: list[float], batch: Batch
) -> list[Trouble]:
    """Judges parameters that never move, for want of a gradient, though outputs depend on them."""
    still = [
        i
        for i, name in enumerate(probe.names)
        if not (moved[i] or probe.frozen[i]) and sizes[i] == 0 and probe.start[i].size
    ]
    if not still or not any(size > 0 for size in sizes):
        return []

    def outputs(leaves: list[Array]) -> PyTree:
        run = gradients.outputs(leaves, gradients.state, batch.inputs, probe.ctx.key)
        return as_numpy(run[0])

    plain, cut = outputs([jnp.asarray(x) for x in probe.start]), []
    for i in still:
        changed: list[Array] = [jnp.asarray(x) for x in probe.start]
        changed[i] = perturbed(changed[i], probe.ctx.seed, scale=1.0)
        if disagreement(plain, outputs(changed)) > 10 * rounding(probe.ctx):
            cut.append(probe.names[i])
    if not cut:
        return []
    where = ", ".join(cut[:4]) + (", ..." if len(cut) > 4 else "")
    return [
        Trouble(
            certain=False,
            cause="gradient-cut",
            component="model",
            where=where,
            why=f"outputs depend on {where}, but its gradient is exactly 0 and it never moves",
        )
    ]


def judge_carried(probe: Probe, batches: list[Batch]) -> list[Trouble]:
    """Judges whether what predictions read beside the parameters follows the updates."""
    ctx = probe.ctx
    frozen = [name for name, is_frozen in zip(probe.names, probe.frozen, strict=True) if is_frozen]
    predict = lambda state: ctx.predict(state, batches[0].inputs)  # noqa: E731

    def after(updates: int) -> object:
        state = ctx.fresh_state()
        for i in range(updates):
            key = jax.random.fold_in(ctx.key, i)
            state, _ = step_once(ctx.trainer, state, batches[i % len(batches)], key)
        return state

    start, state = ctx.fresh_state(), after(len(batches))
    names = still_statistics(start, state, ctx.trainer.params, predict, frozen)
    if names:
        return [
            Trouble(
                certain=False,
                cause="statistics-never-updated",
                component="step",
                where=", ".join(names[:4]),
                why=f"predictions read {len(names)} statistics that no update changes",
            )
        ]
    names = stale_copies(start, state, ctx.trainer.params, predict)
    if names:
        names = stale_copies(ctx.fresh_state(), after(_LONG), ctx.trainer.params, predict)
    if not names:
        return []
    return [
        Trouble(
            certain=True,
            cause="stale-parameters",
            component="eval",
            where=", ".join(names[:4]),
            why=f"predictions read copies of the first weights, the same after {_LONG} updates",
        )
    ]
