"""Dynamic masking: who is chosen, what becomes of them, and what the loss sees."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import keys

from jrecipe import losses
from jrecipe.finetune.masking import IGNORE, mask_tokens, masked
from jrecipe.types import Batch, TaskError

V, MASK, SPECIAL = 40, 4, (0, 1, 2, 3)
B, T = 64, 50


def batch_of(rows=B, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, V, (rows, T)).astype(np.int32)
    ids[:, 0], ids[:, 30] = 2, 3
    real = np.arange(T)[None] < rng.integers(10, T + 1, rows)[:, None]
    ids = np.where(real, ids, 0)
    return Batch({"ids": ids, "mask": real}, ids, np.ones(rows, np.float32))


def hide(**changes):
    return mask_tokens(**{"vocabulary": V, "mask_id": MASK, "special_ids": SPECIAL} | changes)


def within(count, of, share, deviations=5):
    return abs(count - of * share) <= deviations * np.sqrt(of * share * (1 - share)) + 1


@pytest.mark.exhaustive
@given(key=keys)
def test_shares_are_binomial_and_special_tokens_and_padding_are_never_chosen(key):
    batch = batch_of()
    made = hide()(key, batch)
    ids, shown, targets = (np.asarray(x) for x in (batch.targets, made.inputs["ids"], made.targets))
    can, chosen = ids > MASK, targets != IGNORE
    assert not (chosen & ~can).any()
    np.testing.assert_array_equal(shown[~chosen], ids[~chosen])
    np.testing.assert_array_equal(targets[chosen], ids[chosen])
    n, k = int(can.sum()), int(chosen.sum())
    assert within(k, n, 0.15)
    kept = chosen & (shown == ids)
    random = chosen & (shown != ids) & (shown != MASK)
    same = 0.1 / (V - 5)  # of the random ones, those that are the same by chance
    assert within(int((chosen & (shown == MASK)).sum()), k, 0.8)
    assert within(int(random.sum()), k, 0.1 - same)
    assert within(int(kept.sum()), k, 0.1 + same)
    assert not np.isin(shown[random], [MASK, *SPECIAL]).any()
    # The bounds are narrow enough to tell: another rate is outside of them.
    twice = np.asarray(hide(rate=0.3)(key, batch).targets) != IGNORE
    assert not within(int(twice.sum()), n, 0.15)


@pytest.mark.exhaustive
def test_every_word_is_drawn():
    many = batch_of(1024)
    made = hide(rate=0.9)(jax.random.key(0), many)
    shown = np.asarray(made.inputs["ids"])
    counts = np.bincount(shown[(made.targets != IGNORE) & (shown != many.targets)], minlength=V)
    assert (counts[5:] > 0).all()
    assert not counts[list(SPECIAL)].any()


@given(key=keys)
def test_draws_are_those_of_the_key_and_of_each_row(key):
    batch = batch_of()
    alike = jax.tree.map(lambda x: np.repeat(x[:1], B, axis=0), batch)
    one, again, other = (
        np.asarray(hide()(k, alike).targets) for k in (key, key, jax.random.fold_in(key, 1))
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert len(np.unique(one, axis=0)) > B // 2  # equal rows, each with draws of its own


@given(key=keys)
def test_masking_what_was_masked_is_masking_the_text(key):
    batch = batch_of()
    first = hide()(jax.random.key(7), batch)
    one, other = (hide()(key, x) for x in (batch, first))
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.exhaustive
def test_the_loss_does_not_see_places_that_were_not_chosen():
    made = hide()(jax.random.key(0), batch_of())
    logits = np.random.default_rng(0).normal(size=(B, T, V)).astype(np.float32)
    loss = losses.token_cross_entropy(pad=IGNORE)
    value, weight = loss(logits, made.targets)
    chosen = np.asarray(made.targets) != IGNORE
    np.testing.assert_array_equal(weight, chosen.sum(axis=1))
    elsewhere = np.where(chosen[:, :, None], logits, 9.0 * logits[:, ::-1])
    np.testing.assert_array_equal(loss(elsewhere, made.targets)[0], value)
    at_chosen = np.where(chosen[:, :, None], 9.0 * logits, logits)
    assert (np.asarray(loss(at_chosen, made.targets)[0] != value) | (weight == 0)).all()


def test_shapes_dtypes_and_other_inputs_stay_and_it_compiles():
    batch = batch_of()
    batch.inputs["types"] = np.ones_like(batch.targets)
    made = jax.jit(hide())(jax.random.key(0), batch)
    kind = lambda tree: jax.tree.map(lambda x: (x.shape, jnp.asarray(x).dtype), tree)  # noqa: E731
    assert kind(made) == kind(batch)
    np.testing.assert_array_equal(made.inputs["types"], batch.inputs["types"])
    jax.tree.map(np.testing.assert_array_equal, made, hide()(jax.random.key(0), batch))


def test_a_split_masked_once_is_the_same_each_time():
    inputs = batch_of().inputs
    one, again, other = (masked(inputs, hide(), jax.random.key(i)) for i in (3, 3, 4))
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(one))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert (one[1] != other[1]).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "`rate` in \\(0, 1\\), got rate=0.0"),
        ({"rate": 1.0}, "0.15 is usual"),
        ({"mask_id": V}, "ids in 0..39, got mask_id=40"),
        ({"special_ids": (-1,)}, "special_ids=\\(-1,\\)"),
        ({"ignore": 3}, "no token's id, got 3"),
        ({"vocabulary": 5}, "no token to draw"),
    ],
)
def test_arguments_of_no_use_are_refused(changes, message):
    with pytest.raises(TaskError, match=message):
        hide(**changes)


def test_batches_of_another_form_are_refused():
    batch = batch_of()
    with pytest.raises(TaskError, match="'mask': bool"):
        hide()(jax.random.key(0), batch._replace(inputs=batch.inputs["ids"]))
    with pytest.raises(TaskError, match="one shape"):
        hide()(jax.random.key(0), batch._replace(targets=np.zeros(B, np.int32)))
