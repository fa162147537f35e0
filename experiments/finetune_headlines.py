"""Can a small T5 from scratch write headlines of news, from 6,599 of them (AG)?

Question: ROUGE-L on 1,000 news texts, against the first 9 to 16 words of the text as a headline. So
few pairs do not teach a plain T5 that a headline takes up words of its text. One that can point at
what it reads (`T5(copies=True)`) has only to learn which words to take. It may not write a token
twice, and length penalty and number of beams are chosen on rows of training that are held out.

Data: `train` and `dev.jsonl.gz` with "text" and "title".

Command: python experiments/finetune_headlines.py --data DIR
Hardware and results: docs/finetune.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile

import jax
import numpy as np

import jrecipe as jr
from jrecipe import finetune

HELD_OUT = 500  # rows of training by which writing is chosen
LEADS = (9, 12, 14, 16)  # words


def lead(rows: list[dict], words: int) -> list[str]:
    """Returns the first words of each text."""
    return [" ".join(row["text"].split()[:words]) for row in rows]


def of_each(written: list[str], titles: list[str]) -> np.ndarray:
    """Returns ROUGE-L of each row."""
    pairs = zip(written, titles, strict=True)
    return np.array([finetune.summary_scores([text], [title]).rougeL for text, title in pairs])


def drawn(rows: list[dict], options: argparse.Namespace, folder: str) -> finetune.PretrainedText:
    """Returns a T5 with random weights, and a tokenizer of the rows' words."""
    texts = [row[field] for row in rows for field in ("text", "title")]
    words = finetune.train_tokenizer(texts, options.vocabulary, kind="unigram", lowercase=True)
    network = jr.models.T5(
        words.get_vocab_size(),
        width=options.width,
        depth=2,
        heads=4,
        head_width=options.width // 4,
        hidden=2 * options.width,
        dropout=options.dropout,
        copies=not options.plain,
    )
    token = np.ones((1, 1), np.int32)
    inputs = {"ids": token, "mask": token > 0, "decoder_ids": token}
    params = network.init(jax.random.key(options.seed), inputs)["params"]
    finetune.write_pretrained(folder, network, params, words)
    return finetune.load_pretrained(folder)


def best_writing(tuned: finetune.FineTuned, rows: list[dict]) -> finetune.Predictor:
    """Returns the network with the search that gives the highest ROUGE-L on `rows`."""
    titles = [row["title"] for row in rows]
    scores = {}
    for beams, penalty, no_repeat in ((1, 1.0, 0), *itertools.product((1, 4), (1.0, 2.0), (1, 2))):
        if beams == 1 and penalty > 1.0:
            continue  # greedy knows no penalty
        kind = dataclasses.replace(
            tuned.predictor.kind, beams=beams, length_penalty=penalty, no_repeat=no_repeat
        )
        predictor = dataclasses.replace(tuned.predictor, kind=kind)
        written = [answer["answer"] for answer in predictor.answers(rows)]
        scores[predictor] = finetune.summary_scores(written, titles).rougeL
        print(f"  {beams=} {penalty=} {no_repeat=}: {100 * scores[predictor]:.1f} %", flush=True)
    return max(scores, key=scores.__getitem__)


def main() -> None:
    """Trains, chooses how to write, and scores beside the first words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train and dev.jsonl.gz")
    parser.add_argument("--plain", action="store_true", help="a T5 without a pointer")
    parser.add_argument("--vocabulary", type=int, default=4_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--out", help="folder for the network (J9)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    jr.train.keep_memory()
    splits = finetune.read_splits(options.data)
    rows, dev = list(splits["train"]), list(splits["val"])
    held_out, train = rows[:HELD_OUT], rows[HELD_OUT:]
    titles = [row["title"] for row in dev]
    leads = {words: finetune.summary_scores(lead(dev, words), titles) for words in LEADS}
    for words, scores in leads.items():
        print(f"first {words} words: {scores}", flush=True)

    kind = finetune.Summarise(summary="title", max_length=48, summary_length=24, beams=1)
    plan = finetune.Plan(rate=options.rate, epochs=options.epochs, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        found = drawn(train, options, folder)
        tuned = finetune.fine_tune(kind, found, train, held_out, plan)
        print(f"{tuned.fit.seconds:.0f} s, kept: {tuned.kept}; on rows held out:", flush=True)
        predictor = best_writing(tuned, held_out)
        answers = [answer["answer"] for answer in predictor.answers(dev)]
        if options.out:
            predictor.save(options.out)
    print(f"headlines: {finetune.summary_scores(answers, titles)}")
    for i in np.linspace(0, len(dev) - 1, 8).astype(int):
        print(f"- {dev[i]['title']}\n  {answers[i]}")
    best = max(leads, key=lambda words: leads[words].rougeL)
    gain = 100 * (of_each(answers, titles) - of_each(lead(dev, best), titles))
    error = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
    print(
        f"ROUGE-L is {gain.mean():+.1f} ± {error:.1f} points from the first {best} words; "
        f"jrecipe {jr.__version__}"
    )


if __name__ == "__main__":
    main()
