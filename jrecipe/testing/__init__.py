"""The recipe's checks in a user's own tests; needs pytest (`pip install 'jrecipe[testing]'`).

Names load when they are first used: pytest imports the plugin in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jrecipe.testing import strategies
    from jrecipe.testing.assertions import (
        assert_accumulation_equivalent,
        assert_causal,
        assert_equivalent,
        assert_every_parameter_moves,
        assert_examples_isolated,
        assert_frozen,
        assert_loss_at_init,
        assert_no_leakage,
        assert_overfits_one_batch,
        assert_reference_step,
        assert_resume_equivalent,
    )
    from jrecipe.testing.equivariant import assert_equivariant
    from jrecipe.testing.parametrize import (
        assert_passes,
        describe,
        parametrize_with_checks,
    )
    from jrecipe.testing.profile import load_profile

_NAMES = {
    "assert_accumulation_equivalent": "assertions",
    "assert_causal": "assertions",
    "assert_equivalent": "assertions",
    "assert_equivariant": "equivariant",
    "assert_every_parameter_moves": "assertions",
    "assert_examples_isolated": "assertions",
    "assert_frozen": "assertions",
    "assert_loss_at_init": "assertions",
    "assert_no_leakage": "assertions",
    "assert_overfits_one_batch": "assertions",
    "assert_passes": "parametrize",
    "assert_reference_step": "assertions",
    "assert_resume_equivalent": "assertions",
    "describe": "parametrize",
    "load_profile": "profile",
    "parametrize_with_checks": "parametrize",
}
__all__ = [
    "assert_accumulation_equivalent",
    "assert_causal",
    "assert_equivalent",
    "assert_equivariant",
    "assert_every_parameter_moves",
    "assert_examples_isolated",
    "assert_frozen",
    "assert_loss_at_init",
    "assert_no_leakage",
    "assert_overfits_one_batch",
    "assert_passes",
    "assert_reference_step",
    "assert_resume_equivalent",
    "describe",
    "load_profile",
    "parametrize_with_checks",
    "strategies",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return importlib.import_module("jrecipe.testing.strategies")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jrecipe.testing.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
