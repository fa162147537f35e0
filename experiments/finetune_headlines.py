"""Can a small T5 from scratch write headlines of news, from 6,599 of them (AG)?

Question: ROUGE on 1,000 news texts, against the first words of the text as a headline. The T5 is
pre-trained on the same texts: first by span corruption, then by writing the first words of each
text, which teaches it to copy. Wanted: ROUGE-L above that of the first words.

Data: `train` and `dev.jsonl.gz` with "text" and "title".

Command: python experiments/finetune_headlines.py --data DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import optax

import jrecipe as jr
from jrecipe import finetune

LEAD = 9  # words


def lead(text: str, words: int = LEAD) -> str:
    """Returns the first words of a text."""
    return " ".join(text.split()[:words])


def main() -> None:
    """Pre-trains, fine-tunes and scores beside the first words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train and dev.jsonl.gz")
    parser.add_argument("--vocabulary", type=int, default=4_000)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--steps", type=int, default=1_000, help="of span corruption")
    parser.add_argument("--copy-epochs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    jr.train.keep_memory()
    splits = finetune.read_splits(options.data)
    train, dev = splits["train"], splits["val"]
    titles = [row["title"] for row in dev]
    base = finetune.summary_scores([lead(row["text"]) for row in dev], titles)
    print(f"first {LEAD} words: {base}", flush=True)

    texts = [row["text"] for row in train] + [row["title"] for row in train]
    words = finetune.train_tokenizer(texts, options.vocabulary, kind="unigram")
    network = jr.models.T5(
        words.get_vocab_size(),
        width=options.width,
        depth=3,
        heads=6,
        head_width=options.width // 6,
        hidden=4 * options.width,
        dropout=0.1,
    )
    rate = jr.train.schedules.linear(options.rate, options.steps, warm_up=0.1)
    task = finetune.pretrain_task(
        [row["text"] for row in train], words, network, optimizer=optax.adamw(rate)
    )
    begun = jr.fit(task, options.steps, seed=options.seed)
    print(f"span corruption: {begun}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        finetune.write_pretrained(folder, network, begun.state.params, words)
        found = finetune.load_pretrained(folder)
        tokenizer = finetune.read_tokenizer(found)
        copied = [{"text": row["text"], "lead": lead(row["text"])} for row in train]
        kept = [{"text": row["text"], "lead": lead(row["text"])} for row in dev]
        kind = finetune.Summarise(summary="lead", max_length=64, beams=1)
        plan = finetune.Plan(rate=options.rate, epochs=options.copy_epochs, seed=options.seed)
        copier = finetune.fine_tune(kind, found, copied, kept, plan, tokenizer=tokenizer)
        print(f"writing the first words: {copier.scores}, {copier.fit.seconds:.0f} s", flush=True)
        again = Path(folder) / "copier"
        copier.predictor.save(again)
        found = finetune.load_pretrained(again)
    kind = finetune.Summarise(summary="title", max_length=64, beams=4)
    plan = finetune.Plan(rate=options.rate, epochs=options.epochs, seed=options.seed)
    tuned = finetune.fine_tune(kind, found, train, dev, plan, tokenizer=tokenizer)
    print(f"headlines: {tuned.scores}, {tuned.fit.seconds:.0f} s, kept: {tuned.kept}")
    rows = [dev[int(i)] for i in np.linspace(0, len(dev) - 1, 5)]
    for row, answer in zip(rows, tuned.predictor.answers(rows), strict=True):
        print(f"- {row['title']}\n  {answer['answer']}")
    gain = 100 * (tuned.scores.rougeL - base.rougeL)
    print(f"ROUGE-L is {gain:+.1f} points from that of the first words; jrecipe {jr.__version__}")


if __name__ == "__main__":
    main()
