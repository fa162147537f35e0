"""A1: near copies across splits and within training; dense data left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import skeleton_programs as programs

from jrecipe.checks.context import Context
from jrecipe.checks.near_duplicates import (
    Nearness,
    check_near_duplicates,
    directions,
    judge_copies,
    judge_leak,
    jumps,
    natural_share,
)
from jrecipe.checks.result import Verdict

pytestmark = pytest.mark.thin(4)


def alarms(task):
    """Cause and place of every alarm."""
    findings = check_near_duplicates(Context(task))
    return [(f.suspects[0].cause, f.suspects[0].where) for f in findings if f.suspects]


def noisy(x, rng):
    return x + 0.03 * rng.normal(size=x.shape)


def moved(x, rng):
    return np.roll(x.reshape(-1, 8, 8), 1, axis=1).reshape(-1, 64)


def mirrored(x, rng):
    return x.reshape(-1, 8, 8)[:, :, ::-1].reshape(-1, 64)


@pytest.mark.parametrize(
    "change", [noisy, moved, mirrored, lambda x, rng: 1.2 * x, lambda x, rng: x + 0.4],
    ids=["noisy", "moved", "mirrored", "scaled", "brighter"],
)  # fmt: skip
def test_changed_training_rows_in_validation_are_named(change):
    (x, y), (vx, vy) = programs.digits(0)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(len(vx))[:12])
    vx[rows], vy[rows] = change(x[40:52], rng), y[40:52]
    ((cause, where),) = alarms(programs.classify(0, data=((x, y), (vx, vy))))
    assert cause == "split-leakage"
    assert where.startswith(f"val rows {', '.join(map(str, rows[:3]))}")
    assert "= train rows 40, 41, 42" in where


def test_a_few_near_copies_in_a_table_are_found():
    (x, y), (vx, vy) = programs.numbers(0)
    vx[:6], vy[:6] = x[:6] + 0.005, y[:6]
    ((cause, where),) = alarms(programs.regress(0, data=((x, y), (vx, vy))))
    assert (cause, where[:14]) == ("split-leakage", "val rows 0, 1,")


def test_augmenting_before_the_split_is_found():
    (x, y), (vx, vy) = programs.digits(0)
    rng = np.random.default_rng(0)
    x, y = np.concatenate([x, vx]), np.concatenate([y, vy])
    x, y = np.concatenate([x, noisy(x, rng)]).astype(np.float32), np.concatenate([y, y])
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    found = alarms(programs.classify(0, data=((x[:640], y[:640]), (x[640:], y[640:]))))
    assert found[0][0] == "split-leakage"


def test_sixty_rows_repeated_with_noise_are_found():
    (x, y), val = programs.digits(0)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 60, len(x))
    ((cause, where),) = alarms(
        programs.classify(0, data=((noisy(x[rows], rng).astype(np.float32), y[rows]), val))
    )
    assert cause == "duplicated-rows"
    assert where.startswith("train rows")


def test_exact_copies_are_left_to_their_own_check():
    (x, y), (vx, vy) = programs.digits(0)
    vx[:20], vy[:20] = x[:20], y[:20]
    assert alarms(programs.classify(0, data=((x, y), (vx, vy)))) == []


def dense(kind, seed=0):
    """Healthy inputs that lie close to each other."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=500))[np.arange(480)[:, None] + np.arange(16)]
    grid = np.stack(np.meshgrid(np.arange(22.0), np.arange(22.0)), -1).reshape(-1, 2)[:480]
    latent = rng.normal(size=(480, 2))
    x = {
        "line": lambda: np.linspace(-1, 1, 480)[:, None],
        "grid": lambda: grid,
        "plane": lambda: latent @ rng.normal(size=(2, 12)),
        "binary": lambda: (rng.random((480, 8)) < 0.5) * 1.0,
        "windows": lambda: walk,
        "heavy-tails": lambda: np.exp(2 * rng.normal(size=(480, 6))),
        "whole-numbers": lambda: np.round(2 * rng.normal(size=(480, 6))),
    }[kind]()
    order = np.arange(480) if kind == "windows" else rng.permutation(480)
    x = x[order].astype(np.float32)
    return programs.regress(seed, data=((x[:320], x[:320, :1]), (x[320:], x[320:, :1])))


@pytest.mark.parametrize(
    "kind", ["line", "grid", "plane", "binary", "windows", "heavy-tails", "whole-numbers"]
)
def test_dense_data_stay_silent(kind):
    assert alarms(dense(kind)) == []


@pytest.mark.parametrize(
    "name", ["classify", "tokens-padded", "imbalanced-declared", "tiny-data", "dict-inputs"]
)
def test_healthy_programs_stay_silent(name):
    assert alarms(programs.HEALTHY[name](0)) == []


def test_ordered_data_are_not_judged():
    findings = check_near_duplicates(Context(dense("windows").replace(ordered_data=True)))
    assert [f.verdict for f in findings] == [Verdict.SKIPPED]


FOUND = Nearness(
    way="as they are",
    ratio=0.1,
    hits=8,
    rows=160,
    train_hits=0,
    train_rows=320,
    natural=1e-6,
    cautious=1e-3,
    which=np.arange(8),
    copies=np.arange(8),
)


def test_judge_of_leaks():
    judge = lambda **c: judge_leak(  # noqa: E731
        "val", dataclasses.replace(FOUND, **c), ways=1, dense=False
    )
    assert judge().verdict is Verdict.FAILED
    assert judge(hits=2) is None
    few = dataclasses.replace(FOUND, hits=4, rows=200, train_rows=400, cautious=0.0)
    assert judge_leak("val", few, ways=1, dense=False) is not None
    assert judge_leak("val", few, ways=1, dense=False, ids=True) is None  # tokens of short texts
    assert judge(train_hits=16) is None
    assert judge(natural=0.06, cautious=0.2) is None
    assert judge(hits=60, train_hits=130) is not None  # everywhere: the split came last
    assert judge_leak("val", dataclasses.replace(FOUND, hits=60, train_hits=130), ways=1, dense=True) is None  # fmt: skip  # noqa: E501


def test_judge_of_copies_in_training():
    many = dataclasses.replace(FOUND, hits=200, rows=320)
    assert judge_copies(many).suspects[0].cause == "duplicated-rows"
    assert judge_copies(dataclasses.replace(many, hits=40)) is None
    assert judge_copies(dataclasses.replace(many, natural=0.3)) is None


def test_the_jump_comes_after_the_last_copy():
    distance = np.array([[0.1, 0.1, 5.0, 6.0], [4.0, 5.0, 5.5, 6.0]])
    np.testing.assert_allclose(jumps(distance), [0.02, 0.8], rtol=1e-3)


@pytest.mark.parametrize("d", [1, 3, 8])
def test_directions_are_counted(d):
    from jrecipe.checks.neighbours import nearest

    x = np.random.default_rng(0).random((1500, d))
    found = directions(nearest(x, x, 12, same=True)[1])
    assert 0.6 * d <= found <= 1.6 * d
    assert natural_share(0.1, found) <= 10 ** (-0.5 * d)
