"""A population trains each member as it would be trained alone."""

from __future__ import annotations

import functools

import jax
import numpy as np
import optax
import pytest

from jrecipe import augment, losses, models, regularize, train, tune
from jrecipe.task import Task
from jrecipe.types import TaskError

rng = np.random.default_rng(0)
X = rng.normal(size=(96, 6)).astype(np.float32)
Y = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(np.int32)


def make_task(params):
    """Everything that can be traced is."""
    return Task(
        model=models.MLP(2, width=params.get("width", 8), depth=1, dropout=params["dropout"]),
        loss=losses.softmax_cross_entropy(params["smoothing"]),
        train=(X[:64], Y[:64]),
        val=(X[64:], Y[64:]),
        batch_size=16,
        optimizer=regularize.adamw(params["rate"], params["decay"]),
        augment=functools.partial(_blur, params["strength"]),
    )


def _blur(strength, key, batch):
    noise = jax.random.normal(key, batch.inputs.shape)
    return batch._replace(inputs=batch.inputs + strength * noise)


SPACE = tune.Space(
    {
        "rate": tune.LogUniform(1e-3, 1e-1),
        "decay": tune.LogUniform(1e-4, 1.0),
        "dropout": tune.Uniform(0.0, 0.5),
        "smoothing": tune.Uniform(0.0, 0.2),
        "strength": tune.Uniform(0.0, 0.3),
    }
)


@pytest.mark.slow
def test_members_are_trained_as_each_alone():
    points = tune.random(SPACE, 3, seed=1)
    told = []
    trials = tune.population(make_task, points, steps=12, looks=2, seeds=5, tell=told.append)
    assert told == trials
    for number, trial in enumerate(trials):
        assert (trial.number, trial.params, trial.seed) == (number, points[number], 5 + number)
        alone = train.fit(make_task(points[number]), 12, seed=5 + number, progress=False)
        plain = make_task({**points[number], "smoothing": 0.0})
        found = train.evaluate(train.trainer_of(plain).predict, alone.state, plain.val, plain.loss)
        assert trial.value == pytest.approx(found.loss, rel=2e-4)
    values = [trial.value for trial in trials]
    assert len({round(value, 5) for value in values}) == 3  # they do differ


@pytest.mark.slow
def test_how_members_are_shared_by_devices_changes_nothing():
    points = tune.random(SPACE, 3)
    one = tune.population(make_task, points, steps=6, looks=1, devices=1)
    two = tune.population(make_task, points, steps=6, looks=1, devices=2)  # 3 are filled up to 4
    np.testing.assert_allclose([t.value for t in one], [t.value for t in two], rtol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_what_changes_a_shape_makes_groups():
    space = tune.Space({**SPACE, "width": tune.Choice(4, 8)})
    points = tune.sobol(space, 6)
    assert len({p["width"] for p in points}) == 2
    trials = tune.population(make_task, points, steps=4, looks=1)
    assert [trial.params for trial in trials] == points
    of_eight = [p for p in points if p["width"] == 8]
    alone = tune.population(
        make_task,
        of_eight,
        steps=4,
        looks=1,
        seeds=[t.seed for t in trials if t.params["width"] == 8],
    )
    together = [t.value for t in trials if t.params["width"] == 8]
    np.testing.assert_allclose(together, [t.value for t in alone], rtol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_halving_keeps_the_best_and_trains_them_as_if_alone():
    points = tune.random(SPACE, 8, seed=2)
    whole = tune.population(make_task, points, steps=8, looks=4)
    halved = tune.population(
        make_task, points, steps=8, looks=4, halving=tune.Halving(factor=2, rungs=2)
    )
    early = sorted(range(8), key=lambda i: whole[i].curve[0][1])[:4]
    later = sorted(early, key=lambda i: whole[i].curve[1][1])[:2]
    assert {t.number for t in halved if t.state == "done"} == set(later)
    assert sorted(t.steps for t in halved) == [2] * 4 + [4] * 2 + [8] * 2
    for trial in halved:
        both = zip(trial.curve, whole[trial.number].curve, strict=False)
        for mine, alone in both:
            assert mine == pytest.approx(alone, rel=1e-5)


@pytest.mark.slow
def test_a_member_that_blows_up_fails_alone_and_never_survives():
    points = [{**tune.random(SPACE, 1)[0], "rate": rate} for rate in (1e-2, 1e38, 1e-3, 2e-2)]
    trials = tune.population(
        make_task, points, steps=8, looks=4, halving=tune.Halving(factor=2, rungs=1)
    )
    assert [t.state for t in trials].count("done") == 2
    assert trials[1].state == "failed"
    assert "not finite" in trials[1].why
    assert tune.best_of(trials).state == "done"


def test_the_metric_can_be_what_counts():
    points = tune.random(SPACE, 2)
    trials = tune.population(make_task, points, steps=20, looks=1, by="metric")
    for trial in trials:
        assert trial.value == -trial.numbers["metric"]
        assert 0.3 < trial.numbers["metric"] <= 1.0


def test_a_loss_of_the_users_own_needs_no_metric_unless_that_counts():
    def squared(outputs, targets):
        return (outputs[:, 0] - targets) ** 2

    def own(params):
        return Task(
            model=models.Linear(1),
            loss=squared,
            train=(X[:64], Y[:64]),
            val=(X[64:], Y[64:]),
            batch_size=16,
            optimizer=optax.adam(params["rate"]),
        )

    points = [{"rate": 1e-2}, {"rate": 1e-1}]
    values = [trial.value for trial in tune.population(own, points, steps=4, looks=1)]
    assert np.isfinite(values).all()
    with pytest.raises(TaskError, match=r"by='metric', but the task has none"):
        tune.population(own, points, steps=4, by="metric")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_convolutions_on_a_cpu_go_in_turn_and_agree_with_fit():
    pictures = rng.normal(size=(32, 4, 4, 1)).astype(np.float32)

    def of_pictures(params):
        return Task(
            model=models.ConvNet(2, width=2, depth=1),
            loss=losses.softmax_cross_entropy(),
            train=(pictures, Y[:32]),
            val=(pictures, Y[:32]),
            batch_size=8,
            optimizer=optax.adam(params["rate"]),
            augment=augment.random_flip(),
        )

    points = [{"rate": 1e-2}, {"rate": 1e-3}, {"rate": 3e-3}]
    trials = tune.population(of_pictures, points, steps=3, looks=1, devices=2)
    for trial in trials:
        task = of_pictures(trial.params)
        alone = train.fit(task, 3, seed=trial.seed, progress=False)
        found = train.evaluate(train.trainer_of(task).predict, alone.state, task.val, task.loss)
        assert trial.value == pytest.approx(found.loss, rel=1e-4)


def needs_a_number(params):
    return make_task({**tune.random(SPACE, 1)[0], "rate": float(params["rate"])})


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_number_that_cannot_be_traced_is_named_and_can_make_groups():
    with pytest.raises(TaskError, match=r"rate have no value yet.*groups="):
        tune.population(needs_a_number, [{"rate": 0.1}], steps=1, looks=1)
    points = [{"rate": 0.1}, {"rate": 0.01}]
    assert len(tune.population(needs_a_number, points, steps=1, looks=1, groups=("rate",))) == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"points": []}, "no points"),
        ({"steps": 0}, "steps >= 1"),
        ({"looks": 0}, "looks >= 1"),
        ({"by": "accuracy"}, "'loss' and 'metric'"),
        ({"seeds": [1, 2]}, "2 seeds for 1 points"),
        ({"devices": 99}, "devices=99"),
    ],
)
def test_bad_arguments_are_named(change, says):
    given = {"points": tune.random(SPACE, 1), "steps": 1, "looks": 1, **change}
    with pytest.raises(TaskError, match=says):
        tune.population(make_task, given.pop("points"), **given)


def test_a_trainer_of_the_users_own_is_sent_elsewhere():
    def foreign(params):
        task = make_task(tune.random(SPACE, 1)[0])
        return task.replace(trainer=train.reference_trainer(task))

    with pytest.raises(TaskError, match=r"jr\.tune\.search"):
        tune.population(foreign, [{"rate": 0.1}], steps=1)


@pytest.mark.parametrize(("factor", "rungs"), [(1, 1), (2, 0), (True, 1)])
def test_bad_halving_is_named(factor, rungs):
    with pytest.raises(TaskError, match="Halving needs"):
        tune.Halving(factor, rungs)


def test_halving_leaves_the_shares_it_says():
    assert tune.Halving(3, 2).cuts(9) == {1: 3, 3: 3}
    assert tune.Halving(2, 3).cuts(2) == {1: 8}
