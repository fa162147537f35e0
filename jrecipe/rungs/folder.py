"""The folder of a ladder: the scores of each rung, so that a ladder can be resumed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.report.report import write_whole
from jrecipe.rungs.scores import Scores
from jrecipe.types import TaskError

_ARRAYS = ("val", "weights", "train", "val_loss", "train_loss")


class Folder:
    """`ladder.json`, and for each rung `rung-PLACE.json` with `rung-PLACE.npz`.

    Args:
      path: of the folder; it is made.
      resume: whether it may hold rungs.

    Raises:
      TaskError: if it holds a ladder and `resume` is False.
      OSError: if it cannot be made.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        if (path / "rung-0.json").exists() and not resume:
            raise TaskError(
                f"ladder got out={str(path)!r}, which holds another ladder; give resume=True to "
                "go on with it, or another folder."
            )
        path.mkdir(parents=True, exist_ok=True)

    def load(self, place: int, about: dict[str, Any]) -> Scores | None:
        """Returns the scores of a rung, None if they are not there.

        Args:
          place: of the rung.
          about: what the rung is.

        Raises:
          TaskError: if the place holds another rung, or scores that cannot be read.
        """
        note = self.path / f"rung-{place}.json"
        if not note.exists():
            return None
        try:
            known = json.loads(note.read_text(encoding="utf-8"))
            with np.load(note.with_suffix(".npz"), allow_pickle=False) as file:
                arrays = {name: file[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError) as error:
            raise TaskError(
                f"{note} or its .npz cannot be read ({error}); remove both to train the rung anew."
            ) from error
        if known["about"] != about:
            raise TaskError(
                f"{note} holds another rung: {known['about']}, not {about}; use another `out`, or "
                "remove it and those after it."
            )
        return Scores(
            seeds=tuple(about["seeds"]), steps=about["steps"], seconds=known["seconds"], **arrays
        )

    def save(self, place: int, about: dict[str, Any], scores: Scores) -> None:
        """Writes the scores of a rung; the note comes last, so that it is there or not."""
        note = self.path / f"rung-{place}.json"
        arrays = {k: v for k, v in dataclasses.asdict(scores).items() if k in _ARRAYS}
        np.savez_compressed(note.with_suffix(".npz"), **arrays)
        write_whole(note, json.dumps({"about": about, "seconds": scores.seconds}) + "\n")

    def say(self, ladder: dict[str, Any]) -> None:
        """Writes `ladder.json`."""
        write_whole(self.path / "ladder.json", json.dumps(ladder, indent=1) + "\n")
