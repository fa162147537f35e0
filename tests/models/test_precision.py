"""Half precision is where it was asked for, and nowhere else."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import LinenNet
from small_tasks import assert_identical, small

import jrecipe as jr
from jrecipe.models import as_model, in_precision

pytestmark = pytest.mark.thin(2)

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)), jnp.float32)


def is_jaxpr(value) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def products(jaxpr) -> set[str]:
    """Returns the dtypes that matrix products take, nested ones too."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            found |= {str(variable.aval.dtype) for variable in equation.invars}
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr):
            inner = getattr(inner, "jaxpr", inner)
            found |= products(inner) if is_jaxpr(inner) else set()
    return found


@pytest.mark.exhaustive
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("train", [False, True])
def test_products_are_in_half_precision_and_everything_kept_is_not(precision, train):
    model = in_precision(as_model(LinenNet()), precision)
    params, state = model.init(jax.random.key(0), INPUTS)

    def loss(params, state):
        out, after = model.apply(params, state, INPUTS, key=jax.random.key(1), train=train)
        return (out**2).sum(), (out, after)

    slope = jax.value_and_grad(loss, has_aux=True)
    assert products(jax.make_jaxpr(slope)(params, state).jaxpr) == {precision}
    (_, (out, after)), grads = slope(params, state)
    assert {x.dtype for x in jax.tree.leaves((out, after, grads, params))} == {jnp.dtype("float32")}


@pytest.mark.exhaustive
def test_bfloat16_is_near_float32_and_float32_is_the_network_itself():
    plain = as_model(LinenNet())
    params, state = plain.init(jax.random.key(0), INPUTS)
    key = jax.random.key(1)
    want = plain.apply(params, state, INPUTS, key=key, train=True)
    same = in_precision(plain, "float32").apply(params, state, INPUTS, key=key, train=True)
    assert_identical(same, want)
    near = in_precision(plain, "bfloat16").apply(params, state, INPUTS, key=key, train=True)
    for got, exact in zip(jax.tree.leaves(near), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(got, exact, rtol=0.05, atol=0.05)
        assert not np.array_equal(got, exact)


@pytest.mark.exhaustive
def test_tokens_stay_tokens_and_parts_can_still_be_switched_off():
    table = jnp.ones((5, 2))
    model = jr.Model(lambda key, x: (table, {}), lambda p, s, x, **_: (p[x], s))
    out, _ = in_precision(model, "bfloat16").apply(table, {}, jnp.array([0, 4]))
    assert out.shape == (2, 2)
    half = in_precision(as_model(LinenNet()), "bfloat16").without("dropout")
    params, state = half.init(jax.random.key(0), INPUTS)
    first, second = (
        half.apply(params, state, INPUTS, key=jax.random.key(i), train=True)[0] for i in (1, 2)
    )
    assert_identical(first, second)


@pytest.mark.slow
def test_it_trains_as_far_as_float32():
    task = small()
    half = task.replace(model=in_precision(task.model, "bfloat16"))
    runs = [jr.fit(t, steps=100, progress=False) for t in (task, half)]
    ends = [run.history["val_loss"][-1] for run in runs]
    assert ends[1] == pytest.approx(ends[0], rel=0.1)
    assert {x.dtype for x in jax.tree.leaves(runs[1].state.params)} == {jnp.dtype("float32")}


def test_another_precision_is_refused():
    with pytest.raises(jr.TaskError, match="'int8'; there are float32, bfloat16, float16"):
        in_precision(small().model, "int8")
