"""How well the label is predicted by what has nothing to do with it (A4)."""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.explore.surveying import Survey

_LEAVES = 64  # of the tree that reads one feature
_FEWEST = 30  # training examples
_ROWS = 20_000  # rows that are asked
_WELL = 0.5  # share of what is not the prior that a shortcut predicts
_NEARLY = 0.8  # of what the probe predicts


@dataclasses.dataclass(frozen=True)
class Trivial:
    """What one feature knows of the label.

    Attributes:
      name: of the feature.
      accuracy: of a tree on this feature alone, on rows that it was not fitted on.
      prior: share of the commonest label.
      probe: accuracy of the probe of the whole input.
      rows: how many were asked.
    """

    name: str
    accuracy: float
    prior: float
    probe: float
    rows: int

    @property
    def suspicious(self) -> bool:
        """Whether it predicts well, and most of what the whole input tells."""
        left = max(1 - self.prior, 1e-9)
        skill, whole = (self.accuracy - self.prior) / left, (self.probe - self.prior) / left
        return skill >= _WELL and skill >= _NEARLY * whole


def trivial_scores(survey: Survey, seed: int = 0) -> list[Trivial] | str:
    """Predicts the label by each trivial column, cross-validated twofold; the best first.

    The place in the file counts among them. Columns of a table are left to `single-features`.

    Args:
      survey: of all examples.
      seed: of the halves.

    Returns:
      The scores, or why there are none.
    """
    from sklearn.tree import DecisionTreeClassifier

    found = survey.probed
    if isinstance(found, str):
        return f"No feature was asked about the label: {found}."
    if found.kind != "classes":
        return "No feature was asked about the label: targets are numbers."
    train = survey.gathered.rows_of("train")
    if len(train) < _FEWEST:
        return f"{len(train)} training examples are too few to ask."
    labels = found.targets[train]
    rng = np.random.default_rng((seed % 2**32, 59))
    rows = rng.permutation(len(train))[:_ROWS]
    halves = (rows[::2], rows[1::2])
    prior = float(np.bincount(labels[rows]).max() / len(rows))
    scores = []
    for column in survey.trivial:
        if not column.numeric:
            continue
        values = np.nan_to_num(column.values[train].astype(np.float64)[:, None], nan=-1e9)
        right = 0
        for known, asked in (halves, halves[::-1]):
            tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, min_samples_leaf=5)
            tree.fit(values[known], labels[known])
            right += int((tree.predict(values[asked]) == labels[asked]).sum())
        name = "place in the file" if column.name == "row" else column.name
        scores.append(Trivial(name, right / len(rows), prior, found.score, len(rows)))
    if not scores:
        return "There is no trivial feature to ask about the label."
    return sorted(scores, key=lambda score: -score.accuracy)
