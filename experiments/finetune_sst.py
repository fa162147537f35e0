"""What do fine-tuning strategies cost and give on the sentiment of sentences (SST-2)?

Question: accuracy on the test split, seconds and memory of a pre-trained MiniLM encoder under full
fine-tuning, with its lower half frozen and with gradual unfreezing; and of the same network from
random weights. Each runs in a process of its own, so that its peak memory is its own. Wanted: full
fine-tuning at least 88 %, at least 6 points above random weights; the frozen half at least 1.4
times as fast per update and smaller; gradual unfreezing at most 1 point worse than full.

Data: the sentences of the Stanford Sentiment Treebank with two classes, `train`, `dev` and
`test.jsonl.gz` with "text" and "label" (null for neutral, left out): 6,920 / 872 / 1,821.

Command: python experiments/finetune_sst.py --data DIR --encoder DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np

import jrecipe as jr
from jrecipe import finetune

WAYS = {
    "full": {"rate": 5e-5},
    "freeze-first": {"rate": 5e-5},
    "gradual": {"rate": 1e-4},
    "discriminative": {"rate": 1e-4},
    "lora": {"rate": 1e-3},
    "random weights": {"strategy": "full", "scratch": True, "rate": 5e-5},
}


def run(way: str, data: str, encoder: str, seed: int, epochs: int) -> dict[str, Any]:
    """Fine-tunes once and tests."""
    jr.train.keep_memory()
    kind = finetune.Classify()
    plan = finetune.Plan(**{"strategy": way, **WAYS[way]}, epochs=epochs, seed=seed)
    begun = time.perf_counter()
    found = finetune.load_pretrained(encoder)
    splits = finetune.read_splits(data)
    loading = time.perf_counter() - begun
    tuned = finetune.fine_tune(kind, found, splits["train"], splits["val"], plan)
    test = kind.read(splits["test"], tuned.predictor.tokenizer, tuned.predictor.labels)
    scores = tuned.predictor.score(test)
    state = tuned.fit.state
    size = lambda tree: sum(x.nbytes for x in jax.tree.leaves(tree) if hasattr(x, "nbytes"))  # noqa: E731
    return {
        "way": way,
        "seed": seed,
        "test": scores.accuracy,
        "n": scores.n,
        "val": tuned.headline,
        "kept": tuned.kept,
        "loading": loading,
        "reading": tuned.reading_seconds,
        "seconds": tuned.fit.seconds,
        "compiling": tuned.fit.compile_seconds,
        "updates": tuned.fit.steps,
        "optimizer_mb": size(state.opt_state) / 2**20,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "table": str(scores),
    }


def interval(share: float, n: int) -> float:
    """Returns half the width of the 95 % interval of a share, by its standard error."""
    return 1.96 * math.sqrt(share * (1 - share) / n)


def line(rows: list[dict[str, Any]], full: float) -> str:
    """Returns a row of the table: means over seeds."""
    mean = lambda name: float(np.mean([row[name] for row in rows]))  # noqa: E731
    per_update = 1000 * np.mean([(r["seconds"] - r["compiling"]) / r["updates"] for r in rows])
    test = mean("test")
    return (
        f"| {rows[0]['way']} | {100 * test:.1f} ± {100 * interval(test, rows[0]['n']):.1f} "
        f"| {mean('seconds'):.0f} s | {per_update:.0f} ms | {full / per_update:.2f} "
        f"| {mean('optimizer_mb'):.0f} MB | {mean('peak_mb'):.0f} MB |"
    )


def main() -> None:
    """Runs every strategy in a process of its own and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train, dev, test.jsonl.gz")
    parser.add_argument("--encoder", required=True, help="folder of public weights")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(
            json.dumps(
                run(options.one, options.data, options.encoder, options.seed, options.epochs)
            )
        )
        return
    print(f"jrecipe {jr.__version__}, JAX {jax.__version__}, {jax.devices()[0].device_kind}")
    results: dict[str, list[dict[str, Any]]] = {}
    for way in options.ways:
        for seed in range(options.seeds):
            command = [
                sys.executable,
                __file__,
                "--data",
                options.data,
                "--encoder",
                options.encoder,
            ]
            command += ["--epochs", str(options.epochs), "--one", way, "--seed", str(seed)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row = json.loads(said.splitlines()[-1])
            results.setdefault(way, []).append(row)
            print(
                f"{way}, seed {seed}: test {100 * row['test']:.2f} %, val {100 * row['val']:.2f} % "
                f"({row['kept']}), {row['seconds']:.0f} s, {row['compiling']:.0f} s compiling; "
                f"loading {row['loading']:.1f} s, tokenising {row['reading']:.1f} s",
                flush=True,
            )
    print(results[options.ways[0]][0]["table"])
    first = results[options.ways[0]]
    full = 1000 * np.mean([(r["seconds"] - r["compiling"]) / r["updates"] for r in first])
    print(
        "| strategy | test accuracy, % | training | update | speed | optimiser state "
        "| peak memory |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rows in results.values():
        print(line(rows, float(full)))


if __name__ == "__main__":
    main()
