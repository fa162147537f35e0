"""What a search came to, as a report (E)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jrecipe.checks.result import Finding, Verdict
from jrecipe.draw import short_number
from jrecipe.figures import Bars, Table
from jrecipe.report import Report, Section
from jrecipe.tune import plots
from jrecipe.tune.importance import importance
from jrecipe.tune.parameters import Choice, kind_of
from jrecipe.tune.rerun import Interval, Rerun, gain, lowest
from jrecipe.tune.space import Params, Space
from jrecipe.tune.trials import Trial, best_of

_LISTED = 10
_EDGE = 0.03  # share of a range
_EXPLAINED = 0.2  # R^2 below which shares say little


def tuning_report(
    trials: Sequence[Trial],
    space: Space,
    *,
    task: str,
    what: str = "validation loss",
    reruns: Sequence[Rerun] = (),
    base: str = "defaults",
    facts: Mapping[str, Any] | None = None,
) -> Report:
    """Tells what was searched, what mattered, and what the best is worth.

    Args:
      trials: of the search, some of which ran to their end.
      space: what was searched.
      task: its name.
      what: is minimised.
      reruns: the best from fresh seeds, and one named `base` to compare with.
      base: name of the values before the search.
      facts: of the run.

    Raises:
      TaskError: if no trial ran to its end.
    """
    best = best_of(trials)
    chosen = [one for one in reruns if one.name != base]
    winner = lowest(chosen) if chosen else None
    edges = at_the_edge(best.params if winner is None else winner.params, space)
    findings = []
    if winner is not None:
        before = next((one for one in reruns if one.name == base), None)
        lucky = next((t.value for t in trials if winner.name == f"trial {t.number}"), best.value)
        findings.append(judge_best(winner, before, lucky, what))
    if edges:
        findings.append(judge_edges(edges))
    sections = [_summary(trials, best, what), _roles(space, best, edges)]
    if space.scientific:
        sections.append(_scientific(trials, space, what))
    if reruns:
        sections.append(_over_seeds(reruns, what))
    sections.append(_mattered(trials, space))
    sections.append(
        Section(
            title="Slices",
            text=("Each point is a trial; those that failed are left out.",),
            figures=plots.slices(trials, space, what),
        )
    )
    sections.append(Section(title="Together", figures=(plots.parallel(trials, space),)))
    known = dict(facts or {}) | {"trials": len(trials), "best trial": best.number}
    return Report(task=task, findings=tuple(findings), sections=tuple(sections), facts=known)


def judge_best(winner: Rerun, before: Rerun | None, lucky: float, what: str) -> Finding:
    """Judges the chosen values by fresh seeds: are they better than what was there before?

    Args:
      winner: the chosen values.
      before: the values before the search, from the same seeds; None if there are none.
      lucky: what the search itself showed for the chosen ones.
      what: is minimised.
    """
    value = winner.value
    evidence = {"mean": value.mean, "low": value.low, "high": value.high, "in the search": lucky}
    said = f"{winner.name.capitalize()} has a {what} of {value} over {len(winner.seeds)} fresh"
    said += f" seeds (95 % interval); in the search it was {lucky:.4g}"
    if before is None:
        return _finding("tuned-best", Verdict.PASSED, evidence, said + ".")
    brought: Interval = gain(before, winner)
    lost = not math.isfinite(before.value.mean) and math.isfinite(value.mean)
    evidence |= {"before": before.value.mean, "gain": brought.mean}
    evidence |= {"gain low": brought.low, "gain high": brought.high}
    said += f". {before.name.capitalize()} have {before.value}; the gain is {brought}."
    if brought.low > 0 or lost:
        return _finding("tuned-best", Verdict.PASSED, evidence, said)
    return _finding(
        "tuned-best",
        Verdict.WARNED,
        evidence,
        said,
        remedy="Keep what was there before, or search longer, wider, or with more updates.",
    )


def judge_edges(edges: Sequence[str]) -> Finding:
    """Judges a best that lies at the end of a range."""
    named = ", ".join(edges)
    return _finding(
        "search-range",
        Verdict.WARNED,
        {"parameters at an end": float(len(edges))},
        f"The best lies at the end of the range of {named}; better values may lie beyond.",
        remedy=f"Widen the range of {named}, and search again.",
    )


def at_the_edge(params: Params, space: Space) -> list[str]:
    """Returns the parameters whose value lies within 3 % of an end of their range.

    A share or strength that may be 0 has no lower end to widen.
    """
    found = []
    for name, place in zip(space, space.places(params), strict=True):
        kind = kind_of(space[name])
        if isinstance(kind, Choice) or math.isnan(place):
            continue
        whole = getattr(kind, "low", None) == 0
        if place > 1 - _EDGE or (place < _EDGE and not whole):
            found.append(name)
    return found


def _finding(
    check: str, verdict: Verdict, evidence: Mapping[str, float], said: str, remedy: str = ""
) -> Finding:
    return Finding(
        item="E", check=check, verdict=verdict, evidence=evidence, finding=said, remedy=remedy
    )


def _summary(trials: Sequence[Trial], best: Trial, what: str) -> Section:
    counts = {
        state: sum(t.state == state for t in trials) for state in ("done", "stopped", "failed")
    }
    text = (
        f"{len(trials)} trials: {counts['done']} to their end, {counts['stopped']} stopped early, "
        f"{counts['failed']} failed. The lowest {what} is {best.value:.4g}, of trial "
        f"{best.number}; as the lowest of many it is partly luck."
    )
    done = sorted((t for t in trials if t.state == "done"), key=lambda t: t.value)[:_LISTED]
    names = list(dict.fromkeys(name for t in done for name in t.params))
    rows = [
        (f"{t.number}", f"{t.value:.4g}", *(_text(t.params.get(name, "–")) for name in names))
        for t in done
    ]
    table = Table(title="The lowest trials", columns=("trial", what, *names), rows=rows)
    return Section(title="Search", text=(text,), table=table, figures=(plots.so_far(trials, what),))


def _roles(space: Space, best: Trial, edges: Sequence[str]) -> Section:
    rows = []
    for name, role in space.roles().items():
        searched = _range(space[name]) if name in space else _text(space.fixed[name])
        edge = "at an end of its range" if name in edges else ""
        rows.append((name, role, searched, _text(best.params.get(name, "–")), edge))
    text = (
        "What is scientific, the search is about; nuisance parameters were tuned so that its "
        "values are compared fairly; what is fixed makes all this hold for its value alone.",
    )
    columns = ("parameter", "role", "searched", "best", "")
    return Section(
        title="What was searched", text=text, table=Table(title="", columns=columns, rows=rows)
    )


def _scientific(trials: Sequence[Trial], space: Space, what: str) -> Section:
    figures = []
    for name in space.scientific:
        done = [t for t in trials if t.state == "done" and name in t.params]
        of_each: dict[str, list[float]] = {}
        for trial in sorted(done, key=lambda t: str(t.params[name])):
            of_each.setdefault(_text(trial.params[name]), []).append(trial.value)
        if 0 < len(of_each) <= 12:
            figures.append(
                Bars(
                    title=f"{name}: the lowest with nuisance parameters tuned",
                    values={f"{v} ({len(f)} trials)": min(f) for v, f in of_each.items()},
                    xlabel=what,
                )
            )
    text = "Each value at its best. A value with fewer trials had less tuning, and looks worse."
    return Section(title="Scientific parameters", text=(text,), figures=tuple(figures))


def _over_seeds(reruns: Sequence[Rerun], what: str) -> Section:
    rows = [
        (
            one.name,
            str(one.value),
            f"{one.metric.mean():.4g}",
            ", ".join(f"{name} {_text(value)}" for name, value in one.params.items()),
        )
        for one in reruns
    ]
    finite = [one for one in reruns if math.isfinite(one.value.mean)]
    bars = Bars(
        title="From fresh seeds: mean and 95 % interval",
        values={one.name: one.value.mean for one in finite},
        intervals={one.name: (one.value.low, one.value.high) for one in finite},
        xlabel=what,
    )
    text = (
        f"Each trained from the same {len(reruns[0].seeds)} seeds, of which the search had none. "
        "The validation examples chose the values, so a test split will be a little worse."
    )
    columns = ("values", f"{what}, mean (95 % interval)", "metric", "")
    table = Table(title="From fresh seeds", columns=columns, rows=rows)
    return Section(title="The best, over seeds", text=(text,), table=table, figures=(bars,))


def _mattered(trials: Sequence[Trial], space: Space) -> Section:
    title = "What mattered"
    if len(space) < 2:
        return Section(title=title, text=("Only one parameter was searched.",))
    found = importance(trials, space)
    if found is None:
        return Section(title=title, text=("Too few trials to tell; there should be 16 or more.",))
    text = (
        f"A forest guesses the rank of trials that it has not seen with R² = {found.explained:.2f}."
    )
    if found.explained < _EXPLAINED:
        text += " That is so little that these shares say hardly anything."
    return Section(title=title, text=(text,), figures=(plots.importance_bars(found),))


def _range(parameter: Any) -> str:
    kind = kind_of(parameter)
    if isinstance(kind, Choice):
        said = "one of " + ", ".join(_text(value) for value in kind.values)
    else:
        low, high = kind.at(0.0), kind.at(float(np.nextafter(1.0, 0.0)))
        log = type(kind).__name__ == "LogUniform" or getattr(kind, "log", False)
        said = f"{_text(low)} to {_text(high)}" + (", by factors" if log else "")
    if kind is not parameter:
        values = ", ".join(_text(value) for value in parameter.values)
        said += f", where {parameter.name} is {values}"
    return said


def _text(value: Any) -> str:
    return short_number(value) if isinstance(value, float) else str(value)
