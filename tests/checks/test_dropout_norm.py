"""Dropout in front of BatchNorm is found in every way of writing it, and nowhere else."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from programs import CLASSES, check, foreign, task, two_layers, weights

import jrecipe as jr
from jrecipe.checks.dropout_norm import Shift, check_dropout_norm, judge_shifts
from jrecipe.checks.result import Verdict
from jrecipe.models import SpatialDropout, StochasticDepth

PASSED, WARNED, SKIPPED = Verdict.PASSED, Verdict.WARNED, Verdict.SKIPPED


class Net(nn.Module):
    """Two hidden layers in Linen; `order` says what stands between and behind them."""

    order: tuple[str, str] = ("norm drop", "norm")
    rate: float = 0.5

    @nn.compact
    def __call__(self, x, train: bool = False):
        for i, part in enumerate(self.order):
            x = nn.Dense(24, name=f"dense{i}")(x)
            for name in part.split():
                if name == "norm":
                    x = nn.BatchNorm(use_running_average=not train, name=f"norm{i}")(x)
                elif name == "layer":
                    x = nn.LayerNorm()(x)
                elif name == "drop":
                    x = nn.Dropout(self.rate, deterministic=not train)(nn.relu(x))
        return nn.Dense(CLASSES)(nn.relu(x))


class Pictures(nn.Module):
    """A convolutional network; `block` drops channels, or branches, before a BatchNorm."""

    block: str = "spatial"

    @nn.compact
    def __call__(self, x, train: bool = False):
        norm = lambda x: nn.BatchNorm(use_running_average=not train)(x)  # noqa: E731
        x = nn.relu(norm(nn.Conv(8, (3, 3))(x.reshape(-1, 8, 8, 1))))
        if self.block == "spatial":
            x = SpatialDropout(0.5)(x, deterministic=not train)
        else:
            x = x + StochasticDepth(0.5)(nn.relu(nn.Conv(8, (3, 3))(x)), deterministic=not train)
        x = nn.relu(norm(nn.Conv(8, (3, 3))(x)))
        return nn.Dense(CLASSES)(x.mean(axis=(1, 2)))


class NnxNet(nnx.Module):
    """Dense, dropout, BatchNorm (or the other way round), dense in NNX."""

    def __init__(self, rngs: nnx.Rngs, before: bool = True):
        self.first, self.last = nnx.Linear(64, 24, rngs=rngs), nnx.Linear(24, CLASSES, rngs=rngs)
        self.norm, self.drop = nnx.BatchNorm(24, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.before = before

    def __call__(self, x):
        x = nnx.relu(self.first(x))
        return self.last(self.norm(self.drop(x)) if self.before else self.drop(self.norm(x)))


def by_hand(how: str, before: bool = True) -> jr.Model:
    """BatchNorm and dropout in plain functions, dropping by `where` or by a product."""

    def init(key, inputs):
        stats = {"mean": jnp.zeros(16), "var": jnp.ones(16), "seen": jnp.zeros((), jnp.int32)}
        return two_layers().init(key, inputs)[0], stats

    def drop(x, key):
        kept = jax.random.uniform(key, x.shape) < 0.5
        if how == "where":
            return jnp.where(kept, x / 0.5, 0.0)
        return x * kept / 0.5 if how == "product" else x * (kept.astype(x.dtype) * 2.0)

    def apply(params, state, inputs, *, key=None, train=False):
        h = jax.nn.relu(inputs @ params["w1"])
        h = drop(h, key) if train and before else h
        mean, var = (h.mean(0), h.var(0)) if train else (state["mean"], state["var"])
        if train:
            old, seen = state, state["seen"] + 1
            state = {name: 0.9 * old[name] + 0.1 * x for name, x in (("mean", mean), ("var", var))}
            state["seen"] = seen
        h = (h - mean[None]) * jax.lax.rsqrt(var + 1e-5)[None]
        h = drop(h, key) if train and not before else h
        return h @ params["w2"], state

    return jr.Model(init, apply)


def flips_inside() -> jr.Model:
    """Mirrors half of the inputs, and scales them by chance, before BatchNorm: no dropout."""
    inner = by_hand("where", before=False)

    def apply(params, state, inputs, *, key=None, train=False):
        x = inputs
        if train:
            one, two = jax.random.split(jax.random.fold_in(key, 7))
            flip = jax.random.bernoulli(one, 0.5, x.shape)
            x = jnp.where(flip, x[:, ::-1], x) * jax.random.uniform(two, x.shape, minval=0.5)
        return inner.apply(params, state, x, key=key, train=train)

    return jr.Model(inner.init, apply)


def frozen_statistics() -> jr.Model:
    """Dropout before a BatchNorm that normalises by given statistics, also in training."""

    def apply(params, state, inputs, *, key=None, train=False):
        outputs, _ = by_hand("where").apply(params, state, inputs, key=key, train=train)
        return outputs, state

    return jr.Model(by_hand("where").init, apply)


BROKEN: dict[str, tuple[Any, str, float]] = {
    # name -> network, where, variance ratio at least
    "dropout, dense, norm": (Net(), "batch_stats/norm1", 1.15),
    "dropout, norm": (Net(("norm", "drop norm")), "batch_stats/norm1", 1.5),
    "of two, the worse": (Net(("drop norm", "norm")), "batch_stats/norm0", 1.5),
    "rate 0.2, norm": (Net(("norm", "drop norm"), 0.2), "batch_stats/norm1", 1.15),
    "channels": (Pictures(), "batch_stats/BatchNorm_1", 1.15),
    "nnx": (NnxNet, "norm", 1.5),
    "plain, where": (by_hand("where"), "var", 1.5),
    "plain, product": (by_hand("product"), "var", 1.5),
    "plain, scaled mask": (by_hand("scaled"), "var", 1.5),
}
HEALTHY = {
    "dropout behind the last norm": Net(("norm", "norm drop")),
    "dropout without norm": Net(("drop", "drop")),
    "norm without dropout": Net(("norm", "norm")),
    "dropout of rate 0": Net(rate=0.0),
    "a rate that hardly matters": Net(rate=0.02),
    "layer norm": Net(("layer drop", "layer")),
    "nnx, behind": lambda rngs: NnxNet(rngs, before=False),
    "plain, behind": by_hand("product", before=False),
    "plain, without a state": two_layers(),
    "flips and scales": flips_inside(),
    "statistics that stay": frozen_statistics(),
    "stochastic depth": Pictures("depth"),
}


@pytest.mark.thin(9)
@pytest.mark.parametrize("name", BROKEN)
def test_dropout_before_normalisation_is_warned_of_with_its_ratio(name):
    model, where, least = BROKEN[name]
    (found,) = check(check_dropout_norm, task(model))
    assert found.verdict is WARNED
    assert (found.item, found.suspects[0].cause) == ("D9", "variance-shift")
    assert found.suspects[0].where == where
    assert found.evidence["variance_ratio"] > least
    assert f"{found.evidence['variance_ratio']:.2f} times the variance" in found.finding


@pytest.mark.thin(8)
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_networks_are_silent(name):
    (found,) = check(check_dropout_norm, task(HEALTHY[name]))
    assert found.verdict is PASSED
    assert not found.suspects


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_the_ratio_is_that_of_theory(rate):
    # Directly behind dropout: E[x^2] / (1 - r) - E[x]^2 against E[x^2] - E[x]^2.
    subject = task(by_hand("where") if rate == 0.5 else Net(("norm", "drop norm"), rate))
    (found,) = check(check_dropout_norm, subject)
    if rate == 0.5:
        h = np.maximum(jr.checks.Context(subject).batch(64).inputs @ weights(64, 16), 0)
        h = np.asarray(h, np.float64)
        more = ((h**2).mean(0) * rate / (1 - rate)).sum() / h.var(0).sum()
        error = 5 * found.evidence["variance_ratio_stderr"] + 2 / 64  # and of the batch's mean
        assert found.evidence["variance_ratio"] == pytest.approx(1 + more, abs=error)
    else:  # x = relu(normal): E[x^2] = 1/2, variance 1/2 - 1/(2 pi)
        more = 0.5 * rate / (1 - rate) / (0.5 - 0.5 / np.pi)
        assert found.evidence["variance_ratio"] == pytest.approx(1 + more, rel=0.15)


def test_a_foreign_trainer_is_skipped_with_a_reason():
    (found,) = check(check_dropout_norm, task(trainer=foreign()))
    assert found.verdict is SKIPPED
    assert "foreign trainer" in found.finding


def shift(ratio: float, stderr: float = 0.0) -> Shift:
    return Shift(path="batch_stats/norm/var", ratio=ratio, stderr=stderr)


@pytest.mark.parametrize(
    ("shifts", "verdict"),
    [
        ([], PASSED),
        ([shift(1.0)], PASSED),
        ([shift(0.5)], PASSED),
        ([shift(1.09)], PASSED),
        ([shift(1.11)], WARNED),
        ([shift(1.0), shift(1.3)], WARNED),
        ([shift(1.3, stderr=0.1)], PASSED),  # may be chance
        ([shift(float("nan"))], PASSED),
    ],
)
def test_the_judge_at_its_borders(shifts, verdict):
    assert judge_shifts(shifts).verdict is verdict


def test_it_is_registered_and_can_be_silenced():
    subject = task(Net())
    context = jr.checks.Context(subject)
    (only,) = jr.checks.run_checks(context, jr.checks.select(["D9"]))
    assert only.verdict is WARNED
    (silenced,) = jr.checks.run_checks(
        context, jr.checks.select(["dropout-before-norm"]), ignore=["variance-shift"]
    )
    assert silenced.verdict is SKIPPED
