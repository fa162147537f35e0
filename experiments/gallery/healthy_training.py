"""Odd but healthy ways to train: optimisers, schedules, batches, regularisers, given weights."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.healthy_parts import Net, batch_norm, classify, digits, regress
from gallery.program import Healthy


def with_optimizer(name: str, tx: optax.GradientTransformation, **fields: Any) -> Healthy:
    """Returns the digits trained by another optimiser."""
    return Healthy(name=f"digits/{name}", build=lambda s: classify(s, optimizer=tx, **fields))


def no_bias(params: Any) -> Any:
    """Marks what weight decay should reach: matrices, not biases."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def two_rates(params: Any) -> Any:
    """Names the group of each layer: the head learns faster than the rest."""
    return {name: name for name in params}


def pretrained(seed: int, rows: int = 640) -> tuple[dict[str, Any], Any]:
    """Returns weights of `Net()` learned on other digits, and the digits that are left over."""
    from sklearn.neural_network import MLPClassifier

    (x, y), val = digits(seed, rows)
    half = rows // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 60 epochs are enough, converged or not
        teacher = MLPClassifier((48,), max_iter=60, random_state=seed).fit(x[half:], y[half:])
    params = {
        f"Dense_{i}": {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
        for i, (kernel, bias) in enumerate(zip(teacher.coefs_, teacher.intercepts_, strict=True))
    }
    return params, ((x[:half], y[:half]), val)


def fine_tuning(seed: int, rate: float) -> jr.Task:
    """Goes on from given weights at a tiny rate."""
    params, data = pretrained(seed)
    task = classify(seed, data=data, optimizer=optax.adam(rate))
    given = jax.tree.map(jnp.asarray, params)
    model = dataclasses.replace(task.model, init=lambda key, inputs: (given, {}))
    return task.replace(model=model)


def new_head(seed: int, tx: optax.GradientTransformation | None = None) -> jr.Task:
    """Trains a new head on a given trunk, which is declared frozen."""
    params, data = pretrained(seed)
    task = classify(seed, data=data, optimizer=tx or optax.adam(3e-3), frozen=("Dense_0/*",))
    trunk, make = jax.tree.map(jnp.asarray, params["Dense_0"]), task.model.init

    def init(key: Any, inputs: Any) -> tuple[Any, Any]:
        fresh, state = make(key, inputs)
        return {**fresh, "Dense_0": trunk}, state

    return task.replace(model=dataclasses.replace(task.model, init=init))


def head_by_partition(seed: int) -> jr.Task:
    """The same, where the user's optimiser leaves the trunk out too."""
    label = lambda params: {k: "head" if k == "Dense_1" else "trunk" for k in params}  # noqa: E731
    groups = {"head": optax.adam(3e-3), "trunk": optax.set_to_zero()}
    return new_head(seed, optax.partition(groups, label))


class InputDropout(nn.Module):
    """Drops a fifth of the input pixels in training."""

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10]."""
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(10)(nn.relu(nn.Dense(48)(x)))


WARM = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 100, 2_000)
ONE_CYCLE = optax.cosine_onecycle_schedule(2_000, 1e-2)
POLYNOMIAL = optax.polynomial_schedule(3e-3, 0.0, 2.0, 1_500)
STAIRS = optax.piecewise_constant_schedule(3e-3, {600: 0.3, 1_200: 0.3})
RESTARTS = optax.sgdr_schedule(
    [
        {
            "init_value": 1e-4,
            "peak_value": 3e-3,
            "decay_steps": d,
            "warmup_steps": 20,
            "end_value": 0,
        }
        for d in (300, 600, 1_200)
    ]
)

TRAINING: tuple[Healthy, ...] = (
    Healthy(name="digits/plain", build=classify, odd=False),
    Healthy(name="numbers/plain", build=regress, odd=False),
    Healthy(name="digits/shipped-mlp", build=lambda s: classify(s, jr.models.MLP(10)), odd=False),
    Healthy(
        name="digits/sgd-1-batch-norm",
        build=lambda s: classify(s, Net(norm=batch_norm), optimizer=optax.sgd(1.0)),
    ),
    with_optimizer("sgd-0.3-oscillating", optax.sgd(0.3)),
    with_optimizer("sgd-nesterov", optax.sgd(0.03, momentum=0.9, nesterov=True)),
    with_optimizer(
        "sgd-coupled-decay-1e-4",
        optax.chain(optax.add_decayed_weights(1e-4, mask=no_bias), optax.sgd(0.03, momentum=0.9)),
    ),
    with_optimizer("warm-up-cosine-to-zero", optax.adam(WARM)),
    with_optimizer("one-cycle", optax.adam(ONE_CYCLE)),
    with_optimizer("polynomial-to-zero", optax.adam(POLYNOMIAL)),
    with_optimizer("stairs", optax.adam(STAIRS)),
    with_optimizer("cosine-restarts", optax.adam(RESTARTS)),
    with_optimizer("lion", optax.lion(2e-4)),
    with_optimizer("lamb", optax.lamb(1e-2)),
    with_optimizer("lars", optax.lars(0.1, trust_coefficient=0.03)),
    with_optimizer("adafactor", optax.adafactor(1e-2)),
    with_optimizer("rmsprop", optax.rmsprop(1e-3)),
    with_optimizer("adagrad", optax.adagrad(0.1)),
    with_optimizer("adam-eps-1e-3", optax.adam(2e-3, eps=1e-3)),
    with_optimizer("adamw-0.1", optax.adamw(1e-3, weight_decay=0.1, mask=no_bias)),
    with_optimizer("clip-1", optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))),
    with_optimizer("adaptive-clip", optax.chain(optax.adaptive_grad_clip(0.1), optax.adam(1e-3))),
    with_optimizer("centralised", optax.chain(optax.centralize(), optax.adam(1e-3))),
    with_optimizer(
        "gradient-noise",
        optax.chain(optax.add_noise(0.01, 0.55, jax.random.key(7)), optax.adam(1e-3)),
    ),
    with_optimizer("skip-bad-updates", optax.apply_if_finite(optax.adam(1e-3), 5)),
    with_optimizer(
        "rate-by-layer",
        optax.partition({"Dense_0": optax.adam(1e-3), "Dense_1": optax.adam(5e-3)}, two_rates),
    ),
    with_optimizer("accumulation-4", optax.MultiSteps(optax.adam(3e-3), 4)),
    with_optimizer("huge-batch", optax.adam(3e-3), batch_size=320),
    with_optimizer("batch-of-2", optax.adam(5e-4), batch_size=2),
    Healthy(name="digits/dropout-0.5", build=lambda s: classify(s, Net(hidden=(64,), dropout=0.5))),
    Healthy(name="digits/input-dropout", build=lambda s: classify(s, InputDropout())),
    Healthy(name="digits/fine-tuning-1e-5", build=lambda s: fine_tuning(s, 1e-5)),
    Healthy(name="digits/fine-tuning-1e-4", build=lambda s: fine_tuning(s, 1e-4)),
    Healthy(name="digits/frozen-trunk", build=new_head),
    Healthy(name="digits/frozen-trunk-twice", build=head_by_partition),
    Healthy(
        name="digits/random-features",
        build=lambda s: classify(s, Net(hidden=(256,)), frozen=("Dense_0/*",)),
    ),
)
