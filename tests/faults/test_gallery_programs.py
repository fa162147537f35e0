"""The programs of the gallery are what they say: bases learn, and a fault breaks its property."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gallery import faults_data, faults_init, faults_loss, faults_model, faults_optimizer
from gallery.bases import BASES
from gallery.bases_digits import digits, digits_cnn, digits_mlp, trunk_weights
from gallery.bases_loops import digits_loop, finetune_loop, regression_loop
from gallery.bases_sequences import char_lm, sentences, tagger
from gallery.bases_tables import regression, tabular_imbalanced
from gallery.faults import FAULTS
from gallery.program import CONFIRMING, STRENGTHS, TUNING, Strength
from gallery.real import REAL

import jrecipe as jr
from jrecipe.checks.context import Context
from jrecipe.checks.registry import run_checks, select
from jrecipe.checks.result import CAUSES, COMPONENTS

pytestmark = pytest.mark.thin(14)

BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(autouse=True)
def silent_broadcasting() -> Any:
    """Some faults broadcast silently, as JAX does unless it is told not to."""
    with jax.numpy_rank_promotion("allow"):
        yield


def split(task: jr.Task, name: str = "train") -> Any:
    source = task.splits[name]
    return source.take(np.arange(len(source)))


def build(name: str, strength: Strength, seed: int = 0) -> jr.Task:
    return BY_NAME[name].build(seed, strength)


def batch_of(task: jr.Task, n: int = 16, skip: int = 0) -> jr.Batch:
    rows = np.arange(skip, skip + n)
    return jr.Batch(*jax.tree.map(jnp.asarray, task.train.take(rows)), jnp.ones(n))


def outputs_of(task: jr.Task, inputs: Any) -> Any:
    params, state = jax.jit(task.model.init)(jax.random.key(1), inputs)
    return np.asarray(jax.jit(lambda p, s, x: task.model.apply(p, s, x)[0])(params, state, inputs))


def moved(task: jr.Task, steps: int = 2) -> tuple[Any, Any, Any]:
    """Returns (parameters before, after, metrics of the last step)."""
    trainer = jr.train.trainer_of(task)
    state = trainer.init(jax.random.key(0))
    before = jax.tree.map(np.array, trainer.params(state))
    metrics = None
    for i in range(steps):
        state, metrics = trainer.step(state, batch_of(task, 16, 16 * i), jax.random.key(i))
    return before, jax.tree.map(np.array, trainer.params(state)), metrics


# --- the list ----------------------------------------------------------------------------------


def test_names_are_unique_and_codes_are_known() -> None:
    assert len(BY_NAME) == len(FAULTS)
    for fault in FAULTS:
        assert fault.family in TUNING + CONFIRMING, fault.name
        assert set(fault.causes) <= set(CAUSES), fault.name
        assert set(fault.components) <= set(COMPONENTS), fault.name
        assert fault.causes, fault.name
        assert fault.components, fault.name
        assert fault.property, fault.name


def test_there_are_enough_of_every_family_and_kind() -> None:
    families = Counter(fault.family for fault in FAULTS)
    assert len(FAULTS) >= 80
    assert min(families[family] for family in TUNING + CONFIRMING) >= 10
    assert families["step"] >= 14
    assert len({fault.name.split("/")[0] for fault in FAULTS} & set(BASES)) == len(BASES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("family", TUNING + CONFIRMING)
def test_every_program_builds(family: str) -> None:
    for fault in FAULTS:
        if fault.family == family:
            for task in (fault.twin(1), *(fault.build(1, strength) for strength in STRENGTHS)):
                assert len(task.train) <= 640, fault.name


@pytest.mark.exhaustive
def test_data_faults_change_the_data_or_the_augmentation_at_both_strengths() -> None:
    def data(task: jr.Task) -> list[np.ndarray]:
        return [x for name in task.splits for x in jax.tree.leaves(split(task, name))]

    def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
        pairs = zip(a, b, strict=True)
        return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)

    for fault in faults_data.FAULTS:
        twin = fault.twin(0)
        built = [fault.build(0, strength) for strength in STRENGTHS]
        if any(task.augment is not twin.augment for task in built):
            continue  # functions cannot be compared; two are looked at below
        strong, weak = (data(task) for task in built)
        assert not equal(strong, data(twin)), fault.name
        assert not equal(weak, data(twin)), fault.name
        assert not equal(strong, weak), fault.name


def test_building_twice_gives_the_same_and_does_not_write_into_what_is_shared() -> None:
    before = split(digits_mlp(3))[0]
    for name in ("digits_mlp/same-picture", "digits_mlp/random-labels"):
        first, second = split(build(name, "strong", 3)), split(build(name, "strong", 3))
        assert jax.tree.all(jax.tree.map(np.array_equal, first, second))
    np.testing.assert_array_equal(split(digits_mlp(3))[0], before)
    assert not np.array_equal(split(digits_mlp(4))[0], before)


# --- properties, by a few lines of their own ---------------------------------------------------


@pytest.mark.parametrize("strength", STRENGTHS)
def test_share_of_changed_labels(strength: Strength) -> None:
    changed = np.mean(split(build("digits_mlp/random-labels", strength))[1] != digits(0)[0][1])
    assert (0.3 < changed < 0.42) if strength == "strong" else (0.1 < changed < 0.16)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_validation_rows_in_training(strength: Strength) -> None:
    task = build("tabular_imbalanced/val-in-train", strength)
    train = {row.tobytes() for row in split(task)[0]}
    shared = np.mean([row.tobytes() in train for row in split(task, "val")[0]])
    assert shared == pytest.approx(1.0 if strength == "strong" else 0.15)
    twin = tabular_imbalanced(0)
    train = {row.tobytes() for row in split(twin)[0]}
    assert not any(row.tobytes() in train for row in split(twin, "val")[0])


def test_masks_stay_where_pictures_are_mirrored() -> None:
    def agreement(task: jr.Task) -> float:
        batch = task.augment(jax.random.key(0), batch_of(task, 64))
        bright = np.asarray(batch.inputs)[..., 0]
        masks = np.asarray(batch.targets) > 0
        return float(bright[masks].mean() - bright[~masks].mean())

    right = agreement(BY_NAME["segmentation/masks-stay"].twin(0))
    assert agreement(build("segmentation/masks-stay", "strong")) < 0.8 * right
    assert agreement(build("segmentation/masks-stay", "weak")) < right


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize(
    "name", ["digits_mlp/softmax-over-batch", "digits_cnn/reshape-for-transpose"]
)
def test_examples_mix(name: str, strength: Strength) -> None:
    def others_change(task: jr.Task) -> bool:
        x = split(task)[0][:8].copy()
        first = outputs_of(task, x)
        x[0] += 1.0
        return not np.array_equal(first[1:], outputs_of(task, x)[1:])

    assert others_change(build(name, strength))
    assert not others_change(BY_NAME[name].twin(0))


@pytest.mark.exhaustive
def test_the_future_is_seen() -> None:
    def past_changes(task: jr.Task) -> bool:
        ids = split(task)[0][:4].copy()
        first = outputs_of(task, ids)
        ids[:, 9] = (ids[:, 9] + 1) % 27
        return not np.array_equal(first[:, :9], outputs_of(task, ids)[:, :9])

    assert past_changes(build("char_lm/causal-mask", "weak"))
    assert past_changes(build("char_lm/rolled-in-time", "weak"))
    assert not past_changes(char_lm(0))


@pytest.mark.exhaustive
def test_padding_is_read() -> None:
    def changes(task: jr.Task) -> bool:
        inputs = {k: v[:16].copy() for k, v in sentences(0)[0][0].items()}
        real = inputs["mask"] > 0
        first = outputs_of(task, inputs)
        inputs["ids"][~real] = 5
        return not np.array_equal(first[real], outputs_of(task, inputs)[real])

    assert all(changes(build("tagger/padding-read", strength)) for strength in STRENGTHS)
    assert not changes(tagger(0))


@pytest.mark.exhaustive
def test_no_parameter_of_the_cut_layer_gets_a_gradient() -> None:
    def gradient(task: jr.Task) -> Any:
        batch = batch_of(task)
        params, state = jax.jit(task.model.init)(jax.random.key(0), batch.inputs)

        def loss(params: Any) -> Any:
            return task.loss(task.model.apply(params, state, batch.inputs)[0], batch.targets).mean()

        return jax.jit(jax.grad(loss))(params)["Dense_0"]["kernel"]

    assert not any(np.any(gradient(build("digits_mlp/gradient-cut", s))) for s in STRENGTHS)
    assert np.any(gradient(digits_mlp(0)))


def test_pretrained_weights_are_given_and_not_loaded() -> None:
    def trunk(task: jr.Task, key: int) -> Any:
        return jax.jit(task.model.init)(jax.random.key(key), split(task)[0][:2])[0]["trunk"]

    given = trunk_weights()
    for strength, layers in (("strong", ("Dense_0", "Dense_1")), ("weak", ("Dense_1",))):
        task = build("finetune/not-loaded", strength)
        for layer in ("Dense_0", "Dense_1"):
            same = np.array_equal(trunk(task, 0)[layer]["kernel"], given[layer]["kernel"])
            assert same == (layer not in layers)
    twin = trunk(BY_NAME["finetune/not-loaded"].twin(0), 1)
    assert jax.tree.all(jax.tree.map(np.array_equal, twin, given))


@pytest.mark.exhaustive
@pytest.mark.parametrize("strength", STRENGTHS)
def test_losses_of_a_batch_depend_on_it(strength: Strength) -> None:
    for name in ("digits_mlp/sum-over-batch", "regression/column-against-row"):
        for task, mixes in ((build(name, strength), True), (BY_NAME[name].twin(0), False)):
            targets = split(task)[1][:6]
            shape = (6, 10) if name.startswith("digits") else (6, 1)
            outputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            whole = np.asarray(task.loss(jnp.asarray(outputs), jnp.asarray(targets)))
            half = np.asarray(task.loss(jnp.asarray(outputs[:3]), jnp.asarray(targets[:3])))
            assert np.allclose(whole[:3], half, rtol=1e-5) != mixes


@pytest.mark.parametrize("fault", [f for f in faults_loss.FAULTS if "metric-wrong" in f.causes])
def test_perfect_predictions_do_not_score_best(fault: Any) -> None:
    def scores(task: jr.Task) -> tuple[Any, float]:
        y = split(task)[1][:64]
        if task.name == "segmentation":
            perfect, best = 20.0 * y - 10.0, 1.0
        elif task.name == "regression":
            perfect, best = y, 0.0
        else:
            perfect, best = 10.0 * np.eye(10 if task.name == "digits_mlp" else 4)[y], 1.0
        value, weight = jr.losses.weighted(task.metric, jnp.asarray(perfect), jnp.asarray(y))
        return float(jr.losses.weighted_mean(value, weight)), best

    twin, best = scores(fault.twin(0))
    assert twin == pytest.approx(best, abs=1e-6)
    if fault.name != "regression/error-as-metric":
        for strength in STRENGTHS:
            assert scores(fault.build(0, strength))[0] < best - 0.01


def test_optimisers_leave_leaves_out() -> None:
    params = {
        "first": {"kernel": np.ones((2, 2)), "bias": np.ones(2)},
        "head": {"bias": np.ones(1)},
    }
    for strength, expected in (("strong", [False, False, True]), ("weak", [False, True, True])):
        tx = build("regression/mask-inverted", strength).optimizer
        updates, _ = tx.update(jax.tree.map(np.ones_like, params), tx.init(params), params)
        assert [bool(np.any(leaf)) for leaf in jax.tree.leaves(updates)] == expected


def test_gradients_are_never_reset() -> None:
    def after_zeros(tx: Any) -> float:
        params = {"w": np.ones(3, np.float32)}
        state = tx.init(params)
        _, state = tx.update({"w": np.ones(3, np.float32)}, state, params)
        updates, _ = tx.update({"w": np.zeros(3, np.float32)}, state, params)
        return float(np.abs(updates["w"]).sum())

    for strength in STRENGTHS:
        assert after_zeros(build("regression/never-reset", strength).optimizer) > 0
    assert after_zeros(faults_optimizer.sgd_regression(0).optimizer) == 0


def test_schedules_end_within_a_few_epochs() -> None:
    def late_update(task: jr.Task, step: int) -> float:
        tx, params = task.optimizer, {"w": jnp.ones(())}
        state = tx.init(params)
        update = jax.jit(lambda state: tx.update(params, state, params))
        for _ in range(step):
            updates, state = update(state)
        return float(abs(updates["w"]))

    for strength in STRENGTHS:
        task = build("tabular_imbalanced/epochs-for-steps", strength)
        assert late_update(task, 100) < 1e-4 * late_update(task, 1)
    twin = faults_optimizer.falling_tabular(0)
    assert late_update(twin, 100) > 0.5 * late_update(twin, 1)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_steps_of_the_users_own_break_what_they_say() -> None:
    """One compiled step each; the repaired loops do none of this."""
    before, after, _ = moved(build("digits_loop/leaf-missing", "weak"))
    np.testing.assert_array_equal(before["Dense_1"]["bias"], after["Dense_1"]["bias"])
    before, after, _ = moved(build("finetune_loop/frozen-moves", "weak"))
    assert not np.array_equal(*(p["trunk"]["Dense_1"]["bias"] for p in (before, after)))
    before, after, _ = moved(build("digits_loop/update-discarded", "strong"))
    assert jax.tree.all(jax.tree.map(np.array_equal, before, after))

    before, healthy, metrics = moved(digits_loop(0))
    assert not any(jax.tree.leaves(jax.tree.map(np.array_equal, before, healthy)))
    before, after, _ = moved(finetune_loop(0))
    assert jax.tree.all(jax.tree.map(np.array_equal, before["trunk"], after["trunk"]))
    for strength, factor in (("strong", 32.0), ("weak", 0.5)):
        wrong = moved(build("digits_loop/loss-reported-wrong", strength))[2]
        assert float(wrong["loss"]) == pytest.approx(factor * float(metrics["loss"]), rel=1e-4)


@pytest.mark.exhaustive
def test_batches_that_are_ignored() -> None:
    def sees_second(task: jr.Task) -> bool:
        trainer, ends = task.trainer, []
        for skip in (16, 32):
            state = trainer.init(jax.random.key(0))
            state, _ = trainer.step(state, batch_of(task), jax.random.key(0))
            state, _ = trainer.step(state, batch_of(task, 16, skip), jax.random.key(1))
            ends.append(np.array(trainer.params(state)["head"]["kernel"]))
        return not np.array_equal(*ends)

    assert sees_second(regression_loop(0))
    for strength in STRENGTHS:
        assert not sees_second(build("regression_loop/same-batch", strength))


def test_a_velocity_that_outlives_its_run() -> None:
    def second_run_differs(task: jr.Task) -> bool:
        runs = [moved(task)[1] for _ in range(2)]
        return not jax.tree.all(jax.tree.map(np.array_equal, *runs))

    assert not second_run_differs(regression_loop(0))
    for strength in STRENGTHS:
        assert second_run_differs(build("regression_loop/velocity-outlives-run", strength))


@pytest.mark.exhaustive
def test_evaluation_that_is_not_repeatable() -> None:
    task = build("digits_cnn/dropout-in-evaluation", "weak")
    x = split(task)[0][:32]
    params, state = jax.jit(task.model.init)(jax.random.key(0), x)
    run = jax.jit(lambda key: task.model.apply(params, state, x, key=key)[0])
    assert not np.array_equal(run(jax.random.key(0)), run(jax.random.key(1)))
    twin = digits_cnn(0)
    run = jax.jit(lambda key: twin.model.apply(params, state, x, key=key)[0])
    assert np.array_equal(run(jax.random.key(0)), run(jax.random.key(1)))


def test_inits_are_flat() -> None:
    for strength in STRENGTHS:
        task = build("tabular_imbalanced/flat-hidden", strength)
        w = np.asarray(task.model.init(jax.random.key(0), jnp.zeros((2, 10)))[0]["hidden"]["w"])
        assert np.ptp(w, axis=1).max() == 0.0
    assert len(faults_init.FAULTS) + len(faults_model.FAULTS) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7])
@pytest.mark.parametrize("name", sorted(BASES))
def test_bases_learn(name: str, seed: int) -> None:
    task = BASES[name](seed)
    fit = jr.fit(task, steps=300, seed=seed)
    score, targets = fit.evaluate("val"), split(task, "val")[1]
    if isinstance(task.loss, jr.losses.Loss):
        outputs = fit.predict(split(task, "val")[0])
        assert score.loss < 0.9 * task.loss.uninformed(targets, outputs.shape[1:])
    else:
        assert score.loss < 0.2  # the prior of a pixel costs .36 nats


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_rate_that_only_learns_frequencies_is_too_low() -> None:
    """The published program falls from its start as far as blank inputs do, and no further."""
    program = {fault.name: fault for fault in REAL}["real/so_50306988"]
    (found,) = run_checks(Context(program.build(112, "strong"), 112), select(["B11"]))
    assert [suspect.cause for suspect in found.suspects] == ["learning-rate-too-low"]
    (repaired,) = run_checks(Context(program.twin(112), 112), select(["B11"]))
    assert repaired.ok


def test_regression_is_standardised() -> None:
    targets = np.concatenate([split(regression(5), name)[1] for name in ("train", "val")])
    assert abs(targets.mean()) < 1e-3
    assert targets.std() == pytest.approx(1.0, abs=1e-3)
