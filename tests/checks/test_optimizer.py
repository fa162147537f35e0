"""G14: optimisers of every kind are understood, and what is wrong with one is named and placed."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import skeleton_programs as programs
from hypothesis import given
from hypothesis import strategies as st
from optax import contrib

from jrecipe.checks.context import Context
from jrecipe.checks.optimizer import check_optimizer, judge_optimizer
from jrecipe.checks.optimizer_answers import Answers, ask, responds_at_size
from jrecipe.checks.optimizer_judges import judge_schedule
from jrecipe.checks.optimizer_probe import Probe, describe
from jrecipe.checks.result import Finding, Verdict

pytestmark = pytest.mark.thin(5)

BIASES = "Dense_0/bias, Dense_1/bias"


@functools.cache
def net() -> tuple[Any, Any]:
    """Parameters of a small network, and a gradient."""
    rng = np.random.default_rng(0)

    def layer(n: int, m: int, g: float) -> tuple[Any, Any]:
        params = {"bias": np.zeros(m), "kernel": rng.normal(size=(n, m)) / n**0.5}
        grads = {"bias": g * rng.normal(size=m), "kernel": g * rng.normal(size=(n, m))}
        return params, grads

    layers = {"Dense_0": layer(64, 32, 0.02), "Dense_1": layer(32, 10, 0.05)}
    both = [{name: pair[i] for name, pair in layers.items()} for i in (0, 1)]
    return tuple(jax.tree.map(lambda x: np.asarray(x, np.float32), tree) for tree in both)


def answers(tx: Any, seed: int = 0, frozen: tuple[str, ...] = ()) -> Answers:
    params, grads = net()
    return ask(Probe(tx, params, describe(params, grads, frozen)), seed)


def alarms(tx: Any, seed: int = 0, steps_per_epoch: float = 10) -> list[Finding]:
    found = judge_optimizer(answers(tx, seed), steps_per_epoch)
    return [one for one in found if one.verdict is not Verdict.PASSED]


def first(tx: Any, seed: int = 0) -> tuple[str, str, str]:
    """The first suspect of the first alarm: cause, component, where."""
    suspect = alarms(tx, seed)[0].suspects[0]
    return suspect.cause, suspect.component, suspect.where


def matrices(params: Any) -> Any:
    return jax.tree.map(lambda x: x.ndim > 1, params)


def vectors(params: Any) -> Any:
    return jax.tree.map(lambda x: x.ndim < 2, params)


def split(a: Any, b: Any) -> Any:
    return optax.partition(
        {"a": a, "b": b}, lambda p: jax.tree.map(lambda x: "a" if x.ndim > 1 else "b", p)
    )


def coupled(decay: float, tx: Any) -> Any:
    return optax.chain(optax.add_decayed_weights(decay), tx)


def clipped(norm: float, tx: Any) -> Any:
    return optax.chain(optax.clip_by_global_norm(norm), tx)


def last_of(k: int, rate: float = 0.1) -> optax.GradientTransformation:
    """Moves every k updates, by the last gradient alone: the others are forgotten."""

    def update(updates: Any, count: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        on = (count % k == k - 1).astype(jnp.float32)
        return jax.tree.map(lambda g: -rate * on * g, updates), count + 1

    return optax.GradientTransformation(lambda _: jnp.zeros([], jnp.int32), update)


def summed(k: int, rate: float = 0.1) -> optax.GradientTransformation:
    """Moves at every update by the sum of the gradients since the last reset, every k updates."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        total, count = state
        keep = jnp.where(count % k == 0, 0.0, 1.0)
        total = jax.tree.map(lambda t, g: keep * t + g, total, updates)
        return jax.tree.map(lambda t: -rate * t, total), (total, count + 1)

    return optax.GradientTransformation(
        lambda params: (jax.tree.map(jnp.zeros_like, params), jnp.zeros([], jnp.int32)), update
    )


def normalised() -> optax.GradientTransformation:
    """Divides each leaf by its norm, also where that is 0."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        return jax.tree.map(lambda g: -0.01 * g / jnp.sqrt(jnp.sum(g**2)), updates), state

    return optax.GradientTransformation(lambda _: (), update)


cosine = optax.cosine_decay_schedule
HEALTHY: dict[str, Any] = {
    "nesterov-0.99": lambda: optax.sgd(0.1, 0.99, nesterov=True),
    "adamw-0.1": lambda: optax.adamw(1e-3, weight_decay=0.1),
    "decay-1-masked": lambda: optax.adamw(1e-3, weight_decay=1.0, mask=matrices),
    "lion": lambda: optax.lion(1e-4),
    "lamb": lambda: optax.lamb(3e-3),
    "lars": lambda: optax.lars(1.0, weight_decay=1e-4, momentum=0.9),
    "adafactor": lambda: optax.adafactor(1e-3),
    "rmsprop": lambda: optax.rmsprop(1e-3, decay=0.999, momentum=0.9),
    "novograd": lambda: optax.novograd(1e-3),
    "muon": lambda: contrib.muon(0.02),
    "schedule-free": lambda: contrib.schedule_free_adamw(1e-2, weight_decay=0.01),
    "dadapt": lambda: contrib.dadapt_adamw(1.0),
    "mechanic": lambda: contrib.mechanize(optax.sgd(0.1)),
    "warm-up": lambda: optax.adam(optax.warmup_cosine_decay_schedule(0.0, 3e-3, 50, 300)),
    "one-cycle": lambda: optax.sgd(optax.cosine_onecycle_schedule(300, 0.1), 0.9),
    "clip-1": lambda: clipped(1.0, optax.adam(1e-3)),
    "fromage": lambda: optax.fromage(1e-2),
    "sawtooth-rate": lambda: optax.sgd(lambda i: 0.1 * (1 - (i % 20) / 20)),
    "adaptive-clip": lambda: optax.chain(optax.adaptive_grad_clip(0.01), optax.sgd(0.1, 0.9)),
    "accumulation": lambda: optax.MultiSteps(optax.adam(3e-3), 4).gradient_transformation(),
    "imagenet-decay": lambda: coupled(5e-4, optax.sgd(0.1, 0.9)),
    "coupled-adam": lambda: coupled(1e-4, optax.adam(1e-3)),
    "rates-apart": lambda: split(optax.adam(1e-2), optax.adam(1e-4)),
    "rate-1e-5": lambda: optax.adam(1e-5),
    "gradient-noise": lambda: optax.chain(optax.add_noise(0.01, 0.55, key=0), optax.adam(1e-3)),
}
# Program, cause, component, where.
BROKEN: dict[str, tuple[Any, str, str, str]] = {
    "biases-left-out": (
        lambda: split(optax.adam(1e-3), optax.set_to_zero()),
        "leaf-not-in-optimizer",
        "optimizer",
        BIASES,
    ),
    "biases-masked": (
        lambda: optax.masked(optax.adam(1e-3), matrices),
        "wrong-sign",
        "optimizer",
        BIASES,
    ),
    "biases-only-decay": (
        lambda: optax.chain(
            split(optax.adam(1e-3), optax.set_to_zero()), optax.add_decayed_weights(-1e-4)
        ),
        "leaf-not-in-optimizer",
        "optimizer",
        BIASES,
    ),
    "rate-0": (lambda: optax.sgd(0.0), "parameters-frozen", "optimizer", "every parameter"),
    "upwards": (lambda: optax.sgd(-0.1), "wrong-sign", "optimizer", ""),
    "biases-upwards": (
        lambda: split(optax.adam(1e-3), optax.adam(-1e-3)),
        "wrong-sign",
        "optimizer",
        BIASES,
    ),
    "momentum-1": (
        lambda: optax.chain(optax.trace(1.0), optax.adam(1e-3)),
        "gradients-accumulate",
        "optimizer",
        "",
    ),
    "last-micro-batch": (
        lambda: last_of(4),
        "examples-ignored",
        "optimizer",
        "micro-batches 1, 2, 3 of 4",
    ),
    "no-eps": (lambda: optax.adam(1e-3, eps=0.0), "not-finite", "optimizer", ""),
    "divides-by-norm": (normalised, "not-finite", "optimizer", "Dense_0/bias"),
    "decay-1": (
        lambda: optax.adamw(1e-3, weight_decay=1.0),
        "decay-on-bias",
        "optimizer",
        BIASES,
    ),
    "decay-mask-inverted": (
        lambda: optax.adamw(1e-3, weight_decay=0.1, mask=vectors),
        "decay-on-bias",
        "optimizer",
        BIASES,
    ),
    "decay-20": (
        lambda: optax.adamw(1e-3, weight_decay=20.0),
        "decay-dominates",
        "optimizer",
        "Dense_0/bias, Dense_0/kernel, Dense_1/bias, Dense_1/kernel",
    ),
    "reset-after-10": (lambda: summed(10), "gradients-accumulate", "optimizer", ""),
    "decay-backwards": (
        lambda: optax.chain(optax.adam(1e-3), optax.add_decayed_weights(1e-4)),
        "decay-coupled",
        "optimizer",
        "",
    ),
    "epochs-for-updates": (
        lambda: optax.adam(cosine(1e-3, 30)),
        "schedule-ends-early",
        "schedule",
        "",
    ),
    "drops-after-3": (
        lambda: optax.adam(optax.piecewise_constant_schedule(1e-3, {3: 1e-3, 6: 1e-3})),
        "schedule-ends-early",
        "schedule",
        "",
    ),
    "endless-warm-up": (
        lambda: optax.adam(optax.linear_schedule(0.0, 1e-3, 100_000)),
        "learning-rate-too-low",
        "schedule",
        "",
    ),
    "clip-1e-3": (
        lambda: clipped(1e-3, optax.adam(1e-3)),
        "clip-always-active",
        "optimizer",
        "",
    ),
    "clip-elements": (
        lambda: optax.chain(optax.clip(1e-5), optax.sgd(0.1, 0.9)),
        "clip-always-active",
        "optimizer",
        "",
    ),
}


@pytest.mark.thin(25)
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_optimizer_is_left_alone(name: str) -> None:
    assert alarms(HEALTHY[name]()) == []


@pytest.mark.thin(20)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_optimizer_is_named_and_placed(name: str) -> None:
    tx, *expected = BROKEN[name]
    assert first(tx()) == tuple(expected)


@pytest.fixture(scope="module")
def adam() -> Answers:
    """The answers of Adam, for judging changed numbers."""
    return answers(optax.adam(1e-3))


@given(
    names=st.sets(st.sampled_from(["Dense_0/bias", "Dense_0/kernel", "Dense_1/bias"]), min_size=1),
)
def test_exactly_the_leaves_left_out_are_named(adam: Answers, names: set[str]) -> None:
    out = np.array([leaf.path in names for leaf in adam.leaves])
    found = judge_optimizer(dataclasses.replace(adam, responds=~out), 10)
    assert found[0].suspects[0].where.split(", ") == sorted(names)
    declared = tuple(dataclasses.replace(leaf, frozen=leaf.path in names) for leaf in adam.leaves)
    still = dataclasses.replace(adam, responds=~out, moves=~out, leaves=declared)
    assert [one.verdict for one in judge_optimizer(still, 10)] == [Verdict.PASSED]
    moving = dataclasses.replace(still, moves=np.ones(len(out), bool))
    assert judge_optimizer(moving, 10)[0].suspects[0].cause == "frozen-parameters-move"


@pytest.mark.parametrize(
    ("ends", "per_epoch", "early"),
    [
        (30, 10, True),  # 30 "epochs" that are updates
        (100, 50, True),
        (285, 10, False),  # cosine over 300 updates, 30 passes
        (95, 3, False),  # few data: 30 passes
        (190, 1, False),  # full batches: an epoch is an update
        (910, 1000, False),  # one pass over large data
        (300, 1000, True),  # a third of a pass
        (3000, 3000, False),  # still on when looking ends
    ],
)
def test_a_schedule_ends_early_or_is_meant(
    adam: Answers, ends: int, per_epoch: int, early: bool
) -> None:
    changed = dataclasses.replace(adam, last_rate=ends - 1)
    assert bool(judge_schedule(changed, per_epoch)) is early


def test_accumulation_is_recognised_and_every_micro_batch_heard() -> None:
    found = answers(optax.MultiSteps(optax.adam(1e-3), 4).gradient_transformation())
    assert (found.period, found.unread) == (4, ())


def test_decay_is_measured() -> None:
    found = answers(optax.adamw(1e-2, weight_decay=0.02))
    assert found.shrink == pytest.approx(1 - np.exp(-0.2), rel=0.02)
    assert (answers(optax.sgd(1e-2)).shrink == 0).all()


def test_the_seed_changes_nothing_that_matters() -> None:
    seed = 12345678901
    assert first(clipped(1e-4, optax.sgd(0.1)), seed)[0] == "clip-always-active"
    assert alarms(optax.adamw(1e-3, weight_decay=0.1), seed) == []


# --- on tasks ----------------------------------------------------------------------------------


def by_size(small: Any) -> Any:
    """Trains large leaves only: the probe's own leaves are all small."""
    return optax.partition(
        {"large": optax.adam(1e-3), "small": small},
        lambda p: jax.tree.map(lambda x: "large" if x.size >= 10 else "small", p),
    )


@pytest.mark.slow
def test_on_tasks() -> None:
    healthy = check_optimizer(Context(programs.classify(0)))
    assert [one.verdict for one in healthy] == [Verdict.PASSED]
    frozen = programs.classify(0, frozen=("Dense_0/*",))
    assert check_optimizer(Context(frozen))[0].verdict is Verdict.PASSED
    subset = check_optimizer(Context(programs.subset(programs.classify(0))))
    assert subset[0].suspects[0].where == "Dense_0/kernel, Dense_1/bias, Dense_1/kernel"


@pytest.mark.parametrize("mean", [True, False])
def test_micro_batches_are_averaged(mean: bool) -> None:
    tx = optax.MultiSteps(optax.sgd(0.1), 4, use_grad_mean=mean)
    (found,) = check_optimizer(Context(programs.regress(0, optimizer=tx)))
    assert found.verdict is (Verdict.PASSED if mean else Verdict.FAILED)
    assert [suspect.cause for suspect in found.suspects] == ([] if mean else ["loss-scale"])


def test_a_mask_by_size_is_asked_again_with_the_real_shapes() -> None:
    task = programs.classify(0, optimizer=by_size(optax.set_to_zero()))
    assert check_optimizer(Context(task))[0].verdict is Verdict.PASSED
    params, grads = net()
    tx = split(optax.adam(1e-3), optax.set_to_zero())
    assert responds_at_size(tx, params, grads, 4).tolist() == [False, True, False, True]


@pytest.mark.slow
def test_an_optimizer_that_holds_the_real_shapes() -> None:
    task = programs.regress(0, model=programs.Net(1, hidden=(8,)))
    start = Context(task).variables()[0]

    def pull(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        pulled = jax.tree.map(lambda g, p, s: -0.1 * (g + 1e-3 * (p - s)), updates, params, start)
        return pulled, state

    tx = optax.GradientTransformation(lambda _: (), pull)
    (found,) = check_optimizer(Context(task.replace(optimizer=tx)))
    assert found.verdict is Verdict.PASSED
    (large,) = check_optimizer(
        Context(programs.regress(0, model=programs.Net(1, hidden=(400,)), optimizer=tx))
    )
    assert large.verdict is Verdict.SKIPPED


def test_a_trainer_without_a_model_is_not_judged() -> None:
    task = programs.foreign(programs.classify(0))
    assert check_optimizer(Context(task))[0].verdict is Verdict.PASSED
    (found,) = check_optimizer(Context(task.replace(model=None)))
    assert found.verdict is Verdict.SKIPPED
