"""The count of operations against published ones, and the script as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matmul_share as share
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"
KEY = jax.random.key(0)


def test_products_are_counted_inside_other_functions_too():
    a, b = jnp.ones((2, 3)), jnp.ones((3, 5))
    assert share.product_flops(jnp.matmul, a, b) == 2 * 2 * 3 * 5
    twice = jax.jit(lambda a, b: jax.nn.relu(a @ b) + a @ b)
    assert share.product_flops(twice, a, b) == 2 * share.product_flops(jnp.matmul, a, b)
    assert share.product_flops(lambda a, b: a.sum() + b.sum(), a, b) == 0


@pytest.mark.slow
def test_resnet_50_takes_what_is_published():
    entry = share.Entry(share.ResNet(), np.zeros((1, 224, 224, 3), np.float32), np.zeros(1))
    assert share.step_flops(entry) / 3 == pytest.approx(2 * 4.09e9, rel=1e-3)  # torchvision's count


@pytest.mark.slow
def test_bert_takes_what_the_formula_says():
    net = share.Bert(layers=3, width=32, heads=2, words=50, length=16)
    entry = share.Entry(net, np.zeros((4, 16), np.int32), np.zeros(4))
    tokens, width = 16, 32
    layer = 24 * tokens * width**2 + 4 * tokens**2 * width
    assert share.step_flops(entry) == 3 * 4 * (3 * layer + 2 * width**2 + 2 * width * 2)


def test_peak_is_that_of_one_of_the_sizes():
    rate, size = share.matmul_peak((16, 32))
    assert rate > 0
    assert size in (16, 32)


@pytest.mark.exhaustive
def test_torch_has_as_many_parameters():
    pytest.importorskip("torch")
    for entry in share.entries(smoke=True).values():
        make = share.torch_resnet if entry.pictures else share.torch_bert
        params = jax.eval_shape(lambda key, e=entry: share.as_model(e.net).init(key, e.x)[0], KEY)
        ours = sum(leaf.size for leaf in jax.tree.leaves(params))
        assert sum(leaf.numel() for leaf in make(entry.net).parameters()) == ours


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "matmul_share.py", *arguments]
    return subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_smoke_run_ends_well():
    done = script("--smoke", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "these numbers mean nothing" in done.stdout
    assert "| BERT-base | jrecipe |" in done.stdout


@pytest.mark.exhaustive
@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured():
    done = script()
    assert (done.returncode, done.stdout) == (2, "no GPU at hand: not measured\n")
