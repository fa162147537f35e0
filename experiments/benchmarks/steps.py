"""How fast is one update of a middling network, beside torch?

Question: time of one whole update (forward, backward, AdamW), in float32 or bfloat16 (torch's by
autocast) with float32 weights: of jrecipe's train step on one CPU device and over `--devices`
virtual ones, of torch eager, and of torch.compile where it can be built. In turns, each in a
process of its own (which imports both frameworks); each net has as many parameters in both, which
is asserted. BERT: 6 layers of 384, 64 tokens, batch 16; the convolutional nets: 32x32, batch 128.

Command: python experiments/benchmarks/steps.py --net bert --rounds 5   (or conv6, resnet20)
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import nets
import numpy as np
import optax
import torch
from apart import Apart, answer
from contest import Run, contest, ratios, readable, rows, save, updating

import jrecipe as jr
from jrecipe.models import as_model

NETS = {
    "conv6": (nets.Conv6, nets.TorchConv6, 128),
    "resnet20": (nets.ResNet20, nets.TorchResNet20, 128),
    "bert": (nets.Bert, nets.TorchBert, 16),
}
TITLES = {
    "conv6": "6 convolutions 64..256, batch 128",
    "resnet20": "ResNet-20, BatchNorm, batch 128",
    "bert": "BERT 6x384, 64 tokens, batch 16",
}
WANTED = {"conv6": 0.75, "resnet20": 0.6, "bert": 1.45}  # jrecipe's best over torch eager
UPDATES = 5  # that one turn takes


def batch_for(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random inputs, channels last, and labels."""
    rng = np.random.default_rng(0)
    if name == "bert":
        tokens = rng.integers(0, nets.VOCABULARY, (size, nets.LENGTH))
        return tokens.astype(np.int32), rng.integers(0, 2, size).astype(np.int32)
    pictures = rng.normal(size=(size, 32, 32, 3)).astype(np.float32)
    return pictures, rng.integers(0, 10, size).astype(np.int32)


def with_jrecipe(name: str, devices: int, precision: str) -> tuple[Run, int]:
    """Returns the run of jrecipe's step, and its number of parameters."""
    module, _, size = NETS[name]
    x, y = batch_for(name, size)
    model, tx = as_model(module()), optax.adamw(1e-3)
    if precision != "float32":
        model = jr.models.in_precision(model, precision)
    loss_fn = jr.train.make_loss_fn(model, jr.losses.softmax_cross_entropy())
    layout = jr.train.Layout(tuple(jax.devices()[:devices]))
    step = layout.compile(layout.inside(jr.make_train_step(loss_fn, tx)), 0)
    batch = layout.spread(jr.Batch(jnp.asarray(x), jnp.asarray(y), jnp.ones(size)))
    init = jax.jit(lambda key: jr.train.create_state(model, tx, x, key))
    state = layout.place(init(jax.random.key(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return updating(step, state, batch, UPDATES), count


def with_torch(name: str, compiled: bool, precision: str) -> tuple[Run, int]:
    """Returns the run of torch's step, and its number of parameters."""
    _, module, size = NETS[name]
    x, y = batch_for(name, size)
    inputs = torch.from_numpy(x if name == "bert" else np.moveaxis(x, -1, 1).copy())
    targets = torch.from_numpy(y.astype(np.int64))
    model = module()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    forward = torch.compile(model) if compiled else model

    def run() -> float:
        start = time.perf_counter()
        for _ in range(UPDATES):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = torch.nn.functional.cross_entropy(forward(inputs), targets)
            loss.backward()
            optimizer.step()
            loss.item()
        return (time.perf_counter() - start) / UPDATES

    return run, sum(leaf.numel() for leaf in model.parameters())


def compete(given: argparse.Namespace) -> None:
    """Is one contestant: answers each line with a turn."""
    if given.keep_memory and not jr.train.keep_memory():
        raise SystemExit("--keep-memory needs glibc")
    if given.contestant.startswith("torch"):
        found = with_torch(given.net, given.contestant == "torch.compile", given.precision)
    else:
        jax.config.update("jax_num_cpu_devices", given.devices)
        found = with_jrecipe(given.net, given.devices, given.precision)
    answer(*found)


def command(given: argparse.Namespace, contestant: str, devices: int) -> list[str]:
    """Returns the command of the process of a contestant."""
    words = [sys.executable, __file__, "--net", given.net, "--precision", given.precision]
    words += ["--contestant", contestant, "--devices", str(devices)]
    return words + ["--keep-memory"] * given.keep_memory


def details(entries: dict[str, Apart], seconds: dict[str, list[float]]) -> list[str]:
    """Returns a table row per contestant: what it compiled and the memory of its process."""
    lines = ["| contestant | its first turn took more | most memory |", "| --- | --- | --- |"]
    for name, entry in entries.items():
        compiling = entry.first_seconds - UPDATES * statistics.median(seconds[name])
        lines.append(f"| {name} | {readable(compiling)} | {entry.memory:.0f} MiB |")
    return lines


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--net", choices=[*NETS], required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--devices", type=int, default=4, help="virtual CPU devices; 1 for none")
    parser.add_argument("--torch-compile", action="store_true")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--json", type=Path, help="file for the ratios of torch to jrecipe's best")
    parser.add_argument(
        "--keep-memory",
        action="store_true",
        help="keep freed memory in the process, for all contestants: see jr.train.keep_memory",
    )
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contestant is not None:
        compete(given)
        return
    commands = {"jrecipe, one device": command(given, "jrecipe", 1)}
    if given.devices > 1:
        name = f"jrecipe, {given.devices} virtual devices"
        commands[name] = command(given, "jrecipe", given.devices)
    commands["torch, eager"] = command(given, "torch", 1)
    if given.torch_compile:
        commands["torch.compile"] = command(given, "torch.compile", 1)
    with contextlib.ExitStack() as stack:
        entries = {name: stack.enter_context(Apart(words)) for name, words in commands.items()}
        seconds = contest(entries, given.rounds)
    (count,) = {entry.parameters for entry in entries.values()}
    print(f"{given.net}: {count} parameters; torch with {torch.get_num_threads()} threads\n")
    print("\n".join([*rows(seconds, "jrecipe, one device"), "", *details(entries, seconds)]))
    if given.json is not None:
        ours = [name for name in seconds if name.startswith("jrecipe")]
        best = min(ours, key=lambda name: statistics.median(seconds[name]))
        found = {name: r for name, r in ratios(seconds, best).items() if name not in ours}
        title = TITLES[given.net] + (", memory kept" if given.keep_memory else "")
        save(given.json, title, found, {"torch, eager": WANTED[given.net]})


if __name__ == "__main__":
    main()
