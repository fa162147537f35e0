"""Explains how parameters moved: which gradients, through which kind of optimiser, fit exactly.

Gradients are taken at the parameters that the trainer really had, so what one update did does not
blur the next. Every kind of optimiser leaves one factor per update free (its learning rate); a fit
counts only if what it leaves unexplained is down to rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

# Decay rates of first and second moments; a first of 0 is RMSprop.
ADAMS = (
    (0.9, 0.999),
    (0.9, 0.99),
    (0.9, 0.95),
    (0.5, 0.999),
    (0.0, 0.999),
    (0.0, 0.9),
    (0.0, 0.99),
)
EXACT, NEARLY = 5e-3, 0.05  # share of a movement that may stay unexplained
_APART = 1e-3  # share of the parameters that past gradients have to leave unexplained
_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """How well a kind of optimiser explains the movements.

    Attributes:
      misfit: largest share of a movement that stays unexplained, rounding taken off.
      factors: of each update: its movement, in units of the one that was expected.
      decay: of updates that tell: how much the parameters themselves enter, relative to the
        gradient; positive if they shrink.
      history: of each update: factors of earlier gradients relative to that of its own, newest
        first; empty where the optimiser is not linear.
      steps: how many updates moved far enough to be judged.
    """

    misfit: float = float("inf")
    factors: tuple[float, ...] = ()
    decay: tuple[float, ...] = ()
    history: tuple[tuple[float, ...], ...] = ()
    steps: int = 0


def adam_directions(
    gradients: Sequence[np.ndarray], b1: float = 0.9, b2: float = 0.999
) -> list[np.ndarray]:
    """Returns the updates of Adam with a learning rate of -1, without the decay of weights."""
    m = np.zeros_like(gradients[0])
    v = np.zeros_like(m)
    found = []
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        found.append(m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + _EPSILON))
    return found


def sign_directions(gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the first update of Adam from each gradient, its state thrown away in between."""
    return [g / (np.abs(g) + _EPSILON) for g in gradients]


def significant(
    gradients: Sequence[np.ndarray], noise: np.ndarray, least: float = 1e-6
) -> list[np.ndarray]:
    """Returns where every gradient so far stands out from rounding, bool[parameters] per update.

    Args:
      gradients: one per update.
      noise: what rounding may do to an element, float64[parameters].
      least: size below which the constant in a denominator matters.
    """
    so_far = np.ones(len(noise), bool)
    found = []
    for g in gradients:
        so_far = so_far & (np.abs(g) > np.maximum(100 * noise, least))
        found.append(so_far)
    return found


def fit(
    moves: Sequence[np.ndarray],
    terms: Sequence[Sequence[np.ndarray]],
    floors: Sequence[np.ndarray],
    masks: Sequence[np.ndarray] | None = None,
) -> tuple[float, list[np.ndarray | None]]:
    """Explains each movement as a sum of terms, by least squares.

    Args:
      moves: float64[parameters] per update.
      terms: of each update the terms, float64[parameters] each.
      floors: what rounding may do to an element of a movement, float64[parameters] per update.
      masks: elements that count, all by default.

    Returns:
      `(largest share unexplained, factors of the terms per update)`; the factors are None where a
      movement is too small to be judged. Infinite if none could be judged.
    """
    worst, judged = 0.0, 0
    factors: list[np.ndarray | None] = []
    for t, move in enumerate(moves):
        keep = np.ones(len(move), bool) if masks is None else masks[t]
        u, floor = move[keep], float(np.linalg.norm(floors[t][keep]))
        size = float(np.linalg.norm(u))
        columns = [x[keep] for x in terms[t]]
        expected = max((float(np.linalg.norm(x)) for x in columns[:1]), default=0.0)
        if size == 0 and expected == 0:
            factors.append(None)
            continue
        if len(u) < 8 + 4 * len(columns) or size <= 10 * floor:
            factors.append(None)
            continue
        scales = [max(float(np.linalg.norm(x)), 1e-300) for x in columns]
        matrix = np.stack([x / s for x, s in zip(columns, scales, strict=True)], axis=1)
        solved = np.linalg.lstsq(matrix, u, rcond=1e-9)[0]
        left = float(np.linalg.norm(u - matrix @ solved))
        worst = max(worst, max(0.0, left - 3 * floor) / size)
        factors.append(solved / np.array(scales))
        judged += 1
    return (worst if judged else float("inf")), factors


def fit_expected(
    moves: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    floors: Sequence[np.ndarray],
    masks: Sequence[np.ndarray] | None = None,
) -> Fit:
    """Fits movements by expected ones, each times a factor of its own."""
    misfit, factors = fit(moves, [[x] for x in expected], floors, masks)
    kept = [f for f in factors if f is not None]
    return Fit(misfit=misfit, factors=tuple(float(f[0]) for f in kept), steps=len(kept))


def fit_linear(
    moves: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    params: Sequence[np.ndarray],
    floors: Sequence[np.ndarray],
) -> Fit:
    """Fits plain and momentum SGD: gradients so far and the parameters, each times a factor.

    Parameters that began at zero are a sum of past gradients, so that decay cannot be told from
    momentum: there they are left out.
    """
    past = [gradients[t::-1] for t in range(len(moves))]
    apart = [_apart(params[t], past[t]) for t in range(len(moves))]
    terms = [[*past[t], *([params[t]] if apart[t] else [])] for t in range(len(moves))]
    misfit, factors = fit(moves, terms, floors)
    decay, history, own = [], [], []
    for t, f in enumerate(factors):
        if f is None:
            continue
        own.append(float(f[0]))
        if apart[t]:
            pull = float(np.linalg.norm(f[-1] * params[t]))
            push = float(np.linalg.norm(sum(c * g for c, g in zip(f, past[t], strict=False))))
            decay.append(-np.sign(f[-1]) * pull / max(push, 1e-300))
        earlier = f[1 : len(past[t])]
        history.append(tuple(float(c / f[0]) if f[0] else float("inf") for c in earlier))
    return Fit(
        misfit=misfit,
        factors=tuple(own),
        decay=tuple(decay),
        history=tuple(history),
        steps=len(own),
    )


def _apart(params: np.ndarray, gradients: Sequence[np.ndarray]) -> bool:
    """Tells whether parameters are something else than a sum of the gradients."""
    size = float(np.linalg.norm(params))
    columns = np.stack([g / max(float(np.linalg.norm(g)), 1e-300) for g in gradients], axis=1)
    solved = np.linalg.lstsq(columns, params, rcond=1e-9)[0]
    return float(np.linalg.norm(params - columns @ solved)) > _APART * size


def fit_directions(
    moves: Sequence[np.ndarray],
    directions: Sequence[np.ndarray],
    params: Sequence[np.ndarray],
    floors: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
) -> Fit:
    """Fits given directions and a decay of the parameters, each times a factor."""
    terms = [[d, p] for d, p in zip(directions, params, strict=False)]
    misfit, factors = fit(moves, terms, floors, masks)
    kept = [(t, f) for t, f in enumerate(factors) if f is not None]
    decay = []
    for t, f in kept:
        pull = float(np.linalg.norm(f[1] * params[t]))
        push = max(float(np.linalg.norm(f[0] * directions[t])), 1e-300)
        decay.append(-np.sign(f[1]) * pull / push)
    return Fit(
        misfit=misfit,
        factors=tuple(float(f[0]) for _, f in kept),
        decay=tuple(float(d) for d in decay),
        steps=len(kept),
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the cosine between two vectors, 0 if one is 0."""
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0
