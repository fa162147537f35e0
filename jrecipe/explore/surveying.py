"""Looks at every example: what it is, its copies, what a probe makes of it (A1 to A8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jrecipe.explore.columns import distinct, label_names, target_columns, trivial_columns
from jrecipe.explore.copies import Copies, conflicting, find_copies
from jrecipe.explore.data import Data, data_of
from jrecipe.explore.examples import Column, Examples
from jrecipe.explore.files import file_columns, name_columns
from jrecipe.explore.gather import Gathered, gather
from jrecipe.explore.outliers import outlier_scores
from jrecipe.explore.probe import Probe, probe
from jrecipe.explore.suspects import Suspects, find_suspects
from jrecipe.explore.vector_copies import points_of
from jrecipe.types import PyTree, TaskError

Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True, eq=False)
class Survey:
    """What is known of every example.

    Attributes:
      gathered: the examples of all splits.
      copies: which are copies of which.
      probed: answers of models that did not see the example, or why there are none.
      suspects: labels that these contradict; None without classes.
      trivial: what is known of each without looking at what it shows: its place in the data, its
        length, brightness or file, and what the user asked for.
      examples: all of it as a table.
    """

    gathered: Gathered
    copies: Copies
    probed: Probe | str
    suspects: Suspects | None
    trivial: tuple[Column, ...]
    examples: Examples


def survey(
    data: Data,
    *,
    columns: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    seed: int = 0,
    say: Say = lambda _: None,
) -> Survey:
    """Looks at all examples of all splits.

    Args:
      data: what to look at, as `data_of` makes it.
      columns: name -> function of `(input, target)` of one example that gives a number, a text or
        a truth value. The input is what a person sees: a text, a picture float32[h, w, c] in
        [0, 1] with sides of at most 64, else the input as it is stored.
      seed: of searches and of the probe.
      say: told what is being done.

    Raises:
      TaskError: if a column's name is taken, or its function raises or gives something else.
    """
    gathered = gather(data)
    place = Column("row", gathered.row, "number in its split, from 0")
    split = Column("split", gathered.split, "part of the data")
    named = [*target_columns(gathered), split, place, *name_columns(gathered)]
    plain = [*trivial_columns(gathered), *file_columns(gathered)]
    say(f"Copies among {len(gathered):,} examples")
    copies = find_copies(gathered, seed)
    say("Outliers")
    scores = outlier_scores(points_of(gathered, seed), seed)
    say("What models make of examples that they did not see")
    probed = probe(gathered, seed)
    suspects, answers = None, []
    if isinstance(probed, Probe):
        suspects = find_suspects(probed)
        answers = _probe_columns(gathered, probed, suspects)
    found = [
        *answers,
        *_copy_columns(gathered, copies),
        Column("outlier", scores, "distance to the nearest few, 1 is usual"),
    ]
    own: list[Column] = []
    for name, function in (columns or {}).items():
        if any(column.name == name for column in (*named, *found, *plain)):
            raise TaskError(f"columns has {name!r}, which is there already; name it otherwise.")
        own.append(_own_column(gathered, name, function))
    examples = Examples(
        name=data.name,
        columns=distinct(*named, *own, *found, *plain),  # what the user asked for is in front
        view=gathered.view,
        places=np.arange(len(gathered)),
        notes=gathered.notes,
        annotate=gathered.annotate,
    )
    trivial = tuple(column for column in (place, *own, *plain) if not column.input)
    return Survey(gathered, copies, probed, suspects, trivial, examples)


def _copy_columns(gathered: Gathered, copies: Copies) -> list[Column]:
    groups = np.where(copies.near >= 0, copies.near.astype(str), "")
    kinds = np.where(copies.near < 0, "", np.where(copies.exact >= 0, "exact", "near"))
    clash = conflicting(copies, gathered.targets)
    found = [
        Column("copies", kinds, "whether another example has an equal or nearly equal input"),
        Column("copy_group", groups, "number of the group of copies"),
    ]
    if len(gathered.names) > 1:
        found.append(Column("leaks", copies.across, "has a copy in the training split"))
    if clash.any():
        found.append(Column("conflict", clash, "has a copy with another label"))
    return found


def _probe_columns(gathered: Gathered, probed: Probe, suspects: Suspects | None) -> list[Column]:
    if probed.kind == "numbers":
        return [
            Column("probe_answer", probed.answers[:, 0], "by models that did not see the example"),
            Column("probe_loss", probed.loss, "squared error over the variance of the targets"),
        ]
    names = label_names(probed.answer, gathered.data.class_names)
    found = [
        Column("probe_answer", names, "by models that did not see the example"),
        Column("probe_loss", probed.loss, "-log of the probability of the stored label, in nats"),
        Column("confidence", probed.confidence, "probability of the probe's answer"),
    ]
    if suspects is not None:
        found.append(
            Column("suspect", suspects.wrong, f"label confidently contradicted ({suspects.by})")
        )
    return found


def _own_column(gathered: Gathered, name: str, function: Callable[[Any, Any], Any]) -> Column:
    values = []
    for start in range(0, len(gathered), 1024):
        places = np.arange(start, min(start + 1024, len(gathered)))
        inputs: PyTree = (
            jax.tree.map(lambda x, p=places: np.asarray(x)[p], gathered.inputs)
            if gathered.texts is None and gathered.pictures is None
            else gathered.view(places)
        )
        for i, place in enumerate(places):
            listed = isinstance(inputs, list)
            one = inputs[i] if listed else jax.tree.map(lambda x, i=i: x[i], inputs)
            target = jax.tree.map(lambda x, p=place: np.asarray(x)[p], gathered.targets)
            try:
                values.append(function(one, target))
            except Exception as error:  # the user's own function may raise anything
                raise TaskError(
                    f"columns[{name!r}] raised {type(error).__name__} on {gathered.split[place]} "
                    f"row {gathered.row[place]}: {error}"
                ) from error
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiubU":
        raise TaskError(
            f"columns[{name!r}] needs to give a number, a text or a truth value for each example, "
            f"got {array.dtype} {list(array.shape)}."
        )
    return Column(name, array, "given by the user")


def inspect(
    what: Any,
    *,
    columns: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    target: str | None = None,
    seed: int = 0,
) -> Examples:
    """Returns every example with what is known of it, to search, filter, sort and show (A7).

    Args:
      what: a `jr.Task`, `Splits`, a pair `(inputs, targets)`, or what `jr.data.load` takes.
      columns: name -> function of `(input, target)`, see `survey`.
      target: name of the column of targets, for files.
      seed: of searches and of the probe.

    Raises:
      TaskError: if the data cannot be read, or a column is of no use.
    """
    return survey(data_of(what, target=target, seed=seed), columns=columns, seed=seed).examples
