"""Where a loss comes to rest when outputs are free: honest floors, and losses that have none."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import check, digits, task

from jrecipe.checks.free_outputs import resting_loss
from jrecipe.checks.overfit_batch import check_overfit_batch
from jrecipe.checks.result import Verdict

pytestmark = pytest.mark.thin(6)

CLASSES = 10


def smoothed(outputs, targets, amount=0.2):
    soft = (1 - amount) * jax.nn.one_hot(targets, CLASSES) + amount / CLASSES
    return optax.softmax_cross_entropy(outputs, soft)


def twice(outputs, targets):
    """A softmax of probabilities; it stays above 1.4."""
    return optax.softmax_cross_entropy_with_integer_labels(jax.nn.softmax(outputs), targets)


@pytest.mark.slow
@given(seed=st.integers(0, 99), amount=st.sampled_from([0.05, 0.2, 0.4]))
def test_smoothed_labels_have_the_floor_that_theory_gives(seed, amount):
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(4, CLASSES)).astype(np.float32)
    targets = rng.integers(0, CLASSES, 4)
    right, wrong = 1 - amount + amount / CLASSES, amount / CLASSES
    entropy = -right * np.log(right) - (CLASSES - 1) * wrong * np.log(wrong)
    loss = lambda o, t: smoothed(o, t, amount)  # noqa: E731
    assert resting_loss(loss, outputs, targets) == pytest.approx(entropy, rel=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        optax.softmax_cross_entropy_with_integer_labels,
        twice,
        lambda o, t: jnp.minimum(optax.softmax_cross_entropy_with_integer_labels(o, t), 0.5),
        lambda o, t: 1.0 + 0.0 * o.sum(axis=-1),
    ],
    ids=["cross-entropy", "softmax twice", "clipped", "constant"],
)
def test_losses_that_pull_outputs_away_do_not_rest(loss):
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(4, CLASSES)).astype(np.float32)
    assert resting_loss(loss, outputs, np.arange(4)) is None


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("loss", [smoothed, twice], ids=["smoothed", "softmax twice"])
def test_a_floor_of_ones_own_is_no_failure_to_learn(loss):
    x, y = digits()
    found = check(
        check_overfit_batch,
        task(loss=loss, train=(x[:300], y[:300]), val=(x[300:500], y[300:500])),
    )
    assert (found[0].verdict is Verdict.PASSED) is (loss is smoothed)


def soft_targets(sure: int) -> np.ndarray:
    """Returns targets of which `sure` are one class each, and the others two at even odds."""
    y = digits()[1]
    p = 0.5 * np.eye(CLASSES)[y] + 0.5 * np.eye(CLASSES)[(y + 1) % CLASSES]
    p[:sure] = 0.99 * np.eye(CLASSES)[y[:sure]] + 0.001
    return p.astype(np.float32)


def declared(floor: float, targets: np.ndarray):
    x = digits()[0]
    return check(
        check_overfit_batch,
        task(
            loss=optax.softmax_cross_entropy,
            train=(x[:400], targets[:400]),
            val=(x[400:700], targets[400:700]),
            loss_floor=floor,
        ),
    )


@pytest.mark.slow
def test_a_few_examples_may_lie_below_the_floor_of_all():
    """Half the targets are sure, so some few are surer than the mean."""
    p = soft_targets(0)
    p[::2] = soft_targets(len(p))[::2]
    entropy = float(-(p * np.log(p + 1e-12)).sum(axis=1)[:400].mean())
    assert [f.verdict for f in declared(entropy, p)] == [Verdict.PASSED]


@pytest.mark.slow
def test_a_floor_that_is_declared_too_high_is_named():
    """All targets are sure: no examples explain a loss below the floor."""
    findings = declared(1.0, np.eye(CLASSES, dtype=np.float32)[digits()[1]])
    assert findings[0].suspects[0].cause == "wrong-loss"
