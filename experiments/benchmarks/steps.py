"""How fast is one update of a middling network, beside torch?

Question: time of one whole update (forward, backward, AdamW), in float32 or bfloat16 (torch's by
autocast) with float32 weights: of jrecipe's train step on one CPU device and over `--devices`
virtual ones, of torch eager, and of torch.compile where it can be built. In turns, in one process;
each net has as many parameters in both frameworks, which is asserted. BERT: 6 layers of 384, 64
tokens, batch 16; the convolutional nets: 32x32, batch 128.

Command: python experiments/benchmarks/steps.py --net bert --rounds 5   (or conv6, resnet20)
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import nets
import numpy as np
import optax
import torch
from contest import Run, contest, ratios, rows, save

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


def with_jrecipe(name: str, devices: int, counts: list[int], precision: str = "float32") -> Run:
    """Returns the run of jrecipe's step; notes its number of parameters in `counts`."""
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
    held = [layout.place(init(jax.random.key(0)))]
    counts.append(sum(leaf.size for leaf in jax.tree.leaves(held[0].params)))

    def run() -> float:
        start = time.perf_counter()
        for _ in range(UPDATES):
            held[0], metrics = step(held[0], batch)
        float(metrics["loss"])
        return (time.perf_counter() - start) / UPDATES

    return run


def with_torch(name: str, compiled: bool, counts: list[int], precision: str = "float32") -> Run:
    """Returns the run of torch's step."""
    _, module, size = NETS[name]
    x, y = batch_for(name, size)
    inputs = torch.from_numpy(x if name == "bert" else np.moveaxis(x, -1, 1).copy())
    targets = torch.from_numpy(y.astype(np.int64))
    model = module()
    counts.append(sum(leaf.numel() for leaf in model.parameters()))
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

    return run


def main() -> None:
    """Prints one table."""
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
    given = parser.parse_args()
    if given.keep_memory and not jr.train.keep_memory():
        parser.error("--keep-memory needs glibc")
    jax.config.update("jax_num_cpu_devices", given.devices)
    counts: list[int] = []
    entries = {"jrecipe, one device": with_jrecipe(given.net, 1, counts, given.precision)}
    if given.devices > 1:
        name = f"jrecipe, {given.devices} virtual devices"
        entries[name] = with_jrecipe(given.net, given.devices, counts, given.precision)
    entries["torch, eager"] = with_torch(given.net, False, counts, given.precision)
    if given.torch_compile:
        entries["torch.compile"] = with_torch(given.net, True, counts, given.precision)
    assert len(set(counts)) == 1, counts
    print(f"{given.net}: {counts[0]} parameters; torch with {torch.get_num_threads()} threads\n")
    seconds = contest(entries, given.rounds)
    print("\n".join(rows(seconds, "jrecipe, one device")))
    if given.json is not None:
        ours = [name for name in seconds if name.startswith("jrecipe")]
        best = min(ours, key=lambda name: statistics.median(seconds[name]))
        found = {name: r for name, r in ratios(seconds, best).items() if name not in ours}
        title = TITLES[given.net] + (", memory kept" if given.keep_memory else "")
        save(given.json, title, found, {"torch, eager": WANTED[given.net]})


if __name__ == "__main__":
    main()
