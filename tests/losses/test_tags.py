"""Which BIO2 tags may follow one another."""

from __future__ import annotations

import pytest

from jrecipe.losses import bio2_steps, crf
from jrecipe.types import TaskError


def test_an_inside_tag_follows_its_own_kind_only():
    names = ["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]
    first, follows = bio2_steps(names)
    assert {n for n, ok in zip(names, first, strict=True) if ok} == {"B-PER", "O", "B-LOC"}
    for i, before in enumerate(names):
        for j, after in enumerate(names):
            want = not after.startswith("I-") or before in ("B" + after[1:], after)
            assert follows[i, j] == want, (before, after)


@pytest.mark.parametrize(
    ("names", "word"),
    [(["O", "PER"], "'PER' at 1"), (["O", "B-"], "'B-' at 1"), (["O", "B-X", "B-X"], "twice")],
)
def test_names_that_are_no_bio2_are_refused(names, word):
    for use in (bio2_steps, crf):
        with pytest.raises(TaskError, match=word):
            use(names)
