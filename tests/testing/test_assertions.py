"""The assertions for users' tests: each passes on a sound case and fails on a broken one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given

import jrecipe as jr
from jrecipe import testing
from jrecipe.testing import strategies


def init(key, inputs):
    return {"trunk": {"w": jax.random.normal(key, (8, 8))}, "head": {"w": jnp.zeros((8, 2))}}, {}


def apply(params, state, inputs, *, key=None, train=False):
    return jnp.tanh(inputs @ params["trunk"]["w"]) @ params["head"]["w"], state


def task(**changes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    base = {
        "model": jr.Model(init, apply),
        "loss": jr.losses.softmax_cross_entropy(),
        "train": (x[:40], y[:40]),
        "val": (x[40:], y[40:]),
        "optimizer": optax.adam(1e-2),
        "batch_size": 8,
    }
    return jr.Task(**{**base, **changes})


@given(strategies.seeds())
def test_isolation_of_functions(seed):
    x = np.random.default_rng(seed).normal(size=(8, 3)).astype(np.float32)
    testing.assert_examples_isolated(lambda x: jnp.tanh(x) * 2, x)
    with pytest.raises(AssertionError, match="56 pairs"):
        testing.assert_examples_isolated(lambda x: jax.nn.softmax(x, axis=0), x)
    one = lambda x: x.at[5].add(jax.lax.stop_gradient(jnp.sign(x[2])))  # noqa: E731
    broken = np.where(np.arange(8)[:, None] == 2, 1.0, x).astype(np.float32)
    with pytest.raises(AssertionError, match="example 2 changes the result of example 5"):
        testing.assert_examples_isolated(one, broken, -broken)


def test_causality_of_functions():
    x = np.arange(10.0, dtype=np.float32).reshape(1, 10)
    testing.assert_causal(lambda x: jnp.cumsum(x, 1), x)
    with pytest.raises(AssertionError, match="output 0 depends on inputs from 0"):
        testing.assert_causal(lambda x: jnp.cumsum(x, 1), x, strict=True)
    with pytest.raises(AssertionError, match="depends on inputs after"):
        testing.assert_causal(lambda x: x - x.mean(1, keepdims=True), x)
    with pytest.raises(jr.TaskError, match="causal_axis"):
        testing.assert_causal(task())


@pytest.mark.slow
def test_loss_at_init_and_isolation_of_a_task():
    testing.assert_loss_at_init(task())
    testing.assert_examples_isolated(task())
    mixed = lambda p, s, x, **o: apply(p, s, x - x.mean(0, keepdims=True), **o)  # noqa: E731
    with pytest.raises(AssertionError, match="batch-mixing"):
        testing.assert_examples_isolated(task(model=jr.Model(init, mixed)))
    loud = lambda p, s, x, **o: (100 * jnp.tanh(x @ p["trunk"]["w"])[:, :2], s)  # noqa: E731
    with pytest.raises(AssertionError, match="init-scale"):
        testing.assert_loss_at_init(task(model=jr.Model(init, loud)))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_batch_that_cannot_be_learned():
    testing.assert_overfits_one_batch(task())
    with pytest.raises(AssertionError, match=r"Repeat it with: jr\.check"):
        testing.assert_overfits_one_batch(task(optimizer=optax.set_to_zero()))


def test_leakage_between_splits():
    testing.assert_no_leakage(task())
    train = task().train.take(np.arange(40))
    with pytest.raises(AssertionError, match="split-leakage"):
        testing.assert_no_leakage(task(val=train))


@pytest.mark.slow
def test_frozen_parameters_and_all_others():
    frozen = task(frozen=("trunk/*",))
    testing.assert_frozen(frozen)
    testing.assert_every_parameter_moves(frozen)
    with pytest.raises(AssertionError, match="trunk/w is frozen"):
        testing.assert_frozen(task(), ("trunk/*",))
    stuck = optax.partition(
        {"on": optax.adam(1e-2), "off": optax.set_to_zero()}, {"trunk": "on", "head": "off"}
    )
    with pytest.raises(AssertionError, match=r"^head/w"):
        testing.assert_every_parameter_moves(task(optimizer=stuck))
    with pytest.raises(jr.TaskError, match="declares none"):
        testing.assert_frozen(task())
    with pytest.raises(jr.TaskError, match="matches no parameter"):
        testing.assert_frozen(task(), ("nose/*",))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_resuming_is_equivalent_and_a_counter_outside_the_state_is_not():
    testing.assert_resume_equivalent(task(), steps=4, stop=2)
    own = jr.train.reference_trainer(task())
    calls = []

    def step(state, batch, key):
        calls.append(1)
        state, metrics = own.step(state, batch, key)
        scale = 1.0 + 0.1 * len(calls)  # a schedule on a clock that no checkpoint holds
        params = jax.tree.map(lambda x: x * scale, state.params)
        return jr.TrainState(state.step, params, *_rest(state)), metrics

    forgetful = jr.Trainer(own.init, step, own.predict, own.params)
    with pytest.raises(AssertionError, match="must be in the state"):
        testing.assert_resume_equivalent(task(trainer=forgetful), steps=4, stop=2)
    with pytest.raises(jr.TaskError, match="0 < stop < steps"):
        testing.assert_resume_equivalent(task(), steps=2, stop=2)


def _rest(state):
    return state.model_state, state.opt_state, state.key


@pytest.mark.exhaustive
@pytest.mark.slow
@given(strategies.batches((3,), classes=None, targets=(1,), sizes=(7,), padded=True))
def test_accumulation(batch):
    def total(params, batch):
        error = (batch.inputs @ params["w"] - batch.targets)[:, 0] ** 2
        return (error * batch.weights).sum()

    gradient = jax.grad(total)
    whole = lambda p, b: jax.tree.map(lambda g: g / b.weights.sum(), gradient(p, b))  # noqa: E731

    def right(params, parts):
        weight = sum(part.weights.sum() for part in parts)
        grads = [gradient(params, part) for part in parts]
        return jax.tree.map(lambda *g: sum(g) / weight, *grads)

    def wrong(params, parts):
        means = [whole(params, part) for part in parts if part.weights.sum()]
        return jax.tree.map(lambda *g: sum(g) / len(parts), *means)

    params = {"w": jnp.ones((3, 1))}
    testing.assert_accumulation_equivalent(whole, right, params, batch)
    full = batch._replace(weights=np.ones(7, np.float32))  # parts of equal weight hide the fault
    with pytest.raises(AssertionError, match="w accumulated over 3 micro-batches"):
        testing.assert_accumulation_equivalent(whole, wrong, params, full, sizes=(4, 2, 1))
    with pytest.raises(jr.TaskError, match="sizes of 7"):
        testing.assert_accumulation_equivalent(whole, right, params, batch, sizes=(4, 4))


@given(strategies.seeds())
def test_two_ways_to_compute_the_same(seed):
    x = np.random.default_rng(seed).normal(size=(5, 3))
    loop = lambda x: np.stack([row.sum() for row in x])  # noqa: E731
    testing.assert_equivalent(loop, lambda x: x.sum(axis=1), x)
    with pytest.raises(AssertionError, match="differ by"):
        testing.assert_equivalent(loop, lambda x: x.sum(axis=1) + 0.1, x)


@given(strategies.batches(tokens=9, classes=3, padded=True), strategies.learning_rates())
def test_strategies_draw_what_they_say(batch, rate):
    assert batch.inputs.dtype == np.int32
    assert 0 <= batch.inputs.min() <= batch.inputs.max() < 9
    assert len(batch.targets) == len(batch.weights) in (2, 8)
    assert batch.weights[0] == 1
    assert 1e-5 <= rate <= 1e-1


@pytest.mark.slow
@given(strategies.models(3), strategies.optimizers(), strategies.keys())
def test_drawn_networks_train(model, optimizer, key):
    trained = task(model=model, optimizer=optimizer, train=TRAIN, val=TRAIN)
    params, _ = trained.model.init(key, TRAIN[0])
    assert jax.tree.leaves(params)
    assert optimizer.update(params, optimizer.init(params), params)


TRAIN = (np.ones((9, 8), np.float32), np.arange(9, dtype=np.int32) % 3)


def test_bad_arguments_of_strategies():
    with pytest.raises(jr.TaskError, match="at least one size"):
        strategies.batches(sizes=())
    with pytest.raises(jr.TaskError, match="0 < low < high"):
        strategies.log_uniform(1.0, 0.1)


@given(strategies.hyperparameters({"rate": strategies.learning_rates(), "width": [1, 2]}))
def test_hyperparameters_are_drawn_by_name(space):
    assert set(space) == {"rate", "width"}
    assert space["width"] in (1, 2)
