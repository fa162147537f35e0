"""What was seen inside a network as a table and pictures, worst layers first (D13)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jrecipe.checks.inside_filters import Filters
from jrecipe.checks.inside_judge import VANISHED, bad_layers, reach
from jrecipe.checks.inside_layers import LayerInside
from jrecipe.figures import Figure, Histograms, Pictures, Table

MOST_LAYERS, MOST_FILTERS = 12, 18
COLUMNS = ("layer", "activation", "units", "mean", "deviation", "dead", "saturated", "gradient")


def worst_first(layers: Sequence[LayerInside], gradients: Mapping[str, float]) -> list[LayerInside]:
    """Sorts layers: bad ones in network order, the others by share stuck, then by gradient."""
    bad = {id(layer) for layer in bad_layers(layers, gradients)}

    def badness(layer: LayerInside) -> tuple[float, ...]:
        if id(layer) in bad:
            return 0.0, 0.0, 0.0
        stuck = max(layer.dead, layer.saturated) if layer.followed else 0.0
        gradient = gradients.get(layer.path, math.inf)
        return 1.0, -stuck, gradient if math.isfinite(gradient) else math.inf

    return sorted(layers, key=badness)


def table(
    layers: Sequence[LayerInside], gradients: Mapping[str, float], most: int | None = None
) -> Table:
    """Returns a row per layer, worst first.

    Args:
      layers: in the order of the network.
      gradients: parameter path -> norm of the gradient relative to that of the weights.
      most: rows at most; the title says how many are left out.
    """
    ordered = worst_first(layers, gradients)
    left_out = len(ordered) - len(ordered[:most])
    rows = [
        (
            layer.path,
            layer.kind,
            str(layer.units),
            f"{layer.mean:.3g}",
            f"{layer.deviation:.3g}",
            f"{100 * layer.dead:.0f} %" if layer.kind == "relu" else "–",
            f"{100 * layer.saturated:.0f} %" if layer.kind in ("tanh", "logistic") else "–",
            _rate(gradients.get(layer.path, math.nan)),
        )
        for layer in ordered[:most]
    ]
    title = "Layers, worst first" + _left_out(left_out)
    return Table(title=title, columns=COLUMNS, rows=rows)


def drawn(
    layers: Sequence[LayerInside], gradients: Mapping[str, float], filters: Filters | None
) -> tuple[Figure, ...]:
    """Returns the table, the histograms of the same layers, and the filters.

    Args:
      layers: in the order of the network.
      gradients: parameter path -> norm of the gradient relative to that of the weights.
      filters: of the first layer.
    """
    if not layers:
        return ()
    chosen = {id(layer) for layer in worst_first(layers, gradients)[:MOST_LAYERS]}
    shown = [layer for layer in layers if id(layer) in chosen]
    bad, reached = {id(layer) for layer in bad_layers(layers, gradients)}, reach(layers, gradients)
    figures: list[Figure] = [
        table(layers, gradients, MOST_LAYERS),
        Histograms(
            title="What comes out of each layer, in the order of the network"
            + _left_out(len(layers) - len(shown)),
            counts=[layer.counts for layer in shown],
            edges=[layer.edges for layer in shown],
            captions=[f"{layer.path.removesuffix('/kernel')}, {layer.kind}" for layer in shown],
            notes=[_note(layer, reached.get(layer.path, 1.0)) for layer in shown],
            good=[id(layer) not in bad for layer in shown],
        ),
    ]
    if filters is not None:
        n, most = len(filters.images), min(len(filters.images), MOST_FILTERS)
        noise = "" if math.isnan(filters.noise) else f"; noise {filters.noise:.2f}, white is 1"
        figures.append(
            Pictures(
                title=f"First-layer filters, {filters.path}: {most} strongest of {n}{noise}",
                images=filters.images[:most],
                captions=[f"norm {norm:.3g}" for norm in filters.norms[:most]],
            )
        )
    return tuple(figures)


def _rate(rate: float) -> str:
    if math.isnan(rate):
        return "–"
    return f"{rate:.1e}" if rate else "0"


def _left_out(count: int) -> str:
    return f"; {count} more {'is' if count == 1 else 'are'} left out" if count > 0 else ""


def _note(layer: LayerInside, share: float) -> str:
    if not math.isfinite(layer.deviation):
        return "not finite"
    if layer.kind == "relu" and layer.dead > 0:
        return f"{layer.dead:.0%} of {layer.units} units dead"
    if layer.saturated > 0:
        return f"{layer.saturated:.0%} of {layer.units} units saturated"
    return f"gradient {share:.0e} of the largest" if share < VANISHED else ""
