"""Every kind of example and target can be looked at (A7), with a page at the end."""

from __future__ import annotations

import numpy as np
import pytest
from sets import blobs, data, shapes

from jrecipe.explore import findings_of, fragment, needs_of, survey

N = 60
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 50, (N, 12)).astype(np.int32)
TEXT = {"ids": IDS, "mask": IDS > 5}
BOXES = RNG.random((N, 5, 4)).astype(np.float32)
BOXES[: N // 2, 3:] = -1
MASKS = (shapes(N)[..., 0] > 0.5).astype(np.int32)
KINDS = {
    "classes of pictures": (shapes(N), np.arange(N) % 3),
    "classes of pictures in colour": (np.repeat(shapes(N), 3, axis=3), np.arange(N) % 3),
    "pictures in bytes": ((shapes(N, side=10)[..., 0] * 255).astype(np.uint8), np.arange(N) % 2),
    "masks": (shapes(N), MASKS),
    "boxes": (shapes(N), {"boxes": BOXES, "kinds": (BOXES[..., 0] > 0.5).astype(np.int32)}),
    "key points": (shapes(N), RNG.random((N, 4, 2)).astype(np.float32)),
    "several labels": (blobs(N)[0], (RNG.random((N, 6)) > 0.7).astype(np.float32)),
    "a number": (blobs(N)[0], RNG.normal(size=N).astype(np.float32)),
    "numbers": (blobs(N)[0], RNG.normal(size=(N, 3)).astype(np.float32)),
    "missing numbers": (
        np.where(RNG.random((N, 6)) < 0.2, np.nan, 1.5).astype("f"),
        np.arange(N) % 2,
    ),
    "texts as tokens": (TEXT, np.arange(N) % 2),
    "pairs of texts": ({"first": TEXT, "second": TEXT}, RNG.random(N).astype(np.float32)),
    "tags of tokens": (TEXT, (IDS % 5).astype(np.int32)),
    "spans": (TEXT, np.sort(RNG.integers(0, 12, (N, 2)), axis=1).astype(np.int32)),
    "a text from a text": (TEXT | {"decoder_ids": IDS}, IDS),
}


@pytest.mark.thin(15)
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_example(kind):
    inputs, targets = KINDS[kind]
    targets = targets if isinstance(targets, dict) else np.asarray(targets)
    found = survey(data(inputs, targets))
    examples = found.examples
    assert len(examples) == N
    assert {"split", "row", "outlier", "copies"} <= {column.name for column in examples.columns}
    assert all(len(column.values) == N for column in examples.columns)
    assert len(examples.head(3).shown()) == 3
    assert {each.check for each in findings_of(found)} >= {"copies", "outliers", "suspects"}
    needs_of(found.gathered)
    assert len(fragment(examples).scripts) == 2


def test_annotations_of_boxes_are_counted():
    examples = survey(data(*KINDS["boxes"])).examples
    assert sorted(set(examples["annotations"].tolist())) == [3, 5]
