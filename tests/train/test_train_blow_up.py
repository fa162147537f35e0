"""A loss that is not finite: the update is named, what came first, and the run can go on."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import assert_identical, pictures, plain, small

import jrecipe as jr
from jrecipe.data.order import batch_rows
from jrecipe.train.blow_up import first_bad

pytestmark = pytest.mark.thin(2)

BAD = 7  # a training row


def poisoned(value=jnp.nan, **changes) -> jr.Task:
    """Returns a task whose loss of one row has this value, or gradient."""
    inputs, labels = pictures(60, 1)
    targets = {"label": labels, "bad": (np.arange(60) == BAD).astype(np.float32)}
    val = pictures(23, 2)
    own = jr.losses.softmax_cross_entropy()

    def loss(outputs, targets):
        return own(outputs, targets["label"]) + jnp.where(targets["bad"] > 0, value, 0.0)

    return small(
        train=(inputs, targets),
        val=(val[0], {"label": val[1], "bad": np.zeros(23, np.float32)}),
        loss=loss,
        **changes,
    )


def first_update_with(row: int, seed: int = 0) -> int:
    rows = batch_rows(60, 16, seed, 0, 40)
    return int(np.argmax((rows == row).any(axis=1)))


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_a_run_stops_before_the_update_and_names_the_row(tmp_path, value):
    at = first_update_with(BAD)
    run = jr.fit(poisoned(value), 40, out=tmp_path)
    assert (run.steps, run.interrupted) == (at, False)
    assert f"at step {at + 1}" in run.problem
    assert f"the loss of train row {BAD} is not finite" in run.problem
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.state.params))
    clean = poisoned(0.0)
    if at:
        assert_identical(run.state.params, jr.fit(clean, at).state.params)
    kept = np.load(tmp_path / "nan" / f"{at + 1}.npz", allow_pickle=False)
    assert BAD in kept["rows"]
    np.testing.assert_array_equal(kept["inputs"], clean.train.take(kept["rows"])[0])
    assert set(kept.files) == {"rows", "inputs", "targets['label']", "targets['bad']"}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_stopped_run_can_go_on_from_its_last_good_state(tmp_path):
    stopped = jr.fit(poisoned(), 40, out=tmp_path)
    rest = jr.fit(poisoned(0.0), 40, out=tmp_path, resume=True)
    assert stopped.steps < rest.steps == 40
    assert_identical(rest.state, jr.fit(poisoned(0.0), 40).state)


def test_a_gradient_that_is_not_finite_is_found_behind_a_finite_loss():
    def apply(params, state, inputs, *, key=None, train=False):
        x = inputs @ params["a"]
        root = jnp.sqrt(jnp.abs(params["b"]))  # infinite slope at 0
        return x + root[None], state

    model = jr.Model(lambda key, x: ({"a": jnp.zeros((16, 4)), "b": jnp.zeros(4)}, {}), apply)
    run = jr.fit(small(model=model, optimizer=optax.sgd(0.1)), 5)
    assert run.steps == 0
    assert "the gradient's norm became inf at step 1" in run.problem
    assert "the gradient of b is the first" in run.problem


@pytest.mark.slow
def test_skipping_leaves_the_update_out_and_nothing_else():
    run = jr.fit(poisoned(), 40, on_nan="skip")
    assert (run.steps, run.problem) == (40, "")
    skipped = run.history.steps("skipped")
    hit = [i + 1 for i, row in enumerate(batch_rows(60, 16, 0, 0, 40)) if BAD in row]
    np.testing.assert_array_equal(skipped, hit)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.state.params))
    first = hit[0] - 1
    before = jr.fit(poisoned(0.0), max(first, 1)).state
    if first:
        one_more = jr.fit(poisoned(), hit[0], on_nan="skip").state
        assert_identical(one_more, dataclasses.replace(before, step=before.step + 1))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_skipping_is_resumed_to_the_bit(tmp_path):
    options = {"on_nan": "skip", "eval_every": 10}
    whole = jr.fit(poisoned(model=plain(dropout=0.3)), 40, **options)
    jr.fit(poisoned(model=plain(dropout=0.3)), 20, out=tmp_path, **options)
    rest = jr.fit(poisoned(model=plain(dropout=0.3)), 40, out=tmp_path, resume=True, **options)
    assert_identical(rest.state, whole.state)
    assert list(rest.history.lines()) == list(whole.history.lines())


@pytest.mark.slow
def test_skipping_gives_up(monkeypatch):
    monkeypatch.setattr("jrecipe.train.running.MOST_SKIPPED", 2)
    run = jr.fit(poisoned(), 60, on_nan="skip")
    assert len(run.history.steps("skipped")) == 2
    assert "not finite" in run.problem


def test_a_trainer_of_the_users_own_is_stopped():
    own = jr.train.reference_trainer(poisoned())
    run = jr.fit(poisoned(trainer=own), 40, on_nan="skip")
    assert "the loss became nan" in run.problem


def test_the_first_bad_update_is_found_by_numbers():
    good, bad = np.ones(3), np.array([1.0, np.inf, np.nan])
    assert first_bad({"loss": good, "grad_norm": good}) is None
    assert first_bad({"loss": good, "grad_norm": bad}) == 1
    assert first_bad({"loss": bad[::-1]}) == 0
    assert first_bad({}) is None


def test_another_answer_to_nan_is_refused():
    with pytest.raises(jr.TaskError, match="on_nan='ignore'"):
        jr.fit(small(), 2, on_nan="ignore")
