"""The stages of `cook`, one function each: a dish goes in, a dish and what was learned come out."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks import Context, Finding, Suspect, Verdict
from jrecipe.checks.arms import Controls
from jrecipe.figures import Bars, Curves, Table
from jrecipe.recipe.deadline import Deadline
from jrecipe.recipe.dish import Dish
from jrecipe.recipe.effort import Effort, effort_of, looks_within
from jrecipe.report import Section
from jrecipe.task import Task, head_shape, read
from jrecipe.train.checkpoint import unstorable
from jrecipe.train.fitted import Fit
from jrecipe.train.loop import fit
from jrecipe.train.reference import example_inputs
from jrecipe.train.seeds import SeedRuns

SIZES = 3  # how often capacity may double
NEAR = 0.03  # share of the way to the floor that may remain
BORNE = 0.1  # of the loss, that moved pictures may cost a run too short to profit from them
_REMEDIES = {
    Verdict.PASSED: "",
    Verdict.WARNED: "Give more --minutes, or a smaller network.",
    Verdict.FAILED: "Go back to B8 and B9: learning is broken.",
}
# Checks whose pictures a reader should see, also when they passed.
_SHOWN = ("before-net", "init-well", "blank-inputs", "overfit-one-batch", "prediction-dynamics")


def best_rate(controls: Controls) -> float:
    """Returns the factor on the learning rate (0.1, 1 or 10) with the lowest validation loss."""
    arms = [controls.arms[name] for name in ("real", "rate/10", "rate*10") if name in controls.arms]
    scores = [arm.val_mean[0] if np.isfinite(arm.val).all() else np.inf for arm in arms]
    # Ties go to the rate as it was.
    return arms[int(np.argmin(scores))].arm.rate


def prepare(dish: Dish, context: Context, findings: tuple[Finding, ...]) -> tuple[Dish, Section]:
    """Draws the conclusions of the skeleton: the final bias (B5), the learning rate (B11)."""
    said = []
    if any(f.check == "init-well" and f.verdict is Verdict.WARNED for f in findings):
        dish = dish.well()
        said.append("The final bias is initialised from the training targets (B5).")
    rate = best_rate(context.controls)
    quicker = dish.faster(rate)
    if quicker is not dish and rate != 1.0:
        dish = quicker
        said.append(
            f"Of a tenth, one and ten times the learning rate, {rate:g} times gave the lowest "
            "validation loss and is used from here on (B11)."
        )
    if not said:
        said.append("Nothing had to be changed.")
    shown = [figure for f in findings if f.check in _SHOWN for figure in f.figures]
    section = Section(title="Skeleton and baselines", text=tuple(said), figures=tuple(shown))
    return dish, section


def overfit(
    dish: Dish, effort: Effort, until: Deadline | None = None
) -> tuple[Dish, SeedRuns, Finding, Section]:
    """Doubles the capacity until the training loss is near its floor (C1, C3).

    Args:
      dish: without regularisers.
      effort: how long each size trains.
      until: after which no other size is tried.

    Returns:
      The smallest dish that got there, or the best; its runs; a finding for item C1; and the story.
    """
    rows: list[tuple[str, str, str]] = []
    tried: list[tuple[float, Dish, SeedRuns]] = []
    lines: dict[str, np.ndarray] = {}
    uninformed, floor = loss_range(dish.task)
    current: Dish | None = dish
    limit = "noise in the targets, or too few updates"
    while current is not None and len(tried) < SIZES:
        runs = current.train(effort.seeds, effort.rung, effort.looks)
        loss = float(runs.train_end.mean())
        tried.append((loss if math.isfinite(loss) else math.inf, current, runs))
        left = (loss - floor) / max(uninformed - floor, 1e-12)
        rows.append((current.size, f"{loss:.4g}", f"{left:.1%}"))
        lines[current.size] = runs.train_loss.mean(axis=0)
        if left <= NEAR:
            break
        current = current.bigger()
        if until is not None and until.left <= 0:
            limit = "the time for this stage ended"
            break
        if current is not None and effort_of(current.task).bounded:
            limit = f"{current.size} is more work than a run of this effort may do"
            break
    loss, chosen, chosen_runs = min(tried, key=lambda one: one[0])
    left = (loss - floor) / max(uninformed - floor, 1e-12)
    evidence = {"train_loss": loss, "floor": floor, "uninformed": uninformed, "left": left}
    if left <= NEAR:
        verdict, said = Verdict.PASSED, f"{chosen.size} overfits: training loss {loss:.3g}"
    elif left < 0.9:
        verdict = Verdict.PASSED
        said = (
            f"No size reached the floor {floor + 0.0:.3g}; the best, {chosen.size}, leaves "
            f"{left:.0%} of the way (training loss {loss:.3g}; {limit})"
        )
    elif effort.bounded:
        verdict = Verdict.WARNED
        said = (
            f"{effort.rung} updates, all that work or time allow, show no size that learns the "
            f"training set (loss {loss:.3g})"
        )
    else:
        verdict, said = Verdict.FAILED, f"No size learns the training set (loss {loss:.3g})"
    finding = Finding(
        item="C1",
        check="overfit",
        verdict=verdict,
        evidence=evidence,
        finding=f"{said}, where an uninformed network has {uninformed:.3g}.",
        remedy=_REMEDIES[verdict],
        suspects=()
        if verdict is not Verdict.FAILED
        else (
            Suspect(cause="no-learning", component="model", why=f"{left:.0%} of the way is left"),
        ),
    )
    section = Section(
        title="Overfit",
        text=(
            f"Without regularisers, capacity doubles until the training loss is within "
            f"{NEAR:.0%} of the way between its floor and an uninformed network. Each size had "
            f"{effort.rung} updates from each of {len(effort.seeds)} seeds.",
        ),
        table=Table(title="Capacity", columns=("network", "training loss", "way left"), rows=rows),
        figures=(
            Curves(
                title="Training loss by capacity, mean over seeds",
                x=tried[0][2].steps,
                lines=lines,
                ylabel="loss",
                log_y=True,
            ),
        ),
    )
    return chosen, chosen_runs, finding, section


def keeps(base: SeedRuns, rung: SeedRuns) -> tuple[bool, float, float]:
    """Decides whether a rung helps: is its gain larger than the noise over seeds?

    Returns:
      Whether it is kept; the mean gain in validation loss over seeds; and the half-width of its
      one-sided 95 % interval (Student's t). It is kept if gain - half-width > 0.
    """
    from scipy import stats

    if not (np.isfinite(base.best).all() and np.isfinite(rung.best).all()):
        return False, -math.inf, math.inf
    gain = base.best - rung.best
    k = len(gain)
    half = float(stats.t.ppf(0.95, k - 1) * gain.std(ddof=1) / math.sqrt(k)) if k > 1 else math.inf
    mean = float(gain.mean())
    return mean - half > 0, mean, half


def regularise(
    dish: Dish,
    base: SeedRuns,
    effort: Effort,
    progress: Callable[[str], None],
    until: Deadline | None = None,
) -> tuple[Dish, SeedRuns, Finding, Section]:
    """Tries one regulariser at a time; keeps it only if it helps by more than the noise (C3, D).

    Args:
      dish: without regularisers.
      base: its runs.
      effort: how long each rung trains.
      progress: called with the name of each rung before it trains.
      until: after which no other rung is tried.

    Returns:
      The dish with what was kept; its runs; a finding for item C3; and the story.
    """
    rows = [_row("as it is", "", base, None)]
    values = {"as it is": float(base.best.mean())}
    spans = {"as it is": _span(base)}
    kept, untried = [], []
    for rung in dish.rungs(effort.rung, effort.bounded):
        if until is not None and until.left <= 0:
            untried.append(rung.name)
            continue
        progress(rung.name)
        changed = rung.apply(dish)
        runs = changed.train(effort.seeds, effort.rung, effort.looks)
        better, gain, half = keeps(base, runs)
        spared = (
            effort.bounded
            and rung.item == "D2"
            and not better
            and gain - half > -BORNE * base.best.mean()
        )
        name = f"+ {rung.name}"
        verdict = "kept" if better else "kept, costs little" if spared else "dropped"
        rows.append(_row(name, rung.item, runs, (verdict, gain, half)))
        values[name] = float(runs.best.mean())
        spans[name] = _span(runs)
        if better or spared:
            dish, base = changed, runs
            kept.append(f"{rung.name} ({rung.item}{', as it costs little' if spared else ''})")
    tried = len(rows) - 1
    said = f"Kept {', '.join(kept)}" if kept else "Kept nothing"
    short = ""
    if effort.bounded:
        epochs = effort.rung * dish.task.batch_size / len(dish.task.train)
        short = (
            f" The work of a run allows {effort.rung} updates each, {epochs:.2g} epochs, in which "
            "nothing overfits: they show what makes a network learn faster, not what a longer run "
            "gains by a regulariser. Augmentation (D2) that surely costs them less than "
            f"{BORNE:.0%} of the loss is kept for the final run, which sees each example often."
        )
    if untried:
        short += f" The time for this stage ended before {', '.join(untried)} could be tried."
    finding = Finding(
        item="C3",
        check="one-at-a-time",
        verdict=Verdict.PASSED if tried else Verdict.SKIPPED,
        evidence={"tried": tried, "kept": len(kept), "seeds": len(effort.seeds)},
        finding=f"{said} of {tried} regularisers, each judged over {len(effort.seeds)} seeds."
        + short
        if tried
        else short.strip()
        or "There is no regulariser to try on this task; add yours to the task itself.",
    )
    section = Section(
        title="Regularise",
        text=(
            f"One change at a time, {len(effort.seeds)} seeds of {effort.rung} updates each, "
            "judged by the lowest validation loss of each seed (early stopping, D11). A change is "
            "kept only if its gain exceeds the noise over seeds (one-sided 95 %).",
        ),
        table=Table(
            title="Rungs",
            columns=("change", "item", "validation loss", "gain", "verdict"),
            rows=rows,
        ),
        figures=(
            Bars(
                title="Lowest validation loss, mean and range over seeds",
                values=values,
                intervals=spans,
                xlabel="validation loss",
            ),
        ),
    )
    return dish, base, finding, section


def train_finally(
    task: Task, steps: int, seed: int, *, out: object, resume: bool, progress: bool | None
) -> Fit:
    """Trains the task that came out, to be judged on the test split."""
    keeps = resume or can_be_saved(task, seed)
    return fit(
        task,
        steps,
        seed=seed,
        eval_every=math.ceil(steps / looks_within(task, steps, 20)),
        out=out if keeps else None,  # type: ignore[arg-type]
        resume=resume,
        progress=progress,
    )


def can_be_saved(task: Task, seed: int) -> bool:
    """Whether a checkpoint can hold the task's state; a trainer of the user's own may differ."""
    return task.trainer is None or not unstorable(task.trainer.init(jax.random.key(seed)))


def loss_range(task: Task) -> tuple[float, float]:
    """Returns the training loss of an uninformed network and the lowest that can be reached."""
    floor = task.loss_floor
    loss = task.loss
    if task.model is not None and isinstance(loss, losses.Loss):
        outputs = head_shape(task.model, example_inputs(task))
        targets = read(task.train, 50_000)[1]
        shape = tuple(outputs.shape[1:])
        return loss.uninformed(targets, shape), loss.floor(
            targets, shape
        ) if floor is None else floor
    first = fit(task, 1, progress=False)
    return float(first.history["val_loss"][0]), 0.0 if floor is None else floor


def _span(runs: SeedRuns) -> tuple[float, float]:
    return float(runs.best.min()), float(runs.best.max())


def _row(
    name: str, item: str, runs: SeedRuns, decision: tuple[str, float, float] | None
) -> tuple[str, str, str, str, str]:
    spread = "a seed blew up"
    if np.isfinite(runs.best).all():
        spread = f"{runs.best.mean():.4f} +- {runs.best.std(ddof=1):.4f}"
    if decision is None:
        return name, item, spread, "", ""
    verdict, gain, half = decision
    return name, item, spread, f"{gain:+.4f} +- {half:.4f}", verdict
