"""The frozen set as a function of the step: phases, their boundaries, and runs across them."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import assert_close, assert_identical, batch_of, pictures, plain, small

import jrecipe as jr
from jrecipe.train import Unfreezing, averaged, ema, reference_trainer, scale_by_leaf_adam
from jrecipe.train.phases import room_in_phase, state_at, task_at
from jrecipe.train.seeds import Arms, fit_seeds

pytestmark = pytest.mark.thin(4)

PHASES = Unfreezing(((0, ("first/*", "last/bias")), (4, ("first/bias",)), (9, ())))


def leaf_adam(rate: float = 1e-2) -> optax.GradientTransformation:
    schedule = optax.linear_schedule(rate, 0.0, 20)
    return optax.chain(
        scale_by_leaf_adam(), optax.add_decayed_weights(0.1), optax.scale_by_learning_rate(schedule)
    )


def task_of(**changes) -> jr.Task:
    return small(**{"frozen": PHASES, "optimizer": leaf_adam(), **changes})


def counting(traced: list) -> jr.Model:
    model = plain()

    def apply(params, state, inputs, *, key=None, train=False):
        if train:
            traced.append(1)
        return model.apply(params, state, inputs, key=key, train=train)

    return dataclasses.replace(model, apply=apply)


def moved(before, after) -> list[str]:
    same = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), before.params, after.params)
    leaves = jax.tree_util.tree_leaves_with_path(same)
    return [jax.tree_util.keystr(p, simple=True, separator="/") for p, s in leaves if not s]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "trained"),
    [
        (4, ["last/kernel"]),
        (5, ["first/kernel", "last/bias", "last/kernel"]),
        (10, ["first/bias", "first/kernel", "last/bias", "last/kernel"]),
    ],
)
def test_each_phase_moves_what_it_does_not_freeze_and_nothing_else(steps, trained):
    task = task_of()
    start = reference_trainer(task).init(jax.random.key(0))
    assert moved(start, jr.fit(task, steps).state) == trained


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_run_traces_its_step_once_for_each_phase():
    traced: list[int] = []
    jr.fit(task_of(model=counting(traced)), 12, eval_every=3)
    # Each program is traced to run, and once more to see whether it scans well.
    whole: list[int] = []
    jr.fit(task_of(model=counting(whole), frozen=()), 12, eval_every=3)
    assert len(traced) == 3 * len(whole)


@pytest.mark.slow
def test_evaluation_compiles_nothing_for_a_phase():
    evaluated: list[int] = []
    model = plain()

    def apply(params, state, inputs, *, key=None, train=False):
        if not train:
            evaluated.append(1)
        return model.apply(params, state, inputs, key=key, train=train)

    jr.fit(task_of(model=dataclasses.replace(model, apply=apply)), 12, eval_every=3)
    once = len(evaluated)
    evaluated.clear()
    jr.fit(task_of(model=dataclasses.replace(model, apply=apply), frozen=()), 12, eval_every=3)
    assert once == len(evaluated)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("stop", [3, 4, 6, 9])
@pytest.mark.parametrize("stream", [False, True])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, stop, stream):
    from small_tasks import Remote

    data = {"train": Remote(*pictures(60, 1))} if stream else {}
    task = task_of(**data)
    whole = jr.fit(task, 12, eval_every=2)
    jr.fit(task, stop, eval_every=2, out=tmp_path)
    resumed = jr.fit(task, 12, eval_every=2, out=tmp_path, resume=True)
    assert_identical(whole.state, resumed.state)
    assert_identical(whole.best, resumed.best)
    assert whole.best_step == resumed.best_step
    np.testing.assert_array_equal(whole.history["loss"], resumed.history["loss"])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_best_state_of_an_early_phase_outlives_a_later_one_and_a_resume(tmp_path):
    # The loss rises as soon as the second phase begins, with a rate that is far too large.
    rate = optax.join_schedules([optax.constant_schedule(1e-2), optax.constant_schedule(30.0)], [4])
    task = task_of(optimizer=optax.sgd(rate))
    got = jr.fit(task, 12, eval_every=2, patience=3, out=tmp_path)
    assert got.best_step == 4
    assert got.stopped
    want = jr.fit(task, 4, eval_every=2).state
    assert_identical(got.best, want)
    again = jr.fit(task, 12, eval_every=2, patience=3, out=tmp_path, resume=True)
    assert_identical(again.best, want)
    assert_identical(again.predict(task.val.inputs), got.predict(task.val.inputs))


def test_at_a_boundary_what_was_trained_keeps_its_bits_and_the_rest_begins_at_zero():
    task = task_of(optimizer=optax.adam(1e-2))
    before = jr.fit(task_at(task, 0), 4).state
    after = state_at(task, before, 0, 4)
    assert state_at(task, before, 0, 3) is before
    old = before.opt_state.inner_states["trained"].inner_state[0]
    new = after.opt_state.inner_states["trained"].inner_state[0]
    assert new.count == old.count == 4
    assert_identical(new.mu["last"]["kernel"], old.mu["last"]["kernel"])
    assert_identical(new.nu["last"]["kernel"], old.nu["last"]["kernel"])
    assert not np.any(new.mu["last"]["bias"])
    assert np.any(old.mu["last"]["kernel"])
    assert isinstance(new.mu["first"]["bias"], optax.MaskedNode)
    assert_identical(after.params, before.params)
    last = state_at(task, after, 4, 9)  # nothing is frozen: the optimiser's own state
    assert_identical(last.opt_state[0].mu["last"], new.mu["last"])
    assert last.opt_state[0].mu["first"]["bias"].shape == (12,)


@pytest.mark.slow
def test_adam_by_leaf_is_adam_where_all_begin_together():
    tx, want = scale_by_leaf_adam(), optax.scale_by_adam()
    params = plain().init(jax.random.key(0), jnp.zeros((1, 16)))[0]
    state, other = tx.init(params), want.init(params)
    for i in range(5):
        grads = jax.tree.map(lambda x, i=i: jax.random.normal(jax.random.key(i), x.shape), params)
        got, state = tx.update(grads, state)
        expected, other = want.update(grads, other)
        assert_close(got, expected)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_leaf_that_joins_late_begins_as_one_that_joins_first_only_if_it_has_its_own_count():
    def first_step(scaler) -> float:
        tx = optax.chain(scaler, optax.scale(-1e-3))
        task = small(frozen=Unfreezing(((0, ("last/bias",)), (50, ()))), optimizer=tx)
        fits = [jr.fit(task, steps, eval_every=100).state.params["last"] for steps in (50, 51)]
        return float(np.abs(fits[1]["bias"] - fits[0]["bias"]).max())

    assert first_step(scale_by_leaf_adam()) == pytest.approx(1e-3, rel=0.01)
    shared = 0.1 / (0.001 / (1 - 0.999**51)) ** 0.5  # 0.70 here, 3.16 after thousands of updates
    assert first_step(optax.scale_by_adam()) == pytest.approx(1e-3 * shared, rel=0.01)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_average_of_weights_counts_the_frozen_value_of_what_joins_late():
    task = task_of(optimizer=optax.chain(optax.sgd(1e-2), ema(0.9)))
    state = jr.fit(task, 4).state  # at the boundary, in the shape of the second phase
    means = averaged(state.opt_state, state.params)
    assert_close(means["last"]["bias"], state.params["last"]["bias"])
    assert_close(means["first"]["kernel"], state.params["first"]["kernel"])
    assert not np.allclose(means["last"]["kernel"], state.params["last"]["kernel"], atol=1e-7)
    assert np.isfinite(jr.fit(task, 12, average=True).history["val_loss"]).all()


@pytest.mark.slow
def test_the_reference_trainer_steps_over_boundaries_as_fit_does():
    task = task_of()
    trainer = reference_trainer(task)
    state = trainer.init(jax.random.key(0))
    for i in range(10):
        state, _ = trainer.step(state, batch_of(16, i), jax.random.key(i))
    assert jax.tree.structure(state) == jax.tree.structure(jr.fit(task, 10).state)
    with pytest.raises(jr.TaskError, match="cannot be traced"):
        jax.jit(trainer.step)(state, batch_of(16), jax.random.key(0))


@pytest.mark.exhaustive
def test_other_trainings_know_phases_or_refuse_them():
    task = task_of()
    assert jr.fit(task, 10, monitor=True, accumulate=2).monitor.looks
    assert fit_seeds(task, 10, (0,), looks=2).val_loss.shape == (1, 2)
    assert jr.train.lr_find(task, steps=10, state=jr.fit(task, 5).state).losses.size
    with pytest.raises(jr.TaskError, match="phases"):
        Arms(task)


def test_the_room_in_a_phase():
    task = task_of()
    assert [room_in_phase(task, step, 100) for step in (0, 3, 4, 8, 9)] == [4, 1, 5, 1, 100]
    assert room_in_phase(task, 0, 2) == 2
    assert room_in_phase(small(), 0, 100) == 100
    assert task_at(small(), 3).frozen == ()


@pytest.mark.parametrize(
    "phases",
    [(), ((1, ()),), ((0, ()), (0, ())), ((0, ("a",)), (5, ()), (3, ())), ((0, "a"),), (0, ())],
)
def test_phases_that_are_none_are_refused(phases):
    with pytest.raises(jr.TaskError, match="Unfreezing needs phases"):
        Unfreezing(phases)


def test_what_is_trained_cannot_be_frozen_again():
    task = task_of(frozen=Unfreezing(((0, ("first/*",)), (3, ("last/bias",)))))
    with pytest.raises(jr.TaskError, match=r"freezes last/bias from update 3 on"):
        jr.fit(task, 2)
