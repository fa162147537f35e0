"""One network in Linen, NNX, plain functions and a foreign trainer: the same tests for all four."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from small_tasks import CLASSES, FEATURES, HIDDEN, assert_identical, plain, small

import jrecipe as jr

pytestmark = pytest.mark.thin(2)

STEPS, RATE = 40, 0.1


class LinenNet(nn.Module):
    """Dense, ReLU, dense."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(HIDDEN, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(CLASSES, kernel_init=nn.initializers.normal(0.1))(x)


class NnxNet(nnx.Module):
    """The same in NNX."""

    def __init__(self, rngs: nnx.Rngs):
        he, small = nnx.initializers.he_normal(), nnx.initializers.normal(0.1)
        self.first = nnx.Linear(FEATURES, HIDDEN, kernel_init=he, rngs=rngs)
        self.last = nnx.Linear(HIDDEN, CLASSES, kernel_init=small, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.first(x)))


def foreign(weights=None) -> jr.Trainer:
    """Returns hand-rolled SGD in plain JAX: no optax, no TrainState, donates its state."""
    model = plain()

    def init(key):
        if weights is not None:
            return jax.tree.map(jnp.array, weights)
        return model.init(key, jnp.zeros((1, FEATURES)))[0]

    def loss(params, batch):
        logits = model.apply(params, {}, batch.inputs)[0]
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.targets[:, None], axis=1)
        return -jnp.sum(picked[:, 0] * batch.weights) / jnp.sum(batch.weights)

    def step(params, batch, key):
        value, grads = jax.value_and_grad(loss)(params, batch)
        return jax.tree.map(lambda w, g: w - RATE * g, params, grads), {"loss": value}

    return jr.Trainer(
        init=init,
        step=jax.jit(step, donate_argnums=0),
        predict=jax.jit(lambda params, inputs: model.apply(params, {}, inputs)[0]),
        params=lambda params: params,
    )


WAYS = {
    "linen": {"model": LinenNet()},
    "nnx": {"model": NnxNet},
    "plain": {"model": plain()},
    "foreign": {"model": None, "trainer": foreign()},
}


def task_of(way: str) -> jr.Task:
    return small(**WAYS[way], optimizer=optax.sgd(RATE), name=way)


@pytest.fixture(scope="module", params=WAYS)
def trained(request) -> jr.Fit:
    return jr.fit(task_of(request.param), STEPS, eval_every=10, progress=False)


def test_a_task_is_understood(trained):
    assert list(trained.task.splits) == ["train", "val"]
    assert trained.task.metric is jr.metrics.accuracy


def test_training_lowers_the_loss_and_records_it(trained):
    history = trained.history
    np.testing.assert_array_equal(history.steps("loss"), np.arange(1, STEPS + 1))
    np.testing.assert_array_equal(history.steps("val_loss"), [0, 10, 20, 30, 40])
    assert history["loss"][-5:].mean() < 0.7 * history["loss"][:5].mean()
    assert history["val_metric"][-1] > 0.8
    assert trained.steps == STEPS
    assert not trained.problem
    assert not trained.interrupted


def test_evaluation_is_the_mean_over_every_example(trained):
    inputs, labels = trained.task.val.take(np.arange(23))
    logits = np.asarray(trained.predict(inputs), np.float64)
    mine = np.log(np.exp(logits).sum(1)) - logits[np.arange(23), labels]
    got = trained.evaluate("val", batch_size=5)
    assert got.n == 23
    np.testing.assert_allclose(got.loss, mine.mean(), rtol=1e-5)
    np.testing.assert_allclose(got.metric, (logits.argmax(1) == labels).mean(), rtol=1e-6)
    assert got.loss == pytest.approx(trained.history["val_loss"].min(), rel=1e-5)
    with pytest.raises(jr.TaskError, match=r"no split 'test'; there are \['train', 'val'\]"):
        trained.evaluate("test")


@pytest.mark.slow
def test_one_seed_gives_one_result_and_another_seed_another(trained):
    again = jr.fit(trained.task, STEPS, eval_every=10, progress=False)
    assert_identical(again.state, trained.state)
    assert again.history.rows == trained.history.rows
    other = jr.fit(trained.task, 2, seed=1, progress=False)
    assert other.history["loss"][0] != trained.history["loss"][0]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_interrupted_run_that_resumes_equals_one_that_was_not(trained, tmp_path):
    jr.fit(trained.task, 20, eval_every=10, out=tmp_path / "run", progress=False)
    whole = jr.fit(
        trained.task, STEPS, eval_every=10, out=tmp_path / "run", resume=True, progress=False
    )
    assert_identical(whole.state, trained.state)
    assert_identical(whole.best, trained.best)
    assert whole.best_step == trained.best_step
    assert whole.history.rows == trained.history.rows


def test_it_shows_itself_in_a_notebook(trained):
    page = trained._repr_html_()
    assert page.startswith(f"<p>{trained.task.name}: {STEPS} steps in ")
    assert "<svg" in page or "<img" in page


def test_checks_judge_it(trained):
    items = ("A1", "A3", "B1", "B3", "B12")
    report = jr.check(trained.task, only=items)
    assert {finding.item for finding in report.findings} == set(items)
    failed = [str(finding) for finding in report.findings if finding.verdict == "FAILED"]
    assert not failed


@pytest.mark.slow
def test_all_four_agree_to_rounding_when_given_equal_weights():
    weights = jax.tree.leaves(plain().init(jax.random.key(3), jnp.zeros((1, FEATURES)))[0])

    def start(model):
        def init(key, inputs):
            params, state = model.init(key, inputs)
            return jax.tree.unflatten(jax.tree.structure(params), weights), state

        return dataclasses.replace(model, init=init)

    runs = {}
    for way in ("linen", "nnx", "plain"):
        task = task_of(way)
        runs[way] = jr.fit(task.replace(model=start(task.model)), 10, progress=False)
    tree = jax.tree.unflatten(
        jax.tree.structure(plain().init(jax.random.key(0), jnp.zeros((1, 2)))[0]), weights
    )
    runs["foreign"] = jr.fit(task_of("foreign").replace(trainer=foreign(tree)), 10, progress=False)
    for run in runs.values():
        np.testing.assert_allclose(run.history["loss"], runs["plain"].history["loss"], rtol=1e-4)
        np.testing.assert_allclose(
            run.evaluate().values, runs["plain"].evaluate().values, rtol=1e-3, atol=1e-5
        )
