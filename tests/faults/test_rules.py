"""The rule sets of the field: numbers that set each rule off, and numbers that come near."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jrecipe as jr

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
from gallery import rules
from gallery.rules_trace import Trace, trace

FALLING = np.linspace(1.0, 0.1, 31)


def steps(*values: float) -> np.ndarray:
    """The same numbers at each of 300 steps, one column per kernel."""
    return np.tile(np.array(values), (300, 1))


def quiet(**changes: Any) -> Trace:
    """A run in which no rule finds anything."""
    calm = Trace(
        loss=np.linspace(1.0, 0.1, 300),
        train_loss=FALLING,
        val_loss=FALLING * 1.05,
        train_accuracy=np.linspace(0.1, 0.95, 31),
        kernels=("first/kernel", "last/kernel"),
        grad_norm=steps(0.1, 0.1),
        grad_mean=steps(1e-3, 1e-3),
        grad_zeros=steps(0.1, 0.1),
        ratio=steps(1e-3, 1e-3),
        unchanged=steps(0, 0).astype(bool),
        inactive=(0.1,),
        rate=1e-3,
        input_range=(-1.0, 1.0),
        softmax_outputs=True,
        class_counts=(30, 30),
    )
    return dataclasses.replace(calm, **changes)


FAILING = {"train_accuracy": np.linspace(0.1, 0.5, 31)}
JUDGES = {
    "autotrainer": rules.autotrainer,
    "umlaut": rules.umlaut,
    "sagemaker": rules.sagemaker,
    "deepdiagnosis": rules.deepdiagnosis,
}
BREAKS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    # tool, rule, what sets it off, what comes near but does not
    (
        "autotrainer",
        "vanishing-gradient",
        {**FAILING, "grad_norm": steps(5e-5, 0.1)},
        {**FAILING, "grad_norm": steps(2e-4, 0.5)},
    ),
    (
        "autotrainer",
        "exploding-gradient",
        {**FAILING, "grad_norm": steps(8.0, 0.1)},
        {**FAILING, "grad_norm": steps(6.0, 0.1)},
    ),
    (
        "autotrainer",
        "exploding-gradient",
        {"train_loss": np.full(31, np.nan)},
        {"grad_norm": steps(8.0, 0.1)},  # it learns: the rules do not apply
    ),
    (
        "autotrainer",
        "dying-relu",
        {**FAILING, "grad_zeros": steps(0.9, 0.6)},
        {**FAILING, "grad_zeros": steps(0.7, 0.6)},
    ),
    (
        "autotrainer",
        "oscillating-loss",
        {"train_accuracy": np.tile([0.3, 0.4], 15)},
        {"train_accuracy": np.r_[np.tile([0.3, 0.4], 2), np.linspace(0.4, 0.55, 27)]},
    ),
    (
        "autotrainer",
        "slow-convergence",
        {"train_accuracy": np.linspace(0.1, 0.15, 31)},
        {"train_accuracy": np.linspace(0.1, 0.5, 31)},
    ),
    ("umlaut", "input-range", {"input_range": (0.0, 255.0)}, {"input_range": (0.0, 1.0)}),
    ("umlaut", "no-softmax", {"softmax_outputs": False}, {"softmax_outputs": None}),
    ("umlaut", "linear-hidden-layer", {"linear_hidden": 1}, {"linear_hidden": 0}),
    ("umlaut", "high-dropout", {"dropout": 0.6}, {"dropout": 0.5}),
    ("umlaut", "learning-rate-range", {"rate": 0.1}, {"rate": 1e-2}),
    ("umlaut", "learning-rate-range", {"rate": 1e-8}, {"rate": None}),
    ("umlaut", "overfitting", {"val_loss": FALLING[::-1]}, {"val_loss": FALLING}),
    ("umlaut", "nan-loss", {"train_loss": np.full(31, np.nan)}, {}),
    ("sagemaker", "vanishing-gradient", {"grad_mean": steps(1e-8, 1e-3)}, {}),
    ("sagemaker", "update-ratio", {"ratio": steps(1e-9, 1e-3)}, {"ratio": steps(1e-7, 1e-3)}),
    ("sagemaker", "update-ratio", {"ratio": steps(20.0, 1e-3)}, {"ratio": steps(9.0, 1e-3)}),
    (
        "sagemaker",
        "unchanged-tensor",
        {"unchanged": np.arange(300)[:, None] // 3 % 2 == [[0, 2]]},
        {"unchanged": np.arange(300)[:, None] % 3 != [[0, 0]]},
    ),
    ("sagemaker", "dead-relu", {"inactive": (0.1, 0.6)}, {"inactive": (0.5,)}),
    ("sagemaker", "loss-not-decreasing", {"train_loss": np.full(31, 0.7)}, {}),
    ("sagemaker", "class-imbalance", {"class_counts": (210, 20)}, {"class_counts": (200, 20)}),
    ("sagemaker", "overfit", {"val_loss": FALLING * 1.2}, {"val_loss": FALLING * 1.09}),
    ("sagemaker", "exploding-tensor", {"finite": False}, {}),
    ("deepdiagnosis", "numerical-error", {"finite": False}, {}),
    ("deepdiagnosis", "loss-not-decreasing", {"train_loss": np.full(31, 0.7)}, {}),
    (
        "deepdiagnosis",
        "accuracy-not-increasing",
        {"train_accuracy": np.full(31, 0.1)},
        {"train_accuracy": np.ones(31)},
    ),
    ("deepdiagnosis", "dead-node", {"inactive": (0.7,)}, {"inactive": (0.6,)}),
    ("deepdiagnosis", "vanishing-gradient", {"grad_mean": steps(1e-8, 1e-3)}, {}),
    ("deepdiagnosis", "unchanged-weight", {"unchanged": steps(1, 0).astype(bool)}, {}),
]


@pytest.mark.parametrize("tool", sorted(JUDGES))
def test_a_quiet_run_is_left_alone(tool: str) -> None:
    assert JUDGES[tool](quiet()) == ()


@pytest.mark.parametrize(
    ("tool", "rule", "broken", "near"),
    BREAKS,
    ids=[f"{i}-{b[0]}-{b[1]}" for i, b in enumerate(BREAKS)],
)
def test_each_rule_fires_beyond_its_threshold_only(
    tool: str, rule: str, broken: dict[str, Any], near: dict[str, Any]
) -> None:
    assert rule in JUDGES[tool](quiet(**broken))
    assert rule not in JUDGES[tool](quiet(**near))


def test_a_foreign_run_shows_no_gradients_and_sets_off_no_rule_on_them() -> None:
    seen = quiet(**FAILING, kernels=(), grad_norm=np.ones(300), grad_mean=np.zeros(300))
    assert "vanishing-gradient" not in rules.sagemaker(seen)
    assert "dying-relu" not in rules.autotrainer(seen)


class Net(nn.Module):
    """Three layers, named against their order, one of them dead and one linear on demand."""

    dead: bool = False
    linear: bool = False

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        shift = nn.initializers.constant(-100.0 if self.dead else 0.0)
        x = nn.relu(nn.Dense(8, bias_init=shift, name="z_first")(x))
        x = nn.Dense(8, name="middle")(x)
        x = nn.Dropout(0.6, deterministic=not train)(x if self.linear else nn.tanh(x))
        return nn.Dense(2, name="a_last")(x)


def small(model: Any, **changes: Any) -> jr.Task:
    """Two blobs, 96 rows."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 128).astype(np.int32)
    x = (rng.normal(size=(128, 4)) + 2.0 * y[:, None]).astype(np.float32)
    fields = {"optimizer": optax.sgd(0.05), "batch_size": 32, **changes}
    return jr.Task(
        model=model,
        loss=jr.losses.softmax_cross_entropy(),
        train=(x[:96], y[:96]),
        val=(x[96:], y[96:]),
        **fields,
    )


@pytest.mark.exhaustive
def test_a_trace_of_a_linen_network_shows_its_layers_in_order() -> None:
    seen = trace(small(Net(linear=True)), steps=40)
    assert seen.kernels == ("z_first/kernel", "middle/kernel", "a_last/kernel")
    assert seen.linear_hidden == 1
    assert seen.dropout == pytest.approx(0.6)
    assert seen.rate == pytest.approx(0.05)
    assert seen.softmax_outputs is False
    assert sum(seen.class_counts) == 96
    assert seen.grad_norm.shape == (40, 3)
    assert seen.train_loss[-1] < seen.train_loss[0]
    assert seen.train_accuracy[-1] > 0.8
    assert max(seen.inactive) <= 0.5
    assert seen.finite


@pytest.mark.exhaustive
def test_a_trace_shows_dead_units_and_what_the_tools_say_of_them() -> None:
    seen = trace(small(Net(dead=True)), steps=40)
    assert max(seen.inactive) == 1.0
    assert seen.linear_hidden == 0
    assert (seen.grad_norm[:, 0] == 0).all()
    assert "dead-relu" in rules.sagemaker(seen)
    assert "dead-node" in rules.deepdiagnosis(seen)
    assert "unchanged-tensor" in rules.sagemaker(seen)


@pytest.mark.exhaustive
def test_all_tools_judge_one_run_of_a_foreign_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def step(state: Any, batch: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        calls.append(1)
        return state, {"loss": jnp.float32(0.7)}

    trainer = jr.Trainer(
        init=lambda key: np.zeros((4, 2), np.float32),
        step=step,
        predict=lambda state, inputs: np.asarray(inputs) @ state,
        params=lambda state: state,
    )
    task = small(None, trainer=trainer)
    fired = {name: tool(task, 0) for name, tool in rules.TOOLS.items()}
    assert len(calls) == 300
    assert fired["SageMaker Debugger"] == ("loss-not-decreasing",)
    assert "slow-convergence" in fired["AUTOTRAINER"]
    rules.TOOLS["UMLAUT"](small(None, trainer=trainer), 0)
    assert len(calls) == 600
