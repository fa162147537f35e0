"""Does a CRF find named entities in tweets better than a softmax for each word?

Question: F1 of whole entities on the test split of the Broad Twitter Corpus, after fine-tuning a
pre-trained MiniLM encoder with a linear-chain CRF and with a softmax, everything else equal.
Wanted: at least 55, and the CRF not worse.

Data: `train`, `dev` and `test.jsonl.gz` with "tokens" and "tags" (BIO2 of PER, LOC, ORG):
5,338 / 1,000 / 3,001 tweets. Train, dev and test are other sections, with other shares of names.

Command: python experiments/finetune_btc.py --data DIR --encoder DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse

import numpy as np

import jrecipe as jr
from jrecipe import finetune

HEADS = ("softmax", "CRF")


def main() -> None:
    """Fine-tunes with both heads over seeds and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train, dev, test.jsonl.gz")
    parser.add_argument("--encoder", required=True, help="folder of public weights")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=HEADS)
    options = parser.parse_args()
    jr.train.keep_memory()
    found, splits = finetune.load_pretrained(options.encoder), finetune.read_splits(options.data)
    f1: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        for head in options.heads:
            kind = finetune.Tag(crf=head == "CRF")
            plan = finetune.Plan(rate=options.rate, epochs=options.epochs, seed=seed)
            tuned = finetune.fine_tune(kind, found, splits["train"], splits["val"], plan)
            test = kind.read(splits["test"], tuned.predictor.tokenizer, tuned.predictor.labels)
            scores = tuned.predictor.score(test)
            f1.setdefault(head, []).append(scores.f1)
            print(f"\n{head}, seed {seed}: {tuned.fit.seconds:.0f} s, dev F1 {tuned.headline:.4f}")
            print(scores, flush=True)
            if seed == 0:
                print("\n".join(test.notes))
    print("\n| head | test entity F1, % |\n| --- | --- |")
    for head, values in f1.items():
        print(f"| {head} | {', '.join(f'{100 * value:.1f}' for value in values)} |")
    if len(f1) == len(HEADS):
        gap = 100 * (np.array(f1["CRF"]) - np.array(f1["softmax"]))
        print(f"\nCRF - softmax: {', '.join(f'{each:+.1f}' for each in gap)} points")
    print(f"jrecipe {jr.__version__}, {options.epochs} epochs, rate {options.rate:g}")


if __name__ == "__main__":
    main()
