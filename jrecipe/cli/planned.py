"""The network for a data set, with what the command line changes in its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jrecipe.types import TaskError

if TYPE_CHECKING:
    from jrecipe.cli.target import Target
    from jrecipe.data.splits import Splits
    from jrecipe.recipe.dish import Dish
    from jrecipe.recipe.plan import Plan


def plan_for(
    splits: Splits,
    *,
    network: str | None = None,
    width: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
) -> Plan:
    """Returns the plan that jrecipe suggests, changed where an option is given.

    Raises:
      TaskError: if an option does not fit the data.
    """
    from jrecipe.recipe import suggest_plan

    rows = len(splits.train)
    shape = np.shape(splits.train.take(np.arange(1))[0])[1:]
    if network == "convnet" and len(shape) != 3:
        raise TaskError(
            f"--network convnet needs pictures, but the inputs of {splits.name} have shape "
            f"{list(shape)}; use --network mlp."
        )
    if batch_size is not None and batch_size > rows:
        raise TaskError(
            f"--batch-size is {batch_size}, but the training split has only {rows} examples; use "
            f"--batch-size {min(32, rows)} or more data."
        )
    if width is not None and network == "linear":
        raise TaskError(f"--width is {width}, but --network linear has no hidden layer; use mlp.")
    plan = suggest_plan(splits)
    changes: dict[str, Any] = {
        "network": network,
        "width": width,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
    }
    if network is not None and network != plan.network and width is None:
        changes["width"] = 128 if network == "mlp" else 16
    return plan.replace(**{name: value for name, value in changes.items() if value is not None})


def dish_for(loaded: Target, chosen: dict[str, Any]) -> Dish:
    """Returns the task of a target, with what the command line changes.

    Args:
      loaded: a data set, or a task of the user's own, of which only the batch size can change.
      chosen: arguments of `plan_for` by name.

    Raises:
      TaskError: if an option does not fit.
    """
    from jrecipe.cli.target import require_splits
    from jrecipe.recipe.dish import YOURS, PlannedDish, TaskDish

    require_splits(
        loaded,
        {
            f"--{name.replace('_', '-')}": value
            for name, value in chosen.items()
            if name != "batch_size"
        },
    )
    if loaded.splits is not None:
        return PlannedDish(loaded.splits, plan_for(loaded.splits, **chosen)).well()
    task, size = loaded.task, chosen["batch_size"]
    if size is not None:
        if size > len(task.train):
            raise TaskError(
                f"--batch-size is {size}, but the training split has only {len(task.train)} "
                f"examples; use --batch-size {min(32, len(task.train))} or more data."
            )
        task = task.replace(batch_size=size)
    return TaskDish(task, added="" if task.augment is None else YOURS)
