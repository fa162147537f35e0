"""The soft loss has Hinton's laws, and a student learns what labels do not say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import noise, pictures, small

import jrecipe as jr
from jrecipe import squeeze
from jrecipe.squeeze.distillation import Taught, soft_loss
from jrecipe.train.seeds import fit_seeds

SOFTMAX, SIGMOID = jr.losses.softmax_cross_entropy(), jr.losses.sigmoid_cross_entropy()


def logits(seed: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)


@given(st.integers(0, 99))
def test_at_a_high_temperature_the_gradient_is_that_of_matching_logits(seed):
    student, teacher = logits(seed, 5, 4)
    slope = jax.grad(lambda z: soft_loss(SOFTMAX, z, teacher, 100.0).sum())(student)
    centred = lambda x: x - x.mean(axis=1, keepdims=True)  # noqa: E731
    np.testing.assert_allclose(slope, (centred(student) - centred(teacher)) / 4, atol=0.02)
    slope = jax.grad(lambda z: soft_loss(SIGMOID, z, teacher[:, 0], 100.0).sum())(student[:, 0])
    np.testing.assert_allclose(slope, (student - teacher)[:, 0] / 4, atol=0.02)


@given(st.integers(0, 99), st.floats(0.5, 20.0))
def test_the_soft_loss_is_a_divergence_with_the_gradient_of_soft_labels(seed, temperature):
    student, teacher = logits(seed, 5, 4)
    assert (np.asarray(soft_loss(SOFTMAX, student, teacher, temperature)) > 0).all()
    np.testing.assert_allclose(
        soft_loss(SOFTMAX, teacher + 3.0, teacher, temperature), 0.0, atol=1e-4
    )
    shares = jax.nn.softmax(teacher / temperature)

    def hinton(z):
        return temperature**2 * SOFTMAX(z / temperature, shares).sum()

    soft = jax.grad(lambda z: soft_loss(SOFTMAX, z, teacher, temperature).sum())(student)
    np.testing.assert_allclose(soft, jax.grad(hinton)(student), rtol=1e-3, atol=1e-5)


@pytest.mark.exhaustive
def test_the_loss_mixes_labels_and_teacher_by_the_share():
    student, teacher = logits(0, 5, 4)
    labels = np.arange(5) % 4
    two = squeeze.ensemble(small(), 2, 2)

    def at(hard: float) -> np.ndarray:
        loss = squeeze.distil(two, small(), temperature=3.0, hard=hard).loss
        inside = loss(Taught(student, teacher, jnp.zeros(5)), labels)
        beside = loss(student, Taught(labels, teacher, np.zeros(5, np.float32)))
        np.testing.assert_array_equal(inside, beside)
        np.testing.assert_allclose(loss(student, labels), SOFTMAX(student, labels))  # evaluation
        return np.asarray(inside)

    np.testing.assert_allclose(at(1.0), SOFTMAX(student, labels), rtol=1e-6)
    np.testing.assert_allclose(at(0.0), soft_loss(SOFTMAX, student, teacher, 3.0), rtol=1e-6)
    np.testing.assert_allclose(at(0.25), 0.25 * at(1.0) + 0.75 * at(0.0), rtol=1e-5)


def other_labels() -> jr.Task:
    """A task whose labels are all other classes, so that it cannot be learnt from the labels."""
    (x, y), (val_x, val_y) = pictures(60, 1), pictures(23, 2)
    return small(train=(x, (y + 1) % 4), val=(val_x, (val_y + 1) % 4))


@pytest.fixture(scope="module")
def teacher() -> squeeze.Ensemble:
    return squeeze.ensemble(other_labels(), 2, 60, calibrate=False)


@pytest.mark.thin(2)
@pytest.mark.parametrize("augment", [None, noise], ids=["asked before", "asked inside"])
def test_a_student_learns_what_its_teacher_says_and_is_scored_by_labels(teacher, augment):
    task = small(augment=augment)
    taught = squeeze.distil(teacher, task, temperature=2.0, hard=0.0)
    run = jr.fit(taught, 100, seed=9, progress=False)
    student = squeeze.student_of(run.state, task)
    inputs, labels = pictures(400, 7)
    own, said = (np.asarray(jax.nn.softmax(x.predict(inputs))) for x in (student, teacher))
    assert np.abs(own - said).sum(axis=1).mean() < 0.3
    assert (own.argmax(axis=1) == (labels + 1) % 4).mean() > 0.8
    assert run.evaluate("val", best=False).metric < 0.2
    assert run.history["val_loss"][-1] == pytest.approx(student.evaluate("val").loss, rel=1e-4)
    assert jax.tree.structure(student.params) == jax.tree.structure(teacher.member(0).params)
    assert student.size == teacher.size // 2


def test_labels_alone_teach_the_labels(teacher):
    taught = squeeze.distil(teacher, small(), hard=1.0)
    assert jr.fit(taught, 60, progress=False).evaluate("val").metric > 0.8


@pytest.mark.slow
def test_a_smaller_student_and_a_single_teacher_do(teacher):
    task = small(model=jr.models.MLP(4, width=3, depth=1))
    run = jr.fit(squeeze.distil(jr.fit(small(), 20, progress=False), task), 5, progress=False)
    assert squeeze.student_of(run, task).size < teacher.member(0).size
    run = jr.fit(squeeze.distil(teacher.member(1), task), 5, progress=False)
    assert not run.problem


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_teacher_does_not_move_and_students_can_be_seeds_of_one_program(teacher):
    taught = squeeze.distil(teacher, small(augment=noise))
    run = jr.fit(taught, 5, progress=False)
    jax.tree.map(np.testing.assert_array_equal, run.state.model_state["teacher"][0], teacher.params)
    runs = fit_seeds(taught, 5, (0, 1), looks=1)
    assert runs.val_loss[0, -1] == pytest.approx(run.evaluate(best=False).loss, rel=1e-4)


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("temperature", {"temperature": 0.0}),
        ("temperature", {"temperature": -1.0}),
        ("temperature", {"temperature": float("inf")}),
        ("share", {"hard": 1.5}),
        ("share", {"hard": float("nan")}),
        ("one shape", {"student": small(model=jr.models.MLP(5, width=4, depth=1))}),
        ("mean together", {"student": small(loss=lambda z, y: z[:, 0] - y)}),
        ("as teacher", {"teacher": 3}),
    ],
)
def test_what_cannot_be_distilled_is_refused(teacher, said, given):
    given = {"teacher": teacher, "student": small(), **given}
    with pytest.raises(jr.TaskError, match=said):
        squeeze.distil(given.pop("teacher"), given.pop("student"), **given)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_yes_and_no_are_distilled():
    x, y = pictures(60, 1)
    task = small(
        model=jr.models.MLP(1, width=8, depth=1, squeeze=True),
        loss=SIGMOID,
        train=(x, (y > 1).astype(np.float32)),
        val=(x[:20], (y[:20] > 1).astype(np.float32)),
    )
    two = squeeze.ensemble(task, 2, 30)
    run = jr.fit(squeeze.distil(two, task, hard=0.0), 60, progress=False)
    own, said = (jax.nn.sigmoid(one.predict(x)) for one in (squeeze.student_of(run, task), two))
    assert np.abs(own - said).mean() < 0.2
