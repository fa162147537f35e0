"""How many silent faults do the checks catch, and how often are they wrong?

Plants every fault of the gallery at two strengths in small programs, runs `jr.check` on each, on
its repaired twin, on the plain programs and on odd but healthy ones, over several seeds, and writes
one table. The rule sets that the field has published stand beside it, on some of these programs.

Question: catch rate, false alarms, right cause and place, pairs decided right, and cost.
Command:  python experiments/planted_faults.py --out docs/faults.md
Hardware and results: at the top of the page that it writes, docs/faults.md.

With `--seeds A B --tie C` the third seed is run for those faults only on which the first two
disagree, which decides "2 of 3" as three whole seeds would.

Results are kept in a file of JSON lines as they come, so the run can be stopped and goes on where
it was. `--only` takes a part of a program's name.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import tempfile
import time
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gallery.program import CONFIRMING, TUNING

if TYPE_CHECKING:
    from gallery.tally import Case

SEEDS = (115, 116)  # none of these was looked at while the checks of the table were built
HEALTHY_SEEDS = (115,)


def everything(seeds: Sequence[int], healthy_seeds: Sequence[int]):
    """Returns all runs by key, each with the function that builds its task."""
    from gallery.bases import BASES
    from gallery.faults import FAULTS
    from gallery.healthy import HEALTHY
    from gallery.real import REAL
    from gallery.runs import planned
    from gallery.unseen import EXAMS

    runs = [*planned((*FAULTS, *REAL), BASES, HEALTHY, seeds, healthy_seeds)]
    for exam in EXAMS:
        runs += planned(exam.faults, {}, exam.healthy, (exam.seed,), (exam.seed,))
    return {run.key: (run, build) for run, build in runs}


def prepare(cache: str) -> None:
    """Sets up a worker: compiled programs are shared through a folder."""
    import jax

    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # A run of the gallery compiles far more than it computes.
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def chosen(run, share: float, seed: int) -> bool:
    """Whether the rules are asked about a run: at the first seed, of a share of the programs."""
    drawn = zlib.crc32(run.name.encode()) % 1000 < 1000 * share
    return drawn and run.seed == seed and run.kind in ("fault", "twin", "odd")


def work(task):
    """Carries out some runs in a worker: `(keys, seeds, healthy seeds, share to ask rules of)`."""
    import jax
    from gallery.runs import carry_out

    keys, seeds, healthy_seeds, rules = task
    runs = everything(seeds, healthy_seeds)
    results = []
    for key in keys:
        run, build = runs[key]
        results.append(carry_out(run, build, rules=chosen(run, rules, seeds[0])))
        jax.clear_caches()
    return results


def known_cases(arguments: argparse.Namespace, seeds: Sequence[int]) -> list[Case]:
    """Returns every fault at each strength with the results there are, at these seeds."""
    from gallery.bases import BASES
    from gallery.faults import FAULTS
    from gallery.real import REAL
    from gallery.runs import load
    from gallery.tally import cases
    from gallery.unseen import EXAMS, UNSEEN

    return cases(
        (*FAULTS, *REAL, *UNSEEN),
        load(Path(arguments.results)),
        BASES,
        (*seeds, *(exam.seed for exam in EXAMS)),
    )


def tied(arguments: argparse.Namespace) -> set[str]:
    """Returns the keys of the runs that decide where two seeds disagree."""
    if arguments.tie is None:
        return set()
    return {
        f"fault {case.fault.name}:{case.strength} {arguments.tie}"
        for case in known_cases(arguments, arguments.seeds)
        if case.disputed
    }


def run_all(arguments: argparse.Namespace, seeds: Sequence[int], tie: Collection[str] = ()) -> None:
    """Carries out every run that the results file lacks; of a tie, those named."""
    from gallery.runs import load, save

    path = Path(arguments.results)
    done = load(path)
    runs = everything(seeds, arguments.healthy_seeds)
    todo = [
        key
        for key, (run, _) in runs.items()
        if key not in done
        and (not tie or key in tie)
        and (not arguments.only or any(text in run.name for text in arguments.only))
        and (not arguments.kinds or run.kind in arguments.kinds)
    ]
    random.Random(0).shuffle(todo)  # so that what is done is a fair sample of all
    # One seed after the other, and first what the faults are compared with.
    todo.sort(key=lambda key: (key.rsplit(" ", 1)[1], runs[key][0].kind not in ("base", "twin")))
    print(f"{len(todo)} runs to do, {len(done)} done")
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        chunks = [todo[i : i + 4] for i in range(0, len(todo), 4)]
        tasks = [
            (chunk, seeds, arguments.healthy_seeds, 0.0 if tie else arguments.rules)
            for chunk in chunks
        ]
        context = multiprocessing.get_context("spawn")
        # Workers are replaced now and then: compiled programs stay in memory.
        with context.Pool(arguments.jobs, prepare, (cache,), maxtasksperchild=8) as pool:
            for i, results in enumerate(pool.imap_unordered(work, tasks), 1):
                for result in results:
                    save(path, result)
                    first = result.suspects[0] if result.suspects else ""
                    print(f"{result.seconds:6.1f} s  {result.run.key}: {first}", flush=True)
                if i % 10 == 0:
                    left = (time.perf_counter() - start) / i * (len(chunks) - i)
                    print(f"-- {i} of {len(chunks)}, {left / 60:.0f} minutes left", flush=True)


def main() -> None:
    """Runs what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--healthy-seeds", type=int, nargs="+", default=HEALTHY_SEEDS)
    parser.add_argument("--tie", type=int, help="a seed for faults on which two seeds disagree")
    parser.add_argument("--only", nargs="*", default=(), help="parts of program names")
    parser.add_argument("--kinds", nargs="*", default=(), help="fault, twin, base, odd")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--rules",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="ask the published rule sets of this share of the programs, at the first seed",
    )
    parser.add_argument("--results", default="runs/faults.jsonl", help="kept as they come")
    parser.add_argument("--out", help="the page to write, such as docs/faults.md")
    parser.add_argument("--note", default="", help="a sentence for the page, as what changed since")
    parser.add_argument("--page-only", action="store_true", help="run nothing, write the page")
    arguments = parser.parse_args()
    Path(arguments.results).parent.mkdir(parents=True, exist_ok=True)
    if not arguments.page_only:
        run_all(arguments, arguments.seeds)
        if deciding := tied(arguments):
            run_all(arguments, (*arguments.seeds, arguments.tie), deciding)
    from gallery.page import page
    from gallery.runs import load

    results = load(Path(arguments.results))
    ties = () if arguments.tie is None else (arguments.tie,)
    found = known_cases(arguments, (*arguments.seeds, *ties))
    planned = everything(arguments.seeds, arguments.healthy_seeds)
    missing = len(set(planned) - set(results))
    text = page(
        found,
        list(results.values()),
        tuning=TUNING,
        confirming=CONFIRMING,
        missing=missing,
        rules=arguments.rules,
        tie=arguments.tie,
        note=arguments.note,
    )
    if arguments.out:
        Path(arguments.out).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
