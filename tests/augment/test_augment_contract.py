"""What every augmentation of pictures keeps, and that each example draws for itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from augmented import (
    ALL,
    COLOUR,
    HIDING,
    JITTED,
    MIXING,
    B,
    batch_for,
    cases,
    image,
    scenes,
    traces,
)
from hypothesis import given, settings
from strategies import keys, seeds

import jrecipe as jr
from jrecipe import augment as A

pytestmark = pytest.mark.thin(6)


def layout(batch: jr.Batch) -> object:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), batch)


@pytest.mark.thin(18)
@pytest.mark.parametrize("name", cases(ALL))
@settings(max_examples=3)
@given(key=keys, seed=seeds)
def test_layout_range_and_weights_stay_and_nothing_is_compiled_again(name, key, seed):
    batch = batch_for(name, seed)
    out = JITTED[name](key, batch)
    assert layout(out) == layout(batch)
    assert image(out).min() >= 0
    assert image(out).max() <= 1
    assert np.isfinite(image(out)).all()
    np.testing.assert_array_equal(out.weights, batch.weights)
    if name in COLOUR or name in HIDING:
        for old, new in zip(
            jax.tree.leaves(batch.targets), jax.tree.leaves(out.targets), strict=True
        ):
            np.testing.assert_array_equal(new, old)
    elif name not in MIXING:
        np.testing.assert_array_equal(out.targets["class"], batch.targets["class"])
    again = JITTED[name](key, batch)
    np.testing.assert_array_equal(image(again), image(out))
    assert traces[name] == 1


@pytest.mark.thin(18)
@pytest.mark.parametrize("name", cases(ALL))
def test_every_example_and_every_key_has_a_draw_of_its_own(name):
    given = batch_for(name, 0)
    same = jax.tree.map(lambda leaf: jnp.repeat(leaf[:1], B, axis=0), given)
    if name in MIXING:  # which mix one picture with many
        same = given
    runs = [image(JITTED[name](jax.random.key(i), same)) for i in range(3)]
    change = [run - image(same) for run in runs]
    assert len(np.unique(change[0].reshape(B, -1), axis=0)) > 1
    assert not np.array_equal(runs[0], runs[1])


MANY = A.compose(
    A.random_flip(),
    A.random_affine(20, scale=(0.8, 1.2)),
    A.random_brightness(),
    A.random_noise(),
    A.random_erase(),
    A.apply_with(0.5, A.random_hue()),
)


@pytest.mark.exhaustive
def test_the_layout_of_a_batch_over_devices_changes_nothing():
    batch, key = scenes(0), jax.random.key(3)
    want = jax.jit(MANY)(key, batch)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.P("batch"))
    got = jax.jit(MANY)(key, jax.device_put(batch, rows))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.exhaustive
def test_augmentations_vmap_over_keys_and_run_in_a_scan():
    batch, many = scenes(0), jax.random.split(jax.random.key(0), 3)
    mapped = jax.jit(jax.vmap(lambda key: MANY(key, batch).inputs["image"]))(many)
    _, scanned = jax.jit(
        lambda: jax.lax.scan(lambda c, key: (c, MANY(key, batch).inputs["image"]), 0, many)
    )()
    alone = jax.jit(MANY)(many[1], batch).inputs["image"]
    np.testing.assert_allclose(mapped[1], alone, atol=1e-5)
    np.testing.assert_allclose(scanned[1], alone, atol=1e-5)


@pytest.mark.exhaustive
def test_half_precision_pictures_stay_so():
    batch = jax.tree.map(lambda leaf: leaf, scenes(0))
    batch = batch._replace(inputs={"image": batch.inputs["image"].astype(jnp.bfloat16)})
    out = jax.jit(MANY)(jax.random.key(0), batch)
    assert out.inputs["image"].dtype == jnp.bfloat16
    assert layout(out) == layout(batch)


@given(key=keys)
def test_chances_are_kept_and_one_of_draws_as_often_as_asked(key):
    n = 4000
    batch = jr.Batch(jnp.zeros(n), jnp.zeros(n), jnp.ones(n))
    add = lambda amount: lambda _, batch: batch._replace(inputs=batch.inputs + amount)  # noqa: E731
    hit = np.asarray(A.apply_with(0.3, add(1.0))(key, batch).inputs)
    assert abs(hit.mean() - 0.3) < 0.04
    drawn = np.asarray(A.one_of(add(1), add(2), add(3), shares=(1, 0, 3))(key, batch).inputs)
    assert set(drawn) == {1.0, 3.0}
    assert abs((drawn == 3).mean() - 0.75) < 0.04
    for p, want in ((0.0, 0), (1.0, n)):
        assert A.apply_with(p, add(1.0))(key, batch).inputs.sum() == want


def test_chance_keeps_an_example_whole():
    batch = scenes(1)
    out = jax.jit(A.apply_with(0.5, A.random_flip(1.0)))(jax.random.key(0), batch)
    flipped = jax.jit(A.random_flip(1.0))(jax.random.key(0), batch)
    kinds = set()
    for i in range(B):
        row, old, new = (jax.tree.map(lambda leaf, i=i: leaf[i], x) for x in (out, batch, flipped))
        kinds.add((alike(row, old), alike(row, new)))
    assert kinds == {(True, False), (False, True)}


def alike(a: jr.Batch, b: jr.Batch) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )
