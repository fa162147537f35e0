"""What happened during training, as arrays and as lines of JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from jrecipe.train.thinning import stride


@dataclasses.dataclass
class History:
    """Rows of numbers by step, in order.

    Attributes:
      rows: each `{"step": int, name: number, ...}`; a training row has "loss" and "grad_norm", an
        evaluation row "val_loss", "val_loss_stderr" and, with a metric, "val_metric".
    """

    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Appends a row for `step`, the number of updates applied when it was measured."""
        named = {k: float(v) for k, v in numbers.items() if k != "step"}
        self.rows.append({"step": int(step), **named})

    def extend(
        self, step: int, numbers: Mapping[str, np.ndarray], dense: int | None = None
    ) -> None:
        """Appends a row for each of the updates after `step`.

        Args:
          step: updates applied before.
          numbers: by name, float[k] of `k` updates; without a name no row is added.
          dense: keep all of the first so many updates of the run, and ever fewer of those that
            follow, see `jrecipe.train.thinning.stride`; None keeps all.

        Raises:
          ValueError: if the columns differ in length.
        """
        named = {name: x for name, x in numbers.items() if name != "step"}
        columns = [np.asarray(values, np.float64).tolist() for values in named.values()]
        if not columns:  # a trainer of the user's may measure nothing
            return
        names = ("step", *named)
        steps = range(step + 1, step + 1 + len(columns[0]))
        for at, *row in zip(steps, *columns, strict=True):
            if dense is None or at % stride(at, dense) == 0:
                self.rows.append(dict(zip(names, (at, *row), strict=True)))

    def names(self) -> list[str]:
        """Returns the names that occur, in order of appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row if name != "step"))

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns float64[k], the values of `name` where it was measured."""
        return np.array([row[name] for row in self.rows if name in row], np.float64)

    def steps(self, name: str) -> np.ndarray:
        """Returns int64[k], the steps at which `name` was measured."""
        return np.array([row["step"] for row in self.rows if name in row], np.int64)

    def until(self, step: int) -> History:
        """Returns the rows up to and including `step`."""
        return History([row for row in self.rows if row["step"] <= step])

    def lines(self) -> Iterator[str]:
        """Yields the rows as JSON; what is not finite becomes null."""
        for row in self.rows:
            clean = {k: v if math.isfinite(v) else None for k, v in row.items()}
            yield json.dumps(clean)

    def save(self, path: str | Path) -> None:
        """Writes the rows as JSON lines."""
        Path(path).write_text("".join(line + "\n" for line in self.lines()), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Reads what `save` wrote; null becomes NaN, and a half-written last line is dropped."""
        rows = []
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            rows.append({k: math.nan if v is None else v for k, v in row.items()})
        return cls(rows)
