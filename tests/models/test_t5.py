"""T5 reads what it may read and nothing else, and writing with a cache is writing without one."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import generator, seeds

from jrecipe.models.t5 import T5
from jrecipe.types import TaskError

WORDS, READ, WRITTEN, ROWS = 19, 8, 6, 3
SMALL = {"width": 12, "depth": 2, "heads": 3, "head_width": 5, "hidden": 17, "farthest": 20}
VARIANTS = {
    "tied": {},
    "gated": {"gated": True, "tied": False, "decoder_depth": 1, "buckets": 8},
    "copies": {"copies": True},
}
variants = pytest.mark.parametrize("name", VARIANTS)


@functools.cache
def network(name):
    """Returns the module, weights under which everything matters, and a compiled forward pass."""
    module = T5(WORDS, **SMALL, **VARIANTS[name])
    params = module.init(jax.random.key(0), inputs_of(generator(0)))["params"]
    leaves, structure = jax.tree.flatten(params)
    rng = generator(1)
    leaves = [leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    params = jax.tree.unflatten(structure, leaves)
    return module, params, jax.jit(lambda inputs: module.apply({"params": params}, inputs))


def inputs_of(rng):
    lengths = rng.integers(1, READ + 1, ROWS)
    ids = rng.integers(1, WORDS, (ROWS, READ))
    mask = np.arange(READ)[None] < lengths[:, None]
    decoder_ids = rng.integers(1, WORDS, (ROWS, WRITTEN))
    decoder_ids[:, 0] = 0
    return {
        "ids": np.where(mask, ids, 0).astype(np.int32),
        "mask": mask,
        "decoder_ids": decoder_ids.astype(np.int32),
    }


@pytest.mark.exhaustive
@variants
@given(seed=seeds)
def test_padding_of_what_is_read_changes_nothing(name, seed):
    rng = generator(seed)
    _, _, forward = network(name)
    inputs = inputs_of(rng)
    garbage = rng.integers(0, WORDS, inputs["ids"].shape).astype(np.int32)
    other = inputs | {"ids": np.where(inputs["mask"], inputs["ids"], garbage)}
    np.testing.assert_array_equal(forward(other), forward(inputs))
    longer = {n: np.pad(inputs[n], ((0, 0), (0, 5))) for n in ("ids", "mask")}
    np.testing.assert_allclose(forward(inputs | longer), forward(inputs), atol=2e-5)
    first = inputs["ids"].copy()
    first[:, 0] = first[:, 0] % (WORDS - 1) + 1  # another token, and it is seen everywhere
    assert np.all(np.abs(forward(inputs | {"ids": first}) - forward(inputs)).max(-1) > 1e-5)


@pytest.mark.exhaustive
@variants
@given(seed=seeds)
def test_no_output_sees_its_target(name, seed):
    rng = generator(seed)
    _, _, forward = network(name)
    inputs = inputs_of(rng)
    at = int(rng.integers(1, WRITTEN))
    changed = inputs["decoder_ids"].copy()
    changed[:, at:] = changed[:, at:] % (WORDS - 1) + 1
    change = np.abs(forward(inputs | {"decoder_ids": changed}) - forward(inputs)).max(-1)
    assert np.all(change[:, :at] == 0)
    assert np.all(change[:, at:] > 1e-6)


@functools.cache
def compiled_writing(name, beams):
    module, params, _ = network(name)
    begin = jax.jit(
        lambda inputs: module.apply({"params": params}, inputs, beams, WRITTEN, method="begin")
    )
    step = jax.jit(
        lambda params, tokens, i, cache: module.apply(
            {"params": params}, tokens, i, cache, method="step"
        )
    )
    return begin, step


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n == "copies" else pytest.mark.exhaustive)
        for n in VARIANTS
    ],
)
@settings(max_examples=3)
@given(seed=seeds)
def test_each_step_with_the_cache_gives_the_logits_without_it(name, seed):
    rng, beams = generator(seed), 2
    _, params, forward = network(name)
    begin, step = compiled_writing(name, beams)
    inputs = inputs_of(rng)
    several = rng.integers(1, WORDS, (ROWS, beams, WRITTEN)).astype(np.int32)
    want = [forward(inputs | {"decoder_ids": several[:, beam]}) for beam in range(beams)]
    cache = begin(inputs)
    for i in range(WRITTEN):
        logits, cache = step(params, several[:, :, i], i, cache)
        for beam in range(beams):
            np.testing.assert_allclose(logits[:, beam], want[beam][:, i], atol=2e-5)


@pytest.mark.exhaustive
def test_beams_that_change_places_take_their_past_along():
    _, params, forward = network("tied")
    begin, step = compiled_writing("tied", 2)
    rng = generator(0)
    inputs = inputs_of(rng)
    tokens = rng.integers(1, WORDS, (ROWS, 2, WRITTEN)).astype(np.int32)
    cache = begin(inputs)
    for i in range(3):
        _, cache = step(params, tokens[:, :, i], i, cache)
    turned = cache._replace(own=jax.tree.map(lambda leaf: leaf[:, ::-1], cache.own))
    logits, _ = step(params, tokens[:, :, 3], 3, turned)
    for beam in range(2):
        past = np.concatenate([tokens[:, 1 - beam, :3], tokens[:, beam, 3:]], axis=1)
        want = forward(inputs | {"decoder_ids": past})[:, 3]
        np.testing.assert_allclose(logits[:, beam], want, atol=2e-5)


@pytest.mark.exhaustive
def test_what_was_read_is_computed_once_and_kept_once():
    _, params, _ = network("gated")
    begin, step = compiled_writing("gated", 2)
    cache = begin(inputs_of(generator(0)))
    assert all(leaf.shape[:2] == (ROWS, 2) for leaf in jax.tree.leaves(cache.own))
    assert {leaf.shape[1] for leaf in jax.tree.leaves(cache.shared)} == {READ, 1}

    def broken(path, leaf):
        names = [key.key for key in path]
        read = names[0] == "encoder" or ("cross" in names and names[-2] in ("key", "value"))
        return jnp.full_like(leaf, jnp.nan) if read else leaf

    tokens = np.ones((ROWS, 2), np.int32)
    want, _ = step(params, tokens, 0, cache)
    got, _ = step(jax.tree_util.tree_map_with_path(broken, params), tokens, 0, cache)
    np.testing.assert_array_equal(got, want)
    assert np.all(np.isfinite(want))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_example_without_tokens_gives_numbers():
    _, _, forward = network("copies")
    inputs = inputs_of(generator(0))
    assert np.all(np.isfinite(forward(inputs | {"mask": np.zeros_like(inputs["mask"])})))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["gated", "copies", pytest.param("tied", marks=pytest.mark.slow)])
def test_every_weight_has_a_gradient_and_dropout_acts_in_training_alone(name):
    module, params, forward = network(name)
    inputs = inputs_of(generator(0))

    @jax.jit
    def run(params, key):
        out = module.apply({"params": params}, inputs, train=True, rngs={"dropout": key})
        return jnp.mean(out**2), out

    gradient, out = jax.jit(jax.grad(run, has_aux=True))(params, jax.random.key(0))
    norms = {jax.tree_util.keystr(p): float(jnp.abs(g).max()) for p, g in _leaves(gradient)}
    assert all(np.isfinite(v) and v > 0 for v in norms.values()), norms
    assert np.abs(out - run(params, jax.random.key(1))[1]).max() > 1e-3
    np.testing.assert_array_equal(forward(inputs), forward(inputs))


def _leaves(tree):
    return jax.tree_util.tree_flatten_with_path(tree)[0]


@pytest.mark.exhaustive
def test_an_untrained_network_is_an_uninformed_one():
    inputs = inputs_of(generator(0))
    untied = T5(WORDS, **SMALL, tied=False)
    logits, variables = untied.init_with_output(jax.random.key(0), inputs)
    assert not np.any(logits)
    assert set(variables["params"]) == {"shared", "encoder", "decoder", "head"}
    sizes = SMALL | {"width": 256, "depth": 1}
    tied = T5(300, **sizes)
    logits, variables = tied.init_with_output(jax.random.key(0), inputs)
    assert set(variables["params"]) == {"shared", "encoder", "decoder"}
    assert 0.8 < np.std(logits) < 1.2  # what the scale is for; without it 16
    unscaled = T5(300, **sizes, scaled=False).apply(variables, inputs)
    np.testing.assert_allclose(unscaled, logits * 16, rtol=1e-4, atol=1e-3)


@pytest.mark.exhaustive
def test_parts_are_called_as_everywhere():
    _, params, _ = network("gated")
    assert set(params["encoder"]) == {"positions", "layer_0", "layer_1", "norm"}
    assert set(params["decoder"]) == {"positions", "layer_0", "norm"}
    assert params["encoder"]["positions"]["embedding"].shape == (8, 3)


@pytest.mark.slow
@settings(max_examples=3)
@given(seed=seeds)
def test_encode_and_decode_are_the_whole(seed):
    module, params, forward = network("tied")
    inputs = inputs_of(generator(seed))
    states = module.apply({"params": params}, inputs, method="encode")
    assert states.shape == (ROWS, READ, SMALL["width"])
    logits = module.apply({"params": params}, inputs, states, method="decode")
    np.testing.assert_allclose(logits, forward(inputs), atol=2e-5)


@pytest.mark.exhaustive
def test_half_precision_answers_in_float32():
    module = T5(WORDS, **SMALL, dtype=jnp.bfloat16)
    _, params, forward = network("tied")
    inputs = inputs_of(generator(0))

    @jax.jit
    def run(params):
        variables = {"params": params}
        cache = module.apply(variables, inputs, 1, WRITTEN, method="begin")
        zeros = jnp.zeros((ROWS, 1), jnp.int32)
        next_one, _ = module.apply(variables, zeros, 0, cache, method="step")
        return module.apply(variables, inputs), next_one, cache.own

    logits, next_one, own = run(params)
    assert (logits.dtype, next_one.dtype) == (jnp.float32, jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(own)} == {jnp.dtype(jnp.bfloat16)}
    difference = np.abs(logits - forward(inputs)).max()
    assert 1e-4 < difference < 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": None}, "add 'mask'"),
        ({"decoder_ids": None}, "add 'decoder_ids'"),
        ({"ids": np.zeros((ROWS, READ), np.float32)}, "T5 needs token ids"),
        ({"decoder_ids": np.zeros(ROWS, np.int32)}, "T5's decoder needs token ids"),
    ],
)
def test_inputs_of_another_kind_are_refused(change, message):
    module, whole = T5(WORDS, **SMALL), inputs_of(generator(0))
    params = jax.eval_shape(module.init, jax.random.key(0), whole)["params"]

    def run(inputs):
        return jax.eval_shape(lambda params: module.apply({"params": params}, inputs), params)

    inputs = {name: value for name, value in (whole | change).items() if value is not None}
    with pytest.raises(TaskError, match=message) as caught:
        run(inputs)
    assert "\n" not in str(caught.value)
    with pytest.raises(TaskError, match="got ndarray"):
        run(np.zeros((ROWS, READ), np.int32))
