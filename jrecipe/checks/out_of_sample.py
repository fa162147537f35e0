"""What a row's class should be, from all other rows: a kernel machine whose own row is left out.

Least squares on one-hot classes with a Gaussian kernel has a closed form for leaving out each row,
so that one decomposition gives out-of-sample answers for a whole split. Its width and its penalty
are those that answer the rows left out best, so that it is smooth where labels contradict.
"""

from __future__ import annotations

import dataclasses

import numpy as np

CHUNK = 1000  # rows that are decomposed together
_WIDTHS = (0.1, 0.3, 1.0)  # of the kernel, in median squared distances
_PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclasses.dataclass(frozen=True)
class Answers:
    """Out-of-sample answers.

    Attributes:
      scores: float64[n, classes], larger is likelier; about the share of each class.
      labels: int[n], the class that is stored, as a column of `scores`.
    """

    scores: np.ndarray
    labels: np.ndarray

    @property
    def answer(self) -> np.ndarray:
        """The likeliest class of each row, int[n]."""
        best: np.ndarray = self.scores.argmax(axis=1)
        return best

    @property
    def contradicted(self) -> np.ndarray:
        """Which rows are stored with another class than the likeliest, bool[n]."""
        wrong: np.ndarray = self.answer != self.labels
        return wrong

    @property
    def margin(self) -> np.ndarray:
        """How much likelier the first class is than the second, float64[n]."""
        two = np.sort(self.scores, axis=1)[:, -2:]
        gap: np.ndarray = two[:, 1] - two[:, 0]
        return gap

    @property
    def rank(self) -> np.ndarray:
        """Place of the stored class among those that are not the likeliest, 0 first and 1 last."""
        n, classes = self.scores.shape
        above = (self.scores > self.scores[np.arange(n), self.labels][:, None]).sum(axis=1)
        return (above - 1) / max(classes - 2, 1)


def left_out(
    points: np.ndarray, labels: np.ndarray, classes: int, queries: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Answers for each row from all others, and for queries from all rows.

    Args:
      points: float[n, d].
      labels: int[n] in [0, classes).
      classes: number of classes, at least 2.
      queries: float[m, d], or None for none.

    Returns:
      `(scores float64[n, classes], scores float64[m, classes])`. Beyond `CHUNK` rows each part of
      the rows is answered by itself, and a query by the mean over the parts.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):  # on a busy machine threads of BLAS wait for each other
        return _left_out(points, labels, classes, queries)


def _left_out(
    points: np.ndarray, labels: np.ndarray, classes: int, queries: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    parts = max(1, -(-len(points) // CHUNK))
    queries = np.zeros((0, points.shape[1])) if queries is None else queries
    own, other = np.zeros((len(points), classes)), np.zeros((len(queries), classes))
    setting = None
    for part in range(parts):
        rows = np.arange(part, len(points), parts)
        some, hot = points[rows], np.eye(classes)[labels[rows]]
        if setting is None:
            few = slice(None, None, max(1, len(rows) // 400))
            setting = _best(_gaps(some[few], some[few]), hot[few])
        gaps = _gaps(some, some)
        scores, weights, mean = _solve(gaps, hot, *setting)
        own[rows] = scores
        if len(queries):
            kernel = np.exp(-_gaps(queries, some) / setting[0])
            other += (kernel @ weights + mean) / parts
    return own, other


def _gaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances float32[m, n]."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    gaps = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(gaps, 0.0)


def _best(gaps: np.ndarray, hot: np.ndarray) -> tuple[float, float]:
    """Returns (width, penalty) with the least squared error on rows left out."""
    middle = float(np.median(gaps)) or 1.0
    found = []
    for width in _WIDTHS:
        values, vectors = np.linalg.eigh(np.exp(-gaps / (2 * width * middle)))
        turned, squares = vectors.T @ (hot - hot.mean(axis=0)), vectors**2
        for penalty in _PENALTIES:
            shrink = 1 / (np.maximum(values, 0) + penalty)
            missed = (vectors @ (shrink[:, None] * turned)) / (squares @ shrink)[:, None]
            found.append((float((missed**2).mean()), 2 * width * middle, penalty))
    return min(found)[1:]


def _solve(
    gaps: np.ndarray, hot: np.ndarray, width: float, penalty: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (scores of rows left out, weights of rows, mean of the classes)."""
    mean = hot.mean(axis=0)
    kernel = np.exp(-gaps / width).astype(np.float64)
    inverse = np.linalg.inv(kernel + penalty * np.eye(len(kernel)))
    weights = inverse @ (hot - mean)
    return hot - weights / np.diagonal(inverse)[:, None], weights, mean
