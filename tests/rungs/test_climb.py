"""A ladder keeps what helps, drops what does not, and goes on where it was stopped."""

from __future__ import annotations

import json

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import Remote, pictures, small

import jrecipe as jr
from jrecipe.rungs import Rung, Scores, train_rung
from jrecipe.train import seeds as arms

STEPS = 40
FASTER = Rung(name="faster", change=lambda task: task.replace(optimizer=optax.adam(2e-2)))
BLIND = Rung(
    name="blind",
    change=lambda task: task.replace(augment=lambda key, b: b._replace(inputs=0 * b.inputs)),
)
SLOWER = Rung(name="slower", change=lambda task: task.replace(optimizer=optax.adam(1e-5)))


def base() -> jr.Task:
    return small(optimizer=optax.adam(3e-3), batch_size=20)


@pytest.fixture(scope="module")
def climbed() -> jr.rungs.Ladder:
    said: list[str] = []
    found = jr.ladder(base(), [BLIND, FASTER, SLOWER], steps=STEPS, progress=said.append)
    assert [line.partition(":")[0] for line in said] == ["baseline", "blind", "faster", "slower"]
    return found


@pytest.mark.exhaustive
def test_what_helps_is_kept_and_what_harms_is_not(climbed):
    assert [step.over_below.verdict for step in climbed.steps[1:]] == ["drops", "keeps", "drops"]
    assert [step.kept for step in climbed.steps] == [True, False, True, False]
    assert [step.changed for step in climbed.steps[1:]] == [
        ("augment",),
        ("optimizer",),
        ("optimizer",),
    ]
    assert climbed.task.augment is None
    below, best, last = climbed.steps[0].scores, climbed.steps[2].scores, climbed.steps[3]
    assert climbed.steps[2].over_below.gain == pytest.approx(
        (best.val_mean - below.val_mean).mean()
    )
    assert last.over_below.gain == pytest.approx((last.scores.val_mean - best.val_mean).mean())
    assert last.over_base.gain == pytest.approx((last.scores.val_mean - below.val_mean).mean())


@pytest.mark.exhaustive
@pytest.mark.slow
def test_scores_are_those_of_fit(climbed):
    for step in (climbed.steps[0], climbed.steps[2]):
        task = base() if step.name == "baseline" else FASTER.change(base())
        for i, seed in enumerate(step.scores.seeds):
            run = jr.fit(task, STEPS, seed=seed, eval_every=STEPS, progress=False)
            val = run.evaluate(best=False)
            np.testing.assert_array_equal(step.scores.val[i], val.metric_values)
            assert step.scores.val_loss[i] == pytest.approx(val.loss, rel=1e-4)
            train = run.evaluate("train", best=False)
            assert step.scores.train[i] == pytest.approx(train.metric)
            assert step.scores.gap[i] == pytest.approx(train.metric - val.metric)


@pytest.mark.exhaustive
def test_it_can_be_read(climbed):
    lines = climbed.markdown().splitlines()
    assert len(lines) == 2 + len(climbed.steps)
    assert lines[0].startswith("| rung | train | validation | gap |")
    plain = json.loads(json.dumps(climbed.to_json()))
    assert [rung["name"] for rung in plain["rungs"]] == ["baseline", "blind", "faster", "slower"]
    assert plain["rungs"][0]["over_below"] is None
    bars = climbed.figure()
    assert [*bars.values] == [rung["name"] for rung in plain["rungs"]]
    for name, (low, high) in bars.intervals.items():
        assert low <= bars.values[name] <= high


@pytest.mark.exhaustive
def test_a_ladder_resumes_and_does_not_train_again(tmp_path, climbed, monkeypatch):
    jr.ladder(base(), [BLIND], steps=STEPS, out=tmp_path, progress=None)
    with pytest.raises(jr.TaskError, match="another ladder"):
        jr.ladder(base(), [BLIND], steps=STEPS, out=tmp_path, progress=None)
    trained: list[str] = []

    def counted(task: jr.Task, rung: Rung, *args: object) -> Scores:
        trained.append(rung.name)
        return train_rung(task, rung, *args)

    monkeypatch.setattr("jrecipe.rungs.climb.train_rung", counted)
    again = jr.ladder(
        base(), [BLIND, FASTER], steps=STEPS, out=tmp_path, resume=True, progress=None
    )
    assert trained == ["faster"]
    for got, want in zip(again.steps, climbed.steps, strict=False):
        assert got.over_below == want.over_below
        np.testing.assert_array_equal(got.scores.val, want.scores.val)
    assert json.loads((tmp_path / "ladder.json").read_text())["rungs"][2]["kept"] is True
    with pytest.raises(jr.TaskError, match="holds another rung"):
        jr.ladder(base(), [BLIND], steps=STEPS + 1, out=tmp_path, resume=True, progress=None)
    (tmp_path / "rung-1.npz").write_bytes(b"torn")
    with pytest.raises(jr.TaskError, match="cannot be read"):
        jr.ladder(base(), [BLIND], steps=STEPS, out=tmp_path, resume=True, progress=None)


@pytest.mark.slow
def test_what_changes_nothing_in_effect_is_undecided_and_not_kept():
    idle = Rung(name="idle", change=lambda task: task.replace(label_noise=0.1))
    found = jr.ladder(base(), [idle], steps=4, seeds=2, progress=None)
    assert found.steps[1].over_below == jr.rungs.Difference(0.0, 0.0, 0.0, "undecided")
    assert not found.steps[1].kept
    assert found.task.label_noise is None


@pytest.mark.exhaustive
def test_all_are_built_upon_where_that_is_asked():
    longer = [Rung(name=name, steps=2) for name in ("longer", "longer still")]
    found = jr.ladder(base(), [BLIND, *longer], steps=2, seeds=1, keep="all", progress=None)
    assert [step.kept for step in found.steps] == [True] * 4
    assert [step.scores.steps for step in found.steps] == [2, 2, 4, 8]
    assert found.task.augment is not None


@pytest.mark.exhaustive
def test_early_stopping_takes_the_best_of_the_way():
    task = small(optimizer=optax.adam(0.5), batch_size=20)
    end, best = (
        train_rung(task, Rung(name="one", early_stopping=stop), STEPS, (0, 1))
        for stop in (False, True)
    )
    assert (best.val_loss < end.val_loss).all()
    for i, seed in enumerate((0, 1)):
        run = jr.fit(task, STEPS, seed=seed, eval_every=STEPS // 10, progress=False)
        assert best.val_loss[i] == pytest.approx(min(run.history["val_loss"][1:]), rel=1e-3)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_streamed_data_and_arms_score_alike():
    rung = Rung(name="one", early_stopping=True)
    held = train_rung(base(), rung, 20, (0,))
    streamed = train_rung(base().replace(train=Remote(*pictures(60, 1))), rung, 20, (0,))
    want = train_rung(base().replace(train=pictures(60, 1)), rung, 20, (0,))
    np.testing.assert_allclose(streamed.val_loss, want.val_loss, rtol=1e-4)
    assert held.val.shape == streamed.val.shape


class Mean(nn.Module):
    """A network with a mean over the picture, for pictures of any size."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.relu(nn.Conv(4, (3, 3))(x)).mean(axis=(1, 2)))


def stripes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures of wide stripes, upright or lying."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    wave = np.where((np.arange(8) // 2 + rng.integers(0, 2, (n, 1))) % 2, 1.0, -1.0)
    x = np.where(y[:, None, None], wave[:, None, :], wave[:, :, None]) * np.ones((n, 8, 8))
    return x[..., None].astype(np.float32), y.astype(np.int32)


def seen() -> jr.Task:
    return jr.Task(
        model=Mean(),
        loss=jr.losses.softmax_cross_entropy(),
        train=stripes(64, 0),
        val=stripes(40, 1),
        optimizer=optax.adam(1e-2),
        batch_size=16,
    )


@pytest.mark.exhaustive
def test_small_pictures_first_go_on_with_the_same_weights():
    task, rung = seen(), jr.rungs.progressive(4, share=0.5)
    got = train_rung(task, rung, 8, (3,))
    small_pictures = jr.rungs.pictures_of(4).change(task)
    assert small_pictures.train.take(np.arange(2))[0].shape == (2, 4, 4, 1)
    first, then = arms.Arms(small_pictures), arms.Arms(task)
    rows = lambda start: jr.data.batch_rows(64, 16, 3, start, 4)[None]  # noqa: E731
    states, _ = first.advance(first.start((3,)), rows(0))
    states, _ = then.advance(states, rows(4))
    assert got.val_loss == pytest.approx(then.val_loss(states), rel=1e-5)
    assert got.val_loss != pytest.approx(train_rung(task, Rung(name="all"), 8, (3,)).val_loss)


@pytest.mark.exhaustive
def test_a_first_task_with_other_weights_is_refused():
    task = seen().replace(model=jr.models.MLP(2))
    with pytest.raises(jr.TaskError, match="other parameters"):
        train_rung(task, jr.rungs.progressive(4), 4, (0,))


def test_shrinking_averages_and_keeps_the_dtype():
    x, y = stripes(8, 0)
    task = seen().replace(train=(np.uint8(100 * (x > 0)), y), val=stripes(8, 1), batch_size=4)
    small_pictures = jr.rungs.pictures_of(4).change(task).train.take(np.arange(8))[0]
    assert small_pictures.dtype == np.uint8
    np.testing.assert_array_equal(small_pictures.mean(), (100 * (x > 0)).mean())
    board = np.tile(200.0 * (np.indices((8, 8)).sum(axis=0) % 2)[None, :, :, None], (8, 1, 1, 1))
    grey = jr.rungs.pictures_of(4).change(task.replace(train=(np.float32(board), y)))
    np.testing.assert_allclose(grey.train.take(np.arange(8))[0], 100, atol=30)  # not one of the two


def test_a_part_of_a_stream_is_a_stream_of_its_rows():
    x, y = pictures(60, 1)
    part = jr.rungs.data_share(0.5).change(base().replace(train=Remote(x, y))).train
    inputs, targets = part.take(np.array([29, 0, 7]))
    rows = np.linspace(0, 59, 30).astype(int)[[29, 0, 7]]
    np.testing.assert_array_equal(inputs, x[rows])
    np.testing.assert_array_equal(targets, y[rows])


def test_parts_of_the_data_are_spread_over_all():
    part = jr.rungs.data_share(0.25).change(base().replace(batch_size=5))
    n = len(base().train)
    assert len(part.train) == round(n / 4)
    np.testing.assert_array_equal(part.train.take([0])[0], base().train.take([0])[0])
    np.testing.assert_array_equal(
        part.train.take([len(part.train) - 1])[0], base().train.take([n - 1])[0]
    )


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    ("rung", "said"),
    [
        (Rung(name="nothing"), "changes nothing"),
        (
            Rung(name="two", change=lambda t: t.replace(batch_size=8, frozen=("a",))),
            "batch_size, frozen",
        ),
        (Rung(name="none", change=lambda t: None), "returned None"),
        (Rung(name="baseline", steps=2), "different names"),
    ],
)
def test_rungs_that_tell_nothing_are_refused(rung, said):
    with pytest.raises(jr.TaskError, match=said):
        jr.ladder(base(), [rung], steps=1, seeds=2, progress=None)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rung(name=""), "empty"),
        (lambda: Rung(name="a", steps=0), "multiple > 0"),
        (lambda: Rung(name="a", first_share=1.0), r"\(0, 1\)"),
        (lambda: jr.rungs.data_share(0.0), r"\(0, 1\]"),
        (lambda: jr.rungs.pictures_of(0), "pixels >= 1"),
        (lambda: jr.rungs.learning_curve(base(), (0.5, 1)), "three rising shares"),
        (lambda: jr.ladder(base(), [], seeds=(1, 1)), "seeds that differ"),
        (lambda: jr.ladder(base(), [], keep="some"), "'helpful' and 'all'"),
        (lambda: jr.ladder(base(), [], steps=0), "steps >= 1"),
        (lambda: jr.rungs.pictures_of(4).change(base()), r"\[n, h, w, c\]"),
    ],
)
def test_arguments_out_of_range_are_refused(make, said):
    with pytest.raises(jr.TaskError, match=said):
        make()


def test_a_power_law_is_found_and_predicts():
    rows = np.array([100, 200, 400, 800])
    law = 3.0 * rows**-0.5
    curve = jr.rungs.LearningCurve(rows=rows, loss=np.stack([law, law], axis=1))
    assert curve.law() == pytest.approx((3.0, 0.5))
    np.testing.assert_allclose(curve.predicted[2:], law[2:])
    assert np.isnan(curve.predicted[:2]).all()
    assert curve.doubled == pytest.approx(3.0 * 1600**-0.5)
    flat = jr.rungs.LearningCurve(rows=rows, loss=np.r_[law[:3], law[2]][:, None])
    assert flat.predicted[3] == pytest.approx(law[3])  # by those before it alone
    assert "1600" not in str(curve)
    assert "800 examples" in str(curve)


@pytest.mark.exhaustive
def test_a_learning_curve_of_real_runs_falls():
    curve = jr.rungs.learning_curve(base().replace(batch_size=5), (0.2, 0.5, 1), steps=30, seeds=2)
    assert curve.loss.shape == (3, 2)
    assert curve.loss[0].mean() > curve.loss[-1].mean()
    assert curve.figure().x.tolist() == curve.rows.tolist()
    assert jnp.isfinite(curve.doubled)
