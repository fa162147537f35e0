"""How do time and memory of looking at every example grow with their number?

Question: does a survey (copies, outliers, the probe, doubted labels) of n pictures cost in
proportion to n? And what do cleanlab and imagededup take for the parts that they do: labels from
the same probabilities, and copies of the same pictures?

Data: Fashion-MNIST up to 70,000 pictures; above that, pictures made from it by blending two of one
class, all different.

Command: python experiments/benchmarks/inspecting.py --data DIR [--sizes 10000 30000 60000 300000]
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import jrecipe as jr
from jrecipe import explore


def pictures(data: str, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` pictures uint8[n, 28, 28] and their classes."""
    splits = jr.data.load(data)
    parts = [
        source.take(np.arange(len(source))) for source in (splits.train, splits.val, splits.test)
    ]
    x = np.concatenate([splits.encoder.decode(part[0])[..., 0] for part in parts])
    y = np.concatenate([part[1] for part in parts])
    x = np.rint(x * 255).astype(np.uint8)
    rng = np.random.default_rng(seed)
    if count <= len(x):
        rows = rng.permutation(len(x))[:count]
        return x[rows], y[rows]
    more = count - len(x)
    order = np.argsort(y, kind="stable")
    starts = np.searchsorted(y[order], np.arange(11))
    kinds = rng.integers(0, 10, more)
    pick = lambda: order[rng.integers(starts[kinds], starts[kinds + 1])]  # noqa: E731
    share = rng.uniform(0.3, 0.7, (more, 1, 1)).astype(np.float32)
    blended = np.concatenate(
        [
            np.rint(s * x[a] + (1 - s) * x[b]).astype(np.uint8)
            for a, b, s in zip(
                *(np.array_split(part, 30) for part in (pick(), pick(), share)), strict=True
            )
        ]
    )
    return np.concatenate([x, blended]), np.concatenate([y, kinds])


def one(data: str, count: int) -> None:
    """Surveys `count` pictures in this process and prints what it took."""
    x, y = pictures(data, count)
    source = jr.data.ArraySource(x, y.astype(np.int32))
    seconds: dict[str, float] = {}
    last: list[tuple[str, float]] = [("read", time.perf_counter())]

    def say(what: str) -> None:
        now = time.perf_counter()
        name, begun = last[0]
        seconds[name] = seconds.get(name, 0) + now - begun
        last[0] = (what.split()[0], now)

    found = explore.survey(explore.Data("pictures", {"train": source}), say=say)
    say("done")
    result = {
        "n": count,
        **{name: round(value, 1) for name, value in seconds.items()},
        "GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "groups": int(found.copies.near.max(initial=-1)) + 1,
    }
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError:
        result["cleanlab"] = "not installed"
    else:
        begun = time.perf_counter()
        find_label_issues(
            found.probed.targets,
            found.probed.answers.astype(np.float64),
            filter_by="confident_learning",
            n_jobs=1,
        )
        result["cleanlab"] = round(time.perf_counter() - begun, 2)
        begun = time.perf_counter()
        explore.find_suspects(found.probed, cleanlab=False)
        result["own labels"] = round(time.perf_counter() - begun, 2)
    result["imagededup"] = imagededup(x)
    print(json.dumps(result))


def imagededup(x: np.ndarray) -> float | str:
    """Returns the seconds of perceptual hashes and their comparison at a distance of 4 bits."""
    try:
        from imagededup.methods import PHash
    except ModuleNotFoundError:
        return "not installed"
    if len(x) > 10_000:
        return "not run"  # all pairs
    hasher = PHash(verbose=False)
    begun = time.perf_counter()
    marks = {str(i): hasher.encode_image(image_array=picture) for i, picture in enumerate(x)}
    hasher.find_duplicates(encoding_map=marks, max_distance_threshold=4, num_dist_workers=0)
    return round(time.perf_counter() - begun, 1)


def main() -> None:
    """Surveys each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of Fashion-MNIST")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 60_000, 300_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.data, options.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            command = [sys.executable, str(Path(__file__).resolve()), "--data", options.data]
            subprocess.run([*command, "--one", str(size)], check=True, cwd=folder)


if __name__ == "__main__":
    main()
