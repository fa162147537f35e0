"""Is a fine-tuning update quicker than that of transformers with torch?

Question: time of one update (forward, backward, AdamW) of a MiniLM classifier from the same weights
on the same 32 real sentences, dropout 0.1, in turns in one process: jrecipe's compiled step beside
transformers' BertForSequenceClassification in eager torch. Torch pads to the longest of them, as
transformers' collator does; jrecipe computes no padding, as in `jr.fit`, or pads to a bucket as
well (--padded). "Any length" are sentences drawn by chance, the batches of transformers' Trainer;
the others are of one bucket, the batches of `jr.fit`. Loading and tokenising are timed apart.
Wanted: at least 1.4 times as fast.

Command: pip install 'jrecipe[bench]'; python experiments/benchmarks/finetune_step.py --encoder DIR
--data DIR
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import logging
import math
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
from jrecipe.data import training_rows

SIZE, RATE, DECAY = 32, 5e-5, 0.01
OURS = "jrecipe"


def timed(what: str, function: Callable[[], Any]) -> Any:
    """Returns the result of a function and prints how long it took."""
    begun = time.perf_counter()
    result = function()
    print(f"{what}: {time.perf_counter() - begun:.2f} s")
    return result


def chosen(source: Any, length: int) -> np.ndarray:
    """Returns the rows of a batch: of a bucket, or any if `length` is 0."""
    if not length:
        return np.random.default_rng(0).permutation(len(source))[:SIZE]
    rows = training_rows(source.buckets, SIZE, 0, 0, len(source) // SIZE, source.lengths)
    same = (source.buckets[rows] == length).all(1)
    return rows[same][0] if same.any() else rows[:0, 0]


def longest(inputs: Any) -> int:
    """Returns the tokens of the longest text of a batch."""
    return int(np.asarray(inputs["mask"]).sum(1).max())


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
    t = longest(batch.inputs)
    inputs = {
        theirs: torch.tensor(np.asarray(batch.inputs[name])[:, :t], dtype=torch.long)
        for name, theirs in (
            ("ids", "input_ids"),
            ("mask", "attention_mask"),
            ("types", "token_type_ids"),
        )
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
    parser.add_argument(
        "--lengths", type=int, nargs="+", help="buckets; 0 for any", default=[0, 16, 32, 64]
    )
    parser.add_argument("--padded", action="store_true", help="compute on padding too")
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
        near = chosen(data.source, length)
        if len(near) < SIZE:
            print(f"\nfewer than {SIZE} rows of {length} tokens; left out")
            continue
        inputs, targets = data.source.take(near)
        room = math.ceil(inputs["mask"].sum() / SIZE)
        if not given.padded:
            inputs["room"] = np.zeros((SIZE, room), bool)
        batch = jax.tree.map(jnp.asarray, jr.Batch(inputs, targets, np.ones(SIZE, np.float32)))
        runs = {
            OURS: ours(found, batch, given.updates),
            "torch eager, transformers": torch_eager(given.encoder, batch, given.updates),
        }
        seconds = contest(runs, given.rounds)
        what = f"up to {length} tokens" if length else "any length"
        width = inputs["mask"].shape[1] if given.padded else room
        print(
            f"\nMiniLM-L6 classifier, {SIZE} sentences of {what}: {inputs['mask'].sum()} tokens, "
            f"{SIZE} x {longest(inputs)} in torch, {SIZE} x {width} in jrecipe\n"
        )
        print("\n".join(rows(seconds, OURS)))
        if given.save:
            wanted = {"torch eager, transformers": 1.4}
            save(
                given.save / f"finetune-{length}.json",
                f"fine-tuning update, {what}",
                ratios(seconds, OURS),
                wanted,
            )


if __name__ == "__main__":
    main()
