"""How well the label is predicted by what has nothing to do with it (A4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from jrecipe.checks.intervals import wilson
from jrecipe.explore.columns import label_names
from jrecipe.explore.examples import Column
from jrecipe.explore.name_words import word_table
from jrecipe.explore.surveying import Survey

WORDS = "words of the file name"
_LEAVES = 64  # of the tree that reads one feature
_FEWEST = 30  # training examples
_ROWS = 20_000  # rows that are asked
_WELL = 0.5  # share of what is not the prior that a shortcut predicts
_NEARLY = 0.8  # of what the probe predicts
_TOLD = 4  # words that are named at the most
_TELLING = 0.1  # share of what all words tell that a named one does
_KINDS = 64  # different texts that a column has at the most to be asked


@dataclasses.dataclass(frozen=True)
class Trivial:
    """What one feature knows of the label.

    Attributes:
      name: of the feature.
      accuracy: of a tree on this feature alone, on rows that it was not fitted on.
      prior: share of the commonest label.
      probe: accuracy of the probe of the whole input.
      rows: how many were asked.
      words: of a feature of words, the ones that tell most, with the class that each speaks for.
    """

    name: str
    accuracy: float
    prior: float
    probe: float
    rows: int
    words: tuple[str, ...] = ()

    @property
    def suspicious(self) -> bool:
        """Whether it predicts well, and most of what the whole input tells."""
        left = max(1 - self.prior, 1e-9)
        skill, whole = (self.accuracy - self.prior) / left, (self.probe - self.prior) / left
        return skill >= _WELL and skill >= _NEARLY * whole

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy."""
        return wilson(round(self.accuracy * self.rows), self.rows)


@dataclasses.dataclass(frozen=True)
class _Feature:
    """What is asked: numbers float[n, d] of the training examples, and the words they stand for."""

    name: str
    values: np.ndarray
    words: tuple[str, ...] = ()


def trivial_scores(survey: Survey, seed: int = 0) -> list[Trivial] | str:
    """Predicts the label by each trivial feature, cross-validated twofold; the best first.

    Features are the trivial columns with the place in the file among them, and the words in the
    names of files below the folder of their class. Columns of a table are left to
    `single-features`.

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
    names = label_names(found.classes, survey.gathered.data.class_names)
    scores = []
    for feature in _features(survey, train):
        tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, min_samples_leaf=5, random_state=0)
        right = 0
        for known, asked in (halves, halves[::-1]):
            tree.fit(feature.values[known], labels[known])
            right += int((tree.predict(feature.values[asked]) == labels[asked]).sum())
        words: tuple[str, ...] = ()
        if feature.words:
            tree.fit(feature.values[rows], labels[rows])
            best = np.argsort(-tree.feature_importances_, kind="stable")[:_TOLD]
            words = tuple(
                _told(feature.words[i], labels[feature.values[:, i] > 0], names)
                for i in best
                if tree.feature_importances_[i] >= _TELLING
            )
        accuracy = right / len(rows)
        scores.append(Trivial(feature.name, accuracy, prior, found.score, len(rows), words))
    if not scores:
        return "There is no trivial feature to ask about the label."
    return sorted(scores, key=lambda score: -score.accuracy)


def _features(survey: Survey, train: np.ndarray) -> Iterator[_Feature]:
    """Yields what to ask of the training examples, int[n]."""
    for column in survey.trivial:
        values = _as_numbers(column)
        if values is not None:
            name = "place in the file" if column.name == "row" else column.name
            yield _Feature(name, values[train, None])
    gathered = survey.gathered
    if gathered.files is not None:
        names = [gathered.files[row].name for row in train]
        words, table = word_table(names, gathered.data.class_names)
        if words:
            yield _Feature(WORDS, table.astype(np.float32), words)


def _as_numbers(column: Column) -> np.ndarray | None:
    """Returns a column as finite numbers float64[n], its few texts numbered; else None."""
    if column.values.dtype.kind in "fiub":
        values = column.values.astype(np.float64)
        return np.nan_to_num(values, nan=-1e9)
    kinds, numbered = np.unique(column.values, return_inverse=True)
    return numbered.astype(np.float64) if len(kinds) <= _KINDS else None


def _told(word: str, labels: np.ndarray, names: np.ndarray) -> str:
    """Says for which class a word speaks, by the labels int[k] of the examples that have it."""
    counts = np.bincount(labels, minlength=len(names))
    return f"{word!r} ({counts.max() / len(labels):.0%} {names[counts.argmax()]})"
