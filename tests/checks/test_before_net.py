"""B10: what enters the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st
from programs import (
    check,
    constant,
    digits,
    first_cause,
    foreign,
    language_model,
    sequence_task,
    task,
    two_layers,
)

import jrecipe as jr
from jrecipe.checks.before_net import (
    check_before_net,
    judge_alike,
    judge_ids,
    judge_scale,
    measure_scale,
)
from jrecipe.checks.first_layer import first_product
from jrecipe.checks.result import Verdict
from jrecipe.checks.two_sample import compare, unseen_share
from jrecipe.figures import Pictures, Table


def bytes_of_digits() -> np.ndarray:
    return np.round((digits()[0] * 0.376 + 0.305) * 255).clip(0, 255).astype(np.float32)


def on(x: np.ndarray, val: np.ndarray | None = None, **changes) -> jr.Task:
    y, val = digits()[1], x[400:700] if val is None else val
    return task(train=(x[:400], y[:400]), val=(val, y[400 : 400 + len(val)]), **changes)


class InputNorm(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(10, kernel_init=constant)(nn.BatchNorm(use_running_average=not train)(x))


one_wild = digits()[0].copy()
one_wild[:, 20] = one_wild[:, 20] * 3000 + 40000

SCALES = {
    "pictures 0 to 255": (on(bytes_of_digits()), "first layer"),
    "bytes": (on(bytes_of_digits().astype(np.uint8)), "first layer"),
    "divided twice": (on(bytes_of_digits() / 255 / 255), "first layer"),
    "one column in raw units": (on(one_wild), "feature 20"),
    "handed to a foreign trainer": (on(bytes_of_digits(), trainer=foreign()), "inputs"),
}


@pytest.mark.parametrize("name", SCALES)
def test_inputs_on_a_wrong_scale_are_named(name):
    subject, where = SCALES[name]
    findings = check(check_before_net, subject)
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.WARNED, "data-on-wrong-scale")
    assert where in findings[0].suspects[0].where


rng = np.random.default_rng(0)
HEALTHY = {
    "standardised": on(digits()[0]),
    "rescaled by the network": on(
        bytes_of_digits(), model=two_layers(before=lambda x, train: x / 255.0)
    ),
    "an input BatchNorm": on(bytes_of_digits(), model=InputNorm()),
    "0 and 1": on((digits()[0] > 0).astype(np.float32)),
    "heavy tails": on((rng.standard_t(1.5, digits()[0].shape) / 3).astype(np.float32)),
    "sparse": on((rng.random(digits()[0].shape) < 0.01) * np.float32(0.3)),
    "augmented": on(
        digits()[0],
        augment=lambda key, batch: batch._replace(
            inputs=batch.inputs + 0.3 * jax.random.uniform(key, batch.inputs.shape)
        ),
    ),
    "time, drifting": on(
        digits()[0], digits()[0][400:700] * np.float32(4.0) + np.float32(2.0), ordered_data=True
    ),
    "tokens": sequence_task(language_model()),
}


@pytest.mark.thin(3)
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_inputs_are_silent(name):
    findings = check(check_before_net, HEALTHY[name])
    assert [finding.verdict for finding in findings] == [Verdict.PASSED], findings[0]


def normalise_in_training(key, batch):
    return batch._replace(inputs=(batch.inputs - 78.0) / 96.0)


DIFFERENT = {
    "val divided again": on(digits()[0], digits()[0][400:700] / 255),
    "val not normalised": on(digits()[0], bytes_of_digits()[400:700] / 255),
    "val standardised apart, mean off": on(digits()[0], digits()[0][400:700] + np.float32(1.5)),
    "normalised by the augmentation": on(bytes_of_digits(), augment=normalise_in_training),
    "gross, though time": on(digits()[0], digits()[0][400:700] / 255, ordered_data=True),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_splits_prepared_differently_fail(name):
    findings = check(check_before_net, DIFFERENT[name])
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.FAILED, "prepared-differently")
    assert "val inputs" in findings[0].suspects[0].where


def test_one_column_in_other_units_is_named():
    val = digits()[0][400:700].copy()
    val[:, 20] *= 100
    findings = check(check_before_net, on(digits()[0], val))
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.WARNED, "prepared-differently")
    assert findings[0].suspects[0].where == "val inputs feature 20"


def test_mirrored_pictures_are_told_from_random_splits():
    mirrored = digits()[0][400:700].reshape(-1, 8, 8)[:, :, ::-1].reshape(-1, 64)
    findings = check(check_before_net, on(digits()[0], mirrored))
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.WARNED, "prepared-differently")


@pytest.mark.parametrize(
    ("contrast", "verdict"), [(1.0, "PASSED"), (1.3, "WARNED"), (2.0, "FAILED")]
)
def test_another_contrast_is_told_by_all_pixels_together(contrast, verdict):
    x = digits()[0]
    finding = check(check_before_net, on(x, x[400:700] * np.float32(contrast)))[0]
    assert finding.verdict.name == verdict
    if verdict != "PASSED":
        assert finding.suspects[0].where == "val inputs"  # not one pixel


@given(seed=st.integers(0, 9999), copied=st.booleans(), rows=st.sampled_from([40, 300]))
def test_chance_is_that_of_the_features_together(seed, copied, rows):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * rows, 1)) if copied else rng.normal(size=(2 * rows, 200))
    x = np.tile(x, (1, 200)) if copied else x
    difference = compare(x[:rows], x[rows:], seed)
    assert judge_alike(difference, ordered=False) is Verdict.PASSED
    # 200 that agree are one feature; of 200 independent ones the median hardly moves.
    single = 5 * difference.noise
    assert (
        difference.chance_spread > 0.35 * single
        if copied
        else (difference.chance_spread < 0.25 * single)
    )


@given(seed=st.integers(0, 9999), rows=st.sampled_from([25, 200]), power=st.sampled_from([1, 3]))
def test_random_splits_are_alike(seed, rows, power):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * rows, 30)) ** power * rng.lognormal(0, 1, 30)
    difference = compare(x[:rows], x[rows:], seed)
    assert judge_alike(difference, ordered=False) is not Verdict.FAILED


def test_unknown_tokens_are_told_from_rare_ones():
    rng = np.random.default_rng(0)
    zipf = lambda n: np.minimum(rng.zipf(1.3, (n, 20)), 50_000)  # noqa: E731
    train = zipf(300)
    same, other = unseen_share(train, zipf(100)), unseen_share(train, zipf(100) + 60_000)
    judged = [judge_ids(unseen=u, chance=c, ordered=False) for u, c in (same, other)]
    assert judged == [Verdict.PASSED, Verdict.WARNED]


def test_what_is_shown_is_decoded():
    picture = on(digits()[0].reshape(-1, 8, 8, 1), class_names=[f"digit {i}" for i in range(10)])
    figure = check(check_before_net, picture)[0].figures[0]
    assert isinstance(figure, Pictures)
    assert figure.images.shape == (12, 8, 8, 1)
    assert "digit" in figure.captions[0]
    assert 0 <= figure.images.min() <= figure.images.max() <= 1
    words = sequence_task(language_model(), decode=lambda x: ["-".join(map(str, row)) for row in x])
    figure = check(check_before_net, words)[0].figures[0]
    assert isinstance(figure, Table)
    assert figure.rows[0][2].count("-") == 8


def test_the_first_product_is_found_behind_nested_calls():
    w = jnp.ones((4, 2))
    scaled = lambda x: jax.nn.relu(jax.jit(lambda x: x * 0.5)(x)) @ w  # noqa: E731
    entry = first_product(scaled, jnp.full((3, 4), 8.0))
    assert entry.kind == "product"
    assert (entry.values == 4.0).all()
    assert first_product(lambda ids: w[ids], jnp.array([1, 2])).kind == "lookup"
    assert first_product(lambda x: jnp.sin(x), jnp.ones(2)).kind == "unknown"
    looped = lambda x: jax.lax.fori_loop(0, 2, lambda i, x: x @ jnp.eye(4), x)  # noqa: E731
    assert first_product(looped, jnp.ones((3, 4))).kind == "unknown"


def test_scale_is_judged_by_numbers():
    assert judge_scale(measure_scale(np.full((9, 3), 25.0))) is Verdict.WARNED
    assert judge_scale(measure_scale(np.full((9, 3), 16.0))) is Verdict.PASSED
    assert judge_scale(measure_scale(np.zeros((9, 3)))) is Verdict.PASSED
    spike = np.ones((100, 3))
    spike[0] = 1e6
    assert judge_scale(measure_scale(spike)) is Verdict.PASSED
    assert judge_scale(measure_scale(spike / 1000)) is Verdict.WARNED  # one outlier hides nothing
