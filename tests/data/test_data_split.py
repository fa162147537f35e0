import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jrecipe.data.split import stratified_split
from jrecipe.types import TaskError

fractions = st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.2), (0.5, 0.25), (0.1, 0.1), (1.0,)])


@settings(deadline=None, max_examples=100)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    shares=fractions,
    seed=st.integers(0, 2**64),
)
def test_parts_are_disjoint_proportional_and_hold_every_class(counts, shares, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(seed % 2**32).shuffle(labels)
    if len(labels) < 30:
        return
    parts = stratified_split(labels, shares, seed)
    joined = np.concatenate(parts)
    assert len(np.unique(joined)) == len(joined)
    assert abs(len(joined) - sum(shares) * len(labels)) <= len(counts) * len(shares) + 1
    for label, count in enumerate(counts):
        for share, part in zip(shares, parts, strict=True):
            got = int(np.sum(labels[part] == label))
            assert abs(got - share * count) <= len(shares)
            if count >= 10 and sum(shares) > 0.99:
                assert abs(got - share * count) <= 1
            if count >= len(shares):
                assert got >= 1
    for part, again in zip(parts, stratified_split(labels, shares, seed), strict=True):
        np.testing.assert_array_equal(part, again)
        assert (np.diff(part) > 0).all()


def test_rounding_evens_out_over_many_classes():
    labels = np.repeat(np.arange(100), 3)  # 60 % of 3 is 1.8, 20 % is 0.6
    parts = stratified_split(np.repeat(np.arange(100), 7), (0.6, 0.2, 0.2), seed=3)
    assert [len(part) for part in parts] == [420, 140, 140]
    assert [len(part) for part in stratified_split(labels, (0.8, 0.2), seed=3)] == [200, 100]


def test_single_examples_of_a_class_fall_by_seed():
    labels = np.arange(30)
    cuts = {tuple(stratified_split(labels, (0.5, 0.5), seed)[0]) for seed in range(5)}
    assert len(cuts) == 5


@pytest.mark.parametrize("targets", [10, np.linspace(0, 1, 10), np.zeros((10, 3))])
def test_other_targets_are_cut_at_random(targets):
    cuts = [stratified_split(targets, (0.7, 0.3), seed) for seed in range(4)]
    assert all([len(part) for part in parts] == [7, 3] for parts in cuts)
    assert len({tuple(parts[0]) for parts in cuts}) > 1


def test_text_labels_are_stratified():
    labels = np.array(["cat"] * 10 + ["dog"] * 10)
    _, small = stratified_split(labels, (0.8, 0.2), seed=0)
    assert sorted(labels[small]) == ["cat", "cat", "dog", "dog"]


@pytest.mark.parametrize(
    ("targets", "shares", "words"),
    [
        (10, (0.8, 0.3), "at most 1"),
        (10, (0.8, 0.0), "> 0"),
        (10, (), "fractions"),
        (10, (float("nan"), 0.5), "fractions"),
        (2, (0.6, 0.2, 0.2), "empty part"),
        (0, (0.5, 0.5), "empty part"),
        (np.array("a"), (0.5, 0.5), "targets"),
    ],
)
def test_impossible_cuts_are_refused(targets, shares, words):
    with pytest.raises(TaskError, match=words):
        stratified_split(targets, shares, seed=0)
