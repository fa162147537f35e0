"""The masked language model: its head, the tied embedding, the loss at the start."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_encoder import TinyEncoder

from jrecipe import losses
from jrecipe.models import Bert, MaskedLM, as_model
from jrecipe.types import TaskError

V, B, T = 23, 3, 7
BERT = Bert(V, width=12, depth=1, heads=3, hidden=20, length=9)


def text():
    ids = np.random.default_rng(0).integers(0, V, (B, T)).astype(np.int32)
    return {"ids": ids, "mask": np.arange(T)[None] < np.array([[7], [4], [5]])}


def start(encoder=BERT):
    model = as_model(MaskedLM(encoder))
    return model, model.init(jax.random.key(0), text())[0]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_parameters_are_encoder_and_head():
    _, params = start()
    assert set(params) == {"encoder", "head"}
    want = BERT.init(jax.random.key(0), text())["params"]
    assert jax.tree.map(jnp.shape, params["encoder"]) == jax.tree.map(jnp.shape, want)
    assert {k: jax.tree.map(jnp.shape, v) for k, v in params["head"].items()} == {
        "dense": {"kernel": (12, 12), "bias": (12,)},
        "norm": {"scale": (12,), "bias": (12,)},
        "bias": (V,),
    }


@pytest.mark.exhaustive
def test_the_head_is_that_of_bert():
    model, params = start()
    rng = np.random.default_rng(1)
    params["head"] = jax.tree.map(lambda x: rng.normal(size=x.shape), params["head"])
    logits = model.apply(params, {}, text())[0]
    assert (logits.shape, logits.dtype) == ((B, T, V), jnp.float32)
    head = params["head"]
    x = np.asarray(BERT.apply({"params": params["encoder"]}, text()), np.float64)
    x = x @ head["dense"]["kernel"] + head["dense"]["bias"]
    x = np.asarray(jax.nn.gelu(x, approximate=False))
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    x = x * head["norm"]["scale"] + head["norm"]["bias"]
    want = x @ np.asarray(params["encoder"]["embeddings"]["tokens"]["embedding"]).T + head["bias"]
    np.testing.assert_allclose(logits, want, atol=1e-4)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_embedding_is_the_last_layer_and_learns_from_both():
    model, params = start()
    row = 0  # a token that the text below does not hold: only as an answer does it matter
    inputs = text() | {"ids": np.maximum(text()["ids"], 1)}

    def logit(params):
        return model.apply(params, {}, inputs)[0][0, 0, row]

    gradient = jax.grad(logit)(params)["encoder"]["embeddings"]["tokens"]["embedding"]
    assert float(jnp.abs(gradient[row]).max()) > 0.1
    assert float(jnp.abs(gradient[inputs["ids"][0, 0]]).max()) > 0  # as a word that is read
    unused = np.setdiff1d(np.arange(V), [row, *inputs["ids"][0]])
    assert not np.asarray(gradient)[unused].any()


@pytest.mark.exhaustive
def test_the_loss_at_the_start_is_that_of_the_uninformed():
    wide = Bert(997, width=64, depth=2, heads=2, hidden=64, length=9)
    model, params = start(wide)
    logits = model.apply(params, {}, text())[0]
    value, weight = losses.token_cross_entropy()(logits, jnp.asarray(text()["ids"]))
    mean = float((value * weight).sum() / weight.sum())
    assert abs(mean - np.log(997)) < 0.1
    loud = jax.tree.map(lambda leaf: 30 * leaf, params)
    value, _ = losses.token_cross_entropy()(model.apply(loud, {}, text())[0], text()["ids"])
    assert float(value.mean()) > np.log(997) + 1  # the test sees a head that is not quiet


@pytest.mark.exhaustive
def test_padding_changes_nothing_at_tokens():
    model, params = start()
    given = text()
    other = given | {"ids": np.where(given["mask"], given["ids"], 3).astype(np.int32)}
    one, two = (model.apply(params, {}, x)[0] for x in (given, other))
    np.testing.assert_array_equal(one[given["mask"]], two[given["mask"]])


def test_an_encoder_without_a_table_of_tokens_is_refused():
    with pytest.raises(TaskError, match=r"embeddings/tokens/embedding.*give a jr\.models\.Bert"):
        start(TinyEncoder())
