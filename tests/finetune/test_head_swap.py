"""A new head leaves the body bit for bit as it was (H6)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import generator
from tiny_encoder import TinyEncoder, text

from jrecipe.finetune.head_swap import with_head
from jrecipe.models import PairSimilarity, Tagger, TextClassifier
from jrecipe.types import TaskError


def params_of(head, seed: int):
    inputs = text(generator(0), (5, 3), 5)
    pair = {"first": inputs, "second": inputs}
    inputs = {**inputs, "words": jnp.array([[1, 2], [1, -1]])}
    given = pair if isinstance(head, PairSimilarity) else inputs
    return head.init(jax.random.key(seed), given)["params"]


TRAINED = params_of(TextClassifier(TinyEncoder(), 2, head_init="lecun"), 1)


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    "head",
    [
        TextClassifier(TinyEncoder(), 5, head_init="lecun"),
        Tagger(TinyEncoder(), 3, crf=True, head_init="lecun"),
        PairSimilarity(TinyEncoder()),
    ],
    ids=["classifier", "crf", "no-head"],
)
def test_the_body_stays_bit_for_bit_and_the_head_is_new(head):
    fresh = params_of(head, 2)
    got = with_head(TRAINED, fresh)
    assert jax.tree.structure(got) == jax.tree.structure(fresh)
    for ours, old in zip(
        jax.tree.leaves(got["encoder"]), jax.tree.leaves(TRAINED["encoder"]), strict=True
    ):
        assert np.asarray(ours).tobytes() == np.asarray(old).tobytes()
    differs = jax.tree.map(lambda a, b: bool((a != b).any()), got["encoder"], fresh["encoder"])
    assert differs["embeddings"]["embedding"]
    assert got.get("head") is fresh.get("head")


def test_it_also_goes_from_a_network_without_a_head():
    body = params_of(PairSimilarity(TinyEncoder()), 3)
    got = with_head(body, TRAINED)
    assert set(got) == {"encoder", "head"}
    assert got["encoder"] is body["encoder"]


def spoiled(path: str, change):
    tree = jax.tree.map(np.asarray, dict(TRAINED))
    layer, name = path.split("/")
    tree["encoder"] = {**tree["encoder"], layer: dict(tree["encoder"].get(layer, {}))}
    change(tree["encoder"][layer], name)
    return tree


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("layer_0/bias", lambda x, n: x.pop(n), "trained has no parameter encoder/layer_0/bias"),
        (
            "layer_1/bias",
            lambda x, n: x.update({n: np.ones(2)}),
            "fresh has no parameter encoder/layer_1/bias",
        ),
        (
            "layer_0/bias",
            lambda x, n: x.update({n: np.ones(9, np.float32)}),
            r"encoder/layer_0/bias is float32\[9\], fresh needs float32\[8\]",
        ),
        (
            "layer_0/bias",
            lambda x, n: x.update({n: x[n].astype(np.float16)}),
            r"float16\[8\], fresh needs float32\[8\]",
        ),
    ],
)
def test_bodies_that_differ_are_refused_by_name(path, change, words):
    with pytest.raises(TaskError, match=words) as error:
        with_head(spoiled(path, change), TRAINED)
    assert "\n" not in str(error.value)
