"""Bayesian search by Optuna: several processes on one study, any of which may die (E)."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jrecipe.tune.attempt import HOPELESS, Objective, Outcome, StopTrialError, attempt
from jrecipe.tune.ctrl_c import remembered_ctrl_c
from jrecipe.tune.designs import sobol
from jrecipe.tune.ledger import Ledger, Watch, is_surplus, me, read_ledger
from jrecipe.tune.parameters import Choice, Int, LogUniform, Uniform, kind_of
from jrecipe.tune.space import Params, Space, exists
from jrecipe.tune.storage import open_storage, reaching, require_optuna
from jrecipe.tune.trials import Trial, no_success
from jrecipe.types import TaskError

STARTUP = 10  # trials by a Sobol sequence, before what was found leads
BEAT, GRACE = 15.0, 60.0  # seconds
_PAUSE = 0.2  # seconds between two looks at what others do


def study(
    objective: Objective,
    space: Space,
    *,
    trials: int,
    storage: str | Path | None = None,
    workers: int = 1,
    name: str = "jrecipe",
    seed: int = 0,
    resume: bool = False,
    prune: bool = True,
    grace: float = GRACE,
    tell: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Searches with Optuna's TPE, which tries next what promises most by what was found.

    The first ten trials are points of a Sobol sequence. Workers on other machines join by calling
    the same with the same storage and `resume=True`. A worker may die at any time: its trial goes
    back into the queue, with its values, and another one takes it over; all trials that were asked
    for are made, each once.

    Args:
      objective: `(params, report) -> value`, to be minimised, or `(value, {name: number})`.
        `report(step, value)` notes how it goes, and raises to stop a trial that is worse than the
        median of the others at that step. What it raises itself makes a failed trial. For several
        workers it has to be importable: a function at the top level of a module, or an object of
        a class there.
      space: what is searched.
      trials: how many, those known in the storage counted.
      storage: a file (Optuna's journal), or the URL of a database, as sqlite:///study.db or
        postgresql://...; None keeps it in memory, for one worker.
      workers: processes, each making one trial at a time. One works in this process.
      name: of the study in the storage.
      seed: of what is drawn; with several workers, order and so results vary all the same.
      resume: go on with a study of that name, or join it.
      prune: stop trials early by what they report.
      grace: seconds after which a worker of another machine that gives no sign counts as dead.
      tell: called with each trial as this process learns of its end.

    Returns:
      A trial a slot, in order.

    Raises:
      TaskError: if the storage cannot be reached, holds another study, an argument is out of range,
        all workers died, or the objective has only failed; what was done is in the storage.
      KeyboardInterrupt: if Ctrl-C was pressed; `resume=True` goes on.

    References:
      Akiba, Sano, Yanase, Ohta and Koyama, "Optuna: A Next-generation Hyperparameter Optimization
      Framework", 2019, arXiv:1907.10902; Bergstra et al., "Algorithms for Hyper-Parameter
      Optimization", 2011 (TPE).
    """
    for called, value in (("trials", trials), ("workers", workers)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise TaskError(f"study needs {called} >= 1, got {value!r}.")
    if storage is None and (workers > 1 or resume):
        raise TaskError(
            f"study got workers={workers}, resume={resume} without a storage that processes share; "
            "give one, as storage='runs/study.journal'."
        )
    for key, parameter in space.items():
        if not isinstance(kind_of(parameter), Uniform | LogUniform | Int | Choice):
            raise TaskError(
                f"study got {key}={parameter!r}, which Optuna does not know; use Uniform, "
                "LogUniform, Int or Choice, or jr.tune.search."
            )
    opened = open_storage(storage)
    with reaching(storage):
        found = _found(opened, name, space, resume, storage)
    told: set[int] = set()

    def news() -> Ledger:
        with reaching(storage):
            ledger = read_ledger(found.get_trials(deepcopy=False), trials)
        for slot in sorted(set(ledger.ends) - told):
            told.add(slot)
            tell(_trial(ledger.ends[slot], space))
        return ledger

    job = (objective, space, trials, storage, name, seed, prune, grace)
    if workers == 1:
        work = _work(found, *job[:3], seed, 0, False, prune, grace)
        with remembered_ctrl_c() as check:
            while True:
                with reaching(storage):
                    if next(work, None) is None:
                        break
                news()
                check()
    else:
        _watch_over(_spawned(job, workers), news)
    ledger = news()
    ended = [_trial(ledger.ends[slot], space) for slot in sorted(ledger.ends)]
    kept = f" What was done is kept in {storage}." if storage is not None else ""
    if ledger.failed == len(ended) and ended:
        raise TaskError(no_success(ended) + kept)
    if len(ended) < trials:
        raise TaskError(
            f"All workers ended after {len(ended)} of {trials} trials, killed or out of memory?"
            f"{kept} Go on with resume=True."
        )
    return ended


def worker(
    objective: Objective,
    space: Space,
    trials: int,
    storage: str | Path,
    name: str,
    seed: int,
    prune: bool,
    grace: float,
    number: int,
) -> None:
    """Works on a study until nothing is left to do; the main function of a process."""
    optuna = require_optuna()
    with contextlib.suppress(KeyboardInterrupt), reaching(storage):
        found = optuna.load_study(study_name=name, storage=open_storage(storage))
        for _ in _work(found, objective, space, trials, seed, number, True, prune, grace):
            pass


def _found(opened: Any, name: str, space: Space, resume: bool, storage: str | Path | None) -> Any:
    """Returns the study, made if there is none; refuses one that searches something else."""
    optuna = require_optuna()
    there = name in optuna.get_all_study_names(opened)
    if there and not resume:
        raise TaskError(
            f"The storage {storage} holds a study {name!r} already; go on with it by resume=True, "
            "or give another name."
        )
    found = optuna.create_study(
        study_name=name, storage=opened, direction="minimize", load_if_exists=True
    )
    told = found.user_attrs.get("space")
    if told is not None and told != repr(space):
        raise TaskError(
            f"The study {name!r} in {storage} searches another space, {told}; repeat that one, or "
            "give another name."
        )
    if told is None:
        found.set_user_attr("space", repr(space))
    return found


def _spawned(job: Sequence[Any], workers: int) -> list[Any]:
    """Starts the workers, each a process of its own that shares nothing but the storage."""
    try:
        pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TaskError(
            f"study got an objective that {workers} processes cannot import ({error}); define it "
            "as a function at the top level of a module, or use workers=1."
        ) from error
    spawn = multiprocessing.get_context("spawn")  # JAX does not survive a fork
    processes = [
        spawn.Process(target=worker, args=(*job, number), name=f"jrecipe-tune-{number}")
        for number in range(workers)
    ]
    for process in processes:
        process.start()
    return processes


def _watch_over(processes: Sequence[Any], news: Callable[[], Ledger]) -> None:
    """Waits for the workers; takes them along if this process is interrupted."""
    try:
        while sum(process.is_alive() for process in processes):  # all: asking buries the dead
            time.sleep(2 * _PAUSE)
            news()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _work(
    found: Any,
    objective: Objective,
    space: Space,
    trials: int,
    seed: int,
    number: int,
    several: bool,
    prune: bool,
    grace: float,
) -> Iterator[int]:
    """Takes trials from the queue until every slot is at its end; yields the number of each."""
    optuna = require_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found.sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP,
            multivariate=True,
            group=True,
            constant_liar=several,
            seed=seed + number,
        )
    found.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=5, n_min_trials=3)
        if prune
        else optuna.pruners.NopPruner()
    )
    watch = Watch(grace)
    while True:
        ledger = _in_order(found, space, trials, seed, watch)
        hopeless = ledger.failed == len(ledger.ends) >= min(HOPELESS, trials)
        if len(ledger.ends) >= trials or hopeless:
            return
        if not ledger.waiting:
            time.sleep(_PAUSE)  # others work on what is left, and may die
            continue
        trial = found.ask()
        try:
            trial.set_user_attr("worker", me())
            if is_surplus(trial, found.get_trials(deepcopy=False)):
                trial.set_user_attr("surplus", True)
                found.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            _one(found, trial, objective, space, min(BEAT, grace / 4))
        except optuna.exceptions.UpdateFinishedTrialError:
            continue  # it was held to be dead, and another worker has the trial
        except KeyboardInterrupt:
            trial.set_user_attr("interrupted", True)
            found.tell(trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
            raise
        yield int(trial.number)


def _in_order(found: Any, space: Space, trials: int, seed: int, watch: Watch) -> Ledger:
    """Closes the trials of dead workers and fills the queue; returns where each slot then is."""
    optuna = require_optuna()
    ledger = read_ledger(found.get_trials(deepcopy=False), trials)
    lost = [trial for trial in ledger.running if watch.lost(trial)]
    for trial in lost:
        # Another worker may be quicker.
        with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):
            found.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    if lost:
        ledger = read_ledger(found.get_trials(deepcopy=False), trials)
    if not ledger.missing:
        return ledger
    first = sobol(space, STARTUP, seed)
    for slot, params in ledger.missing.items():
        given = params or (first[slot] if slot < STARTUP else {})
        searched = {key: value for key, value in given.items() if key in space}
        found.enqueue_trial(searched, user_attrs={"slot": slot})
    return read_ledger(found.get_trials(deepcopy=False), trials)


def _one(found: Any, trial: Any, objective: Objective, space: Space, beat: float) -> None:
    """Makes one trial, giving signs of life meanwhile."""
    optuna = require_optuna()
    states = optuna.trial.TrialState
    params = suggested(trial, space)

    def report(step: int, value: float) -> None:
        trial.report(float(value), int(step))
        if trial.should_prune():
            raise StopTrialError(f"worse than the median at step {step}")

    try:
        with _beating(trial, beat):
            found_out = attempt(objective, params, report)
    except StopTrialError:
        found.tell(trial, state=states.PRUNED, skip_if_finished=True)
        return
    for key, value in found_out.numbers.items():
        trial.set_user_attr(f"number {key}", value)
    _close(found, trial, found_out)


def _close(found: Any, trial: Any, outcome: Outcome) -> None:
    states = require_optuna().trial.TrialState
    if outcome.why:
        trial.set_user_attr("error", outcome.why)
        found.tell(trial, state=states.FAIL, skip_if_finished=True)
    else:
        found.tell(trial, outcome.value, skip_if_finished=True)


@contextlib.contextmanager
def _beating(trial: Any, every: float) -> Iterator[None]:
    """Counts the trial's "beat" up while it is in work."""
    stop = threading.Event()
    lost = require_optuna().exceptions.UpdateFinishedTrialError

    def beat() -> None:
        count = 0
        while not stop.wait(every):
            count += 1
            try:
                trial.set_user_attr("beat", count)
            except lost:
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def suggested(trial: Any, space: Space) -> Params:
    """Returns the values that Optuna suggests for a trial."""
    found: Params = dict(space.fixed)
    for name, parameter in space.items():
        if not exists(parameter, found):
            continue
        kind = kind_of(parameter)
        if isinstance(kind, Choice):
            found[name] = trial.suggest_categorical(name, kind.values)
        elif isinstance(kind, Int):
            found[name] = trial.suggest_int(name, kind.low, kind.high, log=kind.log)
        else:
            assert isinstance(kind, Uniform | LogUniform)
            found[name] = trial.suggest_float(
                name, kind.low, kind.high, log=isinstance(kind, LogUniform)
            )
    return found


def _trial(frozen: Any, space: Space) -> Trial:
    """Returns our record of one of Optuna's trials that is at its end."""
    state = {"COMPLETE": "done", "PRUNED": "stopped", "FAIL": "failed"}[frozen.state.name]
    curve = tuple(sorted(frozen.intermediate_values.items()))
    value = frozen.value if frozen.value is not None else curve[-1][1] if curve else math.nan
    why = frozen.user_attrs.get("error", "the end of its worker, again and again")
    return Trial(
        number=frozen.user_attrs["slot"],
        params={**space.fixed, **frozen.params},
        value=math.nan if state == "failed" else float(value),
        state=state,  # type: ignore[arg-type]
        steps=curve[-1][0] if curve else 0,
        curve=curve,
        numbers={
            key.removeprefix("number "): value
            for key, value in frozen.user_attrs.items()
            if key.startswith("number ")
        },
        why=why if state == "failed" else "",
    )
