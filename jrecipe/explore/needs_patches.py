"""Features of pictures that a linear probe reads: random patches at several scales (A6).

Filters are patches drawn from the pictures at hand and whitened; each answers at every place, and
its answers are averaged over the quarters of the picture. They need no training, so that every
probe is as good as its inputs let it be, and none stopped early.

References:
  Coates, Ng and Lee, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_WIDTH = 5  # pixels of a patch
_PLACES = 10  # along each side, at most, where patches are cut
_FILTERS = (48, 40, 32, 32)  # for each scale, finest first
_SMALLEST = 8  # pixels of the shorter side at the coarsest scale
_GRID = 2  # cells along each side over which answers are averaged
_LOOKED_AT = 256  # pictures from which filters are drawn
_DRAWN = 10_000  # patches for the whitening
_BATCH = 125  # pictures at once, the last batch filled up, so that one program serves all
_FLAT = 0.2  # standard deviation of a patch, in those of all pixels, that counts as contrast
_RIDGE = 0.05  # of the mean variance, added in the whitening
_ROUNDING = 1e-3  # of a patch of full contrast, below which differences are none
_HINGES = 16  # thresholds on the colour of pixels, as a soft histogram
_PIXELS = 16  # along each side, at most, of which colours are counted

Bank = tuple[Any, Any]  # filters float32[d, k] and offsets float32[k]
Scale = tuple[int, int, int]  # reduced by, pixels of a patch, stride


def scales(height: int, width: int) -> tuple[Scale, ...]:
    """Returns the scales for pictures of a size, finest first."""
    side, found = min(height, width), []
    for i in range(len(_FILTERS)):
        reduced = side // 2**i
        if i and reduced < _SMALLEST:
            break
        patch = min(_WIDTH, 1 + reduced // 2)
        longest = max(height, width) // 2**i
        found.append((2**i, patch, max(1, -(-(longest - patch + 1) // _PLACES))))
    return tuple(found)


def features(pictures: np.ndarray, train: int, rng: np.random.Generator) -> np.ndarray:
    """Returns features float32[n, d] of standardised pictures float32[n, h, w, c].

    Args:
      pictures: the first `train` of them are those to learn from.
      train: of which filters are drawn.
      rng: for the draw.
    """
    plan = scales(*pictures.shape[1:3])
    some = pictures[np.arange(_LOOKED_AT) % min(train, _LOOKED_AT)]
    banks = tuple(
        _bank(_cut(some, *scale), filters, rng)
        for scale, filters in zip(plan, _FILTERS, strict=False)
    )
    hinges = _hinges(some, rng)
    parts = []
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH]
        filled = np.resize(batch, (_BATCH, *batch.shape[1:]))
        parts.append(np.asarray(_answers(filled, banks, hinges, plan))[: len(batch)])
    return np.concatenate(parts)


def _bank(patches: np.ndarray, count: int, rng: np.random.Generator) -> Bank:
    """Returns `count` filters and offsets, whitening included."""
    flat = patches.reshape(-1, patches.shape[-1])
    drawn = flat[rng.permutation(len(flat))[:_DRAWN]]
    mean = drawn.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov((drawn - mean).T).reshape(len(mean), len(mean)))
    whiten = (
        axes / np.sqrt(np.maximum(spread, 0.0) + _RIDGE * spread.mean() + _ROUNDING**2)
    ) @ axes.T
    chosen = (drawn[np.arange(count) % len(drawn)] - mean) @ whiten
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True) + _ROUNDING
    filters = whiten @ chosen.T
    return filters.astype(np.float32), (-mean @ filters).astype(np.float32)


def _hinges(pictures: np.ndarray, rng: np.random.Generator) -> Bank:
    """Returns directions in the space of colours, each with the colour of a pixel as threshold."""
    colours = pictures.reshape(-1, pictures.shape[-1])
    chosen = colours[rng.integers(len(colours), size=_HINGES)]
    directions = rng.normal(size=chosen.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    offsets = -(directions * chosen).sum(axis=1)
    return directions.T.astype(np.float32), offsets.astype(np.float32)


@functools.partial(jax.jit, static_argnames="plan")
def _answers(pictures: Any, banks: tuple[Bank, ...], hinges: Bank, plan: tuple[Scale, ...]) -> Any:
    """Returns what all filters answer, averaged over cells, with a small copy of each picture."""
    height, width = pictures.shape[1:3]
    small = _reduced(pictures, max(1, min(height, width) // _SMALLEST))
    found = [small.reshape(len(small), -1)]
    step = -(-max(height, width) // _PIXELS)
    pixels = pictures[:, step // 2 :: step, step // 2 :: step]
    patches = [pixels, *(_cut(pictures, *scale) for scale in plan)]
    for values, (filters, offset) in zip(patches, (hinges, *banks), strict=True):
        flat = values.reshape(-1, values.shape[-1]) @ filters + offset[None]
        answers = flat.reshape(*values.shape[:3], -1)
        found += [_averaged(jax.nn.relu(answers)), _averaged(jax.nn.relu(-answers))]
    return jnp.concatenate(found, axis=1)


def _cut(pictures: Any, factor: int, width: int, stride: int) -> Any:
    """Returns patches [b, rows, columns, width * width * c], without mean and of even contrast."""
    small = _reduced(pictures, factor)
    rows, columns = (
        np.arange(0, size - width + 1, stride)[:, None] + np.arange(width)
        for size in small.shape[1:3]
    )
    patches = small[:, rows[:, None, :, None], columns[None, :, None, :]]
    patches = patches.reshape(len(small), len(rows), len(columns), -1)
    patches = patches - patches.mean(axis=-1, keepdims=True)
    return patches / ((patches * patches).mean(axis=-1, keepdims=True) + _FLAT**2) ** 0.5


def _reduced(pictures: Any, factor: int) -> Any:
    b, h, w, c = pictures.shape
    h, w = h // factor, w // factor
    cells = pictures[:, : h * factor, : w * factor].reshape(b, h, factor, w, factor, c)
    return cells.mean(axis=(2, 4))


def _averaged(answers: Any) -> Any:
    """Returns the means over the cells of a grid, [b, cells * filters]."""
    rows, columns = (_edges(size) for size in answers.shape[1:3])
    return jnp.concatenate(
        [answers[:, a:b, c:d].mean(axis=(1, 2)) for a, b in rows for c, d in columns], axis=1
    )


def _edges(size: int) -> list[tuple[int, int]]:
    """Returns the cells along a side; each has a place of its own at least, shared where few."""
    cells = min(_GRID, size)
    return [(i * size // cells, (i + 1) * size // cells) for i in range(cells)]
