"""What does each of nine tricks bring to a network that memorises CIFAR-10?

Question (RECIPE I): training accuracy, validation accuracy and the gap between them, of a plain
convolutional network and of nine rungs above it, each with one change more: (1) random erasing,
(2) BatchNorm, (3) dropout in front of the last layers, (4) L2 through Adam, (5) flip and crop,
(6) a falling learning rate, (7) twice the width with more augmentation, (8) skip connections,
(9) twice the width again. Every rung stands on all below, whether it helped or not. Accuracies are
those of the last state, in evaluation mode, on pictures without augmentation.

Command: python experiments/cifar10_ladder.py --data FOLDER --scale cpu   (or --data tfds:cifar10)
FOLDER holds train.npz, train_rest.npz and test.npz, see `cifar10_data.read_folder`. `--scale full`
takes all pictures and ten times the width, for a GPU. `--out` keeps every rung, to be resumed.

Hardware and results: docs/ladder.md.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from cifar10_data import Examples, read_folder, stored

import jrecipe as jr
from jrecipe.rungs import Rung

MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2470, 0.2435, 0.2616)
RATE, DECAY = 1e-3, 0.96  # of the learning rate, per epoch


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much to train.

    Attributes:
      width: channels of the first stage of the baseline.
      train: pictures to train on.
      val: pictures to judge on, others than those.
      epochs: of every rung.
      batch: pictures in a batch.
    """

    width: int
    train: int
    val: int
    epochs: int
    batch: int = 128


SCALES = {
    "smoke": Scale(width=4, train=500, val=200, epochs=2, batch=50),
    "cpu": Scale(width=6, train=3_000, val=4_000, epochs=24, batch=32),
    "full": Scale(width=64, train=45_000, val=5_000, epochs=60),
}


class Net(nn.Module):
    """A 3x3 convolution, two stages of two more with max-pooling between, a dense layer, classes.

    Attributes:
      width: channels of the first convolution; the stages have two and four times as many.
      norm: BatchNorm after each convolution.
      dropout: in front of both dense layers.
      skip: add the input of a stage's second convolution to its output.
    """

    width: int
    norm: bool = False
    dropout: float = 0.0
    skip: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Returns float32[b, 10] from pictures [b, 32, 32, 3]."""
        for i, times in enumerate((1, 2, 2, 4, 4)):
            before = x
            x = nn.Conv(self.width * times, (3, 3), use_bias=not self.norm)(x)
            if self.norm:
                x = nn.BatchNorm(not train, momentum=0.9)(x)
            x = nn.relu(x + before if self.skip and x.shape == before.shape else x)
            if i % 2 == 0:
                x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(len(x), -1))
        x = nn.relu(nn.Dense(128)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(10)(x)


def normalised(x: np.ndarray) -> np.ndarray:
    """Returns float32[n, 32, 32, 3] of mean 0 and deviation 1 from bytes."""
    return (x / np.float32(255) - np.float32(MEAN)) / np.float32(DEVIATION)


def baseline(examples: Examples, scale: Scale) -> jr.Task:
    """Returns the task of the plain network; the validation pictures follow the training ones."""
    x, y = examples
    if len(x) < scale.train + scale.val:
        raise jr.TaskError(
            f"--scale needs {scale.train} + {scale.val} pictures, the data has {len(x)}."
        )
    parts = slice(scale.train), slice(scale.train, scale.train + scale.val)
    train, val = ((normalised(x[part]), y[part]) for part in parts)
    return jr.Task(
        model=Net(scale.width),
        loss=jr.losses.softmax_cross_entropy(),
        train=train,
        val=val,
        optimizer=optax.adam(RATE),
        batch_size=scale.batch,
        name="cifar10",
    )


def rungs(scale: Scale) -> list[Rung]:
    """Returns the nine rungs; each change states the whole network or augmentation it leads to."""
    erase = jr.augment.random_erase(0.75, area=(0.01, 0.3), aspect=(1.0, 1.0), value=0.0)
    flipped = jr.augment.compose(
        jr.augment.random_flip(), jr.augment.random_crop(4, mode="constant"), erase
    )
    more = jr.augment.compose(jr.augment.random_rotate(10), flipped)
    falling = optax.exponential_decay(RATE, scale.train // scale.batch, DECAY)
    l2 = jr.regularize.add_l2(1e-5)
    wide, widest = 2 * scale.width, 4 * scale.width

    def rung(name: str, together: bool = False, **changes: Any) -> Rung:
        return Rung(name=name, change=lambda task: task.replace(**changes), together=together)

    return [
        rung("random erasing", augment=erase),
        rung("BatchNorm", model=Net(scale.width, norm=True)),
        rung("dropout", model=Net(scale.width, norm=True, dropout=0.2)),
        rung("L2 of 1e-5", optimizer=optax.chain(l2, optax.adam(RATE))),
        rung("flip and crop", augment=flipped),
        rung("falling rate", optimizer=optax.chain(l2, optax.adam(falling))),
        rung(
            "twice the width, rotation",
            together=True,
            model=Net(wide, norm=True, dropout=0.2),
            augment=more,
        ),
        rung("skip connections", model=Net(wide, norm=True, dropout=0.2, skip=True)),
        rung("twice the width again", model=Net(widest, norm=True, dropout=0.2, skip=True)),
    ]


def picture(ladder: jr.rungs.Ladder, path: Path) -> None:
    """Draws training and validation accuracy of every rung, each seed as a dot."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8.8, 4.6), layout="constrained")
    names = [step.name for step in ladder.steps]
    places = np.arange(len(names))
    for label, colour, values in (
        ("training", "#9a5b00", [step.scores.train for step in ladder.steps]),
        ("validation", "#1a5fb4", [step.scores.val_mean for step in ladder.steps]),
    ):
        means = [100 * value.mean() for value in values]
        axes.plot(means, places, "o-", color=colour, label=label, markersize=5)
        for place, value in zip(places, values, strict=True):
            axes.plot(100 * value, [place] * len(value), "|", color=colour, markersize=9)
        for place, mean, value in zip(places, means, values, strict=True):
            left = label == "validation"  # beside the seeds, away from the other line
            axes.annotate(
                f"{mean:.1f}",
                (100 * (value.min() if left else value.max()), place),
                (-6 if left else 6, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=8,
                color=colour,
            )
    low, high = axes.get_xlim()
    axes.set_xlim(low - 2, high + 2)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel("accuracy, %; the gap is how much was memorised")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    """Prints a line for each rung, then the table; writes ladder.json and ladder.png."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="folder of npz files, or tfds:cifar10")
    parser.add_argument("--scale", choices=[*SCALES], default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10_ladder"))
    parser.add_argument("--resume", action="store_true", help="go on with the ladder in --out")
    given = parser.parse_args()
    scale = SCALES[given.scale]
    try:
        train, _ = (
            stored(jr.data.load(given.data))
            if given.data.startswith("tfds:")
            else read_folder(Path(given.data))
        )
        ladder = jr.ladder(
            baseline(train, scale),
            rungs(scale),
            steps=scale.epochs * (scale.train // scale.batch),
            seeds=given.seeds,
            keep="all",
            out=given.out,
            resume=given.resume,
        )
    except jr.TaskError as error:
        parser.error(str(error).replace("resume=True", "--resume"))
    print(f"\n{ladder.markdown()}\n")
    first, last = ladder.steps[0], ladder.steps[-1]
    gain = last.over_base
    assert gain is not None
    print(
        f"Last rung over baseline: {100 * gain.gain:+.1f} points "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f}); gap "
        f"{100 * first.scores.gap.mean():.1f} -> {100 * last.scores.gap.mean():.1f} points."
    )
    picture(ladder, given.out / "ladder.png")


if __name__ == "__main__":
    main()
