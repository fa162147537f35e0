"""One contract over every network of the zoo: shapes, dtypes, loss at init, isolation, features."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds
from zoo import ZOO, B, inputs_of, module_of

from jrecipe import losses, models
from jrecipe.models import as_model, vit
from jrecipe.types import TaskError

pytestmark = pytest.mark.thin(6)

SLOW = ("resnet18", "resnet50", "squeezenet")  # to compile
each_compiled = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in ZOO]
)


@functools.cache
def variables_of(name):
    """Returns `(params, state)`, in NumPy."""
    init = jax.jit(as_model(module_of(name)).init)
    return jax.tree.map(np.asarray, init(jax.random.key(0), inputs_of(name, generator(0))))


@functools.cache
def varied(name):
    """The same with a last layer that is not 0, and norms that are not the identity."""
    rng = generator(1)
    draw = lambda leaf: (leaf + 0.1 * rng.normal(size=leaf.shape)).astype(leaf.dtype)  # noqa: E731
    params, state = jax.tree.map(draw, variables_of(name))
    return params, jax.tree.map(np.abs, state)


@functools.cache
def programs(name):
    """Returns jitted evaluation, `-> (outputs, features)`, and training, `-> (grads, state)`."""
    module = module_of(name)
    model = as_model(module)

    def evaluate(params, state, x):
        features = module.apply({"params": params, **state}, x, method="features")
        return model.apply(params, state, x)[0], features

    def loss(params, state, x, key):
        outputs, after = model.apply(params, state, x, key=key, train=True)
        return jnp.sum(jnp.sin(outputs.ravel() + jnp.arange(outputs.size))), after

    return jax.jit(evaluate), jax.jit(jax.grad(loss, has_aux=True))


@pytest.mark.thin(18)
@each_compiled
def test_outputs_are_float32_and_features_are_what_the_head_sees(name):
    params, state = varied(name)
    x = inputs_of(name, generator(2))
    outputs, features = programs(name)[0](params, state, x)
    assert features.shape == (B, *ZOO[name].features)
    assert outputs.shape == (*features.shape[:-1], module_of(name).outputs)
    assert outputs.dtype == jnp.float32
    dense = params["output"]["dense"]
    want = np.asarray(features) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(outputs, want, rtol=1e-4, atol=1e-4)
    assert np.std(np.asarray(outputs)) > 1e-3


@pytest.mark.thin(12)
@each_compiled
@given(seed=seeds)
def test_loss_at_init_is_log_n_classes(name, seed):
    params, state = variables_of(name)
    outputs, _ = programs(name)[0](params, state, inputs_of(name, generator(seed)))
    classes = outputs.shape[-1]
    targets = generator(seed).integers(0, classes, outputs.shape[:-1])
    loss = losses.token_cross_entropy() if name == "gpt" else losses.softmax_cross_entropy()
    value = loss(outputs, targets)
    value = value[0] if isinstance(value, tuple) else value
    np.testing.assert_allclose(value, np.log(classes), rtol=1e-6)


@pytest.mark.thin(12)
@each_compiled
@given(seed=seeds, row=st.integers(0, B - 1))
def test_examples_do_not_mix_in_evaluation(name, seed, row):
    params, state = varied(name)
    x = inputs_of(name, generator(seed))
    other = x.copy()
    other[row] = (x[row] + 1) % 11
    evaluate, rest = programs(name)[0], np.arange(B) != row
    for before, after in zip(evaluate(params, state, x), evaluate(params, state, other)):  # noqa: B905
        np.testing.assert_array_equal(before[rest], after[rest])
        assert not np.array_equal(before[row], after[row])


@pytest.mark.thin(18)
@each_compiled
def test_every_parameter_learns_and_training_moves_the_statistics(name):
    params, state = varied(name)
    x = inputs_of(name, generator(3))
    grads, after = programs(name)[1](params, state, x, jax.random.key(0))
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        where = jax.tree_util.keystr(path)
        assert np.isfinite(grad).all(), where
        assert np.abs(grad).max() > 1e-7, where
    assert ("batch_stats" in state) == ZOO[name].normed
    moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), state, after)
    assert all(jax.tree.leaves(moved))
    if "dropout" in ZOO[name].options:
        again, _ = programs(name)[1](params, state, x, jax.random.key(1))
        last = lambda tree: tree["output"]["dense"]["kernel"]  # noqa: E731
        assert not np.array_equal(last(grads), last(again))


def products(jaxpr, found):
    """Collects the input dtypes of every matrix product and convolution, in order."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("dot_general", "conv_general_dilated"):
            found.append({str(v.aval.dtype) for v in eqn.invars})
        for sub in jax.extend.core.jaxprs_in_params(eqn.params):
            products(sub, found)
    return found


@pytest.mark.thin(12)
@pytest.mark.parametrize("name", [name for name in ZOO if name != "linear"])  # a head, no more
def test_half_precision_computes_all_but_the_head_in_it(name):
    module = module_of(name, dtype=jnp.bfloat16)
    x = inputs_of(name, generator(0))
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {np.dtype("float32")}
    traced = jax.make_jaxpr(module.apply)(shapes, x)
    *inner, head = products(traced.jaxpr, [])
    assert head == {"float32"}
    assert inner
    assert all(dtypes == {"bfloat16"} for dtypes in inner)
    assert [aval.dtype for aval in traced.out_avals] == [jnp.float32]


@pytest.mark.parametrize("name", [name for name, member in ZOO.items() if member.bad])
def test_wrong_inputs_are_named_with_the_way_out(name):
    shape, words = ZOO[name].bad
    dtype = jnp.int32 if ZOO[name].shape is None else jnp.float32
    with pytest.raises(TaskError) as error:
        jax.eval_shape(module_of(name).init, jax.random.key(0), jnp.zeros(shape, dtype))
    assert words in str(error.value)
    assert str(list(shape)).strip("[]") in str(error.value) or str(shape[1]) in str(error.value)


@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [
        (models.ResNetCifar(2, depth=21), (2, 8, 8, 1), ["21", "6 n + 2"]),
        (models.ResNetCifar(2, depth=2), (2, 8, 8, 1), ["got 2;"]),
        (models.ResNet(2, depth=20), (2, 8, 8, 1), ["20", "18, 34, 50"]),
        (models.ResNet(2, head="max"), (2, 8, 8, 1), ["'max'", "gap"]),
        (models.ResNet9(2, head="max"), (2, 8, 8, 1), ["'max'", "gap"]),
        (models.ViT(2, head="flatten"), (2, 32, 32, 1), ["'flatten'", "token"]),
        (models.ViT(2, heads=5), (2, 32, 32, 1), ["192", "5 heads", "heads=3"]),
        (models.GRU(2, pool="max"), (2, 3, 4), ["GRU", "'max'", "mean"]),
        (models.LSTM(2, vocabulary=9), (2, 3), ["LSTM", "float32[2, 3]", "int[b, t]"]),
        (models.GPT(9), (2, 3), ["GPT", "float32[2, 3]", "int[b, t]"]),
    ],
)
def test_bad_options_are_named(module, shape, words):
    with pytest.raises(TaskError) as error:
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("module", "last"),
    [
        (models.ResNetCifar(2, depth=8), {f"layer{i}_0/bn2" for i in (1, 2, 3)}),
        (models.ResNet(2), {f"layer{i}_{j}/bn2" for i in (1, 2, 3, 4) for j in (0, 1)}),
        (
            models.ResNet(2, depth=50),
            {f"layer{i + 1}_{j}/bn3" for i, n in enumerate((3, 4, 6, 3)) for j in range(n)},
        ),
        (models.ResNet9(2), {"norm_1_1", "norm_3_1"}),
    ],
)
def test_zero_init_starts_the_last_scale_of_each_block_at_zero(module, last):
    def zeros(module):
        found = set()

        def look(next_function, args, kwargs, context):
            norm = context.module
            if isinstance(norm, nn.BatchNorm):
                with jax.ensure_compile_time_eval():
                    if not norm.scale_init(jax.random.key(0), (1,)).any():
                        found.add("/".join(norm.path))
            return next_function(*args, **kwargs)

        with nn.intercept_methods(look):
            jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        return found

    assert zeros(module) == set()
    assert zeros(module.clone(zero_init=True)) == last


@pytest.mark.parametrize("make", [models.GRU, models.LeNet, models.ResNet9, models.ViT])
def test_squeeze_gives_one_number_per_example(make):
    shape = (2, 6, 3) if make is models.GRU else (2, 16, 16, 1)
    outputs = jax.eval_shape(
        make(1, squeeze=True).init_with_output, jax.random.key(0), jnp.ones(shape)
    )[0]
    assert outputs.shape == (2,)


def test_patches_are_squares_of_the_picture_row_by_row():
    x = generator(0).normal(size=(2, 6, 9, 2)).astype(np.float32)
    got = vit._patches(x, 3)
    assert got.shape == (2, 6, 18)
    for i, (row, column) in enumerate(np.ndindex(2, 3)):
        square = x[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        np.testing.assert_array_equal(got[:, i], square.reshape(2, -1))


@pytest.mark.exhaustive
def test_resnet9_scales_what_its_head_sees_and_not_its_bias():
    params, state = variables_of("resnet9")
    x = inputs_of("resnet9", generator(0))
    features = programs("resnet9")[0](params, state, x)[1]
    plain = module_of("resnet9", scale=1.0).apply({"params": params, **state}, x, method="features")
    np.testing.assert_allclose(features, plain / 8, rtol=1e-5)


def test_shortcuts_carry_a_picture_through_blocks_that_answer_zero():
    # All last scales at 0: what is left are the first layer, shortcuts and ReLU.
    module = models.ResNetCifar(2, depth=8, width=4, zero_init=True, head="flatten")
    x = generator(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), x)
    kernel, epsilon = variables["params"]["conv1"]["kernel"], 1e-5
    first = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    first = np.maximum(np.asarray(first) / np.sqrt(1 + epsilon), 0)
    want = np.zeros((1, 2, 2, 16), np.float32)
    want[..., 6:10] = first[:, ::4, ::4]  # 2 before and 2 after, then 4 and 4
    got = jax.jit(lambda v, x: module.apply(v, x, method="features"))(variables, x)
    np.testing.assert_allclose(got, want.reshape(1, -1), atol=1e-5)
