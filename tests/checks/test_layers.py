"""Layers: what the program of a network says about them, scales, and missing non-linearities."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import programs
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import jrecipe as jr
from jrecipe.checks import Context
from jrecipe.checks.data_flow import collapsible, follow
from jrecipe.checks.layers import Step, check_layers, judge_links, judge_scales, misscaled
from jrecipe.checks.program_walk import trace
from jrecipe.checks.result import Finding, Verdict

pytestmark = pytest.mark.thin(7)


def links_of(function: Callable[..., Any], params: dict[str, Any], x: Any) -> list[str]:
    """Returns the pairs without a non-linearity in a function of (params, x)."""
    program = trace(function, params, x)
    names = dict(zip(program.inputs, sorted(params), strict=False))
    flow = follow(program, names, program.inputs[len(params) :])
    return [f"{flow.products[i].path}>{flow.products[j].path}" for i, j in collapsible(flow)]


def square(*names: str, width: int = 4) -> dict[str, Any]:
    return {name: jnp.ones((width, width)) * (i + 1) for i, name in enumerate(names)}


X = jnp.ones((3, 4))
ABC = square("a", "b", "c")
attention = lambda p, x: (  # noqa: E731
    jax.nn.softmax((x @ p["a"]) @ (x @ p["b"]).T) @ (x @ p["c"])
)
CHAINS: dict[str, tuple[Callable[..., Any], dict[str, Any], list[str]]] = {
    "linear": (lambda p, x: x @ p["a"] @ p["b"], ABC, ["a>b"]),
    "jit and remat": (
        lambda p, x: jax.jit(jax.checkpoint(lambda x: x @ p["a"]))(x) @ p["b"],
        ABC,
        ["a>b"],
    ),
    "bias, scale, mean, transpose": (
        lambda p, x: ((x @ p["a"] + 1.0).T * 3.0).mean(axis=0, keepdims=True).T @ p["b"][:1],
        ABC,
        [],  # a sum over a set, as in deep sets
    ),
    "bias, scale, concatenation": (
        lambda p, x: jnp.concatenate([x @ p["a"] + 1.0, x], axis=0) * 3.0 @ p["b"],
        ABC,
        ["a>b"],
    ),
    "random mask": (
        lambda p, x: jnp.where(jnp.eye(3, 4) > 0, x @ p["a"], 0.0) @ p["b"],
        ABC,
        ["a>b"],
    ),
    "relu": (lambda p, x: jax.nn.relu(x @ p["a"]) @ p["b"], ABC, []),
    "leaky relu": (lambda p, x: jax.nn.leaky_relu(x @ p["a"]) @ p["b"], ABC, []),
    "gelu": (lambda p, x: jax.nn.gelu(x @ p["a"]) @ p["b"], ABC, []),
    "square": (lambda p, x: (x @ p["a"]) ** 2 @ p["b"], ABC, []),
    "layer norm": (lambda p, x: jax.nn.standardize(x @ p["a"]) @ p["b"], ABC, []),
    "residual stream": (
        lambda p, x: (h := x @ p["a"]) + jax.nn.relu(h @ p["b"]) @ p["c"],
        ABC,
        [],
    ),
    "linear residual": (
        lambda p, x: ((h := x @ p["a"]) + h @ p["b"]) @ p["c"],
        ABC,
        ["a>b", "a>c", "b>c"],
    ),
    "attention": (attention, ABC, []),
    "stem before attention": (lambda p, x: attention(p, x @ p["d"]), square(*"abcd"), []),
    "projection after attention": (
        lambda p, x: attention(p, x) @ p["d"] @ p["e"],
        square(*"abcde"),
        [],
    ),
    "gate": (lambda p, x: (x @ p["a"]) * jax.nn.sigmoid(x @ p["b"]) @ p["c"], ABC, []),
    "tied": (lambda p, x: x @ p["a"] @ p["a"].T, square("a"), []),
    "low rank": (lambda p, x: x @ p["a"][:, :2] @ p["b"][:2], ABC, []),
    "bottleneck auto-encoder": (lambda p, x: x @ p["a"][:, :3] @ p["b"][:3], ABC, []),
    "one-hot embedding": (
        lambda p, x: jax.nn.one_hot(x[:, 0].astype(int), 4) @ p["a"] @ p["b"],
        ABC,
        [],
    ),
    "table": (lambda p, x: p["a"][x[:, 0].astype(int)] @ p["b"], ABC, []),
    "fixed matrix between": (lambda p, x: x @ p["a"] @ jnp.eye(4) @ p["b"], ABC, ["a>b"]),
    "scan": (
        lambda p, x: jax.lax.scan(lambda h, w: (jnp.tanh(h @ p["a"] @ p["b"]), 0), x, None, 2)[0],
        ABC,
        ["a>b"],
    ),
    "recurrence": (
        lambda p, x: jax.lax.scan(lambda h, _: (jnp.tanh(h @ p["a"]), 0), x @ p["b"], None, 2)[0],
        ABC,
        [],
    ),
    "branch": (
        lambda p, x: jax.lax.cond(True, lambda x: x @ p["a"], lambda x: x, x) @ p["b"],
        ABC,
        [],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_lies_between_two_products(name):
    function, params, expected = CHAINS[name]
    assert links_of(function, params, X) == expected


def test_a_narrow_layer_that_is_no_bottleneck_is_found():
    chain = lambda p, x: x @ p["a"][:, :3] @ p["b"][:3, :2]  # noqa: E731
    assert links_of(chain, ABC, X) == ["a>b"]


class Net(nn.Module):
    """Three layers; what varies is how they start and what lies between."""

    activate: Callable[[Any], Any] = nn.relu
    second: Callable[[Any], Any] = nn.relu
    start: Callable[..., Any] = nn.initializers.lecun_normal()
    norm: bool = False

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        for act in (self.activate, self.second):
            x = nn.Dense(24, kernel_init=self.start)(x)
            if self.norm:
                x = nn.BatchNorm(use_running_average=not train)(x)
            x = act(nn.Dropout(0.2, deterministic=not train)(x))
        return nn.Dense(10)(x)


class Separable(nn.Module):
    """Depthwise then pointwise convolutions, with nothing between."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(8, (3, 3))(x.reshape(-1, 8, 8, 1))
        x = nn.Conv(8, (3, 3), feature_group_count=8)(nn.relu(x))
        x = nn.relu(nn.Conv(16, (1, 1))(x))
        return nn.Dense(10)(x.mean(axis=(1, 2)))


class Reparametrised(nn.Module):
    """A code with noise in training; the decoder reads its mean in evaluation."""

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        h = nn.relu(nn.Dense(16)(x))
        mean, log = nn.Dense(16)(h), nn.Dense(16)(h)
        if train:
            mean = mean + jnp.exp(log) * jax.random.normal(self.make_rng("dropout"), mean.shape)
        return nn.Dense(10)(mean)


class Nnx(nnx.Module):
    """Two layers in NNX."""

    def __init__(self, rngs: nnx.Rngs, bend: bool) -> None:
        self.one, self.two = nnx.Linear(64, 16, rngs=rngs), nnx.Linear(16, 10, rngs=rngs)
        self.bend = bend

    def __call__(self, x: Any) -> Any:
        x = self.one(x)
        return self.two(jnp.tanh(x) if self.bend else x)


def says(subject: jr.Task, seed: int = 0) -> tuple[str, str]:
    finding: Finding = programs.check(check_layers, subject, seed)[0]
    alarm = finding.verdict in (Verdict.FAILED, Verdict.WARNED)
    assert alarm == bool(finding.suspects)
    return (finding.suspects[0].cause, finding.suspects[0].where) if alarm else ("", "")


def linear_answer() -> dict[str, Any]:
    """A regression that a line solves."""
    x, _ = programs.digits()
    y = (x @ np.random.default_rng(0).normal(size=(64, 3))).astype(np.float32)
    return {"train": (x[:300], y[:300]), "val": (x[300:450], y[300:450])}


keep = lambda x: x  # noqa: E731
HEALTHY: dict[str, Callable[[], jr.Task]] = {
    "three layers with BatchNorm": lambda: programs.task(Net(norm=True)),
    "He": lambda: programs.task(Net(start=nn.initializers.he_normal())),
    "N(0, 1) repaired by BatchNorm": lambda: programs.task(
        Net(start=nn.initializers.normal(1.0), norm=True)
    ),
    "N(0, 1) before a sine": lambda: programs.task(
        Net(start=nn.initializers.normal(1.0), activate=jnp.sin, second=jnp.sin)
    ),
    "depthwise-separable": lambda: programs.task(Separable()),
    "reparametrised": lambda: programs.task(Reparametrised()),
    "zeros": lambda: programs.task(Net(start=nn.initializers.zeros)),
    "linear task": lambda: programs.task(
        Net(activate=keep, second=keep), loss=jr.losses.l2(), **linear_answer()
    ),
    "nnx": lambda: programs.task(lambda rngs: Nnx(rngs, True)),
    "plain JAX": lambda: programs.task(),
}
FAULTS: dict[str, tuple[Callable[[], jr.Task], tuple[str, str]]] = {
    "second activation left out": (
        lambda: programs.task(Net(second=keep)),
        ("missing-nonlinearity", "Dense_1/kernel -> Dense_2/kernel"),
    ),
    "first left out, BatchNorm between": (
        lambda: programs.task(Net(activate=keep, norm=True)),
        ("missing-nonlinearity", "Dense_0/kernel -> Dense_1/kernel"),
    ),
    "nnx": (
        lambda: programs.task(lambda rngs: Nnx(rngs, False)),
        ("missing-nonlinearity", "one/kernel -> two/kernel"),
    ),
    "N(0, 1)": (
        lambda: programs.task(Net(start=nn.initializers.normal(1.0))),
        ("init-scale", "Dense_0/kernel, Dense_1/kernel"),
    ),
    "tiny": (
        lambda: programs.task(Net(start=nn.initializers.normal(1e-5))),
        ("init-scale", "Dense_0/kernel"),
    ),
    "saturated": (
        lambda: programs.task(
            Net(activate=jnp.tanh, second=jnp.tanh, start=nn.initializers.normal(2.0))
        ),
        ("init-scale", "Dense_0/kernel, Dense_1/kernel"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_layers_are_silent(name):
    assert says(HEALTHY[name]()) == ("", "")


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_layer_is_named(name):
    build, expected = FAULTS[name]
    cause, where = says(build())
    assert cause == expected[0]
    assert where.startswith(expected[1])


@given(st.integers(0, 2**31 - 1))
def test_healthy_scales_pass_for_any_seed(seed):
    rng = np.random.default_rng(seed)
    sizes = np.cumprod(rng.uniform(0.3, 2.0, size=4))
    steps = [
        Step(f"{i}", a, 1.3 * b, f"{i + 1}", b)
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    ]
    assert misscaled(steps) == []
    assert judge_scales(steps).verdict is Verdict.PASSED


def test_scales_are_judged_by_numbers():
    loud = Step("a", 1.0, 8.0, "b", 5.6)
    assert judge_scales([loud]).suspects[0].where == "a"
    assert judge_scales([loud]).verdict is Verdict.WARNED
    assert judge_scales([Step("a", 1.0, 80.0, "b", 60.0)]).verdict is Verdict.FAILED
    assert judge_scales([Step("a", 1.0, 8.0, "b", 0.7)]).ok  # a sine or a norm between
    assert judge_scales([Step("a", 1.0, 0.0, "b", 0.0)]).verdict is Verdict.PASSED
    assert judge_scales([Step("a", 1e-6, 1e-8, "b", 1e-8)]).verdict is Verdict.PASSED
    assert judge_scales([Step("a", 1.0, 1e-4, "b", 5e-4)]).verdict is Verdict.WARNED
    assert judge_scales([], [("a", 8.0, 0.7)]).suspects[0].where == "a"
    assert judge_scales([], [("a", 1.0, 0.7)]).verdict is Verdict.PASSED  # by the inputs' size
    assert judge_links([], 1).verdict is Verdict.PASSED


def foreign(bend: bool, traceable: bool, after: Callable[[Any], Any] = keep) -> jr.Task:
    """Returns a trainer of one's own that never learns; `predict` may leave JAX."""
    weights = {"u": programs.weights(64, 16), "v": programs.weights(16, 10)}

    def predict(state: Any, x: Any) -> Any:
        x = x if traceable else np.asarray(x)
        hidden = x @ state["u"]
        return after((jnp.tanh(hidden) if bend else hidden) @ state["v"])

    trainer = jr.Trainer(
        init=lambda key: dict(weights),
        step=lambda state, batch, key: (state, {}),
        predict=predict,
        params=lambda state: state,
    )
    return jr.Task(
        loss=jr.losses.softmax_cross_entropy(), trainer=trainer, **programs.digit_splits()
    )


@pytest.mark.parametrize("traceable", [True, False])
def test_foreign_networks_are_read_or_judged_by_their_outputs(traceable):
    assert says(foreign(True, traceable)) == ("", "")
    assert says(foreign(False, traceable)) == ("missing-nonlinearity", "u -> v")
    if not traceable:
        assert says(foreign(False, False, jax.nn.softmax))[0] == "missing-nonlinearity"
        assert says(foreign(True, False, jax.nn.softmax)) == ("", "")


def test_frozen_layers_may_be_linear():
    subject = programs.task(Net(activate=keep), frozen=("Dense_0/*",))
    assert says(subject) == ("", "")


def test_nothing_is_written_into_the_task():
    context = Context(programs.task(Net()), seed=3)
    before = jax.tree.map(np.array, context.variables())
    check_layers(context)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.array, context.variables()))
