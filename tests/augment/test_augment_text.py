"""Tokens: padding and special ids stay, and what belongs to tokens moves along."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import keys, seeds

import jrecipe as jr
from jrecipe import augment as A
from jrecipe.augment.spans import drawn_spans

B, T, PAD, FIRST, LAST, MASK = 16, 20, 0, 1, 2, 3
SPECIAL = {"pad_id": PAD, "special_ids": (FIRST, LAST)}
SENTINELS = (90, 91)
AUGMENTS = {
    "drop-and-mask": A.token_dropout(0.3, mask_id=MASK, **SPECIAL),
    "drop-and-close": A.token_dropout(0.3, target_pad=-100, **SPECIAL),
    "swap": A.token_swap(0.5, **SPECIAL),
    "spans-masked": A.span_masking(0.3, mask_id=MASK, **SPECIAL),
    "spans-closed": A.span_masking(0.3, sentinel_ids=SENTINELS, target_pad=-100, **SPECIAL),
}
JITTED = {name: jax.jit(augment) for name, augment in AUGMENTS.items()}


def text(seed: int) -> jr.Batch:
    """Returns rows of distinct tokens with their first and last, padded; labels are 100 x token."""
    rng = np.random.default_rng(seed)
    tokens = np.full((B, T), PAD, np.int32)
    for row, n in zip(tokens, rng.integers(3, T + 1, B), strict=True):
        row[:n] = [FIRST, *rng.choice(np.arange(10, 60), n - 2, replace=False), LAST]
    inputs = {"tokens": tokens, "attention": (tokens != PAD).astype(np.int32)}
    labels = np.where(tokens == PAD, -100, 100 * tokens).astype(np.int32)
    batch = jr.Batch(inputs, {"labels": labels, "class": np.arange(B)}, np.ones(B))
    return jax.tree.map(jnp.asarray, batch)


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", AUGMENTS)
@settings(max_examples=8)
@given(key=keys, seed=seeds)
def test_padding_special_ids_and_what_belongs_to_tokens(name, key, seed):
    batch = text(seed)
    out = JITTED[name](key, batch)
    layout = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    assert layout(out) == layout(batch)
    old, new = np.asarray(batch.inputs["tokens"]), np.asarray(out.inputs["tokens"])
    labels, attention = np.asarray(out.targets["labels"]), np.asarray(out.inputs["attention"])
    np.testing.assert_array_equal(out.targets["class"], batch.targets["class"])
    np.testing.assert_array_equal(attention, new != PAD)
    for a, b, label in zip(old, new, labels, strict=True):
        a, label, b = a[a != PAD], label[b != PAD], b[b != PAD]
        assert a[0] == b[0] == FIRST
        assert a[-1] == b[-1] == LAST
        assert (label > 0).all()
        plain = ~np.isin(b, (MASK, *SENTINELS))
        np.testing.assert_array_equal(label[plain], 100 * b[plain])
        assert set(b[plain]) <= set(a)
        assert len(set(b[plain])) == plain.sum()
        if name == "swap":
            assert sorted(a) == sorted(b)
            where = np.array([np.flatnonzero(b == token)[0] for token in a])
            assert np.abs(where - np.arange(len(a))).max() <= 1
        elif "closed" in name or "close" in name:
            kept = [token for token in b if token not in SENTINELS]
            assert kept == [token for token in a if token in set(kept)]  # in order
            sentinels = [int(token) for token in b if token in SENTINELS]
            assert sentinels == list(SENTINELS[: len(sentinels)])
        else:
            assert len(a) == len(b)
            assert ((a == b) | (b == MASK)).all()
    assert (labels[new == PAD] == -100).all()


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", AUGMENTS)
def test_every_example_and_key_draws_for_itself(name):
    batch = jax.tree.map(lambda leaf: jnp.repeat(leaf[3:4], B, axis=0), text(3))
    one, other = (
        np.asarray(JITTED[name](jax.random.key(i), batch).inputs["tokens"]) for i in (0, 1)
    )
    assert len(np.unique(one, axis=0)) > 2
    assert not np.array_equal(one, other)


def test_a_chance_of_0_changes_nothing_and_of_1_leaves_one_token():
    batch, key = text(0), jax.random.key(0)
    for nothing in (
        A.token_dropout(0.0, **SPECIAL),
        A.token_swap(0.0, **SPECIAL),
        A.span_masking(0.0, mask_id=MASK, **SPECIAL),
        A.span_masking(0.0, sentinel_ids=SENTINELS, **SPECIAL),
    ):
        np.testing.assert_array_equal(
            jax.jit(nothing)(key, batch).inputs["tokens"], batch.inputs["tokens"]
        )
    left = jax.jit(A.token_dropout(1.0, **SPECIAL))(key, batch).inputs["tokens"]
    assert set((np.asarray(left) != PAD).sum(axis=1)) == {3}  # first, one, last


@pytest.mark.exhaustive
def test_tokens_go_and_spans_last_as_often_as_asked():
    tokens = jnp.full((400, 60), 7)
    batch = jr.Batch(tokens, None, None)
    gone = np.asarray(A.token_dropout(0.2, mask_id=MASK)(jax.random.key(0), batch).inputs) == MASK
    assert abs(gone.mean() - 0.2) < 0.02
    swaps = jr.Batch(jnp.tile(jnp.arange(1, 61)[None], (400, 1)), None, None)
    moved = np.asarray(A.token_swap(0.4)(jax.random.key(0), swaps).inputs != swaps.inputs)
    assert abs(moved.mean() - 0.4) < 0.03
    spans = np.asarray(drawn_spans(jax.random.key(0), (400, 200), 0.15, 3.0))
    assert abs(spans.mean() - 0.15) < 0.01
    starts = (np.diff(spans.astype(int), axis=1) == 1).sum()
    assert abs(spans[:, 1:].sum() / starts - 3) < 0.25
    assert abs(spans[:, 0].mean() - 0.15) < 0.07
