"""Which parameters mattered, as far as the trials can tell (E)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from jrecipe.tune.space import Space
from jrecipe.tune.trials import Trial

_FEWEST = 16  # trials; fewer tell nothing of several parameters
_FOLDS = 5
_ABSENT = -0.25  # the place of a parameter that a trial did not have


@dataclasses.dataclass(frozen=True)
class Importance:
    """How much a forest's guesses of the value suffer without each parameter.

    Attributes:
      shares: name -> share of all it explains, in [0, 1], adding up to 1 (or all 0).
      explained: R^2 of the forest on trials that it had not seen; below about 0.2 the shares say
        little.
      trials: how many were compared.
    """

    shares: dict[str, float]
    explained: float
    trials: int


def comparable(trials: Sequence[Trial]) -> tuple[list[Trial], np.ndarray, int | None]:
    """Returns trials that can be compared: their values at one step, failed ones as infinity.

    Where some were stopped early, it is the last step that all of them saw.

    Returns:
      The trials, float64[n], and that step; None where it is the end of each.
    """
    alive = [trial for trial in trials if trial.state != "failed"]
    step = None
    if any(trial.state == "stopped" for trial in alive):
        shared = set.intersection(*({s for s, _ in trial.curve} for trial in alive))
        step = max(shared, default=None)
        if step is None:
            alive = [trial for trial in alive if trial.state == "done"]
    numbers = {trial.number for trial in alive}
    kept = [trial for trial in trials if trial.state == "failed" or trial.number in numbers]

    def value(trial: Trial) -> float:
        if trial.state == "failed":
            return np.inf
        return trial.value if step is None else dict(trial.curve)[step]

    values = [value(trial) for trial in kept]
    return kept, np.array(values, np.float64), step


def importance(trials: Sequence[Trial], space: Space, seed: int = 0) -> Importance | None:
    """Judges what each parameter explains of the value; None for fewer than 16 trials.

    A random forest learns the rank of a trial from its values. On trials that it has not seen, one
    parameter after another is shuffled, and what that costs is its share. Ranks do not mind that a
    training which blew up has a value beyond all others.

    Args:
      trials: what was tried.
      space: what was searched.
      seed: of forest and shuffling.

    References:
      Breiman, "Random Forests", 2001 (permutation importance).
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    kept, values, _ = comparable(trials)
    if len(kept) < _FEWEST:
        return None
    places = np.array([space.places(trial.params) for trial in kept])
    places = np.where(np.isnan(places), _ABSENT, places)
    ranks = rankdata(values) / len(values)
    costs, missed = np.zeros(len(space)), 0.0
    for train, test in KFold(_FOLDS, shuffle=True, random_state=seed).split(places):
        forest = RandomForestRegressor(64, random_state=seed).fit(places[train], ranks[train])
        missed += float(np.square(forest.predict(places[test]) - ranks[test]).sum())
        costs += permutation_importance(
            forest,
            places[test],
            ranks[test],
            scoring="neg_mean_squared_error",
            n_repeats=3,
            random_state=seed,
        ).importances_mean
    total = float(np.square(ranks - ranks.mean()).sum())
    costs = np.maximum(costs, 0.0)
    shares = costs / costs.sum() if costs.sum() > 0 else costs
    return Importance(
        shares=dict(zip(space, shares.tolist(), strict=True)),
        explained=1.0 - missed / total if total > 0 else 0.0,
        trials=len(kept),
    )
