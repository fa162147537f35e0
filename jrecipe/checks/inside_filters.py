"""The filters of a network's first layer as pictures, and how noisy they are (D13)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from jrecipe.checks.data_flow import Product
from jrecipe.checks.network_layers import Layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """The filters of the first layer, strongest first.

    Attributes:
      path: parameter that holds them.
      images: float32[n, h, w, c] in [0, 1], c 1 or 3: each filter divided by twice its own largest
        absolute weight, plus 1/2, so that weight 0 is grey.
      norms: float64[n], Euclidean norm of each filter.
      noise: mean squared difference of neighbouring weights over twice their variance: 1 for white
        noise, near 0 for smooth filters, above 1 for alternating ones. NaN if it cannot be told.
    """

    path: str
    images: np.ndarray
    norms: np.ndarray
    noise: float


def first_filters(
    layers: Layers, weights: Mapping[str, np.ndarray], shape: tuple[int, ...] | None
) -> Filters | str:
    """Returns the filters of the first layer, or why they cannot be shown.

    Args:
      layers: of the network.
      weights: path -> values of each parameter.
      shape: of the inputs with batch axis; None if they are not one array.
    """
    first = next((p for p in layers.flow.products if not p.given.near), None)
    if first is None or first.path not in weights:
        return "No layer of the network reads the inputs first."
    kernel = weights[first.path]
    if first.kind == "conv_general_dilated" and kernel.ndim == 4 and first.groups == 1:
        filters = np.moveaxis(kernel, -1, 0)  # Flax keeps [h, w, in, out]
    else:
        picture = _picture(first, kernel, shape, layers)
        if picture is None:
            return f"The first layer, {first.path}, does not look at pictures."
        filters = np.moveaxis(kernel.reshape(*picture, -1), -1, 0)
    if filters.shape[-1] not in (1, 3):
        return (
            f"The filters of {first.path} have {filters.shape[-1]} channels, which no picture "
            "shows (1 and 3 are shown)."
        )
    if not np.isfinite(filters).all():
        return f"The filters of {first.path} are not finite."
    norms = np.sqrt((filters.reshape(len(filters), -1) ** 2).sum(axis=1))
    order = np.argsort(-norms, kind="stable")
    filters = filters[order]
    return Filters(
        path=first.path, images=as_pictures(filters), norms=norms[order], noise=noise(filters)
    )


def as_pictures(filters: np.ndarray) -> np.ndarray:
    """Scales each filter by its own largest absolute weight; see `Filters.images`.

    Example:
      >>> as_pictures(np.array([-2.0, 0.0, 1.0]).reshape(1, 1, 3, 1)).ravel().tolist()
      [0.0, 0.5, 0.75]
    """
    top = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    shown = 0.5 + filters / (2 * np.where(top > 0, top, 1.0))
    return shown.astype(np.float32)


def noise(filters: np.ndarray) -> float:
    """Returns how far neighbouring weights are unrelated; see `Filters.noise`.

    Args:
      filters: float[n, h, w, c].

    Source: von Neumann, "Distribution of the Ratio of the Mean Square Successive Difference to the
    Variance", 1941, in two dimensions; "noisy filters" as a symptom: Karpathy, CS231n, 2015.
    """
    n, h, w, c = filters.shape
    if h < 2 or w < 2:
        return float("nan")
    variance = filters.reshape(n, h * w, c).var(axis=1, ddof=1).mean()
    steps = [np.diff(filters, axis=axis) ** 2 for axis in (1, 2)]
    difference = np.mean(np.concatenate([step.ravel() for step in steps]))
    return float(difference / (2 * variance)) if variance > 0 else float("nan")


def _picture(
    first: Product, kernel: np.ndarray, shape: tuple[int, ...] | None, layers: Layers
) -> tuple[int, int, int] | None:
    """Returns [h, w, c] of the pictures that a dense layer sees as rows of numbers, else None.

    They are the inputs, or square patches of them as in a vision transformer.
    """
    if first.kind != "dot_general" or kernel.ndim != 2 or shape is None or len(shape) not in (3, 4):
        return None
    h, w, c = (*shape[1:], 1) if len(shape) == 3 else shape[1:]
    square = len(shape) == 4 or h == w  # [b, time, features] is no picture
    seen: tuple[int, ...] = ()
    if first.value_in >= 0:
        seen = layers.program.shapes[first.value_in].shape
    if not square or min(h, w) < 3 or seen[-1:] != kernel.shape[:1]:
        return None
    if seen[-1] == h * w * c:
        return h, w, c
    side = math.isqrt(seen[-1] // c)
    if side < 2 or seen[-1] != side * side * c or h % side or w % side:
        return None
    grid = h // side, w // side
    return (side, side, c) if seen[1:-1] in (grid, (math.prod(grid),)) else None
