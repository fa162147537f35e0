"""The ways in which `jrecipe squeeze` makes a network smaller."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import optax

from jrecipe.cli.exporting import network_of_run, refuse_texts
from jrecipe.cli.restore import Trained, restore
from jrecipe.cli.target import load_target
from jrecipe.recipe.plan import build_task, plan_from_json
from jrecipe.squeeze import (
    Comparison,
    all_but_last,
    compare,
    low_rank,
    prune,
    quantise,
    quantise_activations,
    quantise_aware,
    train_on,
)
from jrecipe.task import Task

_RATE = 3e-4  # of Adam when training on


@dataclasses.dataclass(frozen=True)
class Ways:
    """What to try, as the options of the command name it; 0, False and None leave it out."""

    int8: bool = False
    int8_layers: bool = False
    qat: bool = False
    prune: float = 0.0
    prune_units: float = 0.0
    rank: int | float | None = None


def squeezed(
    run: str, ways: Ways, steps: int, seed: int, say: Callable[[str], None]
) -> tuple[Task, Comparison]:
    """Makes the network of a run smaller in some ways and compares them on its test split.

    Args:
      run: its folder.
      ways: what to try.
      steps: updates of each training on.
      seed: of their batches.
      say: called with what is done next.

    Raises:
      TaskError: if the run has no network or one for texts, or its data are gone.
    """
    refuse_texts(run)
    say(f"Load {run}")
    trained = restore(run)
    network = network_of_run(trained, run)
    task = _with_data(trained)
    made = {"original": network}
    if ways.int8:
        made["int8 weights"] = quantise(network)
    if ways.qat or ways.prune or ways.prune_units:
        say(f"Train on as it is, to compare with: {steps} updates")
        made["original, trained on"] = train_on(
            task, network, optax.adam(_RATE), steps=steps, seed=seed
        )
    few = task.train.take(np.arange(min(2, len(task.train))))[0]
    if ways.int8_layers:
        made["int8 weights and activations"] = quantise_activations(network, few)
    if ways.qat:
        say(f"Train on with rounded weights: {steps} updates")
        aware = quantise_aware(network.model)
        tuned = train_on(
            task.replace(model=aware), network, optax.adam(_RATE), steps=steps, seed=seed
        )
        made["int8 weights, trained for it"] = quantise(tuned.replace(model=network.model))
    if ways.prune:
        say(f"Train on while pruning {ways.prune:.0%}: {steps} updates")
        last = prune(ways.prune, end=steps // 2, every=max(steps // 20, 1))
        tx = optax.chain(optax.adam(_RATE), last)
        made[f"{ways.prune:.0%} pruned"] = tuned = train_on(
            task, network, tx, steps=steps, seed=seed
        )
        if ways.int8:
            made[f"{ways.prune:.0%} pruned, int8 weights"] = quantise(tuned)
    if ways.prune_units:
        say(f"Train on while pruning {ways.prune_units:.0%} of the units: {steps} updates")
        last = prune(
            ways.prune_units,
            end=steps // 2,
            every=max(steps // 20, 1),
            structured=True,
            mask=all_but_last(network, few),
        )
        tx = optax.chain(optax.adam(_RATE), last)
        name = f"{ways.prune_units:.0%} of units pruned"
        made[name] = train_on(task, network, tx, steps=steps, seed=seed)
    if ways.rank is not None:
        made[f"rank {ways.rank}"] = low_rank(network, ways.rank)
    say("Compare")
    return task, compare(made, task, split="test" if task.test is not None else "val")


def _with_data(trained: Trained) -> Task:
    """Returns the task of a run with its data read again."""
    record = trained.record
    if "plan" not in record["network"]:
        return trained.task
    options = record["options"]
    loaded = load_target(
        record["place"],
        seed=record["seed"],
        column=options.get("target"),
        data_dir=options.get("data_dir"),
    )
    assert loaded.splits is not None  # a run with a plan is one of a data set
    return build_task(loaded.splits, plan_from_json(record["network"]["plan"]))
