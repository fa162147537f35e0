"""B3: a metric is asked about perfect, wrong and mixed outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import skeleton_programs as programs

import jrecipe as jr
from jrecipe.checks.context import Context
from jrecipe.checks.metric_sound import Scores, check_metric, judge_metric
from jrecipe.checks.result import Finding, Verdict

KERNEL = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32) / 8
DIGITS = programs.digits(0, 96, 32)


def head(outputs: int, last: Callable[[Any], Any] = lambda x: x) -> jr.Model:
    """One layer as plain functions, which compile fast."""

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return last(x @ params["kernel"]), state

    return jr.Model(lambda key, x: ({"kernel": jnp.asarray(KERNEL[:, :outputs])}, {}), apply)


def task(model: Any, loss: Any, change: Callable[[np.ndarray], Any], metric: Any) -> jr.Task:
    train, val = (programs.relabel(split, change) for split in DIGITS)
    return jr.Task(model=model, loss=loss, train=train, val=val, batch_size=16, metric=metric)


def cross_entropy(o: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(o, y)


def logistic(o: Any, y: Any) -> Any:
    return jax.nn.softplus(o[:, 0]) - y * o[:, 0]


def right(o: Any, y: Any) -> Any:
    return (jnp.argmax(o, axis=-1) == y).astype(jnp.float32)


def above(limit: float) -> Callable[[Any, Any], Any]:
    return lambda o, y: ((o[:, 0] > limit) == (y > 0.5)).astype(jnp.float32)


def classes(metric: Any) -> Callable[[], jr.Task]:
    return lambda: task(head(10), cross_entropy, lambda y: y, metric)


def yes_no(metric: Any) -> Callable[[], jr.Task]:
    loss = jr.losses.sigmoid_cross_entropy()
    return lambda: task(head(1), loss, lambda y: (y % 2).astype(np.int32), metric)


def numbers(metric: Any, loss: Any = None) -> Callable[[], jr.Task]:
    change = lambda y: (y[:, None] / 3 + 1).astype(np.float32)  # noqa: E731
    return lambda: task(head(1), loss or jr.losses.l2(), change, metric)


def tokens(metric: Any) -> Callable[[], jr.Task]:
    train, val = programs.sequences(0)
    loss = jr.losses.token_cross_entropy(pad=0)
    return lambda: jr.Task(
        model=programs.Tagger(), loss=loss, train=train, val=val, batch_size=16, metric=metric
    )


BROKEN: dict[str, tuple[Callable[[], jr.Task], str]] = {
    "error-rate": (classes(lambda o, y: 1 - right(o, y)), "direction"),
    "squared-error": (numbers(lambda o, y: (o - y)[:, 0] ** 2), "direction"),
    "argmax-over-batch": (
        classes(lambda o, y: (jnp.argmax(o, axis=0)[y] == y).astype(jnp.float32)),
        "perfect outputs",
    ),
    "always-right": (classes(lambda o, y: right(o, jnp.argmax(o, axis=-1))), "outputs"),
    "confidence": (
        classes(lambda o, y: (jax.nn.softmax(o).max(axis=-1) > 0.5).astype(jnp.float32)),
        "targets",
    ),
    "mean-of-batch": (
        classes(lambda o, y: jnp.full(o.shape[0], right(o, y).mean())),
        "axis 0, the batch",
    ),
    "threshold-of-probabilities": (yes_no(above(0.5)), "threshold"),
    "padding-counts": (
        tokens(lambda o, y: (jnp.argmax(o, axis=-1) == y).mean(axis=1)),
        "axis 1, padded positions",
    ),
}

SOUND: dict[str, tuple[Callable[[], jr.Task], Verdict]] = {
    "default": (classes(None), Verdict.SKIPPED),  # a loss of the user's own has no metric
    "default-tokens": (tokens(None), Verdict.PASSED),
    "accuracy": (classes(right), Verdict.PASSED),
    "probability": (
        classes(lambda o, y: (jax.nn.softmax(o) * jax.nn.one_hot(y, 10)).sum(-1)),
        Verdict.PASSED,
    ),
    "negative-loss": (classes(lambda o, y: -cross_entropy(o, y)), Verdict.PASSED),
    "threshold-0": (yes_no(above(0.0)), Verdict.PASSED),
    "negative-error": (numbers(lambda o, y: -jnp.abs(o - y)[:, 0]), Verdict.PASSED),
    "tokens-weighted": (tokens(jr.metrics.token_accuracy(0)), Verdict.PASSED),
    "rate-behind-exp": (  # perfect outputs are not the targets here
        numbers(
            lambda o, y: -jnp.abs(jnp.exp(o) - y)[:, 0],
            lambda o, y: (jnp.exp(o) - y * o)[:, 0],
        ),
        Verdict.SKIPPED,
    ),
}


@pytest.mark.thin(8)
@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_metrics_are_caught(name: str) -> None:
    make, where = BROKEN[name]
    (finding,) = check_metric(Context(make()))
    assert finding.verdict in (Verdict.FAILED, Verdict.WARNED), finding
    suspect = finding.suspects[0]
    assert (suspect.cause, suspect.component, suspect.where) == ("metric-wrong", "eval", where)


@pytest.mark.thin(9)
@pytest.mark.parametrize("name", list(SOUND))
def test_sound_metrics_stay_silent(name: str) -> None:
    make, verdict = SOUND[name]
    (finding,) = check_metric(Context(make()))
    assert finding.verdict is verdict, finding


def test_a_mean_over_the_batch_may_be_declared() -> None:
    make, _ = BROKEN["mean-of-batch"]
    (finding,) = check_metric(Context(make().replace(examples_independent=False)))
    assert finding.verdict is Verdict.PASSED


def test_judge_by_numbers() -> None:
    good = Scores(
        perfect=1.0,
        wrong=0.0,
        random=0.1,
        highest=1.0,
        bounded=True,
        ignores_outputs=0.0,
        ignores_targets=0.1,
        mixed=0.0,
    )

    def verdict(**changes: Any) -> Verdict:
        found: Finding = judge_metric(dataclasses.replace(good, **changes))
        assert found.ok or found.remedy
        return found.verdict

    assert verdict() is Verdict.PASSED
    assert verdict(ignores_targets=float("nan"), padding=0.0, hesitant=1.0) is Verdict.PASSED
    assert verdict(perfect=0.0, wrong=-3.0, highest=0.0, bounded=False) is Verdict.PASSED
    assert verdict(perfect=0.9, highest=0.9) is Verdict.FAILED
    assert verdict(perfect=float("nan")) is Verdict.FAILED
    assert verdict(padding=0.9) is Verdict.FAILED
    assert verdict(hesitant=0.5) is Verdict.WARNED
