"""What a problem needs of its inputs: one curve for each thing that can be taken away (A6).

A quick probe is trained and judged anew on inputs that lack something: resolution, the order of
their parts, colour, the end of a text. What it loses against the whole inputs, on the same
held-out examples, says whether a network has to see it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from jrecipe.checks.intervals import paired_difference, wilson
from jrecipe.figures import Bars, Curves, Figure

Interval = tuple[float, float]

KEEPS = 0.97  # of what the whole inputs bring: less is a loss worth a word
_OPEN = 0.1  # of the same: a loss that may be larger than this is not called none
_SURE = 2.58  # 99 %, as chance is beaten once for all curves


@dataclasses.dataclass(frozen=True)
class Need:
    """One curve: the score of a probe against how much is left of the inputs.

    Attributes:
      title: one line.
      xlabel: what `levels` are, with unit.
      levels: k numbers, from least to most, or k names; one of them is the whole input.
      scores: float64[k]; accuracy, or R^2 = 1 - squared error / variance for numbers.
      intervals: of each score, 95 %.
      losses: of each level, `full - score` in float64[k].
      loss_intervals: of each loss, 95 %, paired over the held-out examples.
      full: score on whole inputs.
      chance: score of the best constant answer.
      sentence: what follows.
      measure: "accuracy" or "R²".
      note: what the probe was and what it was trained on.
    """

    title: str
    xlabel: str
    levels: tuple[float, ...] | tuple[str, ...]
    scores: np.ndarray
    intervals: tuple[Interval, ...]
    losses: np.ndarray
    loss_intervals: tuple[Interval, ...]
    full: float
    chance: float
    sentence: str
    measure: str = "accuracy"
    note: str = ""


def needs_figures(needs: Sequence[Need]) -> tuple[Figure, ...]:
    """Returns one figure for each need: a curve with its band, or bars where levels are names."""
    return tuple(_figure(need) for need in needs)


def _figure(need: Need) -> Figure:
    levels = {"whole": need.full, "chance": need.chance}
    names = [level for level in need.levels if isinstance(level, str)]
    if names:
        return Bars(
            title=need.title,
            values=dict(zip(names, need.scores.tolist(), strict=True)),
            intervals=dict(zip(names, need.intervals, strict=True)),
            levels=levels,
            xlabel=f"{need.measure} of a probe",
        )
    low, high = np.array(need.intervals).T
    return Curves(
        title=need.title,
        x=np.array(need.levels, np.float64),
        lines={"probe": need.scores},
        bands={"probe": (low, high)},
        levels=levels,
        xlabel=need.xlabel,
        ylabel=need.measure,
        log_x=True,
    )


@dataclasses.dataclass(frozen=True)
class Level:
    """What the probe scored on inputs with something taken away.

    Attributes:
      value: place on the axis, or a name.
      words: what is left, as a sentence begins: "16x16 pixels".
      credits: float64[m], what each held-out example adds to the score (see `Whole`).
    """

    value: float | str
    words: str
    credits: np.ndarray = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Whole:
    """What the probe scored on whole inputs, against which the levels are judged.

    The mean of the credits is the score: 1 or 0 for right or wrong, or 1 - (squared error /
    variance). Probes trained from two draws of their random features differ in as many examples
    as the paired interval counts, so it covers that draw too.

    Attributes:
      credits: float64[m], of the probe on whole inputs.
      prior: float64[m], of the best constant answer.
      measure: "accuracy" or "R²".
      note: what the probe was and what it was trained on.
    """

    credits: np.ndarray = dataclasses.field(repr=False)
    prior: np.ndarray = dataclasses.field(repr=False)
    measure: str
    note: str = ""

    @property
    def full(self) -> float:
        """Score on whole inputs."""
        return float(self.credits.mean())

    @property
    def chance(self) -> float:
        """Score of the best constant answer."""
        return float(self.prior.mean())

    def beats_chance(self, credits: np.ndarray | None = None) -> bool:
        """Whether credits, those of whole inputs if None, are above the prior's beyond doubt."""
        mean, error = paired_difference(self.credits if credits is None else credits, self.prior)
        return mean - _SURE * error > 0.0

    def loss(self, level: Level) -> tuple[float, float, float]:
        """Returns what a level loses, and the 95 % interval of it."""
        mean, error = paired_difference(self.credits, level.credits)
        return mean, mean - 1.96 * error, mean + 1.96 * error

    def kept(self, level: Level) -> float:
        """Returns the share of the score above chance that a level keeps, 0 at least."""
        above = self.full - self.chance
        if above <= 0.0:
            return 1.0  # nothing above chance is all there is
        return max(0.0, (float(level.credits.mean()) - self.chance) / above)

    def keeps(self, level: Level) -> bool:
        """Whether a level suffices: it loses little or within noise, and surely not much."""
        _, low, high = self.loss(level)
        little = self.kept(level) >= KEEPS or low <= 0.0
        return little and high <= max(_OPEN * (self.full - self.chance), 0.0)

    def costs(self, level: Level) -> bool:
        """Whether a level loses more than noise and more than a trifle."""
        return self.kept(level) < KEEPS and self.loss(level)[1] > 0.0

    def enough(self, levels: Sequence[Level]) -> Level | None:
        """Returns the last level that suffices, with all before it; None if the first does not.

        Args:
          levels: from most to least.
        """
        found = None
        for level in levels:
            if not self.keeps(level):
                break
            found = level
        return found

    def need(
        self,
        title: str,
        xlabel: str,
        whole: float | str,
        levels: Sequence[Level],
        sentence: str,
    ) -> Need:
        """Returns the curve through some levels and the whole inputs, which close it.

        Args:
          title: one line.
          xlabel: what the levels are.
          whole: value of the level at which nothing is taken away.
          levels: from least to most.
          sentence: what follows from it, unless the probe does not beat chance.
        """
        every = [*levels, Level(whole, "", self.credits)]
        losses = [self.loss(level) for level in every]
        if not self.beats_chance():
            sentence = (
                f"The probe does not beat chance ({self.number(self.full)}, chance "
                f"{self.number(self.chance)}), so nothing can be said of what it needs."
            )
        return Need(
            title=title,
            xlabel=xlabel,
            levels=tuple(level.value for level in every),  # type: ignore[arg-type]
            scores=np.array([level.credits.mean() for level in every]),
            intervals=tuple(self.interval(level.credits) for level in every),
            losses=np.array([loss for loss, _, _ in losses]),
            loss_intervals=tuple((low, high) for _, low, high in losses),
            full=self.full,
            chance=self.chance,
            sentence=sentence,
            measure=self.measure,
            note=self.note,
        )

    def interval(self, credits: np.ndarray) -> Interval:
        """Returns the 95 % interval of a score."""
        if self.measure == "accuracy":
            return wilson(float(credits.sum()), len(credits))
        mean, error = float(credits.mean()), float(credits.std(ddof=1)) / math.sqrt(len(credits))
        return mean - 1.96 * error, mean + 1.96 * error

    def number(self, score: float) -> str:
        """Returns a score as text: "86.0 %", or "0.86" for R^2."""
        return f"{100 * score:.1f} %" if self.measure == "accuracy" else f"{score:.2f}"

    def keeping(self, level: Level) -> str:
        """Returns "kept 98 % of the accuracy above chance (86.0 % of 87.5 %)"."""
        share, score = self.kept(level), self.number(float(level.credits.mean()))
        if share > 1.0:
            return f"kept all of the {self.measure} ({score}, the whole {self.number(self.full)})"
        return (
            f"kept {100 * share:.0f} % of the {self.measure} above chance "
            f"({score} of {self.number(self.full)})"
        )

    def costing(self, level: Level) -> str:
        """Returns "12.3 points (10.1 to 14.5)", what a level loses with the 95 % interval."""
        if self.measure == "accuracy":
            loss, low, high = (100 * x for x in self.loss(level))
            return f"{loss:.1f} points ({low:.1f} to {high:.1f})"
        loss, low, high = self.loss(level)
        return f"{loss:.2f} of R² ({low:.2f} to {high:.2f})"

    def verdict(self, levels: Sequence[Level]) -> str:
        """Returns how far one can go: the last level that suffices and the first that does not.

        Args:
          levels: from most to least, at least one.
        """
        found = self.enough(levels)
        rest = levels if found is None else levels[levels.index(found) + 1 :]
        said = "" if found is None else f"{found.words} {self.keeping(found)}"
        if not rest:
            return _sentence(f"{said}; no less was tried")
        lost = f"{rest[0].words} cost {self.costing(rest[0])}"
        if self.costs(rest[0]):
            return _sentence(f"{said}; {lost}" if said else f"already {lost}")
        return _sentence(f"{said}; whether less would do is open, {lost}".removeprefix("; "))

    def without(self, level: Level, what: str) -> str:
        """Returns whether one thing is needed that a level lacks.

        Args:
          level: inputs without it.
          what: its name, as a sentence begins: "Colour".
        """
        if self.keeps(level):
            return f"{what} is not needed: {level.words} {self.keeping(level)}."
        if self.costs(level):
            return f"{what} brings {self.costing(level)}: {level.words} {self.keeping(level)}."
        return (
            f"Whether {what.lower()} is needed is open: {level.words} lost {self.costing(level)}."
        )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
