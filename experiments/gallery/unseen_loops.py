"""Blind exam: people's own training loops, with faults planted in them, and odd healthy ones.

Written without sight of the checks and of the rest of the gallery. Every program trains through
`Task.trainer`. Where a loop does what the declared loss and optimiser say, on a network without
state, the network is declared as `model` too; elsewhere it is not.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training import train_state
from jax.flatten_util import ravel_pytree
from sklearn import datasets

import jrecipe as jr
from gallery.planting import Split, pick, planter
from gallery.program import Fault, Healthy, Strength

Params = Any  # nested dicts of arrays
State = Any  # what a loop carries from step to step
Data = tuple[Split, Split]  # training, validation
Forward = Callable[[Params, Any], jax.Array]
# (params, batch) -> (mean loss, its gradient)
Gradient = Callable[[Params, jr.Batch], tuple[jax.Array, Params]]
Moved = tuple[State, jax.Array]  # the next state, the loss of the batch
Update = Callable[[State, jr.Batch, Any, Gradient], Moved]

CLASSES = jr.losses.softmax_cross_entropy()
YES_NO = jr.losses.sigmoid_cross_entropy()
SQUARES = jr.losses.l2()
TOKENS = jr.losses.token_cross_entropy(pad=-1)


# Data


def hold_out(inputs: np.ndarray, targets: np.ndarray, seed: int) -> Data:
    """Returns a random quarter apart from the rest."""
    rows = np.random.default_rng([seed, 31]).permutation(len(inputs))
    val, train = np.split(rows, [len(rows) // 4])
    return (inputs[train], targets[train]), (inputs[val], targets[val])


def standardise(data: Data, *, targets: bool = False) -> Data:
    """Returns inputs, and targets if told to, by the statistics of the training split."""
    columns = [0, 1] if targets else [0]
    shift = {c: data[0][c].mean(axis=0) for c in columns}
    scale = {c: data[0][c].std(axis=0) for c in columns}
    prepared = [
        tuple(
            ((part - shift[c]) / scale[c]).astype(np.float32) if c in columns else part
            for c, part in enumerate(split)
        )
        for split in data
    ]
    return prepared[0], prepared[1]


@functools.lru_cache(maxsize=4)
def digits(seed: int) -> Data:
    """1200 digits of scikit-learn without the pixels that are nearly always empty."""
    pixels, labels = datasets.load_digits(return_X_y=True)
    rows = np.random.default_rng([seed, 1]).permutation(len(pixels))[:1200]
    pixels = pixels[:, pixels.std(axis=0) > 2.0] / 8.0 - 1.0
    return hold_out(pixels[rows].astype(np.float32), labels[rows].astype(np.int32), seed)


@functools.lru_cache(maxsize=4)
def cancer(seed: int) -> Data:
    """Breast cancer: 569 rows, 30 numbers, a yes or no."""
    table, labels = datasets.load_breast_cancer(return_X_y=True)
    return standardise(hold_out(np.log1p(table), labels.astype(np.float32), seed))


@functools.lru_cache(maxsize=4)
def diabetes(seed: int) -> Data:
    """Diabetes: 442 rows, 10 numbers, a number to predict; both standardised."""
    table, score = datasets.load_diabetes(return_X_y=True)
    return standardise(hold_out(table, score, seed), targets=True)


@functools.lru_cache(maxsize=4)
def friedman(seed: int) -> Data:
    """Friedman's first function of 10 uniform numbers, targets in their own unit."""
    table, target = datasets.make_friedman1(800, noise=0.5, random_state=seed + 11)
    (x, y), (u, v) = standardise(hold_out(table, target, seed))
    return (x, y.astype(np.float32)), (u, v.astype(np.float32))


@functools.lru_cache(maxsize=4)
def friedman_standardised(seed: int) -> Data:
    """Friedman's first function, the targets standardised too."""
    return standardise(friedman(seed), targets=True)


@functools.lru_cache(maxsize=4)
def waves(seed: int) -> Data:
    """900 noisy waves of 32 samples: sine, square or sawtooth, of any period and phase."""
    draw = np.random.default_rng([seed, 2])
    labels = draw.integers(3, size=900)
    turns = draw.uniform(1.5, 4.0, (900, 1)) * np.linspace(0, 1, 32) + draw.uniform(size=(900, 1))
    sine = np.sin(2 * np.pi * turns)
    shapes = np.stack([sine * np.sqrt(2), np.sign(sine), (2 * (turns % 1) - 1) * np.sqrt(3)])
    signal = shapes[labels, np.arange(900)] + 0.2 * draw.normal(size=(900, 32))
    return hold_out(signal.astype(np.float32), labels.astype(np.int32), seed)


@functools.lru_cache(maxsize=4)
def arrows(seed: int) -> Data:
    """1400 pictures 10 x 10 with an arrow to the left (0), to the right (1), or a bar (2)."""
    draw = np.random.default_rng([seed, 3])
    labels = draw.integers(3, size=1400)
    pictures = 0.15 * draw.normal(size=(1400, 10, 10))
    for picture, label in zip(pictures, labels, strict=True):
        row, left, ink = draw.integers(2, 8), draw.integers(0, 5), draw.uniform(0.7, 1.3)
        picture[row, left : left + 6] += ink
        if label == 2:
            continue
        tip, back = (left, 1) if label == 0 else (left + 5, -1)
        for side, reach in itertools.product((-1, 1), (1, 2)):
            picture[row + side * reach, tip + back * reach] += ink
    return hold_out(pictures.astype(np.float32), labels.astype(np.int32), seed)


@functools.lru_cache(maxsize=4)
def clusters(seed: int) -> Data:
    """1000 rows of 8 numbers in 12 clusters that belong to 4 classes."""
    draw = np.random.default_rng([seed, 4])
    centres = 1.6 * draw.normal(size=(12, 8))
    which = draw.integers(12, size=1000)
    table = centres[which] + 0.7 * draw.normal(size=(1000, 8))
    return standardise(hold_out(table, (which % 4).astype(np.int32), seed))


@functools.lru_cache(maxsize=4)
def tags(seed: int) -> Data:
    """900 texts of 6 to 16 tokens 1..11; the tag of a token depends on it and the one before.

    Texts are padded with token 0, tags with -1.
    """
    draw = np.random.default_rng([seed, 5])
    tokens = draw.integers(1, 12, size=(900, 16))
    before = np.pad(tokens[:, :-1], ((0, 0), (1, 0)))
    there = np.arange(16) < draw.integers(6, 17, size=(900, 1))
    answers = (tokens % 2 + (before > 5)).astype(np.int32)
    return hold_out(np.where(there, tokens, 0).astype(np.int32), np.where(there, answers, -1), seed)


@functools.lru_cache(maxsize=4)
def moons(seed: int) -> Data:
    """Two moons: 600 rows, 2 numbers, 2 classes."""
    table, labels = datasets.make_moons(600, noise=0.15, random_state=seed + 17)
    return standardise(hold_out(table, labels.astype(np.int32), seed))


# Networks as plain functions


def layer(key: Any, fan_in: int, fan_out: int, gain: float = 2.0) -> Params:
    """Returns a matrix of He's scale and a bias of zeros."""
    scale = np.sqrt(gain / fan_in)
    return {"w": scale * jax.random.normal(key, (fan_in, fan_out)), "b": jnp.zeros(fan_out)}


def mlp(*sizes: int, bias: float = 0.0) -> Callable[[Any], Params]:
    """Returns `(key) -> params` of two or three layers, the last of them small, with a bias."""
    names = ("stem", "head") if len(sizes) == 3 else ("stem", "hidden", "head")

    def init(key: Any) -> Params:
        keys = jax.random.split(key, len(names))
        ends = zip(names, keys, sizes[:-1], sizes[1:], strict=True)
        params = {name: layer(k, i, o, 0.05 if name == "head" else 2.0) for name, k, i, o in ends}
        params["head"]["b"] += bias
        return params

    return init


def log_odds(data: Data) -> float:
    """Returns the logit of the share of yes among the training targets."""
    rate = float(data[0][1].mean())
    return float(np.log(rate / (1 - rate)))


def dense(part: Params, x: jax.Array) -> jax.Array:
    return x @ part["w"] + part["b"]


def features(params: Params, x: jax.Array) -> jax.Array:
    """Returns what enters the head."""
    x = x.reshape(len(x), -1)
    for name in ("stem", "hidden"):
        if name in params:
            x = jax.nn.relu(dense(params[name], x))
    return x


def forward(params: Params, x: jax.Array) -> jax.Array:
    return dense(params["head"], features(params, x))


def column(params: Params, x: jax.Array) -> jax.Array:
    """Returns the only output, float[b]."""
    return forward(params, x)[:, 0]


def wave_init(key: Any) -> Params:
    stem, hidden, head = jax.random.split(key, 3)
    return {
        "stem": layer(stem, 8, 24),
        "hidden": layer(hidden, 24, 24),
        "head": layer(head, 24, 3, 0.05),
    }


def wave_forward(params: Params, x: jax.Array) -> jax.Array:
    """Windows of 8 samples, two layers on each, the mean over windows."""
    windows = x[:, np.arange(0, 25, 2)[:, None] + np.arange(8)]
    hidden = jax.nn.relu(dense(params["stem"], windows))
    return dense(params["head"], jax.nn.relu(dense(params["hidden"], hidden)).mean(axis=1))


def tag_init(data: Data) -> Callable[[Any], Params]:
    """Returns `(key) -> params` with a head that starts at the shares of the tags."""
    answers = data[0][1]
    shares = np.bincount(answers[answers >= 0]) / (answers >= 0).sum()

    def init(key: Any) -> Params:
        table, hidden, head = jax.random.split(key, 3)
        params = {
            "embed": jax.random.normal(table, (12, 8)),
            "hidden": layer(hidden, 16, 32),
            "head": layer(head, 32, 3, 0.05),
        }
        params["head"]["b"] += np.log(shares).astype(np.float32)
        return params

    return init


def tag_forward(params: Params, tokens: jax.Array) -> jax.Array:
    """Reads each token and the one before it."""
    now = params["embed"][tokens]
    before = jnp.pad(now[:, :-1], ((0, 0), (1, 0), (0, 0)))
    hidden = jax.nn.relu(dense(params["hidden"], jnp.concatenate([now, before], axis=-1)))
    return dense(params["head"], hidden)


def declared(init: Callable[[Any], Params], forward: Forward) -> jr.Model:
    """Returns a network without state for `Task.model`."""

    def apply(
        params: Params, state: Any, inputs: Any, *, key: Any = None, train: bool = False
    ) -> tuple[jax.Array, Any]:
        del key, train
        return forward(params, inputs), state

    return jr.Model(init=lambda key, inputs: (init(key), {}), apply=apply)


# What loops share


def mean(value: jax.Array, weights: jax.Array) -> jax.Array:
    return (value * weights).sum() / weights.sum()


def add(a: Params, b: Params, scale: float | jax.Array = 1.0) -> Params:
    """Returns `a + scale * b`, leaf by leaf."""
    return jax.tree.map(lambda x, y: x + scale * y, a, b)


def blend(a: Params, b: Params, share: float | jax.Array) -> Params:
    """Returns `(1 - share) * a + share * b`, leaf by leaf."""
    return jax.tree.map(lambda x, y: (1 - share) * x + share * y, a, b)


def choose(condition: jax.Array, yes: Params, no: Params) -> Params:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), yes, no)


def norm(tree: Params) -> jax.Array:
    return optax.global_norm(tree)


def shards(batch: jr.Batch, parts: int) -> jr.Batch:
    """Returns a batch with a leading axis of `parts`; missing rows are added with weight 0."""
    more = -len(batch.weights) % parts

    def split(leaf: jax.Array) -> jax.Array:
        leaf = jnp.pad(leaf, ((0, more), *((0, 0) for _ in leaf.shape[1:])))
        return leaf.reshape(parts, -1, *leaf.shape[1:])

    return jax.tree.map(split, batch)


def task(data: Data, loss: Any, trainer: jr.Trainer, **more: Any) -> jr.Task:
    return jr.Task(train=data[0], val=data[1], loss=loss, trainer=trainer, **more)


def loop(
    data: Data,
    loss: Any,
    init: Callable[[Any], Params],
    forward: Forward,
    update: Update,
    *,
    start: Callable[[Params], dict[str, Any]] = lambda params: {},
    judged: Callable[[State], Params] = lambda state: state["params"],
    evaluate: Forward | None = None,
    batch_size: int = 32,
    **more: Any,
) -> jr.Task:
    """Returns a task whose loop keeps a dict with `params` and whatever `start` adds.

    Args:
      data: training and validation split.
      loss: of the task, whose weighted mean the loop descends.
      init: `(key) -> params`.
      forward: `(params, inputs) -> outputs`, in training.
      update: `(state, batch, key, gradient) -> (state, loss of the batch)`.
      start: what else the state holds at first.
      judged: the weights that predictions are made with.
      evaluate: `(params, inputs) -> outputs` of predictions, if not `forward`.
      batch_size: rows of a batch.
      more: for `jr.Task`.
    """

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        return mean(loss(forward(params, batch.inputs), batch.targets), batch.weights)

    def begin(key: Any) -> State:
        params = init(key)
        return {"params": params, **start(params)}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        state, reported = update(state, batch, key, jax.value_and_grad(value))
        return state, {"loss": reported}

    @jax.jit
    def predict(state: State, inputs: Any) -> jax.Array:
        return (evaluate or forward)(judged(state), inputs)

    trainer = jr.Trainer(begin, step, predict, lambda state: state["params"])
    return task(data, loss, trainer, batch_size=batch_size, **more)


def descend(tx: optax.GradientTransformation, state: State, grads: Params) -> State:
    """Returns the state after an update by optax, with the rest of it kept."""
    updates, moments = tx.update(grads, state["opt"], state["params"])
    return {**state, "params": optax.apply_updates(state["params"], updates), "opt": moments}


# A flax TrainState with dropout and BatchNorm


class Normed(nn.Module):
    """Two normalised layers with dropout between them."""

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, train: bool = False, drop: bool = False
    ) -> jax.Array:
        """Returns logits; `train` normalises by the rows of `mask`, `drop` drops units."""
        for name in ("first", "second"):
            x = nn.Dense(32, name=f"{name}_dense")(x)
            x = nn.BatchNorm(not train, momentum=0.9, name=f"{name}_norm")(x, mask=mask)
            x = nn.Dropout(0.25, deterministic=not drop)(nn.relu(x))
        return nn.Dense(10, kernel_init=nn.initializers.normal(0.03), name="head")(x)


class StatsState(train_state.TrainState):
    """A TrainState that holds the statistics of BatchNorm too."""

    stats: Any


def digits_state(
    seed: int,
    keep: Callable[[Any, Any], Any] = lambda old, new: new,
    drop_key: Callable[[], Any] | None = None,
) -> jr.Task:
    """TrainState loop on digits; the defaults are right.

    Args:
      seed: of the data.
      keep: `(old, new) -> statistics` that the next state gets.
      drop_key: gives the key of dropout in predictions; None for no dropout there.
    """
    data, net, tx = digits(seed), Normed(), optax.adam(2e-3)

    def init(key: Any) -> StatsState:
        made = net.init(key, jnp.zeros((1, data[0][0].shape[1])))
        return StatsState.create(
            apply_fn=net.apply, params=made["params"], tx=tx, stats=made["batch_stats"]
        )

    @jax.jit
    def step(state: StatsState, batch: jr.Batch, key: Any) -> tuple[StatsState, Any]:
        def value(params: Params) -> tuple[jax.Array, Any]:
            logits, made = state.apply_fn(
                {"params": params, "batch_stats": state.stats},
                batch.inputs,
                mask=batch.weights[:, None] > 0,
                train=True,
                drop=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            return mean(CLASSES(logits, batch.targets), batch.weights), made["batch_stats"]

        (loss, stats), grads = jax.value_and_grad(value, has_aux=True)(state.params)
        state = state.apply_gradients(grads=grads, stats=keep(state.stats, stats))
        return state, {"loss": loss}

    @jax.jit
    def quiet(state: StatsState, inputs: Any) -> jax.Array:
        return net.apply({"params": state.params, "batch_stats": state.stats}, inputs)

    @jax.jit
    def noisy(state: StatsState, inputs: Any, key: Any) -> jax.Array:
        variables = {"params": state.params, "batch_stats": state.stats}
        return net.apply(variables, inputs, drop=True, rngs={"dropout": key})

    def predict(state: StatsState, inputs: Any) -> jax.Array:
        return quiet(state, inputs) if drop_key is None else noisy(state, inputs, drop_key())

    trainer = jr.Trainer(init, step, predict, lambda state: state.params)
    return task(data, CLASSES, trainer, optimizer=tx, batch_size=64)


def stats_of_old_state(seed: int, strength: Strength) -> jr.Task:
    """The old statistics are put into the new state; in the weak form, of the second norm only."""
    late = lambda old, new: {**new, "second_norm": old["second_norm"]}  # noqa: E731
    return digits_state(seed, keep=pick(strength, lambda old, new: old, late))


def dropout_in_predict(seed: int, strength: Strength) -> jr.Task:
    """Predictions drop units, by a new key at each call or (weak) by the same one."""
    calls = itertools.count()
    fresh = lambda: jax.random.key(next(calls))  # noqa: E731
    return digits_state(seed, drop_key=pick(strength, fresh, lambda: jax.random.key(0)))


# An NNX loop whose model and optimiser are split and merged at each step


class Screen(nnx.Module):
    """Three layers and one logit; `cut` names the layer behind which no gradient passes."""

    def __init__(self, prior: float, cut: str | None, *, rngs: nnx.Rngs):
        start = {"kernel_init": nnx.initializers.he_normal(), "rngs": rngs}
        self.stem = nnx.Linear(30, 16, **start)
        self.body = nnx.Linear(16, 16, **start)
        self.head = nnx.Linear(
            16,
            1,
            kernel_init=nnx.initializers.normal(0.05),
            bias_init=nnx.initializers.constant(prior),
            rngs=rngs,
        )
        self.cut = cut

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns logits float[b]."""
        for name in ("stem", "body"):
            x = nnx.relu(getattr(self, name)(x))
            x = jax.lax.stop_gradient(x) if self.cut == name else x
        return self.head(x)[:, 0]


def cancer_nnx(seed: int, cut: str | None = None, rebuild: int | None = None) -> jr.Task:
    """NNX loop on breast cancer; the defaults are right.

    Args:
      seed: of the data.
      cut: the layer behind which gradients are stopped.
      rebuild: steps after which the optimiser is made anew.
    """
    data, tx = cancer(seed), optax.adam(1e-3)

    def make(key: Any) -> tuple[Screen, nnx.Optimizer]:
        model = Screen(log_odds(data), cut, rngs=nnx.Rngs(key))
        return model, nnx.Optimizer(model, tx, wrt=nnx.Param)

    graph = nnx.graphdef(make(jax.random.key(0)))

    def init(key: Any) -> State:
        return nnx.state(make(key)), 0

    @jax.jit
    def update(leaves: Any, batch: jr.Batch) -> tuple[Any, jax.Array]:
        model, optimizer = nnx.merge(graph, leaves)

        def value(model: Screen) -> jax.Array:
            return mean(YES_NO(model(batch.inputs), batch.targets), batch.weights)

        loss, grads = nnx.value_and_grad(value)(model)
        optimizer.update(model, grads)
        return nnx.state((model, optimizer)), loss

    @jax.jit
    def renew(leaves: Any) -> Any:
        model, _ = nnx.merge(graph, leaves)
        return nnx.state((model, nnx.Optimizer(model, tx, wrt=nnx.Param)))

    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        leaves, count = state
        if rebuild and count % rebuild == 0:
            leaves = renew(leaves)
        leaves, loss = update(leaves, batch)
        return (leaves, count + 1), {"loss": loss}

    @jax.jit
    def outputs(leaves: Any, inputs: Any) -> jax.Array:
        return nnx.merge(graph, leaves)[0](inputs)

    def weights(state: State) -> Params:
        model, _ = nnx.merge(graph, state[0])
        return nnx.to_pure_dict(nnx.state(model, nnx.Param))

    trainer = jr.Trainer(init, step, lambda state, inputs: outputs(state[0], inputs), weights)
    return task(data, YES_NO, trainer, optimizer=tx, batch_size=32)


def optimizer_rebuilt(seed: int, strength: Strength) -> jr.Task:
    """The optimiser is made inside the loop, at each step or (weak) at each tenth."""
    return cancer_nnx(seed, rebuild=pick(strength, 1, 10))


def trunk_stopped(seed: int, strength: Strength) -> jr.Task:
    """`stop_gradient`, left from a probe, behind both hidden layers or (weak) behind the first."""
    return cancer_nnx(seed, cut=pick(strength, "body", "stem"))


# Momentum SGD by hand


def diabetes_momentum(seed: int, *, outer: bool = False) -> jr.Task:
    """Momentum by hand on a plain pytree; `outer` subtracts a row of targets from a column."""
    init = mlp(10, 8, 1)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        if outer:
            error = forward(params, batch.inputs) - batch.targets
            return mean(jnp.square(error).mean(axis=0), batch.weights)
        error = column(params, batch.inputs) - batch.targets
        return mean(jnp.square(error), batch.weights)

    def start(key: Any) -> State:
        params = init(key)
        return params, jax.tree.map(jnp.zeros_like, params)

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        params, velocity = state
        loss, grads = jax.value_and_grad(value)(params, batch)
        velocity = add(grads, velocity, 0.9)
        return (add(params, velocity, -0.003), velocity), {"loss": loss}

    predict = jax.jit(lambda state, inputs: column(state[0], inputs))
    trainer = jr.Trainer(start, step, predict, lambda state: state[0])
    return task(
        diabetes(seed),
        SQUARES,
        trainer,
        model=declared(init, column),
        optimizer=optax.sgd(0.003, momentum=0.9),
        batch_size=32,
    )


def column_against_row(seed: int, strength: Strength) -> jr.Task:
    """Outputs [b, 1] minus targets [b] are [b, b]: every output is drawn to every target."""
    del strength
    return diabetes_momentum(seed, outer=True)


def friedman_scaled(
    seed: int, back: Callable[[jax.Array, float, float], jax.Array] | None = None
) -> jr.Task:
    """Targets are standardised inside the step; `back` turns outputs into their unit again."""
    data, tx = friedman(seed), optax.adam(3e-3)
    shift, scale = float(data[0][1].mean()), float(data[0][1].std())
    back = back or (lambda z, shift, scale: z * scale + shift)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        error = column(params, batch.inputs) - (batch.targets - shift) / scale
        return mean(jnp.square(error), batch.weights)

    def init(key: Any) -> State:
        params = mlp(10, 24, 1)(key)
        return {"params": params, "opt": tx.init(params)}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        return descend(tx, state, grads), {"loss": loss * scale**2}

    predict = jax.jit(lambda state, x: back(column(state["params"], x), shift, scale))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    return task(data, SQUARES, trainer, optimizer=tx, batch_size=32)


def targets_scaled_in_step_only(seed: int, strength: Strength) -> jr.Task:
    """Predictions stay in the unit of the step; in the weak form only their spread."""
    narrow = lambda z, shift, scale: z + shift  # noqa: E731
    return friedman_scaled(seed, back=pick(strength, lambda z, shift, scale: z, narrow))


# A scan over micro-batches


def waves_micro(seed: int, *, used: slice | None = None, reset: int | None = 1) -> jr.Task:
    """Gradients summed by `lax.scan` over four micro-batches; the defaults are right.

    Args:
      seed: of the data.
      used: micro-batches that take part; None for all.
      reset: updates after which the buffer of gradients is emptied; None for never.
    """
    tx = optax.adam(3e-3)

    def total(params: Params, batch: jr.Batch) -> jax.Array:
        value = CLASSES(wave_forward(params, batch.inputs), batch.targets)
        return (value * batch.weights).sum()

    def init(key: Any) -> State:
        params = wave_init(key)
        buffer = jax.tree.map(jnp.zeros_like, params)
        return {"params": params, "opt": tx.init(params), "buffer": buffer, "count": 0}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        micro = shards(batch, 4)
        part = jax.tree.map(lambda leaf: leaf[used], micro) if used else micro

        def body(carry: Any, piece: jr.Batch) -> tuple[Any, jax.Array]:
            value, grads = jax.value_and_grad(total)(state["params"], piece)
            return add(carry, grads), value

        zeros = jax.tree.map(jnp.zeros_like, state["params"])
        grads, values = jax.lax.scan(body, zeros, part)
        rows = jnp.maximum(part.weights.sum(), 1.0)
        buffer = add(state["buffer"], grads, 1 / rows)
        count = state["count"] + 1
        state = descend(tx, {**state, "count": count}, buffer)
        if reset is not None:
            buffer = choose(count % reset == 0, zeros, buffer)
        return {**state, "buffer": buffer}, {"loss": values.sum() / rows}

    predict = jax.jit(lambda state, inputs: wave_forward(state["params"], inputs))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    model = declared(wave_init, wave_forward)
    return task(waves(seed), CLASSES, trainer, model=model, optimizer=tx, batch_size=64)


def last_micro_batch(seed: int, strength: Strength) -> jr.Task:
    """Only the last of four micro-batches counts; in the weak form it is the one that does not."""
    return waves_micro(seed, used=pick(strength, slice(3, 4), slice(0, 3)))


def buffer_never_emptied(seed: int, strength: Strength) -> jr.Task:
    """Gradients of all updates pile up; in the weak form those of four updates."""
    return waves_micro(seed, reset=pick(strength, None, 4))


# Devices that `vmap` plays


def arrows_devices(
    seed: int,
    averaged: tuple[str, ...] = ("stem", "head"),
    mirrored: float = 0.0,
    relabel: bool = True,
) -> jr.Task:
    """Four copies of the weights, one for each share of the batch; the defaults are right.

    Args:
      seed: of the data.
      averaged: layers whose gradients are averaged over the devices.
      mirrored: share of pictures that the step mirrors.
      relabel: whether a mirrored arrow points the other way.
    """
    tx = optax.sgd(0.05, momentum=0.9)

    def total(params: Params, batch: jr.Batch) -> jax.Array:
        return (CLASSES(forward(params, batch.inputs), batch.targets) * batch.weights).sum()

    def one(params: Params, opt: Any, batch: jr.Batch) -> tuple[Params, Any, jax.Array]:
        value, grads = jax.value_and_grad(total)(params, batch)
        rows = batch.weights.sum()
        rows_of_all = jax.lax.psum(rows, "device")
        grads = {
            name: jax.tree.map(lambda g: jax.lax.psum(g, "device") / rows_of_all, part)
            if name in averaged
            else jax.tree.map(lambda g: g / jnp.maximum(rows, 1.0), part)
            for name, part in grads.items()
        }
        updates, opt = tx.update(grads, opt, params)
        loss = jax.lax.psum(value, "device") / rows_of_all
        return optax.apply_updates(params, updates), opt, loss

    def mirror(batch: jr.Batch, key: Any) -> jr.Batch:
        flip = jax.random.bernoulli(key, mirrored, batch.weights.shape)
        pictures = jnp.where(flip[:, None, None], batch.inputs[:, :, ::-1], batch.inputs)
        swapped = jnp.asarray([1, 0, 2], jnp.int32)[batch.targets]
        labels = jnp.where(flip, swapped, batch.targets) if relabel else batch.targets
        return batch._replace(inputs=pictures, targets=labels)

    def init(key: Any) -> State:
        params = mlp(100, 32, 3)(key)
        state = {"params": params, "opt": tx.init(params)}
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), state)

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        batch = mirror(batch, key) if mirrored else batch
        every = jax.vmap(one, axis_name="device")
        params, opt, loss = every(state["params"], state["opt"], shards(batch, 4))
        return {"params": params, "opt": opt}, {"loss": loss[0]}

    first = lambda state: jax.tree.map(lambda leaf: leaf[0], state["params"])  # noqa: E731
    predict = jax.jit(lambda state, inputs: forward(first(state), inputs))
    trainer = jr.Trainer(init, step, predict, first)
    return task(arrows(seed), CLASSES, trainer, optimizer=tx, batch_size=64)


def average_forgotten(seed: int, strength: Strength) -> jr.Task:
    """Each device goes its own way and the first one is kept; weak: only its stem does."""
    return arrows_devices(seed, averaged=pick(strength, (), ("head",)))


def mirrored_arrows(seed: int, strength: Strength) -> jr.Task:
    """Half of the pictures are mirrored, arrows keep their labels; weak: a fifth."""
    return arrows_devices(seed, mirrored=pick(strength, 0.5, 0.2), relabel=False)


def mirrored_rightly(seed: int) -> jr.Task:
    """Half of the pictures are mirrored, and their labels with them."""
    return arrows_devices(seed, mirrored=0.5)


# Averaged weights for prediction


def clusters_average(
    seed: int, *, back: float | None = None, skipped: tuple[str, ...] = ()
) -> jr.Task:
    """Adam, and an exponential average of the weights for prediction; the defaults are right.

    Args:
      seed: of the data.
      back: share of new weights in an average that training goes on from; None for none.
      skipped: layers that the labels of the optimiser do not know.
    """
    init, adam = mlp(8, 32, 32, 4), optax.adam(3e-3)
    tx = adam
    if skipped:
        kinds = lambda params: {  # noqa: E731
            name: jax.tree.map(lambda _, n=name: "rest" if n in skipped else "net", part)
            for name, part in params.items()
        }
        tx = optax.multi_transform({"net": adam, "rest": optax.set_to_zero()}, kinds)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        new = descend(tx, state, grads)
        average = blend(state["average"], new["params"], back or 0.05)
        params = new["params"] if back is None else average
        return {**new, "params": params, "average": average}, loss

    return loop(
        clusters(seed),
        CLASSES,
        init,
        forward,
        update,
        start=lambda params: {"opt": tx.init(params), "average": params},
        judged=lambda state: state["average"],
        model=declared(init, forward),
        optimizer=tx,
    )


def average_written_back(seed: int, strength: Strength) -> jr.Task:
    """Training goes on from the average, so that a small share of each update is left."""
    return clusters_average(seed, back=pick(strength, 0.05, 0.5))


def labels_of_another_tree(seed: int, strength: Strength) -> jr.Task:
    """Layers with names that the optimiser's labels do not know stand still."""
    return clusters_average(seed, skipped=pick(strength, ("stem", "hidden"), ("hidden",)))


# Tags of padded texts


def tagger(seed: int, padding: str = "left out") -> jr.Task:
    """Momentum on the mean over tokens; `padding` may be "counted" or "in the divisor"."""
    data, tx = tags(seed), optax.sgd(0.1, momentum=0.9)
    make = tag_init(data)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        logits = tag_forward(params, batch.inputs)
        real = (batch.targets >= 0) * batch.weights[:, None]
        nats = optax.softmax_cross_entropy_with_integer_labels(
            logits, jnp.maximum(batch.targets, 0)
        )
        everywhere = jnp.broadcast_to(batch.weights[:, None], nats.shape)
        summed = nats * (everywhere if padding == "counted" else real)
        return summed.sum() / (real if padding == "left out" else everywhere).sum()

    def init(key: Any) -> State:
        params = make(key)
        return {"params": params, "opt": tx.init(params)}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        return descend(tx, state, grads), {"loss": loss}

    predict = jax.jit(lambda state, inputs: tag_forward(state["params"], inputs))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    model = declared(make, tag_forward)
    return task(data, TOKENS, trainer, model=model, optimizer=tx, batch_size=32)


def padding_counted(seed: int, strength: Strength) -> jr.Task:
    """Padded positions count as tag 0; in the weak form they only make the divisor larger."""
    return tagger(seed, padding=pick(strength, "counted", "in the divisor"))


# Two parts in turn


def moons_alternating(seed: int, lost: Callable[[jax.Array], jax.Array] | None = None) -> jr.Task:
    """Trunk first, then the head on the new trunk; `lost(count)` says when the trunk's is lost."""
    tx = optax.adam(3e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        old = state["params"]
        loss, grads = gradient(old, batch)
        moves, trunk_opt = tx.update(
            {"stem": grads["stem"], "hidden": grads["hidden"]}, state["trunk_opt"]
        )
        trunk = optax.apply_updates({"stem": old["stem"], "hidden": old["hidden"]}, moves)
        middle = {**trunk, "head": old["head"]}
        _, grads = gradient(middle, batch)
        move, head_opt = tx.update(grads["head"], state["head_opt"])
        params = {**middle, "head": optax.apply_updates(old["head"], move)}
        if lost is not None:
            params = choose(lost(state["count"]), {**old, "head": params["head"]}, params)
        return {
            "params": params,
            "trunk_opt": trunk_opt,
            "head_opt": head_opt,
            "count": state["count"] + 1,
        }, loss

    def start(params: Params) -> dict[str, Any]:
        trunk = {"stem": params["stem"], "hidden": params["hidden"]}
        return {"trunk_opt": tx.init(trunk), "head_opt": tx.init(params["head"]), "count": 0}

    return loop(moons(seed), CLASSES, mlp(2, 16, 16, 2), forward, update, start=start)


def second_overwrites_first(seed: int, strength: Strength) -> jr.Task:
    """The head's update is put into the old weights: the trunk's is lost; weak: at odd steps."""
    return moons_alternating(
        seed, lost=pick(strength, lambda count: count >= 0, lambda count: count % 2 == 1)
    )


# A loop that lives in a Python object


class Fitter:
    """Weights, moments and memory of a loop, changed in place."""

    def __init__(self, params: Params, tx: optax.GradientTransformation):
        self.params, self.opt, self.count = params, tx.init(params), 0
        self.shown = params  # what predictions are made with
        self.batch: jr.Batch | None = None


def fitter(
    seed: int,
    *,
    fresh: tuple[str, ...] = ("stem", "hidden", "head"),
    every: int | None = 1,
    epoch: int | None = None,
) -> jr.Task:
    """An object that is told to take a step; the defaults are right.

    Args:
      seed: of the data.
      fresh: layers that predictions see as they are now, not as they were at first.
      every: steps after which a new batch is taken in; None keeps the first one.
      epoch: steps that the schedule, a cosine over 40 epochs, takes for an epoch; None for a
        constant rate.
    """
    data, cosine = friedman_standardised(seed), optax.cosine_decay_schedule(3e-3, 40)
    tx = optax.adam(3e-3 if epoch is None else lambda count: cosine(count // epoch))

    @jax.jit
    def update(params: Params, opt: Any, batch: jr.Batch) -> tuple[Params, Any, jax.Array]:
        def value(params: Params) -> jax.Array:
            return mean(SQUARES(column(params, batch.inputs), batch.targets), batch.weights)

        loss, grads = jax.value_and_grad(value)(params)
        updates, opt = tx.update(grads, opt)
        return optax.apply_updates(params, updates), opt, loss

    def step(state: Fitter, batch: jr.Batch, key: Any) -> tuple[Fitter, Any]:
        if state.batch is None or (every is not None and state.count % every == 0):
            state.batch = batch
        state.params, state.opt, loss = update(state.params, state.opt, state.batch)
        state.shown = {**state.shown, **{name: state.params[name] for name in fresh}}
        state.count += 1
        return state, {"loss": loss}

    outputs = jax.jit(column)
    trainer = jr.Trainer(
        lambda key: Fitter(mlp(10, 24, 24, 1)(key), tx),
        step,
        lambda state, inputs: outputs(state.shown, inputs),
        lambda state: state.params,
    )
    return task(data, SQUARES, trainer, optimizer=tx, batch_size=16)


def stale_copy(seed: int, strength: Strength) -> jr.Task:
    """Predictions use weights copied before training; weak: all but the head's are."""
    return fitter(seed, fresh=pick(strength, (), ("head",)))


def first_batch_again(seed: int, strength: Strength) -> jr.Task:
    """The batch is remembered and used again, for ever or (weak) for ten steps."""
    return fitter(seed, every=pick(strength, None, 10))


def schedule_by_step(seed: int, strength: Strength) -> jr.Task:
    """A schedule over 40 epochs is asked at each step; weak: with an epoch taken for 4 steps."""
    return fitter(seed, epoch=pick(strength, 1, 4))


def schedule_by_epoch(seed: int) -> jr.Task:
    """The same schedule with the true number of steps in an epoch."""
    return fitter(seed, epoch=-(-600 // 16))


# bfloat16 on the way, float32 weights


def half_forward(params: Params, inputs: jax.Array) -> jax.Array:
    """Computes in bfloat16, returns float32."""
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    return forward(low, inputs.astype(jnp.bfloat16)).astype(jnp.float32)


def digits_half(seed: int, kept: Any = jnp.float32) -> jr.Task:
    """Mixed precision on digits; `kept` is the type that weights are rounded to after a step."""
    data, tx = digits(seed), optax.adam(1e-3)
    init = mlp(data[0][0].shape[1], 32, 10)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        state = descend(tx, state, grads)
        rounded = jax.tree.map(lambda p: p.astype(kept).astype(p.dtype), state["params"])
        return {**state, "params": rounded}, loss

    return loop(
        data,
        CLASSES,
        init,
        half_forward,
        update,
        start=lambda params: {"opt": tx.init(params)},
        model=declared(init, half_forward),
        optimizer=tx,
    )


def weights_kept_low(seed: int, strength: Strength) -> jr.Task:
    """Weights are cast down after each update, to bfloat16 or (weak) to float16."""
    return digits_half(seed, kept=pick(strength, jnp.bfloat16, jnp.float16))


data_fault, model_fault, loss_fault = planter("data"), planter("model"), planter("loss")
optimizer_fault, procedure_fault = planter("optimizer"), planter("procedure")
step_fault = planter("step")

FAULTS: tuple[Fault, ...] = (
    procedure_fault(
        "digits_state/stats-of-old-state",
        stats_of_old_state,
        digits_state,
        "stored statistics follow training",
        "statistics-never-updated state-not-threaded train-eval-differ",
        "step model eval",
        "norm",
    ),
    procedure_fault(
        "digits_state/dropout-in-predict",
        dropout_in_predict,
        digits_state,
        "a prediction depends on its own example alone",
        "eval-not-deterministic eval-depends-on-batch",
        "eval model",
    ),
    optimizer_fault(
        "cancer_nnx/optimizer-rebuilt",
        optimizer_rebuilt,
        cancer_nnx,
        "moments of the optimiser last from step to step",
        "state-not-threaded",
        "step optimizer",
    ),
    model_fault(
        "cancer_nnx/trunk-stopped",
        trunk_stopped,
        cancer_nnx,
        "every parameter that outputs depend on gets a gradient",
        "gradient-cut parameters-frozen leaf-not-in-optimizer",
        "model step optimizer",
        "stem",
    ),
    loss_fault(
        "diabetes_momentum/column-against-row",
        column_against_row,
        diabetes_momentum,
        "the loss of an example depends on its own target alone",
        "loss-depends-on-batch batch-mixing wrong-loss update-differs",
        "loss step",
    ),
    procedure_fault(
        "friedman_scaled/targets-scaled-in-step-only",
        targets_scaled_in_step_only,
        friedman_scaled,
        "predictions have the unit of the targets",
        "prepared-differently train-eval-differ outputs-cannot-reach-targets loss-reported-wrong",
        "eval step data labels head",
    ),
    step_fault(
        "waves_micro/last-micro-batch",
        last_micro_batch,
        waves_micro,
        "every example of a batch has a part in its update",
        "examples-ignored",
        "step data",
    ),
    optimizer_fault(
        "waves_micro/buffer-never-emptied",
        buffer_never_emptied,
        waves_micro,
        "an update uses the gradient of its own batch",
        "gradients-accumulate",
        "step optimizer",
    ),
    step_fault(
        "arrows_devices/average-forgotten",
        average_forgotten,
        arrows_devices,
        "an update is the mean over all devices",
        "examples-ignored update-differs",
        "step data",
    ),
    data_fault(
        "arrows_devices/mirrored-arrows",
        mirrored_arrows,
        mirrored_rightly,
        "labels follow when the inputs are moved",
        "augmentation-breaks-labels",
        "augmentation step data labels",
    ),
    step_fault(
        "clusters_average/average-written-back",
        average_written_back,
        clusters_average,
        "an update is the one that the optimiser gives",
        "update-differs stale-parameters learning-rate-too-low",
        "step optimizer",
    ),
    optimizer_fault(
        "clusters_average/labels-of-another-tree",
        labels_of_another_tree,
        clusters_average,
        "the optimiser moves every parameter",
        "leaf-not-in-optimizer parameters-frozen",
        "optimizer step",
        "hidden",
    ),
    loss_fault(
        "tagger/padding-counted",
        padding_counted,
        tagger,
        "padded positions have no part in the loss",
        "padding-in-loss loss-scale",
        "loss step",
    ),
    step_fault(
        "moons_alternating/second-overwrites-first",
        second_overwrites_first,
        moons_alternating,
        "an update starts from the newest weights",
        "parameters-frozen leaf-not-in-optimizer stale-parameters state-not-threaded",
        "step optimizer",
        "stem",
        "hidden",
    ),
    procedure_fault(
        "fitter/stale-copy",
        stale_copy,
        fitter,
        "predictions use the trained weights",
        "stale-parameters parameters-unused train-eval-differ no-learning",
        "eval step",
    ),
    data_fault(
        "fitter/first-batch-again",
        first_batch_again,
        fitter,
        "an update depends on the batch it is given",
        "batch-ignored",
        "step data",
    ),
    optimizer_fault(
        "fitter/schedule-by-step",
        schedule_by_step,
        schedule_by_epoch,
        "the rate lasts as long as training does",
        "schedule-ends-early",
        "schedule optimizer step",
    ),
    step_fault(
        "digits_half/weights-kept-low",
        weights_kept_low,
        digits_half,
        "small updates are not lost",
        "update-differs",
        "step optimizer",
    ),
)


# Odd loops that are right


def with_opt(tx: optax.GradientTransformation) -> Callable[[Params], dict[str, Any]]:
    """Returns a start with the optimiser's state and a counter."""
    return lambda params: {"opt": tx.init(params), "count": 0}


def plain(tx: optax.GradientTransformation) -> Update:
    """Returns the update of optax, as it is."""

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        return descend(tx, state, grads), loss

    return update


def lookahead(seed: int) -> jr.Task:
    """Slow weights go half of the way after each five fast steps; they are what predicts."""
    data, tx = digits(seed), optax.adam(2e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        state = descend(tx, state, grads)
        count = state["count"] + 1
        turn = count % 5 == 0
        slow = choose(turn, blend(state["slow"], state["params"], 0.5), state["slow"])
        params = choose(turn, slow, state["params"])
        return {**state, "params": params, "slow": slow, "count": count}, loss

    return loop(
        data,
        CLASSES,
        mlp(data[0][0].shape[1], 32, 10),
        forward,
        update,
        start=lambda params: {**with_opt(tx)(params), "slow": params},
        judged=lambda state: state["slow"],
    )


def centralised(seed: int) -> jr.Task:
    """The mean over inputs is taken out of each matrix's gradient before Adam."""
    data, tx = cancer(seed), optax.adam(2e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        centred = lambda g: g - g.mean(axis=0) if g.ndim == 2 else g  # noqa: E731
        return descend(tx, state, jax.tree.map(centred, grads)), loss

    init = mlp(30, 16, 1, bias=log_odds(data))
    return loop(data, YES_NO, init, column, update, start=with_opt(tx))


def sharpness_aware(seed: int) -> jr.Task:
    """The gradient is taken a short way uphill and applied here (SAM)."""
    tx = optax.adam(3e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        uphill = add(state["params"], grads, 0.02 / (norm(grads) + 1e-12))
        return descend(tx, state, gradient(uphill, batch)[1]), loss

    return loop(waves(seed), CLASSES, wave_init, wave_forward, update, start=with_opt(tx))


def averaged_late(seed: int) -> jr.Task:
    """Predictions use the plain mean of all weights since step 50 (SWA), before it the weights."""
    tx = optax.sgd(0.1)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        state = descend(tx, state, grads)
        share = 1.0 / jnp.maximum(state["count"] - 50, 1)
        mean_of_all = blend(state["mean"], state["params"], share)
        return {**state, "mean": mean_of_all, "count": state["count"] + 1}, loss

    return loop(
        clusters(seed),
        CLASSES,
        mlp(8, 32, 32, 4),
        forward,
        update,
        start=lambda params: {**with_opt(tx)(params), "mean": params},
        judged=lambda state: state["mean"],
    )


def gradient_noise(seed: int) -> jr.Task:
    """Noise that fades is added to the gradients, drawn from the key of the step."""
    tx = optax.sgd(0.02)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        flat, back = ravel_pytree(grads)
        size = 0.1 / (1.0 + state["count"]) ** 0.275
        flat += size * jax.random.normal(key, flat.shape)
        state = descend(tx, state, back(flat))
        return {**state, "count": state["count"] + 1}, loss

    return loop(diabetes(seed), SQUARES, mlp(10, 8, 1), column, update, start=with_opt(tx))


def loss_scaled(seed: int) -> jr.Task:
    """float16 on the way; the loss is scaled up, and a step that overflows is left out."""
    tx = optax.sgd(0.05, momentum=0.9)

    def low(params: Params, inputs: jax.Array) -> jax.Array:
        halves = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), params)
        return forward(halves, inputs.astype(jnp.float16)).astype(jnp.float32)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        del gradient  # it is not scaled

        def scaled(params: Params) -> jax.Array:
            value = CLASSES(low(params, batch.inputs), batch.targets)
            return state["scale"] * mean(value, batch.weights)

        value, grads = jax.value_and_grad(scaled)(state["params"])
        grads = jax.tree.map(lambda g: g / state["scale"], grads)
        sound = jnp.isfinite(norm(grads))
        moved = choose(sound, descend(tx, state, grads), state)
        good = jnp.where(sound, state["good"] + 1, 0)
        grown = jnp.where(good % 100 == 99, 2.0, 1.0)
        scale = jnp.clip(state["scale"] * jnp.where(sound, grown, 0.5), 1.0, 2.0**13)
        return {**moved, "good": good, "scale": scale}, value / state["scale"]

    return loop(
        arrows(seed),
        CLASSES,
        mlp(100, 32, 3),
        low,
        update,
        start=lambda params: {"opt": tx.init(params), "good": 0, "scale": 2.0**10},
    )


def rematerialised(seed: int) -> jr.Task:
    """Activations are computed again on the way back; the update is the plain one."""
    tx = optax.adam(3e-3)

    return loop(
        waves(seed),
        CLASSES,
        wave_init,
        jax.checkpoint(wave_forward),
        plain(tx),
        start=with_opt(tx),
        evaluate=wave_forward,
        model=declared(wave_init, wave_forward),
        optimizer=tx,
    )


def accumulated(seed: int) -> jr.Task:
    """Weights move at every fourth step only, by the mean gradient of the four batches."""
    tx = optax.adam(5e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        total, count = add(state["total"], grads, 0.25), state["count"] + 1
        held = {**state, "total": total, "count": count}
        zeros = jax.tree.map(jnp.zeros_like, total)
        moved = {**descend(tx, held, total), "total": zeros}
        return choose(count % 4 == 0, moved, held), loss

    return loop(
        friedman_standardised(seed),
        SQUARES,
        mlp(10, 24, 1),
        column,
        update,
        start=lambda params: {
            **with_opt(tx)(params),
            "total": jax.tree.map(jnp.zeros_like, params),
        },
        batch_size=16,
    )


def by_turns(seed: int) -> jr.Task:
    """The head moves at even steps, everything before it at odd steps."""
    tx = optax.adam(5e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        even = state["count"] % 2 == 0
        params, opt = dict(state["params"]), dict(state["opt"])
        for name in params:
            moves, moments = tx.update(grads[name], opt[name])
            mine = even if name == "head" else ~even
            moved = optax.apply_updates(params[name], moves)
            params[name] = choose(mine, moved, params[name])
            opt[name] = choose(mine, moments, opt[name])
        return {"params": params, "opt": opt, "count": state["count"] + 1}, loss

    def start(params: Params) -> dict[str, Any]:
        return {"opt": {name: tx.init(part) for name, part in params.items()}, "count": 0}

    return loop(moons(seed), CLASSES, mlp(2, 16, 16, 2), forward, update, start=start)


def rates_by_depth(seed: int) -> jr.Task:
    """Each layer has half the rate of the layer behind it."""
    data = digits(seed)
    rates = {"stem": 1e-3, "hidden": 2e-3, "head": 4e-3}
    tx = optax.multi_transform(
        {name: optax.adam(rate) for name, rate in rates.items()},
        lambda params: {name: jax.tree.map(lambda _, n=name: n, params[name]) for name in params},
    )
    init = mlp(data[0][0].shape[1], 32, 32, 10)

    return loop(
        data,
        CLASSES,
        init,
        forward,
        plain(tx),
        start=with_opt(tx),
        model=declared(init, forward),
        optimizer=tx,
    )


def clipped_by_example(seed: int) -> jr.Task:
    """The gradient of each example is shortened to a norm of 2 before the mean over the batch."""
    data, tx = cancer(seed), optax.adam(2e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        def one(row: Any, target: Any) -> tuple[jax.Array, Params]:
            single = jr.Batch(row[None], target[None], jnp.ones(1))
            value, grads = gradient(state["params"], single)
            short = jnp.minimum(1.0, 2.0 / (norm(grads) + 1e-12))
            return value, jax.tree.map(lambda g: g * short, grads)

        values, grads = jax.vmap(one)(batch.inputs, batch.targets)
        share = batch.weights / batch.weights.sum()
        grads = jax.tree.map(lambda g: jnp.tensordot(share, g, axes=1), grads)
        return descend(tx, state, grads), (values * share).sum()

    init = mlp(30, 16, 1, bias=log_odds(data))
    return loop(data, YES_NO, init, column, update, start=with_opt(tx))


def padded_batches(seed: int) -> jr.Task:
    """Every batch is filled up to a multiple of 64 rows, which a mask leaves out again."""
    data, tx = tags(seed), optax.adam(5e-3)
    make = tag_init(data)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        nats, tokens = TOKENS(tag_forward(params, batch.inputs), batch.targets)
        return mean(nats, tokens * batch.weights)

    @jax.jit
    def update(state: State, batch: jr.Batch) -> tuple[State, Any]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        return descend(tx, state, grads), {"loss": loss}

    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        more = -len(batch.weights) % 64

        def fill(leaf: Any) -> jax.Array:
            return jnp.pad(leaf, ((0, more), *((0, 0) for _ in leaf.shape[1:])))

        return update(state, jax.tree.map(fill, batch))

    def init(key: Any) -> State:
        params = make(key)
        return {"params": params, "opt": tx.init(params)}

    predict = jax.jit(lambda state, inputs: tag_forward(state["params"], inputs))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    model = declared(make, tag_forward)
    return task(data, TOKENS, trainer, model=model, optimizer=tx, batch_size=48)


def smoothed(seed: int) -> jr.Task:
    """Labels are smoothed, in the loop as in the declared loss, whose floor is not 0."""
    tx, init = optax.adam(3e-3), mlp(8, 32, 32, 4)

    return loop(
        clusters(seed),
        jr.losses.softmax_cross_entropy(label_smoothing=0.1),
        init,
        forward,
        plain(tx),
        start=with_opt(tx),
        model=declared(init, forward),
        optimizer=tx,
    )


class Vector:
    """All weights as one NumPy vector, and a mean of squared gradients, both changed in place."""

    def __init__(self, flat: np.ndarray):
        self.flat, self.squares, self.count = flat, np.zeros_like(flat), 0


def in_place(seed: int) -> jr.Task:
    """RMSProp by hand on a NumPy vector that the loop writes into."""
    init = mlp(10, 24, 1)
    _, back = ravel_pytree(init(jax.random.key(0)))

    @jax.jit
    def gradient(flat: jax.Array, batch: jr.Batch) -> tuple[jax.Array, jax.Array]:
        def value(flat: jax.Array) -> jax.Array:
            return mean(SQUARES(column(back(flat), batch.inputs), batch.targets), batch.weights)

        return jax.value_and_grad(value)(flat)

    def step(state: Vector, batch: jr.Batch, key: Any) -> tuple[Vector, Any]:
        loss, grads = gradient(jnp.array(state.flat), batch)
        grads = np.asarray(grads)
        state.count += 1
        state.squares *= 0.99
        state.squares += 0.01 * grads**2
        corrected = state.squares / (1 - 0.99**state.count)
        state.flat -= 3e-3 * grads / (np.sqrt(corrected) + 1e-8)
        return state, {"loss": loss}

    outputs = jax.jit(lambda flat, inputs: column(back(flat), inputs))
    trainer = jr.Trainer(
        lambda key: Vector(np.array(ravel_pytree(init(key))[0])),
        step,
        lambda state, inputs: outputs(jnp.array(state.flat), inputs),
        lambda state: back(jnp.array(state.flat)),
    )
    return task(friedman_standardised(seed), SQUARES, trainer, batch_size=32)


def mirror_averaged(seed: int) -> jr.Task:
    """A prediction is the mean over a picture and its mirror image, left and right swapped."""
    tx = optax.sgd(0.05, momentum=0.9)

    def both(params: Params, inputs: jax.Array) -> jax.Array:
        mirrored = forward(params, inputs[:, :, ::-1])[:, np.array([1, 0, 2])]
        return (forward(params, inputs) + mirrored) / 2

    return loop(
        arrows(seed),
        CLASSES,
        mlp(100, 32, 3),
        forward,
        plain(tx),
        start=with_opt(tx),
        evaluate=both,
    )


def sign_momentum(seed: int) -> jr.Task:
    """Every weight moves by the same length, the way momentum and gradient point (Lion)."""

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        way = jax.tree.map(jnp.sign, blend(state["speed"], grads, 0.1))
        speed = blend(state["speed"], grads, 0.01)
        return {"params": add(state["params"], way, -2e-3), "speed": speed}, loss

    return loop(
        moons(seed),
        CLASSES,
        mlp(2, 16, 16, 2),
        forward,
        update,
        start=lambda params: {"speed": jax.tree.map(jnp.zeros_like, params)},
    )


HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="digits/lookahead", build=lookahead),
    Healthy(name="cancer/gradient-centralised", build=centralised),
    Healthy(name="waves/sharpness-aware", build=sharpness_aware),
    Healthy(name="clusters/averaged-late", build=averaged_late),
    Healthy(name="diabetes/gradient-noise", build=gradient_noise),
    Healthy(name="arrows/loss-scaled-float16", build=loss_scaled),
    Healthy(name="waves/rematerialised", build=rematerialised),
    Healthy(name="friedman/accumulated-in-state", build=accumulated),
    Healthy(name="moons/by-turns", build=by_turns),
    Healthy(name="digits/rates-by-depth", build=rates_by_depth),
    Healthy(name="cancer/clipped-by-example", build=clipped_by_example),
    Healthy(name="tags/padded-batches", build=padded_batches),
    Healthy(name="clusters/smoothed-labels", build=smoothed),
    Healthy(name="friedman/vector-in-place", build=in_place),
    Healthy(name="arrows/mirror-averaged-predictions", build=mirror_averaged),
    Healthy(name="moons/sign-momentum", build=sign_momentum),
)
