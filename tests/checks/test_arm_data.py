"""Which examples the arms of the controls see."""

import numpy as np
from programs import task

from jrecipe.checks.arm_data import FEW, ArmData, blank_like
from jrecipe.checks.arms import STRIDE, Arm

DATA = ArmData.of(task(), seed=0, steps=2 * STRIDE)


def test_the_few_examples_fill_every_batch_of_their_arm_and_no_other():
    few = DATA.batch_rows(Arm("few", few=True), STRIDE)
    real = DATA.batch_rows(Arm("real"), STRIDE)
    assert few.shape == real.shape == (STRIDE, 32)
    assert len(np.unique(few)) == FEW
    assert (few == few[0]).all()
    assert len(np.unique(real)) > 100
    np.testing.assert_array_equal(DATA.few.inputs, DATA.inputs[np.unique(few)])


def test_stretches_follow_each_other():
    np.testing.assert_array_equal(DATA.batch_rows(Arm("real"), 0), DATA.rows[:STRIDE])
    np.testing.assert_array_equal(DATA.batch_rows(Arm("real"), STRIDE), DATA.rows[STRIDE:])


def test_labels_are_shuffled_by_a_permutation_that_moves_most():
    n = len(DATA.inputs)
    assert sorted(DATA.permutation) == list(range(n))
    assert (DATA.permutation != np.arange(n)).mean() > 0.9


def test_a_blank_input_says_nothing_and_tokens_stay_tokens():
    assert not blank_like(np.ones((3, 2), np.float32)).any()
    np.testing.assert_array_equal(blank_like(np.array([[5, 6], [7, 8]])), [5, 6])
