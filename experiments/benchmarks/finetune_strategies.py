"""What does an update cost under each fine-tuning strategy?

Question: time of one update of a MiniLM classifier, and memory of its optimiser's state and of what
the program holds on the way, for full fine-tuning, the lower half frozen, adapters of low rank and
the head alone, in turns in one process. Wanted: the frozen half at least 1.4 times as fast as full,
and smaller.

Command: python experiments/benchmarks/finetune_strategies.py --encoder DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from contest import Run, contest, ratios, readable, updating

import jrecipe as jr
from jrecipe import finetune

NAMES = ("full", "freeze-first", "lora", "head")
SIZE, LENGTH = 32, 32


def entry(name: str, found: Any) -> tuple[Run, float, float]:
    """Returns a run of updates, and MB of optimiser state and of temporary arrays."""
    network = finetune.Classify().network(found.module, ("negative", "positive"))
    rng = np.random.default_rng(0)
    ids = jnp.asarray(rng.integers(1000, 20_000, (SIZE, LENGTH)), jnp.int32)
    inputs = {"ids": ids, "mask": jnp.ones_like(ids, bool), "types": jnp.zeros_like(ids)}
    targets = jnp.asarray(rng.integers(0, 2, SIZE), jnp.int32)
    batch = jr.Batch(inputs, targets, jnp.ones(SIZE))
    model = finetune.start_from(network, found)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs)[0])
    chosen = finetune.strategy(name, model, params, steps=1_000)
    frozen = tuple(chosen.frozen)
    tx = jr.train.freeze(chosen.optimizer, frozen)
    loss_fn = jr.train.make_loss_fn(chosen.model, jr.losses.softmax_cross_entropy())
    update = jr.train.make_update(loss_fn, tx, frozen=frozen)
    state = jr.train.create_state(chosen.model, tx, inputs, jax.random.key(0))
    step = jax.jit(lambda state, batch: update(state, batch, state.key), donate_argnums=0)
    temporary = step.lower(state, batch).compile().memory_analysis().temp_size_in_bytes
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(state.opt_state))
    return updating(step, state, batch, 4), kept / 2**20, temporary / 2**20


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", required=True, help="folder of public weights")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    jr.train.keep_memory()
    found = finetune.load_pretrained(given.encoder)
    made = {name: entry(name, found) for name in NAMES}
    seconds = contest({name: run for name, (run, *_) in made.items()}, given.rounds)
    print(f"MiniLM-L6 classifier, {SIZE} sentences of {LENGTH} tokens\n")
    print("| strategy | update | so many times as fast as full | optimiser state | temporary |")
    print("| --- | --- | --- | --- | --- |")
    for name, (_, kept, temporary) in made.items():
        if name == "full":
            shown = "-"
        else:
            ratio = ratios(seconds, name)["full"]
            shown = f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"
        per_update = readable(float(np.median(seconds[name])))
        print(f"| {name} | {per_update} | {shown} | {kept:.0f} MB | {temporary:.0f} MB |")


if __name__ == "__main__":
    main()
