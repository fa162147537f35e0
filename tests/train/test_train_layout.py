"""Training does not depend on the devices that share a batch."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from small_tasks import Remote, assert_close, assert_identical, noise, pictures, plain, small

import jrecipe as jr
from jrecipe.train import checkpoint_steps, layout
from jrecipe.train.state import copy_state

pytestmark = pytest.mark.thin(6)

JIT = {"devices": 2}
SHARDED = {"devices": 2, "shard_params": True}
PMAP = {"devices": 2, "parallel": "pmap"}


def leaves_of(fit: jr.Fit):
    return fit.state.params, fit.state.model_state, fit.state.opt_state


@pytest.mark.slow
@pytest.mark.parametrize("options", [JIT, SHARDED, PMAP], ids=["jit", "sharded", "pmap"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_two_devices_train_as_one(options, accumulate):
    task = small(optimizer=optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2)))
    one, two = jr.fit(task, 20), jr.fit(task, 20, accumulate=accumulate, **options)
    assert_close(leaves_of(two), leaves_of(one))
    for name in ("loss", "grad_norm", "val_loss"):
        np.testing.assert_allclose(two.history[name], one.history[name], rtol=1e-4)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("options", [JIT, SHARDED], ids=["jit", "sharded"])
def test_noise_and_batch_statistics_are_those_of_one_device_on_a_mesh(options):
    # SGD: behind a norm a bias has no gradient but rounding, which Adam would blow up.
    task = small(model=plain(dropout=0.5, norm=True), augment=noise, optimizer=optax.sgd(0.1))
    one, two = jr.fit(task, 20), jr.fit(task, 20, **options)
    assert_close(leaves_of(two), leaves_of(one))


@pytest.mark.slow
def test_pmap_draws_noise_on_each_device():
    task = small(model=plain(dropout=0.5))
    one, two = jr.fit(task, 5), jr.fit(task, 5, **PMAP)
    assert abs(one.history["loss"][1] - two.history["loss"][1]) > 1e-3


@pytest.mark.exhaustive
@pytest.mark.slow
def test_data_that_is_streamed_is_cut_between_devices():
    task = small(train=Remote(*pictures(60, 1)))
    for options in (JIT, PMAP):
        assert_close(leaves_of(jr.fit(task, 10, **options)), leaves_of(jr.fit(task, 10)))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_convolution_in_a_loop_is_laid_out_too(monkeypatch):
    monkeypatch.setattr("jrecipe.train.chunks.scans_well", lambda *args: False)
    for options in (JIT, PMAP):
        assert_close(leaves_of(jr.fit(small(), 10, **options)), leaves_of(jr.fit(small(), 10)))


@pytest.mark.slow
def test_parameters_are_cut_where_they_can_be():
    fit = jr.fit(small(), 2, **SHARDED)
    specs = {
        jax.tree_util.keystr(path): leaf.sharding.spec
        for path, leaf in jax.tree_util.tree_leaves_with_path(fit.state.params)
    }
    assert specs["['first']['kernel']"] == jax.sharding.PartitionSpec(layout.AXIS)
    moments = jax.tree.leaves(fit.state.opt_state)
    assert any(not leaf.sharding.is_fully_replicated for leaf in moments)
    wanted = layout.make_layout("jit", 2, True, 16).shardings(fit.state)
    as_placed = jax.tree.map(lambda x, s: x.sharding.is_equivalent_to(s, x.ndim), fit.state, wanted)
    assert all(jax.tree.leaves(as_placed))  # after the updates as before them


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("options", [JIT, SHARDED, PMAP, {}], ids=["jit", "sharded", "pmap", "one"])
def test_a_run_goes_on_with_another_number_of_devices(tmp_path, options):
    whole = jr.fit(small(), 20, eval_every=5)
    jr.fit(small(), 8, eval_every=5, out=tmp_path, **options)
    other = {} if options else JIT
    rest = jr.fit(small(), 20, eval_every=5, out=tmp_path, resume=True, **other)
    assert_close(leaves_of(rest), leaves_of(whole))


@pytest.mark.slow
@pytest.mark.parametrize("options", [JIT, PMAP], ids=["jit", "pmap"])
def test_two_runs_on_two_devices_are_bit_identical(options):
    a, b = (jr.fit(small(), 10, **options) for _ in range(2))
    assert_identical(a.state, b.state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "devices=0"),
        ({"devices": True}, "devices=True"),
        ({"devices": 99}, "JAX sees 2"),
        ({"parallel": "mesh"}, "parallel='mesh'"),
        ({"shard_params": True}, "at least two devices"),
        ({"shard_params": True, **PMAP}, "needs parallel='jit'"),
        ({"accumulate": 0}, "accumulate"),
    ],
)
def test_layouts_that_make_no_sense(options, message):
    with pytest.raises(jr.TaskError, match=message):
        jr.fit(small(), 2, **options)


def test_a_batch_that_the_devices_do_not_divide_is_refused():
    with pytest.raises(jr.TaskError, match="batch_size of 14"):
        jr.fit(small(batch_size=15), 2, devices=2)


def test_a_trainer_of_the_users_own_lays_itself_out():
    task = small(trainer=jr.train.reference_trainer(small()))
    with pytest.raises(jr.TaskError, match="own, whose step"):
        jr.fit(task, 2, devices=2)


ON_EIGHT = """
import sys
sys.path.insert(0, "tests")
import jax
jax.config.update("jax_num_cpu_devices", 8)
import optax
import jrecipe as jr
from flax import linen as nn
from small_tasks import assert_close, noise, plain, small

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = x.reshape(-1, 4, 4, 1)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(8, (3, 3))(x)))
        return nn.Dense(4)(nn.Dropout(0.3, deterministic=not train)(x.mean((1, 2))))

convolution = small(model=Net(), optimizer=optax.sgd(0.1))
"""
EQUAL = """
noisy = small(model=plain(dropout=0.5, norm=True), augment=noise, optimizer=optax.sgd(0.1))
PLAIN = small()
for task in (PLAIN, noisy, convolution):
    one = jr.fit(task, 15)
    for options in ({}, {"shard_params": True}, {"accumulate": 2}):
        if "accumulate" in options and task is not PLAIN:
            continue
        many = jr.fit(task, 15, devices=8, **options)
        assert_close(many.state.params, one.state.params, rtol=1e-4, atol=1e-5)
        assert_close(many.state.model_state, one.state.model_state, rtol=1e-4, atol=1e-5)
        assert_close(many.history["val_loss"], one.history["val_loss"], rtol=1e-4)
print("equal")
"""
SOAK = """
run = jr.fit(convolution, 20_000, devices=8, eval_every=100, save_every=250, out=sys.argv[1])
assert run.steps == 20_000 and len(run.history["val_loss"]) == 201, run
print("done")
"""


def on_eight(script: str, *args: object) -> str:
    """Runs a script in a process with eight virtual devices; returns what it printed."""
    run = subprocess.run(
        [sys.executable, "-c", ON_EIGHT + script, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=800,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


@pytest.mark.exhaustive
@pytest.mark.slow
def test_eight_devices_train_as_one():
    """Dropout, augmentation, BatchNorm and a convolution, on a mesh of eight."""
    assert on_eight(EQUAL).endswith("equal\n")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_twenty_thousand_steps_with_evaluations_and_checkpoints_between_never_hang(tmp_path):
    """A call per update (a convolution): XLA deadlocks if another program begins meanwhile."""
    assert on_eight(SOAK, tmp_path).endswith("done\n")
    assert checkpoint_steps(tmp_path / "checkpoints") == [19_750, 20_000]


@pytest.mark.slow
@pytest.mark.parametrize("options", [JIT, PMAP], ids=["jit", "pmap"])
def test_the_number_of_traces_does_not_grow_with_the_steps(options, monkeypatch):
    monkeypatch.setattr("jrecipe.train.chunks.scans_well", lambda *args: False)  # a call a step
    counts = []
    for steps in (4, 40):
        traces, model = [], plain()

        def apply(*args, traces=traces, model=model, **options):
            traces.append(1)
            return model.apply(*args, **options)

        jr.fit(small(model=jr.Model(model.init, apply)), steps, eval_every=steps, **options)
        counts.append(len(traces))
    assert counts[0] == counts[1]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_auto_takes_a_number_of_devices_and_trains_as_one():
    run = jr.fit(small(), 10, devices="auto")
    assert run.devices in (1, 2)
    assert_close(leaves_of(run), leaves_of(jr.fit(small(), 10)))
    assert jr.fit(small(batch_size=15), 2, devices="auto").devices == 1  # 2 do not divide it


def test_a_state_that_lies_on_several_devices_is_copied_where_it_lies():
    state = [jax.device_put(np.ones(3), device) for device in jax.devices()[:2]]
    copied = copy_state(state)
    assert [x.devices() for x in copied] == [x.devices() for x in state]
    assert_identical(copied, state)
