"""A Hypothesis profile for code that JAX compiles: no deadline, few examples, the same in CI.

A drawn shape compiles anew, so the first example of a test takes seconds and the next ones nothing:
a deadline would fail it for being first. In CI examples are derived from the test itself, so that a
red build is red again.
"""

from __future__ import annotations

import os
from typing import Any


def load_profile(max_examples: int = 10, *, ci: bool | None = None) -> None:
    """Registers the profiles "jrecipe" and "jrecipe-ci" with Hypothesis, and loads one of them.

    Args:
      max_examples: per test; draw seeds rather than arrays, so that few are enough.
      ci: load "jrecipe-ci"; None asks whether the environment variable CI is set.

    Example, in a conftest.py:
      >>> import jrecipe as jr
      >>> jr.testing.load_profile()
    """
    import hypothesis

    options: dict[str, Any] = {
        "deadline": None,
        "suppress_health_check": [hypothesis.HealthCheck.too_slow],
        "print_blob": True,
        "max_examples": max_examples,
    }
    hypothesis.settings.register_profile("jrecipe", derandomize=False, **options)
    hypothesis.settings.register_profile("jrecipe-ci", derandomize=True, **options)
    if ci is None:
        ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    hypothesis.settings.load_profile("jrecipe-ci" if ci else "jrecipe")
