"""The pieces of the CIFAR-10 speed run, each against a second way to get the same."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jrecipe as jr

pytestmark = pytest.mark.exhaustive  # of a run that only a GPU makes

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
sys.path.append(str(EXPERIMENTS))

import cifar10_data  # noqa: E402
import cifar10_speed as speed  # noqa: E402
import cifar10_speed_net as pieces  # noqa: E402

KEY = jax.random.key(0)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Returns uint8[n, 32, 32, 3] whose neighbouring pixels and channels resemble each other."""
    noise = np.random.default_rng(seed).normal(size=(count, 32, 32, 3))
    smooth = noise + np.roll(noise, 1, 1) + 2 * np.roll(noise, 1, 2) + noise[..., :1]
    return np.clip(128 + 20 * smooth, 0, 255).astype(np.uint8)


def differences(x: np.ndarray) -> np.ndarray:
    """Returns pictures uint8[n, h, w, 3] as `undo_differences` takes them."""
    red, green, blue = np.moveaxis(x, -1, 0)
    planes = np.stack([green, red - green, blue - green])
    first = np.diff(planes[..., :1], axis=-2, prepend=np.uint8(0))
    return np.concatenate([first, np.diff(planes, axis=-1)], axis=-1)


def write_folder(folder: Path, sizes: tuple[int, int, int] = (64, 64, 32)) -> None:
    for name, size in zip(("train", "train_rest", "test"), sizes, strict=True):
        labels = (np.arange(size) % 10).astype(np.uint8)
        np.savez(folder / f"{name}.npz", r=differences(pictures(size, size)), y=labels)


def covariance(flat: jax.Array) -> np.ndarray:
    return np.cov(np.asarray(flat).reshape(-1, flat.shape[-1]).T)


def test_whitening_makes_the_covariance_of_patches_the_identity():
    x = pieces.normalised(jnp.asarray(pictures(64)))
    x = x - x.mean(axis=(0, 1, 2), keepdims=True)
    patches, kernel = pieces.patches(x), pieces.whitening_kernel(x)
    np.testing.assert_allclose(covariance(patches @ kernel[:, :12]), np.eye(12), atol=0.03)
    np.testing.assert_array_equal(kernel[:, 12:], -kernel[:, :12])
    assert np.abs(covariance(patches) - np.eye(12)).max() > 0.3  # it was needed


def test_patches_are_those_of_a_2x2_convolution():
    x = jnp.asarray(pictures(2), jnp.float32)
    kernel = jax.random.normal(KEY, (2, 2, 3, 5))
    dimensions = ("NHWC", "HWIO", "NHWC")
    want = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=dimensions)
    np.testing.assert_allclose(
        pieces.patches(x) @ kernel.reshape(12, 5), want, rtol=1e-4, atol=1e-2
    )


def test_two_epochs_show_each_side_of_a_picture_once():
    x, first = pictures(64), jax.random.bernoulli(KEY, 0.5, (64,))
    assert 0 < int(first.sum()) < 64
    for epoch in range(3):
        one, other = (pieces.alternating_flip(x, first, jnp.int32(epoch + i)) for i in (0, 1))
        np.testing.assert_array_equal(other, one[:, :, ::-1])
        mirrored = (first ^ (epoch % 2 == 1))[:, None, None, None]
        np.testing.assert_array_equal(one, np.where(mirrored, x[:, :, ::-1], x))


def test_random_flips_do_not_show_each_side():
    batch = jr.Batch(jnp.asarray(pictures(64)), jnp.zeros(64), jnp.ones(64))
    one, other = (jr.augment.random_flip()(jax.random.key(i), batch).inputs for i in (0, 1))
    assert (one == other).all(axis=(1, 2, 3)).any()


def test_crops_are_the_picture_moved_with_its_edge_mirrored():
    x = pictures(4)
    wide, rows = pieces.padded(jnp.asarray(x), 2), jnp.array([3, 0, 2, 2])
    corners = jnp.array([[2, 2], [0, 4], [4, 1], [0, 0]])
    out = pieces.crops(wide, rows, corners, 32)
    assert (out.shape, out.dtype) == ((4, 32, 32, 3), jnp.uint8)
    np.testing.assert_array_equal(out[0], x[3])  # not moved
    np.testing.assert_array_equal(out[1][2:, :-2], x[0][:-2, 2:])  # two down, two to the left
    np.testing.assert_array_equal(out[2][:-2, 1:], x[2][2:, :-1])
    np.testing.assert_array_equal(out[3][0], np.roll(out[3], -4, 0)[0])  # line -2 is line 2


def test_cutout_blanks_a_square_and_nothing_else():
    x = jnp.ones((2, 9, 8, 3))
    out = np.asarray(pieces.cutout(x, jnp.array([[0, 5], [6, 2]]), 3))
    want = np.ones((2, 9, 8, 3))
    want[0, 0:3, 5:8] = want[1, 6:9, 2:5] = 0
    np.testing.assert_array_equal(out, want)


def test_six_views_are_weighed_as_published():
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=(192, 4)).astype(np.float32)
    logits_of = lambda x: jnp.tanh(x.reshape(-1, 192) @ weights)  # noqa: E731
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    at = {(1, 1): 1 / 4, (0, 0): 1 / 8, (2, 2): 1 / 8}  # of the crop's corner
    moved = {corner: wide[:, corner[0] :, corner[1] :][:, :8, :8] for corner in at}
    sides = [(moved[c][:, :, ::s], share) for c, share in at.items() for s in (1, -1)]
    want = sum(share * np.asarray(logits_of(np.ascontiguousarray(view))) for view, share in sides)
    assert sum(share for _, share in sides) == 1
    got = pieces.viewed(logits_of, jnp.asarray(x))
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.abs(got - np.asarray(logits_of(jnp.asarray(x)))).max() > 0.1  # not one view


@pytest.mark.exhaustive
def test_accuracy_counts_each_picture_once():
    x, y = jnp.asarray(pictures(10)), jnp.asarray(np.arange(10) % 4)
    logits_of = lambda x: x.reshape(len(x), -1)[:, :4].astype(jnp.float32)  # noqa: E731
    want = jr.metrics.accuracy(pieces.viewed(logits_of, x), y).mean()
    assert 0 < float(want) < 1
    for at_once in (1, 4, 10, 64):
        got = pieces.accuracy(logits_of, x, y, at_once)
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.thin(3)
@pytest.mark.parametrize("channels", [(3, 7), (4, 4), (6, 2)])
def test_dirac_passes_channels_through(channels):
    inputs, outputs = channels
    conv = nn.Conv(outputs, (3, 3), use_bias=False, kernel_init=pieces.dirac)
    x = jax.random.normal(KEY, (2, 5, 6, inputs))
    out, variables = conv.init_with_output(KEY, x)
    same = min(channels)
    np.testing.assert_allclose(out[..., :same], x[..., :same], atol=1e-6)
    rest = np.asarray(variables["params"]["kernel"])[..., same:]
    assert rest.size == 0 or 0.7 < np.abs(rest).max() * np.sqrt(9 * inputs) <= 1


def test_halved_is_max_pooling():
    x = jax.random.normal(KEY, (2, 7, 6, 3))
    want = nn.max_pool(x, (2, 2), strides=(2, 2))
    np.testing.assert_array_equal(pieces.halved(x), want)


@pytest.mark.slow
def test_network_is_the_same_with_either_convolution():
    x = pieces.normalised(jnp.asarray(pictures(2)))
    whitening = pieces.whitening_kernel(x)
    nets = [pieces.Net((4, 8, 8), conv, jnp.float32) for conv in (nn.Conv, jr.models.Conv)]
    variables = jax.jit(nets[0].init)(KEY, x, whitening)
    assert "scale" not in variables["params"]["norm0_0"]
    one, other = (jax.jit(net.apply)(variables, x, whitening) for net in nets)
    assert (one.shape, one.dtype) == ((2, 10), jnp.float32)
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_network_has_as_many_parameters_as_published():
    x, whitening = jnp.zeros((1, 32, 32, 3)), jnp.zeros((12, 24))
    params = jax.eval_shape(pieces.Net().init, KEY, x, whitening)["params"]
    count = whitening.size + sum(leaf.size for leaf in jax.tree.leaves(params))
    assert count == pytest.approx(1.97e6, rel=1e-3)


def test_schedule_goes_through_its_three_points():
    rate = speed.triangle(476, 0.2, 0.23, 0.07)
    at = [float(rate(step)) for step in (0, 109, 476)]
    np.testing.assert_allclose(at, [0.2, 1.0, 0.07], rtol=1e-5)
    assert float(rate(108)) < 1 > float(rate(110))


def test_optimizer_is_nesterov_with_decoupled_numbers():
    config, epoch, steps = speed.Config(batch=512, whitening_epochs=1), 2, 5
    tx = speed.optimizer(config, epoch, steps)
    params = {name: {"w": jnp.float32(2.0)} for name in ("conv0_1", "norm1_0", "output")}
    params["whitening_bias"] = jnp.float32(2.0)
    state, scale = tx.init(params), 1024 * (1 + 1 / 0.15)
    rates = {"conv0_1": 11.5, "norm1_0": 11.5 * 64, "output": 11.5, "whitening_bias": 11.5}
    want, speeds = dict.fromkeys(rates, 2.0), dict.fromkeys(rates, 0.0)
    shape = speed.triangle(steps, config.start, config.peak, config.end)
    for step in range(4):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
        params = optax.apply_updates(params, updates)
        for name, rate in rates.items():
            pull = rate / scale + 0.0153 * 512 / scale * want[name]
            speeds[name] = 0.85 * speeds[name] + pull
            on = name != "whitening_bias" or step < 2
            want[name] -= on * float(shape(step)) * (pull + 0.85 * speeds[name])
    got = {name: float(jax.tree.leaves(params[name])[0]) for name in rates}
    assert got == pytest.approx(want, rel=1e-5)


def test_lookahead_averages_and_goes_on_from_the_average():
    config, epoch, steps = speed.Config(slow_from=1, slow_every=5), 6, 22
    fast = slow = jnp.float32(0.0)
    want, average = 0.0, None
    for step in range(1, steps + 1):
        want, stepped = want + step, fast + step
        if step >= 10 and step % 5 == 0:  # the first multiple of 5 after an epoch of 6
            decay = 0.95**5 * (step / steps) ** 3
            average = want if average is None else decay * average + (1 - decay) * want
            want = average
        elif average is not None and (step % epoch == 0 or step == steps):
            want = average
        fast, slow = speed.lookahead(stepped, slow, jnp.int32(step), epoch, steps, config)
        assert float(fast) == pytest.approx(want, rel=1e-5), step
    assert float(slow) == float(fast)


def test_each_epoch_has_an_order_of_its_own():
    config = speed.Config(batch=8, epochs=2.5)
    rows = np.asarray(speed.orders(KEY, 20, config))
    assert rows.shape == (5, 8)  # 2 steps an epoch, 2.5 epochs
    for epoch in (rows[:2], rows[2:4]):
        assert len(np.unique(epoch)) == 16
    assert (rows[:2] != rows[2:4]).any()


def test_steps_are_those_published_and_too_few_pictures_are_told():
    assert speed.Config().steps(50_000) == (48, 476)
    with pytest.raises(jr.TaskError, match="a batch of 1024 needs as many training pictures"):
        speed.Config().steps(1000)


def test_a_folder_is_read_and_a_missing_file_told(tmp_path):
    write_folder(tmp_path, (6, 4, 2))
    (x, y), (test_x, test_y) = speed.load(str(tmp_path))
    np.testing.assert_array_equal(x, np.concatenate([pictures(6, 6), pictures(4, 4)]))
    np.testing.assert_array_equal(test_x, pictures(2, 2))
    assert (y.tolist(), test_y.tolist()) == ([*range(6), *range(4)], [0, 1])
    (tmp_path / "train_rest.npz").unlink()
    with pytest.raises(jr.TaskError, match=r"no train_rest\.npz; give a folder"):
        speed.load(str(tmp_path))


def test_pictures_of_splits_come_back_as_they_were_stored():
    x, y = pictures(30), np.arange(30, dtype=np.int32) % 10
    encoder = jr.data.ImageEncoder.fit(x[:10])
    parts = [jr.data.ArraySource(encoder.encode(x[i : i + 10]), y[i : i + 10]) for i in (0, 10, 20)]
    splits = jr.data.Splits("some", *parts, kind="classes", encoder=encoder)
    (train_x, train_y), (test_x, test_y) = cifar10_data.stored(splits)
    np.testing.assert_array_equal(np.concatenate([train_x, test_x]), x)
    np.testing.assert_array_equal(np.concatenate([train_y, test_y]), y)
    assert len(train_x) == 20
    with pytest.raises(jr.TaskError, match="'some' are no pictures of 32 x 32"):
        cifar10_data.stored(dataclasses.replace(splits, encoder=None))


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "cifar10_speed.py", *arguments]
    env = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.run(command, cwd=EXPERIMENTS, env=env, capture_output=True, text=True)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_smoke_run_ends_well(tmp_path):
    write_folder(tmp_path)
    done = script("--smoke", "--data", str(tmp_path), "--cutout", "4")
    assert done.returncode == 0, done.stderr
    assert "these numbers mean nothing" in done.stdout
    assert "128 training and 32 test pictures" in done.stdout
    assert "published" not in done.stdout


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured():
    done = script("--data", "nowhere")
    assert (done.returncode, done.stdout) == (2, "no GPU at hand: not measured\n")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_tiny_net_learns_colours_and_nothing_from_noise():
    y = np.arange(640, dtype=np.int32) % 3
    plain = pictures(640) // 2
    tinted = plain + (60 * np.eye(3, dtype=np.uint8)[y])[:, None, None, :]
    run = jax.jit(functools.partial(speed.run, dataclasses.replace(speed.SMOKE, epochs=3)))
    for x, low, high in ((tinted, 0.8, 1.0), (plain, 0.15, 0.5)):
        share = float(run(KEY, x[:512], y[:512], x[512:], y[512:]))
        assert low <= share <= high
