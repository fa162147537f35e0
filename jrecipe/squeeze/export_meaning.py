"""What goes into a network and what comes out, in the words of its data, as plain JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jrecipe import losses
from jrecipe.data.encode import Encoder, encoder_from_json
from jrecipe.task import Task


@dataclasses.dataclass(frozen=True)
class Meaning:
    """All that an exported network needs besides itself to read files and to answer in words.

    Attributes:
      encoder: of raw inputs, None if they are arrays as the network takes them.
      kind: what the outputs are, as `jr.losses.Loss.kind` says it; None for outputs that are shown
        as they are.
      class_names: of classes 0..C-1; empty where there are none.
      scale: mean and standard deviation of number targets before they were standardised, or None.
      name: of the task.
    """

    encoder: Encoder | None = None
    kind: str | None = None
    class_names: tuple[str, ...] = ()
    scale: tuple[np.ndarray, np.ndarray] | None = None
    name: str = "network"

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        scale = self.scale
        return {
            "encoder": None if self.encoder is None else self.encoder.to_json(),
            "kind": self.kind,
            "class_names": list(self.class_names),
            "target_scale": None
            if scale is None
            else {"mean": np.asarray(scale[0]).tolist(), "std": np.asarray(scale[1]).tolist()},
            "name": self.name,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Meaning:
        """Restores what `to_json` returned.

        Raises:
          KeyError, TypeError: if something is missing or of another kind.
          TaskError: if the encoder is unknown.
        """
        scale = stored["target_scale"]
        return cls(
            encoder=None if stored["encoder"] is None else encoder_from_json(stored["encoder"]),
            kind=stored["kind"],
            class_names=tuple(stored["class_names"]),
            scale=None if scale is None else (np.asarray(scale["mean"]), np.asarray(scale["std"])),
            name=stored["name"],
        )


def meaning_of(task: Task, encoder: Encoder | None = None) -> Meaning:
    """Returns what the outputs of a task mean.

    Args:
      task: with one of jrecipe's losses; outputs of another are shown as they are.
      encoder: of its raw inputs, if there is one.
    """
    loss = task.loss
    kind = loss.kind if isinstance(loss, losses.Loss) and loss.kind in _PLAIN else None
    return Meaning(encoder, kind, task.class_names, None, task.name)


# Kinds whose answer is a function of the outputs alone; tags and spans need more of their loss.
_PLAIN = ("classes", "binary", "multilabel", "number", "tokens")
