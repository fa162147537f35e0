"""Buckets are the reference's, and the bias of one query is its row of the whole."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jrecipe.models.relative_positions import RelativePositions, buckets_of_distances
from jrecipe.types import TaskError

GOLDEN = Path(__file__).parents[1] / "finetune" / "t5_golden" / "t5_golden.npz"
HEADS = 3


def test_buckets_are_those_of_the_reference():
    with np.load(GOLDEN) as golden:
        names = [name for name in golden.files if name.startswith("buckets_")]
        assert len(names) == 12
        for name in names:
            _, buckets, farthest, both = name.split("_")
            want, buckets = golden[name], int(buckets)
            length = (len(want) + 1) // 2
            net = RelativePositions(1, both == "False", buckets, int(farthest), 4)
            # The table is its own index, so that what comes out are the buckets.
            variables = {"params": {"embedding": jnp.arange(buckets, dtype=jnp.float32)[:, None]}}
            found = np.asarray(net.apply(variables, length))[0, 0].astype(int)
            np.testing.assert_array_equal(found[0], want[length - 1 :], err_msg=name)
            np.testing.assert_array_equal(found[-1], want[:length], err_msg=name)


@pytest.mark.parametrize("causal", [True, False])
def test_the_bias_depends_on_the_distance_alone(causal):
    net = RelativePositions(HEADS, causal, 8, 11, 4)
    bias, _ = net.init_with_output(jax.random.key(0), 20)
    assert bias.shape == (1, HEADS, 20, 20)
    np.testing.assert_array_equal(bias[:, :, 1:, 1:], bias[:, :, :-1, :-1])
    behind = np.triu(np.ones((20, 20), bool))
    alike = np.ptp(np.asarray(bias)[0, 0][behind]) == 0
    assert alike == causal  # a causal one spends no bucket on what is not looked at


def test_a_row_is_that_of_the_whole():
    net = RelativePositions(HEADS, True, 8, 11, 4)
    bias, variables = net.init_with_output(jax.random.key(1), 20)
    row = jax.jit(lambda position: net.apply(variables, position, 20, method="row"))
    for position in (0, 1, 7, 19):
        np.testing.assert_array_equal(row(position)[0, :, 0], bias[0, :, position])


@pytest.mark.parametrize(("buckets", "farthest"), [(1, 128), (0, 128), (32, 16), (32, 3)])
def test_buckets_that_cannot_be_are_refused(buckets, farthest):
    with pytest.raises(TaskError, match="relative positions need"):
        buckets_of_distances(10, buckets, farthest)
    assert buckets_of_distances(10, 2, 2).tolist() == [0] + 9 * [1]
