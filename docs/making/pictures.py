"""Draws the pictures of the recipe's page: `python docs/making/pictures.py` (some minutes).

Each is what jrecipe itself draws of a real run on digits, as a piece of HTML that the page takes
in, so that it follows the page into the dark. That of B12 is of a fault that was planted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import flax.linen as nn
import numpy as np
import optax

import jrecipe as jr
from jrecipe import draw
from jrecipe.figures import Figure, Matrix, Pictures

FOLDER = Path(__file__).parent / "pictures"
LARGEST = 60_000  # bytes of one picture

digits = jr.data.load("digits")
task = jr.Task(
    model=jr.models.MLP(10),
    loss=jr.losses.softmax_cross_entropy(),
    train=digits.train,
    val=digits.val,
    optimizer=optax.adam(3e-3),
    batch_size=64,
)


class Mixed(nn.Module):
    """A fault: examples are normalised over the batch, as a wrong axis does it."""

    @nn.compact
    def __call__(self, x):
        """Returns the outputs."""
        x = nn.relu(nn.Dense(64)(x.reshape(len(x), -1)))
        return nn.Dense(10)(x - x.mean(axis=0))


def main() -> None:
    """Writes every picture."""
    FOLDER.mkdir(exist_ok=True)
    for item, figure in drawn():
        text = draw.html(figure, prefix=item) + "\n"
        if len(text) > LARGEST:
            raise SystemExit(f"the picture of {item} has {len(text)} bytes; {LARGEST} are allowed.")
        (FOLDER / f"{item}.html").write_text(text, encoding="utf-8")
        print(f"{item}: {len(text):,} bytes")


def drawn() -> Iterator[tuple[str, Figure]]:
    """Yields items and what is drawn for them."""
    yield from of_checks()
    yield from of_data()
    yield from of_runs()


def of_checks() -> Iterator[tuple[str, Figure]]:
    """Yields the first picture of each check."""
    found = jr.check(task).findings
    for finding in found:
        if finding.figures:
            yield finding.item, finding.figures[-1 if finding.item == "B11" else 0]
    mixed = jr.check(task.replace(model=Mixed()), only=["B12"]).findings[0]
    yield "B12", _corner(mixed.figures[0], 10)
    fit = jr.fit(task, steps=900, monitor=True)
    for finding in jr.check_fit(fit).findings:
        if finding.figures:
            yield finding.item, finding.figures[0]


def _corner(matrix: Matrix, n: int) -> Matrix:
    """Returns the first `n` rows and columns: all 32 would be ten times as many bytes."""
    return dataclasses.replace(
        matrix,
        title="A fault: outputs less the mean of their batch. Every example reaches every output",
        values=matrix.values[:n, :n],
        rows=matrix.rows[:n],
        columns=matrix.columns[:n],
    )


def of_data() -> Iterator[tuple[str, Figure]]:
    """Yields what looking at every example of digits showed."""
    looked = jr.explore.survey(jr.explore.data_of("digits"))
    for finding in jr.explore.findings_of(looked):
        if finding.check in ("suspects", "outliers") and finding.figures:
            yield {"suspects": "A5", "outliers": "A8"}[finding.check], finding.figures[0]
    yield "A6", jr.explore.needs_figures(jr.explore.needs_of(looked.gathered))[0]
    scenes, _ = jr.data.SyntheticShapes(count=6, size=48, seed=3).take(np.arange(6))
    yield (
        "D3",
        Pictures(
            title="Simulated: each picture is a function of its number",
            images=scenes,
            captions=[f"number {i}" for i in range(6)],
        ),
    )


def of_runs() -> Iterator[tuple[str, Figure]]:
    """Yields what trainings showed."""
    schedules = jr.train.schedules
    yield "C4", schedules.preview(schedules.cosine(1e-3, steps=2_000, warm_up=0.05), steps=2_000)
    yield "D1", jr.rungs.learning_curve(task, steps=600, seeds=3).figure()
    yield "G20", jr.train.lr_find(task).curves()
    rungs = [
        jr.rungs.Rung(
            name="moved by a pixel",
            change=lambda task: task.replace(augment=jr.augment.random_translate(1)),
        ),
        jr.rungs.Rung(
            name="dropout",
            change=lambda task: task.replace(model=jr.models.MLP(10, dropout=0.3)),
        ),
        jr.rungs.batch_of(32, steps=2),
    ]
    yield "C3", jr.ladder(task, rungs, steps=600, seeds=3).figure()


if __name__ == "__main__":
    main()
