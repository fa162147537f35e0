"""All that training changes, in one pytree: checkpoint this alone."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jrecipe.types import Array, Key, Model, PyTree, TaskError


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """The state of training after some updates.

    Attributes:
      step: int32[], updates applied so far; the one clock of schedules, keys and checkpoints.
      params: what the optimiser moves.
      model_state: what training updates otherwise, as BatchNorm statistics; `{}` if nothing.
      opt_state: state of the optimiser.
      key: a typed key that never changes; each step folds its own number in.
    """

    step: Array
    params: PyTree
    model_state: PyTree
    opt_state: optax.OptState
    key: Key


def create_state(
    model: Model, tx: optax.GradientTransformation, inputs: PyTree, key: Key
) -> TrainState:
    """Initialises a network and its optimiser; jit it, as eager initialisation is slow.

    Args:
      model: the network.
      tx: the optimiser.
      inputs: one batch, of which only shapes and dtypes matter to most networks.
      key: decides the weights and every later draw.
    """
    params, model_state = model.init(jax.random.fold_in(key, 0), inputs)
    return state_of(params, model_state, tx, jax.random.fold_in(key, 1))


def state_of(
    params: PyTree, model_state: PyTree, tx: optax.GradientTransformation, key: Key
) -> TrainState:
    """Returns the state before the first update of given weights.

    Args:
      params: what the optimiser moves.
      model_state: the network's other state.
      tx: the optimiser.
      key: from which every step folds its own.
    """
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=tx.init(params),
        key=key,
    )


def copy_state(state: PyTree) -> PyTree:
    """Copies every leaf: a step donates its state, and a user's own may change it in place."""
    leaves, structure = jax.tree.flatten(state)
    arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
    # One program for all of them: a call for each would cost a small network a fifth of its time.
    try:
        copied = iter(_copies(arrays))
    except ValueError:  # a user's own state may lie on several devices, each array on one
        copied = map(jnp.copy, arrays)

    def duplicate(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array):
            return next(copied)
        try:
            return copy.deepcopy(leaf)
        except TypeError as error:
            raise TaskError(
                f"Trainer.init returned a state with a {type(leaf).__name__}, which cannot be "
                f"copied ({error}); keep to a pytree of arrays."
            ) from error

    return jax.tree.unflatten(structure, [duplicate(leaf) for leaf in leaves])


@jax.jit
def _copies(arrays: list[Array]) -> list[Array]:
    return [jnp.copy(x) for x in arrays]
