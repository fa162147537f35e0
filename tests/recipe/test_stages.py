"""The decisions of the stages: what is kept, and why."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from small_tasks import small

import jrecipe as jr
from jrecipe.checks import Verdict
from jrecipe.recipe import stages
from jrecipe.recipe.dish import Rung
from jrecipe.recipe.effort import Effort
from jrecipe.recipe.predictions import confusion
from jrecipe.recipe.stages import best_rate, keeps, overfit, regularise
from jrecipe.train.seeds import SeedRuns


def runs(*best):
    """Returns runs whose seeds reach the given validation losses."""
    val = np.array([[loss + 1.0, loss, loss + 0.5] for loss in best])
    return SeedRuns(
        seeds=tuple(range(len(best))),
        steps=np.array([1, 2, 3]),
        val_loss=val,
        train_loss=val,
        train_end=val[:, -1],
    )


def test_a_gain_larger_than_the_noise_over_seeds_is_kept():
    better, gain, half = keeps(runs(1.0, 1.1, 1.05), runs(0.8, 0.9, 0.86))
    assert better
    assert gain == pytest.approx(0.1966, abs=1e-3)
    assert half < gain


def test_a_gain_within_the_noise_is_not_kept():
    assert not keeps(runs(1.0, 1.1, 1.05), runs(0.7, 1.2, 1.0))[0]


def test_no_gain_a_loss_or_a_run_that_blew_up_is_not_kept():
    base = runs(1.0, 1.1, 1.05)
    assert not keeps(base, base)[0]
    assert not keeps(base, runs(1.2, 1.3, 1.24))[0]
    assert not keeps(base, runs(0.5, np.inf, 0.5))[0]


def test_one_seed_proves_nothing():
    assert not keeps(runs(1.0), runs(0.1))[0]


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A dish that has already been trained: its losses are given."""

    name: str
    losses: tuple[float, ...]
    ladder: tuple[Rung, ...] = ()
    task: object = None

    def train(self, seeds, steps, looks=10):
        return runs(*self.losses)

    def rungs(self, steps, bounded=False):
        return self.ladder


def test_rungs_build_on_what_was_kept_and_are_told_in_order():
    seen = []

    def change(name, losses):
        def apply(dish):
            seen.append((name, dish.name))
            return dataclasses.replace(dish, name=name, losses=losses)

        return Rung(name, "D2", apply)

    ladder = (
        change("harms", (1.5, 1.6, 1.55)),
        change("helps", (0.5, 0.6, 0.55)),
        change("helps less than helps", (0.7, 0.8, 0.75)),
    )
    dish = Fixed("plain", (1.0, 1.1, 1.05), ladder)
    effort = Effort(rung=3, final=3)
    named = []
    kept, _, finding, section = regularise(dish, dish.train((), 3), effort, named.append)
    assert kept.name == "helps"
    assert seen == [("harms", "plain"), ("helps", "plain"), ("helps less than helps", "helps")]
    assert named == ["harms", "helps", "helps less than helps"]
    assert [row[-1] for row in section.table.rows] == ["", "dropped", "kept", "dropped"]
    assert finding.verdict is Verdict.PASSED
    assert "helps (D2) of 3" in finding.finding


def test_a_task_without_rungs_is_skipped_with_the_reason():
    dish = Fixed("plain", (1.0, 1.1))
    _, _, finding, _ = regularise(dish, dish.train((), 3), Effort(rung=3, final=3), print)
    assert finding.verdict is Verdict.SKIPPED
    assert "no regulariser" in finding.finding


def test_a_verdict_after_few_epochs_says_so():
    task = SimpleNamespace(batch_size=50, train=range(1000))
    rung = Rung("helps", "D2", lambda dish: dish)
    dish = dataclasses.replace(Fixed("plain", (1.0, 1.1), (rung,)), task=task)
    for bounded in (True, False):
        effort = Effort(rung=10, final=3, bounded=bounded)
        _, _, finding, _ = regularise(dish, dish.train((), 3), effort, print)
        assert ("10 updates each, 0.5 epochs" in finding.finding) == bounded


@pytest.mark.parametrize("bounded", [True, False])
def test_where_work_is_short_augmentation_that_surely_costs_little_is_kept(bounded):
    """So short a run cannot show what moved pictures prevent later; of other rungs it decides."""

    def change(name, item, losses):
        return Rung(name, item, lambda dish: dataclasses.replace(dish, name=name, losses=losses))

    ladder = (
        change("another item", "D9", (1.04, 1.14, 1.09)),
        change("costs much", "D2", (1.14, 1.24, 1.19)),
        change("costs who knows what", "D2", (1.0, 1.3, 1.0)),
        change("costs little", "D2", (1.04, 1.14, 1.09)),
    )
    task = SimpleNamespace(batch_size=50, train=range(1000))
    dish = dataclasses.replace(Fixed("plain", (1.0, 1.1, 1.05), ladder), task=task)
    effort = Effort(rung=10, final=3, bounded=bounded)
    kept, _, finding, section = regularise(dish, dish.train((), 3), effort, lambda name: None)
    last = "kept, costs little" if bounded else "dropped"
    assert [row[-1] for row in section.table.rows] == ["", *["dropped"] * 3, last]
    assert kept.name == ("costs little" if bounded else "plain")
    assert ("as it costs little" in finding.finding) == bounded


@dataclasses.dataclass(frozen=True)
class Growing:
    """A dish whose training loss halves with each doubling, and never reaches its floor."""

    task: jr.Task
    width: int = 1

    @property
    def size(self):
        return f"width {self.width}"

    def train(self, seeds, steps, looks):
        return runs(0.2 / self.width, 0.2 / self.width)

    def bigger(self):
        return dataclasses.replace(self, width=2 * self.width)


@pytest.mark.parametrize(("most", "chosen"), [(1, 1), (2, 2), (99, 4)])
def test_capacity_grows_as_far_as_the_work_allows(monkeypatch, most, chosen):
    """`most` is the greatest width that is no more than a run may do; three sizes are tried."""
    widths = iter((2, 4, 8))

    def effort_of(task):
        return Effort(rung=3, final=3, bounded=next(widths) > most)

    monkeypatch.setattr(stages, "effort_of", effort_of)
    dish, _, finding, section = overfit(Growing(small()), Effort(rung=3, final=3))
    assert dish.width == chosen
    assert len(section.table.rows) == {1: 1, 2: 2, 4: 3}[chosen]
    assert ("more work than a run of this effort" in finding.finding) == (most < 8)
    assert "floor 0;" in finding.finding


@dataclasses.dataclass(frozen=True)
class Stuck(Growing):
    """A dish that stays at what an uninformed network scores."""

    def train(self, seeds, steps, looks):
        return runs(np.log(4) - 0.5, np.log(4) - 0.5)  # its last loss is half above its best

    def bigger(self):
        return None


@pytest.mark.parametrize("bounded", [True, False])
def test_where_nothing_is_learned_learning_is_broken_or_the_time_was_too_short(bounded):
    effort = Effort(rung=3, final=3, bounded=bounded)
    _, _, finding, _ = overfit(Stuck(small()), effort)
    assert finding.verdict is (Verdict.WARNED if bounded else Verdict.FAILED)
    assert ("--minutes" in finding.remedy) == bounded
    assert bool(finding.suspects) == (not bounded)


class Over:
    """A deadline that has passed."""

    left = 0.0


def test_after_the_deadline_no_other_size_and_no_rung_is_tried():
    _, _, finding, section = overfit(Growing(small()), Effort(rung=3, final=3), Over())
    assert len(section.table.rows) == 1
    assert "time for this stage ended" in finding.finding
    rung = Rung("helps", "D2", lambda dish: dish)
    plain = Fixed("plain", (1.0, 1.1), (rung,))
    effort = Effort(rung=3, final=3)
    kept, _, finding, _ = regularise(plain, plain.train((), 3), effort, print, Over())
    assert kept is plain
    assert "ended before helps could be tried" in finding.finding
    assert finding.verdict is Verdict.SKIPPED


def controls(**val):
    arms = {
        name: SimpleNamespace(
            arm=SimpleNamespace(rate=rate),
            val=np.full(4, val[key]),
            val_mean=(val[key], 0.1),
        )
        for name, key, rate in (
            ("real", "real", 1.0),
            ("rate/10", "slow", 0.1),
            ("rate*10", "fast", 10.0),
        )
        if key in val
    }
    return SimpleNamespace(arms=arms)


def test_the_rate_with_the_lowest_validation_loss_is_taken():
    assert best_rate(controls(real=1.0, slow=2.0, fast=0.5)) == 10.0
    assert best_rate(controls(real=1.0, slow=0.2, fast=np.nan)) == 0.1


def test_a_tie_leaves_the_rate_and_a_single_arm_has_no_choice():
    assert best_rate(controls(real=1.0, slow=1.0, fast=1.0)) == 1.0
    assert best_rate(controls(real=1.0)) == 1.0


def test_confusion_counts_labels_by_answers():
    table = confusion(np.array([0, 1, 1, 2]), np.array([0, 2, 1, 2]), 3)
    assert table.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
