"""More capacity for any network: several copies of it side by side (B9)."""

from __future__ import annotations

import jax
import numpy as np

from jrecipe.types import Array, Key, Model, PyTree, TaskError


def copies(model: Model, count: int) -> Model:
    """Returns `count` copies of a network, each with weights of its own, their outputs added.

    It works for any network whose outputs can be added, as logits and values can; probabilities
    cannot. The sum is divided by sqrt(count), so that outputs start with the same spread and move
    as fast under gradient descent as those of one copy.

    Args:
      model: the network.
      count: how many, >= 1.

    Raises:
      TaskError: if `count` is less than 1.
    """
    if count < 1:
        raise TaskError(f"copies needs `count` >= 1, got {count=}.")
    if count == 1:
        return model

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        return jax.vmap(model.init, (0, None))(jax.random.split(key, count), inputs)

    def apply(
        params: PyTree, state: PyTree, inputs: PyTree, *, key: Key = None, train: bool = False
    ) -> tuple[PyTree, PyTree]:
        def one(params: PyTree, state: PyTree, i: Array) -> tuple[PyTree, PyTree]:
            own = None if key is None else jax.random.fold_in(key, i)
            return model.apply(params, state, inputs, key=own, train=train)

        outputs, state = jax.vmap(one)(params, state, np.arange(count))
        scale = np.sqrt(count)
        return jax.tree.map(lambda x: (x.sum(axis=0) / scale).astype(x.dtype), outputs), state

    without = model.without
    return Model(
        init=init,
        apply=apply,
        without=None if without is None else lambda *parts: copies(without(*parts), count),
        name=f"{count} x {model.name}",
    )
