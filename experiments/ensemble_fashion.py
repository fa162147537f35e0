"""What do ensembles, averages of weights and distillation bring to one small network (F)?

Question: accuracy on the 10,000 test pictures of Fashion-MNIST, above the mean member of an
ensemble of five, of: the ensemble, its best member, averages of the weights of one run (EMA, SWA),
snapshots of one run, greedy soups with and without a common beginning, and a student that learns
from the ensemble. Members are 784-256-256-10 with ReLU, trained on 2,000 pictures by Adam, without
augmentation. Wanted: the ensemble gains at least 1 point, and the student keeps at least 60 % of it
at the cost of one network. Temperature, soups, and the best state of every run are chosen on 2,000
validation pictures; the test split decides nothing.

Intervals are over repeats with seeds of their own and over test pictures together, 95 %.

Command: python experiments/ensemble_fashion.py --data FOLDER
FOLDER holds the four IDX files of Fashion-MNIST; `--data tfds:fashion_mnist` reads TensorFlow
Datasets.

Hardware, time and results: docs/ensembles.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax

import jrecipe as jr
from jrecipe import squeeze
from jrecipe.rungs import Scores, compare

RATE = 2e-3  # of Adam; large, so that members differ
TEMPERATURE, HARD = 4.0, 0.1  # of the distillation


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much to train.

    Attributes:
      train: pictures to train on.
      val: pictures that choose.
      steps: updates of every network.
      members: of an ensemble.
      width: of the two hidden layers.
    """

    train: int
    val: int
    steps: int
    members: int = 5
    width: int = 256


SCALES = {
    "smoke": Scale(train=64, val=50, steps=10, members=2, width=8),
    "cpu": Scale(train=2_000, val=2_000, steps=600),
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a way costs, in networks.

    Attributes:
      train: trainings of one network's length.
      run: networks that answer.
    """

    train: float
    run: int


def task_of(splits: jr.data.Splits, scale: Scale) -> jr.Task:
    """Returns the task of one member.

    Raises:
      TaskError: if there are too few pictures.
    """

    def first(source: jr.Source, count: int) -> Any:
        if len(source) < count:
            raise jr.TaskError(f"--data has {len(source)} pictures where {count} are needed.")
        return source.take(np.arange(count))

    return jr.Task(
        model=jr.models.MLP(10, width=scale.width, depth=2),
        loss=jr.losses.softmax_cross_entropy(),
        train=first(splits.train, scale.train),
        val=first(splits.val, scale.val),
        test=splits.test,
        optimizer=optax.adam(RATE),
        batch_size=64,
        name="fashion",
    )


def ways_of(scale: Scale) -> dict[str, Cost]:
    """Returns what is compared, in the order of the table."""
    k = scale.members
    return {
        "mean member": Cost(1, 1),
        "best member by validation": Cost(k, 1),
        "EMA of one run": Cost(1, 1),
        "SWA of one run's last quarter": Cost(1, 1),
        "greedy soup, own beginnings": Cost(k, 1),
        "greedy soup, one beginning": Cost(0.5 + k / 2, 1),
        f"{k} snapshots of one run": Cost(1, k),
        f"ensemble of {k}, not calibrated": Cost(k, k),
        f"ensemble of {k}": Cost(k, k),
        "student of the ensemble": Cost(k + 1, 1),
    }


def one_repeat(task: jr.Task, scale: Scale, seed: int) -> dict[str, list[jr.train.Evaluation]]:
    """Trains every way once and reads the test split: way -> evaluations, whose mean counts."""
    k, steps = scale.members, scale.steps
    members = squeeze.ensemble(task, k, steps, seed=seed)
    one_beginning = squeeze.ensemble(task, k, steps, seed=seed, shared=steps // 2)
    average = {
        "EMA of one run": jr.train.ema(1 - 10 / steps),
        "SWA of one run's last quarter": jr.train.swa(3 * steps // 4),
    }
    taught = squeeze.distil(members, task, temperature=TEMPERATURE, hard=HARD)
    student = jr.fit(taught, steps, seed=seed + k, progress=False)
    test: Callable[[Any], Any] = lambda one: one.evaluate("test", keep_outputs=True)  # noqa: E731
    each = [test(members.member(i)) for i in range(k)]
    best = members.scores("val").best_member
    found = {"mean member": each, "best member by validation": [each[best]]}
    for name, tx in average.items():
        averaged = task.replace(optimizer=optax.chain(task.optimizer, tx))
        run = jr.fit(averaged, steps, seed=seed, average=True, progress=False)
        found[name] = [test(run)]
    found["greedy soup, own beginnings"] = [test(squeeze.greedy_soup(members))]
    found["greedy soup, one beginning"] = [test(squeeze.greedy_soup(one_beginning))]
    found[f"{k} snapshots of one run"] = [test(squeeze.snapshots(task, k, steps, seed=seed))]
    found[f"ensemble of {k}, not calibrated"] = [test(members.part(range(k)))]
    found[f"ensemble of {k}"] = [test(members)]
    found["student of the ensemble"] = [test(squeeze.student_of(student, task))]
    return found


def scores_of(repeats: Sequence[Sequence[Any]], steps: int) -> Scores:
    """Returns the accuracy of every test picture in each repeat, as scores to be compared."""
    values = [np.mean([one.metric_values for one in each], axis=0) for each in repeats]
    losses = np.array([np.mean([one.loss for one in each]) for each in repeats])
    return Scores(
        seeds=tuple(range(len(repeats))),
        steps=steps,
        val=np.stack(values).astype(np.float64),
        weights=np.ones(len(values[0])),
        train=np.zeros(len(repeats)),
        val_loss=losses,
        train_loss=losses,
        seconds=0.0,
    )


def calibration(repeats: Sequence[Sequence[Any]], labels: np.ndarray) -> float:
    """Returns the mean calibration error on the test split."""
    each = [one.outputs for repeat in repeats for one in repeat]
    return float(
        np.mean([squeeze.calibration_error(jax.nn.softmax(outputs), labels) for outputs in each])
    )


def table(
    repeats: Sequence[dict[str, list[Any]]], scale: Scale, labels: np.ndarray
) -> tuple[jr.figures.Table, dict[str, float]]:
    """Returns the table, and the gain of each way in points."""
    rows, gains = [], {}
    below = scores_of([one["mean member"] for one in repeats], scale.steps)
    for name, cost in ways_of(scale).items():
        found = [one[name] for one in repeats]
        scores = scores_of(found, scale.steps)
        gain = compare(below, scores)
        gains[name] = 100 * gain.gain
        said = f"{100 * gain.gain:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})"
        rows.append(
            [
                name,
                f"{100 * scores.val_mean.mean():.2f}",
                "" if name == "mean member" else said,
                f"{scores.val_loss.mean():.3f}",
                f"{100 * calibration(found, labels):.1f}",
                f"{cost.train:g}",
                f"{cost.run}",
            ]
        )
    columns = (
        "",
        "test accuracy, %",
        "gain over the mean member, points",
        "test loss",
        "calibration error, %",
        "trainings",
        "networks that answer",
    )
    return jr.figures.Table(title="Fashion-MNIST", columns=columns, rows=rows), gains


def main() -> None:
    """Prints the table, and what the student keeps."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="folder of IDX files, or tfds:fashion_mnist")
    parser.add_argument("--scale", choices=[*SCALES], default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.repeats < 2:
        parser.error(f"--repeats needs 2 or more, got {given.repeats}; one has no spread.")
    scale, start, repeats = SCALES[given.scale], time.perf_counter(), []
    try:
        task = task_of(jr.data.load(given.data), scale)
        for number in range(given.repeats):
            repeats.append(one_repeat(task, scale, 100 * number))
            reached = {
                name: f"{100 * np.mean([one.metric for one in each]):.2f}"
                for name, each in repeats[-1].items()
            }
            print(f"repeat {number}: {time.perf_counter() - start:.0f} s, {reached}", flush=True)
    except jr.TaskError as error:
        parser.error(str(error))
    labels = task.test.take(np.arange(len(task.test)))[1]
    found, gains = table(repeats, scale, labels)
    whole = gains[f"ensemble of {scale.members}"]
    print(f"\n{found.markdown()}\n")
    print(
        f"The ensemble gains {whole:.2f} points; the student keeps "
        f"{100 * gains['student of the ensemble'] / whole:.0f} % of that."
    )


if __name__ == "__main__":
    main()
