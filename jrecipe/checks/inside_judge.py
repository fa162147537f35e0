"""Judges what was seen inside a network: layers that are off, stuck, or out of reach (D13)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jrecipe.checks.inside_layers import LayerInside
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "D13", "inside"
# Trained networks that are fine have some dead units, so it takes nearly all of a layer.
DEAD, SATURATED = 0.9, 0.5
# Between kernels of one network; healthy ones, trained or not, lie within some 1e-3.
VANISHED = 1e-5


def is_bad(layer: LayerInside) -> bool:
    """Whether a layer is held against a network: not finite, or off or stuck, and read by others.

    Args:
      layer: what comes out of it.
    """
    if not math.isfinite(layer.deviation):
        return True
    return layer.followed and (layer.dead >= DEAD or layer.saturated >= SATURATED)


def vanished(layers: Sequence[LayerInside], gradients: Mapping[str, float]) -> tuple[str, float]:
    """Returns the layer with the smallest gradient and its ratio to the largest; ("", 1) if none.

    Gradients are relative to the weights. One of exactly 0 was cut on purpose, or by G18's causes.

    Args:
      layers: whose parameters to compare.
      gradients: path -> relative norm.
    """
    rates = {layer.path: gradients.get(layer.path, 0.0) for layer in layers}
    rates = {path: rate for path, rate in rates.items() if rate > 0}
    if len(rates) < 2:
        return "", 1.0
    path = min(rates, key=lambda path: rates[path])
    return path, rates[path] / max(rates.values())


def judge_inside(layers: Sequence[LayerInside], gradients: Mapping[str, float]) -> Finding:
    """Judges the layers of a network; the first bad one is named, as it may explain the others.

    Args:
      layers: what comes out of each, in the order of the network.
      gradients: parameter path -> norm of the gradient relative to that of the weights.
    """
    smallest, ratio = vanished(layers, gradients)
    evidence = {
        "layers": len(layers),
        "largest_share_dead": max((x.dead for x in layers if x.followed), default=0.0),
        "share_dead_expected_below": DEAD,
        "largest_share_saturated": max((x.saturated for x in layers if x.followed), default=0.0),
        "share_saturated_expected_below": SATURATED,
        "smallest_gradient_over_largest": ratio,
        "ratio_expected_above": VANISHED,
    }
    result = concluding(ITEM, CHECK, evidence)
    if not layers:
        return result(Verdict.SKIPPED, "No layer of the network can be looked at.")
    bad = next((layer for layer in layers if is_bad(layer)), None)
    if bad is not None and not math.isfinite(bad.deviation):
        return result(
            Verdict.WARNED,
            f"What comes out of {bad.path} is not finite.",
            "Lower the learning rate, or look at what enters this layer.",
            Suspect(
                cause="not-finite",
                component="model",
                where=bad.path,
                why="it is the first layer whose output is not finite",
            ),
        )
    if bad is not None:
        return result(Verdict.WARNED, *_stuck(bad))
    if ratio < VANISHED:
        why = f"relative to the weights, its gradient is {ratio:.0e} of the largest"
        return result(
            Verdict.WARNED,
            f"Gradients vanish on their way to {smallest}: {why}.",
            "Initialise to keep the scale from layer to layer; add normalisation or residual "
            "branches, or use ReLUs.",
            Suspect(cause="init-scale", component="init", where=smallest, why=why),
        )
    dead, saturated = evidence["largest_share_dead"], evidence["largest_share_saturated"]
    return result(
        Verdict.PASSED,
        f"No layer is off or stuck: at most {dead:.0%} of the units of a layer are dead and "
        f"{saturated:.0%} saturated.",
    )


def _stuck(layer: LayerInside) -> tuple[str, str, Suspect]:
    """Returns finding, remedy and suspect of a layer that is off or saturated."""
    if layer.dead >= DEAD:
        why = f"{layer.dead:.0%} of its {layer.units} units are 0 for every example"
        return (
            f"Dead units behind {layer.path}: {why}.",
            "Lower the learning rate, start biases at 0, or use an activation that never goes "
            "flat.",
            Suspect(cause="dead-units", component="model", where=layer.path, why=why),
        )
    share = f"{layer.saturated:.0%} of its {layer.units} units"
    why = f"{share} are at a limit for nearly every example"
    return (
        f"Saturated units behind {layer.path}: {why}, and pass almost no gradient.",
        "Initialise smaller, lower the learning rate, or normalise what enters this layer.",
        Suspect(cause="init-scale", component="init", where=layer.path, why=why),
    )
