"""What makes the site lies beside the pages, in docs/making/ and .ci/."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
for folder in (ROOT / "docs" / "making", ROOT / ".ci"):
    sys.path.insert(0, str(folder))
