"""A smaller BERT begins with its teacher's layers and follows its logits and hidden states."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jrecipe as jr
from jrecipe import squeeze
from jrecipe.models.adapt_linen import from_linen
from jrecipe.squeeze.distil_layers import with_features


def classifier(depth: int, width: int = 8) -> jr.models.TextClassifier:
    encoder = jr.models.Bert(
        12, width=width, depth=depth, heads=2, hidden=16, length=5, dropout=0.0
    )
    return jr.models.TextClassifier(encoder, outputs=2, dropout=0.0, head_init="lecun")


def texts(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns texts of 3 to 5 tokens; the class is whether the second token is above 6."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 12, (n, 5)).astype(np.int32)
    mask = np.arange(5)[None] < rng.integers(3, 6, n)[:, None]
    return {"ids": ids * mask, "mask": mask}, (ids[:, 1] > 6).astype(np.int32)


def task_of(module: jr.models.TextClassifier) -> jr.Task:
    return jr.Task(
        model=module,
        loss=jr.losses.softmax_cross_entropy(),
        train=texts(64, 0),
        val=texts(32, 1),
        optimizer=optax.adam(3e-3),
        batch_size=16,
    )


@pytest.fixture(scope="module")
def teacher() -> squeeze.TaskNetwork:
    module = classifier(4)
    task = task_of(module)
    params, state = jax.jit(task.model.init)(jax.random.key(0), texts(2, 0)[0])
    return squeeze.TaskNetwork(task=task, params=params, model_state=state)


def test_half_of_the_layers_are_those_of_distilbert():
    encoder = {f"layer_{i}": {"w": np.full(2, i)} for i in range(12)} | {"embeddings": np.ones(2)}
    smaller, params = squeeze.every_other_layer(
        classifier(12), {"encoder": encoder, "head": np.zeros(2)}
    )
    assert smaller.encoder.depth == 6
    kept = [int(params["encoder"][f"layer_{i}"]["w"][0]) for i in range(6)]
    assert kept == [0, 2, 4, 7, 9, 11]
    assert sorted(params["encoder"]) == ["embeddings", *(f"layer_{i}" for i in range(6))]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_all_layers_are_the_teacher_and_half_fit_the_smaller_network(teacher):
    inputs = texts(9, 3)[0]
    same, params = squeeze.every_other_layer(classifier(4), teacher.params, range(4))
    outputs = from_linen(same).apply(params, {}, inputs)[0]
    np.testing.assert_array_equal(outputs, teacher.task.model.apply(teacher.params, {}, inputs)[0])
    smaller, params = squeeze.every_other_layer(classifier(4), teacher.params)
    wanted = jax.eval_shape(lambda: smaller.init(jax.random.key(0), inputs)["params"])
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda x: x.shape, wanted)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_features_are_seen_in_the_same_pass(teacher):
    inputs = texts(4, 3)[0]
    module = classifier(4)
    (outputs, seen), _ = with_features(module).apply(teacher.params, {}, inputs)
    np.testing.assert_allclose(outputs, from_linen(module).apply(teacher.params, {}, inputs)[0])
    features = module.encoder.apply(
        {"params": teacher.params["encoder"]}, inputs, method="features"
    )
    np.testing.assert_allclose(seen, features, rtol=1e-5, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_student_that_is_the_teacher_pays_for_labels_alone(teacher):
    task = squeeze.distil_encoder(
        teacher, classifier(4), teacher.task, classifier(4), start=teacher.params, hard=0.25
    )
    inputs, labels = texts(8, 5)
    params, state = task.model.init(jax.random.key(1), inputs)
    outputs, _ = task.model.apply(params, state, inputs, key=jax.random.key(0), train=True)
    np.testing.assert_allclose(outputs.hidden, 0.0, atol=1e-5)
    hard = teacher.task.loss(outputs.own, labels)
    np.testing.assert_allclose(task.loss(outputs, labels), 0.25 * hard, rtol=1e-4, atol=1e-5)
    # Another network is apart, and what is padding does not count.
    other = jax.jit(from_linen(classifier(4)).init)(jax.random.key(7), inputs)[0]
    given, junk = (
        task.model.apply(other, state, {**inputs, "ids": ids}, key=jax.random.key(0), train=True)[0]
        for ids in (inputs["ids"], np.where(inputs["mask"], inputs["ids"], 7))
    )
    assert given.hidden.min() > 0.1
    np.testing.assert_allclose(junk.hidden, given.hidden, atol=1e-5)


@pytest.mark.exhaustive
def test_training_brings_hidden_states_together(teacher):
    smaller, _ = squeeze.every_other_layer(classifier(4), teacher.params, [1, 3])
    student = task_of(smaller)
    taught = squeeze.distil_encoder(
        teacher, classifier(4), student, smaller, hard=0.0, hidden=3.0
    )  # begins with weights of its own
    inputs = texts(64, 0)[0]
    run = jr.fit(taught, 40, progress=False)

    def apart(params) -> float:
        state = run.state.model_state
        outputs = taught.model.apply(params, state, inputs, key=jax.random.key(0), train=True)[0]
        return float(outputs.hidden.mean())

    begun = jax.jit(taught.model.init)(jax.random.key(5), inputs)[0]
    assert apart(run.state.params) < 0.5 * apart(begun)
    network = squeeze.student_of(run, student)
    assert network.evaluate("val").loss == pytest.approx(run.evaluate("val").loss, rel=1e-4)
    assert network.size < teacher.size


@pytest.mark.exhaustive
@pytest.mark.slow
def test_what_does_not_fit_is_refused(teacher):
    with pytest.raises(jr.TaskError, match=r"encoder\.depth"):
        squeeze.every_other_layer(jr.models.MLP(2), {"dense": {}})
    for keep in ([], [1, 1], [3, 1], [0, 4], [-1, 2]):
        with pytest.raises(jr.TaskError, match="rising numbers from 0 to 3"):
            squeeze.every_other_layer(classifier(4), teacher.params, keep)
    narrow = classifier(2, width=4)
    with pytest.raises(jr.TaskError, match="one shape"):
        squeeze.distil_encoder(teacher, classifier(4), task_of(narrow), narrow)
    with pytest.raises(jr.TaskError, match="hidden"):
        squeeze.distil_encoder(teacher, classifier(4), teacher.task, classifier(4), hidden=-1.0)
