"""G18: Does every parameter get a gradient, and does every unit live?

A parameter without a gradient never learns (`gradient_reach`, and `gradient_reason` for why). Nor
does a layer whose units start equal (`equal_units`) or are off (`dead_units`), nor, if the network
fails, one that gradients reach too small (`gradient_scale`). Frozen weights need none, but must be
given (`pretrained`). Here is the order in which they are asked.
"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.dead_units import dead_layers, judge_born_dead, judge_dead, measure_born_dead
from jrecipe.checks.equal_units import (
    alike,
    judge_equal_starts,
    judge_symmetry,
    many_copies,
    measure_equal_starts,
)
from jrecipe.checks.gradient_reach import judge_gradients, measure_gradients
from jrecipe.checks.gradient_scale import judge_flow
from jrecipe.checks.network_layers import frozen_paths
from jrecipe.checks.overfit_batch import few_learned
from jrecipe.checks.parameter_paths import CHECK, ITEM, by_path, loss_gradient
from jrecipe.checks.pretrained import judge_given, measure_given
from jrecipe.checks.probing import visible_variables
from jrecipe.checks.result import Finding, Verdict


def check_gradient_flow(context: Context) -> tuple[Finding, ...]:
    """Measures and judges what reaches each parameter, and what lives behind it (G18)."""
    given = judge_given(*measure_given(context))
    if context.foreign or context.model is None:
        said = "A foreign trainer does not show its gradients; B8 and G15 look at what it moves."
        skipped = Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said)
        return (skipped,) if given is None else (given,)
    found = measure_gradients(context)
    dead = dead_layers(context, visible_variables(context)) if found.without else ()
    finding = judge_gradients(found, dead)
    alarms = [finding] if finding.verdict is not Verdict.PASSED else []
    real = context.controls.arms["real"]
    assert real.variables is not None
    gradient, batch = loss_gradient(context), context.batch()
    before, after = by_path(context.variables()[0]), by_path(real.variables[0])
    frozen = frozen_paths(context)
    after = {name: leaf for name, leaf in after.items() if name not in frozen}
    if any(alike(leaf) or many_copies(before[name]) for name, leaf in after.items()):
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
            judge_dead(dead_layers(context, real.variables, inside=True), learned),
            judge_flow(slopes, before, learned),
        )
        alarms = [finding for finding in more if finding is not None]
    alarms += [given] if given is not None else []
    return tuple(alarms) or (finding,)
