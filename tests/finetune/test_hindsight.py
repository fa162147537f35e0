"""Pitfalls of a finished run, judged by numbers in both directions (J7)."""

from __future__ import annotations

import dataclasses

import pytest

from jrecipe.finetune.hindsight import Hindsight, pitfalls_of

HEALTHY = Hindsight(
    kept=0.9,
    val_loss=(0.69, 0.32, 0.29, 0.288),
    val_stderr=(0.001, 0.01, 0.01, 0.01),
    train_loss=0.2,
    rate=5e-5,
    epochs=3,
    rows=7_000,
    swept=True,
)


def codes(**change):
    return [p.code for p in pitfalls_of(dataclasses.replace(HEALTHY, **change))]


def test_a_healthy_run_has_none():
    assert codes() == []


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("untuned", {"swept": False}),
        ("forgetting", {"kept": 0.1, "val_loss": (0.69, 0.69, 0.70, 0.70)}),
        ("forgetting", {"kept": 0.1, "val_loss": (0.69, 0.40, 0.50, 0.60)}),
        ("over-fitting", {"train_loss": 0.02, "val_loss": (0.69, 0.30, 0.40, 0.55)}),
        ("too-few-epochs", {"train_loss": 0.4, "val_loss": (0.69, 0.60, 0.50, 0.40)}),
    ],
)
def test_each_pitfall_is_named(code, change):
    assert code in codes(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"kept": 0.1},  # features changed, and the loss fell: they were of no use
        {"train_loss": 0.02},  # fits its rows, and new ones no worse than before
        {"train_loss": 0.4, "val_loss": (0.69, 0.60, 0.41, 0.40)},  # within the noise
        {"val_loss": (0.69, 0.28, 0.288, 0.29)},  # rose, but within the noise
    ],
)
def test_what_only_looks_like_a_pitfall_is_not_named(change):
    assert codes(**change) == []


def test_remedies_and_numbers_are_said():
    (said,) = pitfalls_of(dataclasses.replace(HEALTHY, swept=False))
    assert "5e-05" in str(said)
    assert "--sweep" in str(said)
