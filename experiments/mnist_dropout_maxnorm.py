"""What do dropout (H3) and max-norm (H4) bring to the classic MNIST network when data is scarce?

Question: 784-128-128-1 with tanh and one sigmoid output learns whether a picture's class is odd or
even, from 1,000 pictures. Training accuracy, validation accuracy and the gap between them: plain,
with dropout of 0.2 on inputs and 0.5 on hidden units, with each unit's incoming weights limited to
a norm of 5 (`--limit`), and with both. Everything else is the same, seed by seed: pictures, initial
weights, order, updates, and the program but for its numbers. Accuracies are those of the last state
in evaluation mode. Nothing was chosen on the validation pictures.

Command: python experiments/mnist_dropout_maxnorm.py --data FOLDER --out FOLDER
FOLDER holds IDX files as MNIST's or Fashion-MNIST's; `--data tfds:mnist` reads TensorFlow Datasets.

Hardware, time and results: docs/experiments.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from matplotlib.figure import Figure

import jrecipe as jr
from jrecipe.rungs import Difference, Scores, compare

LIMIT = 5.0  # of the norm (H4)
# A limit that nothing reaches. At this rate training is chaotic: compiled without max-norm a run is
# rounded otherwise and ends elsewhere, though no unit reached the limit.
NO_LIMIT = 1e9
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#707070"
RATE, MOMENTUM = 0.1, 0.9  # large, as max-norm was meant for (Srivastava et al., 2014, section 5.1)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much to train.

    Attributes:
      train: pictures to train on.
      val: pictures to judge on, others than those.
      epochs: of every run.
      batch: pictures in a batch.
    """

    train: int
    val: int
    epochs: int
    batch: int = 50


SCALES = {
    "smoke": Scale(train=100, val=50, epochs=2),
    "cpu": Scale(train=1_000, val=5_000, epochs=100),
}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
      name: what tables call it.
      dropout: 0.2 on inputs and 0.5 on hidden units.
      limited: no unit's incoming weights have a norm above the limit.
    """

    name: str
    dropout: bool = False
    limited: bool = False


ARMS = (
    Arm("plain"),
    Arm("dropout", dropout=True),
    Arm("max-norm", limited=True),
    Arm("both", dropout=True, limited=True),
)


class Net(nn.Module):
    """784-128-128-1 with tanh (H3).

    Attributes:
      dropout: drop 0.2 of the inputs and 0.5 of the hidden units in training.
    """

    dropout: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Returns logits float32[b, 1] of the class being odd, from pictures [b, ...]."""
        inputs, hidden = (0.2, 0.5) if self.dropout else (0.0, 0.0)
        x = jr.models.Dropout(inputs, deterministic=not train)(x.reshape(len(x), -1))
        for _ in range(2):
            x = nn.tanh(nn.Dense(128)(x))
            x = jr.models.Dropout(hidden, deterministic=not train)(x)
        return nn.Dense(1)(x)


def task_of(arm: Arm, splits: jr.data.Splits, scale: Scale, limit: float = LIMIT) -> jr.Task:
    """Returns the task of an arm, on the first pictures of each split.

    Args:
      arm: how to regularise.
      splits: pictures of classes.
      scale: how many of them.
      limit: of the norm, where the arm is limited.

    Raises:
      TaskError: if there are too few, or they have no classes.
    """
    if splits.kind != "classes":
        raise jr.TaskError(f"--data {splits.name} has no classes that are odd or even; give MNIST.")

    def first(source: jr.Source, count: int, split: str) -> tuple[Any, np.ndarray]:
        if len(source) < count:
            raise jr.TaskError(
                f"--scale needs {count} {split} pictures, {splits.name} has {len(source)}; "
                "give more, or --scale smoke."
            )
        inputs, classes = source.take(np.arange(count))
        return inputs, np.asarray(classes % 2, np.float32)

    held = jr.regularize.max_norm(limit if arm.limited else NO_LIMIT)
    return jr.Task(
        model=Net(arm.dropout),
        loss=jr.losses.sigmoid_cross_entropy(),
        train=first(splits.train, scale.train, "training"),
        val=first(splits.val, scale.val, "validation"),
        optimizer=optax.chain(optax.sgd(RATE, MOMENTUM), held),
        batch_size=scale.batch,
        name=arm.name,
    )


def largest_norm(params: Any) -> float:
    """Returns the largest norm of one unit's incoming weights, in any layer."""
    kernels = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    return max(float(np.linalg.norm(kernel, axis=0).max()) for kernel in kernels)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an arm reached.

    Attributes:
      arm: which.
      scores: accuracies of every seed.
      norms: float64[k], largest norm of a unit's incoming weights after the last update.
    """

    arm: Arm
    scores: Scores
    norms: np.ndarray


def train_arm(arm: Arm, task: jr.Task, scale: Scale, seeds: Sequence[int]) -> Outcome:
    """Trains an arm's task once from each seed and scores the last states."""
    start = time.perf_counter()
    steps = scale.epochs * (scale.train // scale.batch)
    fits = [jr.fit(task, steps, seed=s, eval_every=steps, progress=False) for s in seeds]
    train, val = ([fit.evaluate(part, best=False) for fit in fits] for part in ("train", "val"))
    scores = Scores(
        seeds=tuple(seeds),
        steps=steps,
        val=np.stack([one.metric_values for one in val]).astype(np.float64),
        weights=val[0].metric_weights.astype(np.float64),
        train=np.array([one.metric for one in train]),
        val_loss=np.array([one.loss for one in val]),
        train_loss=np.array([one.loss for one in train]),
        seconds=time.perf_counter() - start,
    )
    return Outcome(arm, scores, np.array([largest_norm(fit.state.params) for fit in fits]))


def of_train(scores: Scores) -> Scores:
    """Returns the training accuracy in place of the validation score; its pictures are fixed."""
    return dataclasses.replace(scores, val=scores.train[:, None], weights=np.ones(1))


def of_gap(scores: Scores) -> Scores:
    """Returns the gap in place of the validation score, picture by picture."""
    return dataclasses.replace(scores, val=scores.train[:, None] - scores.val)


def mean_of(scores: Scores) -> Difference:
    """Returns the mean score with its interval: what it has over a score of 0."""
    return compare(dataclasses.replace(scores, val=np.zeros_like(scores.val)), scores)


def summary(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Returns a row for each arm; means, and differences from the first arm, with 95 % intervals.

    Accuracies, gap and differences are shares in [-1, 1], as mean, lower and upper end.
    """
    first = outcomes[0].scores
    rows = []
    for each in outcomes:
        scores = each.scores
        found = {
            "train": mean_of(of_train(scores)),
            "val": mean_of(scores),
            "gap": mean_of(of_gap(scores)),
        }
        if scores is not first:
            found["val_over_plain"] = compare(first, scores)
            found["gap_over_plain"] = compare(of_gap(first), of_gap(scores))
        rows.append(
            {
                "name": each.arm.name,
                **{name: (one.gain, one.low, one.high) for name, one in found.items()},
                "val_loss": float(scores.val_loss.mean()),
                "train_of_seeds": scores.train.tolist(),
                "val_of_seeds": scores.val_mean.tolist(),
                "norm_of_seeds": each.norms.tolist(),
                "seconds": scores.seconds,
            }
        )
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as a table in Markdown, accuracies in per cent."""

    def said(row: dict[str, Any], name: str, sign: str = "") -> str:
        if name not in row:
            return ""
        mean, low, high = (100 * min(value, 1) for value in row[name])  # Student's t knows no 100 %
        return f"{mean:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"

    lines = [
        [
            "",
            "training accuracy, %",
            "validation accuracy, %",
            "gap, points",
            "validation over plain",
            "gap over plain",
            "validation loss",
            "largest norm",
        ]
    ]
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        means = [said(row, name) for name in ("train", "val", "gap")]
        gains = [said(row, name, "+") for name in ("val_over_plain", "gap_over_plain")]
        norm = max(row["norm_of_seeds"])
        lines.append([row["name"], *means, *gains, f"{row['val_loss']:.3f}", f"{norm:.5f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw(rows: Sequence[dict[str, Any]], limit: float) -> Figure:
    """Draws both accuracies of each arm with their intervals, and its largest norm of each seed."""
    figure = Figure((8.8, 3.3), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for name, colour, marker, up, side in (
        ("train", ORANGE, "o", -0.12, -1),
        ("val", BLUE, "s", 0.12, 1),
    ):
        for place, row in enumerate(rows):
            mean, low, high = (100 * min(value, 1) for value in row[name])
            left.plot([low, high], [place + up] * 2, color=colour, linewidth=2)
            left.plot(mean, place + up, marker, color=colour)
            left.annotate(
                f"{mean:.1f}",
                (low if side < 0 else high, place + up),
                (8 * side, 0),
                textcoords="offset points",
                ha="right" if side < 0 else "left",
                va="center_baseline",
            )
        for handle in left.plot([], [], marker, color=colour):
            handle.set_label({"train": "training", "val": "validation"}[name])
    left.set_yticks(range(len(rows)), [row["name"] for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set_xlabel("accuracy, %, with 95 % interval")
    left.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    right.axvline(limit, color=GREY, linestyle="--", linewidth=1.2)
    right.annotate(
        f"limit {limit:g}",
        (limit, 1),
        (0, 4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
    )
    for place, row in enumerate(rows):
        norms = row["norm_of_seeds"]
        right.plot(norms, [place] * len(norms), "D", color=BLUE, alpha=0.6, markeredgewidth=0)
    right.set_xlim(0)
    right.set_xlabel("largest norm of a unit, each seed")
    for axes in (left, right):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def main() -> None:
    """Prints the table; writes mnist_dropout_maxnorm.json and mnist_dropout_maxnorm.png."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="folder of IDX files, or tfds:mnist")
    parser.add_argument("--scale", choices=[*SCALES], default="cpu")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=LIMIT, help="of a unit's norm")
    parser.add_argument("--out", type=Path, help="folder of the table and the picture")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error(f"--seeds needs 2 or more, got {given.seeds}; one says nothing of the next.")
    scale = SCALES[given.scale]
    try:
        splits = jr.data.load(given.data)
        outcomes = []
        for arm in ARMS:
            task = task_of(arm, splits, scale, given.limit)
            outcomes.append(train_arm(arm, task, scale, range(given.seeds)))
            scores = outcomes[-1].scores
            print(f"{arm.name}: {scores.steps} updates, {scores.seconds:.0f} s", flush=True)
    except jr.TaskError as error:
        parser.error(str(error))
    rows = summary(outcomes)
    print(f"\n{markdown(rows)}")
    if given.out is None:
        return
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "mnist_dropout_maxnorm.json").write_text(json.dumps(rows, indent=2))
    figure = draw(rows, given.limit)
    figure.savefig(given.out / "mnist_dropout_maxnorm.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
