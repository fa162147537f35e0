"""What holds for every encoder of the BERT family: padding, positions, order, dropout, dtypes."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe.models import Bert
from jrecipe.types import TaskError

SIZE = {"vocabulary": 23, "width": 12, "depth": 2, "heads": 3, "hidden": 20, "length": 9}
KINDS = {
    "bert": {},
    "distilbert": {"types": 0},
    "roberta": {"types": 1, "first_position": 2, "epsilon": 1e-5},
}
ROWS, STEPS = 3, 7


def texts(rng, counts=(7, 4, 1)):
    mask = np.arange(STEPS)[None] < np.array(counts)[:, None]
    ids = rng.integers(0, SIZE["vocabulary"], mask.shape).astype(np.int32)
    return {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}


@functools.cache
def network(kind):
    """Returns the module, parameters of a size that counts, and `features` compiled."""
    module = Bert(**SIZE, **KINDS[kind])
    params = module.init(jax.random.key(0), texts(np.random.default_rng(0)), method="pooled")
    params = jax.tree.map(lambda leaf: 10 * leaf if leaf.ndim == 2 else leaf, params)
    return module, params, jax.jit(functools.partial(module.apply, params))


@pytest.mark.exhaustive
@pytest.mark.thin(3)
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**31))
def test_padding_never_leaks_into_tokens(kind, seed):
    _, _, features = network(kind)
    rng = np.random.default_rng(seed)
    text = texts(rng, rng.integers(1, STEPS + 1, ROWS))
    other = rng.integers(0, SIZE["vocabulary"], text["ids"].shape).astype(np.int32)
    changed = text | {"ids": np.where(text["mask"], text["ids"], other)}
    mask = text["mask"]
    np.testing.assert_array_equal(features(text)[mask], features(changed)[mask])
    # The other way round: what is no padding is seen, by the first token as by all.
    row = int(rng.integers(ROWS))
    last = int(mask[row].sum()) - 1
    moved = text["ids"].copy()
    moved[row, last] = (moved[row, last] + 1) % SIZE["vocabulary"]
    difference = np.abs(features(text | {"ids": moved}) - features(text)).max(axis=-1)
    assert (difference[row, : last + 1] > 1e-6).all()
    assert not difference[np.arange(ROWS) != row].any()


@pytest.mark.exhaustive
@pytest.mark.thin(3)
@pytest.mark.parametrize("kind", KINDS)
def test_more_padding_changes_nothing(kind):
    module, params, features = network(kind)
    text = texts(np.random.default_rng(1))
    cut = {name: part[1:, :4] for name, part in text.items()}
    got = module.apply(params, cut)
    want = np.asarray(features(text))[1:, :4]
    np.testing.assert_allclose(got[cut["mask"]], want[cut["mask"]], atol=1e-5)


@pytest.mark.exhaustive
def test_positions_are_counted_by_the_mask_where_there_is_a_first_position():
    text = texts(np.random.default_rng(2))
    moved = {name: np.roll(part, 2, axis=1) for name, part in text.items()}
    moved["mask"][:, :2] = False
    for kind, same in (("roberta", True), ("bert", False)):
        _, _, features = network(kind)
        one, other = features(text)[1, :4], features(moved)[1, 2:6]
        assert np.allclose(one, other, atol=1e-5) == same


def test_types_matter_where_there_are_some_and_may_be_left_out():
    text = texts(np.random.default_rng(3))
    plain = {name: text[name] for name in ("ids", "mask")}
    ones = text | {"types": np.ones_like(text["ids"])}
    for kind, matter in (("bert", True), ("distilbert", False)):
        _, _, features = network(kind)
        np.testing.assert_array_equal(features(plain), features(text))
        assert np.allclose(features(ones), features(text)) != matter


def test_parameters_have_the_names_that_strategies_match():
    module, params, _ = network("bert")
    text = texts(np.random.default_rng(0))
    shapes = jax.eval_shape(module.init, jax.random.key(0), text)["params"]
    assert list(shapes) == ["embeddings", "layer_0", "layer_1"]
    assert list(params["params"]) == [*shapes, "pooler"]
    assert set(shapes["embeddings"]) == {"tokens", "positions", "types", "norm"}
    parts = "query key value attention_output attention_norm hidden output norm"
    assert set(shapes["layer_1"]) == set(parts.split())
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    ("fields", "count"),
    [  # of transformers' BertModel, BertModel, DistilBertModel, RobertaModel
        ({}, 109_482_240),
        ({"width": 1024, "depth": 24, "heads": 16, "hidden": 4096}, 335_141_888),
        ({"depth": 6, "types": 0}, 66_362_880),
        ({"vocabulary": 50_265, "types": 1, "first_position": 2}, 124_645_632),
    ],
)
def test_published_counts_are_met(fields, count):
    module = Bert(**fields)
    text = {"ids": jnp.zeros((1, 2), jnp.int32), "mask": jnp.ones((1, 2), bool)}
    method = "pooled" if module.types else "features"
    shapes = jax.eval_shape(functools.partial(module.init, method=method), jax.random.key(0), text)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_pooled_is_the_first_token_through_a_dense_layer():
    module, params, features = network("bert")
    text = texts(np.random.default_rng(4))
    dense = params["params"]["pooler"]
    kernel = np.asarray(dense["kernel"])
    want = np.tanh(np.asarray(features(text))[:, 0] @ kernel + np.asarray(dense["bias"])[None])
    got = module.apply(params, text, method="pooled")
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_dropout_acts_in_training_alone():
    module, params, features = network("bert")
    text = texts(np.random.default_rng(5))

    @functools.partial(jax.jit, static_argnums=0)
    def train(rate, key):
        return module.clone(dropout=rate).apply(params, text, train=True, rngs={"dropout": key})

    one, other = (train(0.5, jax.random.key(seed)) for seed in (0, 1))
    assert np.abs(one - other).max() > 0.1
    np.testing.assert_allclose(train(0.0, jax.random.key(0)), features(text), atol=1e-5)


@pytest.mark.exhaustive
def test_bfloat16_is_close_and_answers_in_float32():
    module, params, features = network("bert")
    text = texts(np.random.default_rng(6))
    half = module.clone(dtype=jnp.bfloat16)
    assert half.apply(params, text, method="features").dtype == jnp.bfloat16
    got = half.apply(params, text)
    assert got.dtype == jnp.float32
    difference = np.abs(got - features(text))[text["mask"]]
    assert 0 < difference.max() < 0.3


def test_gradients_are_finite_also_with_a_row_of_padding_alone():
    module, params, _ = network("roberta")
    text = texts(np.random.default_rng(7), (7, 2, 0))

    @jax.jit
    @jax.grad
    def gradient(params):
        return (module.apply(params, text) ** 2 * text["mask"][..., None]).sum()

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(params)))


TEXT = texts(np.random.default_rng(8))
LONG = {"ids": np.zeros((1, 10), np.int32), "mask": np.ones((1, 10), bool)}


@pytest.mark.parametrize(
    ("fields", "given_inputs", "words"),
    [
        ({}, LONG, ["Bert.length is 9", "10 tokens", "windows"]),
        ({"first_position": 2}, LONG, ["Bert.length is 9"]),
        ({}, TEXT["ids"], ["'ids'", "'mask'", "something else", "tokenise"]),
        ({}, {"ids": TEXT["ids"]}, ["got ['ids']"]),
        ({}, TEXT | {"mask": TEXT["ids"]}, ["bool[3, 7]", "int32[3, 7]", "ids != pad"]),
        ({}, TEXT | {"mask": TEXT["mask"][:, :3]}, ["bool[3, 7]", "bool[3, 3]"]),
        ({}, TEXT | {"ids": TEXT["ids"].astype(np.float32)}, ["int[b, t]", "float32[3, 7]"]),
        ({}, TEXT | {"types": TEXT["mask"]}, ["'types'", "int[3, 7]", "bool[3, 7]"]),
        ({"heads": 5}, TEXT, ["heads=5", "width=12"]),
        ({"activation": "swish"}, TEXT, ["Bert.activation", "gelu_new", "'swish'"]),
    ],
)
def test_what_it_cannot_take_is_named_when_it_is_traced(fields, given_inputs, words):
    module = Bert(**(SIZE | fields))
    with pytest.raises(TaskError) as error:
        jax.eval_shape(module.init, jax.random.key(0), given_inputs)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@functools.cache
def gradients(kind):
    """Returns a loss of the features in training, without dropout, with them and its gradient."""
    module = network(kind)[0].clone(dropout=0.0)

    def loss(params, text):
        features = module.apply(params, text, train=True)
        return jnp.sum(jnp.sin(features) * text["mask"][..., None]), features

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.mark.exhaustive
@pytest.mark.thin(3)
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**31))
def test_what_leaves_padding_out_computes_the_same(kind, seed):
    _, params, _ = network(kind)
    rng = np.random.default_rng(seed)
    text = texts(rng, rng.permutation([7, 4, 1]) if seed % 2 else rng.integers(1, 5, ROWS))
    mask = text["mask"]
    (_, want), gradient = gradients(kind)(params, text)
    (_, got), other = gradients(kind)(params, text | {"room": np.zeros((ROWS, 4))})
    np.testing.assert_allclose(got[mask], want[mask], atol=1e-5)
    assert not got[~mask].any()  # nothing was computed there
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * largest), other, gradient
    )


def test_the_rows_that_are_left_cost_no_more_than_there_is_room_for():
    module, params, _ = network("bert")
    text = texts(np.random.default_rng(0))
    counted = lambda text: (  # noqa: E731
        jax.jit(module.apply).lower(params, text).cost_analysis()["flops"]
    )
    assert counted(text | {"room": np.zeros((ROWS, 4))}) < 0.8 * counted(text)


@pytest.mark.exhaustive
def test_tokens_beyond_the_room_are_told_by_nan_and_never_left_out():
    _, _, features = network("bert")
    text = texts(np.random.default_rng(0))  # 12 tokens
    assert np.isfinite(features(text | {"room": np.zeros((ROWS, 4))})).all()
    assert np.isnan(features(text | {"room": np.zeros((ROWS, 3))})[text["mask"]]).all()
    same = features(text | {"room": np.zeros((ROWS, STEPS))})
    np.testing.assert_array_equal(same, features(text))
