"""Packing keeps every token once, in order, and pads only the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe.finetune.packing import pack
from jrecipe.types import TaskError

SEP, CLS = 3, 2
texts = st.lists(st.lists(st.integers(5, 99), max_size=30), min_size=1, max_size=8)


@given(texts=texts, length=st.integers(3, 20), first=st.sampled_from([None, CLS]))
def test_every_token_stands_in_one_row(texts, length, first):
    if not any(texts):
        with pytest.raises(TaskError, match="got none"):
            pack(texts, length, separator=SEP, first=first)
        return
    rows = pack(texts, length, separator=SEP, first=first)
    assert rows.dtype == np.int32
    assert rows.shape[1] == length
    if first is not None:
        assert (rows[:, 0] == CLS).all()
    body = rows if first is None else rows[:, 1:]
    want = [token for text in texts if text for token in (*text, SEP)]
    assert body.ravel()[: len(want)].tolist() == want
    assert not body.ravel()[len(want) :].any()
    assert body.size - len(want) < body.shape[1]  # nothing but the last row has padding


def test_rows_without_room_are_refused():
    with pytest.raises(TaskError, match="length=2"):
        pack([[5]], 2, separator=SEP, first=CLS)
    assert pack([[5]], 2, separator=SEP).tolist() == [[5, SEP]]
