"""Is a fine-tuning update quicker than that of transformers with torch?

Question: time of one update (forward, backward, AdamW) of a MiniLM classifier from the same weights
on the same batch of real sentences, padded alike, dropout 0.1, in turns in one process: jrecipe's
compiled step beside transformers' BertForSequenceClassification in eager torch. Loading and
tokenising are timed apart. Wanted: at least 1.4 times as fast.

Command: pip install 'jrecipe[bench]'; python experiments/benchmarks/finetune_step.py --encoder DIR
--data DIR
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from contest import Run, contest, ratios, rows, save, updating

import jrecipe as jr
from jrecipe import finetune

SIZE, RATE, DECAY = 32, 5e-5, 0.01
OURS = "jrecipe"


def timed(what: str, function: Callable[[], Any]) -> Any:
    """Returns the result of a function and prints how long it took."""
    begun = time.perf_counter()
    result = function()
    print(f"{what}: {time.perf_counter() - begun:.2f} s")
    return result


def ours(found: Any, batch: Any, updates: int) -> Run:
    """Returns jrecipe's updates."""
    net = finetune.Classify().network(found.module, ("negative", "positive"))
    model = finetune.start_from(net, found)
    mask = jr.regularize.decay_mask
    tx = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(RATE, weight_decay=DECAY, mask=mask)
    )
    task = jr.Task(
        model=model,
        loss=jr.losses.softmax_cross_entropy(),
        train=(batch.inputs, batch.targets),
        val=(batch.inputs, batch.targets),
        optimizer=tx,
        batch_size=SIZE,
    )
    loss_fn = jr.train.make_loss_fn(task.model, task.loss)
    step = jax.jit(jr.make_train_step(loss_fn, tx), donate_argnums=0)
    state = jr.train.create_state(task.model, tx, batch.inputs, jax.random.key(0))
    return updating(step, state, batch, updates)


def torch_eager(folder: str, batch: Any, updates: int) -> Run:
    """Returns updates of transformers with torch."""
    import torch
    from transformers import BertForSequenceClassification

    torch.set_num_threads(2)
    net = timed(
        "loading, transformers",
        lambda: BertForSequenceClassification.from_pretrained(folder, num_labels=2),
    )
    net.train()
    decayed = [p for name, p in net.named_parameters() if p.ndim > 1 and "embed" not in name]
    known = {id(p) for p in decayed}
    others = [p for p in net.parameters() if id(p) not in known]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=DECAY)
    inputs = {
        "input_ids": torch.tensor(np.asarray(batch.inputs["ids"]), dtype=torch.long),
        "attention_mask": torch.tensor(np.asarray(batch.inputs["mask"]), dtype=torch.long),
        "token_type_ids": torch.tensor(np.asarray(batch.inputs["types"]), dtype=torch.long),
    }
    labels = torch.tensor(np.asarray(batch.targets), dtype=torch.long)

    def run() -> float:
        start = time.perf_counter()
        for _ in range(updates):
            optimizer.zero_grad(set_to_none=True)
            loss = net(**inputs, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        loss.item()
        return (time.perf_counter() - start) / updates

    return run


def main() -> None:
    """Prints a table for each length."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", required=True, help="folder of public weights")
    parser.add_argument("--data", required=True, help="folder with train.jsonl.gz, as SST-2")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--keep-memory", action="store_true", help="as `jrecipe finetune` does")
    parser.add_argument("--save", type=Path, help="folder for ratios as JSON")
    given = parser.parse_args()
    if given.keep_memory:
        jr.train.keep_memory()  # of the whole process, torch's too
    logging.getLogger("transformers").setLevel(logging.ERROR)
    found = timed("loading, jrecipe", lambda: finetune.load_pretrained(given.encoder))
    splits = finetune.read_splits(given.data)
    tokenizer = finetune.read_tokenizer(found)
    data = timed(
        f"tokenising {len(splits['train']):,} rows, jrecipe",
        lambda: finetune.Classify().read(splits["train"], tokenizer),
    )
    for length in given.lengths:
        near = np.flatnonzero(np.asarray(data.source.buckets) == length)[:SIZE]
        if len(near) < SIZE:
            print(f"\nfewer than {SIZE} rows of {length} tokens; left out")
            continue
        inputs, targets = data.source.take(near)
        batch = jax.tree.map(jnp.asarray, jr.Batch(inputs, targets, np.ones(SIZE, np.float32)))
        runs = {
            OURS: ours(found, batch, given.updates),
            "torch eager, transformers": torch_eager(given.encoder, batch, given.updates),
        }
        seconds = contest(runs, given.rounds)
        print(f"\nMiniLM-L6 classifier, {SIZE} sentences padded to {length} tokens\n")
        print("\n".join(rows(seconds, OURS)))
        if given.save:
            wanted = {"torch eager, transformers": 1.4}
            save(
                given.save / f"finetune-{length}.json",
                f"fine-tuning update, {length} tokens",
                ratios(seconds, OURS),
                wanted,
            )


if __name__ == "__main__":
    main()
