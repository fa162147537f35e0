"""How alike are two sentences, before and after fine-tuning (STS-B)?

Question: Spearman's correlation on the test split of the cosine of mean-pooled vectors of a
pre-trained MiniLM encoder, as loaded and fine-tuned on 5,749 scored pairs. Wanted: at least 85.0,
against 82.0 before.

Data: `train`, `dev` and `test.jsonl.gz` with "s1", "s2" and "score" in 0 to 5.

Command: python experiments/finetune_stsb.py --data DIR --encoder DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse

import numpy as np

import jrecipe as jr
from jrecipe import finetune


def main() -> None:
    """Scores, fine-tunes over seeds, scores again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train, dev, test.jsonl.gz")
    parser.add_argument("--encoder", required=True, help="folder of public weights")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    found, splits = finetune.load_pretrained(options.encoder), finetune.read_splits(options.data)
    kind = finetune.Similar()
    tokenizer = finetune.read_tokenizer(found)
    test = kind.read(splits["test"], tokenizer)
    body = {name: part for name, part in found.params.items() if name != "pooler"}
    network = kind.network(found.module, ())
    before = finetune.Predictor(kind, (), network, {"encoder": body}, tokenizer, found)
    print(f"before: {before.score(test)}")
    spearman = []
    for seed in range(options.seeds):
        plan = finetune.Plan(rate=options.rate, epochs=options.epochs, seed=seed)
        tuned = finetune.fine_tune(kind, found, splits["train"], splits["val"], plan)
        scores = tuned.predictor.score(test)
        spearman.append(scores.spearman)
        print(f"seed {seed}: {scores}; dev {tuned.headline:.4f}, {tuned.fit.seconds:.0f} s")
    print(
        f"after: {100 * np.mean(spearman):.2f} over {options.seeds} seeds, jrecipe {jr.__version__}"
    )


if __name__ == "__main__":
    main()
