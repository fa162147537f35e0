"""Can a small T5 from scratch write headlines of news, from 6,599 of them (AG)?

Question: ROUGE on 1,000 news texts, against the first words of the text as a headline. 6,599 pairs
are too few to learn from that a headline takes up words of its text: so the T5 first learns to copy
tokens drawn at random, where no knowledge of language helps, then to write the first words of each
text, in its own order and in another, then headlines. It reads the first 32 tokens. Wanted: ROUGE-L
above that of the first words.

Data: `train` and `dev.jsonl.gz` with "text" and "title".

Command: python experiments/finetune_headlines.py --data DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import optax

import jrecipe as jr
from jrecipe import finetune

LEAD = 9  # words
COPIED = 12  # random tokens
READ = 32  # tokens of a text


def lead(text: str, words: int = LEAD) -> str:
    """Returns the first words of a text."""
    return " ".join(text.split()[:words])


def leads(texts: list[str], seed: int) -> list[dict[str, str]]:
    """Returns texts and their first words, each also with its words in another order.

    What comes first is then no matter of language, but has to be read off the text.
    """
    rng = np.random.default_rng(seed)
    shuffled = [" ".join(rng.permutation(text.split())) for text in texts]
    return [{"text": text, "lead": lead(text)} for text in (*texts, *shuffled)]


def copying(words: Any, rows: int, seed: int) -> tuple[dict, np.ndarray]:
    """Returns rows of 3 to 12 random tokens and the end token, as inputs and as targets."""
    rng = np.random.default_rng(seed)
    pad, end = words.token_to_id("<pad>"), words.token_to_id("</s>")
    ids = rng.integers(end + 2, words.get_vocab_size(), (rows, COPIED + 1)).astype(np.int32)
    last, place = rng.integers(3, COPIED + 1, (rows, 1)), np.arange(COPIED + 1)
    ids = np.where(place < last, ids, np.where(place == last, end, pad)).astype(np.int32)
    decoder = np.concatenate([np.full((rows, 1), pad, np.int32), ids[:, :-1]], axis=1)
    return {"ids": ids, "mask": place <= last, "decoder_ids": decoder}, ids


def main() -> None:
    """Teaches copying, fine-tunes and scores beside the first words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train and dev.jsonl.gz")
    parser.add_argument("--vocabulary", type=int, default=4_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1_000, help="of copying random tokens")
    parser.add_argument("--copy-epochs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-4, help="of headlines")
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
        depth=2,
        heads=4,
        head_width=options.width // 4,
        hidden=2 * options.width,
        dropout=0.1,
    )
    task = jr.Task(
        model=network,
        loss=jr.losses.token_cross_entropy(pad=words.token_to_id("<pad>")),
        train=copying(words, 128 * options.steps, options.seed),
        val=copying(words, 512, options.seed + 1),
        optimizer=optax.adamw(jr.train.schedules.linear(2e-3, options.steps, warm_up=0.15)),
        batch_size=128,
    )
    begun = jr.fit(task, options.steps, seed=options.seed)
    print(f"copying random tokens: {begun}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        finetune.write_pretrained(folder, network, begun.state.params, words)
        found = finetune.load_pretrained(folder)
        tokenizer = finetune.read_tokenizer(found)
        copied = leads([row["text"] for row in train], options.seed)
        kept = [{"text": row["text"], "lead": lead(row["text"])} for row in dev]
        kind = finetune.Summarise(summary="lead", max_length=READ, beams=1)
        plan = finetune.Plan(rate=1e-3, epochs=options.copy_epochs, seed=options.seed)
        copier = finetune.fine_tune(kind, found, copied, kept, plan, tokenizer=tokenizer)
        print(f"writing the first words: {copier.scores}, {copier.fit.seconds:.0f} s", flush=True)
        again = Path(folder) / "copier"
        copier.predictor.save(again)
        found = finetune.load_pretrained(again)
    kind = finetune.Summarise(summary="title", max_length=READ, beams=4)
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
