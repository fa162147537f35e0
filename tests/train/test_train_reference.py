"""The reference trainer: the same update as `fit`, behind the contract of a foreign one."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from small_tasks import assert_identical, batch_of, noise, plain, small

import jrecipe as jr
from jrecipe.train import reference_trainer, trainer_of


def test_a_step_does_not_donate_so_a_check_can_start_twice_from_one_state():
    trainer = reference_trainer(small(model=plain(dropout=0.5), augment=noise))
    state, key = trainer.init(jax.random.key(0)), jax.random.key(1)
    first, second = (trainer.step(state, batch_of(16), key) for _ in range(2))
    assert_identical(first, second)
    assert int(state.step) == 0
    assert int(first[0].step) == 1
    assert trainer.params(state) is state.params


def test_prediction_knows_no_dropout_and_no_augmentation():
    trainer = reference_trainer(small(model=plain(dropout=0.5), augment=noise))
    state, inputs = trainer.init(jax.random.key(0)), batch_of(16).inputs
    want = plain().apply(state.params, {}, inputs)[0]
    np.testing.assert_allclose(trainer.predict(state, inputs), want, rtol=1e-5, atol=1e-6)


def test_fit_takes_the_steps_of_the_reference_trainer():
    task = small()
    trainer, fitted = reference_trainer(task), jr.fit(task, 3, progress=False)
    state = trainer.init(jax.random.key(0))
    for step, rows in enumerate(jr.data.batch_rows(60, 16, seed=0, step=0, count=3)):
        batch = jr.Batch(*task.train.take(rows), np.ones(16, np.float32))
        state, metrics = trainer.step(state, batch, jax.random.fold_in(state.key, step))
        np.testing.assert_allclose(fitted.history["loss"][step], metrics["loss"], rtol=1e-6)


def test_the_users_trainer_comes_first_and_without_a_model_there_is_no_reference():
    own = jr.Trainer(lambda key: 0.0, lambda s, b, k: (s, {}), lambda s, x: x, lambda s: s)
    task = small(model=None, trainer=own)
    assert trainer_of(task) is own
    with pytest.raises(jr.TaskError, match=r"'small' has a trainer but no model"):
        reference_trainer(task)
