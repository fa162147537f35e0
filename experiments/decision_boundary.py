"""What do random, under-fit, robust and over-fit look like on the plane?

Question: one network, 2-128-128-128-1 with ReLU, learns two interleaved spirals from 200 points of
which one in ten has the wrong label. Where does it draw the boundary before its first update
(random), after 20 (under-fit), after 1,000 with weight decay (robust), and after 6,000 without
(over-fit)? All four start from the same weights and see the same points. Validation points come
from the same source, wrong labels included: nothing is right on more than about 90 % of them.

Updates and decay were chosen, looking at these points, so that the four states show.

Command: python experiments/decision_boundary.py --out FOLDER

Hardware, time and results: docs/experiments.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import optax
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

import jrecipe as jr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAIN, VAL = 200, 2_000  # points
NOISE, WRONG = 0.2, 0.1  # deviation of a coordinate; share of wrong labels
RATE, DECAY = (
    3e-3,
    3.0,
)  # of Adam; its sum over 1,000 updates is 9: only weights that the loss needs stay
EDGE, CROSSES = 2.6, 100  # half the side of the square that is drawn; validation points in it
BLUE, ORANGE, INK = "#0072b2", "#d55e00", "#222222"


@dataclasses.dataclass(frozen=True)
class State:
    """One way to end.

    Attributes:
      name: of the state.
      how: what was done, for the reader.
      updates: of the training.
      optimizer: of the training.
    """

    name: str
    how: str
    updates: int
    optimizer: optax.GradientTransformation


STATES = (
    State("random", "before training", 0, optax.adam(RATE)),
    State("under-fit", "20 updates", 20, optax.adam(RATE)),
    State("robust", "1,000 updates, weight decay", 1_000, jr.regularize.adamw(RATE, DECAY)),
    State("over-fit", "6,000 updates", 6_000, optax.adam(RATE)),
)


def spirals(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns points float32[n, 2] of two spirals of one turn, and which, float32[n] of 0 and 1.

    Each coordinate has noise of deviation `NOISE`, and a share `WRONG` of the labels is wrong.
    """
    rng = np.random.default_rng(seed)
    arm = np.arange(count) % 2
    along = np.sqrt(rng.uniform(0.02, 1, count))
    angle = 2 * np.pi * along + np.pi * arm
    points = 2 * along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points += rng.normal(scale=NOISE, size=points.shape)
    wrong = rng.permutation(count) < round(WRONG * count)
    return points.astype(np.float32), np.where(wrong, 1 - arm, arm).astype(np.float32)


def task_of(state: State, seed: int) -> jr.Task:
    """Returns the task that leads to a state; the seed draws the points."""
    return jr.Task(
        model=jr.models.MLP(1, width=128, depth=3, head_init="lecun", squeeze=True),
        loss=jr.losses.sigmoid_cross_entropy(),
        train=spirals(TRAIN, 2 * seed),
        val=spirals(VAL, 2 * seed + 1),
        optimizer=state.optimizer,
        batch_size=50,
        name=state.name,
    )


@dataclasses.dataclass(frozen=True)
class Reached:
    """What a state is like.

    Attributes:
      state: which.
      task: that led to it.
      train: accuracy on the training points, in [0, 1].
      val: accuracy on the validation points.
      logits: `points float32[n, 2] -> float32[n]`, above 0 where label 1 is more likely.
    """

    state: State
    task: jr.Task
    train: float
    val: float
    logits: Callable[[np.ndarray], np.ndarray]


def reach(state: State, seed: int) -> Reached:
    """Trains to a state; the seed draws points, first weights and order."""
    task = task_of(state, seed)
    trainer = jr.train.trainer_of(task)
    end: Any = trainer.init(jax.random.key(seed))  # what jr.fit begins with, too
    if state.updates:
        end = jr.fit(task, state.updates, seed=seed, eval_every=state.updates, progress=False).state
    train, val = (
        jr.evaluate(trainer.predict, end, source, task.loss, metric=task.metric).metric
        for source in (task.train, task.val)
    )
    return Reached(state, task, train, val, lambda x: np.asarray(trainer.predict(end, x)))


def draw(reached: Sequence[Reached]) -> Figure:
    """Draws a panel per state: probability of label 1, where it is one half, and the points.

    Training points are filled; validation points, of which the first are shown, are crosses.
    """
    figure = Figure((8.8, 8.6), dpi=100, layout="constrained")
    side = np.linspace(-EDGE, EDGE, 201, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    shown: Any = None
    for place, each in enumerate(reached, 1):
        axes = figure.add_subplot(2, 2, place)
        chance = 0.5 * (1 + np.tanh(each.logits(grid) / 2)).reshape(len(side), len(side))
        shown = _panel(axes, side, chance, each)
    bar = figure.colorbar(shown, ax=figure.axes, shrink=0.5, aspect=30, ticks=[0, 0.5, 1])
    bar.set_label("probability of class 1")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(axes: Axes, side: np.ndarray, chance: np.ndarray, each: Reached) -> Any:
    extent = (-EDGE, EDGE, -EDGE, EDGE)
    colours = LinearSegmentedColormap.from_list("", [BLUE, "white", ORANGE])
    shown = axes.imshow(
        chance, extent=extent, origin="lower", cmap=colours, vmin=0, vmax=1, alpha=0.55
    )
    axes.contour(side, side, chance, levels=[0.5], colors=INK, linewidths=1.2)
    points, labels = each.task.val.take(np.arange(CROSSES))
    for label, colour in enumerate((BLUE, ORANGE)):
        mine = points[labels == label]
        axes.plot(*mine.T, "x", color=colour, markersize=3.5, label=f"validation, class {label}")
    points, labels = each.task.train.take(np.arange(TRAIN))
    for label, colour in enumerate((BLUE, ORANGE)):
        mine = points[labels == label]
        axes.plot(
            *mine.T,
            "os"[label],
            color=colour,
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.7,
            label=f"training, class {label}",
        )
    axes.set(xticks=[], yticks=[], xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE))
    axes.set_title(
        f"{each.state.name}: {each.state.how}\n"
        f"training {100 * each.train:.0f} %, validation {100 * each.val:.0f} %",
        fontsize=12,
    )
    return shown


def save(figure: Figure, path: Path) -> None:
    """Writes a picture of 128 colours, which takes a third of the bytes."""
    figure.savefig(path, metadata={"Software": None})
    with Image.open(path) as full:
        few = full.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def markdown(runs: Sequence[Sequence[Reached]]) -> str:
    """Returns a row for each state: mean over seeds, and least to most.

    Args:
      runs: the states, from each seed.
    """

    def said(values: Sequence[float]) -> str:
        shares = 100 * np.array(values)
        return f"{shares.mean():.1f} ({shares.min():.1f} to {shares.max():.1f})"

    lines = [["state", "how", "training accuracy, %", "validation accuracy, %", "gap, points"]]
    lines.append(["---"] * len(lines[0]))
    for seeds in zip(*runs, strict=True):
        state = seeds[0].state
        train, val = [each.train for each in seeds], [each.val for each in seeds]
        gap = [each.train - each.val for each in seeds]
        lines.append([state.name, state.how, said(train), said(val), said(gap)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Prints the table; writes decision_boundary.json and a picture of the first seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder of the table and the picture")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds needs 1 or more, got {given.seeds}.")
    runs = [[reach(state, seed) for state in STATES] for seed in range(given.seeds)]
    print(markdown(runs))
    if given.out is None:
        return
    given.out.mkdir(parents=True, exist_ok=True)
    rows = [
        {"seed": seed, "state": each.state.name, "train": each.train, "val": each.val}
        for seed, run in enumerate(runs)
        for each in run
    ]
    (given.out / "decision_boundary.json").write_text(json.dumps(rows, indent=2))
    save(draw(runs[0]), given.out / "decision_boundary.png")


if __name__ == "__main__":
    main()
