"""The benchmarks compute, measure and draw what they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import apart
import contest
import growth
import numpy as np
import plot
import pytest
from matplotlib.image import imread

pytestmark = pytest.mark.thin(2)

SECONDS = {"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 2.0, 2.0]}  # 3, 1 and 0.5 times as fast


def made_up(label, values, power):
    points = [growth.Point(value, 1e-3 * value**power, 1.0, 300.0) for value in values]
    return {"label": label, "points": [point._asdict() for point in points]}


def test_ratios_are_those_of_each_round():
    assert contest.ratios(SECONDS, "ours") == {"theirs": contest.Ratio(1.0, 0.5, 3.0)}


def test_a_turn_of_updates_goes_on_where_the_last_one_ended():
    seen = []

    def step(state, batch):
        seen.append((state, batch))
        return state + 1, {"loss": 0.5}

    run = contest.updating(step, 7, "batch", 3)
    assert run() > 0
    assert run() > 0
    assert seen == [(7 + i, "batch") for i in range(6)]


COMPETITOR = f"""
import sys, time
sys.path.insert(0, {str(Path(apart.__file__).parent)!r})
import apart
turns = iter([0.25, 0.125])
def run():
    print("chatter")
    time.sleep(0.01)
    return next(turns)
apart.answer(run, 12)
"""


def test_a_contestant_answers_from_a_process_of_its_own():
    with apart.Apart([sys.executable, "-c", COMPETITOR]) as contestant:
        assert [contestant(), contestant()] == [0.25, 0.125]
        assert contestant.parameters == 12
        assert 0.01 < contestant.first_seconds < 60
        assert 1 < contestant.memory < 100_000
        with pytest.raises(RuntimeError, match="ended with code 1"):
            contestant()  # no third turn


def test_a_contestant_that_cannot_start_is_told():
    with (
        apart.Apart([sys.executable, "-c", "raise SystemExit(3)"]) as contestant,
        pytest.raises(RuntimeError, match="ended with code 3"),
    ):
        contestant()


def test_rows_show_the_ratios():
    assert contest.rows(SECONDS, "ours")[2:] == [
        "| ours | 2000.0 ms | - |",
        "| theirs | 2000.0 ms | 1.00 (0.50 to 3.00) |",
    ]


def test_saved_ratios_say_what_was_wanted(tmp_path):
    found = {"a": contest.Ratio(1.0, 0.5, 3.0), "b": contest.Ratio(2.0, 1.5, 2.5)}
    contest.save(tmp_path / "it.json", "a title", found, {"a": 0.9})
    saved = json.loads((tmp_path / "it.json").read_text())
    assert saved["title"] == "a title"
    assert saved["rows"][0] == {"name": "a", "ratio": 1.0, "low": 0.5, "high": 3.0, "wanted": 0.9}
    assert saved["rows"][1]["wanted"] is None


@pytest.mark.parametrize("power", [-0.5, 0.0, 1.0, 2.5])
def test_the_exponent_of_a_power_law_is_found(power):
    values = [1, 10, 30, 2000]
    found = growth.exponent(values, [7e-4 * value**power for value in values])
    assert found == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize(
    ("wanted", "given"), [(10, 3), (10, 19.9), (90, 99), (100, 101), (1200, 1299)]
)
def test_updates_fill_whole_chunks(wanted, given):
    assert growth.whole_chunks(given) == wanted


def test_the_middle_of_points_is_that_of_each_number():
    points = [growth.Point(8, *numbers) for numbers in [(1, 6, 7), (3, 4, 9), (2, 5, 8)]]
    assert growth.middle(points) == growth.Point(8, 2, 5, 8)


def test_a_table_says_how_time_grows():
    points = [growth.Point(1, 0.001, 0.5, 300.2), growth.Point(10, 0.1, 0.6, 400.0)]
    assert growth.table("rows", points)[2:] == [
        "| 1 | 1.0 ms | 1.00 | 0.50 s | 300 MiB |",
        "| 10 | 100.0 ms | 100.00 | 0.60 s | 400 MiB |",
        "",
        "Time grows as value^2.00.",
    ]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_point_is_measured_in_a_process_of_its_own():
    point = growth.measure_apart("batch", 16, 0.01)
    assert point.value == 16
    assert 0 < point.seconds < 1
    assert point.compile_seconds > 0
    assert 50 < point.memory < 100_000


@pytest.mark.exhaustive
@pytest.mark.parametrize("axis", growth.AXES)
def test_the_first_point_of_each_axis_can_be_measured(axis):
    assert growth.measure_apart(axis, growth.AXES[axis].values[0], 0.01).seconds > 0


@pytest.mark.exhaustive
def test_pictures_are_drawn_from_what_was_saved(tmp_path, monkeypatch):
    ratios, grown = tmp_path / "ratios.json", tmp_path / "growth.json"
    contest.save(ratios, "a contest", contest.ratios(SECONDS, "ours"), {"theirs": 1.5})
    axes = [made_up("rows", [1, 10], 1.5), made_up("layers", [1, 2, 4], 0.0)]
    grown.write_text(json.dumps({"axes": axes}))
    command = ["plot.py", "--ratios", str(ratios), str(ratios), "--growth", str(grown)]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "new")])
    plot.main()
    for name in ("benchmarks.png", "growth.png"):
        picture = imread(tmp_path / "new" / name)
        assert picture.shape[1] == 880
        assert 150 < picture.shape[0] < 880
        assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00026, "260 us"), (0.0013, "1.3 ms"), (0.0388, "39 ms"), (2.0, "2 s")]
)
def test_a_short_time_has_two_digits_or_three(seconds, text):
    assert plot.short_time(seconds) == text


def test_nothing_wanted_draws_no_tick():
    row = {"name": "theirs", "ratio": 2.0, "low": 1.5, "high": 2.5, "wanted": None}
    axes = plot.draw_ratios([{"title": "a contest", "rows": [row]}]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["2.00"]


@pytest.mark.parametrize("power", [-0.5, 0.0, 1.0, 2.0])
def test_every_point_lies_in_its_square_where_slope_one_is_the_diagonal(power):
    values = [1, 4, 100]
    (axes,) = plot.draw_growth([made_up("rows", values, power)]).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert right / left == pytest.approx(top / bottom)
    for value in values:
        assert left < value < right
        assert bottom < 1e-3 * value**power < top
