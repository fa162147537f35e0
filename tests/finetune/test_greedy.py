"""Greedy writing is the reference's, ends where it should, and is of each row alone."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from strategies import generator, seeds
from t5_golden.t5_weights import CONFIGS, ENDS, NEW_TOKENS, inputs_of
from t5_nets import GOLDEN, Table, said, small_t5, table_of, variants

from jrecipe.finetune.greedy import greedy
from jrecipe.types import TaskError

WORDS, LENGTH, EOS, PAD = 5, 7, 1, 9  # padding that no network writes


def by_hand(table):
    """Returns what one row of a table writes."""
    ids, before, last = [], 0, 0
    while len(ids) < LENGTH and last != EOS:
        before, last = last, int(np.argmax(table[before, last]))
        ids.append(last)
    return ids


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", variants(CONFIGS))
def test_t5_writes_what_the_reference_writes(name):
    module, params = small_t5(name)
    written = greedy(module, params, inputs_of(), max_length=NEW_TOKENS, eos=ENDS[name])
    with np.load(GOLDEN) as golden:
        want = golden[f"{name}_1_1.0_ids"]
    np.testing.assert_array_equal(written.ids, want)
    assert len(set(np.asarray(written.lengths).tolist())) > 1


@given(seed=seeds)
def test_rows_end_at_the_end_token_and_are_padded(seed):
    table = table_of(generator(seed), 4, WORDS)
    written = greedy(Table(), {}, table, max_length=LENGTH, eos=EOS, pad=PAD)
    for row, ids, length, score in zip(table, *map(np.asarray, written), strict=True):
        want = by_hand(row)
        assert ids[:length].tolist() == want
        assert np.all(ids[length:] == PAD)
        np.testing.assert_allclose(score, said(row, want), rtol=1e-5, atol=1e-5)


@pytest.mark.exhaustive
def test_the_row_of_an_example_does_not_depend_on_the_others():
    module, params = small_t5("gated_untied")
    inputs = inputs_of()
    options = {"max_length": NEW_TOKENS, "eos": ENDS["gated_untied"]}
    together = greedy(module, params, inputs, **options)
    for row in (0, 1):
        alone = greedy(module, params, {n: a[row : row + 1] for n, a in inputs.items()}, **options)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-4)


def test_writing_stops_when_all_rows_have_ended():
    seen = []

    class Counting(Table):
        def step(self, tokens, position, cache):
            jax.debug.callback(lambda at: seen.append(int(at)), position)
            return super().step(tokens, position, cache)

    table = table_of(generator(3), 2, WORDS)
    table[:, 0, 0, 2] = table[0, 0, 2, EOS] = 99.0  # rows end after 2 and 3 tokens
    table[1, 0, 2, 3] = table[1, 2, 3, EOS] = 99.0
    written = greedy(Counting(), {}, table, max_length=LENGTH, eos=EOS, pad=PAD)
    jax.block_until_ready(written)
    jax.effects_barrier()
    assert written.lengths.tolist() == [2, 3]
    assert sorted(seen) == [0, 1, 2]


def test_a_length_of_nothing_is_refused():
    with pytest.raises(TaskError, match="greedy needs max_length of at least 1, got max_length=0"):
        greedy(Table(), {}, table_of(generator(0), 1, WORDS), max_length=0)
