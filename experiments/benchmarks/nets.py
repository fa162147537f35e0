"""The same networks in Flax and in torch: a plain convolutional net, ResNet-20, a BERT of 6x384."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import torch
from torch import nn as tnn
from torch.nn import functional as F

CHANNELS = (64, 64, 128, 128, 256, 256)
LAYERS, WIDTH, HEADS, VOCABULARY, LENGTH = 6, 384, 12, 8192, 64


class Conv6(nn.Module):
    """Six 3x3 convolutions with ReLU, the picture halved after each second, mean, dense."""

    @nn.compact
    def __call__(self, x):
        for i, channels in enumerate(CHANNELS):
            x = nn.relu(nn.Conv(channels, (3, 3))(x))
            if i % 2:
                x = nn.max_pool(x, (2, 2), (2, 2))
        return nn.Dense(10)(x.mean(axis=(1, 2)))


class ResNet20(nn.Module):
    """He et al., 2016, section 4.2, with zero-padded shortcuts (option A)."""

    @nn.compact
    def __call__(self, x, train: bool):
        def norm(x):
            return nn.BatchNorm(use_running_average=not train)(x)

        x = nn.relu(norm(nn.Conv(16, (3, 3), use_bias=False)(x)))
        for stage, channels in enumerate((16, 32, 64)):
            for block in range(3):
                stride = 2 if stage and not block else 1
                y = nn.Conv(channels, (3, 3), stride, padding=1, use_bias=False)(x)
                y = norm(nn.Conv(channels, (3, 3), use_bias=False)(nn.relu(norm(y))))
                more = channels - x.shape[-1]
                x = jnp.pad(x[:, ::stride, ::stride], [(0, 0)] * 3 + [(more // 2, more // 2)])
                x = nn.relu(x + y)
        return nn.Dense(10)(x.mean(axis=(1, 2)))


class Bert(nn.Module):
    """Six encoder layers after Devlin et al., 2019, without dropout; classifies the first token."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(VOCABULARY, WIDTH)(tokens) + nn.Embed(LENGTH, WIDTH)(jnp.arange(LENGTH))[None]
        x = nn.LayerNorm()(x)
        for _ in range(LAYERS):
            q, k, v = (nn.DenseGeneral((HEADS, WIDTH // HEADS))(x) for _ in range(3))
            y = jax.nn.dot_product_attention(q, k, v)
            x = nn.LayerNorm()(x + nn.DenseGeneral(WIDTH, axis=(-2, -1))(y))
            y = nn.Dense(WIDTH)(nn.gelu(nn.Dense(4 * WIDTH)(x), approximate=False))
            x = nn.LayerNorm()(x + y)
        return nn.Dense(2)(jnp.tanh(nn.Dense(WIDTH)(x[:, 0])))


class TorchConv6(tnn.Module):
    """See `Conv6`."""

    def __init__(self):
        super().__init__()
        sizes = zip((3, *CHANNELS), CHANNELS, strict=False)
        self.convs = tnn.ModuleList(tnn.Conv2d(a, b, 3, padding=1) for a, b in sizes)
        self.head = tnn.Linear(CHANNELS[-1], 10)

    def forward(self, x):
        for i, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            if i % 2:
                x = F.max_pool2d(x, 2)
        return self.head(x.mean(dim=(2, 3)))


class TorchBlock(tnn.Module):
    """A residual block of `TorchResNet20`."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.stride, self.more = stride, outputs - inputs
        self.first = tnn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.second = tnn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norms = tnn.ModuleList(tnn.BatchNorm2d(outputs) for _ in range(2))

    def forward(self, x):
        y = F.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        half = self.more // 2
        x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(x + y)


class TorchResNet20(tnn.Module):
    """See `ResNet20`."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = tnn.Conv2d(3, 16, 3, padding=1, bias=False), tnn.BatchNorm2d(16)
        blocks, before = [], 16
        for stage, channels in enumerate((16, 32, 64)):
            for block in range(3):
                blocks.append(TorchBlock(before, channels, 2 if stage and not block else 1))
                before = channels
        self.blocks, self.head = tnn.Sequential(*blocks), tnn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.norm(self.stem(x)))).mean(dim=(2, 3)))


class TorchLayer(tnn.Module):
    """An encoder layer of `TorchBert`."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = tnn.Linear(WIDTH, 3 * WIDTH), tnn.Linear(WIDTH, WIDTH)
        self.up, self.down = tnn.Linear(WIDTH, 4 * WIDTH), tnn.Linear(4 * WIDTH, WIDTH)
        self.norms = tnn.ModuleList(tnn.LayerNorm(WIDTH) for _ in range(2))

    def forward(self, x):
        rows, length, _ = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = self.norms[0](x + self.out(y))
        return self.norms[1](x + self.down(F.gelu(self.up(x))))


class TorchBert(tnn.Module):
    """See `Bert`."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = tnn.Embedding(VOCABULARY, WIDTH), tnn.Embedding(LENGTH, WIDTH)
        self.norm = tnn.LayerNorm(WIDTH)
        self.layers = tnn.Sequential(*(TorchLayer() for _ in range(LAYERS)))
        self.pool, self.head = tnn.Linear(WIDTH, WIDTH), tnn.Linear(WIDTH, 2)

    def forward(self, tokens):
        x = self.norm(self.tokens(tokens) + self.places(torch.arange(LENGTH)))
        return self.head(torch.tanh(self.pool(self.layers(x)[:, 0])))
