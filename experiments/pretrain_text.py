"""Is it worth pre-training a small BERT on one's own texts, where few of them have labels (D5)?

Question: a BERT of width 128 and depth 2 finds hidden words of all training texts again, without
their labels; then it is fine-tuned to tell the topic of a text from few labelled ones. How much
more accurate is it than the same network from random weights, on texts that neither has seen?
Everything else is the same, seed by seed: labelled texts, head, order, updates. One pre-training
serves all seeds. Accuracies are those of the last state; nothing was chosen on the texts that
judge.

Command: python experiments/pretrain_text.py --texts ag_headlines/train.jsonl.gz \
    --judge ag_headlines/dev.jsonl.gz
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optax

import jrecipe as jr
from jrecipe.finetune.pretraining import pretrain_task, write_pretrained
from jrecipe.finetune.train_tokenizer import train_tokenizer
from jrecipe.rungs import Scores, compare


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much to train.

    Attributes:
      vocabulary: tokens.
      width: of the network.
      depth: of the network.
      length: tokens of a row, and most of a text.
      steps: of pre-training, in batches of 32 rows.
      rate: of pre-training, at its highest.
      tune_steps: of fine-tuning, in batches of 16 texts.
      tune_rate: of fine-tuning, at its highest.
    """

    vocabulary: int = 3_000
    width: int = 128
    depth: int = 2
    length: int = 64
    steps: int = 1_500
    rate: float = 2e-3
    tune_steps: int = 200
    tune_rate: float = 1e-3


SCALES = {
    "smoke": Scale(vocabulary=300, width=16, depth=1, length=16, steps=3, tune_steps=3),
    "cpu": Scale(),
}


def read(path: Path, field: str, label: str) -> tuple[list[str], np.ndarray]:
    """Returns the texts of a .jsonl or .jsonl.gz, and their labels int32[n].

    Raises:
      TaskError: if the file is missing, or a row lacks a field.
    """
    if not path.is_file():
        raise jr.TaskError(f"there is no {path}; give a file of JSON lines.")
    stored = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [json.loads(line) for line in stored.decode().splitlines() if line.strip()]
    lacking = [i for i, row in enumerate(rows) if field not in row or label not in row]
    if lacking:
        raise jr.TaskError(f"{path} has no {field!r} or no {label!r} in line {lacking[0] + 1}.")
    return [row[field] for row in rows], np.array([row[label] for row in rows], np.int32)


def padded(texts: Sequence[str], tokenizer: Any, length: int) -> dict[str, np.ndarray]:
    """Returns `{"ids": int32[n, length], "mask": bool[n, length]}`; longer texts are cut."""
    ids = np.zeros((len(texts), length), np.int32)
    for row, encoding in enumerate(tokenizer.encode_batch(list(texts))):
        kept = encoding.ids[:length]
        ids[row, : len(kept)] = kept
    return {"ids": ids, "mask": ids > 0}


def decayed(rate: float, steps: int) -> optax.GradientTransformation:
    """Returns AdamW with a tenth of warm-up and a line to 0."""
    return optax.adamw(jr.train.schedules.linear(rate, steps, warm_up=0.1), weight_decay=0.01)


def pretrained(texts: Sequence[str], scale: Scale, folder: Path) -> None:
    """Pre-trains a network on texts and writes it with its tokenizer; prints its losses."""
    start = time.perf_counter()
    tokenizer = train_tokenizer(texts, scale.vocabulary)
    encoder = jr.models.Bert(
        tokenizer.get_vocab_size(),
        width=scale.width,
        depth=scale.depth,
        heads=max(1, scale.width // 64),
        hidden=4 * scale.width,
        length=scale.length,
    )
    task = pretrain_task(
        texts,
        tokenizer,
        encoder,
        length=scale.length,
        optimizer=decayed(scale.rate, scale.steps),
    )
    inputs, _ = task.train.take(np.arange(len(task.train)))
    shares = np.bincount(inputs["ids"][inputs["mask"]]) / inputs["mask"].sum()
    entropy = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    fit = jr.fit(task, scale.steps, progress=False)
    if fit.problem:
        raise jr.TaskError(f"pre-training went wrong: {fit}; start it again, or give a lower rate.")
    write_pretrained(folder, encoder, fit.state.params, tokenizer)
    losses = " ".join(f"{loss:.2f}" for loss in fit.history["val_loss"])
    print(
        f"{len(task.train)} rows, {inputs['mask'].sum():,} tokens, entropy of single tokens "
        f"{entropy:.2f} nats; validation loss {losses}; "
        f"{fit.steps} updates, {time.perf_counter() - start:.0f} s",
        flush=True,
    )


def tuned(
    found: jr.finetune.PretrainedText,
    start: bool,
    few: list[tuple[Any, np.ndarray]],
    judge: tuple[Any, np.ndarray],
    scale: Scale,
) -> Scores:
    """Returns the accuracies of a classifier, fine-tuned on each of the few labelled sets.

    Args:
      found: the network; its weights too, if `start`.
      start: from these weights, or else from random ones.
      few: labelled texts of each seed.
      judge: the texts that judge.
      scale: how much to train.
    """
    begun = time.perf_counter()
    net = jr.models.TextClassifier(found.module, int(judge[1].max()) + 1, pool="mean")
    fits = []
    for seed, train in enumerate(few):
        task = jr.Task(
            model=jr.finetune.start_from(net, found) if start else net,
            loss=jr.losses.softmax_cross_entropy(),
            train=train,
            val=judge,
            optimizer=decayed(scale.tune_rate, scale.tune_steps),
            batch_size=16,
        )
        steps = scale.tune_steps
        fits.append(jr.fit(task, steps, seed=seed, eval_every=steps, progress=False))
    on_train, on_val = ([fit.evaluate(s, best=False) for fit in fits] for s in ("train", "val"))
    return Scores(
        seeds=tuple(range(len(few))),
        steps=scale.tune_steps,
        val=np.stack([one.metric_values for one in on_val]).astype(np.float64),
        weights=on_val[0].metric_weights.astype(np.float64),
        train=np.array([one.metric for one in on_train]),
        val_loss=np.array([one.loss for one in on_val]),
        train_loss=np.array([one.loss for one in on_train]),
        seconds=time.perf_counter() - begun,
    )


def run(
    texts: Sequence[str],
    labels: np.ndarray,
    judge: tuple[Sequence[str], np.ndarray],
    labelled: int,
    seeds: int,
    scale: Scale,
) -> str:
    """Returns the table, with the paired difference below it."""
    with tempfile.TemporaryDirectory() as name:
        pretrained(texts, scale, Path(name))
        found = jr.finetune.load_pretrained(name)
        tokenizer = train_tokenizer(texts, scale.vocabulary)
    few = []
    for seed in range(seeds):
        (rows,) = jr.data.stratified_split(labels, (labelled / len(labels),), seed)
        few.append((padded([texts[row] for row in rows], tokenizer, scale.length), labels[rows]))
    judged = padded(judge[0], tokenizer, scale.length), judge[1]
    lines = ["| start | accuracy, % | each seed | loss | s |", "| --- | --- | --- | --- | --- |"]
    arms = {"random weights": False, "pre-trained": True}
    scores = {name: tuned(found, start, few, judged, scale) for name, start in arms.items()}
    for name, one in scores.items():
        each = " ".join(f"{100 * value:.1f}" for value in one.val_mean)
        lines.append(
            f"| {name} | {100 * one.val_mean.mean():.1f} | {each} | {one.val_loss.mean():.2f} | "
            f"{one.seconds:.0f} |"
        )
    found_gain = compare(*scores.values())
    gain, low, high = (100 * x for x in (found_gain.gain, found_gain.low, found_gain.high))
    return "\n".join([*lines, "", f"{gain:+.1f} points ({low:+.1f} to {high:+.1f})"])


def main() -> None:
    """Prints the course of pre-training, the table and the difference."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with text and label")
    parser.add_argument("--judge", type=Path, required=True, help="other ones, to judge on")
    parser.add_argument("--field", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--labelled", type=int, default=500, help="texts whose labels are used")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", choices=[*SCALES], default="cpu")
    for field in dataclasses.fields(Scale):
        kind = float if field.name.endswith("rate") else int
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind)
    given = parser.parse_args()
    changed = {f.name: getattr(given, f.name) for f in dataclasses.fields(Scale)}
    changed = {name: value for name, value in changed.items() if value is not None}
    scale = dataclasses.replace(SCALES[given.scale], **changed)
    try:
        texts, labels = read(given.texts, given.field, given.label)
        judge = read(given.judge, given.field, given.label)
        print(f"\n{run(texts, labels, judge, given.labelled, given.seeds, scale)}")
    except jr.TaskError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
