"""Spaces and designs: every value lies where it should, and bad ones are named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe import tune
from jrecipe.types import TaskError

KINDS = {
    "uniform": tune.Uniform(-1.0, 2.0),
    "log": tune.LogUniform(1e-5, 1e-1),
    "int": tune.Int(3, 17),
    "log int": tune.Int(1, 1000, log=True),
    "choice": tune.Choice("a", 3, None, 0.5),
    "when": tune.When("other", (1,), tune.Int(2, 4)),
}
places = st.floats(0.0, 1.0, exclude_max=True, allow_subnormal=False)


@pytest.mark.parametrize("name", KINDS)
@given(place=places)
def test_a_value_lies_where_it_was_found(name, place):
    parameter = KINDS[name]
    value = parameter.at(place)
    again = parameter.place(value)
    assert 0.0 <= again <= 1.0
    back = parameter.at(min(again, np.nextafter(1.0, 0.0)))
    assert back == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)


@pytest.mark.parametrize("name", ["int", "log int", "choice"])
def test_every_whole_number_and_choice_is_reached_and_ends_belong_to_it(name):
    parameter = KINDS[name]
    found = {parameter.at(u) for u in np.linspace(0, 1, 100_001)[:-1]}
    if name == "choice":
        assert found == set(parameter.values)
    else:
        assert {min(found), max(found)} == {parameter.low, parameter.high}
        assert name != "int" or len(found) == 15


def test_choices_and_numbers_are_equally_likely():
    found = [p["n"] for p in tune.random(tune.Space({"n": tune.Int(1, 4)}), 4000)]
    assert np.allclose(np.bincount(found)[1:] / 4000, 0.25, atol=0.03)
    logs = [p["r"] for p in tune.random(tune.Space({"r": tune.LogUniform(1e-4, 1.0)}), 4000)]
    assert np.mean(np.array(logs) < 1e-2) == pytest.approx(0.5, abs=0.03)


def test_conditional_parameters_exist_only_where_their_condition_holds():
    space = tune.Space(
        {
            "optimizer": tune.Choice("adam", "sgd"),
            "momentum": tune.When("optimizer", ("sgd",), tune.Uniform(0.5, 0.99)),
        }
    )
    found = tune.random(space, 50)
    assert {p["optimizer"] for p in found} == {"adam", "sgd"}
    assert all(("momentum" in p) == (p["optimizer"] == "sgd") for p in found)
    assert math.isnan(space.places({"optimizer": "adam"})[1])


def test_a_condition_of_a_condition_that_fails_is_left_out_too():
    space = tune.Space(
        {
            "a": tune.Choice(0, 1),
            "b": tune.When("a", (1,), tune.Choice(0, 1)),
            "c": tune.When("b", (1,), tune.Uniform(0.0, 1.0)),
        }
    )
    assert all(("c" in p) == (p.get("b") == 1) for p in tune.random(space, 60))


def test_roles_are_told_apart():
    space = tune.Space(
        {"width": tune.Choice(32, 64), "rate": tune.LogUniform(1e-4, 1e-1), "depth": 2},
        scientific=("width",),
    )
    assert space.roles() == {"width": "scientific", "rate": "nuisance", "depth": "fixed"}
    assert space.group_of(space.at([0.0, 0.5])) == {"width": 32, "depth": 2}


@pytest.mark.parametrize("design", [tune.random, tune.sobol])
def test_designs_are_functions_of_the_seed_and_go_on(design):
    space = tune.Space({"x": tune.Uniform(0.0, 1.0), "y": tune.LogUniform(1e-3, 1.0)})
    assert design(space, 8, seed=3) == design(space, 8, seed=3)
    assert design(space, 8, seed=3) == design(space, 16, seed=3)[:8]
    assert design(space, 8, seed=3) != design(space, 8, seed=4)


def test_sobol_points_are_spread_more_evenly_than_random_ones():
    space = tune.Space({"x": tune.Uniform(0.0, 1.0), "y": tune.Uniform(0.0, 1.0)})

    def filled(points):  # of 64 equal squares
        return len({(int(8 * p["x"]), int(8 * p["y"])) for p in points})

    for seed in range(5):
        assert filled(tune.sobol(space, 64, seed)) > filled(tune.random(space, 64, seed))


def test_a_grid_tries_few_values_of_each():
    space = tune.Space({name: tune.Uniform(0.0, 1.0) for name in "abcde"})
    points = tune.grid(space, 40)
    assert len(points) == 32
    assert len({p["a"] for p in points}) == 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: tune.Space({}), "nothing to search"),
        (lambda: tune.Space({"x": 3}), "nothing to search"),
        (lambda: tune.LogUniform(0.0, 1.0), "low > 0"),
        (lambda: tune.LogUniform(1.0, 1.0), "low < high"),
        (lambda: tune.Uniform(0.0, math.inf), "finite"),
        (lambda: tune.Uniform("a", 1.0), "finite numbers"),
        (lambda: tune.Int(0, 8, log=True), "low > 0"),
        (lambda: tune.Int(1.5, 8), "whole numbers"),
        (lambda: tune.Int(9, 8), "low <= high"),
        (lambda: tune.Choice(), "no values"),
        (lambda: tune.Choice(1, 1), "differ"),
        (lambda: tune.Choice([1]), "numbers, texts"),
        (lambda: tune.When("x", "sgd", tune.Int(1, 2)), r"\('sgd',\)"),
        (lambda: tune.Space({"x": [1, 2]}), "plain value"),
        (lambda: tune.Space({"m": tune.When("o", (1,), tune.Int(1, 2))}), "nowhere"),
        (lambda: tune.Space({"m": tune.Int(1, 2)}, scientific=("n",)), "not searched"),
        (lambda: tune.Space({"m": tune.Int(1, 2)}, scientific="m"), r"\('m',\)"),
        (lambda: tune.random(tune.Space({"m": tune.Int(1, 2)}), 0), "count >= 1"),
        (lambda: tune.grid(tune.Space({c: tune.Int(1, 2) for c in "abcde"}), 9), "2\\^5"),
    ],
)
def test_bad_spaces_are_named(make, says):
    with pytest.raises(TaskError, match=says):
        make()
