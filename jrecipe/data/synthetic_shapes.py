"""Simulated data: a renderer of labelled pictures, with everything known about them (D3)."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from jrecipe.data.outlines import OUTLINES, covers, placed
from jrecipe.types import PyTree, TaskError

SHAPES = tuple(OUTLINES)
_FINE = 3  # each pixel is the mean of 3 x 3 points
_CONTRAST = 0.35  # least difference of an object from what is behind it, in some channel


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticShapes:
    """Pictures of shapes in random colours, sizes, places and turns, as a source of examples.

    Example `i` is a function of `seed` and `i` alone: nothing is stored, any count is free, and two
    sources with different seeds share no picture. Inputs are float32[k, size, size, channels] in
    [0, 1]. Targets are, by `targets`:

    - "class": int32[k], the place of the shape in `shapes` (one object in each picture);
    - "all": a dict, named as augmentations know them (see `jrecipe.augment`): "mask"
      int32[k, size, size], 0 behind the objects and 1 + class on them, later ones over earlier
      ones; "boxes" float32[k, n, 4] around each whole object, cut at the picture, "boxes_class"
      int32[k, n] and "boxes_valid" bool[k, n]; "keypoints" float32[k, 2 n, 2], the centre and the
      tip of each, with "keypoints_valid" bool[k, 2 n]; n is `objects`.

    Attributes:
      count: number of examples, at least 1.
      size: height and width in pixels, at least 8.
      channels: 3, or 1 for grey.
      objects: most objects in a picture; their number is drawn from 1 to this.
      shapes: which there are, out of `SHAPES`.
      texture: strength of the random texture behind, in [0, 1]; 0 for a plain colour.
      noise: standard deviation of Gaussian noise, >= 0.
      targets: "class" or "all".
      seed: any integer.

    Raises:
      TaskError: if an attribute is out of range.

    Example:
      >>> source = SyntheticShapes(count=100, size=16)
      >>> inputs, targets = source.take(np.array([3, 99]))
      >>> inputs.shape, targets.shape
      ((2, 16, 16, 3), (2,))
    """

    count: int = 10_000
    size: int = 32
    channels: int = 3
    objects: int = 1
    shapes: tuple[str, ...] = SHAPES
    texture: float = 0.5
    noise: float = 0.05
    targets: Literal["class", "all"] = "class"
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.shapes if name not in OUTLINES]
        wrong = {
            "count": self.count < 1,
            "size": self.size < 8,
            "channels": self.channels not in (1, 3),
            "objects": self.objects < 1 or (self.objects > 1 and self.targets == "class"),
            "shapes": bool(unknown) or not self.shapes,
            "texture": not 0 <= self.texture <= 1,
            "noise": not 0 <= self.noise < np.inf,
            "targets": self.targets not in ("class", "all"),
        }
        want = {
            "count": "at least 1",
            "size": "at least 8",
            "channels": "1 or 3",
            "objects": "at least 1, and just 1 with targets='class'",
            "shapes": f"some of {', '.join(SHAPES)}",
            "texture": "in [0, 1]",
            "noise": "at least 0",
            "targets": "'class' or 'all'",
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise TaskError(
                    f"SyntheticShapes needs {name} {want[name]}, got {getattr(self, name)!r}."
                )

    def __len__(self) -> int:
        return self.count

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, by class index."""
        return list(self.shapes)

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Renders the examples `rows` int[k], each in 0 .. count - 1."""
        made = [self._example(int(row)) for row in np.asarray(rows).ravel()]
        inputs = np.zeros((0, self.size, self.size, self.channels), np.float32)
        if made:
            inputs = np.stack([picture for picture, _ in made])
        if self.targets == "class":
            labels = [int(facts["boxes_class"][0]) for _, facts in made]
            return inputs, np.array(labels, np.int32)
        made = made or [self._example(0)]
        names = made[0][1]
        stacked = {name: np.stack([facts[name] for _, facts in made]) for name in names}
        return inputs, {name: leaf[: len(inputs)] for name, leaf in stacked.items()}

    def _example(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Returns the picture float32[size, size, channels], and what is known about it."""
        rng = np.random.default_rng([self.seed % 2**64, index % self.count])
        n, size = self.objects, self.size
        facts: dict[str, Any] = {
            "mask": np.zeros((size, size), np.int32),
            "boxes": np.zeros((n, 4), np.float32),
            "boxes_class": np.zeros(n, np.int32),
            "boxes_valid": np.zeros(n, bool),
            "keypoints": np.zeros((2 * n, 2), np.float32),
            "keypoints_valid": np.zeros(2 * n, bool),
        }
        picture = self._behind(rng)
        for i in range(rng.integers(1, n + 1)):
            self._draw(rng, picture, facts, i)
        picture = picture + self.noise * rng.normal(size=picture.shape)
        return np.clip(picture, 0, 1).astype(np.float32), facts

    def _behind(self, rng: np.random.Generator) -> np.ndarray:
        """Returns a background [size, size, channels]: a colour, and soft patches of others."""
        at = np.linspace(0, 1, self.size)
        picture = np.ones((self.size, self.size, 1)) * rng.uniform(size=self.channels)
        for n in (2, 5):
            patches = rng.uniform(-0.5, 0.5, size=(n, n, self.channels))
            hats = np.maximum(1 - np.abs(at[:, None] * (n - 1) - np.arange(n)), 0)
            soft = np.einsum("yi,ijc,xj->yxc", hats, patches, hats)
            picture = picture + self.texture * soft
        return np.clip(picture, 0, 1)

    def _draw(
        self, rng: np.random.Generator, picture: np.ndarray, facts: dict[str, np.ndarray], i: int
    ) -> None:
        """Draws object `i` into the picture and the facts."""
        kind, name = self._kind(rng)
        most = 0.42 if self.objects == 1 else 0.3
        radius = self.size * rng.uniform(0.5 * most, most)
        turn = rng.uniform(0, 2 * np.pi)
        corners = placed(name, np.zeros(2), radius, turn)
        low, high = corners.min(axis=0), corners.max(axis=0)
        centre = rng.uniform(-low, self.size - high)  # all of it within the picture
        # Only the pixels of its box are looked at.
        start = np.maximum(np.floor(centre + low), 0).astype(int)
        end = np.minimum(np.ceil(centre + high), self.size).astype(int)
        columns, rows = (slice(*ends) for ends in zip(start, end, strict=True))
        part = picture[rows, columns]
        x, y = (np.arange(a * _FINE, b * _FINE) for a, b in zip(start, end, strict=True))
        inside = covers(
            name, centre, radius, turn, (x[None] + 0.5) / _FINE, (y[:, None] + 0.5) / _FINE
        )
        alpha = inside.reshape(len(part), _FINE, -1, _FINE).mean(axis=(1, 3))[..., None]
        behind = (alpha * part).sum(axis=(0, 1)) / alpha.sum()
        colour = rng.uniform(size=self.channels)
        if np.abs(colour - behind).max() < _CONTRAST:
            channel = rng.integers(self.channels)
            colour[channel] = (behind[channel] + 0.5) % 1.0
        part += alpha * (colour - part)
        facts["mask"][rows, columns][alpha[..., 0] > 0.5] = 1 + kind
        facts["boxes"][i] = np.clip([*(centre + low), *(centre + high)], 0, self.size)
        facts["boxes_class"][i], facts["boxes_valid"][i] = kind, True
        facts["keypoints"][2 * i : 2 * i + 2] = centre, centre + corners[0]
        facts["keypoints_valid"][2 * i : 2 * i + 2] = True

    def _kind(self, rng: np.random.Generator) -> tuple[int, str]:
        kind = int(rng.integers(len(self.shapes)))
        return kind, self.shapes[kind]
