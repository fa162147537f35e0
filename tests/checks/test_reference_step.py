"""G15: a step with one thing wrong is caught by the right name; steps as people write them pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
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
from step_programs import keep, loop, patch, rolled, task

import jrecipe as jr
from jrecipe.checks.context import Context
from jrecipe.checks.foreign_state import surgery
from jrecipe.checks.reference_step import check_reference_step
from jrecipe.checks.registry import run_checks, select
from jrecipe.checks.result import Finding, Verdict
from jrecipe.checks.step_explain import Explanation
from jrecipe.checks.step_fit import (
    Fit,
    adam_directions,
    fit_directions,
    fit_linear,
    significant,
)
from jrecipe.checks.step_interventions import Interventions, beyond
from jrecipe.checks.step_judge_explanation import judge_explanation
from jrecipe.checks.step_judge_interventions import judge_duplication, judge_interventions
from jrecipe.checks.step_judge_leaves import judge_copied_units, judge_leaves
from jrecipe.checks.step_judge_losses import judge_descent, judge_reported
from jrecipe.checks.step_probe import MalformedStepError, reported_loss, step_once
from jrecipe.checks.step_trouble import judge

pytestmark = pytest.mark.thin(28)

NAMES = ("Dense_0/bias", "Dense_0/kernel")
SGD, ADAM = optax.sgd(0.1), optax.adam(1e-3)
old_optimizer: Callable[..., Any] = lambda old, new: dataclasses.replace(new, opt=old.opt)  # noqa: E731
negative: Callable[..., Any] = lambda g, s: (patch(g, "Dense_1", "kernel", lambda x: -x), ())  # noqa: E731
without_bias: Callable[..., Any] = lambda g, s: (  # noqa: E731
    patch(g, "Dense_0", "bias", jnp.zeros_like),
    (),
)


class Cut(nn.Module):
    """A `stop_gradient` behind the first layer."""

    classes: int

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        hidden = jax.lax.stop_gradient(nn.relu(nn.Dense(16)(x)))
        return nn.Dense(self.classes)(hidden)


FAULTS: dict[str, tuple[Callable[[], jr.Task], str, str]] = {
    "sum-for-mean": (
        lambda: loop(task(optimizer=SGD), weigh=lambda value, batch: value.sum()),
        "loss-scale",
        "axis 0, the batch",
    ),
    "leaf-up-the-gradient": (
        lambda: loop(task(), gradient=negative),
        "wrong-sign",
        "Dense_1/kernel",
    ),
    "leaf-left-out": (
        lambda: loop(task(), gradient=without_bias),
        "leaf-not-in-optimizer",
        "Dense_0/bias",
    ),
    "state-lost": (
        lambda: loop(task(), after=old_optimizer),
        "state-not-threaded",
        "optimizer state",
    ),
    "labels-rolled-no-model": (
        lambda: loop(task(), batch=lambda state, batch, key: rolled(batch), model=False),
        "labels-shifted",
        "targets +1 rows",
    ),
    "loss-cut-off": (
        lambda: loop(task(), weigh=lambda value, batch: jnp.minimum(value, 6.0).mean()),
        "loss-clipped",
        "loss between",
    ),
    "last-row-dropped": (
        lambda: loop(
            task(optimizer=SGD), weigh=lambda value, batch: keep(value, batch, np.arange(32) < 31)
        ),
        "examples-ignored",
        "last row of the batch",
    ),
    "stale": (
        lambda: loop(
            task(),
            extra=lambda params: params,
            look=lambda params, state: state.extra,
            gradient=lambda grads, state: (grads, state.params),
        ),
        "stale-parameters",
        "",
    ),
    "cut-no-model": (
        lambda: loop(
            task(model=Cut(10)),
            model=False,
        ),
        "gradient-cut",
        "",
    ),
    "frozen-moves": (
        lambda: loop(task(frozen=("Dense_0/kernel",)), ADAM),
        "frozen-parameters-move",
        "Dense_0/kernel",
    ),
    "softmax-over-batch": (
        lambda: loop(task(), outputs=lambda x: jax.nn.softmax(x, axis=0)),
        "loss-depends-on-batch",
        "axis 0",
    ),
    "statistics-lost": (
        lambda: loop(
            task(model=programs.Net(10, norm=True)),
            after=lambda old, new: dataclasses.replace(new, model=old.model),
        ),
        "statistics-never-updated",
        "model state",
    ),
}

HEALTHY: dict[str, Callable[[], jr.Task]] = {
    "declared-and-donating": lambda: loop(task(), donate=True),
    "another-optimiser-opaque": lambda: programs.foreign(task()),
    "own": task,
    "dropout-no-model": lambda: loop(task(model=programs.Net(10, dropout=0.3)), model=False),
    "batch-norm": lambda: loop(task(model=programs.Net(10, norm=True)), declare=False),
    "signs": lambda: loop(task(), optax.lion(1e-3), model=False),
    "accumulation": lambda: loop(task(), optax.MultiSteps(optax.adam(3e-3), 4)),
    "noise-in-the-step": lambda: loop(
        task(),
        batch=lambda state, batch, key: batch._replace(
            inputs=batch.inputs + 0.3 * jax.random.normal(key, batch.inputs.shape)
        ),
    ),
    "frozen": lambda: loop(task(frozen=("Dense_0/*",)), FROZEN),
}
FROZEN = optax.partition(
    {"on": ADAM, "off": optax.set_to_zero()},
    lambda params: {"Dense_0": "off", "Dense_1": "on"},
)


def found(subject: jr.Task, seed: int = 0) -> Finding:
    """Returns the only finding of the check."""
    (finding,) = check_reference_step(Context(subject, seed))
    return finding


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_place(name: str) -> None:
    make, cause, where = FAULTS[name]
    finding = found(make())
    assert finding.verdict in (Verdict.FAILED, Verdict.WARNED)
    assert finding.suspects[0].cause == cause
    assert finding.suspects[0].where.startswith(where)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_step_is_silent(name: str) -> None:
    finding = found(HEALTHY[name]())
    assert finding.verdict is Verdict.PASSED, finding.suspects


@pytest.mark.exhaustive
@pytest.mark.slow
@settings(max_examples=2)
@given(seed=st.integers(0, 10_000))
def test_the_declared_step_fits_for_any_seed(seed: int) -> None:
    finding = found(loop(task(seed % 7)), seed)
    assert finding.verdict is Verdict.PASSED
    assert finding.evidence["optimizer_like"] == "declared"
    assert abs(float(finding.evidence["factor"] or 0) - 1) < 1e-2


@pytest.mark.parametrize("made", ["state", "triple", "none"])
def test_what_a_step_returns_is_a_finding(made: str) -> None:
    subject = loop(task())
    assert subject.trainer is not None
    inner = subject.trainer.step

    def step(state: Any, batch: Any, key: Any) -> Any:
        state, metrics = inner(state, batch, key)
        return {"state": state, "triple": (state, metrics, 1), "none": (None, metrics)}[made]

    trainer = dataclasses.replace(subject.trainer, step=step)
    (finding,) = run_checks(Context(subject.replace(trainer=trainer)), select(["G15"]))
    assert finding.verdict is Verdict.FAILED
    assert finding.suspects[0].cause == "raises"
    assert "Step returned" in finding.finding


@pytest.mark.parametrize(("rate", "verdict"), [(1e12, Verdict.FAILED), (0.1, Verdict.PASSED)])
def test_weights_that_grow_without_end_point_at_the_rate_not_at_our_step(rate, verdict) -> None:
    diverging = jr.Model(
        lambda key, x: (jnp.ones((x.shape[1], 1)), {}), lambda p, s, x, **_: (x @ p, s)
    )
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    subject = jr.Task(
        model=diverging,
        loss=jr.losses.l2(),
        train=(x, x[:, :1]),
        val=(x, x[:, :1]),
        optimizer=optax.sgd(rate),
        batch_size=16,
    )
    finding = found(subject)
    assert finding.verdict is verdict
    if verdict is Verdict.FAILED:
        suspect = finding.suspects[0]
        assert (suspect.cause, suspect.component) == ("learning-rate-too-high", "optimizer")
        assert found(loop(subject)).suspects[0].cause == "not-finite"  # a step of one's own


def test_nan_and_another_type_are_findings() -> None:
    nan = loop(task(), weigh=lambda value, batch: value.mean() * jnp.nan)
    assert found(nan).suspects[0].cause == "not-finite"

    def lower(old: Any, new: Any) -> Any:
        return dataclasses.replace(
            new, params=jax.tree.map(lambda x: x.astype(jnp.bfloat16), new.params)
        )

    suspect = found(loop(task(), after=lower)).suspects[0]
    assert (suspect.cause, suspect.where) == ("update-differs", "Dense_0/bias")


def test_hidden_randomness_is_left_to_its_own_check() -> None:
    rng = np.random.default_rng(0)
    subject = loop(task(), model=False)
    assert subject.trainer is not None
    inner = subject.trainer.step

    def step(state: Any, batch: Any, key: Any) -> Any:
        noise = rng.normal(size=batch.inputs.shape).astype(np.float32)
        return inner(state, batch._replace(inputs=batch.inputs + noise), key)

    trainer = dataclasses.replace(subject.trainer, step=step)
    assert found(subject.replace(trainer=trainer)).verdict is Verdict.SKIPPED


# --- judges ------------------------------------------------------------------------------------


def test_leaves() -> None:
    given: dict[str, Any] = {"steps": 4, "visible": [True, True]}
    still = [False, False]
    assert not judge_leaves(NAMES, still, [True, True], gradients=None, **given)
    (trouble,) = judge_leaves(NAMES, still, [False, True], gradients=[1.0, 1.0], **given)
    assert (trouble.cause, trouble.where, trouble.certain) == (
        "leaf-not-in-optimizer",
        "Dense_0/bias",
        True,
    )
    assert not judge_leaves(NAMES, still, [False, True], gradients=[0.0, 1.0], **given)
    (unsure,) = judge_leaves(NAMES, still, [False, True], gradients=None, **given)
    assert not unsure.certain
    given["visible"] = [False, True]
    assert not judge_leaves(NAMES, still, [False, True], gradients=None, **given)
    (frozen,) = judge_leaves(NAMES, [True, False], [True, True], gradients=None, **given)
    assert frozen.cause == "frozen-parameters-move"
    (nothing,) = judge_leaves(NAMES, still, still, gradients=None, **given)
    assert nothing.cause == "parameters-frozen"


@pytest.mark.parametrize(
    ("factors", "default", "cause"),
    [
        ((1.0, 1.0, 1.001), False, ""),
        ((32.0, 32.0, 32.0), False, "loss-scale"),
        ((0.1, 0.1, 0.1), False, "loss-scale"),
        ((3.0, 3.0, 3.0), False, "update-differs"),
        ((3.0, 3.0, 3.0), True, ""),
        ((1.0, 2.0, 3.0), True, ""),
        ((1.0, 2.0, 3.0), False, "update-differs"),
        ((-1.0, -1.0, -1.0), True, "wrong-sign"),
    ],
)
def test_factors(factors: tuple[float, ...], default: bool, cause: str) -> None:
    fit = Fit(misfit=0.0, factors=factors, steps=3)
    explanation = Explanation(kind="declared", fit=fit, default=default)
    causes = [t.cause for t in judge_explanation(explanation, NAMES, batch=32, width=10)]
    assert causes == ([cause] if cause else [])


def test_copied_units() -> None:
    rng = np.random.default_rng(0)
    leaf = rng.normal(size=(6, 8)).astype(np.float32)
    tiled = np.repeat(leaf[:, :4], 2, axis=1)
    (trouble,) = judge_copied_units(["w"], [tiled], [tiled * 1.1])
    assert (trouble.cause, trouble.where) == ("init-symmetric", "w")
    assert not judge_copied_units(["w"], [tiled], [tiled + 0.1 * leaf])  # they part
    assert not judge_copied_units(["w"], [tiled], [tiled])  # they do not move
    assert not judge_copied_units(["w"], [leaf], [leaf * 1.1])


def test_interventions() -> None:
    plain = Interventions(random=False, batch_ignored=False)
    assert not judge_interventions(plain, False, 32)
    last = dataclasses.replace(plain, tried=32, ignored=(31,))
    assert judge_interventions(last, True, 32)[0].where == "batch rows 31"
    crossed = dataclasses.replace(plain, unpaired=1e-6)
    assert judge_interventions(crossed, False, 32)[0].cause == "loss-depends-on-batch"
    assert not judge_interventions(dataclasses.replace(crossed, random=True), False, 32)
    assert not judge_interventions(dataclasses.replace(plain, unpaired=0.0), False, 32)
    ordered = dataclasses.replace(plain, permuted=0.5, rotated=1e-6)
    assert judge_interventions(ordered, False, 32)[0].cause == "labels-shifted"
    assert not judge_interventions(dataclasses.replace(ordered, rotated=0.4), False, 32)
    assert not judge_interventions(ordered, True, 32)


def test_reported_losses() -> None:
    expected = (2.3, 2.2, 2.1)
    size = {"batch": 32, "width": 10}
    assert not judge_reported(expected, expected, **size)
    assert not judge_reported((2.5, 2.4, 2.3), expected, **size)  # with a penalty
    assert not judge_reported((None, None, None), expected, **size)
    assert judge_reported([32 * x for x in expected], expected, **size)
    assert judge_reported([x / 10 for x in expected], expected, **size)
    assert judge_reported([x * 0.37 for x in expected], expected, **size)
    assert not judge_reported([x / np.log(2) for x in expected], expected, **size)  # in bits
    assert not judge_reported([0.37] * 3, [1.0] * 3, **size)  # no factor can be told
    assert judge_reported((0.0, 0.0, 0.0), expected, **size)


def test_descent_and_duplication() -> None:
    assert not judge_descent((2.3, 2.2, 2.4), None, 0.01, frozen=False)
    (up,) = judge_descent((2.3, 2.4, 2.5), 0.3, 0.01, frozen=False)
    assert up.cause == "wrong-sign"
    assert up.certain
    assert not judge_descent((2.3, 2.4, 2.5), -0.3, 0.01, frozen=False)
    assert judge_descent((1.0, 5.0, 9.0), None, 3.0, frozen=False)[0].cause.endswith("too-high")
    assert judge_duplication(2.0)
    assert not judge_duplication(1.0)
    assert not judge_duplication(None)
    assert judge([], {}, "Fine.").verdict is Verdict.PASSED


def test_losses_that_part_the_ignored() -> None:
    value = np.array([1.0, 2.0, 3.0, 4.0])
    assert beyond(value, [0, 1, 2, 3], [2, 3]) == (2.0, 3.0)
    assert beyond(value, [0, 1, 2, 3], [0, 3]) is None
    assert beyond(value, [0, 1], []) is None


# --- fits --------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), momentum=st.sampled_from([0.0, 0.9]))
def test_decay_is_not_told_where_parameters_began_at_zero(seed: int, momentum: float) -> None:
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=200) for _ in range(4)]
    floors = [np.full(200, 1e-9)] * 4
    for start, decay in ((0.0, 0.0), (1.0, 0.0), (1.0, -0.1)):
        params, moves = [start * rng.normal(size=200)], []
        velocity = np.zeros(200)
        for g in gradients:
            velocity = momentum * velocity + g + decay * params[-1]
            moves.append(-0.1 * velocity)
            # As in a trainer: what rounding leaves must not be taken for decay.
            params.append((params[-1] + moves[-1]).astype(np.float32).astype(float))
        fit = fit_linear(moves, gradients, params, floors)
        found = Explanation(kind="linear", fit=fit)
        causes = [t.cause for t in judge_explanation(found, NAMES, batch=32, width=10)]
        assert causes == (["decay-coupled"] if decay else [])
        assert len(fit.decay) == (4 if start else 0)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_fits_tell_momentum_from_accumulation_and_adam(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=200) for _ in range(4)]
    params = [rng.normal(size=200) for _ in range(4)]
    floors = [np.full(200, 1e-12)] * 4
    masks = significant(gradients, np.full(200, 1e-12))
    for momentum in (0.9, 1.0):
        sums = np.zeros(200)
        moves = []
        for g in gradients:
            sums = momentum * sums + g
            moves.append(-0.1 * sums)
        fit = fit_linear(moves, gradients, params, floors)
        assert fit.misfit < 1e-6
        causes = [
            t.cause
            for t in judge_explanation(
                Explanation(kind="linear", fit=fit), NAMES, batch=32, width=10
            )
        ]
        assert causes == ([] if momentum < 1 else ["gradients-accumulate"])
    adam = [-1e-3 * d for d in adam_directions(gradients)]
    assert fit_linear(adam, gradients, params, floors).misfit > 0.05
    good = fit_directions(adam, adam_directions(gradients), params, floors, masks)
    assert good.misfit < 1e-6
    assert max(good.factors) < 0


def test_state_with_other_weights_leaves_the_old_one_alone() -> None:
    class Box:
        def __init__(self) -> None:
            self.params = {"w": np.ones(3)}
            self.count = 4

    box = Box()
    put = surgery(box, lambda box: box.params)
    assert put is not None
    other = put([np.zeros(3)])
    assert other.count == 4
    assert not other.params["w"].any()
    assert box.params["w"].all()
    assert surgery({"a": np.ones(3), "b": np.ones(3)}, lambda s: {"w": np.ones(3)}) is None


def test_reported_loss_and_returned_values() -> None:
    assert reported_loss({"loss": jnp.float32(2.0)}) == 2.0
    assert reported_loss(3.0) == 3.0
    assert reported_loss({"accuracy": 1.0}) is None
    assert reported_loss(None) is None
    trainer = jr.Trainer(
        init=lambda key: 0,
        step=lambda state, batch, key: state,
        predict=lambda state, inputs: inputs,
        params=lambda state: state,
    )
    with pytest.raises(MalformedStepError, match="int, not the pair"):
        step_once(trainer, 0, None, None)  # type: ignore[arg-type]
