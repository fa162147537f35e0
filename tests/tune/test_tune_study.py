"""Several processes on one study: every trial is made once, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from postgresql import postgresql

from jrecipe import tune
from jrecipe.tune.ledger import Watch, is_surplus, me, read_ledger
from jrecipe.types import TaskError

optuna = pytest.importorskip("optuna", reason="needs the extra `tune`")

SPACE = tune.Space(
    {
        "x": tune.Uniform(-1.0, 1.0),
        "rate": tune.LogUniform(1e-3, 1.0),
        "n": tune.Int(1, 4),
        "kind": tune.Choice("round", "flat"),
        "side": tune.When("kind", ("flat",), tune.Uniform(0.0, 1.0)),
        "fixed": 7,
    }
)


def bowl(params, report):
    assert params["fixed"] == 7
    value = params["x"] ** 2 + params.get("side", 0.5) + 0.1 * params["n"]
    report(1, value)
    return value, {"twice": 2 * value}


def fails(params, report):
    raise RuntimeError("no such luck")


@pytest.mark.thin(2)
@pytest.mark.parametrize("kind", ["file", "sqlite", "memory"])
def test_one_worker_finds_what_random_points_do_not(kind, tmp_path):
    storage = {
        "file": tmp_path / "a" / "study.journal",
        "sqlite": f"sqlite:///{tmp_path}/s.db",
        "memory": None,
    }[kind]
    told = []
    trials = tune.study(bowl, SPACE, trials=24, storage=storage, seed=1, tell=told.append)
    assert [t.number for t in trials] == list(range(24))
    assert sorted(t.number for t in told) == list(range(24))
    early = min(t.value for t in trials[:10] if t.state == "done")
    assert tune.best_of(trials).value <= early
    assert all(("side" in t.params) == (t.params["kind"] == "flat") for t in trials)
    done = [t for t in trials if t.state == "done"]
    assert all(t.numbers["twice"] == pytest.approx(2 * t.value) for t in done)


def test_a_study_goes_on_where_it_ended_and_refuses_another_space(tmp_path):
    storage = tmp_path / "study.journal"
    first = tune.study(bowl, SPACE, trials=3, storage=storage)
    with pytest.raises(TaskError, match="resume=True"):
        tune.study(bowl, SPACE, trials=5, storage=storage)
    more = tune.study(bowl, SPACE, trials=5, storage=storage, resume=True)
    assert more[:3] == first
    assert len(more) == 5
    with pytest.raises(TaskError, match="another space"):
        tune.study(bowl, tune.Space({"x": tune.Int(1, 2)}), trials=5, storage=storage, resume=True)


def test_bad_trials_are_stopped_by_what_they_report(tmp_path):
    def slow(params, report):
        for step in range(1, 6):
            report(step, abs(params["x"]))
        return abs(params["x"])

    space = tune.Space({"x": tune.Uniform(-1.0, 1.0)})
    trials = tune.study(slow, space, trials=20, seed=3)
    states = Counter(t.state for t in trials)
    assert states["stopped"] > 2
    assert tune.best_of(trials).state == "done"
    every = tune.study(slow, space, trials=20, seed=3, prune=False)
    assert Counter(t.state for t in every) == {"done": 20}


def test_an_objective_that_always_fails_says_so_once_and_keeps_what_was_done(tmp_path):
    storage = tmp_path / "study.journal"
    with pytest.raises(TaskError, match=r"failed in all of the 5 trials.*no such luck.*kept in"):
        tune.study(fails, SPACE, trials=50, storage=storage)
    kept = optuna.load_study(
        study_name="jrecipe",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(storage))
        ),
    )
    assert sum(t.state.name == "FAIL" for t in kept.trials) == 5


@pytest.mark.parametrize(
    ("storage", "says"),
    [
        ("sqlite:////no/such/folder/s.db", "unable to open"),
        ("postgresql://me:secret@localhost:1/none", "cannot be reached"),
        ("nonsense://x", "cannot be reached"),
        ("/proc/no/study.journal", "cannot be reached"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_named_without_its_password(storage, says):
    with pytest.raises(TaskError, match=says) as caught:
        tune.study(bowl, SPACE, trials=2, storage=storage)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trials": 0}, "trials >= 1"),
        ({"workers": 0}, "workers >= 1"),
        ({"workers": 2}, "without a storage"),
    ],
)
def test_bad_arguments_of_a_study_are_named(change, says):
    with pytest.raises(TaskError, match=says):
        tune.study(bowl, SPACE, **{"trials": 2, **change})


def test_an_objective_that_processes_cannot_import_is_named(tmp_path):
    with pytest.raises(TaskError, match="top level of a module"):
        tune.study(
            lambda p, report: 1.0, SPACE, trials=2, workers=2, storage=tmp_path / "s.journal"
        )


PROGRAM = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    from jrecipe import tune

    HERE = Path(__file__).parent

    def patient(params, report):
        mine = HERE / "begun" / f"{os.getpid()}-{time.monotonic_ns()}"
        mine.write_text(repr(params["x"]))
        while not (HERE / "killed").exists():
            time.sleep(0.05)
        (HERE / "ended" / mine.name).write_text(repr(params["x"]))
        return params["x"] ** 2

    if __name__ == "__main__":
        space = tune.Space({"x": tune.Uniform(-1.0, 1.0)})
        trials = tune.study(
            patient, space, trials=12, workers=4, storage=sys.argv[1], seed=0, resume=True
        )
        print(len(trials), sorted(t.number for t in trials), {t.state for t in trials})
    """
)


@contextlib.contextmanager
def storage_of(kind, folder):
    if kind == "postgresql":
        with postgresql() as url:
            yield url
    else:
        yield str(folder / "s.journal") if kind == "file" else f"sqlite:///{folder}/s.db"


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["file", pytest.param("sqlite", marks=pytest.mark.exhaustive), "postgresql"]
)
def test_a_worker_that_is_killed_loses_no_trial_and_doubles_none(kind, tmp_path):
    with storage_of(kind, tmp_path) as storage:
        killed(storage, tmp_path)


def killed(storage, tmp_path):
    for name in ("begun", "ended"):
        (tmp_path / name).mkdir()
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    run = subprocess.Popen(
        [sys.executable, str(file), storage],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while len(begun := sorted((tmp_path / "begun").iterdir())) < 4:  # all four are in a trial
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    victim = begun[1]
    lost = victim.read_text()
    os.kill(int(victim.name.split("-")[0]), signal.SIGKILL)
    (tmp_path / "killed").touch()
    out, error = run.communicate(timeout=300)
    assert run.returncode == 0, error
    assert out.strip() == f"12 {list(range(12))} {{'done'}}"
    ended = [path.read_text() for path in (tmp_path / "ended").iterdir()]
    assert len(ended) == len(set(ended)) == 12  # each once
    assert lost in ended  # by another
    values = Counter(path.read_text() for path in (tmp_path / "begun").iterdir())
    assert values[lost] == 2
    assert sum(values.values()) == 13


def trial(number, slot, state, **attributes):
    return SimpleNamespace(
        number=number,
        state=SimpleNamespace(name=state),
        params={"x": number},
        user_attrs={"slot": slot, **attributes},
    )


def test_the_ledger_puts_each_slot_in_one_place():
    trials = [
        trial(0, 0, "COMPLETE"),
        trial(1, 1, "FAIL", error="it broke"),
        trial(2, 2, "FAIL"),  # its worker died
        trial(3, 3, "RUNNING"),
        trial(4, 4, "WAITING"),
        trial(5, 0, "FAIL", surplus=True),
        *(trial(6 + i, 5, "FAIL") for i in range(3)),  # it ends its workers
    ]
    ledger = read_ledger(trials, 7)
    assert sorted(ledger.ends) == [0, 1, 5]
    assert ledger.missing == {2: {"x": 2}, 6: {}}
    assert ledger.waiting == {4}
    assert [t.number for t in ledger.running] == [3]
    assert ledger.failed == 2


def test_ctrl_c_puts_a_trial_back_with_its_values_as_often_as_it_comes(tmp_path):
    calls = []

    def stopped(params, report):
        calls.append(params["x"])
        if len(calls) <= 4:  # more often than a trial may end its worker
            raise KeyboardInterrupt
        return params["x"] ** 2

    space, storage = tune.Space({"x": tune.Uniform(-1.0, 1.0)}), tmp_path / "s.journal"
    for i in range(4):
        with pytest.raises(KeyboardInterrupt):
            tune.study(stopped, space, trials=2, storage=storage, resume=i > 0)
    trials = tune.study(stopped, space, trials=2, storage=storage, resume=True)
    assert [t.state for t in trials] == ["done", "done"]
    assert len(set(calls)) == 2  # each slot keeps its values


def test_ctrl_c_that_a_library_swallows_ends_it_after_the_trial(tmp_path):
    calls = []

    def swallows(params, report):
        calls.append(params["x"])
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.0)
        return params["x"] ** 2

    space, storage = tune.Space({"x": tune.Uniform(-1.0, 1.0)}), tmp_path / "s.journal"
    # A shell that runs the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            tune.study(swallows, space, trials=5, storage=storage)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(calls) == 1


def test_of_two_trials_of_a_slot_one_counts():
    one, two = trial(3, 1, "RUNNING"), trial(4, 1, "RUNNING")
    assert is_surplus(two, [one, two])
    assert not is_surplus(one, [one, two])
    assert is_surplus(one, [one, trial(5, 1, "COMPLETE")])
    assert not is_surplus(two, [trial(3, 1, "FAIL"), two])  # its worker died: this takes over


def test_a_worker_is_lost_if_its_process_is_or_its_beat_stands_still():
    watch = Watch(grace=0.2)
    assert not watch.lost(trial(0, 0, "RUNNING", worker=me(), beat=1))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = me().rpartition(":")[0]
    assert watch.lost(trial(1, 1, "RUNNING", worker=f"{host}:{dead.pid}"))
    elsewhere = trial(2, 2, "RUNNING", worker="elsewhere:1", beat=1)
    assert not watch.lost(elsewhere)
    time.sleep(0.3)
    elsewhere.user_attrs["beat"] = 2
    assert not watch.lost(elsewhere)
    time.sleep(0.3)
    assert watch.lost(elsewhere)
