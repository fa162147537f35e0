"""Rendered shapes: what is told of a picture is what is in it."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

import jrecipe as jr
from jrecipe.data import SyntheticShapes, as_source
from jrecipe.data.outlines import OUTLINES, covers, placed, radii


@given(seed=seeds, rows=st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_an_example_is_a_function_of_seed_and_row(seed, rows):
    source = SyntheticShapes(count=100, seed=seed, objects=2, targets="all", size=16)
    together = source.take(np.array(rows))
    alone = [
        SyntheticShapes(count=100, seed=seed, objects=2, targets="all", size=16).take(
            np.array([row])
        )
        for row in rows
    ]
    for i, one in enumerate(alone):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(one), strict=True):
            np.testing.assert_array_equal(a[i], b[0])
    other = SyntheticShapes(count=100, seed=seed + 1, targets="class", size=16).take(np.array(rows))
    assert not np.array_equal(other[0], together[0])


@given(seed=seeds)
def test_masks_boxes_and_key_points_are_where_the_object_is(seed):
    source = SyntheticShapes(count=8, seed=seed, size=40, texture=0.0, noise=0.0, targets="all")
    x, t = source.take(np.arange(8))
    assert x.dtype == np.float32
    assert 0 <= x.min() <= x.max() <= 1
    for picture, mask, box, kind, points in zip(
        x, t["mask"], t["boxes"][:, 0], t["boxes_class"][:, 0], t["keypoints"], strict=True
    ):
        assert set(np.unique(mask)) == {0, 1 + kind}
        behind = picture[mask == 0]
        inside = picture[mask > 0]
        plain = np.median(behind, axis=0)
        assert np.abs(np.median(inside, axis=0) - plain).max() > 0.25
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        seen = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert np.abs(seen - box).max() < 3  # tips are thinner than a pixel
        assert (box >= 0).all()
        assert (box <= 40).all()
        y, x0 = (int(v) for v in points[0][::-1])
        assert mask[y, x0] == 1 + kind
        on_edge = np.minimum(np.abs(points[1] - box[:2]), np.abs(points[1] - box[2:])).min()
        assert on_edge < 12


def test_all_classes_counts_and_layouts():
    source = SyntheticShapes(count=300, size=12, channels=1)
    inputs, labels = source.take(np.arange(300))
    assert inputs.shape == (300, 12, 12, 1)
    counts = np.bincount(labels, minlength=len(source.shapes))
    assert counts.min() > 15
    assert len(source) == 300
    assert source.class_names[0] == "circle"
    assert source.take(np.zeros(0, int))[0].shape == (0, 12, 12, 1)
    assert as_source(source) is source
    several = SyntheticShapes(count=50, objects=3, targets="all", size=16)
    valid = several.take(np.arange(50))[1]["boxes_valid"]
    assert set(valid.sum(axis=1)) == {1, 2, 3}
    assert several.take(np.zeros(0, int))[1]["mask"].shape == (0, 16, 16)
    assert isinstance(source, jr.Source)


def test_scenes_fit_augmentations_and_splits_differ():
    source = SyntheticShapes(count=10, objects=2, targets="all", size=16)
    x, t = source.take(np.arange(10))
    jr.augment.validate(jr.Batch(x, t, None))
    other = SyntheticShapes(count=10, objects=2, targets="all", size=16, seed=1).take(np.arange(10))
    assert not np.array_equal(x, other[0])


@pytest.mark.parametrize("name", OUTLINES)
def test_outlines_are_unit_shapes_that_their_radii_describe(name):
    corners = OUTLINES[name]
    assert np.hypot(*corners.T).max() == pytest.approx(1.0)
    assert np.hypot(*corners[0]) == pytest.approx(1.0, abs=1e-6)
    assert (radii(name) > 0.1).all()
    centre, turn = np.array([3.0, -2.0]), 0.7
    at = placed(name, centre, 5.0, turn)
    for shrink, want in ((0.97, True), (1.03, False)):
        x, y = (centre + shrink * (at - centre)).T
        got = covers(name, centre, 5.0, turn, x, y)
        # A tip is narrower than the directions looked at.
        assert (got == want).mean() > (0.4 if want else 0.99)
    middle = (at + np.roll(at, -1, axis=0)) / 2
    assert covers(name, centre, 5.0, turn, *(centre + 0.95 * (middle - centre)).T).all()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"count": 0}, "count at least 1, got 0"),
        ({"size": 4}, "size at least 8, got 4"),
        ({"channels": 2}, "channels 1 or 3, got 2"),
        ({"objects": 2}, "objects at least 1, and just 1 with targets='class', got 2"),
        ({"shapes": ("circle", "blob")}, "shapes some of circle, square.*got"),
        ({"texture": 1.5}, r"texture in \[0, 1\], got 1.5"),
        ({"noise": float("nan")}, "noise at least 0, got nan"),
        ({"targets": "boxes"}, "'class' or 'all', got 'boxes'"),
    ],
)
def test_attributes_out_of_range(attributes, message):
    with pytest.raises(jr.TaskError, match=message):
        SyntheticShapes(**attributes)
