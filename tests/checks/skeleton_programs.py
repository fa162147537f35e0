"""Small real tasks for the skeleton checks: healthy ones, odd but healthy ones, and planted faults.

Every program is a function `(seed) -> Task` on a few hundred real digits or on numbers drawn from a
known law, so that what is healthy and what is broken is known by construction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jrecipe as jr
from jrecipe.checks.context import Context
from jrecipe.checks.registry import CHECKS, run_checks, select
from jrecipe.checks.result import Finding, Verdict

OWN = ("B2", "B4", "B5", "B6", "B7", "B8", "B9", "B11")
ALARMS = (Verdict.FAILED, Verdict.WARNED)
TRAIN, VAL = 320, 160


def digits(seed: int, train: int = TRAIN, val: int = VAL) -> tuple[Any, Any]:
    """Returns (train, val) of standardised digits: float32[n, 64] and int32[n]."""
    x, y = load_digits(return_X_y=True)
    x = ((x - x.mean()) / x.std()).astype(np.float32)
    rows = np.random.default_rng(seed).permutation(len(x))[: train + val]
    x, y = x[rows], y[rows].astype(np.int32)
    return (x[:train], y[:train]), (x[train:], y[train:])


def numbers(
    seed: int, mean: float = 0.0, scale: float = 1.0, noise: float = 0.1, rows: int = TRAIN
) -> tuple[Any, Any]:
    """Returns (train, val) of a smooth function of 8 features: float32[n, 8] and float32[n, 1]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows + VAL, 8)).astype(np.float32)
    y = np.tanh(x[:, :1]) + x[:, 1:2] * 0.5 + noise * rng.normal(size=(len(x), 1))
    y = (mean + scale * y).astype(np.float32)
    return (x[:rows], y[:rows]), (x[rows:], y[rows:])


class Net(nn.Module):
    """A plain network with what the programs vary."""

    outputs: int
    hidden: Sequence[int] = (64,)
    dropout: float = 0.0
    norm: bool = False
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    bias_init: Callable[..., Any] = nn.initializers.zeros_init()
    use_bias: bool = True
    activate: Callable[[Any], Any] = nn.relu
    last: Callable[[Any], Any] = lambda x: x
    first: Callable[[Any], Any] = lambda x: x
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = self.first(x).astype(self.dtype)
        for width in self.hidden:
            x = nn.Dense(width, kernel_init=self.kernel_init, dtype=self.dtype)(x)
            if self.norm:
                x = nn.BatchNorm(use_running_average=not train, dtype=self.dtype)(x)
            x = nn.Dropout(self.dropout, deterministic=not train)(self.activate(x))
        head = nn.Dense(
            self.outputs,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            use_bias=self.use_bias,
            dtype=self.dtype,
        )
        return self.last(head(x))


def classify(seed: int, **changes: Any) -> jr.Task:
    """Returns the plain healthy task: digits, one hidden layer, Adam."""
    train, val = changes.pop("data", None) or digits(seed)
    base: dict[str, Any] = {
        "model": Net(10),
        "loss": jr.losses.softmax_cross_entropy(),
        "train": train,
        "val": val,
        "optimizer": optax.adam(1e-3),
        "batch_size": 32,
    }
    return jr.Task(**{**base, **changes})


def regress(seed: int, **changes: Any) -> jr.Task:
    """Returns the plain healthy regression."""
    train, val = changes.pop("data", None) or numbers(seed)
    base: dict[str, Any] = {
        "model": Net(1),
        "loss": jr.losses.l2(),
        "train": train,
        "val": val,
        "optimizer": optax.adam(1e-3),
        "batch_size": 32,
    }
    return jr.Task(**{**base, **changes})


def relabel(split: tuple[Any, Any], change: Callable[[np.ndarray], np.ndarray]) -> tuple[Any, Any]:
    """Returns a split with its targets changed."""
    return split[0], change(split[1])


def noisy(seed: int, share: float) -> tuple[Any, Any]:
    """Returns digits of which a share of the labels, in both splits, is drawn at random."""
    rng = np.random.default_rng([seed, 1])

    def change(y: np.ndarray) -> np.ndarray:
        return np.where(rng.random(len(y)) < share, rng.integers(0, 10, len(y)), y).astype(np.int32)

    train, val = digits(seed)
    return relabel(train, change), relabel(val, change)


def binary(seed: int, positive: Sequence[int]) -> tuple[Any, Any]:
    """Returns digits labelled 1 where the digit is one of `positive`, else 0."""
    train, val = digits(seed)
    change = lambda y: np.isin(y, positive).astype(np.int32)  # noqa: E731
    return relabel(train, change), relabel(val, change)


def rare(seed: int, keep: int = 8) -> tuple[Any, Any]:
    """Returns a two-class task in which about one label in 20 is a 1."""
    (x, y), (vx, vy) = digits(seed, 900, 400)

    def thin(x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
        ones = np.flatnonzero(y == 1)
        rows = np.sort(np.concatenate([np.flatnonzero(y != 1), ones[: max(keep, len(ones) // 2)]]))
        return x[rows], (y[rows] == 1).astype(np.int32)

    return thin(x, y), thin(vx, vy)


# --- odd but healthy ---------------------------------------------------------------------------


def sequences(seed: int) -> tuple[Any, Any]:
    """Returns padded sequences with a learnable rule: the target of a token is token + 1 mod 7."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 8, (TRAIN + VAL, 6)).astype(np.int32)
    length = rng.integers(2, 7, len(ids))
    ids = np.where(np.arange(6) < length[:, None], ids, 0)
    targets = np.where(ids == 0, 0, ids % 7 + 1).astype(np.int32)
    return (ids[:TRAIN], targets[:TRAIN]), (ids[TRAIN:], targets[TRAIN:])


class Tagger(nn.Module):
    """Reads tokens and answers at each position."""

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        x = nn.Embed(8, 16)(ids)
        return nn.Dense(8)(nn.relu(nn.Dense(32)(x)))


def poisson(seed: int) -> jr.Task:
    """Counts, with a loss that may be below 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(TRAIN + VAL, 8)).astype(np.float32)
    y = rng.poisson(np.exp(1.5 + x[:, :1])).astype(np.float32)

    def loss(outputs: Any, targets: Any) -> Any:
        return (jnp.exp(outputs) - targets * outputs)[:, 0]

    return regress(seed, data=((x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:])), loss=loss)


def gaussian(seed: int) -> jr.Task:
    """A network that answers mean and log-scale: outputs as a dict, a density as the loss."""

    class Both(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.relu(nn.Dense(64)(x))
            return {"mean": nn.Dense(1)(x), "log_scale": nn.Dense(1)(x)}

    def loss(outputs: Any, targets: Any) -> Any:
        scale = jnp.exp(outputs["log_scale"])
        error = (targets - outputs["mean"]) / scale
        return (0.5 * error**2 + outputs["log_scale"])[:, 0]

    return regress(seed, model=Both(), loss=loss, data=numbers(seed, scale=0.1, noise=0.3))


def vae(seed: int) -> jr.Task:
    """Inputs rebuilt through a narrow layer; the loss is a Gaussian density with scale .1."""
    (x, _), (vx, _) = digits(seed)

    def loss(outputs: Any, targets: Any) -> Any:
        return (0.5 * (outputs - targets) ** 2 - 0.9).mean(axis=1)

    return classify(seed, model=Net(64, hidden=(64, 32)), loss=loss, data=((x, x), (vx, vx)))


def contrastive(seed: int) -> jr.Task:
    """A loss across the batch, declared as such: find the other view of the same example."""
    (x, _), (vx, _) = digits(seed)

    def views(x: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=(2, *x.shape)) * 0.3
        return (x + noise).transpose(1, 0, 2).astype(np.float32)

    class Twin(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            z = nn.Dense(16)(nn.relu(nn.Dense(64)(x)))
            return z / (1e-6 + jnp.linalg.norm(z, axis=-1, keepdims=True))

    def loss(outputs: Any, targets: Any) -> Any:
        alike = outputs[:, 0] @ outputs[:, 1].T / 0.2
        return -jnp.diagonal(jax.nn.log_softmax(alike, axis=1))

    y = np.zeros(len(x), np.int32)
    return classify(
        seed,
        model=Twin(),
        loss=loss,
        data=((views(x), y), (views(vx), y[: len(vx)])),
        examples_independent=False,
    )


def dict_inputs(seed: int) -> jr.Task:
    """Inputs as a dict with floats and integers."""

    class Two(nn.Module):
        @nn.compact
        def __call__(self, inputs: Any) -> Any:
            x = jnp.concatenate([inputs["pixels"], nn.Embed(2, 4)(inputs["side"])], axis=-1)
            return nn.Dense(10)(nn.relu(nn.Dense(64)(x)))

    def wrap(split: tuple[Any, Any]) -> tuple[Any, Any]:
        x, y = split
        return {"pixels": x, "side": (x.sum(axis=1) > 0).astype(np.int32)}, y

    train, val = digits(seed)
    return classify(seed, model=Two(), data=(wrap(train), wrap(val)))


def plain_loss(outputs: Any, targets: Any) -> Any:
    """A cross-entropy of the user's own, without a law."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def foreign(task: jr.Task, **parts: Any) -> jr.Task:
    """Returns the task with a hand-rolled trainer: NumPy momentum in a mutable object, no jit."""
    model, loss = task.model, task.loss
    example = task.train.take(np.arange(2))[0]
    rate = parts.pop("rate", 0.05)
    sign = parts.pop("sign", 1.0)
    keep = parts.pop("keep", lambda old, new: new)

    def mean_loss(params: Any, state: Any, inputs: Any, targets: Any, key: Any) -> Any:
        outputs, _ = model.apply(params, state, inputs, key=key, train=True)
        return loss(outputs, targets).mean()

    value_and_grad = jax.jit(jax.value_and_grad(mean_loss))
    forward = jax.jit(lambda params, state, inputs: model.apply(params, state, inputs)[0])

    class Loop:
        def __init__(self, key: Any) -> None:
            self.params, self.state = jax.jit(model.init)(key, example)
            self.velocity = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), self.params)

        def step(self, batch: Any, key: Any) -> float:
            args = (self.params, self.state, batch.inputs, batch.targets, key)
            value, grads = value_and_grad(*args)
            self.velocity = jax.tree.map(lambda v, g: 0.9 * v + np.asarray(g), self.velocity, grads)
            new = jax.tree.map(lambda p, v: p - sign * rate * v, self.params, self.velocity)
            self.params = keep(self.params, new)
            return float(value)

    def step(state: Loop, batch: Any, key: Any) -> tuple[Loop, Any]:
        return state, {"loss": state.step(batch, key)}

    trainer = jr.Trainer(
        init=Loop,
        step=step,
        predict=lambda state, inputs: np.asarray(forward(state.params, state.state, inputs)),
        params=lambda state: state.params,
    )
    return task.replace(trainer=trainer, **parts)


class Conv(nn.Module):
    """A small convolution, which runs its arms one after another on a CPU."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.relu(nn.Conv(8, (3, 3), strides=2)(x.reshape(-1, 8, 8, 1)))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


class Tied(nn.Module):
    """An auto-encoder whose decoder is its encoder transposed."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        embed = self.param("w", nn.initializers.lecun_normal(), (64, 32))
        return nn.tanh(x @ embed) @ embed.T


def standard(seed: int) -> jr.Task:
    """The all-linear task with an all-linear answer."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(TRAIN + VAL, 8)).astype(np.float32)
    y = (x @ rng.normal(size=(8, 2)) + 0.05 * rng.normal(size=(len(x), 2))).astype(np.float32)
    data = ((x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:]))
    return regress(seed, model=Net(2, hidden=()), data=data, optimizer=optax.adam(1e-2))


def multilabel(seed: int) -> jr.Task:
    train, val = digits(seed)
    change = lambda y: np.stack([y % 2, y > 4, y == 3], axis=1).astype(np.float32)  # noqa: E731
    return classify(
        seed,
        model=Net(3),
        loss=jr.losses.multilabel_cross_entropy(),
        data=(relabel(train, change), relabel(val, change)),
    )


def pretrained(seed: int, rate: float = 1e-5) -> jr.Task:
    """Fine-tuning: weights from earlier training on the other half of the digits, a tiny rate."""
    (x, y), (vx, vy) = digits(seed, 640, 160)
    task = classify(seed, data=((x[320:], y[320:]), (vx, vy)))
    params = jr.fit(task, steps=300, seed=seed).state.params
    model = dataclasses.replace(task.model, init=lambda key, inputs: (params, {}))
    return task.replace(model=model, train=(x[:320], y[:320]), optimizer=optax.adam(rate))


def tiny(seed: int) -> jr.Task:
    (x, y), val = digits(seed, 20, 160)
    return classify(seed, data=((x, y), val), batch_size=8)


def warm(seed: int) -> jr.Task:
    schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 50, 300)
    return classify(seed, optimizer=optax.adam(schedule))


def hinge(outputs: Any, targets: Any) -> Any:
    """Multi-class hinge loss (Crammer and Singer)."""
    right = jnp.take_along_axis(outputs, targets[:, None], axis=1)
    wrong = jnp.where(jax.nn.one_hot(targets, outputs.shape[1]) > 0, -jnp.inf, outputs)
    return jnp.maximum(0.0, 1.0 + wrong.max(axis=1) - right[:, 0])


def focal(outputs: Any, targets: Any) -> Any:
    """Focal loss, a user's own with another scale than cross-entropy."""
    log = jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[:, None], axis=1)[:, 0]
    return -((1 - jnp.exp(log)) ** 2) * log


HEALTHY: dict[str, Callable[[int], jr.Task]] = {
    "classify": classify,
    "shipped-mlp": lambda s: classify(s, model=jr.models.MLP(10)),
    "regress": regress,
    "fine-tuning": pretrained,
    "sgd-1-batch-norm": lambda s: classify(s, model=Net(10, norm=True), optimizer=optax.sgd(1.0)),
    "sgd-0.3": lambda s: classify(s, optimizer=optax.sgd(0.3)),
    "label-noise-30%": lambda s: classify(s, data=noisy(s, 0.3), label_noise=0.3),
    "imbalanced-declared": lambda s: jr.init_well(
        classify(s, model=Net(2), data=rare(s), imbalance_intended=True)
    ),
    "tiny-data": tiny,
    "regress-mean-100-well": lambda s: jr.init_well(regress(s, data=numbers(s, 100.0))),
    "regress-scale-1e4-l1": lambda s: regress(
        s, data=numbers(s, 0.0, 1e4), loss=jr.losses.l1(), optimizer=optax.adam(3.0)
    ),
    "multi-label": multilabel,
    "tokens-padded": lambda s: classify(
        s, model=Tagger(), loss=jr.losses.token_cross_entropy(pad=0), data=sequences(s)
    ),
    "linear": standard,
    "huge-batch": lambda s: classify(s, batch_size=TRAIN),
    "dropout-0.5": lambda s: classify(s, model=Net(10, dropout=0.5)),
    "adamw-0.1": lambda s: classify(s, optimizer=optax.adamw(1e-3, weight_decay=0.1)),
    "sgd-momentum-coupled-1e-4": lambda s: classify(
        s, optimizer=optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.05, momentum=0.9))
    ),
    "lamb": lambda s: classify(s, optimizer=optax.lamb(3e-3)),
    "lars": lambda s: classify(s, optimizer=optax.lars(1.0, weight_decay=1e-4, momentum=0.9)),
    "label-smoothing": lambda s: classify(s, loss=jr.losses.softmax_cross_entropy(0.1)),
    "contrastive": contrastive,
    "bf16": lambda s: classify(s, model=Net(10, dtype=jnp.bfloat16)),
    "poisson": poisson,
    "gaussian-nll": gaussian,
    "vae-negative": vae,
    "user-loss": lambda s: classify(s, loss=plain_loss),
    "hinge": lambda s: classify(s, loss=hinge),
    "focal": lambda s: classify(s, loss=focal),
    "dict-inputs": dict_inputs,
    "conv": lambda s: classify(s, model=Conv()),
    "weight-tying": lambda s: classify(
        s,
        model=Tied(),
        loss=jr.losses.l2(),
        data=tuple((x, x) for x, _ in digits(s)),
    ),
    "warm-up-cosine": warm,
    "foreign-loop": lambda s: foreign(classify(s)),
    "foreign-user-loss": lambda s: foreign(classify(s, loss=plain_loss)),
    "binary": lambda s: classify(
        s,
        model=Net(1, last=lambda x: x[:, 0]),
        data=binary(s, range(5)),
        loss=jr.losses.sigmoid_cross_entropy(),
    ),
    "frozen-trunk": lambda s: classify(s, model=Net(10, hidden=(256,)), frozen=("Dense_0/*",)),
    "accumulation": lambda s: classify(s, optimizer=optax.MultiSteps(optax.adam(3e-3), 4)),
}

# --- planted faults: (program, item that should speak, causes that may come first, component)


def double_softmax(seed: int) -> jr.Task:
    return classify(seed, model=Net(10, last=nn.softmax))


def clipped(outputs: Any, targets: Any) -> Any:
    return jnp.minimum(plain_loss(outputs, targets), 0.5)


def per_class(outputs: Any, targets: Any) -> Any:
    return plain_loss(outputs, targets) / outputs.shape[-1]


def summed(outputs: Any, targets: Any) -> Any:
    return plain_loss(outputs, targets) * outputs.shape[0]


def decayed(strength: float) -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(strength), optax.adam(1e-3))


def shuffled_labels(seed: int) -> jr.Task:
    (x, y), val = digits(seed)
    return classify(seed, data=((x, np.random.default_rng(seed).permutation(y)), val))


def leaked(seed: int) -> jr.Task:
    """The inputs carry the label, and the first weights happen to read it out."""
    train, val = digits(seed)

    def join(split: tuple[Any, Any]) -> tuple[Any, Any]:
        return np.concatenate([split[0], np.eye(10, dtype=np.float32)[split[1]]], axis=1), split[1]

    class Reads(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dense(10)(x[:, :64]) * 0.1 + x[:, 64:]

    return classify(seed, model=Reads(), data=(join(train), join(val)))


def subset(task: jr.Task) -> jr.Task:
    """The optimiser moves only the first bias."""
    label = lambda path, _: "on" if "Dense_0" in str(path) and "bias" in str(path) else "off"  # noqa: E731
    return task.replace(
        optimizer=optax.partition(
            {"on": task.optimizer, "off": optax.set_to_zero()},
            lambda params: jax.tree_util.tree_map_with_path(label, params),
        )
    )


def off_bias(key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:
    return jnp.linspace(0.0, 30.0, shape[0], dtype=dtype)


normal = nn.initializers.normal(1.0)
FAULTS: dict[str, tuple[Callable[[int], jr.Task], str, tuple[str, ...], str]] = {
    "coupled-decay-10": (
        lambda s: classify(s, optimizer=decayed(10.0)),
        "B2",
        ("decay-dominates",),
        "optimizer",
    ),
    "decoupled-decay-100": (
        lambda s: classify(s, optimizer=optax.adamw(1e-3, weight_decay=100.0)),
        "B2",
        ("decay-dominates",),
        "optimizer",
    ),
    "normal-init": (
        lambda s: classify(s, model=Net(10, kernel_init=normal)),
        "B4",
        ("init-scale",),
        "init",
    ),
    "head-bias-far-off": (
        lambda s: classify(s, model=Net(10, bias_init=off_bias)),
        "B4",
        ("init-scale",),
        "init",
    ),
    "mean-over-classes": (
        lambda s: classify(s, loss=per_class),
        "B4",
        ("loss-scale",),
        "loss",
    ),
    "sum-over-batch": (lambda s: classify(s, loss=summed), "B4", ("loss-scale",), "loss"),
    "double-softmax": (double_softmax, "B4", ("double-softmax",), "head"),
    "double-softmax-user-loss": (
        lambda s: double_softmax(s).replace(loss=plain_loss),
        "B4",
        ("double-softmax",),
        "head",
    ),
    "leaked-label": (leaked, "B4", ("label-leak",), "data"),
    "imbalance-zero-bias": (
        lambda s: classify(s, model=Net(2), data=rare(s), imbalance_intended=True),
        "B5",
        ("head-bias-ignores-prior",),
        "head",
    ),
    "mean-100-zero-bias": (
        lambda s: regress(s, data=numbers(s, 100.0)),
        "B5",
        ("head-bias-ignores-prior",),
        "head",
    ),
    "human-shuffled": (
        lambda s: classify(
            s, human=(np.arange(60), np.random.default_rng(s).permutation(digits(s)[1][1][:60]))
        ),
        "B6",
        ("human-disagrees",),
        "labels",
    ),
    "labels-shuffled": (shuffled_labels, "B7", ("inputs-ignored",), "labels"),
    "inputs-times-zero": (
        lambda s: classify(s, model=Net(10, first=lambda x: x * 0)),
        "B7",
        ("inputs-ignored",),
        "model",
    ),
    "sigmoid-for-targets-of-5": (
        lambda s: regress(s, model=Net(1, last=nn.sigmoid), data=numbers(s, 5.0)),
        "B8",
        ("outputs-cannot-reach-targets",),
        "head",
    ),
    "relu-on-targets-below-0": (
        lambda s: regress(s, model=Net(1, last=nn.relu), data=numbers(s, -1.0)),
        "B8",
        ("outputs-cannot-reach-targets",),
        "head",
    ),
    "loss-clipped": (lambda s: classify(s, loss=clipped), "B8", ("loss-clipped",), "loss"),
    "wrong-sign": (lambda s: foreign(classify(s), sign=-1.0), "B8", ("no-learning",), "step"),
    "update-discarded": (
        lambda s: foreign(classify(s), keep=lambda old, new: old),
        "B8",
        ("parameters-frozen", "no-learning"),
        "step",
    ),
    "set-to-zero": (
        lambda s: classify(s, optimizer=optax.set_to_zero()),
        "B8",
        ("parameters-frozen", "no-learning"),
        "optimizer",
    ),
    "optimizer-gets-a-subset": (
        lambda s: subset(classify(s)),
        "B8",
        ("parameters-frozen",),
        "optimizer",
    ),
    "rate-3": (
        lambda s: classify(s, optimizer=optax.adam(3.0)),
        "B11",
        ("learning-rate-too-high",),
        "optimizer",
    ),
    "rate-1e-9": (
        lambda s: classify(s, optimizer=optax.adam(1e-9)),
        "B11",
        ("learning-rate-too-low",),
        "optimizer",
    ),
    "rate-diverges": (
        lambda s: regress(s, optimizer=optax.sgd(10.0)),
        "B11",
        ("learning-rate-too-high",),
        "optimizer",
    ),
}


def findings_of(task: jr.Task, seed: int = 0, only: Sequence[str] = OWN) -> tuple[Finding, ...]:
    """Runs the skeleton checks of this folder on a task."""
    return run_checks(Context(task, seed), select(only))


def alarms(findings: Sequence[Finding]) -> list[Finding]:
    """Returns what would reach a user as an alarm."""
    return [finding for finding in findings if finding.verdict in ALARMS]


assert {check.item for check in CHECKS} >= set(OWN)
