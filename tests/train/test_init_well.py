"""The final bias from the targets: an untrained network answers as the best constant (B5)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from small_tasks import CLASSES, FEATURES, plain, small

import jrecipe as jr
from jrecipe.train import find_head_bias, reference_trainer

pytestmark = pytest.mark.thin(3)

LABELS = np.repeat(np.arange(CLASSES), (30, 15, 10, 5)).astype(np.int32)
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(60, FEATURES)).astype(np.float32)
PICTURES = RNG.normal(size=(60, 4, 4, 1)).astype(np.float32)
NUMBERS = RNG.normal(7.0, 2.0, size=60).astype(np.float32)


class NnxNet(nnx.Module):
    """Dense, ReLU, dense from zeros; the head comes first by name."""

    def __init__(self, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros_init()
        self.a_head = nnx.Linear(CLASSES, CLASSES, kernel_init=zeros, rngs=rngs)
        self.hidden = nnx.Linear(FEATURES, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.a_head(nnx.relu(self.hidden(x)))


def zero_headed() -> jr.Model:
    model = plain()

    def init(key, inputs):
        params, state = model.init(key, inputs)
        return params | {"last": jax.tree.map(jnp.zeros_like, params["last"])}, state

    return jr.Model(init, model.apply)


def with_counter() -> jr.Model:
    """Returns the same with an integer among its parameters."""
    model = zero_headed()

    def init(key, inputs):
        params, state = model.init(key, inputs)
        return params | {"version": jnp.int32(3)}, state

    return jr.Model(init, model.apply)


CE, L2 = jr.losses.softmax_cross_entropy(), jr.losses.l2()
HEADED = {
    "linear": (jr.models.Linear(CLASSES), VECTORS, LABELS, CE, "output/dense/bias"),
    "mlp": (jr.models.MLP(CLASSES, width=8), VECTORS, LABELS, CE, "output/dense/bias"),
    "convnet": (jr.models.ConvNet(CLASSES, width=4), PICTURES, LABELS, CE, "output/dense/bias"),
    "nnx": (NnxNet, VECTORS, LABELS, CE, "a_head/bias"),
    "plain": (zero_headed(), VECTORS, LABELS, CE, "last/bias"),
    "integer": (with_counter(), VECTORS, LABELS, CE, "last/bias"),
    "squeezed": (
        jr.models.MLP(1, width=8, squeeze=True), VECTORS, NUMBERS, L2, "output/dense/bias",
    ),
    "column": (jr.models.MLP(1, width=8), VECTORS, NUMBERS[:, None], L2, "output/dense/bias"),
    "median": (
        jr.models.Linear(1, squeeze=True), VECTORS, NUMBERS, jr.losses.l1(), "output/dense/bias",
    ),
}  # fmt: skip


@pytest.mark.thin(9)
@pytest.mark.parametrize("name", HEADED)
def test_the_loss_at_init_is_that_of_an_uninformed_model(name):
    model, inputs, targets, loss, path = HEADED[name]
    task = jr.Task(
        model=model, loss=loss, train=(inputs, targets), val=(inputs, targets), batch_size=8
    )
    params, state = task.model.init(jax.random.key(0), inputs[:2])
    assert find_head_bias(task.model, params, state, inputs[:2]) == path
    trainer = reference_trainer(jr.init_well(task))
    got = jr.evaluate(trainer.predict, trainer.init(jax.random.key(1)), task.train, loss)
    shape = np.shape(trainer.predict(trainer.init(jax.random.key(1)), inputs[:2]))[1:]
    assert got.loss == pytest.approx(loss.uninformed(targets, shape), rel=1e-5)
    before = reference_trainer(task)
    worse = jr.evaluate(before.predict, before.init(jax.random.key(1)), task.train, loss)
    assert worse.loss > got.loss + 0.01


def test_all_but_the_bias_stays_and_the_task_is_not_changed():
    task = small()
    fresh = task.model.init(jax.random.key(4), VECTORS[:2])[0]
    well = jr.init_well(task).model.init(jax.random.key(4), VECTORS[:2])[0]
    same = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), fresh, well)
    assert same == {
        "first": {"bias": True, "kernel": True},
        "last": {"bias": False, "kernel": True},
    }
    again = task.model.init(jax.random.key(4), VECTORS[:2])[0]
    np.testing.assert_array_equal(again["last"]["bias"], fresh["last"]["bias"])


def test_it_says_why_it_cannot():
    own = jr.Trainer(lambda key: 0.0, lambda s, b, k: (s, {}), lambda s, x: x, lambda s: s)
    apply = lambda p, s, x, *, key=None, train=False: (x @ p, s)  # noqa: E731
    biasless = jr.Model(lambda key, x: (jnp.zeros((FEATURES, CLASSES)), {}), apply)
    pair = jr.Model(biasless.init, lambda p, s, x, **_: ((x @ p, x @ p), s))
    cases = {
        "trained by Task.trainer; set the bias in Trainer.init": small(model=None, trainer=own),
        "one of jr.losses, which know": small(loss=lambda o, t: optax.l2_loss(o[:, 0])),
        "no final bias: no parameter moves every output": small(model=biasless),
        "one output array": small(model=pair),
    }
    for message, task in cases.items():
        with pytest.raises(jr.TaskError, match=message):
            jr.init_well(task)
