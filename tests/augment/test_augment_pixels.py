"""Erasing's law, colours, mixing: what happens to pixels, and to targets that are mixed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from augmented import CLASSES, B, labelled, pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import keys, seeds

import jrecipe as jr
from jrecipe import augment as A
from jrecipe.augment.erase import rectangles

pytestmark = pytest.mark.thin(2)


def ones(n: int, h: int, w: int, c: int = 1) -> jr.Batch:
    return jr.Batch(jnp.ones((n, h, w, c)), jnp.arange(n), jnp.ones(n))


def erased(augment, n: int, h: int, w: int, seed: int = 0) -> np.ndarray:
    out = jax.jit(augment)(jax.random.key(seed), ones(n, h, w))
    return np.asarray(out.inputs[..., 0]) == 0


def test_erasing_takes_one_rectangle_of_an_area_and_aspect_in_range_uniformly():
    n, h, w, area, aspect = 4000, 32, 24, (0.05, 0.3), (0.5, 2.0)
    gone = erased(A.random_erase(1.0, area=area, aspect=aspect), n, h, w)
    rows, columns = gone.any(axis=2), gone.any(axis=1)
    np.testing.assert_array_equal(gone, rows[:, :, None] & columns[:, None, :])
    for side in (rows, columns):  # in one piece
        assert (
            np.abs(np.diff(side.astype(int), axis=1, prepend=0, append=0)).sum(axis=1) == 2
        ).all()
    share, ratio = gone.mean(axis=(1, 2)), rows.sum(axis=1) / columns.sum(axis=1)
    assert share.min() >= area[0] - 1e-6
    assert share.max() <= area[1] + 1e-6
    assert ratio.min() >= aspect[0] - 1e-6
    assert ratio.max() <= aspect[1] + 1e-6
    # Kolmogorov-Smirnov distance to the uniform law, 1.95 / sqrt(n) at p = .001, and the rounding.
    at = np.sort(share)
    law = (at - area[0]) / (area[1] - area[0])
    assert np.abs(law - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n) + 0.01
    assert abs(np.log(ratio).mean()) < 0.04
    assert rows.any(axis=0).all()  # everywhere in the picture
    assert columns.any(axis=0).all()
    first = rows.argmax(axis=1) / np.maximum(h - rows.sum(axis=1), 1)
    assert abs(first.mean() - 0.5) < 0.03


@settings(max_examples=20)
@given(
    h=st.integers(8, 40),
    w=st.integers(8, 16),
    low=st.floats(0.02, 0.3),
    wide=st.floats(0.1, 0.4),
    most=st.floats(2.0, 4.0),
)
def test_the_table_of_rectangles_is_a_law_within_its_range(h, w, low, wide, most):
    sizes, below = rectangles(h, w, (low, low + wide), (1 / most, most))
    share, ratio = sizes.prod(axis=1) / (h * w), sizes[:, 0] / sizes[:, 1]
    assert (share >= low - 1e-6).all()
    assert (share <= low + wide + 1e-6).all()
    assert (ratio >= 1 / most - 1e-6).all()
    assert (ratio <= most + 1e-6).all()
    assert (np.diff(below, prepend=0) >= 0).all()
    assert below[-1] == 1


@pytest.mark.exhaustive
def test_erasing_happens_as_often_as_asked_with_the_value_asked():
    x = pictures(0)[:1].repeat(2000, axis=0)[:, :8, :8]
    batch = jr.Batch(jnp.asarray(x), jnp.zeros(2000), jnp.ones(2000))
    values = (2.0, 3.0, 4.0)
    square = {"area": (0.2, 0.4), "aspect": (1.0, 1.0)}
    out = jax.jit(A.random_erase(0.75, value=values, **square))(jax.random.key(0), batch).inputs
    changed = np.asarray(out != batch.inputs)
    assert abs(changed.any(axis=(1, 2, 3)).mean() - 0.75) < 0.04
    np.testing.assert_array_equal(
        np.asarray(out)[changed].reshape(-1, 3), [values] * (changed.sum() // 3)
    )
    assert set(np.unique(changed[..., 0].sum(axis=(1, 2)))) == {0, 16, 25}  # 4 x 4 and 5 x 5
    mean = jax.jit(A.random_erase(1.0, value="mean", **square))(jax.random.key(0), batch).inputs
    inside = np.asarray(mean != batch.inputs)[0].any(axis=-1)
    np.testing.assert_allclose(mean[0][inside], [x[0].mean(axis=(0, 1))] * inside.sum(), rtol=1e-5)
    noise = jax.jit(A.random_erase(1.0, value="noise", **square))(jax.random.key(0), batch).inputs
    noise = np.asarray(noise)[np.asarray(noise != batch.inputs)]
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03
    assert not erased(A.random_erase(0.0), 8, 8, 8).any()


def test_cutout_is_a_square_around_any_pixel_cut_at_the_edge():
    gone = erased(A.cutout(4), 2000, 8, 10)
    rows, columns = gone.any(axis=2), gone.any(axis=1)
    np.testing.assert_array_equal(gone, rows[:, :, None] & columns[:, None, :])
    assert set(rows.sum(axis=1)) == {2, 3, 4}
    assert set(columns.sum(axis=1)) == {2, 3, 4}
    assert gone.any(axis=0).all()
    assert not erased(A.cutout(0), 8, 8, 8).any()
    assert abs(erased(A.cutout(4, p=0.3), 2000, 8, 8).any(axis=(1, 2)).mean() - 0.3) < 0.04


def one(augment, x: np.ndarray, seed: int = 0) -> np.ndarray:
    batch = jr.Batch(jnp.asarray(x), None, jnp.ones(len(x)))
    return np.asarray(jax.jit(augment)(jax.random.key(seed), batch).inputs)


def test_colours_are_those_of_the_definitions():
    x = pictures(1)
    luma = x @ np.array([0.299, 0.587, 0.114], np.float32)
    free = {"value_range": None}
    bright = one(A.random_brightness(0.5, **free), x) / x
    factors = bright.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(
        bright, np.broadcast_to(factors[:, None, None, None], x.shape), rtol=1e-4
    )
    assert factors.min() < 0.8
    assert factors.max() > 1.2
    assert np.abs(factors - 1).max() <= 0.5
    contrast = one(A.random_contrast(0.5, **free), x)
    np.testing.assert_allclose(
        (contrast @ np.array([0.299, 0.587, 0.114])).mean(axis=(1, 2)),
        luma.mean(axis=(1, 2)),
        rtol=1e-4,
    )
    spread = contrast.std(axis=(1, 2, 3)) / x.std(axis=(1, 2, 3))
    assert spread.max() - spread.min() > 0.4
    saturated = one(A.random_saturation(0.9, **free), x)
    np.testing.assert_allclose(saturated @ np.array([0.299, 0.587, 0.114]), luma, atol=1e-4)
    grey = one(A.random_grey(1.0), x)
    np.testing.assert_allclose(grey, luma[..., None].repeat(3, -1), atol=1e-5)
    hue = one(A.random_hue(180, **free), x)
    np.testing.assert_allclose(hue.mean(axis=-1), x.mean(axis=-1), atol=1e-5)
    np.testing.assert_allclose((hue**2).sum(axis=-1), (x**2).sum(axis=-1), rtol=1e-3)
    assert np.abs(hue - x).max() > 0.1


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_contrast_spreads_all_channels_about_one_light(channels):
    x = np.random.default_rng(0).uniform(0.2, 0.8, (4, 5, 6, channels)).astype(np.float32)
    x *= np.linspace(0.5, 1.0, channels, dtype=np.float32)  # channels of other means
    batch = jr.Batch(x, jnp.zeros(4), jnp.ones(4))
    got = np.asarray(A.random_contrast(0.5, value_range=None)(jax.random.key(0), batch).inputs)
    share = np.array([0.299, 0.587, 0.114]) if channels == 3 else np.full(channels, 1 / channels)
    light = (x @ share).mean(axis=(1, 2))[:, None, None, None]
    factor = (got - light) / (x - light)
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1, :1, :1], x.shape), rtol=2e-2)
    assert np.ptp(factor[:, 0, 0, 0]) > 0.05


def test_a_third_of_a_turn_of_hue_makes_red_green():
    from jrecipe.augment.colour import turned

    red = jnp.array([1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(turned(red, jnp.array([120.0])).ravel(), [0, 1, 0], atol=1e-6)


@pytest.mark.exhaustive
def test_blur_keeps_light_and_noise_has_the_deviation_asked():
    flat = np.full((B, 9, 9, 1), 0.3, np.float32)
    np.testing.assert_allclose(one(A.random_blur((0.5, 2.0)), flat), flat, rtol=1e-5)
    dot = np.zeros((B, 15, 15, 1), np.float32)
    dot[:, 7, 7] = 1
    seen = one(A.random_blur((1.0, 1.0)), dot)[0, :, :, 0]
    kernel = np.exp(-0.5 * np.arange(-7, 8) ** 2.0)
    kernel[np.abs(np.arange(-7, 8)) > 3] = 0
    kernel /= kernel.sum()
    np.testing.assert_allclose(seen, np.outer(kernel, kernel), atol=1e-6)
    np.testing.assert_array_equal(one(A.random_blur((0.0, 0.0)), dot), dot)
    many = np.zeros((500, 8, 8, 1), np.float32)
    noise = one(A.random_noise(0.2, value_range=None), many).std(axis=(1, 2, 3))
    assert noise.max() < 0.26
    assert abs(noise.mean() - 0.1) < 0.01
    cut = one(A.random_noise(0.2), many)
    assert cut.min() == 0


@settings(max_examples=5)
@given(key=keys, seed=seeds)
def test_domain_randomisation_leaves_the_object_and_changes_what_is_behind(key, seed):
    x = jnp.asarray(pictures(seed))
    mask = (np.arange(B * 12 * 14).reshape(B, 12, 14) % 3 == 0).astype(np.int32)
    batch = jr.Batch(x, {"mask": jnp.asarray(mask)}, None)
    out = DOMAIN(key, batch)
    object_ = mask[..., None] == 1
    assert np.abs(np.where(object_, out.inputs - x, 0)).max() < 1e-6
    changed = np.abs(np.where(object_, 0, out.inputs - x)).max(axis=(1, 2, 3)) > 1e-3
    assert changed.all()


DOMAIN = jax.jit(A.domain_randomise(1.0, texture=0, colour=0, noise=0))

MIXUP_INDICES = jax.jit(A.mixup(1.0, classes=B))
MIXUP, CUTMIX = jax.jit(A.mixup(1.0)), jax.jit(A.cutmix())
STILL = {
    name: jax.jit(make(share=1.0)) for name, make in (("mixup", A.mixup), ("cutmix", A.cutmix))
}


@pytest.mark.exhaustive
@settings(max_examples=5)
@given(key=keys, seed=seeds)
def test_mixed_targets_sum_to_1_and_follow_the_pictures(key, seed):
    batch = labelled(seed)._replace(targets=jnp.eye(B))  # each its own class: partners are told
    blended = MIXUP(key, batch)
    np.testing.assert_allclose(blended.targets.sum(axis=1), 1, rtol=1e-5)
    shares = np.asarray(blended.targets)
    assert ((shares > 0).sum(axis=1) <= 2).all()
    want = np.einsum("ij,jhwc->ihwc", shares, batch.inputs)
    np.testing.assert_allclose(blended.inputs, want, atol=1e-5)
    indices = MIXUP_INDICES(key, batch._replace(targets=jnp.arange(B)))
    np.testing.assert_allclose(indices.targets, blended.targets, atol=1e-6)
    cut = CUTMIX(key, batch)
    shares = np.asarray(cut.targets)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    kept = np.asarray(cut.inputs == batch.inputs).all(axis=-1)
    np.testing.assert_allclose(np.diag(shares), kept.mean(axis=(1, 2)), atol=1e-6)
    other = shares * (1 - np.eye(B))
    for i in range(B):
        if other[i].any():
            j = int(other[i].argmax())
            np.testing.assert_array_equal(cut.inputs[i][~kept[i]], batch.inputs[j][~kept[i]])


@pytest.mark.parametrize("name", STILL)
@settings(max_examples=3)
@given(key=keys, seed=seeds)
def test_a_share_of_1_changes_nothing(name, key, seed):
    batch = labelled(seed)
    out = STILL[name](key, batch)
    np.testing.assert_array_equal(out.inputs, batch.inputs)
    np.testing.assert_array_equal(out.targets, batch.targets)


@pytest.mark.exhaustive
def test_mixing_draws_shares_from_beta_and_never_from_padding():
    n = 2000
    batch = jr.Batch(
        jnp.arange(n, dtype=jnp.float32).reshape(n, 1, 1, 1),
        jnp.arange(n) % CLASSES,
        (jnp.arange(n) % 4 > 0).astype(jnp.float32),
    )
    batch = batch._replace(inputs=jnp.where(batch.weights[:, None, None, None] > 0, 1.0, jnp.nan))
    out = jax.jit(A.mixup(0.5, classes=CLASSES))(jax.random.key(0), batch)
    real = np.asarray(batch.weights) > 0
    assert np.isfinite(np.asarray(out.inputs)[real]).all()
    assert out.targets.shape == (n, CLASSES)
    np.testing.assert_allclose(out.targets.sum(axis=1), 1, rtol=1e-5)
    own = np.asarray(out.targets)[np.arange(n), np.arange(n) % CLASSES]
    mixed = own[real & (own < 1)]
    assert abs((mixed < 0.1).mean() - 0.205) < 0.06  # Beta(1/2, 1/2) has much near 0 and 1
    assert abs(((mixed > 0.4) & (mixed < 0.6)).mean() - 0.128) < 0.05


@pytest.mark.exhaustive
def test_cutmix_cuts_masks_and_mixup_blends_float_masks():
    x = jnp.asarray(pictures(0))
    mask = jnp.round(x[..., :1] * 3).astype(jnp.int32)
    out = CUTMIX(jax.random.key(0), jr.Batch(x, {"mask": mask}, None))
    np.testing.assert_array_equal(out.targets["mask"], jnp.round(out.inputs[..., :1] * 3))
    out = MIXUP(jax.random.key(0), jr.Batch(x, {"mask": 2 * x}, None))
    np.testing.assert_allclose(out.targets["mask"], 2 * out.inputs, atol=1e-5)


@pytest.mark.exhaustive
def test_a_task_with_mixup_trains_and_its_loss_is_that_of_the_mixture():
    loss = jr.losses.softmax_cross_entropy()
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(B, CLASSES)), jnp.float32)
    one_, other = jnp.arange(B) % CLASSES, (jnp.arange(B) + 1) % CLASSES
    soft = 0.3 * jax.nn.one_hot(one_, CLASSES) + 0.7 * jax.nn.one_hot(other, CLASSES)
    want = 0.3 * loss(logits, one_) + 0.7 * loss(logits, other)
    np.testing.assert_allclose(loss(logits, soft), want, rtol=1e-5)
    smooth = jr.losses.softmax_cross_entropy(0.1)
    hard = jax.nn.one_hot(one_, CLASSES)
    np.testing.assert_allclose(smooth(logits, hard), smooth(logits, one_), rtol=1e-5)
    from jrecipe.models import MLP

    x, y = pictures(0), np.arange(B) % CLASSES
    mix = A.mixup(classes=CLASSES)
    task = jr.Task(
        model=MLP(CLASSES), loss=loss, train=(x, y), val=(x, y), augment=mix, batch_size=B
    )
    assert np.isfinite(jr.fit(task, 3, progress=False).history["loss"]).all()


@pytest.mark.exhaustive
def test_posterize_and_solarize_do_what_they_are_called():
    from jrecipe.augment.rand_augment import _colour

    x = jnp.linspace(0, 1, 64).reshape(1, 8, 8, 1)
    half = jnp.array([0.5])
    solar = np.asarray(_colour("solarize", x, half, (0.0, 1.0)))
    np.testing.assert_allclose(solar, np.where(x > 0.5, 1 - x, x), atol=1e-6)
    assert len(np.unique(np.round(_colour("posterize", x, jnp.array([1.0]), (0.0, 1.0)), 5))) == 4
