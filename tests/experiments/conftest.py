"""The benchmarks lie beside the tests, in experiments/."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "benchmarks"))
