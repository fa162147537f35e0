"""A trained network trained for some more updates, as it is made smaller."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jrecipe.squeeze.network import Network
from jrecipe.task import Task
from jrecipe.train.loop import fit
from jrecipe.types import Key, PyTree, TaskError


def train_on(
    task: Task,
    network: Network,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    seed: int = 0,
) -> Network:
    """Returns the network after some more updates.

    It is the state after the last of them, not the best by validation loss, which could be one from
    before the pruning was done.

    Args:
      task: with its data, its loss, and the model to train with: that of the network, or one made
        of it, as `quantise_aware` does.
      network: whose numbers to start from; none of them packed.
      optimizer: as `optax.chain(optax.adam(3e-4), prune(0.5, end=steps // 2))`.
      steps: updates.
      seed: of order and draws.

    Raises:
      TaskError: if the task has a trainer of its own, which starts from where it wants.
    """
    if task.model is None or task.trainer is not None:
        raise TaskError(
            f"train_on got the task {task.name!r} with a trainer of its own, which starts from "
            "its own numbers; give a task with a model."
        )

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        del key, inputs
        # Copies: a step may donate them, and the network is used again.
        started: tuple[PyTree, PyTree] = jax.tree.map(jnp.array, (network.params, network.state))
        return started

    begun = task.replace(model=dataclasses.replace(task.model, init=init), optimizer=optimizer)
    last = fit(begun, steps=steps, seed=seed, progress=False).state
    return network.replace(params=last.params, state=last.model_state)
