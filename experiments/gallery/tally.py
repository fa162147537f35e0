"""From results to the table: rates with Wilson intervals, per suite and per family."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from gallery.program import STRENGTHS, Fault
from gallery.runs import Build, Result, Run


@dataclasses.dataclass(frozen=True)
class Rate:
    """A share with its 95 % Wilson interval."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        """Returns hits / of, NaN of nothing."""
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Returns Wilson's 95 % interval."""
        if not self.of:
            return math.nan, math.nan
        z, n, p = 1.96, self.of, self.share
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = self.interval
        return f"{self.hits}/{self.of} = {self.share:.1%} ({low:.0%} to {high:.0%})"


def rate(hits: Iterable[bool]) -> Rate:
    """Returns how many are True."""
    hits = [bool(hit) for hit in hits]
    return Rate(sum(hits), len(hits))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One fault at one strength, over the seeds.

    Attributes:
      fault: which.
      strength: which.
      results: one per seed.
      twins: the repaired program, one per seed.
    """

    fault: Fault
    strength: str
    results: Sequence[Result]
    twins: Sequence[Result]

    def most(self, holds: Callable[[Result], bool]) -> bool:
        """Tells whether something holds in two thirds of the seeds (2 of 3)."""
        hits = sum(holds(result) for result in self.results)
        return 3 * hits >= 2 * len(self.results)

    @property
    def disputed(self) -> bool:
        """Whether two seeds disagree on something that is reported: a third has to decide."""
        if len(self.results) != 2:
            return False
        alone = [dataclasses.replace(self, results=(result,)) for result in self.results]
        said = [
            (one.detected, one.named(1), one.named(3), one.component, one.exact) for one in alone
        ]
        return said[0] != said[1]

    @property
    def detected(self) -> bool:
        """Whether an alarm with a suspect was raised in at least 2 of 3 seeds."""
        return self.most(lambda result: result.alarmed)

    def named(self, first: int) -> bool:
        """Tells whether a right cause is among the first so many."""
        return self.most(lambda r: bool(set(r.causes[:first]) & set(self.fault.causes)))

    @property
    def component(self) -> bool:
        """Whether the first suspect is in a right component."""
        return self.most(lambda r: any(s[1] in self.fault.components for s in r.suspects[:1]))

    @property
    def exact(self) -> bool:
        """Whether a right cause comes with a right place."""
        return self.most(
            lambda r: any(
                text in s[2]
                for s in r.suspects[:3]
                if s[0] in self.fault.causes
                for text in self.fault.where
            )
        )

    @property
    def pair(self) -> bool:
        """Whether the fault is detected and the twin is silent, in two thirds of the seeds."""
        quiet = sum(not twin.alarmed for twin in self.twins)
        return self.detected and 3 * quiet >= 2 * len(self.twins)


def cases(
    faults: Iterable[Fault],
    results: Mapping[str, Result],
    bases: Mapping[str, Build],
    seeds: Sequence[int],
) -> list[Case]:
    """Joins faults with their results; those that have none yet are left out."""
    known = {build: name for name, build in bases.items()}
    found = []
    for fault in faults:
        base = known.get(fault.twin)
        twin = [
            Run(kind="base", name=base, seed=seed)
            if base is not None
            else Run(kind="twin", name=fault.name, seed=seed)
            for seed in seeds
        ]
        for strength in STRENGTHS[:1] if fault.real else STRENGTHS:
            runs = [Run(kind="fault", name=f"{fault.name}:{strength}", seed=s) for s in seeds]
            mine = [results[run.key] for run in runs if run.key in results]
            twins = [results[run.key] for run in twin if run.key in results]
            if mine and twins:
                found.append(Case(fault=fault, strength=strength, results=mine, twins=twins))
    return found


def describe(cases: Sequence[Case]) -> dict[str, Rate]:
    """Returns the rates of one suite of faults, by name."""
    placed = [case for case in cases if case.fault.where]
    return {
        "detected": rate(case.detected for case in cases),
        "right cause first": rate(case.named(1) for case in cases),
        "right cause in three": rate(case.named(3) for case in cases),
        "right component": rate(case.component for case in cases),
        "exact place": rate(case.exact for case in placed),
        "pairs": rate(case.pair for case in cases),
    }


def false_alarms(results: Iterable[Result], *kinds: str) -> Rate:
    """Returns how many healthy runs raised an alarm."""
    return rate(result.alarmed for result in results if result.run.kind in kinds)


def cost(results: Iterable[Result]) -> tuple[float, float, float]:
    """Returns median, 95th percentile and greatest seconds of a run of all checks."""
    seconds = sorted(result.seconds for result in results)
    return statistics.median(seconds), seconds[int(0.95 * (len(seconds) - 1))], seconds[-1]
