"""Training and evaluation on rows of several lengths."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from small_tasks import assert_close, assert_identical
from text_lengths import BUCKETS, counting, padded, text_task, texts

import jrecipe as jr
from jrecipe.task import read
from jrecipe.train.seeds import Arms, fit_seeds
from jrecipe.train.some_rows import SomeRows

pytestmark = pytest.mark.thin(2)


def test_the_step_is_traced_once_for_each_length_and_batches_are_as_long_as_a_bucket():
    task, traced = text_task(), []
    task = task.replace(model=counting(task.model, traced))
    task.train.asked.clear()
    jr.fit(task, 20, eval_every=20)
    assert sorted(traced) == list(BUCKETS)
    assert min(task.train.asked) < max(BUCKETS)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("stop", [3, 6])  # an epoch ends in the middle of step 6
def test_a_run_that_is_resumed_is_the_uninterrupted_one_to_the_bit(tmp_path, stop):
    task = text_task()
    whole = jr.fit(task, 13, eval_every=20)
    jr.fit(task, stop, eval_every=20, out=tmp_path)
    resumed = jr.fit(task, 13, eval_every=20, out=tmp_path, resume=True)
    assert_identical(whole.state, resumed.state)
    np.testing.assert_array_equal(whole.history["loss"], resumed.history["loss"])


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 5, 23, 1000])
def test_evaluation_is_that_of_all_rows_at_once(size):
    task = text_task()
    trainer = jr.train.trainer_of(task)
    state = jr.fit(task, 5).state
    inputs, targets = padded(task.val)
    whole = jr.evaluate(trainer.predict, state, jr.data.as_source((inputs, targets)), task.loss)
    got = jr.evaluate(
        trainer.predict, state, task.val, task.loss, batch_size=size, keep_outputs=True
    )
    assert_close(got.values, whole.values)
    assert got.loss == pytest.approx(whole.loss, rel=1e-5)
    assert_close(got.outputs, trainer.predict(state, inputs))


def test_outputs_of_several_lengths_cannot_be_kept_but_can_be_scored():
    task = text_task()
    longs = lambda state, inputs: inputs["ids"].astype(np.float32)  # noqa: E731
    score = lambda outputs, targets: outputs.sum(1)  # noqa: E731
    got = jr.evaluate(longs, None, task.val, score, batch_size=4)
    assert_close(got.values, [ids.sum() for ids in task.val.ids])
    with pytest.raises(jr.TaskError, match=r"several lengths, \(4,\) and \(12,\)"):
        jr.evaluate(longs, None, task.val, score, batch_size=4, keep_outputs=True)


def test_a_part_of_a_source_keeps_its_lengths():
    source = texts(9, 0)
    part = SomeRows(source, np.array([4, 2]))
    np.testing.assert_array_equal(part.buckets, source.buckets[[4, 2]])
    assert SomeRows(jr.data.as_source(([1, 2], [1, 2])), np.array([0])).buckets is None


@pytest.mark.exhaustive
@pytest.mark.slow
def test_seeds_run_one_after_another_and_as_one_program_are_refused():
    task = text_task()
    runs = fit_seeds(task, 4, (0, 1), looks=2)
    assert runs.val_loss.shape == (2, 2)
    assert runs.val_loss[0, 1] == jr.fit(task, 4, seed=0, eval_every=2).history["val_loss"][2]
    with pytest.raises(jr.TaskError, match=r"Task.train has rows of several lengths"):
        Arms(task)


class Vast:
    buckets = np.full(2**20, 512, np.int32)

    def __len__(self):
        return len(self.buckets)

    def take(self, rows):
        assert len(rows) < 1000
        return np.zeros((len(rows), 512), np.int32), np.zeros(len(rows), np.int32)


def test_a_large_source_is_not_read_whole():
    with pytest.raises(jr.TaskError, match=r"of 1048576 rows would take 2,151,677,952 bytes"):
        read(Vast())
    assert read(Vast(), 7)[0].shape == (7, 512)
    assert read(texts(9, 0))[0]["ids"].shape[0] == 9


@pytest.mark.exhaustive
def test_the_other_readers_of_the_training_split_take_lengths_too(tmp_path):
    task = text_task()
    got = jr.fit(task, 6, monitor=True, accumulate=2)
    assert got.monitor.looks
    assert jr.train.lr_find(task, steps=10).losses.size
    broken = task.replace(optimizer=jr.train.ema(0.9)).replace(
        loss=lambda outputs, targets: outputs.sum(1) * np.nan
    )
    got = jr.fit(broken, 3, out=tmp_path)
    assert "the loss of train row" in got.problem
    assert jax.tree.leaves(got.state)
