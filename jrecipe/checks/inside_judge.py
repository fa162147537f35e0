"""Judges what was seen inside a network: layers that are off, stuck, or out of reach (D13)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jrecipe.checks.inside_layers import LayerInside
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "D13", "inside"
# Trained networks that are fine have some dead units, so it takes nearly all of a layer.
DEAD, SATURATED = 0.9, 0.5
# Between kernels of one network: those of the zoo, after 60 updates on digits, lie above 5e-3,
# a stack of 12 sigmoid layers lies below 1e-7.
VANISHED = 1e-5


def bad_layers(layers: Sequence[LayerInside], gradients: Mapping[str, float]) -> list[LayerInside]:
    """Returns the layers held against a network, in network order: the first may explain the rest.

    They are those that are not finite, or off or stuck and read by others; only where there are
    none, those that gradients do not reach, as that is what stuck layers lead to.

    Args:
      layers: what comes out of each, in the order of the network.
      gradients: parameter path -> norm of the gradient relative to that of the weights.
    """
    stuck = [layer for layer in layers if _is_stuck(layer)]
    reached = reach(layers, gradients)
    return stuck or [layer for layer in layers if reached.get(layer.path, 1.0) < VANISHED]


def reach(layers: Sequence[LayerInside], gradients: Mapping[str, float]) -> dict[str, float]:
    """Returns path -> relative gradient as a share of the largest among the layers'.

    One of exactly 0 is left out: it was cut on purpose, or by a cause that G18 finds.

    Args:
      layers: whose parameters to compare.
      gradients: path -> norm of the gradient relative to that of the weights.
    """
    rates = {layer.path: gradients.get(layer.path, 0.0) for layer in layers}
    rates = {path: rate for path, rate in rates.items() if rate > 0}
    return {path: rate / max(rates.values()) for path, rate in rates.items()}


def _is_stuck(layer: LayerInside) -> bool:
    if not math.isfinite(layer.deviation):
        return True
    return layer.followed and (layer.dead >= DEAD or layer.saturated >= SATURATED)


def judge_inside(layers: Sequence[LayerInside], gradients: Mapping[str, float]) -> Finding:
    """Judges the layers of a network; the first bad one is named, as it may explain the others.

    Args:
      layers: what comes out of each, in the order of the network.
      gradients: parameter path -> norm of the gradient relative to that of the weights.
    """
    reached = reach(layers, gradients)
    evidence = {
        "layers": len(layers),
        "largest_share_dead": max((x.dead for x in layers if x.followed), default=0.0),
        "share_dead_expected_below": DEAD,
        "largest_share_saturated": max((x.saturated for x in layers if x.followed), default=0.0),
        "share_saturated_expected_below": SATURATED,
        "smallest_gradient_over_largest": min(reached.values(), default=1.0),
        "ratio_expected_above": VANISHED,
    }
    result = concluding(ITEM, CHECK, evidence)
    if not layers:
        return result(Verdict.SKIPPED, "No layer of the network can be looked at.")
    bad = bad_layers(layers, gradients)
    if bad:
        return result(Verdict.WARNED, *_complaint(bad[0], reached.get(bad[0].path, 1.0)))
    dead, saturated = evidence["largest_share_dead"], evidence["largest_share_saturated"]
    return result(
        Verdict.PASSED,
        f"No layer is off or stuck: at most {dead:.0%} of the units of a layer are dead and "
        f"{saturated:.0%} saturated.",
    )


def _complaint(layer: LayerInside, share: float) -> tuple[str, str, Suspect]:
    """Returns finding, remedy and suspect of a bad layer; `share` is what reaches it."""
    if not math.isfinite(layer.deviation):
        why = "it is the first layer whose output is not finite"
        return (
            f"What comes out of {layer.path} is not finite.",
            "Lower the learning rate, or look at what enters this layer.",
            Suspect(cause="not-finite", component="model", where=layer.path, why=why),
        )
    if layer.dead >= DEAD:
        why = f"{layer.dead:.0%} of its {layer.units} units are 0 for every example"
        return (
            f"Dead units behind {layer.path}: {why}.",
            "Lower the learning rate, start biases at 0, or use an activation that never goes "
            "flat.",
            Suspect(cause="dead-units", component="model", where=layer.path, why=why),
        )
    if layer.saturated >= SATURATED:
        units = f"{layer.saturated:.0%} of its {layer.units} units"
        why = f"{units} are at a limit for nearly every example"
        return (
            f"Saturated units behind {layer.path}: {why}, and pass almost no gradient.",
            "Initialise smaller, lower the learning rate, or normalise what enters this layer.",
            Suspect(cause="init-scale", component="init", where=layer.path, why=why),
        )
    why = f"relative to the weights, its gradient is {share:.0e} of the largest"
    return (
        f"Gradients vanish on their way to {layer.path}: {why}.",
        "Initialise to keep the scale from layer to layer; add normalisation or residual branches, "
        "or use ReLUs.",
        Suspect(cause="init-scale", component="init", where=layer.path, why=why),
    )
