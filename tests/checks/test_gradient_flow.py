"""Gradient flow: parameters unused, cut off, dead or symmetric, and those that only seem so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import programs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jrecipe as jr
from jrecipe.checks import Context
from jrecipe.checks.dead_units import judge_born_dead, judge_dead, measure_born_dead
from jrecipe.checks.equal_units import (
    alike,
    judge_equal_starts,
    judge_symmetry,
    many_copies,
    measure_equal_starts,
)
from jrecipe.checks.gradient_flow import check_gradient_flow
from jrecipe.checks.gradient_reach import Gradients, judge_gradients, measure_gradients
from jrecipe.checks.gradient_scale import judge_flow
from jrecipe.checks.pretrained import judge_given, measure_given
from jrecipe.checks.result import Finding, Verdict

pytestmark = pytest.mark.thin(5)

cut = jax.lax.stop_gradient


class Net(nn.Module):
    """Two layers; what varies is what lies between, beside and how it starts."""

    between: Callable[[Any], Any] = nn.relu
    side: Callable[[Any], Any] | None = None
    first: Callable[[Any], Any] = lambda x: x
    norm: bool = False
    kernel: Callable[..., Any] = nn.initializers.lecun_normal()
    bias: Callable[..., Any] = nn.initializers.zeros
    head: Callable[..., Any] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        h = nn.Dense(16, kernel_init=self.kernel, bias_init=self.bias)(self.first(x))
        if self.norm:
            h = nn.BatchNorm(use_running_average=not train)(h)
        if self.side is not None:
            h = h + self.side(nn.Dense(16, name="side")(x))
        return nn.Dense(10, kernel_init=self.head)(self.between(h))


class Experts(nn.Module):
    """Each example goes to the one expert of four that a gate picks."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        gate = nn.softmax(nn.Dense(4, name="gate")(x))
        chosen = jax.nn.one_hot(gate.argmax(axis=-1), 4) * gate
        parts = [
            nn.relu(nn.Dense(8, name=f"expert_{i}")(x)) * chosen[:, i : i + 1] for i in range(4)
        ]
        return nn.Dense(10, name="head")(sum(parts))


class Attends(nn.Module):
    """Attention over the rows of a picture; `letter` is what weighs the values."""

    letter: str = "k"

    @nn.compact
    def __call__(self, x: Any) -> Any:
        rows = x.reshape(len(x), 8, 8)
        query, key, value = (nn.Dense(8, name=name)(rows) for name in ("query", "key", "value"))
        weights = nn.softmax(jnp.einsum("bqd,bkd->bqk", query, key))
        mixed = jnp.einsum(f"bqk,b{self.letter}d->bqd", weights, value)
        return nn.Dense(10, name="head")(mixed.reshape(len(x), -1))


class Heads(nn.Module):
    """Flax's own attention: the bias of its keys [heads, width] has no effect."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        rows = nn.MultiHeadDotProductAttention(num_heads=2)(x.reshape(len(x), 8, 8))
        return nn.Dense(10, name="head")(rows.reshape(len(x), -1))


class LowRank(nn.Module):
    """A frozen kernel with a low-rank correction that starts at 0."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        a = self.param("a", nn.initializers.lecun_normal(), (64, 4))
        b = self.param("b", nn.initializers.zeros, (4, 16))
        return nn.Dense(10)(nn.relu(nn.Dense(16)(x) + x @ a @ b))


class Gated(nn.Module):
    """A residual branch behind a factor that starts at 0."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        h = nn.Dense(16)(x)
        gate = self.param("gate", nn.initializers.zeros, ())
        return nn.Dense(10)(nn.relu(h + gate * nn.Dense(16, name="branch")(nn.relu(h))))


class Two(nn.Module):
    """Two answers, of which a loss may read one."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        h = nn.relu(nn.Dense(16)(x))
        return {"logits": nn.Dense(10, name="main")(h), "other": nn.Dense(3, name="extra")(h)}


def only_logits(outputs: Any, targets: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], targets)


def both(outputs: Any, targets: Any) -> Any:
    return only_logits(outputs, targets) + (outputs["other"] ** 2).sum(axis=1)


def rounded_loss(outputs: Any, targets: Any) -> Any:
    return (outputs.argmax(axis=1) != targets).astype(jnp.float32)


def root_loss(outputs: Any, targets: Any) -> Any:
    return jnp.sqrt(jnp.abs(outputs).sum(axis=1)) + 0.0 * targets


constant, zeros = nn.initializers.constant, nn.initializers.zeros
HEALTHY: dict[str, Callable[[], jr.Task]] = {
    "plain JAX": lambda: programs.task(),
    "zero head": lambda: programs.task(Net(head=zeros)),
    "bias before BatchNorm": lambda: programs.task(Net(norm=True)),
    "experts": lambda: programs.task(Experts()),
    "low rank": lambda: programs.task(LowRank()),
    "attention": lambda: programs.task(Attends()),
    "attention with a bias per head": lambda: programs.task(Heads()),
    "gate at 0": lambda: programs.task(Gated()),
    "two answers": lambda: programs.task(Two(), both),
    "cut, as declared": lambda: programs.task(
        Net(between=lambda x: cut(nn.relu(x))), frozen=("Dense_0/*",)
    ),
}
FAULTS: dict[str, tuple[Callable[[], jr.Task], str, str]] = {
    "cut": (
        lambda: programs.task(Net(between=lambda x: cut(nn.relu(x)))),
        "gradient-cut",
        "Dense_0/kernel, Dense_0/bias",
    ),
    "rounded": (
        lambda: programs.task(Net(between=jnp.round)),
        "gradient-cut",
        "Dense_0/kernel, Dense_0/bias",
    ),
    "branch forgotten": (
        lambda: programs.task(Net(side=jnp.zeros_like)),
        "parameters-unused",
        "side/kernel, side/bias",
    ),
    "branch times 0": (
        lambda: programs.task(Net(side=lambda x: 0.0 * x)),
        "parameters-unused",
        "side/kernel, side/bias",
    ),
    "attention to oneself": (
        lambda: programs.task(Attends("q")),
        "parameters-unused",
        "key/kernel, query/kernel",
    ),
    "layer off": (
        lambda: programs.task(Net(bias=constant(-50.0))),
        "dead-units",
        "Dense_0/kernel",
    ),
    "layer saturated": (
        lambda: programs.task(Net(bias=constant(50.0), between=jnp.tanh)),
        "dead-units",
        "Dense_0/kernel",
    ),
    "inputs times 0": (
        lambda: programs.task(Net(first=lambda x: 0.0 * x)),
        "inputs-ignored",
        "Dense_0/kernel",
    ),
    "answer that the loss leaves out": (
        lambda: programs.task(Two(), only_logits),
        "loss-ignores-outputs",
        "extra/kernel, extra/bias",
    ),
    "loss without a slope": (
        lambda: programs.task(Net(), rounded_loss),
        "gradient-cut",
        "Dense_0/kernel, Dense_1/kernel, Dense_0/bias, Dense_1/bias",
    ),
    "root at 0": (
        lambda: programs.task(Net(head=zeros), root_loss),
        "not-finite",
        "Dense_0/kernel, Dense_1/kernel, Dense_0/bias, Dense_1/bias",
    ),
}


def gradients(subject: jr.Task, seed: int = 0) -> Finding:
    return judge_gradients(measure_gradients(Context(subject, seed)), [("Dense_0/kernel", 1.0)])


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_parameters_that_learn_are_silent(name):
    assert gradients(HEALTHY[name]()).verdict is Verdict.PASSED


@pytest.mark.thin(15)
@pytest.mark.parametrize("name", FAULTS)
def test_parameters_without_a_gradient_are_named(name):
    build, cause, where = FAULTS[name]
    suspect = gradients(build()).suspects[0]
    assert (suspect.cause, suspect.where) == (cause, where)
    assert suspect.component == ("loss" if "loss" in name or "root" in name else suspect.component)


@pytest.mark.slow
def test_units_born_dead_or_equal_are_found():
    half = lambda key, shape, dtype: jnp.where(jnp.arange(16) < 15, -50.0, 0.0).astype(dtype)  # noqa: E731
    dead = judge_born_dead(measure_born_dead(Context(programs.task(Net(bias=half)))))
    assert dead is not None
    assert (dead.suspects[0].cause, dead.suspects[0].where) == ("dead-units", "Dense_0/kernel")
    flat = judge_equal_starts(
        measure_equal_starts(Context(programs.task(Net(kernel=constant(0.1)))))
    )
    assert flat is not None
    assert (flat.suspects[0].cause, flat.suspects[0].where) == ("init-symmetric", "Dense_0/kernel")
    for subject in (
        programs.task(Net()),
        programs.task(LowRank()),
    ):
        context = Context(subject)
        assert judge_born_dead(measure_born_dead(context)) is None
        assert judge_equal_starts(measure_equal_starts(context)) is None


def test_frozen_weights_must_be_given():
    random = programs.task(Net(), frozen=("Dense_0/*",))
    found = judge_given(*measure_given(Context(random)))
    assert found is not None
    assert (found.suspects[0].cause, found.suspects[0].where) == (
        "pretrained-not-loaded",
        "Dense_0/kernel",
    )
    loaded = programs.task(Net(kernel=programs.constant), frozen=("Dense_0/*",))
    assert judge_given(*measure_given(Context(loaded))) is None
    assert judge_given(*measure_given(Context(programs.task(Net())))) is None


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_whole_check_on_a_symmetric_network_and_its_twin():
    worst = programs.check(check_gradient_flow, programs.task(Net(kernel=zeros, head=zeros)))[0]
    assert worst.verdict is Verdict.FAILED
    assert worst.suspects[0].cause == "init-symmetric"
    assert "Dense_0/kernel" in worst.suspects[0].where
    assert [f.verdict for f in programs.check(check_gradient_flow, programs.task())] == [
        Verdict.PASSED
    ]


@given(st.integers(0, 2**31 - 1))
def test_equal_units_are_told_from_random_ones(seed):
    rng = np.random.default_rng(seed)
    leaf = rng.normal(size=(5, 7))
    flat = np.repeat(leaf[:, :1], 7, axis=1)
    assert alike(leaf) == ""
    assert alike(flat * (1 + 1e-6 * leaf)) == "units"
    assert alike(flat.T) == "inputs"
    assert alike(leaf[0]) == ""
    same, slope = {"w": flat}, {"w": np.ones((5, 7))}
    assert judge_symmetry(same, same, slope, 300) is not None
    assert judge_symmetry(same, same, {"w": leaf}, 300) is None  # not yet moved, but it will
    assert judge_symmetry({"w": leaf}, same, slope, 300) is None
    assert judge_symmetry(same, {"w": leaf}, slope, 300) is None


@given(st.integers(0, 2**31 - 1))
def test_copied_units_are_told_from_random_ones(seed):
    rng = np.random.default_rng(seed)
    leaf = rng.normal(size=(5, 8))
    tiled = np.repeat(leaf[:, :4], 2, axis=1)
    assert many_copies(tiled)
    assert not many_copies(leaf)
    assert not many_copies(np.zeros((5, 8)))
    same = {"w": tiled}
    assert judge_symmetry(same, same, same, 300).suspects[0].cause == "init-symmetric"
    assert judge_symmetry(same, same, {"w": leaf}, 300) is None  # not yet moved, but it will
    assert judge_symmetry(same, {"w": leaf}, same, 300) is None
    assert judge_symmetry({"w": leaf}, same, same, 300) is None


@pytest.mark.exhaustive
def test_tiled_units_of_a_network_are_found():
    def tiled(key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:
        return jnp.repeat(nn.initializers.lecun_normal()(key, (shape[0], shape[1] // 2)), 2, 1)

    def halved(key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:
        return jnp.repeat(nn.initializers.lecun_normal()(key, (shape[0] // 2, shape[1])), 2, 0)

    finding, *_ = programs.check(check_gradient_flow, programs.task(Net(kernel=tiled, head=halved)))
    assert finding.suspects[0].cause == "init-symmetric"
    assert finding.suspects[0].where == "Dense_0/kernel"
    # Copies that different weights read soon part.
    (finding,) = programs.check(check_gradient_flow, programs.task(Net(kernel=tiled)))
    assert finding.verdict is Verdict.PASSED


def test_judges_by_numbers():
    passed = judge_gradients(Gradients(leaves=4, without={}))
    assert passed.verdict is Verdict.PASSED
    warned = judge_gradients(Gradients(leaves=4, without={"a": "unselected"}))
    assert warned.verdict is Verdict.WARNED
    blind = judge_gradients(Gradients(leaves=1, without={"a": "cut"}, loss_blind=True))
    assert blind.suspects[0].component == "loss"
    slopes, weights = {"a": np.eye(2) * 1e-9, "b": np.eye(2)}, {"a": np.eye(2), "b": np.eye(2)}
    assert judge_flow(slopes, weights, 1.0) is None
    found = judge_flow(slopes, weights, 0.3)
    assert found is not None
    assert found.suspects[0].where == "a"
    assert judge_flow({**slopes, "a": np.eye(2)}, weights, 0.3) is None
    assert judge_dead([("a", 0.95)], 1.0) is None
    assert judge_dead([("a", 0.5)], 0.1) is None
    assert judge_dead([("a", 0.95)], 0.1) is not None
    assert judge_born_dead([("a", 64, [0.6, 0.9])]) is None
    assert judge_born_dead([("a", 64, [0.75, 0.7])]) is not None
    assert judge_given(["a"], 2) is not None


def test_foreign_trainers_are_skipped():
    trainer = jr.Trainer(
        init=lambda key: {"w": programs.weights(64, 10)},
        step=lambda state, batch, key: (state, {}),
        predict=lambda state, x: x @ state["w"],
        params=lambda state: state,
    )
    subject = jr.Task(
        loss=jr.losses.softmax_cross_entropy(), trainer=trainer, **programs.digit_splits()
    )
    assert [f.verdict for f in programs.check(check_gradient_flow, subject)] == [Verdict.SKIPPED]
