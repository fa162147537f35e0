"""A1: copies are found in every disguise that is named, and nothing else is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sets import blobs, data, sentences, shapes

from jrecipe.explore.copies import conflicting, find_copies, is_equal
from jrecipe.explore.forest import neighbours
from jrecipe.explore.gather import gather
from jrecipe.explore.jumps import largest_ratio, nearer_by_far
from jrecipe.explore.picture_copies import picture_pairs
from jrecipe.explore.text_copies import text_pairs


def jpeg(picture, quality=75):
    file = io.BytesIO()
    Image.fromarray(picture[..., 0]).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))[..., None]


DISGUISES = {
    "mirrored": lambda x: x[:, ::-1],
    "moved right": lambda x: np.roll(x, 1, axis=1),
    "moved up": lambda x: np.roll(x, -1, axis=0),
    "recompressed": jpeg,
    "mirrored and recompressed": lambda x: jpeg(np.ascontiguousarray(x[:, ::-1])),
    "paler": lambda x: (x * 0.7 + 40).astype(np.uint8),
}


def found_with(count, seed, disguise):
    pictures = (shapes(count, seed, 28) * 255).astype(np.uint8)
    disguised = np.stack([disguise(picture) for picture in pictures[:20]])
    pairs = picture_pairs(np.concatenate([pictures, disguised]), seed=seed)
    planted = {(i, count + i) for i in range(20)}
    return planted, {tuple(pair) for pair in pairs.tolist()}


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", DISGUISES)
@pytest.mark.parametrize("count", [100, 1500])  # one leaf, and a forest
def test_disguised_pictures_are_found_and_no_others(name, count):
    planted, found = found_with(count, 1, DISGUISES[name])
    assert found <= planted
    assert len(found) >= 0.9 * len(planted)


def test_other_pictures_are_no_copies():
    assert len(picture_pairs((shapes(1000, 5, 28) * 255).astype(np.uint8))) == 0


def test_colours_count_though_the_candidates_are_grey():
    pictures = (np.concatenate([shapes(300, s, 20) for s in (1, 2, 3)], axis=3) * 255).astype("u1")
    swapped = pictures[:10][..., [1, 2, 0]]  # the same brightness in other colours
    pairs = picture_pairs(np.concatenate([pictures, pictures[10:20][:, :, ::-1], swapped]))
    assert {tuple(pair) for pair in pairs.tolist()} == {(10 + i, 300 + i) for i in range(10)}


def test_texts_with_other_case_punctuation_or_one_word():
    texts = sentences(400)
    changed = [
        texts[0].upper(),
        texts[1].replace(" ", ", "),
        texts[2] + " indeed",
        texts[3].replace(texts[3].split()[5], "elephant", 1),
    ]
    pairs = {tuple(pair) for pair in text_pairs([*texts, *changed]).tolist()}
    assert pairs == {(0, 400), (1, 401), (2, 402), (3, 403)}


def test_short_texts_with_another_word_are_other_texts():
    assert len(text_pairs(["a good film .", "a bad film .", "a good song .", "!!!", ""])) == 0
    assert text_pairs(["a good film .", "A GOOD FILM!"]).tolist() == [[0, 1]]


def test_short_texts_may_have_much_in_common():
    texts = ["it 's that painful .", "it 's painful ."]
    assert len(text_pairs(texts)) == 0
    assert len(text_pairs([f"{text} {sentences(1)[0]}" for text in texts])) == 1


def test_texts_of_which_an_encoder_makes_one_input_are_no_copies():
    inputs = np.zeros((40, 3), np.float32)
    copies = find_copies(gather(data(inputs, np.arange(40) % 2, texts={"train": sentences(40)})))
    assert copies.exact.max() == -1
    twice = [*sentences(39), sentences(1)[0]]
    copies = find_copies(gather(data(inputs, np.arange(40) % 2, texts={"train": twice})))
    assert np.flatnonzero(copies.exact >= 0).tolist() == [0, 39]


def test_the_first_training_row_stands_for_a_group():
    inputs, labels = blobs(100, width=12)
    inputs[[20, 60]] = inputs[10]
    copies = find_copies(gather(data(inputs, labels, val=(inputs[10:11], labels[10:11]))))
    assert copies.partner[[10, 20, 60, 100]].tolist() == [20, 10, 10, 10]


def test_equal_rows_of_test_are_only_near_to_what_is_near_in_training():
    inputs, labels = blobs(100, width=12)
    near = inputs[[4, 4]] + 0.002
    copies = find_copies(gather(data(inputs, labels, val=(near, labels[[4, 4]]))))
    assert copies.exact[[100, 101]].tolist() == [0, 0]
    assert copies.across[[100, 101]].all()
    assert copies.partner[[100, 101]].tolist() == [4, 4]
    assert not is_equal(copies).any()


def test_an_equal_row_is_shown_before_a_near_one():
    inputs, labels = blobs(100, width=12)
    inputs[[30, 50]] = inputs[7] + 0.002
    copies = find_copies(gather(data(inputs, labels)))
    assert copies.partner[[7, 30, 50]].tolist() == [30, 50, 30]
    assert np.flatnonzero(is_equal(copies)).tolist() == [30, 50]


def test_texts_without_letters_are_no_group():
    assert len(text_pairs(["?", "!", "...", "-", "  "])) == 0


def test_vectors_with_a_little_noise():
    inputs, labels = blobs(500, width=12)
    noisy = inputs[:20] + np.random.default_rng(1).normal(size=(20, 12)).astype("f") * 0.01
    copies = find_copies(gather(data(inputs, labels, val=(noisy, labels[:20]))))
    assert copies.across[500:].all()
    assert copies.partner[500:].tolist() == list(range(20))
    clean = find_copies(gather(data(inputs[20:], labels[20:], val=(inputs[:20], labels[:20]))))
    assert not clean.across.any()
    assert clean.near.max() == -1


def test_equal_rows_are_one_group_with_their_near_copies():
    inputs, labels = blobs(300, width=12)
    inputs[5] = inputs[3]
    noisy = inputs[3:4] + 0.003
    copies = find_copies(gather(data(inputs, labels, val=(noisy, labels[3:4]))))
    assert copies.exact[[3, 5]].tolist() == [0, 0]
    assert copies.near[[3, 5, 300]].tolist() == [0, 0, 0]
    assert copies.exact[300] == -1
    assert copies.across.tolist() == [False] * 300 + [True]
    assert copies.partner[3] == 5
    assert copies.partner[5] == 3
    labels = labels.copy()
    labels[5] = (labels[3] + 1) % 3
    assert np.flatnonzero(conflicting(copies, np.append(labels, labels[3]))).tolist() == [3, 5, 300]


def test_a_discrete_table_repeats_by_nature():
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 3, (400, 3)).astype(np.float32)
    assert find_copies(gather(data(inputs, rng.integers(0, 2, 400)))).natural


def test_few_directions_hold_no_near_copies():
    inputs = np.random.default_rng(0).random((600, 2)).astype(np.float32)
    copies = find_copies(gather(data(inputs, np.arange(600) % 2)))
    assert (copies.near >= 0).mean() < 0.01


def test_a_forest_finds_what_stands_beside():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3000, 16)).astype(np.float32)
    points[1500:] = points[:1500] + 0.01
    which, distance = neighbours(points, 3)
    assert (which[:1500, 0] == np.arange(1500, 3000)).mean() > 0.99
    assert (np.diff(distance, axis=1) >= 0).all()
    near = np.linalg.norm(points[which[:, 0]] - points, axis=1)
    np.testing.assert_allclose(near, distance[:, 0], atol=2e-3)


def test_rows_that_count_as_one_are_no_neighbours():
    points = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    twice = np.concatenate([points, points])
    which, _ = neighbours(twice, 4, same=np.tile(np.arange(60), 2))
    assert (which % 60 != np.tile(np.arange(60), 2)[:, None]).all()


def test_fewer_neighbours_than_asked_for():
    which, distance = neighbours(np.zeros((2, 3), np.float32), 4)
    assert which.tolist() == [[1, -1, -1, -1], [0, -1, -1, -1]]
    assert np.isinf(distance[:, 1:]).all()
    assert nearer_by_far(distance, 0.3).tolist() == [0, 0]


@pytest.mark.parametrize("width", [2, 8, 32])
def test_the_ratio_is_smaller_in_fewer_directions_and_no_row_jumps_by_chance(width):
    points = np.random.default_rng(width).normal(size=(1500, width)).astype(np.float32)
    _, distance = neighbours(points, 8)
    ratio = largest_ratio(distance)
    assert (nearer_by_far(distance, ratio) > 0).mean() < 0.005
    assert ratio < {2: 0.05, 8: 0.45, 32: 0.56}[width]
