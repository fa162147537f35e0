"""The plots of a search, as figures: so far, slices, parallel coordinates, importance (E)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.draw import short_number
from jrecipe.figures import Bars, Curves, Figure, Parallel
from jrecipe.tune.importance import Importance, comparable
from jrecipe.tune.parameters import Choice, Int, LogUniform, kind_of
from jrecipe.tune.space import Space
from jrecipe.tune.trials import Trial


def so_far(trials: Sequence[Trial], what: str) -> Curves:
    """Returns the lowest value among the trials that ran to their end, by number of trials."""
    values = [trial.value if trial.state == "done" else np.inf for trial in trials]
    lowest = np.minimum.accumulate(values)
    return Curves(
        title="The best so far",
        x=np.arange(1, len(values) + 1),
        lines={"best so far": np.where(np.isfinite(lowest), lowest, np.nan)},
        xlabel="trials",
        ylabel=what,
    )


def slices(trials: Sequence[Trial], space: Space, what: str) -> tuple[Figure, ...]:
    """Returns for each parameter the values of all trials over its own values.

    The edge of the best points downwards is what the parameter can bring when the others are well
    chosen; a best at either end asks for a wider range.
    """
    kept, values, step = comparable(trials)
    when = "" if step is None else f" after {step} updates"
    found: list[Figure] = []
    for name, parameter in space.items():
        kind = kind_of(parameter)
        have = [(t.params[name], v) for t, v in zip(kept, values, strict=True) if name in t.params]
        have = [(x, v) for x, v in have if np.isfinite(v)]
        if not have:
            continue
        if isinstance(kind, Choice):
            found.append(_choices(name, kind, have, what + when))
            continue
        x, y = np.array(sorted(have, key=lambda pair: pair[0]), np.float64).T
        # Gaps between the points, so that they are drawn as points.
        found.append(
            Curves(
                title=f"Slice along {name}",
                x=np.repeat(x, 2),
                lines={what: np.stack([y, np.full_like(y, np.nan)], axis=1).ravel()},
                xlabel=name,
                ylabel=what + when,
                log_x=isinstance(kind, LogUniform) or (isinstance(kind, Int) and kind.log),
                log_y=bool((y > 0).all()),
            )
        )
    return tuple(found)


def _choices(name: str, kind: Choice, have: Sequence[tuple[object, float]], what: str) -> Bars:
    of_each = {
        str(value): [v for x, v in have if x == value and type(x) is type(value)]
        for value in kind.values
    }
    of_each = {value: found for value, found in of_each.items() if found}
    return Bars(
        title=f"Slice along {name}: median, lowest and highest",
        values={value: float(np.median(found)) for value, found in of_each.items()},
        intervals={value: (min(found), max(found)) for value, found in of_each.items()},
        xlabel=what,
    )


def parallel(trials: Sequence[Trial], space: Space) -> Parallel:
    """Returns parallel coordinates: a line for each trial, the best tenth told apart."""
    kept, values, _ = comparable(trials)
    best = np.argsort(np.argsort(values, kind="stable"), kind="stable") < max(1, len(kept) // 10)
    places = [space.places(trial.params) for trial in kept]
    return Parallel(
        title="Parallel coordinates: the best tenth before the others",
        axes=tuple(space),
        ends=tuple(_ends(space, name) for name in space),
        places=np.array(places).reshape(len(kept), len(space)),
        marked=tuple(bool(one) for one in best),
        mark="the best tenth",
    )


def _ends(space: Space, name: str) -> tuple[str, str]:
    kind = kind_of(space[name])
    ends = (kind.at(0.0), kind.at(float(np.nextafter(1.0, 0.0))))
    low, high = (
        str(end) if isinstance(end, bool | str) or end is None else short_number(end)
        for end in ends
    )
    return low, high


def importance_bars(found: Importance) -> Bars:
    """Returns what each parameter explains, the most first."""
    ordered = sorted(found.shares.items(), key=lambda pair: -pair[1])
    return Bars(
        title="What each parameter explains",
        values=dict(ordered),
        xlabel="share of what the forest explains",
    )
