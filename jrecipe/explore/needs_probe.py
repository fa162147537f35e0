"""The question put to a probe, and ridge regression as the probe that answers it (A6)."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from jrecipe.data.split import stratified_split
from jrecipe.types import TaskError

FEWEST = 60  # examples, below which every interval is wider than what is to be seen
_PER_CLASS = 4  # examples of a class on average, below which integers are no classes
_STRENGTHS = (0.03, 0.2, 1.0, 5.0)  # of the penalty, in variances of a feature
_DEAD = 1e-3  # spread of a feature that is rounding alone, where inputs vary by 1


@dataclasses.dataclass(frozen=True)
class Question:
    """Which examples a probe learns from, which it is judged on, and what it has to say.

    Attributes:
      train: int64[n], rows to learn from, in random order.
      held: int64[m], rows to judge on.
      targets: float32[n, k] of the rows to learn from: one-hot classes, or numbers.
      truth: int64[m] classes or float32[m, k] numbers of the held-out rows.
      measure: "accuracy" or "R²".
    """

    train: np.ndarray
    held: np.ndarray
    targets: np.ndarray
    truth: np.ndarray
    measure: str

    @property
    def rows(self) -> np.ndarray:
        """Rows of both kinds, int64[n + m], those to learn from first."""
        return np.concatenate([self.train, self.held])

    def credits(self, answers: np.ndarray) -> np.ndarray:
        """Returns what each held-out example adds to the score, float64[m], from answers [m, k]."""
        if self.measure == "accuracy":
            return (answers.argmax(axis=1) == self.truth).astype(np.float64)
        spread = np.maximum(self.truth.var(axis=0, dtype=np.float64), 1e-12)
        errors = np.square(answers.astype(np.float64) - self.truth) / spread
        return 1.0 - errors.mean(axis=1)

    def prior(self) -> np.ndarray:
        """Returns the credits float64[m] of the best constant answer, the mean of the targets."""
        return self.credits(np.tile(self.targets.mean(axis=0), (len(self.held), 1)))

    def note(self) -> str:
        """Returns how many examples there are, in words."""
        return f"{len(self.train):,} examples to learn from, {len(self.held):,} held out"


def question(labels: Any, count: int, *, most: int, seed: int, what: str) -> Question:
    """Draws the examples for a probe: three quarters to learn from, a quarter held out.

    Args:
      labels: [n] of int, bool or str for classes, or float [n] or [n, k] for numbers.
      count: number of inputs, which has to be n.
      most: examples of both kinds together; classes keep their shares.
      seed: any integer.
      what: name of the function, for error messages.

    Raises:
      TaskError: if labels and inputs differ in number, there are fewer than 60, one class only,
        about as many classes as examples, or numbers that are not finite or do not vary.
    """
    labels = np.asarray(labels)
    if labels.ndim == 0 or len(labels) != count:
        raise TaskError(
            f"{what} needs one label for each of {count} inputs, got labels of shape "
            f"{list(labels.shape)}."
        )
    if count < FEWEST:
        raise TaskError(
            f"{what} got {count} examples, too few to tell a need from noise; give {FEWEST} or "
            "more."
        )
    numbers = labels.dtype.kind == "f"
    if not numbers and (labels.ndim != 1 or labels.dtype.kind not in "iubUSO"):
        raise TaskError(
            f"{what} needs labels of classes [n] or numbers float [n] or [n, k], got "
            f"{labels.dtype} {list(labels.shape)}."
        )
    if numbers:
        values = labels.reshape(count, -1).astype(np.float32)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise TaskError(f"{what}: labels[{row}] is {labels[row]}; leave such examples out.")
        if not values.var(axis=0).any():
            raise TaskError(f"{what}: labels are all {labels[0]}; there is nothing to learn.")
        classes, measure = labels.shape[0], "R²"
    else:
        plain = labels.astype(str) if labels.dtype == object else labels
        names, codes = np.unique(plain, return_inverse=True)
        if len(names) == 1:
            raise TaskError(
                f"{what}: labels have one class only, {names[0]!r}; there is nothing to tell apart."
            )
        if count < _PER_CLASS * len(names):
            raise TaskError(
                f"{what}: labels have {len(names)} classes among {count} examples; give numbers "
                "as float, or leave rare classes out."
            )
        values, measure = np.eye(len(names), dtype=np.float32)[codes], "accuracy"
        classes = codes
    used = min(count, most) / count
    train, held = stratified_split(classes, (0.75 * used, 0.25 * used), seed)
    train = generator(seed, "order").permutation(train)
    truth = values[held] if numbers else np.asarray(classes)[held]
    return Question(train, held, values[train], truth, measure)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Returns draws of their own for each purpose."""
    return np.random.default_rng([seed % 2**64, zlib.crc32(purpose.encode())])


# Threads of a BLAS wait for one another in a busy loop. On a machine with other work, matrices of
# this size take up to a hundred times as long with two threads as with one.
one_thread = functools.partial(threadpool_limits, limits=1, user_api="blas")


def answer(asked: Question, features: np.ndarray) -> np.ndarray:
    """Learns by ridge regression and returns the credits float64[m] of the held-out examples.

    The strength of the penalty is chosen on a fifth of the examples to learn from.

    Args:
      asked: which rows, and what they are.
      features: float32[n + m, d], of `asked.rows`.
    """
    n = len(asked.train)
    middle, spread = features[:n].mean(axis=0), features[:n].std(axis=0)
    scale = np.where(spread > _DEAD, 1.0 / np.maximum(spread, _DEAD), 0.0).astype(np.float32)
    x = (features - middle) * scale
    y = asked.targets - (offset := asked.targets.mean(axis=0))
    cut = n - n // 5
    spreads = np.maximum(y.var(axis=0), 1e-12)

    def error(weights: np.ndarray) -> float:
        return float((np.square(x[cut:n] @ weights - y[cut:]).mean(axis=0) / spreads).mean())

    tried = [error(weights) for weights in _ridge(x[:cut], y[:cut], _STRENGTHS)]
    (weights,) = _ridge(x[:n], y, [_STRENGTHS[int(np.argmin(tried))]])
    return asked.credits(x[n:] @ weights + offset)


def _ridge(x: np.ndarray, y: np.ndarray, strengths: Sequence[float]) -> list[np.ndarray]:
    """Returns weights float32[d, k] for each strength, from the smaller of both Gram matrices."""
    wide = x.shape[0] < x.shape[1]
    gram, given = (x @ x.T, y) if wide else (x.T @ x, x.T @ y)
    found = []
    for strength in strengths:
        penalised = gram + np.float32(strength * len(x)) * np.eye(len(gram), dtype=np.float32)
        factor = scipy.linalg.cho_factor(penalised, overwrite_a=True, check_finite=False)
        solved = scipy.linalg.cho_solve(factor, given, check_finite=False)
        found.append(x.T @ solved if wide else solved)
    return found
