"""Cross-entropy of sequences, where an example counts by its number of tokens."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.losses import checking
from jrecipe.losses.base import Kind, Loss, Shape, shape_error
from jrecipe.losses.classification import log_prior, logsumexp
from jrecipe.types import Array, TaskError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenCrossEntropy(Loss):
    """See `token_cross_entropy`."""

    name: str = "token cross-entropy"
    kind: Kind = "tokens"
    pad: int | None = None

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Returns `(value, weight)` float32[b] from logits [b, t, v] and ids int[b, t]."""
        outputs, targets = jnp.asarray(outputs), jnp.asarray(targets)
        integers = jnp.issubdtype(targets.dtype, jnp.integer)
        if not integers or outputs.ndim != 3 or targets.shape != outputs.shape[:2]:
            raise shape_error(
                self.name, outputs, targets, "logits [b, t, v] and token ids int[b, t]"
            )
        counted = self.counted(targets)
        ids = jnp.where(counted, targets, 0).astype(jnp.int32)  # a pad id may be outside 0..v-1
        nats = optax.softmax_cross_entropy_with_integer_labels(outputs.astype(jnp.float32), ids)
        weight = jnp.sum(counted, axis=1, dtype=jnp.float32)
        total = jnp.sum(jnp.where(counted, nats, 0.0), axis=1)
        return total / jnp.maximum(weight, 1.0), weight

    def counted(self, targets: Array) -> Array:
        """Returns bool[b, t]: which positions count."""
        if self.pad is None:
            return jnp.ones(targets.shape, bool)
        return jnp.asarray(targets) != self.pad

    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the log prior of the counted tokens [v], centred, the same at each position."""
        ids = self._ids(targets, shape)
        counts = np.bincount(ids[ids >= 0], minlength=shape[-1]).astype(np.float64)
        return np.broadcast_to(log_prior(counts), shape).copy()

    def constant_loss(self, constant: Array, targets: Array) -> float:
        """Returns the mean over all counted tokens for the same logits [t, v] in every row."""
        logits = np.asarray(constant, np.float64)
        ids = self._ids(targets, logits.shape)
        nats = logsumexp(logits) - logits[np.arange(ids.shape[1]), np.maximum(ids, 0)]
        return float(nats[ids >= 0].mean())

    def spread_cost(self, outputs: Array) -> float:
        """Returns `mean lse(z) - lse(mean z)` over all rows and positions, padding included."""
        logits = np.asarray(outputs, np.float64)
        flat = logits.reshape(-1, logits.shape[-1])
        return float(np.mean(logsumexp(flat)) - logsumexp(flat.mean(axis=0)))

    def validate(
        self,
        targets: Array,
        name: str = "targets",
        shape: Shape | None = None,
        *,
        several: bool = True,
    ) -> None:
        """Asks for int[b, t] in 0..v-1 where not padding; see `Loss.validate`."""
        ids = checking.as_integers(targets, name, rank=2)
        counted = np.ones(ids.shape, bool) if self.pad is None else ids != self.pad
        if not counted.any():
            raise TaskError(
                f"{name} are all padding (id {self.pad}); give sequences with tokens, or another "
                "pad id."
            )
        checking.require(
            (ids >= 0) | ~counted,
            ids,
            name,
            "token ids >= 0",
            "number the tokens from 0, or say pad=ID for padding",
        )
        if shape is not None:
            if len(shape) != 2 or shape[0] != ids.shape[1]:
                raise TaskError(
                    f"{self.name} needs logits [b, t, v] for {name} {['b', ids.shape[1]]}, got "
                    f"outputs {['b', *shape]}; give one row of logits per position."
                )
            checking.require(
                (ids < shape[1]) | ~counted,
                ids,
                name,
                f"token ids below the number of outputs, {shape[1]}",
                f"give the network {ids[counted].max() + 1} outputs, or say pad=ID for padding",
            )
        if several:
            checking.require_several(ids[counted], name, "token")

    def decide(self, outputs: Array) -> Array:
        """Returns the likeliest token at each position, int[b, t]."""
        return jnp.argmax(jnp.asarray(outputs), axis=-1)

    def _ids(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns validated ids int64[b, t] with -1 for padding."""
        self.validate(targets, shape=shape, several=False)
        ids = np.asarray(targets, np.int64)
        return ids if self.pad is None else np.where(ids == self.pad, -1, ids)


def token_cross_entropy(pad: int | None = None) -> TokenCrossEntropy:
    """Cross-entropy of each token, from logits float[b, t, v] and token ids int[b, t].

    Returns `(value, weight)`: the mean in nats over the counted tokens of a row, and their number,
    so that every mean over rows is the mean over tokens, however rows are batched. A row that is
    all padding has value 0 and weight 0. Uninformed value the entropy of the token prior.

    Args:
      pad: id of targets that do not count, inside or outside the vocabulary (as -100); None if all
        count. Put it wherever a position must not count, as in the prompt.

    Raises:
      TaskError: if `pad` is not an integer.
    """
    if pad is not None and (isinstance(pad, bool) or not isinstance(pad, int | np.integer)):
        raise TaskError(
            f"token_cross_entropy needs an integer pad id or None, got {pad!r}; try pad=0."
        )
    return TokenCrossEntropy(pad=None if pad is None else int(pad))
