"""The gradient of the mean loss of a batch: in one pass, or in several that need less memory.

Both give the gradient of `sum(value * weight) / sum(weight)` over the whole batch. Trainers that
average the means of the parts instead give tokens in short parts more weight than others, which is
the error of https://github.com/huggingface/transformers/pull/34191.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.train.compiled import scans_well
from jrecipe.types import Array, Batch, Key, PyTree, TaskError

# (params, model_state, batch, key) -> (value float32[b], weight float32[b], model_state)
BatchLoss = Callable[[PyTree, PyTree, Batch, Key], tuple[Array, Array, PyTree]]
# (loss_fn, total, params, model_state, batch, key) -> (loss, gradient, model_state)
Gradient = Callable[..., tuple[Array, PyTree, PyTree]]
_LEAST = 1e-8  # weight of a batch of padding only


def whole_gradient(
    loss_fn: BatchLoss,
    total: Callable[[Array], Array],
    params: PyTree,
    model_state: PyTree,
    batch: Batch,
    key: Key,
) -> tuple[Array, PyTree, PyTree]:
    """Computes the gradient of a batch in one pass.

    Args:
      loss_fn: of a training batch.
      total: sums a number over the devices on which the whole batch lies.
      params: where.
      model_state: the network's other state.
      batch: or one device's part of it.
      key: of the noise.

    Returns:
      `(loss, gradient, model_state)`; over several devices, one device's share of the first two.
    """

    def mean_loss(params: PyTree) -> tuple[Array, PyTree]:
        value, weight, after = loss_fn(params, model_state, batch, key)
        # The weights do not depend on the parameters; this part's share of the whole mean.
        count = jnp.maximum(total(jax.lax.stop_gradient(weight.sum())), _LEAST)
        return (value * weight).sum() / count, after

    (loss, after), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
    return loss, grads, after


def accumulated_gradient(parts: int) -> Gradient:
    """Returns a function as `whole_gradient` that passes a batch through in so many parts.

    Sums of value times weight and their gradients are added up in float32, and divided once by the
    sum of all weights. The network's other state goes from part to part.

    Args:
      parts: >= 2.
    """

    def gradient(
        loss_fn: BatchLoss,
        total: Callable[[Array], Array],
        params: PyTree,
        model_state: PyTree,
        batch: Batch,
        key: Key,
    ) -> tuple[Array, PyTree, PyTree]:
        rows = batch.weights.shape[0]

        def summed(params: PyTree, state: PyTree, part: Batch, key: Key) -> tuple[Array, Any]:
            value, weight, state = loss_fn(params, state, part, key)
            # Divided by the rows, a number known before, so that half precision does not overflow.
            return (value * weight).sum() / rows, (weight.sum() / rows, state)

        def add(carry: PyTree, item: tuple[Batch, Array]) -> tuple[PyTree, None]:
            state, sums = carry
            slope = jax.value_and_grad(summed, has_aux=True)
            (value, (weight, state)), grads = slope(
                params, state, item[0], jax.random.fold_in(key, item[1])
            )
            new = (value, jax.lax.stop_gradient(weight), grads)
            return (state, jax.tree.map(lambda a, b: a + b.astype(a.dtype), sums, new)), None

        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), params)
        start = (model_state, (jnp.zeros(()), jnp.zeros(()), zeros))
        items = (split_batch(batch, parts), jnp.arange(parts))
        first = jax.tree.map(lambda x: x[0], items)
        loop = scans_well(add, start, first)
        (after, (value, weight, sums)), _ = jax.lax.scan(add, start, items, unroll=not loop)
        count = jnp.maximum(total(weight), _LEAST / rows)
        grads = jax.tree.map(lambda x, like: (x / count).astype(like.dtype), sums, params)
        return value / count, grads, after

    return gradient


def split_batch(batch: Batch, parts: int) -> Batch:
    """Cuts a batch into parts of one length; what the last lacks is padding of weight 0.

    Args:
      batch: leading axes `b`.
      parts: 1 to `b`.

    Returns:
      The batch with leading axes `[parts, ceil(b / parts)]`.

    Raises:
      TaskError: if there are fewer rows than parts.

    Example:
      >>> import numpy as np
      >>> parts = split_batch(Batch(np.array([1, 2, 3]), np.zeros(3), np.ones(3)), 2)
      >>> parts.inputs.tolist(), parts.weights.tolist()
      ([[1, 2], [3, 3]], [[1.0, 1.0], [1.0, 0.0]])
    """
    rows = batch.weights.shape[0]
    if parts > rows:
        raise TaskError(
            f"accumulate={parts} asks for more parts than the batch has rows ({rows}); use at "
            f"most {rows}, or a larger batch_size."
        )
    length = -(-rows // parts)
    positions = np.arange(parts * length)
    order, real = np.minimum(positions, rows - 1), (positions < rows).reshape(parts, length)

    def cut(x: Array) -> Array:
        return x[order].reshape(parts, length, *x.shape[1:])

    cut_batch: Batch = jax.tree.map(cut, batch)
    return cut_batch._replace(weights=jnp.where(real, cut_batch.weights, 0))
