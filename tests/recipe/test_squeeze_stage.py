"""The last stage of `cook`: an ensemble, a student, and 8 bits; or the reason why not."""

from __future__ import annotations

import numpy as np
import optax
import pytest
from small_tasks import small

import jrecipe as jr
from jrecipe.checks import Verdict
from jrecipe.recipe.squeeze_stage import compared, squeeze

pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def fit():
    return jr.fit(small(optimizer=optax.adam(1e-2)), 60, progress=False)


@pytest.fixture(scope="module")
def squeezed(fit):
    return squeeze(fit, 3, lambda text: None)


@pytest.mark.slow
def test_an_ensemble_is_the_final_run_and_other_seeds(fit, squeezed):
    assert len(squeezed.ensemble) == 3
    first = squeezed.ensemble.member(0)
    inputs = fit.task.val.take(np.arange(8))[0]
    np.testing.assert_array_equal(first.predict(inputs), fit.predict(inputs))
    second = squeezed.ensemble.member(1).predict(inputs)
    assert not np.array_equal(second, first.predict(inputs))
    (gained,) = squeezed.findings
    assert gained.item == "F"
    assert gained.evidence["low"] <= gained.evidence["gain"] <= gained.evidence["high"]


def test_the_student_answers_by_itself_and_is_scored_on_validation(fit, squeezed):
    own = jr.squeeze.student_of(squeezed.student, fit.task)
    assert own.size == squeezed.ensemble.member(0).size
    scored = own.evaluate("val").loss
    assert squeezed.losses["student of the ensemble"] == pytest.approx(scored)
    assert squeezed.section.title == "Squeeze"
    assert "val" in squeezed.section.table.columns[1]


@pytest.mark.exhaustive
def test_eight_bits_are_compared_with_the_original(fit, squeezed):
    comparison, why = compared(fit, squeezed, "val")
    assert not why
    assert [*comparison.rows] == ["final network", "int8 weights", "ensemble of 3", "student"]


def test_without_time_or_meaning_there_is_no_ensemble_and_the_reason_is_told(fit):
    alone = squeeze(fit, 1, lambda text: None, why_not="there is no time.")
    assert alone.ensemble is None
    assert alone.student is None
    assert alone.small is not None
    assert alone.findings[0].verdict is Verdict.SKIPPED
    assert "there is no time" in alone.section.text[0]

    def own_loss(outputs, targets):
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)

    task = small(optimizer=optax.adam(1e-2), loss=own_loss)
    foreign = squeeze(jr.fit(task, 5, progress=False), 3, lambda text: None)
    assert foreign.ensemble is None
    assert "own_loss" in foreign.section.text[0]


@pytest.mark.slow
def test_numbers_are_joined_but_have_no_student():
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    data = (x, x @ np.ones(4, np.float32))
    task = jr.Task(
        model=jr.models.MLP(1, width=8, squeeze=True),
        loss=jr.losses.l2(),
        train=data,
        val=data,
        batch_size=16,
    )
    found = squeeze(jr.fit(task, 20, progress=False), 3, lambda text: None)
    assert len(found.ensemble) == 3
    assert found.student is None
    assert any(line.startswith("No student: distil") for line in found.section.text)
