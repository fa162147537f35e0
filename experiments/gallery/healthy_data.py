"""Odd but healthy data: noisy labels, rare classes, repeats, order, padding, augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.healthy_parts import (
    TRAIN,
    VAL,
    Net,
    Splits,
    classify,
    cut,
    digits,
    on_inputs,
    on_targets,
    padded,
    pictures,
    regress,
    squared,
    task,
)
from gallery.program import Healthy


def noisy(seed: int, share: float) -> Splits:
    """Returns digits of which a share of the labels is another class, in both splits."""
    rng = np.random.default_rng([seed, 20])

    def change(y: np.ndarray) -> np.ndarray:
        wrong = rng.random(len(y)) < share
        return np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y).astype(np.int32)

    return on_targets(digits(seed, 500), change)


def with_noise(share: float) -> Healthy:
    """Returns the digits with honest, declared label noise."""
    build = lambda s: classify(s, data=noisy(s, share), label_noise=share)  # noqa: E731
    return Healthy(name=f"digits/label-noise-{share:g}", build=build)


def rare(seed: int) -> jr.Task:
    """One example in twenty is positive, as it should be; the head starts at the prior."""
    (x, y), (vx, vy) = digits(seed, 1_000, 500)

    def thin(x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
        ones, rest = np.flatnonzero(y == 3), np.flatnonzero(y != 3)[:400]
        rows = np.sort(np.concatenate([rest, ones[: len(rest) // 20]]))
        return x[rows], (y[rows] == 3).astype(np.int32)

    data = thin(x, y), thin(vx, vy)
    return jr.init_well(classify(seed, Net(2), data=data, imbalance_intended=True))


def long_tail(seed: int) -> jr.Task:
    """Ten classes, each rarer than the one before, down to one tenth."""
    (x, y), val = digits(seed, 1_300, 160)
    rng = np.random.default_rng([seed, 21])
    keep = rng.random(len(y)) < 0.1 ** (y / 9)
    data = (x[keep][:500], y[keep][:500]), val
    return jr.init_well(classify(seed, data=data, imbalance_intended=True))


def table(seed: int, noise: float = 0.0) -> Splits:
    """Returns four categorical columns one-hot, so that rows repeat, and a yes-no answer."""
    rng = np.random.default_rng([seed, 22])
    columns = rng.integers(0, 3, (TRAIN + VAL, 4))
    x = np.eye(3, dtype=np.float32)[columns].reshape(len(columns), 12)
    score = x @ rng.normal(size=12) + 1.5 * x[:, 0] * x[:, 4]
    y = (score > np.median(score)).astype(np.int32)
    flip = rng.random(len(y)) < noise
    return cut(x, np.where(flip, 1 - y, y).astype(np.int32))


def bits(seed: int) -> jr.Task:
    """Six bits: 64 different rows in all, each many times in both splits."""
    rng = np.random.default_rng([seed, 23])
    x = rng.integers(0, 2, (TRAIN + VAL, 6)).astype(np.float32)
    y = (x.sum(axis=1) >= 3).astype(np.int32)
    return classify(seed, Net(2), data=cut(2 * x - 1, y), optimizer=optax.adam(3e-3))


def wave(seed: int, rows: int) -> np.ndarray:
    """Returns a noisy sum of two oscillations float32[rows]."""
    rng = np.random.default_rng([seed, 24])
    t = np.arange(rows)
    x = np.sin(t / 3.0 + rng.normal()) + 0.5 * np.sin(t / 11.0) + 0.2 * rng.normal(size=rows)
    return (x / x.std()).astype(np.float32)


def forecast(seed: int) -> jr.Task:
    """The next value from the last twelve, in time order, validation later than training."""
    x = wave(seed, TRAIN + VAL + 12)
    windows = np.lib.stride_tricks.sliding_window_view(x, 13).copy()
    data = cut(windows[:, :12], windows[:, 12:])
    return regress(seed, data=data, ordered_data=True)


def every_step(seed: int) -> jr.Task:
    """The next value at every step of a window, by a causal network."""
    x = wave(seed, 8 * (TRAIN + VAL) + 9)
    starts = np.arange(0, len(x) - 9, 8)[: TRAIN + VAL]
    windows = x[starts[:, None] + np.arange(9)[None]][..., None]

    class Back(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.relu(nn.Conv(24, (4,), padding="CAUSAL")(x))
            return nn.Dense(1)(nn.relu(nn.Dense(24)(x)))

    data = cut(windows[:, :-1], windows[:, 1:])
    fields: dict[str, Any] = {"ordered_data": True, "causal_axis": 1, "optimizer": optax.adam(3e-3)}
    return task(seed, data, model=Back(), loss=squared, **fields)


def drifting(seed: int) -> jr.Task:
    """A class that comes in long stretches, as machine states do, in time order."""
    rng = np.random.default_rng([seed, 25])
    state = np.zeros(TRAIN + VAL, np.int32)
    for t in range(1, len(state)):
        state[t] = rng.integers(0, 3) if rng.random() < 0.08 else state[t - 1]
    centre = np.random.default_rng(1).normal(size=(3, 6))
    x = (centre[state] + 0.8 * rng.normal(size=(len(state), 6))).astype(np.float32)
    return classify(seed, Net(3), data=cut(x, state), ordered_data=True)


def words(seed: int) -> jr.Task:
    """Topics of short texts; two thirds of the vocabulary never occurs in training."""
    rng = np.random.default_rng([seed, 26])
    topic = rng.integers(0, 3, TRAIN + VAL).astype(np.int32)
    own = topic[:, None] * 20 + rng.integers(0, 20, (len(topic), 8))
    ids = np.where(rng.random(own.shape) < 0.5, own, 60 + rng.integers(0, 40, own.shape))

    class Bag(nn.Module):
        @nn.compact
        def __call__(self, ids: Any) -> Any:
            return nn.Dense(3)(nn.relu(nn.Dense(24)(nn.Embed(300, 16)(ids).mean(axis=1))))

    return classify(seed, Bag(), data=cut(ids.astype(np.int32), topic), optimizer=optax.adam(5e-3))


def counted_words(seed: int) -> jr.Task:
    """The same as counts of words, nearly all of them 0."""
    rng = np.random.default_rng([seed, 27])
    topic = rng.integers(0, 4, TRAIN + VAL).astype(np.int32)
    often = np.full((4, 60), 0.05) + 0.4 * (np.arange(60)[None] // 15 == np.arange(4)[:, None])
    x = np.log1p(rng.poisson(often[topic])).astype(np.float32)
    return classify(seed, Net(4), data=cut(x, topic))


class Tagger(nn.Module):
    """Reads both ways with its padding masked, and answers at each position."""

    two_ways: bool = False

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        """Returns logits [b, t, 5]."""
        real = (ids > 0).astype(jnp.float32)[..., None]
        x = nn.Embed(8, 16)(ids) * real
        if self.two_ways:
            x = nn.relu(nn.Conv(32, (3,))(x)) * real
        else:
            left = jnp.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]
            x = jnp.concatenate([x, left], axis=-1)
        return nn.Dense(5)(nn.relu(nn.Dense(32)(x)))


def tagged(seed: int, model: Any, loss: Any = None) -> jr.Task:
    """A tag for each token of padded sequences."""
    loss = loss or jr.losses.token_cross_entropy(pad=0)
    return task(seed, padded(seed), model=model, loss=loss, optimizer=optax.adam(5e-3))


def mean_over_tokens(outputs: Any, targets: Any) -> Any:
    """A masked mean over the tokens of each sequence, then every sequence the same."""
    real = (targets > 0).astype(jnp.float32)
    nats = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
    return jnp.sum(nats * real, axis=1) / jnp.maximum(1.0, real.sum(axis=1))


def masked_mean(seed: int) -> jr.Task:
    """Whether a padded sequence holds more high tokens than low ones, by a masked mean."""
    more = lambda t: (2 * (t >= 3).sum(1) > (t > 0).sum(1)).astype(np.int32)  # noqa: E731
    data = on_targets(padded(seed), more)
    data = on_inputs(data, lambda ids: {"ids": ids, "mask": (ids > 0).astype(np.float32)})

    class Mean(nn.Module):
        @nn.compact
        def __call__(self, inputs: Any) -> Any:
            mask = inputs["mask"][..., None]
            x = nn.relu(nn.Dense(24)(nn.Embed(8, 16)(inputs["ids"]))) * mask
            return nn.Dense(2)(x.sum(axis=1) / mask.sum(axis=1))

    return classify(seed, Mean(), data=data, optimizer=optax.adam(5e-3))


def beside(seed: int) -> jr.Task:
    """Pixels and a category in a dict."""

    class Two(nn.Module):
        @nn.compact
        def __call__(self, inputs: Any) -> Any:
            x = jnp.concatenate([inputs["pixels"], nn.Embed(2, 4)(inputs["side"])], axis=-1)
            return nn.Dense(10)(nn.relu(nn.Dense(48)(x)))

    wrap = lambda x: {"pixels": x, "side": (x[:, :32].sum(1) > x[:, 32:].sum(1)).astype(np.int32)}  # noqa: E731
    return classify(seed, Two(), data=on_inputs(digits(seed), wrap))


def gaps(seed: int) -> jr.Task:
    """A fifth of the values missing: 0 in their place, and a column that says so."""
    rng = np.random.default_rng([seed, 28])
    x = rng.normal(size=(TRAIN + VAL, 6)).astype(np.float32)
    y = ((x[:, 0] + x[:, 1] - x[:, 2]) > 0).astype(np.int32)
    known = (rng.random(x.shape) > 0.2).astype(np.float32)
    data = cut(np.concatenate([x * known, 1 - known], axis=1).astype(np.float32), y)
    return classify(seed, Net(2), data=data)


def in_the_net(seed: int) -> jr.Task:
    """Bytes as inputs, normalised inside the network."""

    class Bytes(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = (x.astype(jnp.float32) - 78.0) / 96.0
            return nn.Dense(10)(nn.relu(nn.Dense(48)(x)))

    to_bytes = lambda x: np.clip(np.rint(78 + 96 * x), 0, 255).astype(np.uint8)  # noqa: E731
    return classify(seed, Bytes(), data=on_inputs(digits(seed), to_bytes))


def between_0_and_1(seed: int) -> jr.Task:
    """Pixels in [0, 1], not standardised, as most programs have them."""
    scale = lambda x: (x - x.min()) / (x.max() - x.min())  # noqa: E731
    return classify(seed, data=on_inputs(digits(seed), scale), optimizer=optax.adam(3e-3))


def few(seed: int, rows: int, batch: int) -> jr.Task:
    """Hardly any examples."""
    return classify(seed, data=digits(seed, rows, 200), batch_size=batch)


def few_numbers(seed: int) -> jr.Task:
    """Sixteen points of a line."""
    rng = np.random.default_rng([seed, 29])
    x = rng.normal(size=(TRAIN, 2)).astype(np.float32)
    y = (x @ np.array([[1.0], [-2.0]]) + 0.3 * rng.normal(size=(TRAIN, 1))).astype(np.float32)
    fields: dict[str, Any] = {"batch_size": 8, "optimizer": optax.adam(1e-2)}
    return regress(seed, nn.Dense(1), data=cut(x, y, 16), **fields)


# --- augmentation that is right ----------------------------------------------------------------


def stripes(seed: int) -> Splits:
    """Returns pictures of stripes across, stripes along and checks: mirrored, they stay so."""
    rng = np.random.default_rng([seed, 30])
    y = rng.integers(0, 3, TRAIN + VAL).astype(np.int32)
    row, column = np.mgrid[:8, :8]
    kinds = np.stack([row // 2 % 2, column // 2 % 2, (row // 2 + column // 2) % 2])
    x = np.stack([np.roll(kinds[k], rng.integers(0, 4, 2), (0, 1)) for k in y]) * 2.0 - 1.0
    return cut((x + 0.7 * rng.normal(size=x.shape)).astype(np.float32)[..., None], y)


def add_noise(key: Any, batch: jr.Batch) -> jr.Batch:
    """Adds pixel noise."""
    return batch._replace(inputs=batch.inputs + 0.2 * jax.random.normal(key, batch.inputs.shape))


def erase(key: Any, batch: jr.Batch) -> jr.Batch:
    """Blanks a square of 3 by 3 pixels at a random place of each picture."""
    corner = jax.random.randint(key, (len(batch.inputs), 2, 1), 0, 6)
    inside = (jnp.arange(8)[None, None] >= corner) & (jnp.arange(8)[None, None] < corner + 3)
    hole = inside[:, 0, :, None, None] & inside[:, 1, None, :, None]
    return batch._replace(inputs=jnp.where(hole, 0.0, batch.inputs))


def brighten(key: Any, batch: jr.Batch) -> jr.Batch:
    """Scales the contrast of each picture by a tenth or so."""
    gain = 1.0 + 0.1 * jax.random.normal(key, (len(batch.inputs), 1, 1, 1))
    return batch._replace(inputs=batch.inputs * gain)


def mix(key: Any, batch: jr.Batch) -> jr.Batch:
    """Mixes each example with the one before it, and its soft target likewise."""
    share = jax.random.beta(key, 0.4, 0.4, (len(batch.inputs), 1))
    blend = lambda a: share * a + (1.0 - share) * jnp.roll(a, 1, axis=0)  # noqa: E731
    return batch._replace(inputs=blend(batch.inputs), targets=blend(batch.targets))


def mixed_up(seed: int) -> jr.Task:
    """Mixup with soft targets and the soft cross-entropy that goes with them."""
    data = on_targets(digits(seed), lambda y: np.eye(10, dtype=np.float32)[y])

    def loss(outputs: Any, targets: Any) -> Any:
        return optax.softmax_cross_entropy(outputs, targets)

    return classify(seed, data=data, loss=loss, augment=mix)


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures float32[n, 12, 12, 1] of one bright box, and the boxes (x, y, w, h) / 12."""
    rng = np.random.default_rng([seed, 31])
    size = rng.integers(3, 7, (TRAIN + VAL, 2))
    corner = rng.integers(0, 12 - size + 1)
    at = np.arange(12)[None, None]
    inside = (at >= corner[..., None]) & (at < (corner + size)[..., None])
    box = inside[:, 1, :, None] & inside[:, 0, None, :]
    x = (box * 2.0 - 0.5 + 0.3 * rng.normal(size=box.shape)).astype(np.float32)[..., None]
    boxes = np.concatenate([corner + size / 2, size], axis=1) / 12
    return x, boxes.astype(np.float32)


def mirror(key: Any, batch: jr.Batch, targets: Callable[[Any], Any]) -> jr.Batch:
    """Mirrors half of the pictures, and their targets with them."""
    flip = jax.random.bernoulli(key, 0.5, (len(batch.inputs),))
    pick = lambda a, b: jnp.where(flip.reshape(-1, *[1] * (a.ndim - 1)), a, b)  # noqa: E731
    inputs = pick(batch.inputs[:, :, ::-1], batch.inputs)
    return batch._replace(inputs=inputs, targets=pick(targets(batch.targets), batch.targets))


def boxes(seed: int) -> jr.Task:
    """Where the box is; a mirrored picture has a mirrored box."""

    class Find(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.relu(nn.Conv(8, (3, 3), strides=2)(x)).reshape(x.shape[0], -1)
            return nn.Dense(4)(nn.relu(nn.Dense(48)(x)))

    def swap(boxes: Any) -> Any:
        return jnp.concatenate([1.0 - boxes[:, :1], boxes[:, 1:]], axis=1)

    x, y = blobs(seed)
    augment = lambda key, batch: mirror(key, batch, swap)  # noqa: E731
    return jr.init_well(regress(seed, Find(), data=cut(x, y), augment=augment))


def masks(seed: int) -> jr.Task:
    """Which pixels belong to the box; a mirrored picture has a mirrored mask."""

    class Segment(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.relu(nn.Conv(8, (3, 3))(x))
            return nn.Conv(1, (3, 3))(nn.relu(nn.Conv(8, (3, 3))(x)))[..., 0]

    def loss(outputs: Any, targets: Any) -> Any:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(outputs, targets), axis=(1, 2))

    x, y = blobs(seed)
    at = (np.arange(12) + 0.5)[None] / 12
    inside = [np.abs(at - y[:, i, None]) < y[:, i + 2, None] / 2 for i in (0, 1)]
    mask = (inside[1][:, :, None] & inside[0][:, None, :]).astype(np.float32)
    augment = lambda key, batch: mirror(key, batch, lambda m: m[:, :, ::-1])  # noqa: E731
    fields: dict[str, Any] = {"augment": augment, "optimizer": optax.adam(3e-3)}
    return task(seed, cut(x, mask), model=Segment(), loss=loss, **fields)


def token_dropout(seed: int) -> jr.Task:
    """Some tokens of each text are replaced by an unknown token in training."""
    base = words(seed)

    def drop(key: Any, batch: jr.Batch) -> jr.Batch:
        lost = jax.random.bernoulli(key, 0.1, batch.inputs.shape)
        return batch._replace(inputs=jnp.where(lost, 299, batch.inputs))

    return base.replace(augment=drop)


class Small(nn.Module):
    """A small convolution."""

    outputs: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits."""
        x = nn.relu(nn.Conv(12, (3, 3), strides=2)(x))
        return nn.Dense(self.outputs)(x.reshape(x.shape[0], -1))


def augmented(name: str, augment: Any) -> Healthy:
    """Returns the digits as pictures with an augmentation."""
    build = lambda s: classify(s, Small(10), data=pictures(s), augment=augment)  # noqa: E731
    return Healthy(name=f"pictures/{name}", build=build)


DATA: tuple[Healthy, ...] = (
    with_noise(0.1),
    with_noise(0.2),
    with_noise(0.3),
    Healthy(name="digits/rare-declared", build=rare),
    Healthy(name="digits/long-tail-declared", build=long_tail),
    Healthy(name="table/repeats", build=lambda s: classify(s, Net(2), data=table(s))),
    Healthy(
        name="table/repeats-noise",
        build=lambda s: classify(s, Net(2), data=table(s, 0.1), label_noise=0.1),
    ),
    Healthy(name="bits/repeats", build=bits),
    Healthy(name="series/forecast", build=forecast),
    Healthy(name="series/every-step", build=every_step),
    Healthy(name="series/stretches", build=drifting),
    Healthy(name="words/untouched-rows", build=words),
    Healthy(name="words/unknown-token", build=token_dropout),
    Healthy(name="words/counts", build=counted_words),
    Healthy(name="tags/one-way", build=lambda s: tagged(s, Tagger()), odd=False),
    Healthy(name="tags/two-ways", build=lambda s: tagged(s, Tagger(two_ways=True))),
    Healthy(name="tags/mean-of-means", build=lambda s: tagged(s, Tagger(), loss=mean_over_tokens)),
    Healthy(name="tags/masked-mean", build=masked_mean),
    Healthy(name="digits/dict-inputs", build=beside),
    Healthy(name="gaps/indicator", build=gaps),
    Healthy(name="digits/bytes-normalised-inside", build=in_the_net),
    Healthy(name="digits/unit-range", build=between_0_and_1),
    Healthy(name="digits/20-rows", build=lambda s: few(s, 20, 10)),
    Healthy(name="digits/30-rows-batch-2", build=lambda s: few(s, 30, 2)),
    Healthy(name="numbers/16-rows", build=few_numbers),
    Healthy(
        name="stripes/flip",
        build=lambda s: classify(s, Small(3), data=stripes(s), augment=jr.augment.random_flip()),
    ),
    augmented("shift", jr.augment.random_translate(1)),
    augmented("noise", add_noise),
    augmented("erase", erase),
    augmented("contrast", brighten),
    Healthy(name="digits/mixup", build=mixed_up),
    Healthy(name="boxes/flip", build=boxes),
    Healthy(name="masks/flip", build=masks),
)
