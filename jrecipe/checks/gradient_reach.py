"""Which parameters get no gradient at all, and what that means (G18).

Exact zeros are looked for on several batches, under weights that were moved a little (a
zero-initialised head is healthy), and under those of other seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.gradient_reason import (
    Reason,
    loss_blind,
    reason_of,
    unreached,
    without_effect,
)
from jrecipe.checks.network_layers import frozen_paths, layers_of
from jrecipe.checks.parameter_paths import (
    CHECK,
    ITEM,
    SEEDS,
    Leaves,
    loss_gradient,
    other_params,
    places,
)
from jrecipe.checks.probing import perturbed, visible_variables
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

_ROUNDED = 1e-6  # of the largest gradient: no more than float32 leaves of a gradient that is 0


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
    gradient = loss_gradient(context)
    batches = (context.batch(), context.other())
    moved, fresh = visible_variables(context), context.variables()
    loss, start = gradient(*fresh, batches[0])
    named = [name for name in start if name not in frozen_paths(context)]
    bad = [name for name in named if not np.isfinite(start[name]).all()]
    seen = [gradient(*moved, batch)[1] for batch in batches]
    silent = [name for name in named if not any(grads[name].any() for grads in (start, *seen))]
    without: dict[str, Reason] = {}
    if silent:
        structural = unreached(context)
        others = [(perturbed(p, context.seed), fresh[1]) for p in other_params(context)]
        for variables in others:
            for batch in batches:
                grads = gradient(*variables, batch)[1]
                silent = [name for name in silent if not grads[name].any()]
        for name in silent:
            reason = "unused" if name in structural else reason_of(context, name, [moved, *others])
            if reason != "normalised":
                without[name] = reason
    for name in _quiet(_matrices(context, named), (start, *seen)):
        if name not in silent and without_effect(context, name, moved):
            without[name] = "unselected"
    return Gradients(
        leaves=len(named),
        without=without,
        not_finite=bad if np.isfinite(loss) else (),
        loss_blind=len(named) > 0 and len(without) == len(named) and loss_blind(context, moved),
    )


def _matrices(context: Context, named: Sequence[str]) -> list[str]:
    """Returns the parameters that inputs are multiplied with, biases left out.

    A bias before a softmax or a normalisation has no effect, and does no harm.
    """
    layers = layers_of(context)
    if layers is None:
        return []
    own = {product.path for product in layers.flow.products if product.leaves == {product.path}}
    return [name for name in named if name in own]


def _quiet(names: Sequence[str], grads: Sequence[Leaves]) -> list[str]:
    """Returns the parameters whose gradient is no more than rounding beside that of others."""
    found = set(names)
    for leaves in grads:
        sizes = {name: float(np.sqrt(np.mean(g**2))) for name, g in leaves.items() if g.size}
        most = max(sizes.values(), default=0.0)
        found &= {name for name, size in sizes.items() if size <= _ROUNDED * most}
    return [name for name in names if name in found]


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
        where = places(found.not_finite)
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
        where = places(full if reason == "dead" and full else names)
        suspects.append(Suspect(cause=cause, component=component, where=where, why=why))
    certain = any(by[reason] for reason in ("dead", "cut", "unfed", "unused"))
    return result(
        Verdict.FAILED if certain else Verdict.WARNED,
        f"{len(found.without)} of {found.leaves} parameters get no gradient at all: "
        f"{places(list(found.without))}; {suspects[0].why}.",
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
        f"other values change no output, under the weights of {SEEDS + 1} seeds",
    ),
    "not-in-loss": (
        "loss-ignores-outputs",
        "loss",
        "other values change outputs, but never the loss",
    ),
}
