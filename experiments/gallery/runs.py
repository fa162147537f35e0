"""One run of the gallery: a program, a seed, and what the checks said of it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import jrecipe as jr
from gallery.program import STRENGTHS, Fault, Healthy

Kind = Literal["fault", "twin", "odd", "base"]
Build = Callable[[int], jr.Task]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What is to be run.

    Attributes:
      kind: a fault, its repaired twin, an odd but healthy program, or a plain base program.
      name: of the program; of a fault with its strength, as "digits_mlp/double-softmax:weak".
      seed: of data, weights and checks.
    """

    kind: Kind
    name: str
    seed: int

    @property
    def key(self) -> str:
        """Returns a name for the results file."""
        return f"{self.kind} {self.name} {self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What was found in a run.

    Attributes:
      run: which.
      alarms: what failed or warned, most likely cause first: item, check, verdict, text, and
        suspects as (cause, component, where).
      rules: tool -> names of its rules that fired; empty if they were not asked.
      seconds: wall time of all checks, compilation included.
    """

    run: Run
    alarms: tuple[dict[str, Any], ...]
    rules: dict[str, tuple[str, ...]]
    seconds: float

    @property
    def alarmed(self) -> bool:
        """Whether a finding failed or warned, with a suspect."""
        return any(alarm["suspects"] for alarm in self.alarms)

    @property
    def suspects(self) -> list[tuple[str, str, str]]:
        """Returns all suspects in order, each (cause, component) once."""
        seen: dict[tuple[str, str], tuple[str, str, str]] = {}
        for alarm in self.alarms:
            for cause, component, where in alarm["suspects"]:
                seen.setdefault((cause, component), (cause, component, where))
        return list(seen.values())

    @property
    def causes(self) -> list[str]:
        """Returns the causes in order, each once."""
        return list(dict.fromkeys(cause for cause, _, _ in self.suspects))


def planned(
    faults: Iterable[Fault],
    bases: dict[str, Build],
    odd: Iterable[Healthy],
    seeds: Iterable[int],
    healthy_seeds: Iterable[int],
) -> Iterator[tuple[Run, Build]]:
    """Yields every run once, with the function that builds its task; equal twins are not repeated.

    Args:
      faults: with their twins.
      bases: name -> plain program.
      odd: odd but healthy programs.
      seeds: of faults and twins.
      healthy_seeds: of bases and odd programs.
    """
    known = {build: name for name, build in bases.items()}
    seeds, healthy_seeds = tuple(seeds), tuple(healthy_seeds)
    for fault in faults:
        for seed in seeds:
            for strength in STRENGTHS[:1] if fault.real else STRENGTHS:
                build = lambda s, f=fault, how=strength: f.build(s, how)  # noqa: E731
                yield Run(kind="fault", name=f"{fault.name}:{strength}", seed=seed), build
            if fault.twin not in known:
                yield Run(kind="twin", name=fault.name, seed=seed), fault.twin
    for name, build in bases.items():
        for seed in sorted({*seeds, *healthy_seeds}):
            yield Run(kind="base", name=name, seed=seed), build
    for program in odd:
        for seed in healthy_seeds:
            yield Run(kind="odd", name=program.name, seed=seed), program.build


def carry_out(run: Run, build: Build, *, rules: bool) -> Result:
    """Builds the task of a run, checks it, and asks the rules of the field too if told to."""
    task = build(run.seed)
    start = time.perf_counter()
    report = jr.check(task, seed=run.seed)
    seconds = time.perf_counter() - start
    alarms = tuple(
        {
            "item": finding.item,
            "check": finding.check,
            "verdict": finding.verdict.value,
            "finding": finding.finding,
            "suspects": [(s.cause, s.component, s.where) for s in finding.suspects],
        }
        for finding in report.findings
        if finding.verdict in ("FAILED", "WARNED")
    )
    fired: dict[str, tuple[str, ...]] = {}
    if rules:
        from gallery.rules import TOOLS

        fired = {name: tuple(tool(task, run.seed)) for name, tool in TOOLS.items()}
    return Result(run=run, alarms=alarms, rules=fired, seconds=round(seconds, 2))


def save(path: Path, result: Result) -> None:
    """Appends a result to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(result)) + "\n")


def load(path: Path) -> dict[str, Result]:
    """Returns the results in a file by `Run.key`; none if there is no file."""
    found: dict[str, Result] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            run = Run(**row["run"])
            found[run.key] = Result(
                run=run,
                alarms=tuple(row["alarms"]),
                rules={name: tuple(fired) for name, fired in row["rules"].items()},
                seconds=row["seconds"],
            )
    return found
