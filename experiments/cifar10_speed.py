"""How long does CIFAR-10 to 94 % take on one GPU, the whole training as one XLA program?

Question: test accuracy and seconds, mean and deviation over seeds, of airbench94 (Jordan, "94% on
CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv:2404.00498) in JAX, Flax and Optax. Taken
over: network, optimiser, schedule, averaging, augmentation, six-view evaluation. Other than
there: bfloat16 on float32 weights for float16, and pictures stay bytes until they are used.

Command: python experiments/cifar10_speed.py --data FOLDER --runs 25   (or --data tfds:cifar10)
FOLDER holds train.npz, train_rest.npz and test.npz, see `read_folder`. `--smoke` is a quick try of
a tiny net on any machine; its numbers mean nothing.

The clock is airbench's: whitening, training and the evaluation count (here drawing the weights as
well); compiling, loading and moving the data to the device do not. Seed 0 runs first, to warm up,
and is not counted.

Hardware and results: none yet, no GPU at hand: not measured. Published, 94.0 % of 10,000 test
pictures, torch on one A100: 3.29 s for airbench94 (this recipe, compiled; 3.09 s in its README
later), 2.59 s for airbench94_muon (another optimiser), 2.0 s for Hiverge's cifar10-speedrun.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from cifar10_data import Examples, read_folder, stored
from cifar10_speed_net import (
    Net,
    accuracy,
    alternating_flip,
    crops,
    cutout,
    normalised,
    padded,
    whitening_kernel,
)

import jrecipe as jr

PUBLISHED = {  # seconds on one A100 to 94.0 % of 10,000 test pictures
    "airbench94 (this recipe)": 3.29,
    "airbench94_muon": 2.59,
    "cifar10-speedrun": 2.0,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Numbers of the recipe, all of them airbench94's."""

    widths: tuple[int, ...] = (64, 256, 256)
    batch: int = 1024
    epochs: float = 9.9  # the last one is left before its end
    rate: float = 11.5  # per 1024 examples, of the summed loss; see `optimizer`
    momentum: float = 0.85
    decay: float = 0.0153  # per 1024 examples, whatever the rate
    bias_factor: float = 64.0  # times the rate: BatchNorm's scale is fixed, its bias has to do
    smoothing: float = 0.2  # of the labels
    start: float = 0.2  # of the rate, at the first step
    peak: float = 0.23  # of the steps, where the rate is largest
    end: float = 0.07  # of the rate, at the last step
    whitening_examples: int = 5000  # are enough for 12 x 12 moments
    whitening_epochs: int = 3  # in which the whitening layer's bias is trained
    slow_from: int = 3  # epochs before the average begins
    slow_every: int = 5  # steps
    slow_decay: float = 0.95  # per step, times (step / steps)^3: fast at first, steady at the end
    translate: int = 2  # pixels
    cutout: int = 0  # pixels, side of the square; 94 % needs none
    views_of: int = 1000  # test pictures at once, six views each

    def steps(self, examples: int) -> tuple[int, int]:
        """Returns the steps of an epoch, a last part of a batch left out, and of the training."""
        epoch = examples // self.batch
        if epoch == 0:
            raise jr.TaskError(
                f"a batch of {self.batch} needs as many training pictures, got {examples}; give "
                "more, or a smaller Config.batch."
            )
        return epoch, math.ceil(epoch * self.epochs)


SMOKE = Config(widths=(4, 16, 16), batch=64, epochs=1, views_of=128)


class State(NamedTuple):
    """What a step changes: weights, BatchNorm's statistics, the optimiser, their slow average."""

    params: Any
    stats: Any
    opt_state: optax.OptState
    slow: Any  # (params, stats)


def triangle(steps: int, start: float, peak: float, end: float) -> optax.Schedule:
    """Returns lines from `start` to 1, reached after a share `peak` of the steps, and to `end`."""
    at = jnp.array([0, int(peak * steps), steps], jnp.float32)
    return lambda count: jnp.interp(count, at, jnp.array([start, 1.0, end]))


def optimizer(config: Config, epoch: int, steps: int) -> optax.GradientTransformation:
    """Returns Nesterov SGD for the gradient of the loss *summed* over a batch.

    Rate and decay are stated free of the momentum: in a constant gradient one step of it moves
    1 + 1 / (1 - momentum) times as far as one of SGD, and both are divided by that.

    Args:
      config: the recipe.
      epoch: steps of an epoch.
      steps: of the training.
    """
    scale = 1024 * (1 + 1 / (1 - config.momentum))
    decay = config.decay * config.batch / scale
    shape = triangle(steps, config.start, config.peak, config.end)

    def sgd(rate: float, until: int = steps) -> optax.GradientTransformation:
        return optax.chain(
            optax.add_decayed_weights(decay / rate),
            optax.sgd(lambda t: rate * shape(t) * (t < until), config.momentum, nesterov=True),
        )

    rate = config.rate / scale
    groups = {
        "conv": sgd(rate),
        "output": sgd(rate),
        "norm": sgd(rate * config.bias_factor),
        "whitening_bias": sgd(rate, until=config.whitening_epochs * epoch),
    }

    def group(path: Any, _: jax.Array) -> str:
        name = path[0].key
        return name if name in groups else name[:4]  # conv0_1, norm2_0

    return optax.partition(groups, lambda params: jax.tree_util.tree_map_with_path(group, params))


def orders(key: jax.Array, examples: int, config: Config) -> jax.Array:
    """Returns the rows of every step, int32[steps, batch]; each epoch has an order of its own."""
    epoch, steps = config.steps(examples)
    keys = jax.random.split(key, math.ceil(config.epochs))
    shuffle = jax.vmap(lambda key: jax.random.permutation(key, examples)[: epoch * config.batch])
    return shuffle(keys).reshape(-1, config.batch)[:steps]


def lookahead(fast: Any, slow: Any, step: jax.Array, epoch: int, steps: int, config: Config) -> Any:
    """Averages the weights every few steps, and goes on from the average.

    Zhang et al., "Lookahead Optimizer", 2019, arXiv:1907.08610, with a decay that grows.

    Args:
      fast: weights and statistics after a step.
      slow: their average; whatever before it begins.
      step: int32[], 1 for the first.
      epoch: steps of an epoch.
      steps: of the training.
      config: the recipe.

    Returns:
      `(fast, slow)`; fast is slow after every `slow_every`-th step and at the end of an epoch.
    """
    every = config.slow_every
    first = (config.slow_from * epoch // every + 1) * every
    due = (step >= first) & (step % every == 0)
    back = due | ((step > first) & ((step % epoch == 0) | (step == steps)))
    decay = jnp.where(step > first, config.slow_decay**every * (step / steps) ** 3, 0.0)
    mean = lambda a, b: jnp.where(due, decay * a + (1 - decay) * b, a)  # noqa: E731
    slow = jax.tree.map(mean, slow, fast)
    return jax.tree.map(lambda a, b: jnp.where(back, a, b), slow, fast), slow


def train(
    net: Net, config: Config, key: jax.Array, x: jax.Array, y: jax.Array, whitening: jax.Array
) -> Any:
    """Trains from random weights to the end, in one scan over the steps.

    Args:
      net: the network.
      config: the recipe.
      key: decides everything.
      x: uint8[n, h, h, 3].
      y: int32[n], classes.
      whitening: see `whitening_kernel`.

    Returns:
      The network's variables.
    """
    init, flips, order, noise = jax.random.split(key, 4)
    (examples, size), (epoch, steps) = x.shape[:2], config.steps(len(x))
    tx = optimizer(config, epoch, steps)
    loss = jr.losses.softmax_cross_entropy(config.smoothing)
    first_sides = jax.random.bernoulli(flips, 0.5, (examples,))
    wide = padded(x, config.translate)

    def batch(step: jax.Array, rows: jax.Array) -> jax.Array:
        moves, holes = jax.random.split(jax.random.fold_in(noise, step))
        draw = lambda key, most: jax.random.randint(key, (len(rows), 2), 0, most + 1)  # noqa: E731
        pictures = crops(wide, rows, draw(moves, 2 * config.translate), size)
        pictures = alternating_flip(pictures, first_sides[rows], (step - 1) // epoch)
        pictures = normalised(pictures)
        if config.cutout:
            pictures = cutout(pictures, draw(holes, size - config.cutout), config.cutout)
        return pictures

    def total(params: Any, stats: Any, pictures: jax.Array, classes: jax.Array) -> Any:
        variables = {"params": params, "batch_stats": stats}
        logits, after = net.apply(
            variables, pictures, whitening, train=True, mutable=["batch_stats"]
        )
        return loss(logits, classes).sum(), after["batch_stats"]

    def update(state: State, given: tuple[jax.Array, jax.Array]) -> tuple[State, None]:
        step, rows = given
        slope = jax.grad(total, has_aux=True)
        grads, stats = slope(state.params, state.stats, batch(step, rows), y[rows])
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        fast = optax.apply_updates(state.params, updates), stats
        (params, stats), slow = lookahead(fast, state.slow, step, epoch, steps, config)
        return State(params, stats, opt_state, slow), None

    start = net.init(init, normalised(x[:1]), whitening)
    params, stats = start["params"], start["batch_stats"]
    state = State(params, stats, tx.init(params), (params, stats))
    given = (jnp.arange(1, steps + 1), orders(order, examples, config))
    state, _ = jax.lax.scan(update, state, given)
    return {"params": state.params, "batch_stats": state.stats}


def run(
    config: Config, key: jax.Array, x: jax.Array, y: jax.Array, test_x: jax.Array, test_y: jax.Array
) -> jax.Array:
    """Whitens, trains and evaluates: all that the clock sees. Returns the test accuracy."""
    slow = jax.default_backend() == "cpu"  # at nn.Conv in a scan
    net = Net(config.widths, conv=jr.models.Conv if slow else nn.Conv)
    whitening = whitening_kernel(normalised(x[: config.whitening_examples]))
    variables = train(net, config, key, x, y, whitening)
    logits_of = lambda x: net.apply(variables, normalised(x), whitening)  # noqa: E731
    return accuracy(logits_of, test_x, test_y, config.views_of)


def load(data: str | None) -> tuple[Examples, Examples]:
    """Returns training and test examples of a folder or `tfds:NAME`; of None random ones."""
    if data is None:
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 256, (1024, 32, 32, 3), np.uint8), rng.integers(0, 10, 1024)
        return (x[:512], y[:512].astype(np.int32)), (x[512:], y[512:].astype(np.int32))
    return stored(jr.data.load(data)) if data.startswith("tfds:") else read_folder(Path(data))


def main() -> int:
    """Prints a row per run and the comparison; returns 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of npz files, or tfds:cifar10")
    parser.add_argument("--runs", type=int, default=25, help="that count; one more warms up")
    parser.add_argument("--cutout", type=int, default=0, help="pixels; 0 for none")
    parser.add_argument("--smoke", action="store_true", help="a tiny net on 512 pictures")
    given = parser.parse_args()
    if jax.default_backend() != "gpu":
        print("no GPU at hand: not measured")
        if not given.smoke:
            return 2
    if given.runs < 1 or not 0 <= given.cutout <= 32:
        parser.error(
            f"--runs needs 1 or more, --cutout 0 to 32; got {given.runs} and {given.cutout}."
        )
    if given.data is None and not given.smoke:
        parser.error("--data is missing; give a folder of npz files, or tfds:cifar10.")
    try:
        examples = load(given.data)
    except jr.TaskError as error:
        parser.error(str(error))
    runs, config = given.runs, Config(cutout=given.cutout)
    if given.smoke:
        runs, config = 1, dataclasses.replace(SMOKE, cutout=given.cutout)
        examples = tuple((x[:512], y[:512]) for x, y in examples)
        print("smoke: a tiny net on few pictures; these numbers mean nothing")
    (x, y), (test_x, test_y) = jax.device_put(examples)
    print(f"{jax.devices()[0].device_kind}: {len(x)} training and {len(test_x)} test pictures\n")
    arrays = (x, y, test_x, test_y)
    keys = [jax.random.key(seed) for seed in range(runs + 1)]
    program = jax.jit(functools.partial(run, config)).lower(keys[0], *arrays).compile()
    float(program(keys[0], *arrays))  # warms up
    print("| seed | test accuracy | seconds |\n| --- | --- | --- |")
    rows = []
    for seed, key in enumerate(keys[1:], start=1):
        start = time.perf_counter()
        share = float(program(key, *arrays))  # waits for it
        rows.append((share, time.perf_counter() - start))
        print(f"| {seed} | {share:.4f} | {rows[-1][1]:.3f} |", flush=True)
    shares, seconds = zip(*rows, strict=True)
    spread = lambda values: statistics.stdev(values) if len(values) > 1 else math.nan  # noqa: E731
    print(
        f"\nmean accuracy {statistics.mean(shares):.4f} (deviation {spread(shares):.4f}), mean "
        f"{statistics.mean(seconds):.3f} s (deviation {spread(seconds):.3f}), {len(rows)} runs"
    )
    for name, published in ({} if given.smoke else PUBLISHED).items():
        ratio = published / statistics.mean(seconds)
        print(f"{ratio:.2f} times as fast as {name}, published {published} s on one A100")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
