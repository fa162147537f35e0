"""What a smaller network costs and saves beside the original: one table (J8)."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from jrecipe.checks.intervals import paired_difference, wilson
from jrecipe.figures import Table
from jrecipe.squeeze.network import Network, network_of
from jrecipe.squeeze.weights_file import write_weights
from jrecipe.task import Task, read
from jrecipe.train.evaluate import evaluate, mean_and_stderr
from jrecipe.types import PyTree, TaskError

_LARGE = 256  # examples of a batch for throughput
_Z = 1.96  # of a 95 % interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """One network, measured.

    Attributes:
      bytes: of its weights as a safetensors file that was written.
      zipped: of that file in a ZIP archive (deflate), where zeros weigh little.
      latency: batch size -> (median, 95th percentile) of the time of one call, in ms.
      throughput: examples per second, in batches of 256.
      score: mean of the task's metric on the split, as accuracy; of its loss where it has none.
      interval: 95 % of the score: Wilson's for an accuracy, else normal.
      gain: mean of the score minus the original's, over the same examples.
      gain_interval: 95 % of the gain.
    """

    bytes: int
    zipped: int
    latency: Mapping[int, tuple[float, float]]
    throughput: float
    score: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Networks beside the first of them.

    Attributes:
      rows: name -> what was measured; the first is the original.
      split: name of the split that scored them.
      examples: of that split.
      metric: what the score is.
      device: that ran them.
    """

    rows: Mapping[str, Measured]
    split: str
    examples: int
    metric: str
    device: str

    def table(self) -> Table:
        """Returns the comparison as a table."""
        first = next(iter(self.rows.values()))
        share = self.metric == "accuracy"
        lines = []
        for name, row in self.rows.items():
            (low, high), (worse, better) = row.interval, row.gain_interval
            lines.append(
                (
                    name,
                    f"{100 * row.score:.2f} ({100 * low:.2f} to {100 * high:.2f})"
                    if share
                    else f"{row.score:.4g} ({low:.4g} to {high:.4g})",
                    "-"
                    if row is first
                    else f"{100 * row.gain:+.2f} ({100 * worse:+.2f} to {100 * better:+.2f})"
                    if share
                    else f"{row.gain:+.3g} ({worse:+.3g} to {better:+.3g})",
                    f"{row.bytes:,} ({100 * row.bytes / first.bytes:.0f} %)",
                    f"{row.zipped:,} ({100 * row.zipped / first.zipped:.0f} %)",
                    *(f"{p50:.2f} / {p95:.2f}" for p50, p95 in row.latency.values()),
                    f"{row.throughput:,.0f}",
                )
            )
        unit = f"{self.metric}, %" if share else self.metric
        return Table(
            title=f"Beside the original, on {self.examples} {self.split} examples, {self.device}",
            columns=(
                "network",
                f"{unit} (95 %)",
                "difference (95 %)",
                "bytes on disk",
                "zipped",
                *(f"ms at batch {size}, p50 / p95" for size in first.latency),
                "examples/s",
            ),
            rows=lines,
        )

    def __str__(self) -> str:
        return self.table().markdown()

    def _repr_html_(self) -> str:
        from jrecipe.draw import html

        return html(self.table())


def compare(
    networks: Mapping[str, Network],
    task: Task,
    *,
    split: str = "test",
    sizes: tuple[int, ...] = (1, 32),
    calls: int = 50,
) -> Comparison:
    """Measures networks beside the first of them: size, latency, throughput and score.

    Calls of the networks take turns, so that what else the machine does meets all of them alike.

    Args:
      networks: name -> network, the original first.
      task: with the split, the loss and the metric.
      split: that scores them; best one that nothing was chosen by.
      sizes: batch sizes whose latency is measured.
      calls: of each network and size, after two that do not count.

    Raises:
      TaskError: if there is no network or no such split.
    """
    if not networks:
        raise TaskError("compare got no network; give {'original': network, ...}.")
    source = task.splits.get(split)
    if source is None:
        raise TaskError(f"compare has no split {split!r}; there are {[*task.splits]}.")
    made = {name: network_of(network) for name, network in networks.items()}
    inputs = read(source, max(*sizes, _LARGE))[0]
    latency = {size: _latencies(made, _batch(inputs, size), calls) for size in sizes}
    large = _batch(inputs, _LARGE)
    throughput = _latencies(made, large, max(calls // 10, 3))
    values, weights, metric = {}, {}, ""
    for name, network in made.items():
        found = evaluate(
            lambda network, x: network(x), network, source, task.loss, metric=task.metric
        )
        lossy = task.metric is None
        metric = "loss" if lossy else str(getattr(task.metric, "__name__", "metric"))
        values[name] = found.values if lossy else found.metric_values
        weights[name] = found.weights if lossy else found.metric_weights
    first = next(iter(made))
    rows = {}
    for name, network in made.items():
        size, zipped = sizes_on_disk(network)
        score, interval = _score(values[name], weights[name], metric)
        gain, error = paired_difference(values[name], values[first])
        rows[name] = Measured(
            bytes=size,
            zipped=zipped,
            latency={
                size: (_percentile(times[name], 50), _percentile(times[name], 95))
                for size, times in latency.items()
            },
            throughput=_LARGE / (_percentile(throughput[name], 50) / 1e3),
            score=score,
            interval=interval,
            gain=gain,
            gain_interval=(gain - _Z * error, gain + _Z * error),
        )
    device = jax.devices()[0]
    return Comparison(rows, split, len(source), metric, str(device.device_kind))


def sizes_on_disk(network: Network) -> tuple[int, int]:
    """Returns the bytes of a network's weights as a safetensors file, and of that file zipped.

    Raises:
      TaskError: if safetensors is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_weights(path, network)
        archive = Path(folder) / "model.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(path, path.name)
        return path.stat().st_size, archive.stat().st_size


def _latencies(
    networks: Mapping[str, Network], inputs: PyTree, calls: int
) -> dict[str, list[float]]:
    """Returns the times of single calls in ms, the networks taking turns."""
    on_device = jax.tree.map(jax.numpy.asarray, inputs)
    times: dict[str, list[float]] = {name: [] for name in networks}
    for call in range(calls + 2):
        for name, network in networks.items():
            start = time.perf_counter()
            jax.block_until_ready(network(on_device))
            if call >= 2:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def _batch(inputs: PyTree, size: int) -> PyTree:
    """Returns `size` examples, from the start again where there are fewer."""
    return jax.tree.map(lambda x: np.asarray(x)[np.arange(size) % len(x)], inputs)


def _percentile(times: list[float], share: float) -> float:
    return float(np.percentile(times, share))


def _score(
    values: np.ndarray, weights: np.ndarray, metric: str
) -> tuple[float, tuple[float, float]]:
    mean, error = mean_and_stderr(values, weights)
    if metric == "accuracy" and set(np.unique(values)) <= {0.0, 1.0} and (weights == 1).all():
        return mean, wilson(float(values.sum()), len(values))
    half = _Z * error if math.isfinite(error) else math.nan
    return mean, (mean - half, mean + half)
