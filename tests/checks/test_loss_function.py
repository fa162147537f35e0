"""G3: broken losses are caught with cause and place, their repaired twins and odd ones are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import skeleton_programs as programs
from hypothesis import given, settings
from hypothesis import strategies as st

import jrecipe as jr
from jrecipe.checks import loss_function, loss_questions
from jrecipe.checks.context import Context
from jrecipe.checks.loss_padding import PaddingEffect, find_padding, judge_padding
from jrecipe.checks.loss_probe import probe_of
from jrecipe.checks.loss_range import Reach, judge_range
from jrecipe.checks.loss_reading import Domain, domain_of, read_targets
from jrecipe.checks.loss_suits import judge_suits, measure_order
from jrecipe.checks.registry import run_checks, select
from jrecipe.checks.result import Finding, Verdict

pytestmark = pytest.mark.thin(5)

Data = tuple[Any, Any]
X = programs.digits(0)[0][0]
LABELS = programs.digits(0)[0][1]


def data(seed: int, targets: Callable[[np.ndarray, np.ndarray], Any], rows: int = 160) -> Any:
    """Digits with other targets, made from (inputs, labels)."""
    order = np.random.default_rng(seed).permutation(len(X))
    x, y = X[order], LABELS[order]
    half = rows
    return (x[:half], targets(x[:half], y[:half])), (x[half:], targets(x[half:], y[half:]))


def plain(model: Any, loss: Any, given: Any, **changes: Any) -> jr.Task:
    return jr.Task(model=model, loss=loss, train=given[0], val=given[1], batch_size=16, **changes)


def head(outputs: int, last: Callable[[Any], Any] = lambda x: x) -> jr.Model:
    """One layer with something at its end; plain functions, as they compile fastest."""
    kernel = np.random.default_rng(outputs).normal(size=(64, outputs)).astype(np.float32) / 8

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return last(x @ params["kernel"] + params["bias"][None]), state

    start = {"kernel": kernel, "bias": np.zeros(outputs, np.float32)}
    return jr.Model(init=lambda key, x: (jax.tree.map(jnp.asarray, start), {}), apply=apply)


def ids(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return y


def even(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y % 2).astype(np.int32)


def number(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A standardised number that a linear network finds."""
    return (x[:, 10:30].mean(axis=1, keepdims=True) * 3).astype(np.float32)


def cross_entropy(o: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(o, y)


def logistic(o: Any, y: Any) -> Any:
    return jax.nn.softplus(o[:, 0]) - y * o[:, 0]


def brier(o: Any, y: Any) -> Any:
    return ((o - jax.nn.one_hot(y, o.shape[-1])) ** 2).mean(axis=-1)


def tokens(o: Any, y: Any, counted: Any) -> Any:
    nats = cross_entropy(o, y) * counted
    return nats.sum(axis=1) / jnp.maximum(counted.sum(axis=1), 1)


@jax.custom_vjp
def uphill(o: Any, y: Any) -> Any:
    """A cross-entropy with a gradient of the wrong sign."""
    return cross_entropy(o, y)


uphill.defvjp(
    lambda o, y: (cross_entropy(o, y), (o, y)),
    lambda kept, g: (
        g[:, None] * (jax.nn.one_hot(kept[1], 10) - jax.nn.softmax(kept[0])),
        np.zeros(kept[1].shape, jax.dtypes.float0),
    ),
)


def findings(task: jr.Task, seed: int = 0) -> tuple[Finding, ...]:
    return loss_function.check_loss_function(Context(task, seed))


def first(found: Sequence[Finding]) -> tuple[str, str, str]:
    """Cause, component and place of the first alarm, empty if there is none."""
    for finding in found:
        if finding.suspects:
            suspect = finding.suspects[0]
            return suspect.cause, suspect.component, suspect.where
    return "", "", ""


def classes(loss: Any, last: Callable[[Any], Any] = lambda x: x) -> Callable[[int], jr.Task]:
    return lambda seed: plain(head(10, last), loss, data(seed, ids))


def yes_no(loss: Any, last: Callable[[Any], Any] = lambda x: x) -> Callable[[int], jr.Task]:
    return lambda seed: plain(head(1, last), loss, data(seed, even))


def numbers(loss: Any, last: Callable[[Any], Any] = lambda x: x) -> Callable[[int], jr.Task]:
    return lambda seed: plain(head(1, last), loss, data(seed, number))


def tagger(loss: Any) -> Callable[[int], jr.Task]:
    return lambda seed: plain(programs.Tagger(), loss, programs.sequences(seed))


class Pooled(nn.Module):
    """Adds the average of a sequence to each of its tokens; the average may read padding."""

    masked: bool

    @nn.compact
    def __call__(self, inputs: Any) -> Any:
        x = nn.Embed(8, 8)(inputs["ids"])
        mask = inputs["mask"].astype(jnp.float32)[..., None]
        mask = mask if self.masked else jnp.ones_like(mask)
        mean = (x * mask).sum(axis=1, keepdims=True) / mask.sum(axis=1, keepdims=True)
        return nn.Dense(8)(x + jnp.broadcast_to(mean, x.shape))


def pooled(masked: bool) -> Callable[[int], jr.Task]:
    def make(seed: int) -> jr.Task:
        given = [({"ids": x, "mask": x != 0}, y) for x, y in programs.sequences(seed)]
        return plain(Pooled(masked), lambda o, y: tokens(o, y, y != 0), given)

    return make


BROKEN: dict[str, tuple[Callable[[int], jr.Task], tuple[str, str, str]]] = {
    "one-unit-softmax": (
        lambda s: plain(
            head(1), lambda o, y: -(jax.nn.log_softmax(o) * y[:, None]).sum(-1), data(s, ids)
        ),
        ("loss-ignores-outputs", "loss", "outputs (1,)"),
    ),
    "one-hot-too-short": (
        classes(lambda o, y: -(jax.nn.log_softmax(o) * jnp.eye(10).at[7:].set(0.0)[y]).sum(-1)),
        ("loss-ignores-outputs", "loss", "targets 7, 8, 9"),
    ),
    "negated": (
        classes(lambda o, y: -cross_entropy(o, y)),
        ("wrong-sign", "loss", "sign of the loss"),
    ),
    "labels-beyond-1": (
        lambda s: plain(head(1), logistic, data(s, lambda x, y: y % 4)),
        ("loss-unbounded", "loss", "targets 2, 3"),
    ),
    "clipped-at-3": (
        classes(lambda o, y: jnp.minimum(cross_entropy(o, y), 3.0)),
        ("loss-clipped", "loss", "loss of 3 and more"),
    ),
    "clipped-number": (
        numbers(lambda o, y: jnp.minimum((o - y)[:, 0] ** 2, 0.5)),
        ("loss-clipped", "loss", "loss of 0.5 and more"),
    ),
    "sum-over-batch": (
        classes(lambda o, y: programs.focal(o, y) * o.shape[0]),
        ("loss-scale", "loss", "axis 0, the batch"),
    ),
    "no-targets": (
        classes(lambda o, y: -jax.nn.log_softmax(o).max(axis=-1)),
        ("wrong-loss", "loss", "targets"),
    ),
    "squares-of-softmax": (
        classes(brier, nn.softmax),
        ("wrong-loss", "loss", "squared error on classes behind a softmax"),
    ),
    "ids-as-numbers": (
        lambda s: plain(head(1), lambda o, y: (o[:, 0] - y) ** 2, data(s, ids)),
        ("wrong-loss", "loss", "squared error on class ids"),
    ),
    "softmax-over-time": (
        tagger(
            lambda o, y: (
                -((jax.nn.log_softmax(o, axis=1) * jax.nn.one_hot(y, 8)).sum(-1) * (y != 0)).sum(1)
            )
        ),
        ("wrong-loss", "loss", "axis 1 of the outputs"),
    ),
    "tanh-too-narrow": (
        numbers(jr.losses.l2(), lambda x: 0.5 * nn.tanh(x)),
        ("outputs-cannot-reach-targets", "head", "outputs in [-0.5, 0.5]"),
    ),
    "two-sigmoids": (
        yes_no(logistic, nn.sigmoid),
        ("double-softmax", "head", "last axis of the outputs"),
    ),
    "padding-counted": (
        tagger(lambda o, y: tokens(o, y, y > -1)),
        ("padding-in-loss", "loss", "axis 1, padded positions"),
    ),
    "padding-read": (pooled(False), ("padding-read", "model", "axis 1, masked positions")),
    "gradient-uphill": (classes(uphill), ("wrong-sign", "loss", "gradient of the loss")),
    "no-gradient": (
        classes(lambda o, y: (jnp.argmax(o, axis=-1) != y).astype(jnp.float32)),
        ("gradient-cut", "loss", "gradient of the loss in the outputs"),
    ),
    "log-of-softmax": (
        classes(lambda o, y: -(jnp.log(jax.nn.softmax(o)) * jax.nn.one_hot(y, 10)).sum(-1)),
        ("not-finite", "loss", "outputs of size 100"),
    ),
}

HEALTHY: dict[str, Callable[[int], jr.Task]] = {
    "cross-entropy": classes(cross_entropy),
    "focal": classes(programs.focal),
    "hinge": classes(programs.hinge),
    "of-probabilities": classes(
        lambda o, y: -jnp.log((o * jax.nn.one_hot(y, 10)).sum(-1) + 1e-7), nn.softmax
    ),
    "log-softmax-twice": classes(cross_entropy, nn.log_softmax),
    "left-out-label": lambda s: plain(
        head(10),
        lambda o, y: jnp.where(y < 0, 0.0, cross_entropy(o, jnp.maximum(y, 0))),
        data(s, lambda x, y: np.where(x[:, 20] > 0, -1, y).astype(np.int32)),
    ),
    "logistic": yes_no(logistic),
    "of-a-sigmoid": yes_no(
        lambda o, y: (
            -(
                y * jnp.log(jnp.clip(o[:, 0], 1e-7, 1.0))
                + (1 - y) * jnp.log(jnp.clip(1 - o[:, 0], 1e-7, 1.0))
            )
        ),
        nn.sigmoid,
    ),
    "exponential": yes_no(lambda o, y: jnp.exp(-(2 * y - 1) * o[:, 0])),
    "l2": numbers(jr.losses.l2()),
    "insensitive": numbers(lambda o, y: jnp.maximum(jnp.abs(o - y)[:, 0] - 0.1, 0.0)),
    "tanh-wide-enough": numbers(jr.losses.l2(), lambda x: 8 * nn.tanh(x)),
    "poisson": programs.poisson,
    "contrastive": programs.contrastive,
    "tokens": tagger(lambda o, y: tokens(o, y, y != 0)),
    "pooled-mask": pooled(True),
    "rebuilt-bits": lambda s: plain(
        head(64, nn.sigmoid),
        lambda o, y: ((o - y) ** 2).mean(axis=-1),
        data(s, lambda x, y: (x > 0).astype(np.float32)),
    ),
    "policy": lambda s: plain(
        head(10),
        lambda o, y: cross_entropy(o, y["action"]) * y["advantage"],
        data(s, lambda x, y: {"action": y, "advantage": x[:, 20] - x[:, 20].mean()}),
    ),
}


@pytest.mark.thin(20)
@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_losses_are_caught_with_cause_and_place(name: str) -> None:
    make, expected = BROKEN[name]
    assert first(findings(make(0))) == expected


@pytest.mark.slow
@pytest.mark.thin(20)
@pytest.mark.parametrize("name", list(HEALTHY))
def test_sound_losses_stay_silent(name: str) -> None:
    found = findings(HEALTHY[name](1), seed=1)
    assert [f.verdict for f in found] == [Verdict.PASSED], found


@pytest.mark.slow
@settings(max_examples=2)
@given(seed=st.integers(0, 1000), level=st.sampled_from([0.5, 2.0, 10.0]))
def test_a_clip_is_found_at_any_level(seed: int, level: float) -> None:
    found = findings(
        plain(head(1), lambda o, y: jnp.minimum(logistic(o, y), level), data(seed, even)), seed
    )
    assert first(found)[:2] == ("loss-clipped", "loss")
    assert found[0].evidence["flat_from"] == pytest.approx(level)


def test_a_foreign_trainer_is_asked_too() -> None:
    task = programs.foreign(numbers(jr.losses.l2(), nn.sigmoid)(0))
    assert first(findings(task))[0] == "outputs-cannot-reach-targets"
    bare = dataclasses.replace(task, model=None)  # nothing can be moved: no verdict on limits
    assert first(findings(bare))[0] == ""


def test_outputs_without_gradient_are_skipped() -> None:
    task = plain(
        head(10, lambda x: jnp.argmax(x, axis=-1)),
        lambda o, y: (o != y).astype(jnp.float32),
        data(0, ids),
    )
    assert [f.verdict for f in findings(task)] == [Verdict.SKIPPED]


def test_a_loss_that_raises_becomes_a_finding() -> None:
    def loss(o: Any, y: Any) -> Any:
        if o.shape[0] > 0:
            raise RuntimeError("no loss today")
        return o

    found = run_checks(Context(classes(loss)(0)), select(["loss-function"]))
    assert [f.suspects[0].cause for f in found] == ["raises"]


# --- the parts, with numbers alone -------------------------------------------------------------


def test_limits_are_where_outputs_pile_up() -> None:
    x = np.random.default_rng(0).normal(size=(32, 2))
    moved = [k * x for k in (10, 10.5, 30, 100)]
    assert domain_of(x, moved).shape == "free"
    relu = [np.maximum(m, 0) for m in moved]
    assert domain_of(np.maximum(x, 0), relu) == Domain("above", 0.0, np.inf, True)
    soft = [1 / (1 + np.exp(-np.clip(m, -40, 40))) for m in moved]
    assert domain_of(0.5 + 0.01 * x, soft) == Domain("box", 0.0, 1.0, True)
    # One value everywhere is a dead network, and no limit.
    assert domain_of(x, [np.ones_like(x)] * 4).shape == "free"
    sums = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    assert domain_of(sums).shape == "distribution"


@settings(max_examples=10)
@given(st.sampled_from(["box", "above", "below", "free"]), st.floats(-1.8, 1.8))
def test_links_come_back(shape: Any, value: float) -> None:
    domain = Domain(shape, -2.0, 2.0)
    assert float(domain.link(jnp.float32(domain.back(np.float64(value))))) == pytest.approx(
        value, abs=2e-3
    )


def test_targets_are_read() -> None:
    o = np.zeros((4, 3), np.float32)
    reading = read_targets(o, np.array([0, 1, 2, 2]))
    assert reading is not None
    assert reading.kind == "classes"
    kinds = {
        "one-hot": np.eye(3)[[0, 1, 2, 2]],
        "multilabel": np.array([[1, 1, 0]] * 2 + [[0, 0, 1]] * 2),
        "number": np.arange(12.0).reshape(4, 3),
    }
    for kind, y in kinds.items():
        reading = read_targets(o, {"y": y})
        assert reading is not None
        assert reading.kind == kind
    assert read_targets({"a": o}, np.arange(4)) is None
    assert read_targets(o, np.zeros((4, 7))) is None


def test_padding_is_the_end_of_rows_of_different_length() -> None:
    rng = np.random.default_rng(0)
    length = rng.integers(2, 9, 50)
    real = np.arange(8) < length[:, None]
    ids = np.where(real, rng.integers(1, 20, (50, 8)), 0)
    found = find_padding(ids, ids)
    assert found is not None
    assert (found.padded == ~real).all()
    # What only targets do is no padding: the rest after an event, as in a survival curve.
    assert find_padding(rng.integers(1, 20, (50, 8)), np.where(real, 2, 1)) is None
    # Zeros that also occur before the end are no padding.
    assert find_padding(rng.integers(0, 3, (50, 8)), rng.integers(0, 3, (50, 8))) is None
    masked = find_padding({"ids": ids, "mask": real.astype(np.int32)}, rng.integers(0, 2, 50))
    assert masked is not None
    assert masked.mask == 1


def test_the_order_of_ids_is_asked_of_the_inputs() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(1, 7, 400)
    ordered = (y + 0.5 * rng.normal(size=400))[:, None] * rng.normal(size=5)
    assert measure_order(ordered, y) > 0.8
    renamed = np.array([3, 0, 5, 1, 4, 2])[y - 1] + 1
    assert measure_order(ordered, renamed) < 0.3
    assert np.isnan(measure_order(rng.normal(size=(400, 5)), y))  # nothing to see
    assert np.isnan(measure_order(ordered, rng.poisson(30, 400)))  # counts


def test_judges() -> None:
    flat = loss_questions.Flat(share=1.0, rows=8, value=0.0, shape=(1,))
    assert loss_function.judge_flat(flat) is not None
    assert loss_function.judge_flat(dataclasses.replace(flat, share=0.3)) is None
    assert loss_function.judge_ignored_targets(float("nan"), 0) is None
    assert loss_function.judge_scale(float("nan"), float("nan"), 8) is None
    halved = loss_function.judge_scale(0.5, 1.0, 8)
    assert halved is not None
    assert "0.5 times" in halved.finding
    assert loss_function.judge_extreme(0.0, 100.0) is None
    downhill = loss_questions.Downhill(rows=0, against=1.0, ratio=-1.0)
    assert loss_function.judge_downhill(downhill) is None
    box = Domain("box", -1.0, 1.0, True)
    for outside, lost, alarm in ((0.2, 0.05, True), (0.01, 0.003, False), (0.3, 0.005, False)):
        assert (judge_range(Reach(box, lost, outside, numbers=True)) is not None) == alarm
    assert judge_padding(PaddingEffect(0.3, 0.0, 0.0)) is None
    assert judge_suits(kind="number", power=2.0, domain="free", order=0.9) is None
    assert judge_suits(kind="classes", power=float("nan"), domain="free") is None


def test_asking_changes_nothing_and_repeats() -> None:
    task = classes(cross_entropy)(0)
    before = task.train.take(np.arange(4))
    one, two = (probe_of(Context(task, 3)) for _ in range(2))
    for a, b in zip(loss_questions.survey(one), loss_questions.survey(two), strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    jax.tree.map(np.testing.assert_array_equal, before, task.train.take(np.arange(4)))
