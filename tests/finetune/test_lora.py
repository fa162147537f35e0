"""Adapters: nothing at first, a change of low rank then, and none of their own when merged."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import assert_close, assert_identical

import jrecipe as jr
from jrecipe.finetune import lora, merge_lora

IDS = np.random.default_rng(0).integers(1, 30, (24, 6)).astype(np.int32)
TEXT = {"ids": IDS, "mask": np.ones_like(IDS, bool)}
LABELS = (IDS[:, 0] > 15).astype(np.int32)
FROZEN = ("encoder/*", "lora/scale")


def classifier(**changes) -> jr.Model:
    sizes = {"width": 16, "depth": 1, "heads": 2, "hidden": 16, "length": 8, **changes}
    net = jr.models.TextClassifier(jr.models.Bert(30, **sizes), outputs=2, head_init="lecun")
    return jr.models.as_model(net)


def task_of(model: jr.Model, **changes) -> jr.Task:
    given = {
        "model": model,
        "loss": jr.losses.softmax_cross_entropy(),
        "train": (TEXT, LABELS),
        "val": (TEXT, LABELS),
        "optimizer": optax.adam(1e-2),
        "frozen": FROZEN,
        "batch_size": 8,
    }
    return jr.Task(**{**given, **changes})


@pytest.mark.slow
def test_at_first_the_outputs_are_those_of_the_network_to_the_bit():
    base, adapted = classifier(), lora(classifier(), 2)
    params, state = base.init(jax.random.key(3), TEXT)
    with_adapters, _ = adapted.init(jax.random.key(3), TEXT)
    assert_identical({k: v for k, v in with_adapters.items() if k != "lora"}, params)
    assert_identical(
        adapted.apply(with_adapters, state, TEXT)[0], base.apply(params, state, TEXT)[0]
    )


@pytest.mark.exhaustive
def test_training_moves_adapters_and_head_alone_and_the_change_has_the_rank():
    model = lora(classifier(), 3)
    start = jr.train.reference_trainer(task_of(model)).init(jax.random.key(0)).params
    after = jr.fit(task_of(model), 6).state.params
    assert_identical(after["encoder"], start["encoder"])
    assert after["lora"]["scale"] == start["lora"]["scale"] == np.float32(16 / 3)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), after, start)
    assert all(jax.tree.leaves((moved["lora"]["encoder"], moved["head"])))
    merged = merge_lora(after)
    for name in ("query", "value"):
        change = np.asarray(merged["encoder"]["layer_0"][name]["kernel"]) - np.asarray(
            start["encoder"]["layer_0"][name]["kernel"]
        )
        sizes = np.linalg.svd(change, compute_uv=False)
        assert sizes[2] > 1e-6
        assert sizes[3] < 1e-5 * sizes[0]
    assert_identical(merged["encoder"]["layer_0"]["key"], start["encoder"]["layer_0"]["key"])


@pytest.mark.exhaustive
def test_merged_weights_give_the_same_outputs_without_adapters():
    model, base = lora(classifier(), 2), classifier()
    state = jr.fit(task_of(model), 6).state
    merged = merge_lora(state.params)
    assert "lora" not in merged
    want = model.apply(state.params, {}, TEXT)[0]
    assert_close(base.apply(merged, {}, TEXT)[0], want, rtol=1e-5, atol=1e-5)
    unmerged = {k: v for k, v in state.params.items() if k != "lora"}
    assert np.abs(base.apply(unmerged, {}, TEXT)[0] - want).max() > 1e-3


@pytest.mark.exhaustive
def test_only_adapters_and_head_have_optimiser_state():
    model = lora(classifier(), 2)
    held = lambda task: sum(  # noqa: E731
        x.size
        for x in jax.tree.leaves(jr.train.reference_trainer(task).init(jax.random.key(0)).opt_state)
    )
    assert held(task_of(model)) == 1 + 2 * (2 * (16 * 2 + 2 * 16) + 16 * 2 + 2)
    assert held(task_of(model, frozen=())) > 10 * held(task_of(model))


@pytest.mark.exhaustive
def test_parts_are_switched_off_below_the_adapters():
    model = lora(classifier(dropout=0.5), 2)
    params, state = model.init(jax.random.key(0), TEXT)
    assert model.without is not None
    calm = model.without("dropout")
    draws = [
        [m.apply(params, state, TEXT, key=jax.random.key(i), train=True)[0] for i in range(2)]
        for m in (model, calm)
    ]
    assert not np.array_equal(*draws[0])
    assert np.array_equal(*draws[1])


@pytest.mark.parametrize("options", [{"rank": 0}, {"rank": True}, {"rank": 2, "alpha": 0.0}])
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(jr.TaskError, match="integer rank >= 1 and alpha > 0"):
        lora(classifier(), **options)


@pytest.mark.exhaustive
@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("rank", "patterns", "said"),
    [
        (2, ("*/nothing",), r"'\*/nothing', which matches no parameter"),
        (2, ("*/query/bias",), r"query/bias is \[16\]"),
        (17, ("*/query/kernel",), r"rank 17 .* is \[16, 16\]"),
    ],
)
def test_what_is_no_matrix_gets_no_adapter(rank, patterns, said):
    with pytest.raises(jr.TaskError, match=said):
        lora(classifier(), rank, patterns=patterns).init(jax.random.key(0), TEXT)


def test_only_parameters_with_adapters_can_be_merged():
    with pytest.raises(jr.TaskError, match="with a part 'lora'"):
        merge_lora({"w": jnp.ones(1)})
