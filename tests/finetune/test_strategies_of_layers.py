"""Strategies: what stays to the bit, what moves, how fast, and which one suits how many rows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jrecipe as jr
from jrecipe.finetune import choose_strategy, strategy
from jrecipe.finetune.strategies import RATES, decayed, gradual_phases

pytestmark = pytest.mark.thin(4)

IDS = np.random.default_rng(0).integers(1, 30, (24, 6)).astype(np.int32)
TEXT = {"ids": IDS, "mask": np.ones_like(IDS, bool)}
LABELS = (IDS[:, 0] > 15).astype(np.int32)
DEPTH = 2
ENCODER = jr.models.Bert(30, width=8, depth=DEPTH, heads=2, hidden=8, length=8, dropout=0.0)
NET = jr.models.TextClassifier(ENCODER, outputs=2, dropout=0.0, head_init="lecun")
MODEL = jr.models.as_model(NET)
PARAMS = jax.jit(MODEL.init)(jax.random.key(0), TEXT)[0]


def fitted(name: str, steps: int = 3, **options):
    """Returns the parameters before and after some updates, flat, by path."""
    chosen = strategy(name, NET, PARAMS, steps=options.pop("run", 20), **options)
    task = jr.Task(
        model=chosen.model,
        loss=jr.losses.softmax_cross_entropy(),
        train=(TEXT, LABELS),
        val=(TEXT, LABELS),
        optimizer=chosen.optimizer,
        frozen=chosen.frozen,
        batch_size=8,
    )
    start = jr.train.reference_trainer(task).init(jax.random.key(0)).params
    return flat(start), flat(jr.fit(task, steps, eval_every=100).state.params)


def flat(params) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): np.asarray(x) for p, x in leaves}


def parts_that_moved(before, after) -> set[str]:
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    return {"/".join(name.split("/")[: 2 if name.startswith("encoder") else 1]) for name in moved}


ALL = {"encoder/embeddings", "encoder/layer_0", "encoder/layer_1", "head"}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "options", "moved"),
    [
        ("full", {}, ALL),
        ("discriminative", {}, ALL),
        ("head", {}, {"head"}),
        ("freeze-first", {}, {"encoder/layer_1", "head"}),
        ("freeze-first", {"first": 0}, ALL - {"encoder/embeddings"}),
        ("freeze-first", {"first": 2}, {"head"}),
        ("freeze", {"patterns": ("encoder/embeddings/*",)}, ALL - {"encoder/embeddings"}),
        ("gradual", {"phase_steps": 10}, {"head"}),
        ("gradual", {"phase_steps": 2}, {"encoder/layer_1", "head"}),
        ("gradual", {"phase_steps": 1, "steps": 4}, ALL),
        ("lora", {"rank": 2}, {"lora", "head"}),
    ],
)
def test_what_a_strategy_freezes_stays_to_the_bit_and_the_rest_moves(name, options, moved):
    assert parts_that_moved(*fitted(name, rate=1e-2, **options)) == moved


@pytest.mark.exhaustive
@pytest.mark.slow
def test_each_layer_learns_at_its_share_of_the_rate_above():
    plain = {"scaler": optax.identity(), "clip": None, "weight_decay": 0.0, "warm_up": 0.0}
    before, after = fitted("full", 1, rate=1e-2, **plain)
    _, slower = fitted("full", 1, rate=1e-2, decay=0.5, **plain)
    depth = {"head": 0, "layer_1": 1, "layer_0": 2, "embeddings": 3}
    for name, start in before.items():
        moved = np.linalg.norm(after[name] - start)
        if moved < 1e-4:  # too near to rounding
            continue
        share = np.linalg.norm(slower[name] - start) / moved
        part = next(key for key in depth if key in name.split("/"))
        assert share == pytest.approx(0.5 ** depth[part], rel=0.02), name


@pytest.mark.exhaustive
def test_the_rate_warms_up_and_falls_to_zero():
    tx = strategy("full", NET, PARAMS, steps=10, rate=1.0, warm_up=0.2, weight_decay=0.0).optimizer
    state, sizes = tx.init(PARAMS), []
    for _ in range(11):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, PARAMS), state, PARAMS)
        sizes.append(float(jnp.abs(updates["head"]["dense"]["bias"]).max()))
    assert sizes[0] < sizes[1] < sizes[2] == max(sizes) == pytest.approx(1.0, rel=0.01)
    assert sizes[-1] < 0.01


@pytest.mark.exhaustive
def test_matrices_are_decayed_and_neither_biases_norms_nor_embeddings():
    tx = strategy("full", NET, PARAMS, steps=10, rate=1.0, warm_up=0.0, weight_decay=0.1).optimizer
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    updates, _ = tx.update(zeros, tx.init(ones), ones)
    shrinks = {name for name, x in flat(updates).items() if x.any()}
    names = ("query", "key", "value", "attention_output", "hidden", "output")
    want = {f"encoder/layer_{i}/{name}/kernel" for i in range(DEPTH) for name in names}
    assert shrinks == want | {"head/dense/kernel"}
    assert {name for name, x in flat(decayed(PARAMS)).items() if x} == shrinks


def test_gradual_phases_go_down_from_the_head_and_each_freezes_a_part_of_the_last():
    frozen = gradual_phases(PARAMS, 60)
    assert [start for start, _ in frozen.phases] == [0, 10, 20, 30]
    below = ("encoder/embeddings/*", "encoder/layer_0/*", "encoder/layer_1/*")
    assert [patterns for _, patterns in frozen.phases] == [below, below[:2], below[:1], ()]
    few = gradual_phases(PARAMS, 60, phases=1, phase_steps=7)
    assert few.phases == ((0, below), (7, ()))
    with pytest.raises(jr.TaskError, match="phases from 1 to 3 levels, got 4"):
        gradual_phases(PARAMS, 60, phases=4)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_gradual_run_is_resumed_to_the_bit(tmp_path):
    chosen = strategy("gradual", NET, PARAMS, steps=8, rate=1e-2, phase_steps=2, decay=0.8)
    task = jr.Task(
        model=chosen.model,
        loss=jr.losses.softmax_cross_entropy(),
        train=(TEXT, LABELS),
        val=(TEXT, LABELS),
        optimizer=chosen.optimizer,
        frozen=chosen.frozen,
        batch_size=8,
    )
    whole = jr.fit(task, 8, eval_every=8)
    jr.fit(task, 4, eval_every=8, out=tmp_path)
    resumed = jr.fit(task, 8, eval_every=8, out=tmp_path, resume=True)
    for name, leaf in flat(whole.state.params).items():
        np.testing.assert_array_equal(leaf, flat(resumed.state.params)[name])


@pytest.mark.slow
def test_what_is_exported_is_the_plain_network():
    chosen = strategy("lora", NET, PARAMS, steps=5, rank=2)
    params = chosen.model.init(jax.random.key(0), TEXT)[0]
    assert jax.tree.structure(chosen.export(params)) == jax.tree.structure(PARAMS)
    assert strategy("full", NET, PARAMS, steps=5).export(params) is params


@pytest.mark.parametrize(
    ("rows", "distance", "compute", "name"),
    [
        (999, "near", "plenty", "lora"),
        (999, "near", "little", "head"),
        (999, "far", "plenty", "freeze-first"),
        (999, "far", "little", "lora"),
        (1_000, "near", "plenty", "discriminative"),
        (10_000, "far", "plenty", "gradual"),
        (10_001, "near", "plenty", "full"),
        (10_001, "far", "little", "freeze-first"),
    ],
)
def test_auto_chooses_by_rows_distance_and_compute_and_says_why(rows, distance, compute, name):
    got = strategy("auto", NET, PARAMS, steps=5, rows=rows, distance=distance, compute=compute)
    assert (got.name, got.why) == choose_strategy(rows, distance=distance, compute=compute)
    assert got.name == name
    assert got.rate == RATES[name]
    assert got.why.startswith(f"{name} for {rows:,} rows, {distance} ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "half"}, "got 'half'; there are full"),
        ({"name": "auto"}, "needs rows"),
        ({"name": "full", "rate": 0.0}, "rate > 0"),
        ({"name": "full", "decay": 1.5}, r"decay in \(0, 1\]"),
        ({"name": "freeze"}, "needs patterns"),
        ({"name": "freeze-first", "first": 3}, "from 0 to 2 layers"),
        ({"name": "auto", "rows": 0}, "integer >= 1"),
        ({"name": "auto", "rows": 5, "distance": "middle"}, "'near' and 'far'"),
    ],
)
def test_arguments_out_of_range_are_refused(options, said):
    with pytest.raises(jr.TaskError, match=said):
        strategy(network=NET, params=PARAMS, steps=5, **options)


def test_a_network_without_a_head_cannot_train_its_head_alone():
    pair = jr.models.PairSimilarity(ENCODER)
    params = {"encoder": PARAMS["encoder"]}
    with pytest.raises(jr.TaskError, match="a network with a head"):
        strategy("head", pair, params, steps=5)
    assert strategy("gradual", pair, params, steps=8).frozen.at(0) == (
        "encoder/embeddings/*",
        "encoder/layer_0/*",
    )
