"""What a run tells about itself: history, clock and progress bar."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe.train import Clock, History
from jrecipe.train.progress import progress_bar

rows = st.lists(
    st.dictionaries(st.sampled_from(("loss", "val_loss", "x")), st.floats(), max_size=3), max_size=5
)


@given(rows=rows)
def test_a_history_comes_back_from_json_lines(tmp_path_factory, rows):
    history, path = History(), tmp_path_factory.mktemp("history") / "history.jsonl"
    for step, row in enumerate(rows):
        history.add(step, row)
    history.save(path)
    got = History.load(path)
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()
    for name in history.names():
        want = np.where(np.isfinite(history[name]), history[name], math.nan)
        np.testing.assert_array_equal(got[name], want)
        np.testing.assert_array_equal(got.steps(name), history.steps(name))


def test_a_half_written_last_line_is_dropped(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert History.load(path).rows == [{"step": 1, "loss": 2.0}]


def test_a_history_knows_what_was_measured_when():
    history = History()
    history.add(1, {"loss": 3.0, "step": 99.0})
    history.add(2, {"loss": 2.0, "val_loss": 5.0})
    assert history.names() == ["loss", "val_loss"]
    assert history.steps("val_loss").tolist() == [2]
    assert history.until(1).rows == [{"step": 1, "loss": 3.0}]
    assert history["nothing"].shape == (0,)


def test_a_history_takes_many_updates_at_once():
    history = History()
    history.extend(7, {"step": np.zeros(2), "loss": np.float32([3, 2]), "lr": np.ones(2)})
    assert history.rows == [
        {"step": 8, "loss": 3.0, "lr": 1.0},
        {"step": 9, "loss": 2.0, "lr": 1.0},
    ]
    history.extend(9, {})  # a trainer of the user's that measures nothing
    history.extend(9, {"step": np.zeros(2)})
    assert len(history.rows) == 2
    with pytest.raises(ValueError, match="zip"):
        history.extend(9, {"loss": np.ones(2), "lr": np.ones(3)})


def test_a_clock_tells_compilation_from_the_rest():
    with Clock() as first:
        function = jax.jit(lambda x: jnp.sin(x) @ x.T)
        function(jnp.ones((20, 20))).block_until_ready()
    with Clock() as second:
        function(jnp.ones((20, 20))).block_until_ready()
    assert 0 < first.compile_seconds <= first.seconds
    assert second.compile_seconds < first.compile_seconds
    seconds = first.seconds
    assert first.seconds == seconds  # stopped


def test_a_clock_counts_phases_that_overlap_once():
    clock = Clock()
    clock._start, clock._compiling = 0.0, [(1.0, 4.0), (2.0, 3.0), (3.5, 5.0), (-1.0, 0.5)]
    assert clock.compile_seconds == 4.5


def test_no_terminal_no_bar_but_lines(capfd):
    with progress_bar("run", 10) as shows:
        shows.advance(5, {"loss": 1.0})
        assert capfd.readouterr() == ("", "")
        shows.say("it is flat")
    assert capfd.readouterr() == ("", "run: it is flat\n")
    with progress_bar("run", 10, show=False) as shows:
        shows.say("it is flat")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("total", [10, None])
def test_a_bar_shows_title_and_numbers_and_takes_no_markup(capfd, total):
    with progress_bar("[red]run[/red]", total, show=True) as shows:
        shows.advance(10, {"loss": 1.23456})
        shows.say("it is [b]flat[/b]")
    out, err = capfd.readouterr()
    assert out == ""  # standard output stays for results
    assert "[red]run[/red]: it is [b]flat[/b]\n" in err
