"""What is frozen stays as it is, to the bit."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from small_tasks import assert_identical, batch_of, small

import jrecipe as jr
from jrecipe.train import freeze, frozen_mask, reference_trainer


@pytest.mark.parametrize("patterns", [("first/*",), ("*/bias", "last/kernel")])
def test_frozen_leaves_stay_bit_identical_under_weight_decay_and_the_others_move(patterns):
    trainer = reference_trainer(
        small(optimizer=optax.adamw(1e-1, weight_decay=1.0), frozen=patterns)
    )
    before = trainer.init(jax.random.key(0))
    state = before
    for i in range(3):
        state, _ = trainer.step(state, batch_of(16), jax.random.key(i))
    mask = frozen_mask(before.params, patterns)
    same = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), before.params, state.params)
    assert same == mask
    assert any(jax.tree.leaves(mask))
    assert not all(jax.tree.leaves(mask))


def test_a_frozen_leaf_has_no_optimiser_state():
    params = {"a": np.zeros(1000, np.float32), "b": np.zeros(3, np.float32)}
    count = lambda tx: sum(np.size(x) for x in jax.tree.leaves(tx.init(params)))  # noqa: E731
    assert count(optax.adam(1e-3)) >= 2006
    assert count(freeze(optax.adam(1e-3), ("a",))) < 10


def test_no_pattern_leaves_the_optimiser_alone():
    tx = optax.adam(1e-3)
    assert freeze(tx, ()) is tx


def test_a_pattern_without_a_match_is_an_error_that_names_the_parameters():
    with pytest.raises(
        jr.TaskError, match=r"'encoder/\*', which matches no parameter; there are first/bias, first"
    ):
        reference_trainer(small(frozen=("encoder/*",))).init(jax.random.key(0))


def test_patterns_tell_upper_and_lower_case_apart_on_every_system():
    with pytest.raises(jr.TaskError, match="'A'"):
        frozen_mask({"a": np.zeros(1)}, ("A",))
    assert_identical(frozen_mask({"a": 0, "A": 0}, ("A",)), {"a": False, "A": True})
