"""Members are those that are fitted one by one, and together they are the mean of probabilities."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import Remote, noise, pictures, plain, small

import jrecipe as jr
from jrecipe import squeeze
from jrecipe.squeeze.ensemble_mean import fit_temperature, mean_outputs
from jrecipe.squeeze.ensemble_scores import paired_gain, values_of
from jrecipe.squeeze.ensembles import joint_model

SOFTMAX, SIGMOID = jr.losses.softmax_cross_entropy(), jr.losses.multilabel_cross_entropy()


@functools.cache
def trained() -> squeeze.Ensemble:
    return squeeze.ensemble(small(model=plain(0.5), augment=noise), 3, 12, seed=4)


@pytest.mark.slow
def test_every_member_is_what_fit_gives_from_its_seed():
    for i in (0, 2):
        task = small(model=plain(0.5), augment=noise)
        run = jr.fit(task, 12, seed=4 + i, progress=False)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
            trained().member(i).params,
            run.best.params,
        )


@pytest.mark.slow
def test_streamed_data_gives_the_same_members():
    task = small(model=plain(0.5), augment=noise, train=Remote(*pictures(60, 1)))
    other = squeeze.ensemble(task, 2, 12, seed=4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[:2], b, rtol=1e-4, atol=1e-5),
        trained().params,
        other.params,
    )


def test_identical_members_are_the_member():
    run = jr.fit(small(), 12, progress=False)
    joined = squeeze.ensemble_of(run.task, [run, run, run])
    one, all_of_them = run.evaluate("val"), joined.evaluate("val")
    np.testing.assert_allclose(all_of_them.values, one.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(all_of_them.metric_values, one.metric_values)
    scores = joined.scores("val")
    assert (scores.gain, scores.low, scores.high) == (0.0, 0.0, 0.0)


@given(st.integers(0, 99), st.floats(0.1, 9.0))
def test_the_mean_of_probabilities_is_one(seed, temperature):
    logits = 5 * np.random.default_rng(seed).normal(size=(3, 7, 4))
    mean = np.exp(mean_outputs(SOFTMAX, logits))
    np.testing.assert_allclose(mean, jax.nn.softmax(logits).mean(axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(mean.sum(axis=-1), 1.0, rtol=1e-5)
    task = small()
    joint = joint_model(task, 3, temperature)
    weights = joint.init(jax.random.key(seed), task.val.take(np.arange(2))[0])
    outputs = joint.apply(*weights, task.val.take(np.arange(5))[0])[0]
    plain_outputs = joint_model(task, 3).apply(*weights, task.val.take(np.arange(5))[0])[0]
    np.testing.assert_allclose(outputs * temperature, plain_outputs, rtol=1e-5)


def test_yes_and_no_and_numbers_have_means_of_their_own():
    logits = np.random.default_rng(0).normal(size=(3, 5, 2)) * 3
    mean = jax.nn.sigmoid(mean_outputs(SIGMOID, logits))
    np.testing.assert_allclose(mean, jax.nn.sigmoid(logits).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        mean_outputs(jr.losses.l2(), logits), logits.mean(axis=0), rtol=1e-5, atol=1e-6
    )
    # Far outside of where exp overflows, and where a probability rounds to 0.
    far = mean_outputs(SOFTMAX, np.array([[[200.0, -200.0]], [[-300.0, 300.0]]]))
    np.testing.assert_allclose(far, np.log([[0.5, 0.5]]), rtol=1e-5)


def test_a_vmapped_program_gives_the_same_as_one_member_after_another(monkeypatch):
    inputs = trained().task.val.take(np.arange(9))[0]
    weights = (trained().params, trained().model_state)
    joint = joint_model(trained().task, 3)
    here = joint.apply(*weights, inputs)[0]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_allclose(joint.apply(*weights, inputs)[0], here, rtol=1e-4, atol=1e-5)


@pytest.mark.exhaustive
def test_temperature_finds_what_logits_were_multiplied_by_and_keeps_decisions():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    labels = (rng.random(4000)[:, None] > jax.nn.softmax(logits).cumsum(axis=1)).sum(axis=1)
    for factor in (0.2, 1.0, 3.0):
        found = fit_temperature(SOFTMAX, logits * factor, np.minimum(labels, 2))
        assert found == pytest.approx(factor, rel=0.15)
    three = trained()
    assert three.temperature != 1.0
    untouched = three.part([0, 1, 2])
    assert untouched.temperature == 1.0
    calm, wild = three.evaluate("val"), untouched.evaluate("val")
    assert calm.loss <= wild.loss
    np.testing.assert_array_equal(calm.metric_values, wild.metric_values)


def test_scores_are_paired_by_example():
    scores = trained().scores("val")
    each = [trained().member(i).evaluate("val") for i in range(3)]
    together = trained().evaluate("val")
    assert scores.members.tolist() == pytest.approx([one.metric for one in each])
    assert scores.gain == pytest.approx(together.metric - np.mean([one.metric for one in each]))
    differences = together.metric_values - np.mean([one.metric_values for one in each], axis=0)
    half = 1.96 * differences.std(ddof=1) / math.sqrt(len(differences))
    assert (scores.low, scores.high) == pytest.approx((scores.gain - half, scores.gain + half))
    assert scores.members[scores.best_member] == scores.members.max()
    assert "gain" in str(scores)
    run = jr.fit(small(metric=None, loss=jr.losses.softmax_cross_entropy()), 4, progress=False)
    np.testing.assert_array_equal(values_of(run.evaluate(metric=None))[0], -run.evaluate().values)
    with pytest.raises(jr.TaskError, match="same examples"):
        paired_gain(together, [trained().member(0).evaluate("train")])


def test_calibration_error_knows_the_calibrated_and_the_boastful():
    assert squeeze.calibration_error([[0.75, 0.25]] * 4, [0, 0, 0, 1]) == pytest.approx(0.0)
    assert squeeze.calibration_error([[1.0, 0.0]] * 4, [0, 0, 0, 1]) == pytest.approx(0.25)
    assert squeeze.calibration_error([[1.0, 0.0]] * 4, [1] * 4) == pytest.approx(1.0)
    with pytest.raises(jr.TaskError, match="n, c"):
        squeeze.calibration_error([0.5], [0])


def test_saved_and_loaded_it_predicts_as_before(tmp_path):
    inputs = trained().task.val.take(np.arange(23))[0]
    squeeze.save(trained(), tmp_path / "five")
    loaded = squeeze.load_ensemble(tmp_path / "five", small(model=plain(0.5)))
    np.testing.assert_array_equal(loaded.predict(inputs), trained().predict(inputs))
    assert loaded.temperature == trained().temperature
    squeeze.save(trained().member(1), tmp_path / "one")
    one = squeeze.load_network(tmp_path / "one", small(model=plain(0.5)))
    np.testing.assert_array_equal(one.predict(inputs), trained().member(1).predict(inputs))
    assert not any(path.suffix in (".pkl", ".pickle") for path in tmp_path.rglob("*"))


def test_what_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(jr.TaskError, match=r"no squeezed\.json"):
        squeeze.load_ensemble(tmp_path, small())
    squeeze.save(trained(), tmp_path)
    with pytest.raises(jr.TaskError, match="load_ensemble"):
        squeeze.load_network(tmp_path, small())
    with pytest.raises(jr.TaskError, match="does not fit"):
        squeeze.load_ensemble(tmp_path, small(model=jr.models.MLP(4, width=8, depth=1)))
    (tmp_path / "squeezed.json").write_text("{")
    with pytest.raises(jr.TaskError, match="damaged"):
        squeeze.load_ensemble(tmp_path, small())


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("members", lambda: squeeze.ensemble(small(), 1, 4)),
        ("members", lambda: squeeze.ensemble(small(), True, 4)),
        ("steps", lambda: squeeze.ensemble(small(), 2, 0)),
        ("shared", lambda: squeeze.ensemble(small(), 2, 4, shared=4)),
        ("2 members", lambda: squeeze.ensemble_of(small(), [trained().member(0)])),
        ("2 members", lambda: trained().part([1])),
        ("mean together", lambda: squeeze.ensemble(small(loss=lambda z, y: z[:, 0] - y), 2, 4)),
        ("temperature > 0", lambda: joint_model(small(), 2, 0.0)),
        ("temperature > 0", lambda: joint_model(small(), 2, math.nan)),
        ("no split", lambda: trained().scores("tset")),
        ("memory", lambda: squeeze.ensemble(remote(), 2, 4, shared=2)),
        ("blew up", lambda: squeeze.ensemble(small(optimizer=optax.sgd(1e30)), 2, 4)),
        ("not trained", lambda: joint_model(small(), 2).apply({}, {}, jnp.ones(2), train=True)),
        (
            "one form",
            lambda: squeeze.ensemble_of(
                small(), [trained().member(0), jr.fit(other_form(), 1, progress=False)]
            ),
        ),
    ],
)
def test_what_cannot_be_an_ensemble_is_refused(said, call):
    with pytest.raises(jr.TaskError, match=said):
        call()


def remote() -> jr.Task:
    return small(train=Remote(*pictures(60, 1)))


def other_form() -> jr.Task:
    return small(model=jr.models.MLP(4, width=8, depth=1))


@pytest.mark.exhaustive
def test_numbers_are_averaged_and_have_no_temperature():
    x, y = pictures(60, 1)
    task = small(
        model=jr.models.MLP(1, width=8, depth=1, squeeze=True),
        loss=jr.losses.l2(),
        train=(x, y.astype(np.float32)),
        val=(x[:20], y[:20].astype(np.float32)),
    )
    two = squeeze.ensemble(task, 2, 4)
    assert two.temperature == 1.0
    mean = (two.member(0).predict(x) + two.member(1).predict(x)) / 2
    np.testing.assert_allclose(two.predict(x), mean, rtol=1e-5, atol=1e-6)
    assert two.scores().gain >= 0  # squared errors are convex: Krogh and Vedelsby
    with pytest.raises(jr.TaskError, match="has none"):
        two.calibrated()
    with pytest.raises(jr.TaskError, match="no probabilities"):
        joint_model(task, 2, 2.0)
    with pytest.raises(jr.TaskError, match="has none"):
        squeeze.distil(two, task)
