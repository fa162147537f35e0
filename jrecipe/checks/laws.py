"""Which law a loss of the user's own obeys: it is compared with the losses whose laws are known.

A loss is a function of outputs and targets alone, so it can be asked about outputs that no network
made. If on random outputs it is a constant multiple of a known loss, for every example, it is that
loss up to its scale; the scale, and whether it changes with the batch, is a finding of its own.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.types import LossFunction, PyTree, TaskError

_KNOWN = (
    losses.softmax_cross_entropy(),
    losses.sigmoid_cross_entropy(),
    losses.multilabel_cross_entropy(),
    losses.l2(),
    losses.l1(),
    losses.token_cross_entropy(),
)


@dataclasses.dataclass(frozen=True)
class Law:
    """A known loss that a loss is `scale` times.

    Attributes:
      loss: the known loss.
      scale: what it is multiplied by, 1 for jrecipe's own.
      scale_half: the same measured on half as many examples; another number if the loss of an
        example depends on how many there are.
      rows: examples on which `scale` was measured.
      classes: size of the last axis of the outputs.
    """

    loss: losses.Loss
    scale: float = 1.0
    scale_half: float = 1.0
    rows: int = 0
    classes: int = 0

    @property
    def depends_on_batch(self) -> bool:
        """Whether the scale changes with the number of examples."""
        return abs(self.scale - self.scale_half) > 0.01 * abs(self.scale)

    @property
    def per_class(self) -> bool:
        """Whether a cross-entropy was averaged over its classes too; unclear for two classes."""
        if self.loss.kind not in ("classes", "tokens") or self.classes < 3:
            return False
        return abs(self.scale * self.classes - 1.0) < 1e-3


def law_of(loss: LossFunction, outputs: PyTree, targets: PyTree, seed: int = 0) -> Law | None:
    """Returns the law of a loss, None if it is none of the known ones.

    Args:
      loss: any loss.
      outputs: outputs of the network for some examples; only their shape and dtype matter.
      targets: the targets of these examples.
      seed: decides the outputs that the loss is asked about.

    Example:
      >>> mine = lambda outputs, targets: 0.5 * ((outputs - targets) ** 2)[:, 0]
      >>> law = law_of(mine, np.zeros((8, 1)), np.arange(8.0)[:, None])
      >>> law.loss.name, round(law.scale, 3)
      ('l2', 0.5)
    """
    if not hasattr(outputs, "shape"):
        return None
    classes = int(outputs.shape[-1]) if len(outputs.shape) > 1 else 1
    if isinstance(loss, losses.Loss):
        return Law(loss, rows=len(outputs), classes=classes)
    if not hasattr(targets, "shape") or len(outputs) < 4:
        return None
    rows = min(len(outputs), 64)
    # Spread out, so that losses that agree at small outputs (Huber and L2) are told apart.
    drawn = 3.0 * np.random.default_rng(seed).normal(size=(rows, *outputs.shape[1:]))
    asked, targets = jnp.asarray(drawn, jnp.float32), np.asarray(targets)[:rows]
    value, weight = losses.weighted(loss, asked, targets)
    if not np.allclose(weight, weight[0]):
        return None
    half = losses.weighted(loss, asked[: rows // 2], targets[: rows // 2])[0]
    for known in _KNOWN:
        try:
            known.validate(targets, shape=tuple(outputs.shape[1:]), several=False)
            reference = np.asarray(losses.weighted(known, asked, targets)[0], np.float64)
        except TaskError:  # this known loss does not take such targets
            continue
        scale = _constant_ratio(value, reference)
        scale_half = _constant_ratio(half, reference[: rows // 2])
        if scale is not None and scale_half is not None:
            return Law(known, scale, scale_half, rows, classes)
    return None


def _constant_ratio(value: jax.Array, reference: np.ndarray) -> float | None:
    counted = reference > 1e-3
    if not counted.any():
        return None
    ratio = np.asarray(value, np.float64)[counted] / reference[counted]
    middle = float(np.median(ratio))
    if not middle > 0 or not np.all(np.abs(ratio - middle) < 1e-3 * middle):  # NaN counts as no
        return None
    return middle


def is_distribution(outputs: PyTree) -> bool:
    """Tells whether outputs [..., c] with c > 1 are non-negative and sum to 1 over c."""
    if not hasattr(outputs, "shape") or np.ndim(outputs) < 2 or np.shape(outputs)[-1] < 2:
        return False
    rows = np.asarray(outputs, np.float64)
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=-1), 1.0, atol=1e-2))
