"""How fast does a small network train, with everything that a training loop does?

Question: digits MLP 64-128-128-10, batches of 32, Adam, shuffled each epoch: time per update of
whole trainings, the data pipeline included, compilation aside. `jr.fit` evaluates the validation
split at the start and the end on top of that; the others do not. Contestants run in turns in one
process; torch with one thread, which is faster here than two.

Command: python experiments/benchmarks/small_mlp.py --rounds 5   (pip install '.[bench]')
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from contest import Run, contest, ratios, rows, save
from tasks import task_of

import jrecipe as jr
from jrecipe.models import MLP

UPDATES, FEWER = 20_000, 2_000  # of the compiled loops, and of the slow ones
SCANNED = 1_000  # updates of one program of the bare scan
RATE, SIZE = 1e-3, 32


def data() -> tuple[np.ndarray, np.ndarray]:
    """Returns float32[n, 64] and int32[n]."""
    inputs, targets = jr.data.load("digits").train.take(np.arange(1000))
    return np.asarray(inputs, np.float32).reshape(len(inputs), -1), np.asarray(targets, np.int32)


def with_jrecipe(x: np.ndarray, y: np.ndarray) -> Run:
    task = task_of(MLP(10), x, y, SIZE)

    def run() -> float:
        fit = jr.fit(task, UPDATES, eval_every=UPDATES, progress=False)
        return (fit.seconds - fit.compile_seconds) / UPDATES

    return run


def with_bare_scan(x: np.ndarray, y: np.ndarray) -> Run:
    """The least that can be written: scans of 1,000 updates, rows drawn beforehand."""
    model, tx = MLP(10), optax.adam(RATE)
    inputs, targets = jnp.asarray(x), jnp.asarray(y)

    def loss_fn(params, rows):
        logits = model.apply(params, inputs[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets[rows]).mean()

    def step(carry, rows):
        params, opt_state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params, rows)
        updates, opt_state = tx.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), loss

    scan = jax.jit(lambda carry, rows: jax.lax.scan(step, carry, rows), donate_argnums=0)

    def run() -> float:
        params = jax.jit(model.init)(jax.random.key(0), inputs[:2])
        carry = (params, jax.jit(tx.init)(params))
        rng = np.random.default_rng(0)
        start = time.perf_counter()
        order, losses = np.zeros(0, np.int32), []
        for _ in range(UPDATES // SCANNED):
            while len(order) < SCANNED * SIZE:
                epoch = rng.permutation(len(x)).astype(np.int32)
                order = np.concatenate([order, epoch[: len(x) // SIZE * SIZE]])
            now, order = order[: SCANNED * SIZE], order[SCANNED * SIZE :]
            carry, loss = scan(carry, now.reshape(SCANNED, SIZE))
            losses.append(np.asarray(loss))
        return (time.perf_counter() - start) / UPDATES

    return run


def torch_mlp():
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(64, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 10),
    )


def with_torch_loader(x: np.ndarray, y: np.ndarray) -> Run:
    import torch

    inputs, targets = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
    data = torch.utils.data.TensorDataset(inputs, targets)

    def run() -> float:
        model = torch_mlp()
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        loader = torch.utils.data.DataLoader(data, SIZE, shuffle=True, drop_last=True)
        done, start = 0, time.perf_counter()
        while done < FEWER:
            for batch, labels in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(batch), labels).backward()
                optimizer.step()
                done += 1
        return (time.perf_counter() - start) / done

    return run


def with_best_torch(x: np.ndarray, y: np.ndarray) -> Run:
    """The fastest eager loop: rows by index from one permutation, the fused optimiser."""
    import torch

    inputs, targets = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))

    def run() -> float:
        model = torch_mlp()
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
        done, start = 0, time.perf_counter()
        while done < FEWER:
            order = torch.randperm(len(inputs))
            for i in range(0, len(order) - SIZE + 1, SIZE):
                rows = order[i : i + SIZE]
                optimizer.zero_grad(set_to_none=True)
                torch.nn.functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
                optimizer.step()
                done += 1
        return (time.perf_counter() - start) / done

    return run


def with_lightning(x: np.ndarray, y: np.ndarray) -> Run:
    import logging

    import lightning
    import torch

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch_mlp()

        def training_step(self, batch, index):
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=RATE)

    inputs, targets = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
    data = torch.utils.data.TensorDataset(inputs, targets)

    def run() -> float:
        loader = torch.utils.data.DataLoader(data, SIZE, shuffle=True, drop_last=True)
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=FEWER,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = Module()
        start = time.perf_counter()
        trainer.fit(module, loader)
        return (time.perf_counter() - start) / FEWER

    return run


def with_keras(x: np.ndarray, y: np.ndarray) -> Run:
    """Keras on JAX; the model is built and compiled by a first epoch, which is not timed."""
    import keras

    epochs = -(-FEWER * SIZE // len(x))

    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )

    def run() -> float:
        model.fit(x, y, batch_size=SIZE, epochs=1, verbose=0)
        start = time.perf_counter()
        model.fit(x, y, batch_size=SIZE, epochs=epochs, verbose=0)
        return (time.perf_counter() - start) / (epochs * -(-len(x) // SIZE))

    return run


ENTRIES = {
    "`jr.fit`": with_jrecipe,
    "bare JAX scan": with_bare_scan,
    "torch, DataLoader": with_torch_loader,
    "torch, by index, fused": with_best_torch,
    "Lightning": with_lightning,
    "Keras on JAX": with_keras,
}


WANTED = {
    "bare JAX scan": 0.97,
    "torch, DataLoader": 7,
    "torch, by index, fused": 4,
    "Lightning": 9,
    "Keras on JAX": 1.8,
}


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the ratios")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    x, y = data()
    seconds = contest({name: make(x, y) for name, make in ENTRIES.items()}, given.rounds)
    print("\n".join(rows(seconds, "`jr.fit`")))
    if given.json is not None:
        title = "MLP 64-128-128-10, batches of 32"
        save(given.json, title, ratios(seconds, "`jr.fit`"), WANTED)


if __name__ == "__main__":
    main()
