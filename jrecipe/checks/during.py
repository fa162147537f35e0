"""What the monitor of a run saw, judged: rates that die, weights that fly, units that fell silent.

Every symptom counts only where the run is failing. Small gradients in a converged network, silent
units behind a ReLU and a falling rate at the end of a schedule are healthy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jrecipe.checks.dynamics import jitter
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.figures import Curves
from jrecipe.train.fitted import Fit
from jrecipe.train.monitor import Look

CHECK = "monitor"
NOTHING = 1e-3  # share of its peak below which an update is nothing
WILD = 0.1  # update of a tenth of the weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """A run, as far as its monitor tells.

    Attributes:
      steps: int[k], of the looks.
      planned: updates of the whole run.
      ratios: float[k], size of an update relative to the weights.
      layers: parameter path -> float[k], the same for one leaf.
      dead: parameter path -> share of units without any gradient at the last look.
      noise_scale: median of the gradient's noise scale, in examples; NaN if unknown.
      batch_size: examples in a batch.
      wasted: share of the predictions' way that was not progress.
      val: validation losses.
      start: validation loss before training.
    """

    steps: np.ndarray
    planned: int
    ratios: np.ndarray
    layers: Mapping[str, np.ndarray]
    dead: Mapping[str, float]
    noise_scale: float
    batch_size: int
    wasted: float
    val: np.ndarray
    start: float

    @property
    def failing(self) -> bool:
        """Whether the run ends no better than it began, or much worse than its best."""
        known = self.val[np.isfinite(self.val)]
        if not len(known):
            return True
        gained = self.start - known.min()
        return bool(gained <= 0.02 * abs(self.start) or not np.isfinite(self.val[-1]))


def judge_course(course: Course, figures: Sequence[Curves] = ()) -> tuple[Finding, ...]:
    """Judges a run by what its monitor saw (C4, D13).

    Args:
      course: of the run.
      figures: update ratios over time.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "looks": len(course.steps),
        "update_ratio_median": _median(course.ratios),
        "update_ratio_last": float(course.ratios[-1]) if len(course.ratios) else None,
        "noise_scale": course.noise_scale,
        "batch_size": course.batch_size,
        "jitter_wasted": course.wasted,
        "dead_units_most": max(course.dead.values(), default=0.0),
        "failing": course.failing,
    }
    rate = concluding("C4", CHECK, evidence, tuple(figures))
    inside = concluding("D13", CHECK, evidence)
    found = []
    at = died_at(course.steps, course.ratios)
    if at is not None and at < 0.5 * course.planned:
        found.append(
            rate(
                Verdict.WARNED,
                f"From update {at} of {course.planned} on, updates are below a thousandth of their "
                "peak: the rest of the run does nothing.",
                "Write the schedule in updates of this run, as a share of its steps.",
                Suspect(
                    cause="schedule-ends-early",
                    component="schedule",
                    where=f"update {at}",
                    why=f"the update ratio falls from {np.nanmax(course.ratios):.2g} to "
                    f"{course.ratios[-1]:.2g}",
                ),
            )
        )
    if course.failing and _median(course.ratios) > WILD:
        found.append(
            rate(
                Verdict.WARNED,
                f"An update is {_median(course.ratios):.2g} of the size of the weights, and "
                "validation does not improve.",
                "Lower the learning rate tenfold; usual updates are about 0.001 of the weights.",
                Suspect(
                    cause="learning-rate-too-high",
                    component="optimizer",
                    why=f"{course.wasted:.0%} of the predictions' way is jitter",
                ),
            )
        )
    silent = {path: share for path, share in course.dead.items() if share >= 0.9}
    if course.failing and silent:
        worst = max(silent, key=silent.__getitem__)
        found.append(
            inside(
                Verdict.WARNED,
                f"{silent[worst]:.0%} of the units of {worst} get no gradient, and validation does "
                "not improve.",
                "Lower the learning rate, normalise the inputs, or use a leaky activation.",
                Suspect(
                    cause="dead-units",
                    component="model",
                    where=worst,
                    why="all their weights have a gradient of 0 on a whole batch",
                ),
            )
        )
    if found:
        return tuple(found)
    noise = (
        f", the gradient's noise is as large as itself at {course.noise_scale:.0f} examples "
        f"(batch: {course.batch_size})"
        if np.isfinite(course.noise_scale)
        else ""
    )
    said = f"Updates are {_median(course.ratios):.2g} of the weights{noise}; "
    said += f"{course.wasted:.0%} of the predictions' way is jitter."
    return (rate(Verdict.PASSED, said),)


def died_at(steps: np.ndarray, ratios: np.ndarray) -> int | None:
    """Returns the step from which on every update ratio is below a thousandth of its peak.

    Example:
      >>> died_at(np.array([0, 100, 200, 300]), np.array([1.0, 0.5, 1e-5, 1e-6]))
      200
    """
    known = np.isfinite(ratios)
    steps, ratios = steps[known], ratios[known]
    if len(ratios) < 3 or ratios.max() <= 0:
        return None
    alive = np.flatnonzero(ratios >= NOTHING * ratios.max())
    return int(steps[alive[-1] + 1]) if alive[-1] + 1 < len(steps) else None


def check_during(fit: Fit) -> tuple[Finding, ...]:
    """Measures and judges what the monitor of a run saw; SKIPPED without one."""
    if fit.monitor is None or not fit.monitor.looks:
        said = "The run carried no monitor; use jr.fit(task, monitor=True)."
        return (Finding(item="C4", check=CHECK, verdict=Verdict.SKIPPED, finding=said),)
    looks = fit.monitor.looks
    course = course_of(fit, looks)
    lines = {"all weights": course.ratios}
    # A bias that is still all 0 has no ratio at any look.
    largest = {path: np.nan_to_num(ratios).max() for path, ratios in course.layers.items()}
    order = sorted(largest, key=lambda path: -largest[path])
    lines |= {path: course.layers[path] for path in order[:5]}
    curves = Curves(
        title="Size of an update, relative to the weights",
        x=course.steps,
        lines=lines,
        levels={"usual": 1e-3},
        ylabel="ratio",
        log_y=True,
    )
    return judge_course(course, (curves,))


def course_of(fit: Fit, looks: Sequence[Look]) -> Course:
    """Returns the course of a run with these looks."""
    outputs = [look.outputs for look in looks]
    same = len({x.shape for x in outputs}) == 1 and len(outputs) > 1
    val = fit.history["val_loss"]
    noise = np.array([look.noise_scale for look in looks])
    paths = looks[-1].updates or looks[-1].moved
    return Course(
        steps=np.array([look.step for look in looks]),
        planned=fit.steps,
        ratios=np.array([look.update_ratio for look in looks]),
        layers={path: _layer(looks, path) for path in paths},
        dead=looks[-1].dead,
        noise_scale=_median(noise),
        batch_size=fit.task.batch_size,
        wasted=jitter(np.stack(outputs))[1] if same else float("nan"),
        val=val,
        start=float(val[0]) if len(val) else float("nan"),
    )


def _layer(looks: Sequence[Look], path: str) -> np.ndarray:
    def ratio(look: Look) -> float:
        size = (look.updates or look.moved).get(path, float("nan"))
        return size / look.params[path] if look.params.get(path) else float("nan")

    return np.array([ratio(look) for look in looks])


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
