"""The blind exam is what it says: sound programs, and faults with documented causes."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from gallery.program import STRENGTHS
from gallery.unseen import UNSEEN, UNSEEN_HEALTHY

import jrecipe as jr
from jrecipe.checks.result import CAUSES, COMPONENTS


def test_names_and_causes_are_documented():
    names = [program.name for program in (*UNSEEN, *UNSEEN_HEALTHY)]
    assert len(set(names)) == len(names)
    for fault in UNSEEN:
        assert set(fault.causes) <= set(CAUSES), fault.name
        assert set(fault.components) <= set(COMPONENTS), fault.name


@pytest.mark.slow
def test_all_build_and_a_seed_decides_the_data():
    for fault in UNSEEN:
        for task in (fault.twin(1), *(fault.build(1, strength) for strength in STRENGTHS)):
            assert 100 <= len(task.train) <= 1500, fault.name
    for program in UNSEEN_HEALTHY[::4]:
        first, again, other = (program.build(seed).train.take(np.arange(8)) for seed in (3, 3, 4))
        assert jax.tree.all(jax.tree.map(np.array_equal, first, again)), program.name
        pairs = zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True)
        assert not all(np.array_equal(a, b) for a, b in pairs), program.name


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("program", UNSEEN_HEALTHY[::4], ids=lambda program: program.name)
def test_odd_programs_learn(program):
    task = program.build(0)
    with jax.numpy_rank_promotion("allow"):  # people's own programs broadcast as they like
        start = jr.fit(task, 1, progress=False).evaluate("val", best=False).loss
        end = jr.fit(task, 300, progress=False).evaluate("val", best=False).loss
    assert end < start
