"""The controls of stage B: one experiment with many arms (B5, B7, B8, B9, B11).

Real inputs, blank inputs, shuffled labels, a tenth and ten times the learning rate, a few examples
to overfit, a well initialised head: each is an arm. All start from the same weights and see batches
of the same shape, so the arms are one vmapped scan, compiled once. Stage B is kept simple (B2):
augmentation and dropout are off. A foreign trainer, and a convolution on a CPU (see
`train.compiled`), run their arms one after another instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from jrecipe.checks.arm_data import ArmData
from jrecipe.checks.arm_runners import ForeignRunner, OwnRunner, Runner
from jrecipe.checks.arms import STRIDE, Arm, ArmResult, Controls
from jrecipe.task import Task
from jrecipe.types import PyTree


def simplified(task: Task) -> Task:
    """Returns the task as stage B trains it (B2): no augmentation and no dropout."""
    model = task.model
    if model is not None and model.without is not None:
        model = model.without("dropout")
    return task.replace(augment=None, model=model)


def run_controls(
    task: Task,
    arms: Sequence[Arm],
    *,
    seed: int,
    steps: int,
    seconds: float,
    variables: Callable[[Arm], tuple[PyTree, PyTree]] | None = None,
) -> Controls:
    """Trains every arm for `steps` updates, or for as many as `seconds` allow, and scores them.

    Args:
      task: the task; it is simplified here.
      arms: what to change.
      seed: decides batches and weights.
      steps: updates of each arm, a multiple of `STRIDE`.
      seconds: wall time, compilation aside, after which no further stretch of `STRIDE` updates
        is begun.
      variables: `(arm) -> (params, state)` to start from; needed without a foreign trainer.
    """
    start = stepping = time.perf_counter()
    task = simplified(task)
    plan = ArmData.of(task, seed, steps)
    if task.trainer is not None:
        runner: Runner = ForeignRunner(task, task.trainer, plan, arms, jax.random.key(seed))
    else:
        assert variables is not None
        runner = OwnRunner(task, plan, arms, jax.random.key(seed), [variables(arm) for arm in arms])
    probes, train_loss, looks = [runner.probe()], [], [0]
    before, weights = runner.score(), runner.params()
    done = 0
    while done < steps:
        train_loss.append(runner.advance(done))
        if done == 0:  # what the first stretch took to compile does not count
            stepping = time.perf_counter()
        done += STRIDE
        probes.append(runner.probe())
        looks.append(done)
        if time.perf_counter() - stepping > seconds:
            break
    curves = np.concatenate(train_loss, axis=1)
    results = {}
    after, variables_after = runner.params(), runner.variables()
    for i, (arm, scores) in enumerate(zip(arms, runner.score(), strict=True)):
        val, metric, train, few_outputs, few = scores
        results[arm.name] = ArmResult(
            arm=arm,
            steps=done,
            train_loss=curves[i],
            looks=np.array(looks),
            probe=jax.tree.map(lambda *x: np.stack(x), *[look[i] for look in probes]),
            val=np.asarray(val)[: plan.val_rows],
            train=np.asarray(train),
            few_outputs=jax.tree.map(np.asarray, few_outputs),
            few=np.asarray(few),
            val_metric=np.asarray(metric)[: plan.val_rows],
            train_start=np.asarray(before[i][2]),
            few_start=np.asarray(before[i][4]),
            moved=_movement(weights[i], after[i]),
            variables=variables_after[i],
        )
    return Controls(
        arms=results,
        planned=steps,
        few=plan.few,
        probe=plan.probe,
        val_targets=plan.val_targets,
        seconds=time.perf_counter() - start,
    )


def _movement(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Returns how far each parameter moved, relative to the norm of all parameters at the start."""
    total = float(np.sqrt(sum(np.sum(x**2) for x in before.values()))) or 1.0
    return {
        name: float(np.linalg.norm(after[name] - x)) / total
        for name, x in before.items()
        if name in after and after[name].shape == x.shape
    }
