"""What the rule sets of the field look at: one plain training run, written down as numbers."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr

STEPS = 300
_PLAIN_LAYERS = (nn.Dense, nn.DenseGeneral, nn.Conv)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """A run of training; what cannot be seen is empty or None.

    Evaluations are on the whole splits, after the first batch and then once an epoch or so.

    Attributes:
      loss: of each batch float[steps], NaN where a trainer of the user's own does not tell.
      train_loss: by evaluation float[e].
      val_loss: the same.
      train_accuracy: the same, empty where targets are no classes.
      kernels: names of the weight matrices and filters, first layer first.
      grad_norm: float[steps, kernels], norms of the gradients.
      grad_mean: float[steps, kernels], their mean absolute values.
      grad_zeros: float[steps, kernels], the share of entries that is 0.
      ratio: float[steps, kernels], mean |update| by mean |weight|.
      unchanged: bool[steps, kernels], whether every weight stayed within 1e-8 + 1e-5 of itself.
      finite: whether all weights and gradients stayed finite.
      inactive: for each layer behind a ReLU, the share of units active in under 1 % of examples.
      linear_hidden: hidden layers whose output is the next one's input, unchanged.
      dropout: the highest dropout rate in the network.
      rate: the learning rate: the largest answer of the optimiser to a gradient of ones.
      input_range: lowest and highest value among the inputs.
      softmax_outputs: whether the outputs are a distribution over classes; None if the targets
        are no classes.
      class_counts: examples of each class that occurs, () if the targets are no classes.
    """

    loss: np.ndarray
    train_loss: np.ndarray
    val_loss: np.ndarray
    train_accuracy: np.ndarray
    kernels: tuple[str, ...] = ()
    grad_norm: np.ndarray
    grad_mean: np.ndarray
    grad_zeros: np.ndarray
    ratio: np.ndarray
    unchanged: np.ndarray
    finite: bool = True
    inactive: tuple[float, ...] = ()
    linear_hidden: int = 0
    dropout: float = 0.0
    rate: float | None = None
    input_range: tuple[float, float] = (0.0, 0.0)
    softmax_outputs: bool | None = None
    class_counts: tuple[int, ...] = ()


def trace(task: jr.Task, seed: int = 0, steps: int = STEPS) -> Trace:
    """Trains a task for `steps` updates in a plain loop and writes down what happens.

    A trainer of the user's own is run as it is; of it only the losses can be seen.
    """
    rng = np.random.default_rng(seed)
    n, size = len(task.train), task.batch_size
    every = int(np.clip(n // size, 10, 30))
    loop = _own_loop(task, seed) if task.trainer is None else _foreign_loop(task, seed)
    splits = [task.train.take(np.arange(n)), task.val.take(np.arange(len(task.val)))]
    order = np.concatenate([rng.permutation(n)[: n // size * size] for _ in range(steps)])
    rows: list[dict[str, Any]] = []
    evaluations: list[tuple[float, ...]] = []
    for i in range(steps):
        taken = order[i * size : (i + 1) * size]
        inputs, targets = jax.tree.map(jnp.asarray, task.train.take(taken))
        batch = jr.Batch(inputs, targets, jnp.ones(size, jnp.float32))
        rows.append(loop.step(batch, jax.random.fold_in(jax.random.key(seed + 1), i)))
        if i % every == 0 or i == steps - 1:
            (train, accuracy, _), (val, _, _) = (loop.evaluate(*split) for split in splits)
            evaluations.append((float(train), float(val), float(accuracy)))
    evaluated = np.array(evaluations)
    known = np.isfinite(evaluated[:, 2])
    stacked = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    finite = bool(stacked.pop("finite").all())
    return Trace(
        **stacked,
        train_loss=evaluated[:, 0],
        val_loss=evaluated[:, 1],
        train_accuracy=evaluated[known, 2],
        kernels=loop.kernels,
        finite=finite,
        input_range=_range(splits[0][0]),
        softmax_outputs=_is_softmax(loop.evaluate(*splits[1])[2], splits[1][1]),
        class_counts=_counts(splits[0][1]),
        **loop.facts(splits[0][0]),
    )


@dataclasses.dataclass
class _Loop:
    """A training run under way."""

    step: Callable[[jr.Batch, Any], dict[str, Any]]
    evaluate: Callable[[Any, Any], tuple[Any, Any, Any]]
    kernels: tuple[str, ...]
    facts: Callable[[Any], dict[str, Any]]


def _scores(task: jr.Task, outputs: Any, targets: Any) -> tuple[Any, Any]:
    """Returns mean loss and accuracy, NaN where targets are no classes."""
    loss = jr.losses.weighted_mean(*jr.losses.weighted(task.loss, outputs, targets))
    kind = getattr(task.loss, "kind", None)
    if kind in ("classes", "binary", "multilabel", "tokens") and task.metric is not None:
        return loss, jr.losses.weighted_mean(*jr.losses.weighted(task.metric, outputs, targets))
    if not _are_classes(outputs, targets):
        return loss, jnp.nan
    return loss, jnp.mean(jnp.argmax(outputs, axis=-1) == targets)


def _are_classes(outputs: Any, targets: Any) -> bool:
    """Whether targets are class indices and outputs one score per class."""
    if not hasattr(outputs, "shape") or not hasattr(targets, "shape"):
        return False
    whole = jnp.issubdtype(targets.dtype, jnp.integer)
    return whole and outputs.shape[:-1] == targets.shape and outputs.shape[-1] > 1


def _own_loop(task: jr.Task, seed: int) -> _Loop:
    """Returns a plain loop over a task's own network and optimiser, one compiled update."""
    model, tx = task.model, jr.train.freeze(task.optimizer, task.frozen)
    example = task.train.take(np.arange(2))[0]
    params, state = jax.jit(model.init)(jax.random.key(seed), example)
    order = _call_order(task, params, state, example)
    names = sorted(
        (name for name, leaf in _leaves(params).items() if leaf.ndim > 1),
        key=lambda name: (order.get(name.rsplit("/", 1)[0], len(order)), _natural(name)),
    )

    def mean_loss(params: Any, state: Any, batch: jr.Batch, key: Any) -> Any:
        outputs, state = model.apply(params, state, batch.inputs, key=key, train=True)
        pair = jr.losses.weighted(task.loss, outputs, batch.targets, batch.weights)
        return jr.losses.weighted_mean(*pair), state

    @jax.jit
    def update(params: Any, state: Any, opt: Any, batch: jr.Batch, key: Any) -> Any:
        if task.augment is not None:
            batch = task.augment(jax.random.fold_in(key, 1), batch)
        pull = jax.value_and_grad(mean_loss, has_aux=True)
        (value, state), grads = pull(params, state, batch, key)
        updates, opt = tx.update(grads, opt, params)
        new = optax.apply_updates(params, updates)
        g, u, w = (_leaves(tree) for tree in (grads, updates, params))

        def each(measure: Callable[[str], Any]) -> Any:
            return jnp.stack([jnp.float32(measure(name)) for name in names] or [jnp.float32(1.0)])

        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((grads, new))]
        seen = {
            "loss": value,
            "grad_norm": each(lambda k: jnp.linalg.norm(g[k].ravel())),
            "grad_mean": each(lambda k: jnp.abs(g[k]).mean()),
            "grad_zeros": each(lambda k: (g[k] == 0).mean()),
            "ratio": each(lambda k: jnp.abs(u[k]).mean() / (1e-12 + jnp.abs(w[k]).mean())),
            "unchanged": each(lambda k: (jnp.abs(u[k]) <= 1e-8 + 1e-5 * jnp.abs(w[k])).all()),
            "finite": jnp.stack(finite).all(),
        }
        return new, state, opt, seen

    @jax.jit
    def score(params: Any, state: Any, inputs: Any, targets: Any) -> Any:
        outputs = model.apply(params, state, inputs)[0]
        return *_scores(task, outputs, targets), outputs

    now = [params, state, jax.jit(tx.init)(params)]

    def step(batch: jr.Batch, key: Any) -> dict[str, Any]:
        *now[:], seen = update(*now, batch, key)
        return jax.tree.map(np.asarray, seen)

    def facts(inputs: Any) -> dict[str, Any]:
        few = jax.tree.map(lambda a: a[:64], inputs)
        return {**_layers(task, now[0], now[1], few), "rate": _rate(tx, params)}

    return _Loop(step, lambda x, y: score(now[0], now[1], x, y), tuple(names), facts)


def _foreign_loop(task: jr.Task, seed: int) -> _Loop:
    """Returns the user's own loop, of which gradients cannot be seen."""
    trainer = task.trainer
    assert trainer is not None
    now = [trainer.init(jax.random.key(seed))]
    hidden = np.ones(1, np.float32)

    def step(batch: jr.Batch, key: Any) -> dict[str, Any]:
        now[0], metrics = trainer.step(now[0], batch, key)
        told = metrics.get("loss", np.nan) if isinstance(metrics, dict) else np.nan
        leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(trainer.params(now[0]))]
        names = ("grad_norm", "grad_mean", "grad_zeros", "ratio", "unchanged")
        finite = all(np.isfinite(leaf).all() for leaf in leaves)
        return {"loss": np.float32(told), "finite": finite, **dict.fromkeys(names, hidden)}

    def evaluate(inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
        outputs = jax.tree.map(jnp.asarray, trainer.predict(now[0], inputs))
        return *_scores(task, outputs, jax.tree.map(jnp.asarray, targets)), outputs

    return _Loop(step, evaluate, (), lambda inputs: {})


def _leaves(tree: Any) -> dict[str, Any]:
    """Returns path -> leaf."""
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in flat}


def _natural(name: str) -> list[tuple[int, str]]:
    """Returns a key that sorts layer 2 before layer 10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _calls(task: jr.Task, params: Any, state: Any, inputs: Any) -> tuple[list[Any], list[float]]:
    """Runs a Linen network once: (path, input, output) of each plain layer, and dropout rates."""
    calls: list[Any] = []
    rates: list[float] = []

    def watch(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        outputs = call(*args, **kwargs)
        module = context.module
        if isinstance(module, nn.Dropout):
            rates.append(float(module.rate))
        plain = isinstance(module, _PLAIN_LAYERS) and context.method_name == "__call__"
        traced = isinstance(outputs, jax.core.Tracer)  # inside a scan, as of a recurrent layer
        if plain and args and not traced:
            calls.append(("/".join(module.path), args[0], outputs))
        return outputs

    with nn.intercept_methods(watch), jax.disable_jit():
        task.model.apply(params, state, inputs)
    return calls, rates


def _call_order(task: jr.Task, params: Any, state: Any, inputs: Any) -> dict[str, int]:
    """Returns path of a layer -> when it is first called."""
    order: dict[str, int] = {}
    for path, _, _ in _calls(task, params, state, inputs)[0]:
        order.setdefault(path, len(order))
    return order


def _layers(task: jr.Task, params: Any, state: Any, inputs: Any) -> dict[str, Any]:
    """Returns what the layers of a Linen network show on some inputs."""
    calls, rates = _calls(task, params, state, inputs)
    times = collections.Counter(path for path, _, _ in calls)  # recurrent layers have no one input
    once = [(x, y) for path, x, y in calls if times[path] == 1 and hasattr(x, "shape")]
    entered = [(np.asarray(x), np.asarray(y)) for x, y in once]
    inactive, linear = [], 0
    for i, (x, _) in enumerate(entered):
        linear += any(
            y.size == x.size and np.array_equal(y.ravel(), x.ravel()) for _, y in entered[:i]
        )
        if i and (x >= 0).all() and (x == 0).any():
            active = (x.reshape(-1, x.shape[-1]) > 0).mean(axis=0)
            inactive.append(float((active < 0.01).mean()))
    return {
        "inactive": tuple(inactive),
        "linear_hidden": int(linear),
        "dropout": max(rates, default=0.0),
    }


def _rate(tx: optax.GradientTransformation, params: Any) -> float:
    """Returns the largest change that gradients of 1 make to weights of 0 over a few updates."""
    zeros, ones = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.ones_like, params)

    @jax.jit
    def largest(opt: Any) -> Any:
        def one(opt: Any, _: None) -> Any:
            updates, opt = tx.update(ones, opt, zeros)
            return opt, jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(updates)]).max()

        return jax.lax.scan(one, opt, None, length=100)[1]

    # SGD with momentum answers more and more; its first answer is the rate. A warm-up starts at 0.
    answers = np.asarray(largest(tx.init(zeros)))
    return float(answers[0] if answers[0] > 0 else answers.max())


def _range(inputs: Any) -> tuple[float, float]:
    """Returns the lowest and the highest number among inputs that are no indices."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    leaves = [x for x in leaves if x.dtype == np.uint8 or not np.issubdtype(x.dtype, np.integer)]
    if not leaves:
        return 0.0, 0.0
    return float(min(x.min() for x in leaves)), float(max(x.max() for x in leaves))


def _is_softmax(outputs: Any, targets: Any) -> bool | None:
    """Whether outputs are a distribution; None where the targets are not integers."""
    if not hasattr(targets, "dtype") or not np.issubdtype(targets.dtype, np.integer):
        return None
    if not hasattr(outputs, "shape") or outputs.ndim < 2 or outputs.shape[-1] < 2:
        return False
    p = np.asarray(outputs, np.float32)
    return bool((p >= 0).all() and np.allclose(p.sum(axis=-1), 1.0, atol=1e-3))


def _counts(targets: Any) -> tuple[int, ...]:
    """Returns how often each class occurs, () if targets are not integers."""
    if not hasattr(targets, "dtype") or not np.issubdtype(targets.dtype, np.integer):
        return ()
    return tuple(int(n) for n in np.unique(targets, return_counts=True)[1])
