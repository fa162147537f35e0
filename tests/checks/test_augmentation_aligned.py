"""G1: what augmentation did is recognised, and targets that did not follow are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skeleton_programs as programs
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import digits

import jrecipe as jr
from jrecipe.checks import Context
from jrecipe.checks.augmentation_aligned import (
    check_augmentation_aligned,
    judge_conversion,
    judge_coordinates,
    judge_exchange,
    judge_mixture,
    judge_spatial,
    judge_targets_alone,
)
from jrecipe.checks.moved_targets import Conversion, Coordinates, Spatial
from jrecipe.checks.movements import TURNS, moved_like, recognise, views
from jrecipe.checks.result import Verdict

pytestmark = pytest.mark.thin(5)

Move = Callable[[Any], Any]
NAMES = [name for name, _ in TURNS]


def flip(x: Any) -> Any:
    return x[:, :, ::-1]


def upside(x: Any) -> Any:
    return x[:, ::-1]


def said(task: jr.Task, seed: int = 0) -> list[tuple[str, str]]:
    found = check_augmentation_aligned(Context(task, seed))
    assert all(f.suspects or f.verdict is Verdict.PASSED for f in found)
    return [(f.suspects[0].cause, f.suspects[0].where) for f in found if f.suspects]


def broken(where: str) -> list[tuple[str, str]]:
    return [("augmentation-breaks-labels", where)]


def moving(shape: tuple[int, ...], move: Move, targets: Move | None = None, apart: bool = False):
    """Moves half of the pictures, and their targets with `targets`."""

    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        x = batch.inputs.reshape(-1, *shape)
        chosen = jax.random.bernoulli(key, 0.5, (len(x),))
        other = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, (len(x),))

        def pick(chosen: Any, change: Move, x: Any) -> Any:
            return jnp.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), change(x), x)

        y = batch.targets
        if targets is not None:
            y = jax.tree.map(lambda y: pick(other if apart else chosen, targets, y), y)
        return batch._replace(inputs=pick(chosen, move, x).reshape(batch.inputs.shape), targets=y)

    return augment


def shifting(shape: tuple[int, ...], most: int, targets: bool = False, pixels: bool = False):
    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        x = batch.inputs.reshape(-1, *shape)
        by = jax.random.randint(key, (len(x), 2), -most, most + 1)
        roll = jax.vmap(lambda x, by: jnp.roll(x, by, (0, 1)))
        y = roll(batch.targets, by) if targets else batch.targets
        y = y + by[:, jnp.array([1, 0, 1, 0])] if pixels else y
        return batch._replace(inputs=roll(x, by).reshape(batch.inputs.shape), targets=y)

    return augment


def discs(seed: int, n: int = 400) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:12, :12]
    y, x = rng.uniform(2, 10, (2, n))
    radius = rng.uniform(1.5, 3, n)
    mask = (down - y[:, None, None]) ** 2 + (right - x[:, None, None]) ** 2 < radius[
        :, None, None
    ] ** 2
    pictures = mask + 0.2 * rng.normal(size=mask.shape)
    return {
        "pictures": pictures.astype(np.float32)[..., None],
        "mask": mask.astype(np.int32),
        "box": np.stack([x - radius, y - radius, x + radius, y + radius], 1).astype(np.float32),
        "radius": radius.astype(np.float32)[:, None],
        "right": (x > 6).astype(np.int32),
    }


def seen(augment: Any, target: str, seed: int = 0, wrapped: bool = False) -> jr.Task:
    data = discs(seed)
    x, y = data["pictures"], data[target]
    wrap = (lambda y: {"mask": y}) if wrapped else (lambda y: y)
    return programs.classify(
        seed,
        data=((x[:300], wrap(y[:300])), (x[300:], wrap(y[300:]))),
        loss=lambda outputs, targets: outputs.sum(axis=1),
        augment=augment,
    )


def written(augment: Any, seed: int = 0, **changes: Any) -> jr.Task:
    x, y = digits()
    rows = np.random.default_rng(seed).permutation(len(x))[:800]
    data = (x[rows[:600]], y[rows[:600]]), (x[rows[600:]], y[rows[600:]])
    return programs.classify(seed, **{"data": data, "augment": augment, **changes})


# --- recognition -------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10**6),
    turn=st.integers(0, 7),
    down=st.integers(-2, 2),
    right=st.integers(-2, 2),
)
@settings(max_examples=15, deadline=None)
def test_every_movement_is_recognised_under_other_light(seed, turn, down, right):
    x = digits()[0][:40].reshape(-1, 8, 8)
    turned = np.pad(TURNS[turn][1](x), ((0, 0), (2, 2), (2, 2)), constant_values=-0.8)
    moved = turned[:, 2 - down : 10 - down, 2 - right : 10 - right]
    moved = 1.4 * moved - 0.1 + 0.02 * np.random.default_rng(seed).normal(size=x.shape)
    moves = recognise(x, moved)
    assert moves.known.mean() > 0.8
    right_ones = (moves.turn == turn) & (moves.down == down) & (moves.right == right)
    assert right_ones[moves.known].mean() > 0.97
    i = int(np.flatnonzero(moves.known & right_ones)[0])
    again, inside = moved_like(x[i], moves, i)
    assert np.abs(1.4 * again - 0.1 - moved[i])[inside].max() < 0.2


def test_what_cannot_be_told_is_not_known():
    same_both_ways = np.ones((5, 8, 8)) * np.arange(8)[:, None]
    assert not recognise(same_both_ways, same_both_ways[:, :, ::-1]).known.any()
    noise = np.random.default_rng(0).normal(size=(2, 30, 8, 8))
    assert not recognise(noise[0], noise[1]).known.any()


def test_views():
    assert views(np.zeros((3, 9, 7, 3))) == [(9, 7, 3)]
    assert views(np.zeros((3, 64))) == [(8, 8), (1, 64)]
    assert views(np.zeros((3, 10), int)) == [(1, 10)]
    assert views(np.zeros((3, 32, 2))) == [(1, 32, 2)]  # a signal of two channels
    assert views(np.zeros(3)) == []


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("augment", "target", "wrapped", "where"),
    [
        (moving((12, 12, 1), flip), "mask", False, "horizontal flip, targets kept"),
        (moving((12, 12, 1), upside), "mask", True, "vertical flip, targets['mask'] kept"),
        (shifting((12, 12, 1), 2), "mask", False, "shift, targets kept"),
        (
            moving((12, 12, 1), flip, flip, apart=True),
            "mask",
            False,
            "targets, moved otherwise than the inputs (identity)",
        ),
        (moving((12, 12, 1), flip), "box", False, "horizontal flip, targets kept"),
        (moving((12, 12, 1), lambda x: x.swapaxes(1, 2)), "box", False, "transpose, targets kept"),
        (shifting((12, 12, 1), 2), "box", False, "shift, targets kept"),
        (moving((12, 12, 1), flip), "right", False, "horizontal flip, targets kept"),
    ],
    ids=["flip", "upside", "shift", "apart", "box-flip", "box-turn", "box-shift", "class"],
)
def test_targets_that_do_not_follow(augment, target, wrapped, where):
    found = said(seen(augment, target, wrapped=wrapped))
    if "otherwise" in where:
        assert [(cause, place[:28]) for cause, place in found] == broken(where[:28])
    else:
        assert found == broken(where)


def mirrored_boxes(y: Any) -> Any:
    return jnp.stack([11 - y[:, 2], y[:, 1], 11 - y[:, 0], y[:, 3]], axis=1)


@pytest.mark.parametrize(
    ("augment", "target"),
    [
        (moving((12, 12, 1), flip, flip), "mask"),
        (shifting((12, 12, 1), 2, targets=True), "mask"),
        (moving((12, 12, 1), flip, mirrored_boxes), "box"),
        (shifting((12, 12, 1), 1, pixels=True), "box"),
        (moving((12, 12, 1), flip), "radius"),
        (moving((12, 12, 1), flip, lambda y: 1 - y), "right"),
    ],
    ids=["flip", "shift", "box", "box-shift", "radius", "class"],
)
def test_repaired_twins_and_targets_that_do_not_care(augment, target):
    assert said(seen(augment, target)) == []


def test_digits_upside_down_are_no_digits():
    assert said(written(moving((8, 8), upside), 1), 1) == broken("vertical flip, targets kept")


def permuted(key: Any, batch: jr.Batch) -> jr.Batch:
    return batch._replace(inputs=jax.random.permutation(key, batch.inputs))


def permuted_together(key: Any, batch: jr.Batch) -> jr.Batch:
    order = jax.random.permutation(key, len(batch.inputs))
    return jax.tree.map(lambda x: x[order], batch)


def mixing(targets: bool):
    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        mix = lambda x: 0.6 * x + 0.4 * jnp.roll(x, 1, axis=0)  # noqa: E731
        y = mix(batch.targets) if targets else batch.targets
        return batch._replace(inputs=mix(batch.inputs), targets=y)

    return augment


def with_noise(scale: float):
    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        noise = scale * jax.random.normal(key, batch.inputs.shape)
        return batch._replace(inputs=batch.inputs + noise)

    return augment


def soft_task(augment: Any) -> jr.Task:
    train, val = programs.digits(0)
    change = lambda y: np.eye(10, dtype=np.float32)[y]  # noqa: E731
    loss = lambda o, t: -(t * jax.nn.log_softmax(o)).sum(axis=-1)  # noqa: E731
    data = programs.relabel(train, change), programs.relabel(val, change)
    return programs.classify(0, data=data, loss=loss, augment=augment)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (
            written(lambda k, b: with_noise(0.1)(k, permuted(k, b))),
            broken("inputs permuted within the batch, targets kept"),
        ),
        (soft_task(mixing(False)), broken("inputs mixed within the batch, targets kept")),
        (
            written(lambda k, b: b._replace(targets=jax.random.permutation(k, b.targets))),
            broken("targets changed, inputs kept"),
        ),
        (written(lambda k, b: b._replace(weights=b.weights / 2)), broken("weights")),
        (written(lambda k, b: b._replace(inputs=jnp.log(b.inputs))), [("not-finite", "inputs")]),
        (
            written(lambda k, b: b._replace(inputs=b.inputs * 0)),
            [("prepared-differently", "inputs")],
        ),
    ],
    ids=["permuted", "mixed", "targets", "weights", "log", "zeros"],
)
def test_other_faults_of_augmentation(task: jr.Task, expected: list[tuple[str, str]]):
    assert said(task) == expected


def dropping(key: Any, batch: jr.Batch) -> jr.Batch:
    keep = jax.random.bernoulli(key, 0.8, batch.inputs.shape)
    return batch._replace(inputs=jnp.where(keep, batch.inputs, 0))


def tagging(augment: Any) -> jr.Task:
    ids = np.random.default_rng(0).integers(1, 50, (400, 12)).astype(np.int32)
    data = (ids[:300], ids[:300] % 5), (ids[300:], ids[300:] % 5)
    loss = lambda outputs, targets: outputs.sum(axis=(1, 2))  # noqa: E731
    return programs.classify(0, data=data, loss=loss, augment=augment)


@pytest.mark.parametrize(
    "task",
    [
        written(lambda k, b: b),
        written(with_noise(1.0)),
        written(shifting((8, 8), 1)),
        written(permuted_together),
        soft_task(mixing(True)),
        soft_task(lambda k, b: b._replace(targets=0.9 * b.targets + 0.01)),
        programs.regress(0, augment=with_noise(0.1)),
        tagging(dropping),
        tagging(lambda k, b: b._replace(inputs=b.inputs[:, ::-1], targets=b.targets[:, ::-1])),
    ],
    ids=["none", "noise", "shift", "together", "mixup", "smooth", "table", "dropped", "reversed"],
)
def test_odd_but_healthy_augmentations_stay_silent(task: jr.Task):
    assert said(task) == []


def test_tokens_reversed_without_their_tags():
    task = tagging(lambda k, b: b._replace(inputs=b.inputs[:, ::-1]))
    assert said(task) == broken("reversal, targets kept")


def test_a_foreign_trainer_may_augment_with_numpy():
    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        return batch._replace(inputs=np.asarray(batch.inputs)[:, ::-1].copy())

    task = programs.foreign(written(None)).replace(augment=augment)
    assert said(task) == broken("half turn, targets kept")


def test_without_augmentation_it_is_skipped():
    (finding,) = check_augmentation_aligned(Context(programs.classify(0)))
    assert finding.verdict is Verdict.SKIPPED


# --- judging numbers alone ---------------------------------------------------------------------


def coordinates(**changes: object) -> Coordinates:
    base: dict = {
        "turn": "horizontal flip", "column": 0, "examples": 100, "before": 0.9, "after": -0.8,
        "gap": 9.0, "explained": "it should have been mirrored", "kept": True,
    }  # fmt: skip
    return Coordinates(**{**base, **changes})


def conversion(**changes: object) -> Conversion:
    base: dict = {
        "turn": "half turn", "examples": 100, "before": 0.0, "after": 0.5, "stderr": 0.05,
        "right_before": 0.9, "right_after": 0.8, "right_stderr": 0.05, "lost": 0.1,
    }  # fmt: skip
    return Conversion(**{**base, **changes})


def test_judges():
    assert judge_exchange(exchanged=50, kept=50, examples=100)
    assert not judge_exchange(exchanged=50, kept=5, examples=100)
    assert not judge_exchange(exchanged=2, kept=2, examples=100)
    assert judge_mixture(mixed=50, kept=50, share=0.4, examples=100)
    assert not judge_mixture(mixed=50, kept=0, share=0.4, examples=100)
    alone = {"changed": 20, "untouched": 100, "where": "targets"}
    assert judge_targets_alone(**alone, label_noise=None)
    assert not judge_targets_alone(**alone, label_noise=0.2)
    assert judge_spatial(Spatial(50, 50, 0, "shift"), where="targets")
    assert not judge_spatial(Spatial(100, 2, 0, "shift"), where="targets")
    assert judge_coordinates(coordinates(), where="targets")
    assert not judge_coordinates(coordinates(explained=""), where="targets")
    assert not judge_coordinates(coordinates(gap=2.0), where="targets")
    assert not judge_coordinates(coordinates(before=0.3), where="targets")
    assert judge_conversion(conversion(), where="targets")
    assert not judge_conversion(conversion(after=0.05), where="targets")
    assert judge_conversion(conversion(after=0.0, right_after=0.3), where="targets")
    shifted = conversion(after=0.0, right_after=0.3, turn="shift")
    assert not judge_conversion(shifted, where="targets")


@pytest.mark.parametrize("follow", [False, True])
def test_signals_played_backwards(follow):
    rng, t = np.random.default_rng(0), np.linspace(0.0, 1.0, 24)
    y = rng.integers(0, 2, 900)
    rate = np.where(y[:, None] == 1, 1 + 5 * t, 6 - 5 * t)  # a rising or a falling tone
    phase = rng.uniform(0, 2 * np.pi, (900, 1))
    x = np.sin(rate.cumsum(axis=1) * 0.3 + phase) + 0.05 * rng.normal(size=(900, 24))
    x, y = x[..., None].astype(np.float32), y.astype(np.int32)

    def backwards(key: Any, batch: jr.Batch) -> jr.Batch:
        chosen = jax.random.bernoulli(key, 0.5, (len(batch.inputs),))
        inputs = jnp.where(chosen[:, None, None], batch.inputs[:, ::-1], batch.inputs)
        targets = jnp.where(chosen, 1 - batch.targets, batch.targets) if follow else batch.targets
        return batch._replace(inputs=inputs, targets=targets)

    task = programs.classify(
        0, data=((x[:700], y[:700]), (x[700:], y[700:])), model=programs.Net(2), augment=backwards
    )
    assert said(task) == ([] if follow else broken("reversal, targets kept"))
