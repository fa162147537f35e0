"""No run of tokens is written twice where that is asked for, and nothing else is barred."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds
from t5_nets import Table, table_of

from jrecipe import finetune
from jrecipe.finetune.beam import beam_search
from jrecipe.finetune.greedy import greedy
from jrecipe.finetune.repeats import without_repeats
from jrecipe.types import TaskError

WORDS, LENGTH, ROWS, BEAMS = 4, 8, 3, 2
barring = jax.jit(without_repeats, static_argnums=3)


def barred(written, size):
    """Returns the tokens that would end a run which `written` has already."""
    runs = {tuple(written[i : i + size]) for i in range(len(written) - size + 1)}
    begun = tuple(written[len(written) - size + 1 :]) if size > 1 else ()
    return {w for w in range(WORDS) if len(begun) == size - 1 and (*begun, w) in runs}


@given(seed=seeds, size=st.integers(0, 3), position=st.integers(0, LENGTH - 1))
def test_barred_is_what_lists_bar(seed, size, position):
    rng = generator(seed)
    said = rng.normal(size=(ROWS, BEAMS, WORDS)).astype(np.float32)
    ids = rng.integers(0, WORDS, (ROWS, BEAMS, LENGTH)).astype(np.int32)
    got = np.asarray(barring(said, ids, np.int32(position), size))
    for row in range(ROWS):
        for beam in range(BEAMS):
            out = barred(ids[row, beam, :position].tolist(), size) if size else set()
            kept = [w for w in range(WORDS) if w not in out]
            assert np.all(np.isneginf(got[row, beam, sorted(out)]))
            np.testing.assert_array_equal(got[row, beam, kept], said[row, beam, kept])


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_a_network_that_goes_round_in_circles_stops_doing_so(search):
    table = table_of(generator(0), 2, WORDS, scale=0.1)
    table[:, :, 2, 3] = table[:, :, 3, 2] = table[:, :, 0, 2] = 9.0  # 2 3 2 3 2 3 ...
    options = {"max_length": LENGTH, "eos": 1, "pad": 9}
    round_and_round = search(Table(), {}, table, **options).ids
    assert np.all(np.asarray(round_and_round)[:, :6] == [2, 3, 2, 3, 2, 3])
    for size in (1, 3):
        for row in np.asarray(search(Table(), {}, table, no_repeat=size, **options).ids):
            written = row[row != 9].tolist()
            runs = [tuple(written[i : i + size]) for i in range(len(written) - size + 1)]
            assert len(set(runs)) == len(runs), (size, written)


def test_the_kind_hands_it_on():
    table = table_of(generator(1), 2, WORDS, scale=0.1)
    table[:, :, 2, 3] = table[:, :, 3, 2] = table[:, :, 0, 2] = 9.0
    kind = finetune.Summarise(summary_length=LENGTH, beams=1, no_repeat=2)
    written = np.asarray(kind.run(Table(), {}, table, ()))
    want = beam_search(Table(), {}, table, max_length=LENGTH, beams=1, no_repeat=2).ids
    np.testing.assert_array_equal(written, want)
    assert [2, 3, 2, 3] not in written[:, :4].tolist()


def test_a_run_longer_than_what_is_written_bars_nothing():
    said = np.zeros((1, 1, WORDS), np.float32)
    ids = np.zeros((1, 1, 2), np.int32)
    np.testing.assert_array_equal(without_repeats(said, ids, np.int32(2), 3), said)


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_less_than_nothing_is_refused(search):
    with pytest.raises(TaskError, match=r"no_repeat of at least 0, got no_repeat=-1"):
        search(Table(), {}, table_of(generator(0), 1, WORDS), max_length=2, no_repeat=-1)
