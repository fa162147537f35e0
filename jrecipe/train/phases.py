"""From one phase of a training to the next, where the frozen set shrinks (J3).

A phase is a task of its own, with the patterns that are frozen in it. A state after s updates has
the shape of the phase in which update s (counted from 0) is made: that is a function of s alone, so
a checkpoint can be read without knowing how its run went.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import optax

from jrecipe.task import Task
from jrecipe.train.averaging import AverageState
from jrecipe.train.frozen import freeze, frozen_mask, path_name
from jrecipe.train.state import TrainState, copy_state
from jrecipe.types import Array, PyTree, TaskError
from jrecipe.unfreezing import Unfreezing


def task_at(task: Task, step: int) -> Task:
    """Returns the task of the phase in which update `step` is made; itself if it has no phases."""
    if not isinstance(task.frozen, Unfreezing):
        return task
    return task.replace(frozen=task.frozen.at(step))


def room_in_phase(task: Task, step: int, count: int) -> int:
    """Returns how many of the updates `step` to `step + count - 1` are in one phase, >= 1."""
    frozen = task.frozen
    end = frozen.next_start(step) if isinstance(frozen, Unfreezing) else None
    return count if end is None else min(count, end - step)


def require_shrinking(task: Task, params: PyTree) -> None:
    """Checks that no phase freezes what is trained in the one before.

    Raises:
      TaskError: naming the first parameter that does.
    """
    if not isinstance(task.frozen, Unfreezing):
        return
    names = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    masks = [jax.tree.leaves(frozen_mask(params, p)) for _, p in task.frozen.phases]
    for (start, patterns), before, after in zip(
        task.frozen.phases[1:], masks, masks[1:], strict=False
    ):
        for name, was, still in zip(names, before, after, strict=True):
            if still and not was:
                raise TaskError(
                    f"Task.frozen freezes {name} from update {start} on ({patterns!r}), which the "
                    "phase before trains; let each phase freeze a part of what the one before does."
                )


def state_at(task: Task, state: Any, before: int, after: int) -> Any:
    """Brings a state from the shape of one phase to that of a later one.

    Args:
      task: what is trained; a state of a task without phases, or of a foreign trainer, is returned
        as it is.
      state: in the shape of the phase of update `before`; not changed.
      before: see `state`.
      after: the update whose phase is wanted, >= `before`.

    Returns:
      The state, with the optimiser's state of what was trained bit-identical, and a fresh one of
      what is trained now; an average of weights (`ema`, `swa`) takes its frozen value for the past.
    """
    frozen = task.frozen
    if not isinstance(frozen, Unfreezing) or not isinstance(state, TrainState):
        return state
    old, new = frozen.at(before), frozen.at(after)
    if old == new:
        return state
    assert task.optimizer is not None
    fresh = freeze(task.optimizer, new).init(state.params)
    carried = _carried(_inner(state.opt_state, old), _inner(fresh, new), state.params)
    opt_state = _with_inner(fresh, carried, new)
    # Copied: a fresh state may hold the parameters themselves, which a step donates.
    moved: TrainState = copy_state(
        TrainState(state.step, state.params, state.model_state, opt_state, state.key)
    )
    return moved


def _inner(opt_state: optax.OptState, patterns: tuple[str, ...]) -> optax.OptState:
    """Returns the state of the task's own optimiser in that which `freeze` made of it."""
    return opt_state.inner_states["trained"].inner_state if patterns else opt_state


def _with_inner(
    opt_state: optax.OptState, inner: optax.OptState, patterns: tuple[str, ...]
) -> optax.OptState:
    if not patterns:
        return inner
    trained = opt_state.inner_states["trained"]._replace(inner_state=inner)
    return opt_state._replace(inner_states={**opt_state.inner_states, "trained": trained})


def _carried(old: optax.OptState, new: optax.OptState, params: PyTree) -> optax.OptState:
    """Returns `new` with every leaf that `old` has too from `old`."""
    known, weights = _by_path(old), _by_path(params)

    def fill(path: tuple[Any, ...], node: Any) -> Any:
        if isinstance(node, AverageState):
            return _average(known, weights, path, node)
        return known.get(path, node)

    return jax.tree_util.tree_map_with_path(
        fill, new, is_leaf=lambda node: isinstance(node, AverageState)
    )


def _average(
    known: Mapping[tuple[Any, ...], Array],
    weights: Mapping[tuple[Any, ...], Array],
    path: tuple[Any, ...],
    node: AverageState,
) -> AverageState:
    """Returns an average that has seen the frozen value of what is trained now from the start."""
    at = lambda name, *rest: (*path, jax.tree_util.GetAttrKey(name), *rest)  # noqa: E731
    weight = known[at("weight")]

    def sum_of(place: tuple[Any, ...], leaf: Array) -> Array:
        before = known.get(at("average", *place))
        return weight * weights[place].astype(leaf.dtype) if before is None else before

    average = jax.tree_util.tree_map_with_path(sum_of, node.average)
    return AverageState(known[at("count")], weight, average)


def _by_path(tree: PyTree) -> dict[tuple[Any, ...], Array]:
    return dict(jax.tree_util.tree_leaves_with_path(tree))
