"""Settings of every test: two devices, no silent broadcasting, quick and repeatable Hypothesis."""

from __future__ import annotations

import os
import shutil
import tempfile

import hypothesis
import jax
import pytest
from browsers import browser  # noqa: F401

jax.config.update("jax_num_cpu_devices", 2)  # so that sharding is tested on any machine
jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests compile far more than they compute; the tests that start `jrecipe` as a process optimise.
jax.config.update("jax_disable_most_optimizations", True)
if jax.__version_info__ < (0, 11):  # halves the time to compile; later versions lack it
    _flags = os.environ.get("XLA_FLAGS")
    os.environ["XLA_FLAGS"] = f"{_flags or ''} --xla_cpu_use_fusion_emitters=false"
    jax.devices()  # reads the flags
    if _flags is None:
        del os.environ["XLA_FLAGS"]  # processes that tests start are as a user's
    else:
        os.environ["XLA_FLAGS"] = _flags

# Many tests compile the same programs: each worker keeps those it compiled as long as it runs. The
# folder is no one else's, since JAX writes it in place: another process could read half a program.
# JRECIPE_COMPILED names one that outlives the run, for the next of as many workers.
_KEPT = os.environ.get("JRECIPE_COMPILED")
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
_COMPILED = os.path.join(_KEPT, _WORKER) if _KEPT else tempfile.mkdtemp(prefix="jrecipe-tests-")
jax.config.update("jax_compilation_cache_dir", _COMPILED)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

_QUICK = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
    "print_blob": True,
}
_EXAMPLES = int(os.environ.get("JRECIPE_EXAMPLES", "6"))  # of a law, where it does not say
hypothesis.settings.register_profile("dev", max_examples=_EXAMPLES, **_QUICK)
hypothesis.settings.register_profile("ci", max_examples=_EXAMPLES, derandomize=True, **_QUICK)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


def pytest_unconfigure() -> None:
    """Removes what was compiled."""
    if not _KEPT:
        shutil.rmtree(_COMPILED, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks cases of tests marked `thin(n)` as exhaustive, all but every n-th of each test."""
    seen: dict[str, int] = {}
    for item in items:
        marker = item.get_closest_marker("thin")
        if marker is None or not hasattr(item, "callspec"):
            continue
        name = item.nodeid.partition("[")[0]
        seen[name] = seen.get(name, -1) + 1
        if seen[name] % marker.args[0]:
            item.add_marker(pytest.mark.exhaustive)
