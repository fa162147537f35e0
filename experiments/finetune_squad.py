"""How well does a small encoder answer questions after 7,845 examples (a tenth of SQuAD)?

Question: F1 and exact match on questions about articles that training did not see, after
fine-tuning a pre-trained MiniLM encoder; long passages are read in windows that overlap. Wanted: at
least 55 F1 and 42 exact match.

Data: `train` and `dev.jsonl.gz` with "context", "question" and "answers" (text and start): 7,845
and 1,397 questions.

Command: python experiments/finetune_squad.py --data DIR --encoder DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse

import jrecipe as jr
from jrecipe import finetune


def main() -> None:
    """Fine-tunes and scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train and dev.jsonl.gz")
    parser.add_argument("--encoder", required=True, help="folder of public weights")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found, splits = finetune.load_pretrained(options.encoder), finetune.read_splits(options.data)
    kind = finetune.Answer(max_length=options.max_length)
    plan = finetune.Plan(rate=options.rate, epochs=options.epochs, seed=options.seed)
    tuned = finetune.fine_tune(kind, found, splits["train"], splits["val"], plan)
    print("\n".join(f"training: {note}" for note in tuned.train.notes))
    print(f"dev: {tuned.scores}")
    print(
        f"{len(tuned.train.source):,} windows, {tuned.fit.steps} updates in "
        f"{tuned.fit.seconds:.0f} s; tokenising {tuned.reading_seconds:.0f} s; kept: {tuned.kept}; "
        f"jrecipe {jr.__version__}"
    )


if __name__ == "__main__":
    main()
