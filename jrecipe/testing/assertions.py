"""The recipe's invariants as assertions, for a user's own tests: on a task, or on plain functions.

Each raises AssertionError with the evidence: which leaf, pair of examples or position, and by how
much.
"""

from __future__ import annotations

import fnmatch
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks import Context, select
from jrecipe.checks.isolation import example_map, isolation, prefix_leaks, replacements
from jrecipe.checks.probing import as_numpy, disagreement, same_bits, same_structure
from jrecipe.task import Task
from jrecipe.testing.parametrize import assert_passes
from jrecipe.train.frozen import path_name
from jrecipe.train.loop import fit
from jrecipe.types import Batch, PyTree, TaskError

Function = Callable[[PyTree], PyTree]


def assert_loss_at_init(task: Task, *, seed: int = 0) -> None:
    """Asserts that the untrained loss is what an uninformed network scores (B4).

    Args:
      task: with a model or a trainer.
      seed: decides weights and batches.
    """
    _assert_check(task, "loss-at-init", seed)


def assert_overfits_one_batch(task: Task, *, seed: int = 0) -> None:
    """Asserts that a few examples can be learned by heart (B8)."""
    _assert_check(task, "overfit-one-batch", seed)


def assert_no_leakage(task: Task, *, seed: int = 0) -> None:
    """Asserts that no example of one split occurs in another, and few occur twice (A1)."""
    _assert_check(task, "duplicates", seed)
    _assert_check(task, "near-duplicates", seed)


def assert_reference_step(task: Task, *, seed: int = 0) -> None:
    """Asserts that the task's trainer moves the weights as the reference step does (G15)."""
    _assert_check(task, "reference-step", seed)


def assert_examples_isolated(
    function: Function | Task, inputs: PyTree = None, others: PyTree = None, *, seed: int = 0
) -> None:
    """Asserts that no result of an example depends on another example of its batch (B12).

    It is certain for every pair, and sees what derivatives cannot: examples are replaced by others,
    and the results of the rest have to keep every bit.

    Args:
      function: a deterministic function of a batch, examples along the leading axis of arguments
        and results; or a task, of which outputs and losses are asked in both modes.
      inputs: its argument, at least two examples. Not for a task.
      others: what to replace examples with; default the same examples in another order.
      seed: for a task.

    Raises:
      TaskError: if `inputs` is missing, or given with a task.

    Example:
      >>> assert_examples_isolated(lambda x: x * 2, np.arange(8.0))
      >>> assert_examples_isolated(lambda x: x - x.mean(), np.arange(8.0))
      Traceback (most recent call last):
        ...
      AssertionError: example 0 changes the result of example 1, and 55 more of 56 pairs reach ...
    """
    if isinstance(function, Task):
        if inputs is not None:
            raise TaskError("assert_examples_isolated takes no inputs with a task; it has its own.")
        _assert_check(function, "dependencies", seed)
        return
    x = _required(inputs, "assert_examples_isolated")
    changed = replacements(x, _turned(x) if others is None else as_numpy(others))
    if others is not None:
        changed = changed[:1]  # the user's own choice of a value may be what shows the leak
    if not any(leaf.any() for leaf in jax.tree.leaves(isolation(function, x, *changed))):
        return
    n = len(jax.tree.leaves(x)[0])
    reached = np.argwhere(example_map(function, x, changed[0]) & ~np.eye(n, dtype=bool))
    if not len(reached):
        raise AssertionError(f"several of {n} examples together change the result of another.")
    i, j = reached[0]
    raise AssertionError(
        f"example {i} changes the result of example {j}, and {len(reached) - 1} more of "
        f"{n * (n - 1)} pairs reach each other; look for a mean, softmax or reshape over axis 0."
    )


def assert_causal(
    function: Function | Task,
    inputs: PyTree = None,
    axis: int = 1,
    *,
    strict: bool = False,
    others: PyTree = None,
    seed: int = 0,
) -> None:
    """Asserts that output t depends on inputs up to t only (B12).

    Args:
      function: a deterministic function, with `axis` in argument and result; or a task that
        declares `causal_axis`.
      inputs: its argument. Not for a task.
      axis: along which time runs.
      strict: output t may see inputs before t only, as where inputs are the targets.
      others: replacements; default the same values in another order.
      seed: for a task.

    Raises:
      TaskError: if `inputs` is missing, or the task declares no `causal_axis`.

    Example:
      >>> assert_causal(lambda x: jnp.cumsum(x, 1), np.ones((1, 4)) * np.arange(4.0))
    """
    if isinstance(function, Task):
        if function.causal_axis is None:
            raise TaskError("assert_causal needs a task with causal_axis, got None; declare it.")
        _assert_check(function, "dependencies", seed)
        return
    x = _required(inputs, "assert_causal")
    other = as_numpy(others) if others is not None else jax.tree.map(lambda v: v + 1, x)
    size = max(leaf.shape[axis] for leaf in jax.tree.leaves(x) if leaf.ndim > axis)
    leaks = prefix_leaks(function, x, other, axis, strict=strict, cuts=range(size))
    if leaks:
        cut = min(leaks)
        raise AssertionError(
            f"output {leaks[cut][-1]} depends on inputs {'from' if strict else 'after'} {cut} "
            f"along axis {axis}; mask attention above the diagonal, or pad on the left."
        )


def assert_equivalent(
    one: Callable[..., PyTree],
    other: Callable[..., PyTree],
    *args: Any,
    tolerance: float = 1e-4,
) -> None:
    """Asserts that two ways to compute the same agree: a loop and its vectorised form, say (B13).

    Args:
      one: the plain way.
      other: the quick way.
      *args: what both are called with.
      tolerance: largest difference allowed, relative to the root mean square of each result.

    Example:
      >>> x = np.arange(6.0).reshape(2, 3)
      >>> assert_equivalent(lambda x: [row.sum() for row in x], lambda x: list(x.sum(axis=1)), x)
    """
    gap = disagreement(as_numpy(one(*args)), as_numpy(other(*args)))
    if not gap <= tolerance:
        raise AssertionError(
            f"results differ by {gap:.3g} of their size, allowed are {tolerance:g}."
        )


def assert_frozen(task: Task, patterns: Sequence[str] = (), *, steps: int = 5) -> None:
    """Asserts that frozen parameters keep every bit over some updates (H5).

    Args:
      task: any task; its own trainer is run.
      patterns: of parameter paths, as "encoder/*"; default what the task declares.
      steps: updates.

    Raises:
      TaskError: if there are no patterns, or one matches no parameter.
    """
    patterns = tuple(patterns) or tuple(task.frozen)
    if not patterns:
        raise TaskError("assert_frozen needs patterns, and Task.frozen declares none.")
    moved = _movement(task, steps)
    for pattern in patterns:
        named = [path for path in moved if fnmatch.fnmatchcase(path, pattern)]
        if not named:
            raise TaskError(
                f"assert_frozen: {pattern!r} matches no parameter; there are {[*moved][:8]}."
            )
        for path in named:
            if moved[path] > 0:
                raise AssertionError(
                    f"{path} is frozen by {pattern!r}, but moves by {moved[path]:.3g} in {steps} "
                    "updates."
                )


def assert_every_parameter_moves(task: Task, *, steps: int = 5) -> None:
    """Asserts that every parameter that is not declared frozen changes within some updates.

    Args:
      task: any task; its own trainer is run.
      steps: updates, on different batches.
    """
    still = [
        path
        for path, size in _movement(task, steps).items()
        if size == 0 and not any(fnmatch.fnmatchcase(path, pattern) for pattern in task.frozen)
    ]
    if still:
        raise AssertionError(
            f"{', '.join(still[:4])} never changed in {steps} updates; does the optimiser get it, "
            "and does the loss depend on it?"
        )


def assert_resume_equivalent(task: Task, *, steps: int = 6, stop: int = 3, seed: int = 0) -> None:
    """Asserts that a run stopped and resumed ends where an uninterrupted one does, to the bit (F).

    Args:
      task: whose state a checkpoint can hold.
      steps: updates in all.
      stop: updates before the interruption, 0 < stop < steps.
      seed: of the runs.

    Raises:
      TaskError: if `stop` is not inside the run.
    """
    if not 0 < stop < steps:
        raise TaskError(f"assert_resume_equivalent needs 0 < stop < steps, got {stop=}, {steps=}.")
    options: dict[str, Any] = {"seed": seed, "eval_every": steps, "progress": False}
    whole = fit(task, steps, **options)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        fit(task, stop, out=out, **options)
        resumed = fit(task, steps, out=out, resume=True, **options)
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(whole.state),
        jax.tree.leaves(resumed.state),
        strict=True,
    )
    for (path, a), b in pairs:
        a, b = as_numpy(a), as_numpy(b)
        if not same_bits(a, b).all():
            raise AssertionError(
                f"{path_name(path)} differs after {steps} updates when the run was stopped at "
                f"{stop} and resumed; what training carries must be in the state."
            )


def assert_accumulation_equivalent(
    whole: Callable[[PyTree, Batch], PyTree],
    parts: Callable[[PyTree, Sequence[Batch]], PyTree],
    params: PyTree,
    batch: Batch,
    *,
    sizes: Sequence[int] = (),
    tolerance: float = 1e-4,
) -> None:
    """Asserts that micro-batches, however unequal, give the update of the whole batch (J4).

    Args:
      whole: `(params, batch) -> gradient` or update.
      parts: `(params, [batches]) -> ` the same, accumulated.
      params: where to ask.
      batch: all examples; its weights may hold zeros.
      sizes: examples of each micro-batch; default unequal thirds.
      tolerance: as in `assert_equivalent`.

    Raises:
      TaskError: if `sizes` does not add up to the batch.
    """
    n = len(jax.tree.leaves(batch.inputs)[0])
    sizes = tuple(sizes) or (n - n // 2 - n // 3, n // 2, n // 3)
    sizes = tuple(size for size in sizes if size)
    if sum(sizes) != n:
        raise TaskError(f"assert_accumulation_equivalent needs sizes of {n} in all, got {sizes}.")
    ends = np.cumsum(sizes)
    pieces = [
        jax.tree.map(lambda x, a=end - size, b=end: x[a:b], batch)
        for size, end in zip(sizes, ends, strict=True)
    ]
    want, got = as_numpy(whole(params, batch)), as_numpy(parts(params, pieces))
    if not same_structure(want, got):
        raise AssertionError("the accumulated gradient has another structure than the whole one.")
    pairs = zip(jax.tree_util.tree_leaves_with_path(want), jax.tree.leaves(got), strict=True)
    for (path, a), b in pairs:
        gap = disagreement(a, b)
        if not gap <= tolerance:
            size = float(np.linalg.norm(a))
            ratio = float(np.linalg.norm(b)) / size if size else float("inf")
            raise AssertionError(
                f"{path_name(path) or 'the gradient'} accumulated over {len(sizes)} micro-batches "
                f"of {sizes} differs by {gap:.3g} of its size (it is {ratio:.4g} times as long); "
                "divide sums by the sum of all weights, not each part by its own."
            )


def _assert_check(task: Task, name: str, seed: int) -> None:
    (check,) = select((name,))
    assert_passes(Context(task, seed), check)


def _movement(task: Task, steps: int) -> dict[str, float]:
    """Returns parameter path -> largest change of an element over some updates."""
    context = Context(task)
    state, batches = context.fresh_state(), (context.batch(), context.other())

    def params(state: Any) -> dict[str, np.ndarray]:
        leaves = jax.tree_util.tree_leaves_with_path(context.trainer.params(state))
        return {path_name(path): np.array(leaf) for path, leaf in leaves}

    before = params(state)
    for i in range(steps):
        state, _ = context.trainer.step(state, batches[i % 2], jax.random.fold_in(context.key, i))
    after = params(state)
    return {
        path: float(np.abs(after[path].astype(np.float64) - x).max(initial=0.0))
        for path, x in before.items()
    }


def _required(inputs: PyTree, name: str) -> PyTree:
    leaves = jax.tree.leaves(inputs)
    if not leaves or np.ndim(leaves[0]) == 0 or len(leaves[0]) < 1:
        raise TaskError(f"{name} needs inputs with the examples along axis 0, got {inputs!r}.")
    return as_numpy(jax.tree.map(jnp.asarray, inputs))


def _turned(x: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: np.roll(leaf, 1, axis=0), x)
