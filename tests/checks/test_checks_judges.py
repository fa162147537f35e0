"""The judges of the skeleton checks, with plain numbers at their borders."""

from __future__ import annotations

import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jrecipe as jr
from jrecipe.checks import laws
from jrecipe.checks.blank_inputs import answers_vary, judge_blank_inputs
from jrecipe.checks.capacity import judge_capacity
from jrecipe.checks.decay import decay_share
from jrecipe.checks.dynamics import as_predictions, jitter, judge_dynamics, standing
from jrecipe.checks.human import judge_human
from jrecipe.checks.init_bias import average_output, judge_init_bias
from jrecipe.checks.intervals import paired_difference, wilson
from jrecipe.checks.loss_at_init import judge_loss_at_init, shuffled_loss
from jrecipe.checks.overfit_batch import clipped_examples, judge_overfit_batch
from jrecipe.checks.result import Finding, Verdict
from jrecipe.checks.simplify import judge_simplify

PASSED, WARNED, FAILED, SKIPPED = (Verdict(v) for v in ("PASSED", "WARNED", "FAILED", "SKIPPED"))
CE = jr.losses.softmax_cross_entropy()


def causes(finding: Finding) -> list[str]:
    return [suspect.cause for suspect in finding.suspects]


# B2


@pytest.mark.parametrize(("decay", "verdict"), [(0.0, PASSED), (0.5, PASSED), (0.51, FAILED)])
def test_decay_may_turn_the_update_by_half(decay, verdict):
    finding = judge_simplify(augmented=False, noise=0.0, noise_left=0.0, decay=decay)
    assert finding.verdict is verdict


def test_what_is_switched_off_and_what_stays_on_is_said():
    finding = judge_simplify(augmented=True, noise=0.3, noise_left=0.0, decay=0.01)
    assert "augmentation and dropout" in finding.finding
    assert "decay stays on" in finding.finding


OPTIMIZERS = {
    "adam": (optax.adam(1e-3), False),
    "sgd": (optax.sgd(0.1, momentum=0.9), False),
    "lamb": (optax.lamb(1e-3), False),
    "lars": (optax.lars(1e-1), False),
    "adamw-0.1": (optax.adamw(1e-3, weight_decay=0.1), False),
    "coupled-1e-4": (optax.chain(optax.add_decayed_weights(1e-4), optax.adam(1e-3)), False),
    "coupled-10": (optax.chain(optax.add_decayed_weights(10.0), optax.adam(1e-3)), True),
    "decoupled-300": (optax.adamw(1e-3, weight_decay=300.0), True),
    "warm-up-then-10": (
        optax.chain(
            optax.add_decayed_weights(10.0), optax.adam(optax.linear_schedule(0.0, 1e-3, 50))
        ),
        True,
    ),
    "accumulated-10": (
        optax.MultiSteps(optax.chain(optax.add_decayed_weights(10.0), optax.adam(1e-3)), 4),
        True,
    ),
}


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_is_seen_in_whatever_optimiser_it_hides(name):
    tx, dominates = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    draw = lambda size: {"w": np.float32(size * rng.normal(size=(20, 20)))}  # noqa: E731
    assert (decay_share(tx, draw(0.01), draw(0.2)) > 0.5) == dominates


# B4


def at_init(**changes: object) -> Finding:
    lawful = {
        "loss": 2.5,
        "stderr": 0.05,
        "shuffled": 2.52,
        "shuffled_sd": 0.03,
        "floor": 2.3,
        "zero": 2.303,
        "offset": 2.31,
        "spread": 0.3,
        "unit": 1.0,
        "known": laws.Law(CE, classes=10),
    }
    return judge_loss_at_init(**{**lawful, **changes})


def test_the_law_at_init_has_two_sides():
    assert at_init().verdict is PASSED
    assert at_init(loss=2.3 - 0.19).verdict is PASSED  # within four standard errors
    assert at_init(loss=2.3 - 0.21).verdict is FAILED
    assert at_init(loss=2.31 + 0.3 + 0.19).verdict is PASSED
    assert at_init(loss=2.31 + 0.3 + 0.21).verdict is FAILED
    assert causes(at_init(loss=float("nan"))) == ["not-finite"]
    assert causes(at_init(loss=float("inf"))) == ["not-finite"]


def test_the_law_at_init_allows_for_the_draw_of_the_weights():
    # classes look alike, so a small random head on them is off by more than examples tell
    assert at_init(loss=2.3 - 0.3, inits_sd=0.1).verdict is PASSED
    assert at_init(loss=2.3 - 0.5, inits_sd=0.1).verdict is FAILED
    assert at_init(loss=2.31 + 0.3 + 0.3, inits_sd=0.1).verdict is PASSED
    assert at_init(loss=2.31 + 0.3 + 0.5, inits_sd=0.1).verdict is FAILED


def test_a_low_loss_is_a_leak_if_pairing_matters_and_a_scale_if_not():
    assert causes(at_init(loss=1.0))[0] == "label-leak"
    assert causes(at_init(loss=1.0, shuffled=1.0))[0] == "loss-scale"
    assert at_init(loss=1.0, pretrained=True).verdict is PASSED


def test_wide_outputs_are_blamed_on_what_is_wide():
    wide = {"spread": 15.0, "loss": 17.0}
    assert causes(at_init(**wide, inputs_rms=1.0, outputs_rms=20.0))[0] == "init-scale"
    assert causes(at_init(**wide, inputs_rms=80.0, outputs_rms=60.0))[0] == "data-on-wrong-scale"
    assert causes(at_init(offset=9.0, loss=9.0)) == ["init-scale"]


def test_outputs_for_numbers_may_be_up_to_three_times_as_wide_as_the_targets():
    number = {"known": laws.Law(jr.losses.l2()), "floor": 1.0, "zero": 1.0, "offset": 1.0}
    assert at_init(**number, spread=8.5, loss=9.5, shuffled=9.5).verdict is PASSED
    assert causes(at_init(**number, spread=9.5, loss=10.5, shuffled=10.5)) == [
        "init-scale",
        "data-on-wrong-scale",
    ]
    assert at_init(spread=2.5, loss=4.7).verdict is FAILED  # logits, in nats


def test_probabilities_before_a_loss_of_logits_are_named():
    found = at_init(distribution=True)
    assert (found.verdict, causes(found)) == (FAILED, ["double-softmax"])
    assert at_init(distribution=True, known=None).verdict is PASSED


def test_without_a_law_only_labels_that_leak_are_suspicious():
    plain = {"loss": 1.0, "stderr": 0.1, "shuffled": 2.0, "shuffled_sd": 0.1}
    assert causes(judge_loss_at_init(**plain)) == ["label-leak"]
    assert judge_loss_at_init(**plain, labels=False).verdict is PASSED
    assert judge_loss_at_init(**plain, pretrained=True).verdict is PASSED
    assert judge_loss_at_init(**plain, every_init=False).verdict is PASSED
    assert judge_loss_at_init(**{**plain, "loss": 1.61}).verdict is PASSED


LABELS = np.arange(40, dtype=np.int32) % 5
RAW = {
    "mean over classes": (lambda o, t: CE(o, t) / 5, 0.2, True),
    "mean over batch": (lambda o, t: CE(o, t) / len(t), 1 / 40, True),
    "sum over batch": (lambda o, t: CE(o, t) * len(t), 40.0, True),
    "as it should be": (lambda o, t: CE(o, t) * 1.0, 1.0, False),
    "another unit": (lambda o, t: CE(o, t) / np.log(2), 1 / np.log(2), False),
}


@pytest.mark.thin(10)
@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("seed", range(3))
def test_a_loss_of_ones_own_is_recognised_with_its_scale(name, seed):
    loss, scale, wrong = RAW[name]
    law = laws.law_of(loss, np.zeros((40, 5)), LABELS, seed)
    assert law is not None
    assert law.loss.name == CE.name
    assert law.scale == pytest.approx(scale, rel=1e-4)
    found = at_init(known=law)
    assert (found.verdict is FAILED) == wrong
    assert causes(found) == (["loss-scale"] if wrong else [])


def test_losses_with_a_law_of_another_kind_are_not_taken_for_known_ones():
    hinge = lambda o, t: np.maximum(0, 1 - o[:, 0])  # noqa: E731
    weighed = lambda o, t: CE(o, t) * (1.0 + t)  # noqa: E731
    smooth = jr.losses.softmax_cross_entropy(0.1)
    assert laws.law_of(hinge, np.zeros((40, 5)), LABELS) is None
    assert laws.law_of(weighed, np.zeros((40, 5)), LABELS) is None
    assert laws.law_of(lambda o, t: smooth(o, t), np.zeros((40, 5)), LABELS) is None
    assert laws.law_of(hinge, {"mean": np.zeros((40, 1))}, LABELS) is None


@given(seed=st.integers(0, 2**31 - 1))
def test_the_loss_of_independent_outputs_lies_where_shuffling_says(seed):
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(200, 5)).astype(np.float32)
    targets = rng.integers(0, 5, 200).astype(np.int32)
    mean, sd = shuffled_loss(CE, outputs, targets, seed)
    assert abs(float(np.mean(CE(outputs, targets))) - mean) < 5.5 * sd


# B5


def test_the_bias_may_cost_a_quarter_of_the_unit_and_what_noise_explains():
    judge = lambda excess, **more: judge_init_bias(  # noqa: E731
        offset=1.0 + excess, floor=1.0, unit=1.0, can_set=True, **more
    )
    assert judge(0.25).verdict is PASSED
    assert judge(0.26).verdict is WARNED
    assert judge(0.26, noise=0.01).verdict is PASSED
    assert judge(0.4, per_target=0.2).verdict is PASSED
    assert judge(0.9, share=1.0).verdict is PASSED  # numbers
    assert judge(1.1, share=1.0).verdict is WARNED
    assert causes(judge(5.0)) == ["head-bias-ignores-prior"]


def test_random_last_weights_average_out_over_seeds():
    rng = np.random.default_rng(0)
    outputs = [np.full((50, 1), x) for x in 3.0 + rng.normal(size=8)]
    average, noise = average_output(jr.losses.l2(), outputs[0], outputs[1:])
    assert abs(average[0] - 3.0) < 1.2
    assert 0.02 < noise < 0.5


# B6


def test_a_person_must_not_disagree_with_the_labels():
    assert judge_human(right=55, n=60, chance=0.1, person=True).verdict is PASSED
    shuffled = judge_human(right=6, n=60, chance=0.1, person=True)
    assert (shuffled.verdict, causes(shuffled)) == (FAILED, ["human-disagrees"])
    assert judge_human(right=1, n=2, chance=0.1, person=True).verdict is PASSED  # too few to tell
    assert judge_human(right=6, n=60, chance=0.1, person=False).verdict is SKIPPED
    assert judge_human(right=55, n=60, chance=0.1, person=False).verdict is PASSED


# B7


def blank(**changes: object) -> Finding:
    healthy = {
        "gain": 0.5,
        "gain_stderr": 0.05,
        "real": 1.8,
        "blank": 2.3,
        "blank_stderr": 0.01,
        "shuffled_gap": 0.5,
        "shuffled_gap_stderr": 0.05,
        "floor": 2.29,
        "finished": True,
    }
    return judge_blank_inputs(**{**healthy, **changes})


def test_inputs_must_be_worth_more_than_noise():
    assert blank().verdict is PASSED
    assert blank(gain=0.16).verdict is PASSED
    assert blank(gain=0.14).verdict is FAILED
    assert blank(gain=0.14, finished=False).verdict is SKIPPED
    assert blank(gain=0.14, learned=0.1).verdict is SKIPPED
    assert blank(gain=0.0, metric_gain=0.5, metric_gain_stderr=0.1).verdict is PASSED
    assert blank(gain=float("nan"), learned=-np.inf).verdict is SKIPPED
    assert causes(blank(blank=2.2)) == ["label-leak"]


def test_labels_are_suspected_where_the_network_does_look_at_its_inputs():
    mixed = blank(gain=0.0, shuffled_gap=0.0, varied=True)
    deaf = blank(gain=0.0, shuffled_gap=0.0, varied=False)
    assert (mixed.suspects[0].component, deaf.suspects[0].component) == ("labels", "model")
    assert not answers_vary(np.ones((3, 5, 2)))
    assert answers_vary(np.random.default_rng(0).normal(size=(3, 5, 2)))


# B8


def overfit(**changes: object) -> Finding:
    done = {"start": 2.3, "reached": 0.01, "floor": 0.0, "right": 1.0, "examples": 4, "steps": 300}
    return judge_overfit_batch(**{**done, **changes})


def test_a_few_examples_must_be_learned_by_heart():
    assert overfit().verdict is PASSED
    assert overfit(reached=0.23).verdict is PASSED
    assert overfit(reached=0.24).verdict is FAILED
    assert overfit(right=0.75).verdict is FAILED
    assert overfit(right=float("nan")).verdict is PASSED
    assert overfit(reached=1.0, distinct=False).verdict is SKIPPED
    assert overfit(reached=1.0, finished=False).verdict is SKIPPED
    assert overfit(start=0.0, reached=0.0).verdict is SKIPPED
    assert causes(overfit(reached=2.29))[0] == "no-learning"
    assert causes(overfit(reached=0.3, floor=0.5)) == ["wrong-loss"]  # too good is an alarm
    assert causes(overfit(reached=float("inf")))[0] == "no-learning"


def test_clipping_is_seen_in_the_gradient_of_the_loss():
    outputs = np.array([[9.0, 0.0], [0.0, 9.0]], np.float32)
    clip = lambda o, t: CE(o, t).clip(max=0.5)  # noqa: E731
    assert clipped_examples(clip, outputs, np.array([0, 0])) == 1
    assert clipped_examples(CE, outputs, np.array([0, 0])) == 0


# B9


def test_more_capacity_must_not_hurt():
    judge = lambda **x: judge_capacity(**{"start": 2.3, "base": 0.3, "fell": 2.0, **x})  # noqa: E731
    noise = {"fell_stderr": 0.05, "gap_stderr": 0.02}
    assert judge(**noise, bigger=0.2, gap=-0.1).verdict is PASSED
    assert judge(**noise, bigger=0.49, gap=0.19).verdict is PASSED
    assert judge(**noise, bigger=0.52, gap=0.22).verdict is FAILED
    assert judge(**noise, bigger=float("nan"), gap=float("nan")).verdict is FAILED
    assert judge(**noise).verdict is PASSED
    still = {"base": 2.3, "fell": 0.0, "fell_stderr": 0.05}
    assert causes(judge(**still))[0] == "no-learning"
    assert judge(**still, finished=False).verdict is SKIPPED
    assert judge(**still, pretrained=True).verdict is PASSED
    assert judge(base=float("nan"), fell=float("nan"), fell_stderr=0.1).verdict is FAILED


# B11


def test_the_rate_is_judged_by_a_tenth_and_ten_times_it():
    judge = lambda **x: judge_dynamics(  # noqa: E731
        **{"start": 2.3, "floor": 0.0, "hop": 0.1, "wasted": 0.1, "slower": 1.0, "faster": 0.1, **x}
    )
    assert judge(end=0.3).verdict is PASSED
    assert causes(judge(end=2.3, slower=0.2, faster=None)) == ["learning-rate-too-high"]
    assert causes(judge(end=float("nan"), slower=0.2)) == ["learning-rate-too-high"]
    assert judge(end=float("nan"), slower=None).verdict is PASSED  # nothing to compare with
    low = judge(end=2.29, slower=2.299, faster=1.5)
    assert (low.verdict, causes(low)) == (WARNED, ["learning-rate-too-low"])
    assert judge(end=2.29, slower=2.299, faster=1.5, pretrained=True).verdict is PASSED
    # From 1.0 to 0.7 is as far as the frequencies of the targets go: nothing was learned of inputs.
    blind = {"start": 1.0, "end": 0.692, "slower": 0.9, "blank": 0.694}
    assert causes(judge(**blind, faster=0.37)) == ["learning-rate-too-low"]
    assert judge(**blind, faster=0.66).verdict is PASSED  # ten times the rate does no better
    assert judge(**{**blind, "end": 0.6}, faster=0.37).verdict is PASSED
    assert judge(**{**blind, "blank": None}, faster=0.37).verdict is PASSED
    assert causes(judge(end=2.3, slower=2.3, faster=2.3, moved=1e-6)) == ["learning-rate-too-low"]


def test_predictions_that_stand_still_early_are_told_from_a_run_that_is_over():
    judge = lambda **x: judge_dynamics(  # noqa: E731
        **{"start": 2.3, "end": 1.0, "floor": 0.0, "hop": 0.1, "wasted": 0.1, **x},
        slower=None,
        faster=None,
    )
    assert causes(judge(stopped=45, epochs=1.2)) == ["schedule-ends-early"]
    assert judge(stopped=0).verdict is PASSED
    assert judge(stopped=150, epochs=30.0).verdict is PASSED  # a short run over few data
    assert judge(stopped=150, epochs=3.0, end=0.01).verdict is PASSED  # it has learned all
    hops = np.array([1.0, 0.3, 0.0, 0.0, 0.0, 0.0])
    assert standing(hops) == 2
    assert standing(hops[::-1]) == 0
    assert standing(hops + 0.01) == 0
    assert standing(np.zeros(6)) == 0
    assert standing(np.array([1.0])) == 0  # a run that its budget cut short


@given(seed=st.integers(0, 2**31 - 1))
def test_a_straight_way_wastes_nothing_and_there_and_back_wastes_all(seed):
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, 1, 5, 3)) + np.array([0.0, 9.0]).reshape(2, 1, 1, 1)
    straight = start + np.linspace(0, 1, 7).reshape(7, 1, 1) * (end - start)
    assert jitter(straight)[1] == pytest.approx(0.0, abs=1e-9)
    assert jitter(np.concatenate([start, end, start]))[1] == pytest.approx(1.0)
    chances = as_predictions(rng.normal(size=(4, 3)) * 50, "classes")
    np.testing.assert_allclose(chances.sum(axis=-1), 1.0)


# intervals


@given(n=st.integers(0, 10_000), share=st.floats(0, 1))
def test_wilson_holds_the_share_and_stays_in_the_unit_interval(n, share):
    right = int(share * n)
    low, high = wilson(right, n)
    assert 0.0 <= low <= (right / n if n else 0.5) + 1e-12
    assert (right / n if n else 0.5) - 1e-12 <= high <= 1.0


def test_a_paired_difference_has_the_error_of_its_mean():
    assert paired_difference(np.array([3.0, 5.0]), np.array([1.0, 1.0])) == (3.0, 1.0)
    assert np.isnan(paired_difference(np.ones(1), np.ones(1))[1])
