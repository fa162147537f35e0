"""Cross-entropy of where an answer starts and where it ends in a text (J5)."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.losses import checking
from jrecipe.losses.base import Kind, Loss, Shape, shape_error
from jrecipe.losses.classification import log_prior, logsumexp
from jrecipe.types import Array, TaskError

_MASKED = -1e6  # logits below are padding: what they are says nothing of the network


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpanCrossEntropy(Loss):
    """See `span_cross_entropy`.

    Its laws are for a network that knows nothing, not even how long a text is: where the outputs
    mask padding, what masks is replaced by the mean of the other positions, and the untrained loss
    is at most what the laws say.
    """

    name: str = "span cross-entropy"
    kind: Kind = "span"
    longest: int = 30

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Returns float32[b] from logits float[b, t, 2] and positions int[b, 2]."""
        outputs, targets = jnp.asarray(outputs), jnp.asarray(targets)
        integers = jnp.issubdtype(targets.dtype, jnp.integer)
        fit = outputs.ndim == 3 and targets.shape == (outputs.shape[0], 2) == outputs.shape[::2]
        if not (integers and fit):
            raise shape_error(
                self.name, outputs, targets, "logits [b, t, 2] and (start, end) int[b, 2]"
            )
        logits = jnp.swapaxes(outputs, 1, 2).astype(jnp.float32)
        positions = targets.astype(jnp.int32)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, positions)
        return jnp.mean(nats, axis=1)

    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the log prior of the starts and of the ends [t, 2], each centred."""
        spans = self._spans(targets, shape)
        sides = [np.bincount(side, minlength=shape[0]).astype(np.float64) for side in spans.T]
        return np.stack([log_prior(counts) for counts in sides], axis=1)

    def constant_loss(self, constant: Array, targets: Array) -> float:
        """Returns the mean loss for the same logits [t, 2] in every row."""
        logits = _lifted(np.asarray(constant, np.float64))
        spans = self._spans(targets, logits.shape)
        own = np.take_along_axis(logits, spans, axis=0)
        return float(np.mean(logsumexp(logits.T)) - np.mean(own))

    def spread_cost(self, outputs: Array) -> float:
        """Returns `mean lse(z) - lse(mean z)` over the positions, the mean of both sides."""
        logits = np.swapaxes(_lifted(np.asarray(outputs, np.float64)), 1, 2)
        return float(np.mean(logsumexp(logits)) - np.mean(logsumexp(logits.mean(axis=0))))

    def validate(
        self,
        targets: Array,
        name: str = "targets",
        shape: Shape | None = None,
        *,
        several: bool = True,
    ) -> None:
        """Asks for int[b, 2], 0 <= start <= end < t; see `Loss.validate`."""
        spans = checking.as_integers(targets, name, rank=2)
        if spans.shape[1] != 2:
            raise TaskError(
                f"{name} need (start, end) int[b, 2], got shape {list(spans.shape)}; give the two "
                "positions of each answer, (0, 0) for none."
            )
        checking.require(spans >= 0, spans, name, "positions >= 0", "give (0, 0) for no answer")
        ordered = spans[:, 1:] >= spans[:, :1]
        checking.require(
            ordered, spans[:, 1:], name, "ends no earlier than starts", "give the last token's"
        )
        if shape is not None:
            if len(shape) != 2 or shape[1] != 2:
                raise TaskError(
                    f"{self.name} needs logits [b, t, 2] for {name}, got outputs {['b', *shape]}; "
                    "use jr.models.SpanFinder."
                )
            checking.require(
                spans < shape[0],
                spans,
                name,
                f"positions below the number of tokens, {shape[0]}",
                "an answer that was cut off is (0, 0)",
            )
        if several and len(spans) >= 2 and (spans == spans[:1]).all():
            raise TaskError(
                f"{name} have one span only, {tuple(spans[0].tolist())} in all {len(spans)} rows; "
                "there is nothing to learn: give data with at least two."
            )

    def decide(self, outputs: Array) -> Array:
        """Returns the likeliest span, int32[b, 2]: start <= end, at most `longest` tokens.

        Position 0 stands for no answer, (0, 0), and starts no other span.
        """
        logits = jnp.asarray(outputs, jnp.float32)
        t = logits.shape[1]
        start, end = jnp.arange(t)[:, None], jnp.arange(t)[None]
        allowed = (start <= end) & (end < start + self.longest) & ((start > 0) | (end == 0))
        scores = logits[:, :, None, 0] + logits[:, None, :, 1]
        best = jnp.argmax(jnp.where(allowed[None], scores, -jnp.inf).reshape(-1, t * t), axis=1)
        return jnp.stack([best // t, best % t], axis=1).astype(jnp.int32)

    def _spans(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns validated spans int64[b, 2]."""
        self.validate(targets, shape=shape, several=False)
        return np.asarray(targets, np.int64)


def span_cross_entropy(longest: int = 30) -> SpanCrossEntropy:
    """Mean cross-entropy of start and end, from logits float[b, t, 2] and positions int[b, 2].

    Targets are the first and the last token of the answer; (0, 0), the first token of the text,
    says that there is none. Uninformed value the mean of the entropies of start and end, best
    constant their log priors.

    Args:
      longest: tokens that `decide` gives an answer at most, >= 1; training does not use it.

    Raises:
      TaskError: if `longest` is not a positive integer.

    References:
      Devlin et al., "BERT", 2018, arXiv:1810.04805, section 4.2.

    Example:
      >>> loss = span_cross_entropy()
      >>> logits = jnp.zeros((1, 4, 2)).at[0, 2].set(9.0)
      >>> loss.decide(logits).tolist(), round(float(loss(logits, jnp.array([[2, 2]]))[0]), 4)
      ([[2, 2]], 0.0004)
    """
    if isinstance(longest, bool) or not isinstance(longest, int | np.integer) or longest < 1:
        raise TaskError(
            f"span_cross_entropy needs longest, an integer >= 1, got {longest!r}; try 30."
        )
    return SpanCrossEntropy(longest=int(longest))


def _lifted(logits: np.ndarray) -> np.ndarray:
    """Returns logits [..., t, 2] with masked positions at the mean of the others."""
    real = logits > _MASKED
    count = np.maximum(real.sum(axis=-2, keepdims=True), 1)
    mean = np.where(real, logits, 0.0).sum(axis=-2, keepdims=True) / count
    return np.where(real, logits, mean)
