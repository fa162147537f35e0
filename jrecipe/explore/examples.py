"""A table with a row for every example of a data set, to search, filter, sort and show (A7)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.figures import Annotations
from jrecipe.types import TaskError

View = Callable[[np.ndarray], np.ndarray | Sequence[str]]
Annotate = Callable[[np.ndarray], Annotations | None]


def unmarked(places: np.ndarray) -> None:
    """Marks nothing on any example."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A value for every example.

    Attributes:
      name: a short one, as `where` and `sort` take it: "label", "probe_loss".
      values: [n] of float (NaN where there is none), int, bool or str.
      note: one line that says what it is and in which unit.
      input: whether it is a part of the input itself, as a column of a table is.
    """

    name: str
    values: np.ndarray
    note: str = ""
    input: bool = False

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, which have a histogram and outliers."""
        return self.values.dtype.kind in "fiu"


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples with what is known of each; `where`, `sort` and `head` return fewer or reordered.

    Attributes:
      name: of the data set.
      columns: what is known, in the order of the page.
      view: `(int[k]) -> pictures float32[k, h, w(, c)] in [0, 1]`, or k texts; takes numbers from
        `places`.
      places: int[n], where each row stands among all examples of the data set.
      notes: sentences for the reader, as "10,000 of 60,000 examples are drawn at random".
      annotate: `(int[k]) -> annotations` of the k pictures, or None where they have none.

    Example:
      >>> rows = Examples(
      ...     "pets",
      ...     (
      ...         Column("label", np.array(["cat", "dog", "cat"])),
      ...         Column("length", np.array([3, 1, 2])),
      ...     ),
      ...     view=lambda places: [f"text {i}" for i in places],
      ...     places=np.arange(3),
      ... )
      >>> rows.where(label="cat").sort("length")["length"].tolist()
      [2, 3]
      >>> rows.where(length=(2, 3)).shown()
      ['text 0', 'text 2']
    """

    name: str
    columns: tuple[Column, ...]
    view: View = dataclasses.field(repr=False)
    places: np.ndarray = dataclasses.field(repr=False)
    notes: tuple[str, ...] = ()
    annotate: Annotate = dataclasses.field(default=unmarked, repr=False)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns the values of a column, [n]."""
        return self.column(name).values

    def column(self, name: str) -> Column:
        """Returns a column by name.

        Raises:
          TaskError: if there is none, with the names there are.
        """
        for column in self.columns:
            if column.name == name:
                return column
        known = ", ".join(column.name for column in self.columns)
        raise TaskError(f"there is no column {name!r}; there are {known}.")

    def where(self, keep: Any = None, **values: Any) -> Examples:
        """Returns the examples for which all conditions hold.

        Args:
          keep: bool[n], or a function of these examples that gives it.
          **values: column name -> a value to equal, a list or set of values, or a pair
            `(low, high)`, both included and each perhaps None, of numbers.

        Raises:
          TaskError: for an unknown column, a pair for a column of texts, or a wrong length.
        """
        mask = np.ones(len(self), bool)
        if keep is not None:
            given = np.asarray(keep(self) if callable(keep) else keep)
            if given.shape != mask.shape or given.dtype != bool:
                raise TaskError(
                    f"keep needs to be bool [{len(self)}], got {given.dtype} {list(given.shape)}."
                )
            mask &= given
        for name, wanted in values.items():
            mask &= _holds(self.column(name), wanted)
        return self.take(np.flatnonzero(mask))

    def sort(self, by: str, *, descending: bool = False) -> Examples:
        """Returns the examples ordered by a column; missing numbers stand last, ties stay.

        Raises:
          TaskError: for an unknown column.
        """
        values = self[by]
        missing = values != values
        _, ranks = np.unique(values, return_inverse=True)
        order = np.argsort(-ranks if descending else ranks, kind="stable")
        return self.take(np.concatenate([order[~missing[order]], order[missing[order]]]))

    def head(self, count: int) -> Examples:
        """Returns the first `count` examples."""
        return self.take(np.arange(min(count, len(self))))

    def take(self, which: np.ndarray) -> Examples:
        """Returns the examples at the given positions of this table, int[k]."""
        return dataclasses.replace(
            self,
            columns=tuple(
                dataclasses.replace(column, values=column.values[which]) for column in self.columns
            ),
            places=self.places[which],
        )

    def shown(self) -> np.ndarray | list[str]:
        """Returns the examples themselves: pictures float32[n, h, w(, c)] in [0, 1], or texts.

        They are as the data has them; what is marked on them is what `annotations` gives.
        """
        found = self.view(self.places)
        return found if isinstance(found, np.ndarray) else list(found)

    def annotations(self) -> Annotations | None:
        """Returns masks, boxes and key points of the pictures, as the page draws them, or None."""
        return self.annotate(self.places)

    def to_dict(self) -> Mapping[str, np.ndarray]:
        """Returns name -> values [n], as pandas and polars take it."""
        return {column.name: column.values for column in self.columns}

    def show(self) -> Path:
        """Opens the page in the browser, or below the cell of a notebook.

        Returns:
          The page's path, a temporary file, for where there is no browser, as over ssh.
        """
        from jrecipe.explore.opened import show_page

        return show_page(self)

    def _repr_html_(self) -> str:
        from jrecipe.explore.opened import preview

        return preview(self)

    def save(self, path: str | Path) -> Path:
        """Writes the page that shows these examples, one file that needs no network.

        Args:
          path: of the HTML file; what is there is replaced.
        """
        from jrecipe.explore.page import render

        path = Path(path)
        path.write_text(render(self), encoding="utf-8")
        return path


def _holds(column: Column, wanted: Any) -> np.ndarray:
    values = column.values
    if isinstance(wanted, tuple):
        if len(wanted) != 2 or not column.numeric:
            raise TaskError(
                f"{column.name}={wanted!r} needs to be a pair (low, high), for a column of "
                "numbers; give a list for one of several values."
            )
        low, high = wanted
        inside = np.ones(len(values), bool) if low is None else values >= low
        result: np.ndarray = inside if high is None else inside & (values <= high)
        return result
    if isinstance(wanted, list | set | frozenset):
        return np.isin(values, list(wanted))
    equal: np.ndarray = np.asarray(values == wanted)
    return equal if equal.shape == values.shape else np.zeros(len(values), bool)
