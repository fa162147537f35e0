"""Beam search is the reference's; with one beam it is greedy, with many it is exhaustive."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds
from t5_golden.t5_weights import CONFIGS, ENDS, NEW_TOKENS, SEARCHES, inputs_of
from t5_nets import GOLDEN, Table, said, small_t5, table_of, variants

from jrecipe.finetune.beam import beam_search
from jrecipe.finetune.greedy import greedy
from jrecipe.types import TaskError

EOS, PAD = 1, 9
penalties = st.floats(-1.5, 2.5).map(np.float32)


@pytest.mark.exhaustive
@pytest.mark.thin(10)
@pytest.mark.parametrize("name", variants(CONFIGS))
@pytest.mark.parametrize(("beams", "penalty"), SEARCHES[1:])
def test_t5_writes_what_the_reference_writes(name, beams, penalty):
    module, params = small_t5(name)
    written = beam_search(
        module,
        params,
        inputs_of(),
        max_length=NEW_TOKENS,
        beams=beams,
        length_penalty=penalty,
        eos=ENDS[name],
    )
    with np.load(GOLDEN) as golden:
        want = {kind: golden[f"{name}_{beams}_{penalty}_{kind}"] for kind in ("ids", "scores")}
    np.testing.assert_array_equal(written.ids, want["ids"])
    np.testing.assert_allclose(written.scores, want["scores"], rtol=1e-4, atol=1e-5)


def test_the_reference_was_asked_something():
    # Beams find what greedy does not, penalties matter, and rows end at different places.
    with np.load(GOLDEN) as golden:
        found = [[golden[f"{n}_{k}_{a}_ids"].tobytes() for k, a in SEARCHES] for n in CONFIGS]
    assert min(len(set(each)) for each in found) >= 2
    assert sum(len(set(each)) for each in found) >= 14


@given(seed=seeds, penalty=penalties)
def test_one_beam_is_greedy(seed, penalty):
    table = table_of(generator(seed), 4, 5)
    options = {"max_length": 7, "eos": EOS, "pad": PAD}
    want = greedy(Table(), {}, table, **options)
    got = beam_search(Table(), {}, table, beams=1, length_penalty=penalty, **options)
    np.testing.assert_array_equal(got.ids, want.ids)
    np.testing.assert_array_equal(got.lengths, want.lengths)
    value = np.asarray(want.lengths, np.float64) ** penalty
    np.testing.assert_allclose(got.scores, want.scores / value, rtol=1e-5, atol=1e-5)


def all_sequences(words, length):
    """Yields every sequence that ends with the end token, or with `length` tokens."""
    others = [word for word in range(words) if word != EOS]
    for count in range(length):
        for ids in itertools.product(others, repeat=count):
            yield (*ids, EOS)
    yield from itertools.product(others, repeat=length)


@given(seed=seeds, penalty=penalties)
def test_with_enough_beams_no_sequence_is_better(seed, penalty):
    words, length = 3, 4
    beams = words * (words - 1) ** (length - 1)  # as many as there are continuations of a length
    table = table_of(generator(seed), 3, words)
    options = {"max_length": length, "eos": EOS, "pad": PAD}
    got = beam_search(Table(), {}, table, beams=beams, length_penalty=penalty, **options)
    for row, ids, count, score in zip(table, *map(np.asarray, got), strict=True):
        values = {ids: said(row, ids) / len(ids) ** penalty for ids in all_sequences(words, length)}
        best = max(values, key=values.__getitem__)
        assert values[tuple(ids[:count])] >= values[best] - 1e-5
        np.testing.assert_allclose(score, values[best], rtol=1e-4, atol=1e-5)
        assert np.all(ids[count:] == PAD)


def by_hand(table, length, beams, penalty):
    """Returns what beam search finds for one row, with lists."""
    words, running, finished = len(table), [(0.0, ())], []
    for written in range(1, length + 1):
        new = [(said(table, (*ids, w)), (*ids, w)) for _, ids in running for w in range(words)]
        new = sorted(new, reverse=True)[: 2 * beams]
        ended = [ids[-1] == EOS or written == length for _, ids in new]
        value = written**penalty
        first = list(zip(new, ended, strict=True))[:beams]
        finished += [(s / value, ids) for (s, ids), end in first if end]
        finished = sorted(finished, reverse=True)[:beams]
        running = [one for one, end in zip(new, ended, strict=True) if not end][:beams]
        full = len(finished) == beams
        if not running or (full and running[0][0] / value <= finished[-1][0]):
            break
    return finished[0]


@pytest.mark.parametrize("beams", [2, 3])
@given(seed=seeds, penalty=penalties)
def test_few_beams_find_what_lists_find(beams, seed, penalty):
    table = table_of(generator(seed), 4, 5, scale=1.0)
    options = {"max_length": 6, "eos": EOS, "pad": PAD}
    got = beam_search(Table(), {}, table, beams=beams, length_penalty=penalty, **options)
    for row, ids, count, score in zip(table, *map(np.asarray, got), strict=True):
        value, want = by_hand(row, 6, beams, float(penalty))
        np.testing.assert_allclose(score, value, rtol=1e-4, atol=1e-5)
        if tuple(ids[:count]) != want:  # the same steps in another order have the same value
            own = said(row, tuple(ids[:count])) / count ** float(penalty)
            np.testing.assert_allclose(own, value, rtol=1e-5)
        assert np.all(ids[count:] == PAD)


def test_the_penalty_is_a_power_of_the_length():
    # "end" has probability 0.4, "2 2 end" 0.3: equal at an exponent of log(1.314) / log(3) = 0.249.
    table = np.zeros((1, 4, 4, 4), np.float32)
    table[0, 0, 0] = np.log([1e-9, 0.4, 0.6, 1e-9])
    table[0, 0, 2] = np.log([1e-9, 1e-9, 0.5, 0.5])
    table[0, 2, 2] = np.log([1e-9, 1.0, 1e-9, 1e-9])
    short, long = [EOS, PAD, PAD], [2, 2, EOS]
    for penalty, want, value in (
        (0.24, short, np.log(0.4)),
        (0.26, long, np.log(0.3) / 3**0.26),
        (2.0, long, np.log(0.3) / 9),
    ):
        got = beam_search(
            Table(), {}, table, max_length=3, length_penalty=penalty, eos=EOS, pad=PAD
        )
        assert got.ids[0].tolist() == want
        np.testing.assert_allclose(got.scores[0], value, rtol=1e-5)


@pytest.mark.exhaustive
def test_the_row_of_an_example_does_not_depend_on_the_others():
    module, params = small_t5("gated_untied")
    inputs = inputs_of()
    options = {"max_length": NEW_TOKENS, "eos": ENDS["gated_untied"], "beams": 3}
    together = beam_search(module, params, inputs, **options)
    for row in (0, 2):
        alone = {name: array[row : row + 1] for name, array in inputs.items()}
        alone = beam_search(module, params, alone, **options)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-4)


@pytest.mark.exhaustive
def test_padding_of_what_is_read_changes_nothing():
    module, params = small_t5("relu_tied")
    inputs = inputs_of()
    longer = {name: np.pad(inputs[name], ((0, 0), (0, 4))) for name in ("ids", "mask")}
    longer["ids"][~longer["mask"]] = 7
    options = {"max_length": NEW_TOKENS, "eos": ENDS["relu_tied"], "length_penalty": 0.6}
    got, want = (beam_search(module, params, given, **options) for given in (longer, inputs))
    np.testing.assert_array_equal(got.ids, want.ids)
    np.testing.assert_allclose(got.scores, want.scores, atol=1e-5)


def test_search_stops_when_it_is_done_and_penalties_share_a_program():
    seen, traced, traces = [], [], []

    class Counting(Table):
        def step(self, tokens, position, cache):
            traced.append(1)
            jax.debug.callback(lambda at: seen.append(int(at)), position)
            return super().step(tokens, position, cache)

    table = np.zeros((2, 5, 5, 5), np.float32)
    table[..., EOS] = 9.0
    table[1, 0, 0] = [0.0, 0.0, 9.0, 0.0, 0.0]
    for penalty in (1.0, 0.5):
        written = beam_search(
            Counting(), {}, table, max_length=7, beams=2, length_penalty=penalty, eos=EOS
        )
        jax.block_until_ready(written)
        jax.effects_barrier()
        assert written.lengths.tolist() == [1, 2]
        assert max(seen) < 5
        traces.append(len(traced))
    assert traces[0] == traces[1]


@pytest.mark.parametrize("name", ["max_length", "beams"])
def test_numbers_that_cannot_be_are_refused(name):
    options = {"max_length": 3, "beams": 2} | {name: 0}
    with pytest.raises(TaskError, match=f"beam_search needs {name} of at least 1, got {name}=0"):
        beam_search(Table(), {}, table_of(generator(0), 1, 4), **options)
