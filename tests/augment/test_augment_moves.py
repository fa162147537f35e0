"""Augmentations: one contract for all, then a law for each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, keys, seeds

import jrecipe as jr
from jrecipe.augment import compose, random_flip, random_translate

AUGMENTS = {
    "flip": random_flip(),
    "translate": random_translate(2),
    "compose": compose(random_flip(0.3), random_translate(1)),
    "nothing": compose(),
}
JITTED = {name: jax.jit(augment) for name, augment in AUGMENTS.items()}

ALWAYS, NEVER = jax.jit(random_flip(1.0)), jax.jit(random_flip(0.0))
TRANSLATE = jax.jit(lambda pixels, key, batch: random_translate(pixels)(key, batch))


@st.composite
def batches(draw, b: int = 8):
    """Draws a batch of pictures [8, 5, 6, 2], float32 or uint8."""
    rng = generator(draw(seeds))
    pictures = rng.uniform(0, 255, size=(b, 5, 6, 2))
    dtype = draw(st.sampled_from((np.float32, np.uint8)))
    targets = {"class": jnp.arange(b), "vector": jnp.asarray(rng.normal(size=(b, 2)))}
    return jr.Batch(jnp.asarray(pictures.astype(dtype)), targets, jnp.ones(b))


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", AUGMENTS)
@given(key=keys, batch=batches())
def test_every_augmentation_keeps_its_contract(name, key, batch):
    out = JITTED[name](key, batch)
    assert (out.inputs.shape, out.inputs.dtype) == (batch.inputs.shape, batch.inputs.dtype)
    np.testing.assert_array_equal(out.inputs, JITTED[name](key, batch).inputs)  # no hidden state
    assert set(np.unique(out.inputs)) <= set(np.unique(batch.inputs))  # pixels move, no more


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", AUGMENTS)
def test_without_jit_it_is_the_same_and_what_does_not_change_is_not_copied(name):
    batch = jr.Batch(
        np.arange(60, dtype=np.float32).reshape(2, 5, 6, 1), {"class": np.arange(2)}, np.ones(2)
    )
    out = AUGMENTS[name](jax.random.key(1), batch)
    jitted = JITTED[name](jax.random.key(1), batch)
    np.testing.assert_array_equal(out.inputs, jitted.inputs)
    assert out.targets is batch.targets
    assert out.weights is batch.weights


@pytest.mark.thin(3)
@pytest.mark.parametrize("name", ["flip", "translate", "compose"])
def test_every_example_and_every_key_has_a_draw_of_its_own(name):
    one = generator(0).normal(size=(1, 5, 6, 1)).astype(np.float32)
    batch = jr.Batch(jnp.repeat(jnp.asarray(one), 64, axis=0), jnp.zeros(64), jnp.ones(64))
    first, second = (np.asarray(JITTED[name](jax.random.key(i), batch).inputs) for i in (0, 1))
    assert len(np.unique(first.reshape(64, -1), axis=0)) > 1
    assert not np.array_equal(first, second)


@given(key=keys, batch=batches())
def test_flipping_twice_restores_and_never_flipping_changes_nothing(key, batch):
    always = ALWAYS
    once = always(key, batch)
    np.testing.assert_array_equal(once.inputs, batch.inputs[:, :, ::-1])
    np.testing.assert_array_equal(always(key, once).inputs, batch.inputs)
    np.testing.assert_array_equal(NEVER(key, batch).inputs, batch.inputs)


def test_pictures_are_flipped_as_often_as_asked():
    batch = jr.Batch(jnp.tile(jnp.arange(2.0).reshape(1, 1, 2, 1), (4000, 1, 1, 1)), None, None)
    flipped = jax.jit(random_flip(0.3))(jax.random.key(0), batch).inputs[:, 0, 0, 0]
    np.testing.assert_allclose(flipped.mean(), 0.3, atol=0.03)


@given(key=keys, batch=batches(), pixels=st.integers(0, 3))
def test_a_picture_is_moved_by_at_most_the_pixels_and_its_edge_repeated(key, batch, pixels):
    moved = np.asarray(TRANSLATE(pixels, key, batch).inputs)
    for picture, got in zip(np.asarray(batch.inputs), moved, strict=True):
        margin = ((pixels, pixels), (pixels, pixels), (0, 0))
        wide = np.pad(picture, margin, mode="edge")
        crops = [
            wide[i : i + 5, j : j + 6] for i in range(2 * pixels + 1) for j in range(2 * pixels + 1)
        ]
        assert any(np.array_equal(got, crop) for crop in crops)


def test_every_move_occurs_about_equally_often():
    x = jnp.zeros((5, 5)).at[2, 2].set(1.0)
    batch = jr.Batch(jnp.tile(x[None, :, :, None], (2500, 1, 1, 1)), None, None)
    seen = np.asarray(jax.jit(random_translate(2))(jax.random.key(0), batch).inputs).mean(axis=0)
    np.testing.assert_allclose(seen, 1 / 25, atol=0.02)


def test_composition_is_left_to_right_with_a_key_for_each():
    add = lambda key, batch: batch._replace(inputs=batch.inputs + jax.random.uniform(key))  # noqa: E731
    twice = lambda key, batch: batch._replace(inputs=2 * batch.inputs)  # noqa: E731
    key = jax.random.key(0)
    draws = [float(jax.random.uniform(jax.random.fold_in(key, i))) for i in (0, 2)]
    got = compose(add, twice, add)(key, jr.Batch(jnp.zeros(()), None, None)).inputs
    assert float(got) == pytest.approx(2 * draws[0] + draws[1], rel=1e-6)


def test_numbers_may_be_traced():
    batch = jr.Batch(jnp.arange(12.0).reshape(1, 3, 4, 1), None, None)
    key = jax.random.key(3)
    flip = jax.jit(lambda p: random_flip(p)(key, batch).inputs)
    for p in (0.0, 1.0):
        want = batch.inputs[:, :, ::-1] if p else batch.inputs
        np.testing.assert_array_equal(flip(p), want)
    constant = jax.jit(random_translate(2))(key, batch).inputs
    np.testing.assert_array_equal(TRANSLATE(2, key, batch).inputs, constant)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random_flip(1.5), r"random_flip needs a probability `p` in \[0, 1\], got p=1.5"),
        (lambda: random_flip(float("nan")), "got p=nan"),
        (lambda: random_translate(-1), "random_translate needs `pixels` >= 0, got pixels=-1"),
        (lambda: random_translate(0.5), "whole number of `pixels`, got pixels=0.5"),
    ],
)
def test_numbers_out_of_range_are_errors(make, message):
    with pytest.raises(jr.TaskError, match=message):
        make()


@pytest.mark.parametrize("augment", [random_flip(), random_translate()])
@pytest.mark.parametrize(
    ("inputs", "got"), [(jnp.ones((2, 3)), r"got shape \(2, 3\)"), ({"a": 1}, "got dict")]
)
def test_inputs_that_are_no_pictures_are_errors(augment, inputs, got):
    with pytest.raises(jr.TaskError, match=rf"needs pictures \[b, h, w, c\] as inputs, {got}"):
        augment(jax.random.key(0), jr.Batch(inputs, None, None))
