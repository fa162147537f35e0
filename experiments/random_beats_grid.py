"""Does random search beat a grid at the same budget?

Question: digits MLP 64-32-10 over five hyper-parameters, of which two matter (learning rate and
decay; the exponent of Adam's second mean, smoothing of labels in a range too small to matter, and
noise on the pixels likewise do not). 32 trainings are a grid of two values each, or 32 random
points, or 32 of a Sobol sequence. Which finds the lower validation loss? All trainings of all
seeds are members of one population; the seed decides the points, the weights and the order.

Command: python experiments/random_beats_grid.py   (--out DIR for random_beats_grid.png)
Result: docs/tune.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count()))

import jax
import numpy as np
import optax

import jrecipe as jr

BUDGET, STEPS, SEEDS = 32, 150, 10  # 32 = 2^5: the finest grid that five parameters allow


def space_of(seed: int) -> jr.tune.Space:
    """Returns a guessed range of five decades that holds the optimum, somewhere in its middle."""
    rate, decay = 10.0 ** np.random.default_rng([seed, 7]).uniform(-1.25, 1.25, 2)
    return jr.tune.Space(
        {
            "rate": jr.tune.LogUniform(1e-5 * rate, 1.0 * rate),
            "decay": jr.tune.LogUniform(1e-3 * decay, 1e2 * decay),
            "b2": jr.tune.Uniform(0.98, 0.999),
            "smoothing": jr.tune.Uniform(0.0, 0.01),
            "noise": jr.tune.Uniform(0.0, 0.02),
        }
    )


MATTER = ("rate", "decay")


def part(source: jr.Source) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = source.take(np.arange(len(source)))
    return np.asarray(inputs, np.float32).reshape(len(inputs), -1), np.asarray(targets, np.int32)


_splits = jr.data.load("digits")
TRAIN, VAL = part(_splits.train), part(_splits.val)


def make_task(params: dict[str, Any]) -> jr.Task:
    def noise(key: Any, batch: jr.Batch) -> jr.Batch:
        drawn = jax.random.normal(key, batch.inputs.shape)
        return batch._replace(inputs=batch.inputs + params["noise"] * drawn)

    return jr.Task(
        model=jr.models.MLP(10, width=32, depth=1),
        loss=jr.losses.softmax_cross_entropy(params["smoothing"]),
        train=TRAIN,
        val=VAL,
        batch_size=32,
        augment=noise,
        optimizer=optax.adamw(params["rate"], b2=params["b2"], weight_decay=params["decay"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    start = time.perf_counter()
    designs = {
        "grid": lambda seed: jr.tune.grid(space_of(seed), BUDGET),
        "random": lambda seed: jr.tune.random(space_of(seed), BUDGET, seed),
        "sobol": lambda seed: jr.tune.sobol(space_of(seed), BUDGET, seed),
    }
    drawn = [(name, seed) for seed in range(SEEDS) for name in designs]
    points = [point for name, seed in drawn for point in designs[name](seed)]
    seeds = [seed for _, seed in drawn for _ in range(BUDGET)]  # no luck within a search
    trials = jr.tune.population(make_task, points, steps=STEPS, looks=1, seeds=seeds)
    groups = {pair: trials[i * BUDGET : (i + 1) * BUDGET] for i, pair in enumerate(drawn)}
    best = {
        name: np.array([jr.tune.best_of(groups[name, seed]).value for seed in range(SEEDS)])
        for name in designs
    }
    own = groups["random", 0] + groups["sobol", 0]
    found = jr.tune.importance(own, space_of(0))
    for name, values in best.items():
        wins = int((values < best["grid"]).sum())
        row = " ".join(f"{value:.3f}" for value in values)
        print(f"| {name} | {values.mean():.3f} | {wins} of {SEEDS} | {row} |")
    print("importance:", {name: round(share, 3) for name, share in found.shares.items()})
    print(f"explained {found.explained:.2f}; {time.perf_counter() - start:.0f} s")
    if args.out:
        draw(args.out, groups, best)
        rows = {name: values.tolist() for name, values in best.items()}
        (args.out / "random_beats_grid.json").write_text(json.dumps(rows, indent=2))


def draw(out: Path, groups: dict[Any, list[jr.tune.Trial]], best: dict[str, np.ndarray]) -> None:
    """Draws the points of one seed over the two that matter, and the best of all seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    everything = [t for trials in groups.values() for t in trials if np.isfinite(t.value)]
    x, y, value = np.array([(*(t.params[n] for n in MATTER), t.value) for t in everything]).T
    for panel, name in zip(panels[:2], ("grid", "random"), strict=True):
        shade = np.log(np.minimum(value, 2.5))
        panel.scatter(x, y, c=shade, s=80, alpha=0.25, cmap="viridis", linewidths=0)
        own = groups[name, 0]
        panel.scatter(
            *zip(*((t.params["rate"], t.params["decay"]) for t in own), strict=True),
            s=22,
            c="#d55e00",
            edgecolors="white",
            linewidths=0.6,
        )
        different = len({(t.params["rate"], t.params["decay"]) for t in own})
        panel.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="decay")
        panel.set_title(f"{name}: {len(own)} trainings, {different} places", fontsize=10)
    for i, values in enumerate(best.values()):
        panels[2].scatter([i] * len(values), values, s=22)
        panels[2].plot([i - 0.2, i + 0.2], [values.mean()] * 2, color="black")
    panels[2].set_xticks(range(len(best)), [*best])
    panels[2].set_ylabel("lowest validation loss")
    panels[2].set_title(f"{SEEDS} seeds", fontsize=10)
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "random_beats_grid.png", dpi=110)


if __name__ == "__main__":
    main()
