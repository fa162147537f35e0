"""Statistics that a foreign loop forgets are found; constants on purpose are not."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from jrecipe.checks.carried_state import stale_copies, still_statistics

ZEROS, ONES = np.zeros(3, np.float32), np.ones(3, np.float32)


def state(mean=ZEROS, var=ONES, other=ZEROS, weight=0.5):
    """A trainer's state with two normalisations, as a pytree."""
    return {
        "params": {"Norm_0": {"scale": np.full(3, weight, np.float32)}},
        "stats": {
            "Norm_0": {"mean": jnp.asarray(mean), "var": jnp.asarray(var)},
            "Norm_1": {"mean": jnp.asarray(other)},
        },
    }


def params_of(state):
    return state["params"]


def predict(state):
    """Reads every statistic."""
    stats = state["stats"]
    hidden = (1 - stats["Norm_0"]["mean"]) / stats["Norm_0"]["var"]
    return hidden * state["params"]["Norm_0"]["scale"] - stats["Norm_1"]["mean"]


MOVED = ONES * 0.3
FORGOTTEN = {
    "all of them": (state(weight=0.6), ["stats/Norm_0/mean", "stats/Norm_0/var"]),
    "one of two": (state(MOVED, ONES + 0.1, weight=0.6), ["stats/Norm_1/mean"]),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_forgotten_statistics_are_named(name):
    after, want = FORGOTTEN[name]
    assert still_statistics(state(), after, params_of, predict) == want


def test_in_the_attributes_of_an_object():
    before, after = (types.SimpleNamespace(**state(weight=w)) for w in (0.5, 0.6))
    found = still_statistics(before, after, lambda s: s.params, lambda s: predict(vars(s)))
    assert found == ["stats/Norm_0/mean", "stats/Norm_0/var"]


def test_what_follows_is_frozen_or_is_not_read_is_silent():
    followed = state(MOVED, ONES + 0.1, MOVED, weight=0.6)
    assert still_statistics(state(), followed, params_of, predict) == []
    part = state(MOVED, ONES + 0.1, weight=0.6)
    alone = lambda s: s["params"]["Norm_0"]["scale"] - s["stats"]["Norm_0"]["mean"]  # noqa: E731
    assert still_statistics(state(), part, params_of, alone) == []
    nothing = state(weight=0.6)
    assert still_statistics(state(), nothing, params_of, predict, ["Norm_0/scale"]) == []


def test_constant_buffers_are_silent():
    table = np.linspace(0, 1, 3, dtype=np.float32)
    before = {"params": {"w": ONES}, "positions": table, "mask": ONES}
    after = {"params": {"w": 2 * ONES}, "positions": table, "mask": ONES}
    reads = lambda s: s["params"]["w"] * s["positions"] * s["mask"]  # noqa: E731
    assert still_statistics(before, after, params_of, reads) == []


def test_copies_of_the_first_weights_are_found_where_predictions_read_them():
    weights = np.arange(3, dtype=np.float32)
    before = {"params": {"w": weights}, "shown": weights, "anchor": weights}
    after = {"params": {"w": weights + 1}, "shown": weights, "anchor": weights}
    follows = {**after, "shown": weights + 0.5}
    reads, fresh = lambda s: 2 * s["shown"], lambda s: 2 * s["params"]["w"]
    params_of = lambda s: s["params"]  # noqa: E731
    assert stale_copies(before, after, params_of, reads) == ["shown"]
    assert stale_copies(before, follows, params_of, reads) == []  # an average of weights
    assert stale_copies(before, after, params_of, fresh) == []  # kept, but not for predictions
    assert stale_copies(before, before, params_of, reads) == []  # nothing has moved yet
