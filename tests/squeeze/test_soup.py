"""A soup of one is the member, and none is worse on the validation split than the best member."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tasks import plain, small

import jrecipe as jr
from jrecipe import squeeze
from jrecipe.squeeze.ensemble_scores import score_of
from jrecipe.squeeze.snapshot import cycles_of_cosine
from jrecipe.squeeze.soup import mean_weights


@pytest.fixture(scope="module")
def forked() -> squeeze.Ensemble:
    return squeeze.ensemble(small(model=plain(norm=True)), 3, 12, seed=1, shared=6)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_soup_of_one_is_the_member_and_of_equals_is_their_weights(forked):
    assert mean_weights(forked, [2]).evaluate("val").loss == forked.member(2).evaluate("val").loss
    same = squeeze.ensemble_of(forked.task, [forked.member(0)] * 3)
    mean = mean_weights(same, [0, 1, 2])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        mean.params,
        forked.member(0).params,
    )
    with pytest.raises(jr.TaskError, match="a member or more"):
        mean_weights(forked, [])


@pytest.mark.slow
def test_weights_are_averaged(forked):
    mean = mean_weights(forked, [0, 2]).params["last"]["kernel"]
    both = [forked.member(i).params["last"]["kernel"] for i in (0, 2)]
    np.testing.assert_allclose(mean, (both[0] + both[1]) / 2, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@settings(max_examples=2)
@given(st.integers(0, 99), st.booleans())
def test_no_soup_is_worse_than_the_best_member_on_the_validation_split(seed, shared):
    members = squeeze.ensemble(small(), 3, 4, seed=seed, shared=2 * shared)
    soup = squeeze.greedy_soup(members)
    alone = [score_of(members.member(i).evaluate("val")) for i in range(3)]
    assert soup.val >= max(alone) == soup.best_member
    assert soup.val == pytest.approx(score_of(soup.evaluate("val")))
    assert soup.kept[0] == int(np.argmax(alone))
    assert len(set(soup.kept)) == len(soup.kept)
    assert soup.size == members.member(0).size
    assert str(len(soup.kept)) in str(soup)


def test_what_ruins_the_mean_is_left_out(forked):
    last = jax.tree.map(lambda x: x.at[1].multiply(-3.0), forked.params["last"])
    members = dataclasses.replace(forked, params={**forked.params, "last": last})
    assert 1 not in squeeze.greedy_soup(members).kept
    assert mean_weights(members, [0, 1]).evaluate("val").metric < 0.3  # if it went in


@pytest.mark.exhaustive
@pytest.mark.slow
def test_members_of_one_beginning_share_it_and_part():
    task = small()
    early, late = (squeeze.ensemble(task, 2, 12, shared=shared) for shared in (0, 11))

    def apart(members: squeeze.Ensemble) -> float:
        gaps = jax.tree.map(lambda x: jnp.abs(x[0] - x[1]).max(), members.params)
        return float(max(jax.tree.leaves(gaps)))

    assert 0 < apart(late) < apart(early) / 5


def test_statistics_are_made_anew_by_the_weights_they_belong_to(forked):
    one = forked.member(0)
    lost = dataclasses.replace(one, model_state=jax.tree.map(jnp.zeros_like, one.model_state))
    found = squeeze.refresh_statistics(lost, batches=40)
    inputs = forked.task.train.take(np.arange(60))[0]
    first = one.params["first"]
    mean = np.asarray(inputs @ first["kernel"] + first["bias"][None]).mean(axis=0)
    assert np.abs(lost.model_state["mean"] - mean).max() > 0.5
    np.testing.assert_allclose(found.model_state["mean"], mean, atol=0.5)
    jax.tree.map(np.testing.assert_array_equal, found.params, one.params)
    plain_one = squeeze.ensemble(small(), 2, 2).member(0)
    assert squeeze.refresh_statistics(plain_one) is plain_one
    with pytest.raises(jr.TaskError, match="batches"):
        squeeze.refresh_statistics(one, batches=0)


@pytest.mark.exhaustive
def test_snapshots_are_the_ends_of_the_cycles_of_one_run():
    members = squeeze.snapshots(small(), cycles=3, steps=16, seed=2)
    assert len(members) == 3
    losses = [members.member(i).evaluate("train").loss for i in range(3)]
    assert losses[2] < losses[0]
    # The first cycle does not know of those after it.
    factor = cycles_of_cosine(18, 3)
    assert [round(float(factor(i)), 2) for i in (0, 3, 6, 9)] == [1.0, 0.5, 1.0, 0.5]
    longer = squeeze.snapshots(small(), cycles=2, steps=12, seed=2, calibrate=False)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-6),
        members.params,
        longer.params,
    )


@pytest.mark.parametrize(
    ("said", "given"),
    [("cycles", {"cycles": 1}), ("steps", {"cycles": 5, "steps": 4}), ("steps", {"steps": 9.5})],
)
def test_bad_cycles_are_refused(said, given):
    with pytest.raises(jr.TaskError, match=said):
        squeeze.snapshots(small(), **given)
