"""Where the real data and weights are that are too large for the repository; None if nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(os.environ["JRECIPE_DATA"]) if "JRECIPE_DATA" in os.environ else None
needs_shared_data = pytest.mark.skipif(
    SHARED is None or not (SHARED / "pretrained").is_dir(),
    reason="JRECIPE_DATA does not name a folder with pretrained",
)


def cifar10_test() -> tuple[np.ndarray, np.ndarray]:
    """Returns 4,000 test pictures uint8[n, 32, 32, 3] and their classes."""
    assert SHARED is not None
    with np.load(SHARED / "cifar10" / "test.npz", allow_pickle=False) as held:
        planes, labels = held["r"], held["y"]
    planes[..., 0] = np.cumsum(planes[..., 0], -1, dtype=np.uint8)
    green, red, blue = np.cumsum(planes, -1, dtype=np.uint8)
    x = np.stack([red + green, green, blue + green], -1)
    assert (x[0].sum(), x[-1].sum()) == (394869, 492118)
    return x, labels.astype(np.int32)
