"""Which share of a card's matmul rate do whole training steps of ResNet-50 and BERT-base reach?

Question: operations per second of an update (forward, backward, optimiser) by jrecipe's train step
in bfloat16 on float32 weights, over the best rate of large square bfloat16 products on the same
card; beside torch.compile (autocast to bfloat16, ResNet-50 channels last) where torch with CUDA is
at hand. In turns, in one process; the nets have as many parameters in both, which is asserted.

ResNet-50: He et al., 2016, with the stride in the 3x3 convolutions, 224 x 224, batch 128, SGD with
momentum. BERT-base: Devlin et al., 2019, 12 x 768, 128 tokens, batch 64, AdamW, classifies the
first token; no dropout, no segments.

Operations: 2 per multiply and add of the forward pass's matrix products and convolutions, counted
in its jaxpr, times 3, since the backward pass has two products for each. Nothing else counts, so
norms, the optimiser and BERT's table of words lower the share. By that ResNet-50 takes 24.5 GFLOP a
picture, BERT-base 67 GFLOP a text.

Command: python experiments/benchmarks/matmul_share.py --rounds 7   (--smoke: tiny, anywhere)
Hardware and results: none yet, no GPU at hand: not measured.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import statistics
import time
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from contest import Run, contest, updating

import jrecipe as jr
from jrecipe.models import as_model, in_precision

UPDATES = 10  # that one turn takes
PRODUCTS = 10  # that one timing of the peak takes
SIZES, SMOKE_SIZES = (4096, 8192, 12288, 16384), (128, 256)


class ResNet(nn.Module):
    """Bottleneck blocks; the defaults are ResNet-50's.

    Attributes:
      stages: blocks of each.
      width: channels of the first stage's inner convolutions.
      classes: outputs.
    """

    stages: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000

    @nn.compact
    def __call__(self, x, train: bool):
        conv = functools.partial(nn.Conv, use_bias=False)

        def norm(x):
            return nn.BatchNorm(use_running_average=not train)(x)

        x = nn.relu(norm(conv(self.width, (7, 7), 2, padding=3)(x)))
        x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for stage, blocks in enumerate(self.stages):
            width = self.width * 2**stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                y = nn.relu(norm(conv(width, (1, 1))(x)))
                y = nn.relu(norm(conv(width, (3, 3), stride, padding=1)(y)))
                y = norm(conv(4 * width, (1, 1))(y))
                x = x if block else norm(conv(4 * width, (1, 1), stride)(x))
                x = nn.relu(x + y)
        return nn.Dense(self.classes)(x.mean(axis=(1, 2)))


class Bert(nn.Module):
    """An encoder; the defaults are BERT-base's.

    Attributes:
      layers: blocks of attention and dense layers.
      width: numbers per token.
      heads: of the attention.
      words: in the vocabulary.
      length: tokens of a text.
    """

    layers: int = 12
    width: int = 768
    heads: int = 12
    words: int = 30522
    length: int = 128

    @nn.compact
    def __call__(self, tokens):
        places = nn.Embed(self.length, self.width)(jnp.arange(self.length))
        x = nn.LayerNorm()(nn.Embed(self.words, self.width)(tokens) + places[None])
        for _ in range(self.layers):
            per_head = (self.heads, self.width // self.heads)
            q, k, v = (nn.DenseGeneral(per_head)(x) for _ in range(3))
            y = nn.DenseGeneral(self.width, axis=(-2, -1))(jax.nn.dot_product_attention(q, k, v))
            x = nn.LayerNorm()(x + y)
            y = nn.gelu(nn.Dense(4 * self.width)(x), approximate=False)
            x = nn.LayerNorm()(x + nn.Dense(self.width)(y))
        return nn.Dense(2)(jnp.tanh(nn.Dense(self.width)(x[:, 0])))


def torch_resnet(net: ResNet) -> Any:
    """Returns the same network in torch, which need not be there to import this file."""
    from torch import nn as tnn
    from torch.nn import functional as F

    def conv(inputs: int, outputs: int, side: int, stride: int = 1) -> list[Any]:
        layer = tnn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)
        return [layer, tnn.BatchNorm2d(outputs)]

    class Block(tnn.Module):
        def __init__(self, inputs: int, width: int, stride: int, first: bool):
            super().__init__()
            inner = [*conv(inputs, width, 1), tnn.ReLU(), *conv(width, width, 3, stride)]
            self.long = tnn.Sequential(*inner, tnn.ReLU(), *conv(width, 4 * width, 1))
            short = conv(inputs, 4 * width, 1, stride) if first else []
            self.short = tnn.Sequential(*short)

        def forward(self, x: Any) -> Any:
            return F.relu(self.long(x) + self.short(x))

    layers = [*conv(3, net.width, 7, 2), tnn.ReLU(), tnn.MaxPool2d(3, 2, padding=1)]
    channels = net.width
    for stage, blocks in enumerate(net.stages):
        width = net.width * 2**stage
        for block in range(blocks):
            layers.append(Block(channels, width, 2 if stage and not block else 1, not block))
            channels = 4 * width
    head = tnn.Linear(channels, net.classes)
    return tnn.Sequential(*layers, tnn.AdaptiveAvgPool2d(1), tnn.Flatten(), head)


def torch_bert(net: Bert) -> Any:
    """Returns the same network in torch."""
    import torch
    from torch import nn as tnn

    class Encoder(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = tnn.Embedding(net.words, net.width)
            self.places = tnn.Embedding(net.length, net.width)
            self.norm = tnn.LayerNorm(net.width)
            sizes = (net.width, net.heads, 4 * net.width)
            self.layers = tnn.Sequential(
                *(
                    tnn.TransformerEncoderLayer(*sizes, 0.0, activation="gelu", batch_first=True)
                    for _ in range(net.layers)
                )
            )
            self.pool, self.head = tnn.Linear(net.width, net.width), tnn.Linear(net.width, 2)

        def forward(self, tokens: Any) -> Any:
            places = self.places(torch.arange(net.length, device=tokens.device))
            x = self.layers(self.norm(self.words(tokens) + places))
            return self.head(torch.tanh(self.pool(x[:, 0])))

    return Encoder()


class Entry(NamedTuple):
    """A network and a batch of its size: inputs, channels last, and classes int32[b]."""

    net: Any
    x: np.ndarray
    y: np.ndarray

    @property
    def pictures(self) -> bool:
        """Whether the inputs are pictures and not tokens."""
        return self.x.ndim == 4


def entries(smoke: bool) -> dict[str, Entry]:
    """Returns the networks by name, tiny ones for a smoke run."""
    rng = np.random.default_rng(0)
    resnet = ResNet((1, 1, 1, 1), 8, 10) if smoke else ResNet()
    bert = Bert(2, 32, 2, 100, 16) if smoke else Bert()
    batch, side, texts = (2, 32, 2) if smoke else (128, 224, 64)
    pictures = rng.normal(size=(batch, side, side, 3)).astype(np.float32)
    tokens = rng.integers(0, bert.words, (texts, bert.length)).astype(np.int32)
    return {
        "ResNet-50": Entry(resnet, pictures, rng.integers(0, resnet.classes, batch, np.int32)),
        "BERT-base": Entry(bert, tokens, rng.integers(0, 2, texts, np.int32)),
    }


def product_flops(function: Any, *arrays: Any) -> int:
    """Returns the operations of all matrix products and convolutions of a function.

    Args:
      function: of JAX, without loops, whose bodies would count once.
      *arrays: its arguments, or their shapes (`jax.eval_shape`).

    Example:
      >>> product_flops(jnp.matmul, jnp.ones((2, 3)), jnp.ones((3, 5)))
      60
    """
    return _products(jax.make_jaxpr(function)(*arrays).jaxpr)


def _products(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        given, size = equation.params, equation.outvars[0].aval.size
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = given["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * size * math.prod(left[axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel, outputs = equation.invars[1].aval, given["dimension_numbers"].rhs_spec[0]
            total += 2 * size * kernel.size // kernel.shape[outputs]
        inner = (getattr(each, "jaxpr", each) for each in jax.tree.leaves([*given.values()]))
        total += sum(_products(each) for each in inner if hasattr(each, "eqns"))
    return total


def step_flops(entry: Entry) -> int:
    """Returns the operations of one update: three times those of the forward pass."""
    model = as_model(entry.net)
    params, state = jax.eval_shape(lambda key: model.init(key, entry.x), jax.random.key(0))
    forward = functools.partial(model.apply, train=True)
    return 3 * product_flops(forward, params, state, entry.x)


def matmul_peak(sizes: tuple[int, ...]) -> tuple[float, int]:
    """Returns the best operations per second of n x n bfloat16 products, and its n of `sizes`."""
    product = jax.jit(jnp.matmul)
    best = (0.0, 0)
    for n in sizes:
        # Of normal numbers: a card is faster at zeros, which draw less power.
        a, b = jax.random.normal(jax.random.key(n), (2, n, n), jnp.bfloat16)
        product(a, b).block_until_ready()
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(PRODUCTS):
                last = product(a, b)
            last.block_until_ready()
            seconds = (time.perf_counter() - start) / PRODUCTS
            best = max(best, (2 * n**3 / seconds, n))
    return best


def with_jrecipe(entry: Entry, counts: list[int]) -> Run:
    """Returns the run of jrecipe's step; notes its number of parameters in `counts`."""
    model = in_precision(as_model(entry.net), "bfloat16")
    tx = optax.sgd(0.1, momentum=0.9) if entry.pictures else optax.adamw(1e-4)
    loss_fn = jr.train.make_loss_fn(model, jr.losses.softmax_cross_entropy())
    step = jax.jit(jr.make_train_step(loss_fn, tx), donate_argnums=0)
    x, y = jax.device_put((entry.x, entry.y))
    batch = jr.Batch(x, y, jnp.ones(len(y)))
    init = jax.jit(lambda key: jr.train.create_state(model, tx, x, key))
    state = init(jax.random.key(0))
    counts.append(sum(leaf.size for leaf in jax.tree.leaves(state.params)))
    return updating(step, state, batch, UPDATES)


def with_torch(entry: Entry, counts: list[int], device: str = "cuda") -> Run:
    """Returns the run of torch's compiled step."""
    import torch

    if entry.pictures:
        net = torch_resnet(entry.net).to(device, memory_format=torch.channels_last)
        inputs = torch.from_numpy(entry.x).to(device).permute(0, 3, 1, 2)  # stays channels last
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, fused=True)
    else:
        net = torch_bert(entry.net).to(device)
        inputs = torch.from_numpy(entry.x).to(device)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    counts.append(sum(leaf.numel() for leaf in net.parameters()))
    targets = torch.from_numpy(entry.y.astype(np.int64)).to(device)
    forward = torch.compile(net)

    def run() -> float:
        start = time.perf_counter()
        for _ in range(UPDATES):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(forward(inputs), targets)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / UPDATES

    return run


def torch_has_cuda() -> bool:
    """Says whether torch can be imported and sees a card."""
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def main() -> int:
    """Prints one table; returns 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="tiny networks, on any machine")
    given = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch needs memory too
    if jax.default_backend() != "gpu":
        print("no GPU at hand: not measured")
        if not given.smoke:
            return 2
    if given.rounds < 1:
        parser.error(f"--rounds needs 1 or more, got {given.rounds}.")
    if given.smoke:
        print("smoke: tiny networks and products; these numbers mean nothing")
    beside = torch_has_cuda()
    if not beside:
        print("torch with CUDA is not at hand: torch.compile is left out")
    peak, size = matmul_peak(SMOKE_SIZES if given.smoke else SIZES)
    device = jax.devices()[0].device_kind
    print(f"{device}: {peak / 1e12:.4g} TFLOP/s at {size} x {size} products\n")
    print("| network | contestant | per update: median (least to most) | TFLOP/s | share |")
    print("| --- | --- | --- | --- | --- |")
    for name, entry in entries(given.smoke).items():
        counts: list[int] = []
        runs = {"jrecipe": with_jrecipe(entry, counts)}
        if beside:
            runs["torch.compile"] = with_torch(entry, counts)
        assert len({*counts}) == 1, counts
        flops = step_flops(entry)
        for contestant, seconds in contest(runs, given.rounds).items():
            middle = statistics.median(seconds)
            times = f"{1e3 * middle:.1f} ms ({1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f})"
            rate = flops / middle
            print(f"| {name} | {contestant} | {times} | {rate / 1e12:.4g} | {rate / peak:.1%} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
