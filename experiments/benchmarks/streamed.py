"""Does a streamed epoch need more memory when the data grows?

Question: most resident memory of a process that trains an epoch from a file of rows, read as they
are needed, over that with ten times the rows. Each in a process of its own.

Command: python experiments/benchmarks/streamed.py --rows 20000
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FEATURES, SIZE = 784, 100


class Rows:
    """A source of float32 rows in a file; the label is a number in front of each."""

    def __init__(self, path: Path, count: int):
        self.path, self.count = path, count

    def __len__(self) -> int:
        return self.count

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reads the rows."""
        width = 4 * (FEATURES + 1)
        with self.path.open("rb") as file:
            found = []
            for row in rows:
                file.seek(int(row) * width)
                found.append(np.frombuffer(file.read(width), np.float32))
        table = np.stack(found)
        return table[:, 1:], table[:, 0].astype(np.int32)


def write(path: Path, count: int) -> None:
    """Writes random rows, piece by piece."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, count, 1000):
            x = rng.normal(size=(min(1000, count - start), FEATURES + 1)).astype(np.float32)
            x[:, 0] = x[:, 1] > 0
            file.write(x.tobytes())


def epoch(path: Path, count: int) -> None:
    """Trains an epoch, and prints the most memory that this process held, in MiB."""
    import optax

    import jrecipe as jr
    from jrecipe.models import MLP

    task = jr.Task(
        model=MLP(2),
        loss=jr.losses.softmax_cross_entropy(),
        train=Rows(path, count),
        val=Rows(path, 1000),
        optimizer=optax.adam(1e-3),
        batch_size=SIZE,
    )
    steps = count // SIZE
    fit = jr.fit(task, steps, eval_every=steps, progress=False)
    seconds = fit.seconds - fit.compile_seconds
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds / steps)


def main() -> None:
    """Prints one table, or, for a child, one line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train is not None:
        epoch(given.train, given.rows)
        return
    print("| rows | file | most memory of the process | per update of 100 rows |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for count in (given.rows, 10 * given.rows):
            path = Path(folder) / str(count)
            write(path, count)
            command = [sys.executable, __file__, "--rows", str(count), "--train", str(path)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            memory, seconds = map(float, said.split())
            size = path.stat().st_size / 2**20
            print(f"| {count} | {size:.0f} MiB | {memory:.0f} MiB | {seconds * 1e3:.2f} ms |")


if __name__ == "__main__":
    main()
