"""Odd but healthy networks: residual, normalised, tied, gated, in Linen, NNX and plain JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jrecipe as jr
from gallery.healthy_parts import (
    TRAIN,
    VAL,
    Net,
    batch_norm,
    classify,
    cut,
    digits,
    language,
    numbers,
    on_targets,
    pictures,
    regress,
    squared,
    task,
)
from gallery.program import Healthy

ZEROS = nn.initializers.zeros_init()


class ReZero(nn.Module):
    """Residual branches behind a gain that starts at 0."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nn.Dense(32)(x)
        for i in range(3):
            gain = self.param(f"gain_{i}", ZEROS, ())
            x = x + gain * nn.relu(nn.Dense(32)(x))
        return nn.Dense(10)(x)


class FixUp(nn.Module):
    """Residual branches whose last layer starts at 0."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nn.relu(nn.Dense(32)(x))
        for _ in range(2):
            branch = nn.relu(nn.Dense(32)(x))
            x = x + nn.Dense(32, kernel_init=ZEROS)(branch)
        return nn.Dense(10)(x)


class Residual(nn.Module):
    """A pre-norm residual network."""

    drop_branch: float = 0.0

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10]; in training whole branches are left out for some examples."""
        x = nn.Dense(32)(x)
        for _ in range(3):
            branch = nn.Dense(32)(nn.gelu(nn.Dense(32)(nn.LayerNorm()(x))))
            drop = nn.Dropout(self.drop_branch, broadcast_dims=(1,), deterministic=not train)
            x = x + drop(branch)
        return nn.Dense(10)(nn.LayerNorm()(x))


class Noisy(nn.Module):
    """Gaussian noise on the hidden layer, in training only."""

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10]."""
        x = nn.relu(nn.Dense(48)(x))
        if train:
            x = x + 0.2 * jax.random.normal(self.make_rng("dropout"), x.shape)
        return nn.Dense(10)(x)


class Mixed(nn.Module):
    """Weights in float32, hidden layers in bfloat16, the head in float32."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nn.relu(nn.Dense(48, dtype=jnp.bfloat16)(x))
        x = nn.relu(nn.Dense(48, dtype=jnp.bfloat16)(x))
        return nn.Dense(10)(x.astype(jnp.float32))


class LowRank(nn.Module):
    """A hidden layer as a product of two thin matrices, on purpose without a ReLU between."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nn.relu(nn.Dense(48)(nn.Dense(8, use_bias=False)(x)))
        return nn.Dense(10)(x)


class Experts(nn.Module):
    """Four experts, all of them run, mixed by a gate."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        gate = nn.softmax(nn.Dense(4, name="gate")(x))
        each = jnp.stack([nn.Dense(24, name=f"expert_{i}")(x) for i in range(4)], axis=1)
        return nn.Dense(10)(jnp.einsum("be,beh->bh", gate, nn.relu(each)))


class Memory(nn.Module):
    """Reads a learned memory by attention, like a soft nearest neighbour."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        keys = self.param("keys", nn.initializers.normal(1.0), (32, 16))
        values = self.param("values", nn.initializers.normal(0.1), (32, 10))
        weights = nn.softmax(nn.Dense(16)(x) @ keys.T / 4.0)
        return weights @ values * 8.0


class Rbf(nn.Module):
    """Radial basis functions around learned centres."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns a number [b, 1]."""
        centres = self.param("centres", nn.initializers.normal(1.0), (48, x.shape[-1]))
        far = jnp.sum((x[:, None] - centres[None]) ** 2, axis=-1)
        return nn.Dense(1)(jnp.exp(-far / 12.0))


class Spectral(nn.Module):
    """Spectral normalisation, whose power iteration is state."""

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10]."""
        x = nn.relu(nn.SpectralNorm(nn.Dense(48))(x, update_stats=train))
        return nn.Dense(10)(x)


class WeightNorm(nn.Module):
    """Weights split into length and direction."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        return nn.Dense(10)(nn.relu(nn.WeightNorm(nn.Dense(48))(x)))


class Maxout(nn.Module):
    """The larger of two linear maps."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nn.Dense(64)(x).reshape(x.shape[0], 32, 2).max(axis=-1)
        return nn.Dense(10)(x)


class Gated(nn.Module):
    """A gated linear unit: no activation function, and still not linear."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        return nn.Dense(10)(nn.Dense(40)(x) * nn.sigmoid(nn.Dense(40)(x)))


class Polynomial(nn.Module):
    """Products of linear maps."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns a number [b, 1]."""
        return nn.Dense(1)(nn.Dense(24)(x) * nn.Dense(24)(x) * 0.5 + nn.Dense(24)(x))


class PRelu(nn.Module):
    """A ReLU whose slope is learned."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        return nn.Dense(10)(nn.PReLU()(nn.Dense(48)(x)))


class ConvNet(nn.Module):
    """Two convolutions, with what is normalised and how left open."""

    norm: str = "batch"
    depthwise: bool = False
    squeeze: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10]."""
        for width in (8, 16):
            if self.depthwise and x.shape[-1] > 1:
                x = nn.Conv(x.shape[-1], (3, 3), feature_group_count=x.shape[-1])(x)
                x = nn.Conv(width, (1, 1))(x)
            else:
                x = nn.Conv(width, (3, 3), strides=2)(x)
            if self.norm == "batch":
                x = nn.BatchNorm(use_running_average=not train)(x)
            elif self.norm == "group":
                x = nn.GroupNorm(num_groups=4)(x)
            elif self.norm == "instance":
                x = nn.InstanceNorm()(x)
            x = nn.relu(x)
            if self.squeeze:
                x = x * nn.sigmoid(nn.Dense(width)(x.mean(axis=(1, 2))))[:, None, None]
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(10)(x)


class Pooled(nn.Module):
    """A convolution with global average pooling in place of a flat layer."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nn.relu(nn.Conv(24, (3, 3))(x))
        x = nn.relu(nn.Conv(32, (3, 3), strides=2)(x))
        return nn.Dense(10)(x.mean(axis=(1, 2)))


class Mixer(nn.Module):
    """Mixes patches and channels in turn; the transpose is meant."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nn.Conv(16, (2, 2), strides=2)(x).reshape(x.shape[0], 16, 16)
        mixed = nn.Dense(16)(nn.gelu(nn.Dense(16)(x.swapaxes(1, 2)))).swapaxes(1, 2)
        x = nn.LayerNorm()(x + mixed)
        return nn.Dense(10)((x + nn.gelu(nn.Dense(16)(x))).mean(axis=1))


class TiedAuto(nn.Module):
    """An auto-encoder whose decoder is its encoder transposed."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns pixels [b, 64]."""
        w = self.param("w", nn.initializers.lecun_normal(), (x.shape[-1], 24))
        return nn.tanh(x @ w) @ w.T


class Bottleneck(nn.Module):
    """A linear auto-encoder, which is what principal components ask for."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns pixels [b, 64]."""
        return nn.Dense(x.shape[-1])(nn.Dense(12, use_bias=False)(x))


class TiedLanguage(nn.Module):
    """A language model that reads its answer out with its embedding."""

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        """Returns logits [b, t, 12]."""
        embed = nn.Embed(12, 24)
        return embed.attend(nn.Dense(24)(nn.relu(nn.Dense(32)(embed(ids)))))


class Gru(nn.Module):
    """A recurrent language model."""

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        """Returns logits [b, t, 12]."""
        return nn.Dense(12)(nn.RNN(nn.GRUCell(24))(nn.Embed(12, 16)(ids)))


class CausalConv(nn.Module):
    """A language model by convolutions that look back only."""

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        """Returns logits [b, t, 12]."""
        x = nn.Embed(12, 16)(ids)
        x = nn.relu(nn.Conv(24, (3,), padding="CAUSAL")(x))
        return nn.Dense(12)(x)


class Attention(nn.Module):
    """A small causal transformer."""

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        """Returns logits [b, t, 12]."""
        place = self.param("place", nn.initializers.normal(0.02), (ids.shape[1], 16))
        x = nn.Embed(12, 16)(ids) + place[None]
        mask = nn.make_causal_mask(ids)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(nn.LayerNorm()(x), mask=mask)
        x = x + nn.Dense(16)(nn.gelu(nn.Dense(32)(nn.LayerNorm()(x))))
        return nn.Dense(12)(nn.LayerNorm()(x))


class SumOfSet(nn.Module):
    """Points in any order: each through a net, then their mean."""

    @nn.compact
    def __call__(self, points: Any) -> Any:
        """Returns a number [b, 1] from points [b, k, 2]."""
        return nn.Dense(1)(nn.relu(nn.Dense(24)(nn.relu(nn.Dense(32)(points)).mean(axis=1))))


class NnxMlp(nnx.Module):
    """Two NNX layers."""

    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(64, 48, rngs=rngs)
        self.last = nnx.Linear(48, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        return self.last(nnx.relu(self.first(x)))


class NnxConv(nnx.Module):
    """An NNX convolution with BatchNorm and dropout."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv = nnx.Conv(1, 8, (3, 3), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.drop = nnx.Dropout(0.2, rngs=rngs)
        self.last = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 10]."""
        x = nnx.relu(self.norm(self.conv(x)))
        return self.last(self.drop(x.reshape(x.shape[0], -1)))


def plain_functions() -> jr.Model:
    """Returns a network as two functions; its parameters are a list of pairs."""
    sizes = (64, 40, 10)

    def init(key: Any, inputs: Any) -> tuple[Any, Any]:
        del inputs
        keys = jax.random.split(key, 2)
        pairs = zip(keys, sizes, sizes[1:], strict=False)
        layers = [(jax.random.normal(k, (m, n)) * m**-0.5, jnp.zeros(n)) for k, m, n in pairs]
        return layers, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        del key, train
        (w, b), (v, c) = params
        return jnp.tanh(x @ w + b[None]) @ v + c[None], state

    return jr.Model(init, apply, name="plain")


def linear_task(seed: int) -> jr.Task:
    """A linear network where the truth is linear."""
    rng = np.random.default_rng([seed, 5])
    x = rng.normal(size=(TRAIN + VAL, 8)).astype(np.float32)
    y = x @ rng.normal(size=(8, 2)) + 0.1 * rng.normal(size=(len(x), 2))
    fast = optax.adam(1e-2)
    return regress(seed, nn.Dense(2), data=cut(x, y.astype(np.float32)), optimizer=fast)


def waves(seed: int) -> jr.Task:
    """Sine activations for a smooth picture given as coordinates."""
    rng = np.random.default_rng([seed, 6])
    x = rng.uniform(-1, 1, (TRAIN + VAL, 2)).astype(np.float32)
    y = (np.sin(4 * x[:, :1]) * np.cos(3 * x[:, 1:])).astype(np.float32)
    net = Net(1, hidden=(48, 48), activate=lambda h: jnp.sin(4.0 * h))
    return regress(seed, net, data=cut(x, y))


def sets(seed: int) -> jr.Task:
    """How far the points of a set lie from the origin on average."""
    rng = np.random.default_rng([seed, 7])
    x = rng.normal(size=(TRAIN + VAL, 6, 2)).astype(np.float32)
    y = np.linalg.norm(x, axis=-1).mean(axis=1, keepdims=True)
    y = ((y - y.mean()) / y.std()).astype(np.float32)
    return regress(seed, SumOfSet(), data=cut(x, y), optimizer=optax.adam(3e-3))


def auto_encoder(seed: int, model: Any, loss: Callable[[Any, Any], Any] = squared) -> jr.Task:
    """The digits as their own targets."""
    (x, _), (vx, _) = digits(seed)
    return task(seed, ((x, x), (vx, vx)), model=model, loss=loss)


def logistic(seed: int) -> jr.Task:
    """Logistic regression."""
    data = on_targets(digits(seed), lambda y: (y > 4).astype(np.int32))
    net = Net(1, hidden=(), squeeze=True)
    loss = jr.losses.sigmoid_cross_entropy()
    return classify(seed, net, data=data, loss=loss, optimizer=optax.adam(1e-2))


def on_digits(name: str, model: Any, odd: bool = True, **fields: Any) -> Healthy:
    """Returns the flat digits read by another network."""
    return Healthy(name=f"digits/{name}", build=lambda s: classify(s, model, **fields), odd=odd)


def on_pictures(name: str, model: Any, odd: bool = True, **fields: Any) -> Healthy:
    """Returns the digits as pictures read by another network."""
    build = lambda s: classify(s, model, data=pictures(s), **fields)  # noqa: E731
    return Healthy(name=f"pictures/{name}", build=build, odd=odd)


FAST = optax.adam(3e-3)
NETWORKS: tuple[Healthy, ...] = (
    on_digits("zero-head", Net(head_init=ZEROS)),
    on_digits("re-zero", ReZero()),
    on_digits("fix-up", FixUp()),
    on_digits("residual", Residual()),
    on_digits("stochastic-depth", Residual(drop_branch=0.3)),
    on_digits("noise-layer", Noisy()),
    on_digits("bfloat16", Net(dtype=jnp.bfloat16)),
    on_digits("mixed-precision", Mixed()),
    on_digits("low-rank", LowRank(), optimizer=FAST),
    on_digits("experts", Experts()),
    on_digits("memory", Memory(), optimizer=FAST),
    on_digits("spectral-norm", Spectral()),
    on_digits("weight-norm", WeightNorm()),
    on_digits("maxout", Maxout()),
    on_digits("gated", Gated()),
    on_digits("prelu", PRelu()),
    on_digits("selu", Net(hidden=(32, 32, 32), activate=nn.selu)),
    on_digits("tanh", Net(hidden=(32, 32), activate=nn.tanh)),
    on_digits("swish", Net(activate=nn.swish)),
    on_digits("deep-narrow", Net(hidden=(16,) * 6), optimizer=FAST),
    on_digits("batch-norm", Net(hidden=(32, 32), norm=batch_norm)),
    on_digits("layer-norm", Net(hidden=(32, 32), norm=lambda train: nn.LayerNorm())),
    on_digits("nnx-mlp", lambda rngs: NnxMlp(rngs), odd=False),
    on_digits("plain-jax", plain_functions(), odd=False),
    on_pictures("conv-batch-norm", ConvNet(), odd=False),
    on_pictures("conv-batch-norm-dropout", ConvNet(dropout=0.3)),
    on_pictures("conv-group-norm", ConvNet("group")),
    on_pictures("conv-instance-norm", ConvNet("instance"), optimizer=FAST),
    on_pictures("depthwise", ConvNet("none", depthwise=True), optimizer=FAST),
    on_pictures("squeeze-excite", ConvNet("none", squeeze=True), optimizer=FAST),
    on_pictures("global-pooling", Pooled(), optimizer=FAST),
    on_pictures("mixer", Mixer(), optimizer=FAST),
    on_pictures("nnx-conv-batch-norm-dropout", lambda rngs: NnxConv(rngs)),
    Healthy(name="digits/logistic", build=logistic),
    Healthy(name="numbers/linear", build=linear_task),
    Healthy(name="numbers/rbf", build=lambda s: regress(s, Rbf(), optimizer=optax.adam(1e-2))),
    Healthy(
        name="numbers/polynomial",
        build=lambda s: regress(s, Polynomial(), data=numbers(s, noise=0.2)),
    ),
    Healthy(name="coordinates/sine", build=waves),
    Healthy(name="points/set", build=sets),
    Healthy(name="auto/tied", build=lambda s: auto_encoder(s, TiedAuto())),
    Healthy(name="auto/linear", build=lambda s: auto_encoder(s, Bottleneck())),
    Healthy(name="language/tied", build=lambda s: language(s, TiedLanguage())),
    Healthy(name="language/gru", build=lambda s: language(s, Gru())),
    Healthy(name="language/conv", build=lambda s: language(s, CausalConv()), odd=False),
    Healthy(name="language/attention", build=lambda s: language(s, Attention()), odd=False),
)
