import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jrecipe.data.encode import (
    EncodedSource,
    ImageEncoder,
    TabularEncoder,
    TextEncoder,
    VectorEncoder,
    encoder_from_json,
    pick,
)
from jrecipe.types import TaskError

TEXTS = [
    "The cat sat on the mat",
    "a dog, a Dog and a cat!",
    "",
    "naïve Größe x1 42",
    "sat sat sat",
]
TABLE = {
    "age": ["31", "", "45", "27"],
    "height": [1.8, 1.7, 1.6, 1.5],
    "colour": ["red", "blue", "red", None],
    "fixed": ["1", "1", "1", "1"],
}


def fitted():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (7, 4, 3, 3), dtype=np.uint8)
    vectors = rng.normal(3.0, 2.0, (9, 5))
    return {
        "image": (ImageEncoder.fit(pictures), pictures),
        "vector": (VectorEncoder.fit(vectors), vectors),
        "text": (TextEncoder.fit(TEXTS), TEXTS),
        "table": (TabularEncoder.fit(TABLE, ignored=["label"]), TABLE),
    }


KINDS = ("image", "vector", "text", "table")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_encoder_encodes_bit_for_bit(kind):
    encoder, raw = fitted()[kind]
    stored = encoder.to_json()
    for form in (stored, json.dumps(stored, allow_nan=False), json.loads(json.dumps(stored))):
        restored = encoder_from_json(form)
        assert restored == encoder
        np.testing.assert_array_equal(restored.encode(raw), encoder.encode(raw))


@pytest.mark.parametrize("kind", KINDS)
def test_each_example_is_encoded_for_itself(kind):
    encoder, raw = fitted()[kind]
    whole = encoder.encode(raw)
    n = len(whole)
    assert whole.dtype == np.float32
    assert whole[0].size == encoder.size
    for row in range(n):
        alone = encoder.encode(pick(raw, np.array([row])))
        np.testing.assert_array_equal(alone[0], whole[row])
    source = EncodedSource(raw, np.arange(n), encoder)
    inputs, targets = source.take(np.array([n - 1, 0]))
    np.testing.assert_array_equal(inputs, whole[[n - 1, 0]])
    assert targets.tolist() == [n - 1, 0]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), dtype=st.sampled_from([np.uint8, np.float32, np.uint16, bool]))
def test_pictures_are_standardised_and_come_back(seed, dtype):
    rng = np.random.default_rng(seed)
    scale = {np.uint8: 255, np.float32: 1, np.uint16: 65535, bool: 1}[dtype]
    unit = rng.uniform(0, 1, (20, 5, 4, 3))
    pictures = unit > 0.5 if dtype is bool else (unit * scale).astype(dtype)
    encoder = ImageEncoder.fit(pictures)
    encoded = encoder.encode(pictures)
    np.testing.assert_allclose(encoded.mean(axis=(0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(encoded.std(axis=(0, 1, 2)), 1.0, atol=1e-4)
    decoded = encoder.decode(encoded)
    assert decoded.min() >= 0.0
    assert decoded.max() <= 1.0
    np.testing.assert_allclose(decoded, pictures.astype(float) / scale, atol=1e-5)


def test_grey_pictures_get_an_axis_and_black_ones_do_not_divide_by_zero():
    encoder = ImageEncoder.fit(np.zeros((3, 4, 4), np.uint8))
    assert encoder.shape == (4, 4, 1)
    assert np.array_equal(encoder.encode(np.zeros((2, 4, 4), np.uint8)), np.zeros((2, 4, 4, 1)))


def test_the_range_of_float_pictures_is_found():
    rng = np.random.default_rng(1)
    unit = rng.uniform(0, 1, (10, 4, 4))
    unit[0, 0, 0], unit[0, 0, 1] = 0.0, 1.0
    for pictures, low, high in [(unit, 0, 1), (unit * 255, 0, 255), (unit * 2 - 1, -1, 1)]:
        encoder = ImageEncoder.fit(pictures)
        assert (encoder.low, encoder.high) == (low, high)
        np.testing.assert_allclose(
            encoder.decode(encoder.encode(pictures))[..., 0], unit, atol=1e-5
        )
    assert ImageEncoder.fit(unit * 15, high=16.0).high == 16.0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), n=st.integers(2, 20))
def test_vectors_are_standardised_and_constants_vanish(seed, n):
    vectors = np.random.default_rng(seed).normal(5.0, 3.0, (n, 4))
    vectors[:, 2] = 0.1
    encoder = VectorEncoder.fit(vectors)
    encoded = encoder.encode(vectors)
    np.testing.assert_allclose(encoded.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(encoded.std(axis=0), [1, 1, 0, 1], atol=1e-4)
    assert (encoder.encode(vectors + 1.0)[:, 2] == 0.0).all()


def test_a_missing_value_spoils_its_own_row_only():
    vectors = np.array([[1.0, 2.0], [np.nan, 3.0], [3.0, np.inf]])
    encoded = VectorEncoder.fit(vectors).encode(vectors)
    assert np.isfinite(encoded).tolist() == [[True, True], [False, True], [True, False]]


def test_tf_idf_is_that_of_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    expected = TfidfVectorizer().fit_transform(TEXTS).toarray()
    np.testing.assert_allclose(TextEncoder.fit(TEXTS).encode(TEXTS), expected, atol=1e-6)
    new = ["Dog unknown GRÖSSE sat"]
    np.testing.assert_allclose(
        TextEncoder.fit(TEXTS).encode(new),
        TfidfVectorizer().fit(TEXTS).transform(new).toarray(),
        atol=1e-6,
    )


def test_the_vocabulary_is_limited_to_the_most_frequent_words():
    encoder = TextEncoder.fit(TEXTS, max_features=2)
    assert set(encoder.words) == {"sat", "cat"} or "sat" in encoder.words
    assert encoder.size == 2
    assert encoder.decode(encoder.encode(["sat", "unknown"])) == ["sat", "(no known word)"]


def test_tables_are_encoded_by_column():
    encoder = TabularEncoder.fit(TABLE)
    assert encoder.feature_names == (
        "age",
        "age is missing",
        "height",
        "colour=blue",
        "colour=red",
        "colour is other",
        "fixed",
    )
    encoded = encoder.encode(TABLE)
    age = np.array([31.0, 45.0, 27.0])
    np.testing.assert_allclose(encoded[[0, 2, 3], 0], (age - age.mean()) / age.std(), rtol=1e-6)
    assert encoded[:, 1].tolist() == [0, 1, 0, 0]
    assert encoded[1, 0] == 0.0
    assert encoded[:, 3:6].tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert (encoded[:, 6] == 0.0).all()
    assert encoder.decode(encoded)[1] == "age=(missing), height=1.7, colour=blue, fixed=1"


def test_columns_are_found_by_name():
    encoder = TabularEncoder.fit(TABLE, ignored=["label"])
    turned = {name: TABLE[name] for name in reversed(TABLE)} | {"label": list("abab")}
    np.testing.assert_array_equal(encoder.encode(turned), encoder.encode(TABLE))
    new = TABLE | {"colour": ["green", "red", "red", "red"]}
    assert encoder.encode(new)[0, 3:6].tolist() == [0, 0, 1]


def test_rare_categories_share_one_slot():
    cells = [f"c{i}" for i in range(60) for _ in range(1 + (i < 32))]
    encoder = TabularEncoder.fit({"c": cells})
    assert encoder.size == 33
    assert encoder.encode({"c": cells}).sum(axis=1).tolist() == [1.0] * len(cells)


@pytest.mark.parametrize(
    ("kind", "raw", "words"),
    [
        ("image", np.zeros((2, 5, 3, 3)), "have shape 5x3x3, but .* 4x3x3"),
        ("image", np.zeros((4, 3)), "pictures need shape"),
        ("vector", np.zeros((2, 4)), "4 columns, but .* 5"),
        ("vector", np.array([["a"]]), "vectors need"),
        ("text", "one text", r"use \[text\]"),
        ("text", ["a", 3], "got 3 in row 1"),
        ("table", {k: v for k, v in TABLE.items() if k != "age"}, "no column 'age'"),
        ("table", TABLE | {"size": [1, 2, 3, 4]}, "column 'size'"),
        ("table", TABLE | {"height": [1, 2, "tall", 4]}, "'height'.* row 2 has 'tall'"),
    ],
)
def test_raw_inputs_that_do_not_fit_are_refused(kind, raw, words):
    with pytest.raises(TaskError, match=words):
        fitted()[kind][0].encode(raw)


@pytest.mark.parametrize("stored", ["{", "[]", "{}", '{"kind": "sound"}', '{"kind": "text"}'])
def test_what_is_no_stored_encoder_is_refused(stored):
    with pytest.raises(TaskError, match="no stored encoder"):
        encoder_from_json(stored)


def test_nothing_to_fit_is_refused():
    with pytest.raises(TaskError, match="word of two letters"):
        TextEncoder.fit(["", "a !"])
    with pytest.raises(TaskError, match="no column"):
        TabularEncoder.fit({})
    with pytest.raises(TaskError, match="no finite value"):
        ImageEncoder.fit(np.full((2, 3, 3), np.nan))
