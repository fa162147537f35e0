"""How well does `jrecipe cook digits` do, and how much of that is the seed?

Question: over seeds (which decide the split, the weights, the order and every draw), what does the
whole recipe reach on the test split, which regularisers does it keep, and does a check raise an
alarm on this healthy task?

Command: python experiments/digits_seeds.py --seeds 5
Hardware: 2 cores of an AMD EPYC, JAX 0.10.2, no accelerator.
Result:

| seed | test accuracy | test loss | kept | alarms |
| --- | --- | --- | --- | --- |
| 0 | 0.9889 | 0.0364 | Kept move by up to 1 px (D2) | none |
| 1 | 0.9944 | 0.0139 | Kept move by up to 1 px (D2) | none |
| 2 | 0.9833 | 0.0570 | Kept dropout 0.3 (D9) | none |
| 3 | 0.9916 | 0.0460 | Kept move by up to 1 px (D2) | none |
| 4 | 0.9749 | 0.0885 | Kept nothing | none |

mean 0.9866, deviation 0.0077 over 5 seeds, 359 test examples each

The default network (ConvNet, width 32, one convolution a stage, flattened) was chosen while seeing
test scores of about seven candidates on seed 0's split, so seed 0 flatters it a little, and the
other seeds share its data.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics

import jrecipe as jr


@dataclasses.dataclass(frozen=True)
class Row:
    """What one seed gave."""

    seed: int
    accuracy: float
    loss: float
    kept: str
    alarms: str


def run(seed: int) -> Row:
    dinner = jr.cook(jr.data.load("digits", seed=seed), seed=seed, progress=False)
    test = dinner.report.test or {}
    kept = next(f.finding for f in dinner.report.findings if f.check == "one-at-a-time")
    alarms = [f.item for f in dinner.report.findings if f.verdict in ("FAILED", "WARNED")]
    return Row(
        seed=seed,
        accuracy=test.get("accuracy", float("nan")),
        loss=test.get("loss", float("nan")),
        kept=kept.split(" of ")[0],
        alarms=" ".join(alarms) or "none",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print("| seed | test accuracy | test loss | kept | alarms |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    for seed in range(args.seeds):
        row = run(seed)
        rows.append(row)
        print(
            f"| {row.seed} | {row.accuracy:.4f} | {row.loss:.4f} | {row.kept} | {row.alarms} |",
            flush=True,
        )
    scores = [row.accuracy for row in rows]
    if len(scores) > 1:
        print(f"\nmean {statistics.mean(scores):.4f}, deviation {statistics.stdev(scores):.4f}")


if __name__ == "__main__":
    main()
