"""What a problem needs of its pictures: resolution, the place of parts, colour (A6)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jrecipe.explore.needs import Level, Need, Whole
from jrecipe.explore.needs_patches import features
from jrecipe.explore.needs_probe import Question, answer, generator, one_thread, question
from jrecipe.types import TaskError

Change = Callable[[np.ndarray], np.ndarray]
Score = Callable[[Change], np.ndarray]

_MOST = 4_500  # pictures, to learn from and held out
_WIDEST = 64  # pixels of the longer side that are looked at
_SMALLEST = 4  # pixels of the shorter side
_READ = 256  # pictures at once


def needs_of_pictures(pictures: Any, labels: Any, *, seed: int) -> tuple[Need, ...]:
    """Measures what telling pictures apart needs, by a probe on pictures that lack it.

    The probe is a ridge regression on the answers of random patches at several scales
    (`needs_patches`), trained anew for each change of the pictures: no match for a network, but
    never stopped early. What it does not need, a better network may still use.

    Args:
      pictures: float or uint8 [n, h, w, c] or [n, h, w], in any range; h, w >= 4. An array, or what
        gives pictures for `pictures[int[k]]` and has a shape.
      labels: [n] of int, bool or str for classes, or float [n] or [n, k] for numbers.
      seed: any integer, for the draw of the examples, the shuffling and the filters.

    Returns:
      Curves of the score against
      1. resolution: reduced by averaging and enlarged again to the same shape, bilinearly;
      2. the size of patches that are shuffled, each picture by an order of its own;
      3. averages over rows, columns, or all pixels;
      4. colour, if there are channels: all of them replaced by their mean.
      Pictures wider than 64 pixels are reduced to 64 first; what finer detail brings is not seen.

    Raises:
      TaskError: for other shapes, pixels that are not finite or all equal, or labels as in
        `needs_probe.question`.

    References:
      Geirhos et al., "ImageNet-trained CNNs are biased towards texture", 2019, arXiv:1811.12231.
      Brendel and Bethge, "Approximating CNNs with Bag-of-local-Features Models", 2019,
      arXiv:1904.00760: local features without their places go far on ImageNet.
      Torralba, Fergus and Freeman, "80 Million Tiny Images", 2008: people need 32x32 pixels.
    """
    shape = np.shape(pictures)
    if len(shape) not in (3, 4) or min(shape[1:3]) < _SMALLEST or 0 in shape:
        raise TaskError(
            f"needs_of_pictures needs pictures [n, h, w, c] or [n, h, w] of at least {_SMALLEST} x "
            f"{_SMALLEST} pixels, got {list(shape)}."
        )
    asked = question(labels, shape[0], most=_MOST, seed=seed, what="needs_of_pictures")
    held = _standardised(_read(pictures, asked.rows), len(asked.train))
    height, width, channels = held.shape[1:]
    seen = f"{shape[1]}x{shape[2]}"
    note = f"Probe: ridge regression on random patches; {asked.note()}."
    if (height, width) != tuple(shape[1:3]):
        note += f" Pictures of {seen} were reduced to {height}x{width} first."

    score = functools.partial(_score, asked, held, seed)
    whole = Whole(score(lambda x: x), asked.prior(), asked.measure, note)
    resolutions = _resolutions(score, height, width)
    average = resolutions[-1].credits
    curves = [
        _resolution(whole, resolutions, height, width),
        _shuffling(whole, score, height, width, seed),
        _averaging(whole, score, average, "colour" if channels > 1 else "brightness"),
    ]
    if channels > 1:
        curves.append(_colour(whole, score))
    return tuple(curves)


def _resolutions(score: Score, height: int, width: int) -> list[Level]:
    """Returns levels from most to least: the last is one pixel, the average of the picture."""
    levels, side = [], min(height, width)
    for left in _sides(side):
        h, w = (round(size * left / side) if left > 1 else 1 for size in (height, width))
        change = functools.partial(resampled, size=(h, w))
        levels.append(Level(float(left), f"{h}x{w} pixels", score(change)))
    return levels


def _resolution(whole: Whole, levels: list[Level], height: int, width: int) -> Need:
    return whole.need(
        f"How many of the {height}x{width} pixels does it need?",
        "pixels along the shorter side",
        float(min(height, width)),
        levels[::-1],
        whole.verdict(levels),
    )


def _shuffling(whole: Whole, score: Score, height: int, width: int, seed: int) -> Need:
    levels = []
    for size in _patch_sizes(height, width):
        change = functools.partial(shuffled, size=size, rng=generator(seed, f"patches of {size}"))
        name = f"{size}x{size} patches in any order" if size > 1 else "pixels in any order"
        levels.append(Level(float(size), name, score(change)))
    found = whole.enough(levels)
    if found is None and whole.costs(levels[0]):
        sentence = (
            f"The whole counts (global): {levels[0].words} cost {whole.costing(levels[0])}, and "
            f"{levels[-1].words} {whole.keeping(levels[-1])}."
        )
    else:
        sentence = whole.verdict(levels)
        if found is not None:
            what = "Colours of pixels" if found.value == 1 else "Local parts"
            sentence = f"{what} suffice, wherever they stand. {sentence}"
    return whole.need(
        "Local or global? Patches shuffled within each picture",
        "pixels along a side of the patches",
        float(min(height, width)),
        levels[::-1],
        sentence,
    )


def _averaging(whole: Whole, score: Score, average: np.ndarray, what: str) -> Need:
    levels = [
        Level("one average", f"the average {what}", average),
        Level("average of each row", "rows", score(lambda x: averaged(x, (2,)))),
        Level("average of each column", "columns", score(lambda x: averaged(x, (1,)))),
    ]
    one = levels[0]
    reached = whole.number(float(one.credits.mean()))
    if whole.keeps(one):
        sentence = f"The average {what} suffices: it {whole.keeping(one)}."
    elif whole.beats_chance(one.credits):
        sentence = (
            f"The average {what} alone reaches {reached} (chance {whole.number(whole.chance)}, "
            f"whole pictures {whole.number(whole.full)})."
        )
    else:
        sentence = (
            f"The average {what} tells nothing: {reached}, where chance is "
            f"{whole.number(whole.chance)}."
        )
    best = max(levels[1:], key=lambda level: float(level.credits.mean()))
    if whole.beats_chance(best.credits):
        sentence += f" The averages of its {best.words} {whole.keeping(best)}."
    return whole.need("What do spatial averages tell?", "", "whole picture", levels, sentence)


def _colour(whole: Whole, score: Score) -> Need:
    grey = Level("grey", "grey pictures", score(without_colour))
    return whole.need("Does it need colour?", "", "colour", [grey], whole.without(grey, "Colour"))


def resampled(pictures: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns pictures [n, h, w, c] reduced by averaging and enlarged again, bilinearly.

    Example:
      >>> resampled(np.arange(16.0).reshape(1, 4, 4, 1), (1, 1)).ravel().tolist() == [7.5] * 16
      True
    """
    rows, columns = (
        _enlarging(few, many) @ _averages(many, few)
        for few, many in zip(size, pictures.shape[1:3], strict=True)
    )
    return _applied(pictures, rows, columns)


def shuffled(pictures: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns pictures [n, h, w, c] whose square patches stand in a random order of their own.

    What does not fill a patch, at the border, is replaced by the mean of the picture.
    """
    n, height, width, c = pictures.shape
    rows, columns = height // size, width // size
    top, left = (height - rows * size) // 2, (width - columns * size) // 2
    inner = (slice(None), slice(top, top + rows * size), slice(left, left + columns * size))
    patches = pictures[inner].reshape(n, rows, size, columns, size, c).swapaxes(2, 3)
    patches = patches.reshape(n, rows * columns, size, size, c)
    order = np.argsort(rng.random((n, rows * columns)), axis=1)
    moved = patches[np.arange(n)[:, None], order].reshape(n, rows, columns, size, size, c)
    result = np.broadcast_to(pictures.mean(axis=(1, 2), keepdims=True), pictures.shape).copy()
    result[inner] = moved.swapaxes(2, 3).reshape(n, rows * size, columns * size, c)
    return result


def averaged(pictures: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Returns pictures of the same shape, constant along some axes."""
    return np.broadcast_to(pictures.mean(axis=axes, keepdims=True), pictures.shape)


def without_colour(pictures: np.ndarray) -> np.ndarray:
    """Returns pictures whose channels are all their mean."""
    return np.broadcast_to(pictures.mean(axis=3, keepdims=True), pictures.shape)


def _score(asked: Question, pictures: np.ndarray, seed: int, change: Change) -> np.ndarray:
    """Returns the credits of a probe that learns from changed pictures and is judged on such."""
    with one_thread():
        changed = np.ascontiguousarray(change(pictures), np.float32)
        return answer(asked, features(changed, len(asked.train), generator(seed, "filters")))


def _read(pictures: Any, rows: np.ndarray) -> np.ndarray:
    """Returns pictures float32[k, h, w, c], reduced to at most 64 pixels along a side."""
    height, width = np.shape(pictures)[1:3]
    shrink = min(1.0, _WIDEST / max(height, width))
    h, w = (max(1, round(size * shrink)) for size in (height, width))
    parts = []
    for start in range(0, len(rows), _READ):
        some = rows[start : start + _READ]
        part = np.asarray(pictures[some], np.float32)
        part = part.reshape(*part.shape[:3], -1)
        if not np.isfinite(part).all():
            row = int(some[~np.isfinite(part).all(axis=(1, 2, 3))][0])
            raise TaskError(
                f"needs_of_pictures: pictures[{row}] has pixels that are not finite; leave it out."
            )
        parts.append(
            part if shrink == 1 else _applied(part, _averages(height, h), _averages(width, w))
        )
    return np.concatenate(parts)


def _standardised(pictures: np.ndarray, train: int) -> np.ndarray:
    """Returns pictures whose channels have mean 0 and variance 1 over those to learn from."""
    mean = pictures[:train].mean(axis=(0, 1, 2), dtype=np.float64)
    spread = pictures[:train].std(axis=(0, 1, 2), dtype=np.float64)
    if not (spread > 1e-6 * (1e-30 + np.abs(mean))).any():
        raise TaskError(
            f"needs_of_pictures: all pixels are {mean[0]:g}; look at how pictures are read."
        )
    scaled: np.ndarray = ((pictures - mean) / np.maximum(spread, 1e-30)).astype(np.float32)
    return scaled


def _sides(side: int) -> list[int]:
    """Returns pixels along the shorter side, from most to least: 24, 16, 8, 4, 2, 1 of 32."""
    halves = [side / 2**i for i in range(1, 1 + math.ceil(math.log2(side)))]
    return sorted({max(1, round(left)) for left in [0.75 * side, *halves, 1]}, reverse=True)


def _patch_sizes(height: int, width: int) -> list[int]:
    """Returns sides of patches from half the shorter side to 1, those that fit where near."""
    common, sizes = math.gcd(height, width), set()
    target = min(height, width) / 2
    while target > 0.7:
        fits = [d for d in range(1, common + 1) if common % d == 0]
        nearest = min(fits, key=lambda d: abs(math.log(d / target)))
        near = abs(math.log(nearest / target)) < math.log(1.4)
        sizes.add(nearest if near else max(1, int(target)))
        target /= 2
    return sorted(sizes | {1}, reverse=True)


def _applied(pictures: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns rows @ picture @ columns.T for each channel, float32[n, h, w, c]."""
    n, h, w, c = pictures.shape
    tall = np.matmul(rows, pictures.reshape(n, h, w * c)).reshape(n, len(rows), w, c)
    return np.matmul(columns, tall)


def _averages(many: int, few: int) -> np.ndarray:
    """Returns the matrix float32[few, many] that averages pixels over equal stretches."""
    edges = np.arange(few + 1) * (many / few)
    pixels = np.arange(many)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(shared, 0.0) * (few / many)).astype(np.float32)


def _enlarging(few: int, many: int) -> np.ndarray:
    """Returns the matrix float32[many, few] that interpolates linearly, flat at the border."""
    places = np.clip((np.arange(many) + 0.5) * (few / many) - 0.5, 0, few - 1)
    near = 1.0 - np.abs(places[:, None] - np.arange(few))
    return np.maximum(near, 0.0).astype(np.float32)
