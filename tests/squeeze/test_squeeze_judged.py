"""Findings of ensembles and smaller networks: a warning and a way out where they surely lose."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from small_tasks import small

from jrecipe.checks import Verdict
from jrecipe.squeeze import Comparison, judge_ensemble, judge_smaller
from jrecipe.squeeze.compare import Measured
from jrecipe.squeeze.ensemble_report import Way


def scored(share: float, n: int = 400) -> SimpleNamespace:
    """An evaluation of which so many examples are right."""
    right = (np.arange(n) < share * n).astype(np.float64)
    return SimpleNamespace(metric_values=right, metric_weights=np.ones(n))


def way(name: str, *shares: float) -> Way:
    return Way(name=name, evaluations=[scored(s) for s in shares], networks=3, parameters=1)


@pytest.mark.parametrize(
    ("together", "verdict"), [(0.9, "PASSED"), (0.8, "PASSED"), (0.7, "WARNED")]
)
def test_an_ensemble_that_surely_loses_is_told(together, verdict):
    ways = [
        way("mean member", 0.78, 0.8, 0.82),
        way("member 2, best on validation", 0.82),
        way("ensemble of 3", together),
        way("student of the ensemble", 0.85),
    ]
    found = judge_ensemble(small(), ways, "test")
    assert (found.item, found.verdict.value) == ("F", verdict)
    assert found.evidence["gain"] == pytest.approx(together - 0.8)
    assert found.evidence["student of the ensemble"] == pytest.approx(0.05)
    assert f"{together - 0.8:+.4f} accuracy" in found.finding
    assert "on the test split" in found.finding
    assert bool(found.remedy) == (verdict == "WARNED")


def row(gain: float, half: float, size: int = 100) -> Measured:
    return Measured(
        bytes=size,
        zipped=size,
        latency={1: (1.0, 2.0)},
        throughput=1.0,
        score=0.9 + gain,
        interval=(0.8, 1.0),
        gain=gain,
        gain_interval=(gain - half, gain + half),
    )


@pytest.mark.parametrize(
    ("metric", "gain", "verdict"),
    [
        ("accuracy", -0.002, "PASSED"),
        ("accuracy", -0.2, "WARNED"),
        ("accuracy", -0.004, "PASSED"),  # sure, by the interval below, and of no account
        ("l1", -0.008, "PASSED"),
        ("l1", -0.02, "WARNED"),
        ("accuracy", 0.2, "PASSED"),
        ("loss", -0.2, "PASSED"),  # a lower loss is better
        ("loss", 0.2, "WARNED"),
    ],
)
def test_a_smaller_network_that_surely_loses_is_told(metric, gain, verdict):
    rows = {"original": row(0.0, 0.0), "int8 weights, trained for it": row(gain, 0.003, 26)}
    found = judge_smaller(
        Comparison(rows, "test", 400, metric, "cpu"), "int8 weights, trained for it"
    )
    assert (found.item, found.check) == ("J8", "int8-weights-trained-for-it")
    assert found.verdict is Verdict[verdict]
    assert "26% of the bytes" in found.finding
    assert ("points" in found.finding) == (metric == "accuracy")
    assert bool(found.remedy) == (verdict == "WARNED")
