"""What is frozen stays as it is, to the bit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import assert_close, assert_identical, batch_of, small

import jrecipe as jr
from jrecipe.train import freeze, frozen_mask, reference_trainer
from jrecipe.train.reference import update_of

pytestmark = pytest.mark.thin(2)


@pytest.mark.slow
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


DEEP = jr.models.MLP(outputs=4, width=64, depth=4)
LOWER = ("dense0/*", "dense1/*")


def cost_of_a_step(frozen: tuple[str, ...]) -> tuple[float, int]:
    """Returns the floating-point operations of an update, and the bytes of optimiser state."""
    task = small(model=DEEP, optimizer=optax.adam(1e-2), frozen=frozen)
    state = reference_trainer(task).init(jax.random.key(0))
    lowered = jax.jit(update_of(task)).lower(state, batch_of(16), jax.random.key(1))
    held = sum(x.nbytes for x in jax.tree.leaves(state.opt_state))
    return lowered.cost_analysis()["flops"], held


def test_what_is_frozen_costs_no_backward_pass_and_no_optimiser_state():
    full, held = cost_of_a_step(())
    lower, held_lower = cost_of_a_step(LOWER)
    upper, held_upper = cost_of_a_step(("dense2/*", "dense3/*"))
    # Of 3 products a layer, the lower two need the forward one only.
    assert lower < 0.72 * full
    # What stands above a trained layer still passes the gradient down.
    assert lower < upper < full
    numbers = (16 * 64 + 64) + (64 * 64 + 64)
    assert held - held_lower == 2 * 4 * numbers
    assert held_upper < held


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_trained_leaves_get_the_update_that_masking_the_optimiser_alone_gives(accumulate):
    task = small(optimizer=optax.adamw(1e-2), frozen=("first/*",))
    tx = freeze(task.optimizer, task.frozen)
    loss_fn = jr.train.make_loss_fn(task.model, task.loss)
    masked = jr.train.make_update(loss_fn, tx, accumulate=accumulate)
    state = reference_trainer(task).init(jax.random.key(0))
    got = want = state
    for i in range(3):
        got, numbers = update_of(task, accumulate)(got, batch_of(16, i), jax.random.key(i))
        want, whole = masked(want, batch_of(16, i), jax.random.key(i))
    assert_close(got.params, want.params)
    assert_close(got.opt_state, want.opt_state)
    assert_identical(got.params["first"], state.params["first"])
    assert 0 < numbers["grad_norm"] < whole["grad_norm"]


def test_a_frozen_leaf_that_is_nan_free_stays_even_if_its_slope_would_not_be():
    def apply(params, state, inputs, *, key=None, train=False):
        return inputs[:, :4] * params["w"] + jnp.sqrt(params["zero"]), state

    model = jr.Model(lambda key, x: ({"w": jnp.ones((1, 4)), "zero": jnp.zeros((1, 4))}, {}), apply)
    trainer = reference_trainer(small(model=model, frozen=("zero",)))
    state, numbers = trainer.step(trainer.init(jax.random.key(0)), batch_of(16), jax.random.key(0))
    assert np.isfinite(numbers["grad_norm"])
    assert np.isfinite(state.params["w"]).all()


def test_everything_may_be_frozen():
    trainer = reference_trainer(small(frozen=("*",)))
    before = trainer.init(jax.random.key(0))
    state, numbers = trainer.step(before, batch_of(16), jax.random.key(0))
    assert_identical(state.params, before.params)
    assert (numbers["grad_norm"], state.step) == (0, 1)
