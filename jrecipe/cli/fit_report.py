"""What `jrecipe fit` reports and prints."""

from __future__ import annotations

import click

from jrecipe.cli.printing import print_report
from jrecipe.recipe.blown_up import blown_up
from jrecipe.recipe.checked import facts
from jrecipe.recipe.dish import Dish
from jrecipe.recipe.never_better import never_better
from jrecipe.report import Report, Section
from jrecipe.train import Clock, Fit
from jrecipe.train.plateau import plateaus_in

_BY_HEART = (
    "The network learns its training examples by heart (D11): more data, augmentation or "
    "regularisation helps, and more updates do not. The best state is kept."
)
_IN_NOISE = (
    "With a constant learning rate a network ends in the noise of its updates: let the rate fall, "
    "or try a lower one."
)


def report_of(
    dish: Dish, result: Fit, seed: int, clock: Clock, command: str, cooling: str = ""
) -> Report:
    """Builds the report of a run.

    Args:
      dish: what was trained.
      result: the run.
      seed: of it.
      clock: over all of the command.
      command: the command line.
      cooling: the command that ends a run without an end by a cooldown, "" if there is none.
    """
    problem = blown_up(result) or never_better(result)
    known = facts(dish.task, seed, clock, command) | {
        "network": dish.size,
        "steps": result.steps,
        "best step": result.best_step,
    }
    for name in ("val_loss", "val_metric"):
        if len(values := result.history[name]):
            known[f"best {name}"] = float(
                values[result.history.steps(name) == result.best_step][-1]
            )
    return Report(
        task=dish.task.name,
        findings=() if problem is None else (problem,),
        sections=(
            Section(title="Training", text=_story(result, cooling), figures=(result.curves(),)),
        ),
        facts=known,
    )


def print_result(report: Report, result: Fit, *, as_json: bool, quiet: bool) -> None:
    """Prints what came out: the findings if there are some, or else a line or two."""
    if as_json or report.findings:
        print_report(report, as_json=as_json, quiet=quiet)
        return
    click.echo(str(result))
    metric = report.facts.get("best val_metric")
    if metric is not None:
        name = getattr(result.task.metric, "__name__", "metric")
        click.echo(f"{name} {metric:.4g} on {len(result.task.val)} validation examples")


def _story(result: Fit, cooling: str) -> tuple[str, ...]:
    """Tells how the run went: a sentence for each plateau, and what can be done about the last."""
    told = plateaus_in(result.history)
    story = [str(result), *(f"At step {step}: {plateau}." for step, plateau in told)]
    flat = bool(told) and told[-1][1].waited > 0
    if flat and told[-1][1].rise:
        return (*story, _BY_HEART)
    if flat:
        story.append(_IN_NOISE)
    if cooling:
        story.append(f"Let the learning rate fall to 0 to end this run: {cooling}")
    return tuple(story)
