"""What does it cost to prove that 32 examples do not touch each other?

Question: how many gradient passes is the isolation check (B12) worth? It runs 7 forward passes, 9
where BatchNorm's statistics have to be told apart, and up to 13 in training mode. One forward pass
and one gradient pass of the same batch of 32 are timed side by side, compiled alike, each the
median of many.

Command: python experiments/isolation_cost.py
Hardware: 2 cores of an AMD EPYC, JAX 0.10.2, nothing else running.
Result:

| program | forward / gradient | 7 passes | 9 passes | 13 passes |
| --- | --- | --- | --- | --- |
| digits MLP | 0.76 | 5.3 | 6.8 | 9.9 |
| digits CNN, BatchNorm, dropout | 0.34 | 2.4 | 3.0 | 4.4 |
| character transformer | 0.36 | 2.5 | 3.2 | 4.7 |
| sequence tagger | 0.44 | 3.1 | 3.9 | 5.7 |
| segmentation | 0.49 | 3.4 | 4.4 | 6.4 |
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from gallery.bases_digits import digits_cnn, digits_mlp
from gallery.bases_pictures import segmentation
from gallery.bases_sequences import char_lm, tagger

import jrecipe as jr

PROGRAMS = {
    "digits MLP": digits_mlp,
    "digits CNN, BatchNorm, dropout": digits_cnn,
    "character transformer": char_lm,
    "sequence tagger": tagger,
    "segmentation": segmentation,
}
PASSES = (7, 9, 13)


def seconds(call: Callable[[], Any]) -> float:
    """Returns the wall time of one call that has been compiled."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def ratio(task: jr.Task, rounds: int) -> float:
    """Returns the time of a forward pass as a share of that of a gradient pass, batch of 32."""
    inputs, targets = jax.tree.map(jnp.asarray, task.train.take(jnp.arange(32)))
    batch = jr.Batch(inputs, targets, jnp.ones(32))
    params, state = jax.jit(task.model.init)(jax.random.key(0), inputs)
    loss_fn, key = jr.train.make_loss_fn(task.model, task.loss), jax.random.key(1)

    def mean(params: Any) -> jax.Array:
        value, weight, _ = loss_fn(params, state, batch, key)
        return (value * weight).sum() / weight.sum()

    forward = jax.jit(lambda p: task.model.apply(p, state, inputs)[0])
    gradient = jax.jit(jax.grad(mean))
    for call in (forward, gradient):
        jax.block_until_ready(call(params))
    pairs = [
        (seconds(lambda: forward(params)), seconds(lambda: gradient(params))) for _ in range(rounds)
    ]
    return statistics.median(a / b for a, b in pairs)


def main() -> None:
    """Prints one row per program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=500, help="pairs of passes of each program")
    rounds = parser.parse_args().rounds
    print("| program | forward / gradient | " + " | ".join(f"{n} passes" for n in PASSES) + " |")
    print("| --- | --- |" + " --- |" * len(PASSES))
    for name, build in PROGRAMS.items():
        share = ratio(build(0), rounds)
        cells = " | ".join(f"{n * share:.1f}" for n in PASSES)
        print(f"| {name} | {share:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
