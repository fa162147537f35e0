"""Masks among targets: which arrays are some, and what they mark on a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from jrecipe.checks.kind_names import kind_names

_VALUES = 64  # different ones up to which whole numbers are classes and no shades of grey
_VOID = 255  # of no class, by custom, where other values are classes
_READ = 8_000_000  # pixels that are looked at to understand masks


@dataclasses.dataclass(frozen=True)
class Regions:
    """How an array marks regions.

    Attributes:
      name: gives the name of a value, or of a channel.
      values: that are drawn of an array [b, h, w]; () where each channel of an array [b, h, w, c]
        is a mask of its own.
      channels: that are drawn.
      full: the value that stands for "there" in a channel.
      said: how it was understood, in words.
    """

    name: Callable[[int], str]
    values: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    full: float = 1.0
    said: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What can be marked."""
        return tuple(self.name(value) for value in self.values or self.channels)

    def of(self, mask: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Returns what the mask [h, w] or [h, w, c] of one picture marks: names and bool[h, w]."""
        if self.channels:
            shown = [(c, mask[..., c] > self.full / 2) for c in self.channels]
            return [(self.name(c), where) for c, where in shown if where.any()]
        flat = mask.reshape(mask.shape[:2])
        there = np.unique(flat)
        return [(self.name(v), flat == v) for v in self.values if v in there]


def read_regions(
    leaf: np.ndarray, word: str, class_names: Sequence[str], *, alone: bool
) -> Regions | str:
    """Understands an array of the pictures' height and width as a mask.

    Args:
      leaf: [b, h, w] or [b, h, w, c], of many examples.
      word: how it is called.
      class_names: of the task.
      alone: whether it is all there is of targets; its values are then the classes of the task.

    Returns:
      How to draw it, or why it is not drawn, in a sentence.
    """
    step = max(1, int(np.ceil(np.sqrt(leaf.size / _READ))))
    some = leaf[:, ::step, ::step]
    if leaf.ndim == 4 and leaf.shape[3] > 1:
        return _channels(some, word, class_names)
    values = np.unique(some[:: max(1, some.size // (_READ * 4))])
    if not np.isfinite(values.astype(np.float64)).all() or np.any(values != np.round(values)):
        return f"{word} is not drawn: its values are no whole numbers, so they name no class."
    if len(values) > _VALUES:
        return (
            f"{word} is not drawn: {len(values)} different values are more than the {_VALUES} that "
            "count as classes."
        )
    kinds = values.astype(np.int64)
    drawn = kinds[kinds > 0]
    if len(drawn) > 1:
        drawn = drawn[drawn != _VOID]
    if not len(drawn):
        return f"{word} is not drawn: no value is above 0."
    clear = sorted(set(kinds.tolist()) - set(drawn.tolist()))
    binary = drawn.tolist() in ([1], [_VOID]) and not (alone and len(class_names))
    name = kind_names(drawn, () if binary else class_names, word, from_zero=alone)
    said = (
        f"{word} by its values, {_listed(clear)} left clear" if clear else f"{word} by its values"
    )
    return Regions(
        name=(lambda _: word) if binary else name, values=tuple(drawn.tolist()), said=said
    )


def _channels(some: np.ndarray, word: str, class_names: Sequence[str]) -> Regions | str:
    """Understands [b, h, w, c] as a mask for each channel, the first one clear if all exclude."""
    values = np.unique(some)
    full = float(values.max()) if len(values) else 0.0
    if full not in (1.0, 255.0) or len(values) > 2 or values.min() != 0:
        return (
            f"{word} is not drawn: masks of several channels need to be 0 and 1, got "
            f"{float(values.min()):.3g} to {full:.3g}."
        )
    count = some.shape[3]
    exclusive = bool(((some > 0).sum(axis=3) == 1).all())
    channels = tuple(range(1 if exclusive else 0, count))
    known = tuple(class_names) if len(class_names) == count else ()

    def name(channel: int) -> str:
        return str(known[channel]) if known else f"{word} {channel}"

    said = f"{word} by its {count} channels" + (", the first left clear" if exclusive else "")
    return Regions(name=name, channels=channels, full=full, said=said)


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:3])) + (", ..." if len(values) > 3 else "")
