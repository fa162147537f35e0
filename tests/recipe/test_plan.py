"""Plans: what is built for a data set, and that traced numbers build the same."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jrecipe as jr
from jrecipe.data import ArraySource
from jrecipe.data.splits import Splits
from jrecipe.recipe.dish import PlannedDish
from jrecipe.recipe.plan import (
    Plan,
    build_task,
    knobs_of,
    output_count,
    plan_from_json,
    suggest_plan,
    target_scale,
    turn_knobs,
)
from jrecipe.task import read
from jrecipe.train.reference import update_of
from jrecipe.train.state import create_state

pytestmark = pytest.mark.thin(3)

RNG = np.random.default_rng(0)


def splits_of(inputs, targets, kind, names=()):
    n = len(inputs)
    cut = [slice(0, n // 2), slice(n // 2, 3 * n // 4), slice(3 * n // 4, n)]
    parts = [ArraySource(inputs[c], targets[c]) for c in cut]
    return Splits("made", *parts, kind, tuple(names))


PICTURES = splits_of(
    RNG.normal(size=(64, 8, 8, 1)).astype("float32"),
    RNG.integers(0, 3, 64).astype("int32"),
    "classes",
    "abc",
)
NUMBERS = splits_of(
    RNG.normal(size=(80, 5)).astype("float32"),
    (1000 + 50 * RNG.normal(size=80)).astype("float32"),
    "number",
)
LABELS = splits_of(
    RNG.normal(size=(80, 5)).astype("float32"),
    RNG.integers(0, 2, (80, 4)).astype("float32"),
    "multilabel",
    "abcd",
)


def test_pictures_get_a_convnet_and_vectors_an_mlp():
    assert suggest_plan(PICTURES).network == "convnet"
    assert suggest_plan(NUMBERS).network == "mlp"
    assert suggest_plan(NUMBERS).batch_size <= len(NUMBERS.train)


@pytest.mark.parametrize(
    ("splits", "shape"), [(PICTURES, (4, 3)), (NUMBERS, (4,)), (LABELS, (4, 4))]
)
@pytest.mark.parametrize("network", ["linear", "mlp"])
def test_the_outputs_fit_the_targets_and_start_uninformed(splits, shape, network):
    task = build_task(splits, Plan(network=network, width=8, batch_size=8))
    inputs, targets = task.train.take(np.arange(4))
    params, state = task.model.init(jax.random.key(0), inputs)
    outputs, _ = task.model.apply(params, state, inputs)
    assert outputs.shape == shape
    assert task.loss(outputs, targets).shape == (4,)
    assert not np.any(outputs)  # a zero head


def test_number_targets_are_standardised_by_the_training_split():
    mean, std = target_scale(NUMBERS)
    task = build_task(NUMBERS, suggest_plan(NUMBERS))
    scaled = read(task.train)[1]
    assert abs(scaled.mean()) < 1e-4
    assert abs(scaled.std() - 1) < 1e-4
    np.testing.assert_allclose(scaled * std + mean, read(NUMBERS.train)[1], rtol=1e-4)
    assert target_scale(PICTURES) is None


def test_output_counts():
    assert [output_count(s) for s in (PICTURES, NUMBERS, LABELS)] == [3, 1, 4]


def test_a_plan_survives_json_and_refuses_fields_of_another_version():
    plan = Plan(network="convnet", width=7, flip=True)
    stored = json.loads(json.dumps(dataclasses.asdict(plan)))
    assert plan_from_json(stored) == plan
    with pytest.raises(jr.TaskError, match="wheels"):
        plan_from_json({**stored, "wheels": 4})


def test_an_unknown_network_is_refused_by_name():
    with pytest.raises(jr.TaskError, match=r"hero.*linear, mlp, convnet"):
        build_task(NUMBERS, Plan(network="hero"))


CHANGES = [
    {},
    {"weight_decay": 0.1},
    {"learning_rate": 1e-2, "decay_over": 5},
    {"dropout": 0.5},
    {"translate": 1},
    {"translate": 1, "flip": True, "dropout": 0.2, "weight_decay": 0.1, "decay_over": 3},
]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_traced_numbers_train_like_the_plan_itself(changes):
    """The law that lets rungs share one program: traced and written numbers mean the same.

    Draws differ in how they are made, so where something is drawn only its kind is compared.
    """
    plan = Plan(network="convnet", width=4, depth=1, batch_size=8).replace(**changes)
    base = build_task(PICTURES, plan.replace(**{name: getattr(Plan(), name) for name in changes}))
    fixed = build_task(PICTURES, plan)
    inputs, targets = PICTURES.train.take(np.arange(8))
    batch = jr.Batch(jnp.asarray(inputs), jnp.asarray(targets), jnp.ones(8))

    def run(task):
        state = create_state(task.model, task.optimizer, inputs, jax.random.key(1))
        for step in range(4):
            state, numbers = update_of(task)(state, batch, jax.random.key(step))
        return state.params, numbers["loss"]

    traced = jax.jit(lambda knobs: run(turn_knobs(base, plan, PICTURES, knobs)))(knobs_of(plan))
    written = jax.jit(lambda: run(fixed))()
    random = {"dropout", "translate", "flip"} & set(changes)
    for a, b in zip(jax.tree.leaves(traced), jax.tree.leaves(written), strict=True):
        if random:
            assert np.isfinite(a).all()
            assert a.shape == b.shape
        else:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


SERIES = splits_of(
    RNG.normal(size=(64, 5, 3)).astype("float32"), np.arange(64) % 3, "classes", "abc"
)
TOKENS = splits_of(RNG.integers(0, 9, (64, 5)), np.arange(64) % 3, "classes", "abc")


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("splits", "plan"),
    [
        (SERIES, Plan(network="gru", width=4, batch_size=8)),
        (TOKENS, Plan(network="gru", width=4, batch_size=8, vocabulary=9)),
        pytest.param(
            PICTURES,
            Plan(network="resnet18", width=2, head="gap", batch_size=8),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["series", "tokens", "resnet18"],
)
def test_every_network_trains_as_a_dish_whose_seeds_are_one_program(splits, plan):
    dish = PlannedDish(splits, plan)
    assert f"{plan.network}, width {plan.width}" in dish.size
    runs = dish.faster(3.0).train((0, 1), 2)
    assert np.isfinite(runs.val_loss).all()


def test_series_and_tokens_get_a_gru_with_its_vocabulary():
    assert (suggest_plan(SERIES).network, suggest_plan(SERIES).vocabulary) == ("gru", None)
    assert (suggest_plan(TOKENS).network, suggest_plan(TOKENS).vocabulary) == ("gru", 9)
