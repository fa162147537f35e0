"""Settings of every test: two devices, no silent broadcasting, quick and repeatable Hypothesis."""

from __future__ import annotations

import os

import hypothesis
import jax

jax.config.update("jax_num_cpu_devices", 2)  # so that sharding is tested on any machine
jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests compile far more than they compute; the tests that start `jrecipe` as a process optimise.
jax.config.update("jax_disable_most_optimizations", True)

_QUICK = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
    "print_blob": True,
}
hypothesis.settings.register_profile("dev", max_examples=10, **_QUICK)
hypothesis.settings.register_profile("ci", max_examples=20, derandomize=True, **_QUICK)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")
