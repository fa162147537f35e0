"""What targets mark on pictures: understood where it is sure, and else left out with a reason."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from programs import check, task

from jrecipe import augment
from jrecipe.checks.annotations import read_annotations
from jrecipe.checks.before_net import check_before_net
from jrecipe.checks.examples import gallery
from jrecipe.data.synthetic_shapes import SyntheticShapes
from jrecipe.figures import Pictures
from jrecipe.types import Batch

N, H, W = 24, 12, 16
RNG = np.random.default_rng(0)
PICTURES = RNG.random((N, H, W, 3)).astype(np.float32)


def corners(n=N, k=3, seed=0):
    """Boxes float32[n, k, 4] in pixels, x0 < x1 and y0 < y1, far right and far down among them."""
    rng = np.random.default_rng(seed)
    low = rng.uniform((0, 0), (W - 2, H - 2), (n, k, 2))
    high = low + 1 + rng.random((n, k, 2)) * ((W, H) - low - 1)
    return np.concatenate([low, high], axis=2).astype(np.float32)


def read(targets, inputs=PICTURES, names=(), shown=(H, W)):
    return read_annotations(inputs, targets, shown, names)


def marks(targets, inputs=PICTURES, names=()):
    reading = read(targets, inputs, names)
    assert "not drawn" not in reading.note
    return reading.annotations(inputs, targets).marks


def test_boxes_lie_where_they_are_and_are_named_by_their_class():
    boxes, kinds = corners(), RNG.integers(0, 2, (N, 3))
    found = marks({"boxes": boxes, "boxes_class": kinds}, names=("cat", "dog"))
    for i in range(N):
        assert (found[i].height, found[i].width) == (H, W)
        assert [box for _, box in found[i].boxes] == [tuple(box) for box in boxes[i].tolist()]
        assert [name for name, _ in found[i].boxes] == [("cat", "dog")[kind] for kind in kinds[i]]


@pytest.mark.parametrize("padding", [0.0, -1.0, np.nan])
def test_padding_of_boxes_is_not_marked(padding):
    boxes = corners()
    boxes[:, 1:] = padding
    assert [len(each.boxes) for each in marks({"boxes": boxes})] == [1] * N


def test_boxes_left_out_by_a_flag_or_a_negative_class_are_not_marked():
    boxes, kinds, flags = corners(), np.zeros((N, 3), int), np.ones((N, 3), bool)
    kinds[:, 0], flags[:, 1] = -1, False
    found = marks({"boxes": boxes, "boxes_valid": flags, "labels": kinds})
    assert all(
        [box for _, box in each.boxes] == [tuple(b[2].tolist())]
        for each, b in zip(found, boxes, strict=True)
    )


def test_key_points_keep_their_number_and_hidden_ones_are_not_marked():
    points = (RNG.random((N, 4, 2)) * (W, H)).astype(np.float32)
    points[:, 1], points[:, 2] = 0.0, np.nan
    flags = np.ones((N, 4), bool)
    flags[:, 3] = False
    wanted = [
        [("point 0", tuple(p[0].tolist())), ("point 3", tuple(p[3].tolist()))] for p in points
    ]
    assert [each.points for each in marks({"keypoints": points})] == wanted
    # A flag says that the corner is meant.
    found = marks({"keypoints": points, "keypoints_valid": flags})
    assert [[name for name, _ in each.points] for each in found] == [["point 0", "point 1"]] * N
    seen = np.concatenate([points, np.full((N, 4, 1), 2.0)], axis=2)
    seen[:, 0, 2] = 0
    found = marks({"landmarks": seen})
    assert [[name for name, _ in each.points] for each in found] == [["point 1", "point 3"]] * N


def test_a_mask_marks_exactly_its_pixels():
    mask = RNG.integers(0, 3, (N, H, W))
    mask[:, 0] = 255  # of no class
    mask[:, 1] = -1
    for each, one in zip(marks(mask, names=("sky", "road", "tree")), mask, strict=True):
        regions = dict(each.regions)
        assert sorted(regions) == ["road", "tree"]
        for value, name in enumerate(("road", "tree"), 1):
            np.testing.assert_array_equal(regions[name], one == value)


MASKS = {
    "truth": (RNG.random((N, H, W)) > 0.5, ["mask"]),
    "float 0 and 1": ((RNG.random((N, H, W)) > 0.5).astype(np.float32), ["mask"]),
    "bytes 0 and 255": (np.uint8(255) * (RNG.random((N, H, W, 1)) > 0.5), ["mask"]),
    "channels": (RNG.random((N, H, W, 3)) > 0.5, ["mask 0", "mask 1", "mask 2"]),
    "one-hot": (np.eye(3)[RNG.integers(0, 3, (N, H, W))], ["mask 1", "mask 2"]),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_any_dtype(kind):
    mask, names = MASKS[kind]
    found = marks(mask)
    assert [name for name, _ in found[0].regions] == names
    given = np.moveaxis(mask.reshape(N, H, W, -1), -1, 1)[:, -len(names) :] > 0
    np.testing.assert_array_equal([[where for _, where in each.regions] for each in found], given)


NOT_DRAWN = {
    "a picture": RNG.random((N, H, W)).astype(np.float32),
    "a picture in bytes": RNG.integers(0, 256, (N, H, W)).astype(np.uint8),
    "a colour picture in bytes": RNG.integers(0, 256, (N, H, W, 3)).astype(np.uint8),
    "boxes as shares": {"boxes": (corners() / (W, H, W, H)).astype(np.float32)},
    "boxes with their size": {"boxes": corners() - [[0, 0, 8, 8]]},
    "numbers that are no corners": RNG.uniform(0, H, (N, 3, 4)).astype(np.float32),
    "corners or sizes": np.tile(np.float32([1, 1, 3, 3]), (N, 2, 1)),
    "points as shares": {"keypoints": RNG.random((N, 4, 2)).astype(np.float32)},
    "pairs beyond the picture": RNG.uniform(0, 90, (N, 4, 2)).astype(np.float32),
    "all padding": {"boxes": np.zeros((N, 3, 4), np.float32)},
    "an empty mask": np.zeros((N, H, W), np.int32),
}


@pytest.mark.parametrize("kind", NOT_DRAWN)
def test_what_could_be_something_else_is_not_drawn_and_it_is_said(kind):
    reading = read(NOT_DRAWN[kind])
    assert reading.parts == ()
    assert "not drawn" in reading.note
    assert all(not each.names for each in reading.annotations(PICTURES, NOT_DRAWN[kind]).marks)


NOTHING = {
    "classes": np.arange(N),
    "numbers": RNG.random((N, 4)),
    "spans": RNG.integers(0, 9, (N, 5, 2)),
    "other things": {"offsets": corners(), "anchor": RNG.random((N, 3, 2))},
    "the picture itself": PICTURES,
    "the picture in one row": PICTURES.reshape(N, -1),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_other_targets_say_nothing(kind):
    reading = read(NOTHING[kind])
    assert (reading.parts, reading.note) == ((), "")
    assert reading.annotations(PICTURES, NOTHING[kind]) is None


def test_boxes_without_a_name_are_drawn_where_only_corners_fit():
    boxes = corners()
    found = marks((boxes, RNG.integers(0, 2, (N, 3))), names=("cat", "dog"))
    assert [box for _, box in found[0].boxes] == [tuple(box) for box in boxes[0].tolist()]
    assert {name for name, _ in found[0].boxes} <= {"cat", "dog"}
    assert read(boxes[:2], PICTURES[:2]).parts == ()  # too few to tell


def test_values_of_a_mask_get_names_only_where_these_surely_fit():
    mask = RNG.integers(0, 3, (N, H, W))
    names = lambda targets, known: [n for n, _ in marks(targets, names=known)[0].regions]  # noqa: E731
    assert names({"mask": mask}, ("cat", "dog")) == ["cat", "dog"]  # counted from 1
    assert names({"mask": mask}, ("sky", "cat", "dog", "eel")) == ["mask 1", "mask 2"]
    assert names(mask, ("sky", "cat", "dog", "eel")) == ["cat", "dog"]
    assert names(mask, ()) == ["mask 1", "mask 2"]


def test_places_are_counted_in_stored_pixels_whatever_size_is_shown():
    targets = {"boxes": corners(), "mask": RNG.integers(0, 3, (N, H, W))}
    large = read(targets, shown=(4 * H, 4 * W))
    assert large.annotations(PICTURES, targets).marks[0].width == W
    turned = read(targets, shown=(W, H))
    assert turned.parts == ()
    assert "another part" in turned.note
    half = large.annotations(PICTURES, targets, covered=(0.5, 1.0), finest=8).marks[0]
    assert (half.height, half.width) == (H / 2, W)
    assert half.regions[0][1].shape == (H // 4, W // 2)


class Plain:
    decode, class_names = None, ()


def scenes(n=N):
    return SyntheticShapes(count=n, size=W, objects=2, targets="all", noise=0.0).take(np.arange(n))


def moved(change, inputs, targets):
    batch = Batch(inputs, targets, np.ones(len(inputs), np.float32))
    made = jax.jit(change)(jax.random.key(0), batch)
    return jax.tree.map(np.asarray, (made.inputs, made.targets))


@pytest.fixture(scope="module")
def mirrored():
    """Marks of scenes, and of the same scenes mirrored."""
    stored = scenes()
    reading = read(stored[1], stored[0], shown=(W, W))
    sides = stored, moved(augment.random_flip(1.0), *stored)
    return [reading.annotations(*side).marks for side in sides]


@pytest.mark.parametrize("row", range(N))
def test_annotations_of_a_mirrored_example_are_at_the_mirrored_place(mirrored, row):
    before, after = (side[row] for side in mirrored)
    assert len(before.boxes) == len(after.boxes) > 0
    for (_, (x0, y0, x1, y1)), (_, box) in zip(before.boxes, after.boxes, strict=True):
        np.testing.assert_allclose(box, (W - x1, y0, W - x0, y1), atol=1e-5)
    for (_, (x, y)), (_, place) in zip(before.points, after.points, strict=True):
        np.testing.assert_allclose(place, (W - x, y), atol=1e-5)
    for (_, one), (_, other) in zip(before.regions, after.regions, strict=True):
        np.testing.assert_array_equal(other, one[:, ::-1])


def test_a_gallery_counts_what_it_draws_and_writes_out_the_rest():
    inputs, targets = scenes()
    targets["weight"] = np.full(N, 7)
    figure = gallery(Plain, "t", inputs, targets, rows=np.arange(3))[0]
    count = len(figure.annotations.marks[0].boxes)
    boxes = "1 box" if count == 1 else f"{count} boxes"
    assert figure.captions[0].startswith("0: ")
    assert f"{boxes}, {2 * count} key points | 7" in figure.captions[0]
    plain = gallery(Plain, "t", inputs, np.arange(N), rows=np.arange(3))[0]
    assert plain.annotations is None
    assert plain.captions == ["0: 0", "1: 1", "2: 2"]


def test_an_augmentation_that_forgets_the_boxes_is_seen_to_forget_them():
    inputs, targets = scenes(40)

    def forgets(key, batch):
        return batch._replace(inputs=batch.inputs[:, :, ::-1])

    subject = task(
        loss=lambda outputs, goals: outputs,
        train=(inputs, targets),
        val=(inputs[:10], jax.tree.map(lambda x: x[:10], targets)),
        augment=forgets,
    )
    figure = check(check_before_net, subject)[0].figures[0]
    assert isinstance(figure, Pictures)
    assert figure.title == "What enters the network, augmented"
    assert "boxes as x0, y0, x1, y1 in pixels" in figure.annotations.note
    (_, box), *_ = figure.annotations.marks[0].boxes
    assert box == tuple(targets["boxes"][0, 0].tolist())
    shown = figure.images[0] - figure.images[0].mean()
    assert (shown * inputs[0, :, ::-1]).sum() > (shown * inputs[0]).sum()


def test_an_augmentation_that_crops_or_renames_is_followed_or_left_alone():
    inputs, targets = scenes()
    stored = (inputs, targets)
    cut = gallery(Plain, "t", inputs[:, :8, :8], targets, rows=np.arange(2), stored=stored)[0]
    assert cut.annotations.marks[0].width == 8
    other = {"goals": targets["boxes"]}
    assert (
        gallery(Plain, "t", inputs, other, rows=np.arange(2), stored=stored)[0].annotations is None
    )


def test_what_boxes_mean_is_read_off_the_stored_data_not_off_the_augmented():
    inputs, targets = scenes(40)
    boxes = {"bbox": targets["boxes"]}

    def away(key, batch):
        return batch._replace(targets={"bbox": batch.targets["bbox"] + 100.0})

    subject = task(
        loss=lambda outputs, goals: outputs,
        train=(inputs, boxes),
        val=(inputs[:10], {"bbox": boxes["bbox"][:10]}),
        augment=away,
    )
    figure = check(check_before_net, subject)[0].figures[0]
    assert "bbox as x0, y0, x1, y1 in pixels" in figure.annotations.note
    assert figure.annotations.marks[0].boxes[0][1][0] >= 100
