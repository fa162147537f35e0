"""An exam for the checks, written without having seen them: networks, faults and odd programs.

Eleven small programs of kinds that the rest of the gallery does not have, eighteen faults in them,
and sixteen odd but healthy ones. All use jrecipe's own trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn import datasets

import jrecipe as jr
from gallery.planting import Split, pick, planter
from gallery.program import Fault, Healthy, Strength

Array = Any
Data = tuple[Any, Any]
Splits = dict[str, Split]


# Words that several programs share.


def rng_of(name: str, seed: int) -> np.random.Generator:
    """Returns a generator of random numbers of its own for each data set and seed."""
    return np.random.default_rng([seed, *name.encode()])


def halves(inputs: Any, targets: Any, seed: int, share: float = 0.7) -> Splits:
    """Returns rows drawn into `train` (a share) and `val` (the rest)."""
    n = len(jax.tree.leaves(targets)[0])
    order = np.random.default_rng([seed, 31]).permutation(n)
    rows = {"train": order[: int(share * n)], "val": order[int(share * n) :]}
    return {
        name: (jax.tree.map(lambda x, r=r: x[r], inputs), targets[r]) for name, r in rows.items()
    }


def scale_of(inputs: np.ndarray, axis: int | None = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation, of each feature or (axis None) of all numbers."""
    return inputs.mean(axis=axis), inputs.std(axis=axis)


def standardised(splits: Splits, axis: int | None = 0) -> Splits:
    """Returns the splits with inputs on the scale of the training inputs."""
    mean, scale = scale_of(splits["train"][0], axis)
    return {k: (((x - mean) / scale).astype(np.float32), y) for k, (x, y) in splits.items()}


def unit(y: np.ndarray) -> np.ndarray:
    """Returns numbers shifted and scaled to mean 0 and variance 1."""
    return ((y - y.mean()) / y.std()).astype(np.float32)


def plain(init: Callable[[Any], Any], predict: Callable[[Any, Any], Array], name: str) -> jr.Model:
    """Returns a network of two plain functions, `init(key)` and `predict(params, inputs)`."""

    def start(key: Any, inputs: Any) -> tuple[Any, Any]:
        del inputs
        return init(key), {}

    def apply(
        params: Any, state: Any, inputs: Any, *, key: Any = None, train: bool = False
    ) -> tuple[Array, Any]:
        del key, train
        return predict(params, inputs), state

    return jr.Model(start, apply, name=name)


def dense(key: Any, fan_in: int, fan_out: int) -> dict[str, Array]:
    """Returns the weights and biases of a layer."""
    w = jax.random.normal(key, (fan_in, fan_out)) / np.sqrt(fan_in)
    return {"w": w, "b": jnp.zeros(fan_out)}


def through(layer: dict[str, Array], x: Array) -> Array:
    """Returns the outputs of a layer made by `dense`."""
    return x @ layer["w"] + layer["b"]


# Base 1: which of four tones a window of a signal holds; 1-D convolutions in Linen.

RISING, FALLING = 2, 3


def waves(seed: int) -> Data:
    """Returns signals float[n, 32, 1] and their classes: low, high, rising and falling tones."""
    rng, n = rng_of("waves", seed), 1000
    t = np.linspace(0.0, 1.0, 32)
    y = rng.integers(0, 4, n)
    start, end = np.array([2.0, 7.0, 2.0, 7.0])[y], np.array([2.0, 7.0, 7.0, 2.0])[y]
    turns = start[:, None] * t + (end - start)[:, None] * t**2 / 2 + rng.random((n, 1))
    x = rng.uniform(0.8, 1.2, (n, 1)) * np.sin(2 * np.pi * turns) + rng.normal(0, 0.25, (n, 32))
    return x[..., None], y


def wave_splits(seed: int) -> Splits:
    """Returns the recording cut in time, on a common scale."""
    x, y = waves(seed)
    return standardised({"train": (x[:700], y[:700]), "val": (x[700:], y[700:])}, axis=None)


class WaveNet(nn.Module):
    """Two convolutions along time, and a head that knows where."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 4] of signals [b, 32, 1]."""
        x = nn.relu(nn.Conv(16, (5,))(x))
        x = nn.relu(nn.Conv(16, (5,), strides=(2,))(x))
        return nn.Dense(4, name="head")(x.reshape(len(x), -1))


def wave_task(splits: Splits, **changes: Any) -> jr.Task:
    given = {"model": WaveNet(), "loss": jr.losses.softmax_cross_entropy(), **splits}
    return jr.Task(**{**given, "optimizer": optax.adam(2e-3), "batch_size": 64, **changes})


def waves_twin(seed: int) -> jr.Task:
    return wave_task(wave_splits(seed))


def waves_window_off_by_one(seed: int, strength: Strength) -> jr.Task:
    """Each window is stored with the label of the next; weakly, in the last third only."""
    splits = wave_splits(seed)
    for name, (x, y) in splits.items():
        first = pick(strength, 0, 2 * len(y) // 3)
        splits[name] = (x, np.concatenate([y[:first], np.roll(y[first:], -1)]))
    return wave_task(splits)


def reversing(share: float, *, relabel: bool) -> Callable[[Any, jr.Batch], jr.Batch]:
    """Returns an augmentation that plays some signals backwards."""

    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        x, y = batch.inputs, batch.targets
        back = jax.random.bernoulli(key, share, (len(y),))
        x = jnp.where(back[:, None, None], x[:, ::-1], x)
        mirrored = jnp.where(y == RISING, FALLING, jnp.where(y == FALLING, RISING, y))
        return batch._replace(inputs=x, targets=jnp.where(back & relabel, mirrored, y))

    return augment


def waves_reversed(seed: int, strength: Strength) -> jr.Task:
    """Signals are played backwards, but a rising tone stays "rising"."""
    share = pick(strength, 0.5, 0.2)
    return wave_task(wave_splits(seed), augment=reversing(share, relabel=False))


def waves_reversed_twin(seed: int) -> jr.Task:
    return wave_task(wave_splits(seed), augment=reversing(0.5, relabel=True))


def momentum(seed: int, decay: float, rate: float = 0.02) -> jr.Task:
    optimizer = optax.chain(optax.trace(decay=decay), optax.scale(-rate))
    return wave_task(wave_splits(seed), optimizer=optimizer)


def waves_trace_of_one(seed: int, strength: Strength) -> jr.Task:
    """The trace of gradients never forgets; weakly, at a rate so small that it seems to work."""
    return momentum(seed, 1.0, pick(strength, 0.02, 0.001))


def waves_momentum_twin(seed: int) -> jr.Task:
    return momentum(seed, 0.9)


# Base 2: benign or not, a table in raw units; an MLP of plain functions.


def cancer(seed: int) -> Splits:
    """Returns scikit-learn's breast cancer table in raw units, split."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return halves(x, y.astype(np.float32), seed)


def cancer_net(width: int = 16) -> jr.Model:
    """Returns an MLP with one logit."""

    def init(key: Any) -> Any:
        one, two = jax.random.split(key)
        return {"hidden": dense(one, 30, width), "head": dense(two, width, 1)}

    def predict(params: Any, x: Array) -> Array:
        return through(params["head"], jnp.tanh(through(params["hidden"], x)))[:, 0]

    return plain(init, predict, "cancer_net")


def cancer_task(splits: Splits, **changes: Any) -> jr.Task:
    given = {"model": cancer_net(), "loss": jr.losses.sigmoid_cross_entropy(), **splits}
    return jr.Task(**{**given, "optimizer": optax.adam(3e-3), "batch_size": 64, **changes})


def cancer_twin(seed: int) -> jr.Task:
    return cancer_task(standardised(cancer(seed)))


def cancer_other_scaler(seed: int, strength: Strength) -> jr.Task:
    """Validation is divided by the scale and never centred; weakly, scaled by median and range."""
    raw = cancer(seed)
    x, _ = raw["train"]
    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75), axis=0)
    shift, scale = pick(strength, (0.0, x.std(axis=0)), (middle, high - low))
    inputs = ((raw["val"][0] - shift) / scale).astype(np.float32)
    return cancer_task({**standardised(raw), "val": (inputs, raw["val"][1])})


def logistic(outputs: Array, targets: Array) -> Array:
    """Returns the logistic loss of logits and labels 0 and 1, written by hand."""
    return jax.nn.softplus(outputs) - targets * outputs


def logistic_task(seed: int, recode: Callable[[np.ndarray], np.ndarray]) -> jr.Task:
    splits = {k: (x, recode(y)) for k, (x, y) in standardised(cancer(seed)).items()}
    return cancer_task(splits, loss=logistic)


def cancer_signed_labels(seed: int, strength: Strength) -> jr.Task:
    """Labels are -1 and 1, where the loss wants 0 and 1; weakly, sharpened to -0.05 and 1.05."""
    recode = pick(strength, lambda y: 2 * y - 1, lambda y: np.float32(1.1) * y - np.float32(0.05))
    return logistic_task(seed, recode)


def cancer_logistic_twin(seed: int) -> jr.Task:
    return logistic_task(seed, lambda y: y)


# Base 3: which group of words a text holds most of; a transformer encoder in Linen, with padding.


def texts(seed: int) -> Data:
    """Returns `{"ids": int[n, 12], "mask": bool[n, 12]}` and the group that most tokens are of."""
    rng, n, length = rng_of("texts", seed), 2400, 12
    lengths = rng.integers(6, length + 1, n)
    mask = np.arange(length) < lengths[:, None]
    lean = rng.integers(0, 3, n)
    group = np.where(rng.random((n, length)) < 0.4, lean[:, None], rng.integers(0, 3, (n, length)))
    ids = np.where(mask, 1 + 7 * group + rng.integers(0, 7, (n, length)), 0)
    counts = np.stack([((group == k) & mask).sum(axis=1) for k in range(3)], axis=1)
    top = np.sort(counts, axis=1)
    kept = np.flatnonzero(top[:, 2] > top[:, 1])[:1300]
    return {"ids": ids[kept], "mask": mask[kept]}, counts.argmax(axis=1)[kept]


class Attention(nn.Module):
    """One head of attention between the tokens of a text."""

    mix: str = "bqk,bkd->bqd"
    inverted: bool = False

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Returns [b, t, d] from [b, t, d] and the mask of what is real."""
        q, k, v = (nn.Dense(x.shape[-1], use_bias=False, name=n)(x) for n in ("query", "key", "v"))
        scores = jnp.einsum("bqd,bkd->bqk", q, k) / np.sqrt(x.shape[-1])
        seen = ~mask if self.inverted else mask
        scores = jnp.where(seen[:, None, :], scores, -1e9)
        mixed = jnp.einsum(self.mix, nn.softmax(scores), v)
        return nn.Dense(x.shape[-1], name="out")(mixed)


class Block(nn.Module):
    """Attention and an MLP, each beside a residual."""

    mix: str
    inverted: bool

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Returns [b, t, d] from [b, t, d] and the mask of what is real."""
        x = x + Attention(self.mix, self.inverted, name="attention")(nn.LayerNorm()(x), mask)
        return x + nn.Dense(x.shape[-1])(nn.gelu(nn.Dense(48)(nn.LayerNorm()(x))))


class Encoder(nn.Module):
    """Two blocks, and the mean over the tokens.

    Attributes:
      mixes: how each block joins attention and values.
      inverted: whether attention sees what it must not.
      pool_all: whether the mean is taken over padding too.
    """

    mixes: tuple[str, ...] = ("bqk,bkd->bqd", "bqk,bkd->bqd")
    inverted: bool = False
    pool_all: bool = False

    @nn.compact
    def __call__(self, inputs: Any) -> Array:
        """Returns logits [b, 3] of ids and mask."""
        ids, mask = inputs["ids"], inputs["mask"]
        place = self.param("place", nn.initializers.normal(0.3), (ids.shape[1], 24))
        x = nn.Embed(22, 24, embedding_init=nn.initializers.normal(1.0), name="embed")(ids) + place
        for i, mix in enumerate(self.mixes):
            x = Block(mix, self.inverted, name=f"block_{i}")(x, mask)
        counted = jnp.ones_like(mask) if self.pool_all else mask
        weight = counted[..., None].astype(x.dtype)
        x = (nn.LayerNorm(name="norm")(x) * weight).sum(axis=1) / weight.sum(axis=1)
        return nn.Dense(3, name="head")(x)


def text_task(seed: int, model: Encoder, **changes: Any) -> jr.Task:
    given = {
        "model": model,
        "loss": jr.losses.softmax_cross_entropy(),
        **halves(*texts(seed), seed),
    }
    return jr.Task(**{**given, "optimizer": optax.adam(1e-3), "batch_size": 64, **changes})


def texts_twin(seed: int) -> jr.Task:
    return text_task(seed, Encoder())


def texts_padding_read(seed: int, strength: Strength) -> jr.Task:
    """Attention sees the padding and nothing else; weakly, the mean counts the padding too."""
    return text_task(seed, pick(strength, Encoder(inverted=True), Encoder(pool_all=True)))


def texts_wrong_letter(seed: int, strength: Strength) -> jr.Task:
    """A letter in an einsum is wrong, and attention's weights only add up to 1 there.

    Every token gets its own value back, so queries and keys do nothing; weakly, in one block.
    """
    right, wrong = "bqk,bkd->bqd", "bqk,bqd->bqd"
    return text_task(seed, Encoder(mixes=pick(strength, (wrong, wrong), (right, wrong))))


def trained_modules(*names: str) -> optax.GradientTransformation:
    """Returns Adam for the modules that begin with one of the names; the others stand still."""

    def groups(params: Any) -> Any:
        chosen = {module: "on" if module.startswith(names) else "off" for module in params}
        return jax.tree_util.tree_map_with_path(lambda path, _: chosen[path[0].key], params)

    return optax.multi_transform({"on": optax.adam(1e-3), "off": optax.set_to_zero()}, groups)


def texts_module_missed(seed: int, strength: Strength) -> jr.Task:
    """The optimiser's groups name "blocks", which nothing is called; weakly, one block of two."""
    named = pick(strength, "blocks", "block_0")
    optimizer = trained_modules("embed", "place", named, "norm", "head")
    return text_task(seed, Encoder(), optimizer=optimizer)


def texts_groups_twin(seed: int) -> jr.Task:
    optimizer = trained_modules("embed", "place", "block_", "norm", "head")
    return text_task(seed, Encoder(), optimizer=optimizer)


# Base 4: the next value of a series at every time; causal convolutions in Linen.


def swings(seed: int) -> Data:
    """Returns noisy swings float[n, 24] of variance 1, and the same one step later."""
    rng, n, burn = rng_of("swings", seed), 700, 40
    x = np.zeros((n, burn + 25))
    for t in range(2, x.shape[1]):
        x[:, t] = 1.5 * x[:, t - 1] - 0.85 * x[:, t - 2] + rng.normal(0.0, 1.0, n)
    x = unit(x[:, burn:])
    return x[:, :-1], x[:, 1:]


class Forecaster(nn.Module):
    """Dilated convolutions that look back.

    Attributes:
      causal: whether they look back only.
      centred: whether the mean of the whole window is taken off first and put back at the end.
    """

    causal: bool = True
    centred: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns [b, t], at each time the value that comes next."""
        level = x.mean(axis=1, keepdims=True) if self.centred else 0.0
        h = (x - level)[..., None]
        for dilation in (1, 2, 4):
            padding = "CAUSAL" if self.causal else "SAME"
            h = nn.gelu(nn.Conv(24, (3,), kernel_dilation=(dilation,), padding=padding)(h))
        return nn.Dense(1, name="head")(h)[..., 0] + level


def swing_task(seed: int, model: Forecaster) -> jr.Task:
    return jr.Task(
        model=model,
        loss=jr.losses.l2(),
        **halves(*swings(seed), seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
        causal_axis=1,
    )


def swings_twin(seed: int) -> jr.Task:
    return swing_task(seed, Forecaster())


def swings_sees_ahead(seed: int, strength: Strength) -> jr.Task:
    """Convolutions are centred on their output; weakly, the level is that of the whole window."""
    return swing_task(seed, pick(strength, Forecaster(causal=False), Forecaster(centred=True)))


# Base 5: digits in sixteen patches; an MLP mixer in NNX, its normalisation written by hand.


def digits(seed: int, n: int = 1500) -> Data:
    """Returns pictures float[n, 8, 8] and their digits."""
    x, y = datasets.load_digits(return_X_y=True)
    rows = rng_of("digits", seed).permutation(len(x))[:n]
    return x[rows].reshape(-1, 8, 8), y[rows]


class Norm(nnx.Module):
    """Takes mean and scale off, along some axes of [b, t, d], and gives its own."""

    def __init__(self, width: int, axes: tuple[int, ...] = (2,)):
        self.axes = axes
        self.scale, self.bias = nnx.Param(jnp.ones(width)), nnx.Param(jnp.zeros(width))

    def __call__(self, x: Array) -> Array:
        """Returns [b, t, d], normalised."""
        mean = x.mean(axis=self.axes, keepdims=True)
        variance = x.var(axis=self.axes, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * self.scale[...] + self.bias[...]


class Mix(nnx.Module):
    """Mixes the patches of a picture, then the channels of a patch."""

    def __init__(self, rngs: nnx.Rngs, axes: tuple[int, ...]):
        self.before, self.between = Norm(32, axes), Norm(32, axes)
        self.patches = nnx.List([nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 16, rngs=rngs)])
        self.channels = nnx.List([nnx.Linear(32, 64, rngs=rngs), nnx.Linear(64, 32, rngs=rngs)])

    def __call__(self, x: Array) -> Array:
        """Returns [b, 16, 32] from the same."""
        h = self.before(x).swapaxes(1, 2)
        x = x + self.patches[1](jax.nn.gelu(self.patches[0](h))).swapaxes(1, 2)
        return x + self.channels[1](jax.nn.gelu(self.channels[0](self.between(x))))


class Mixer(nnx.Module):
    """A mixer of 2x2 patches; `inner` and `last` are the axes that are normalised over."""

    def __init__(self, rngs: nnx.Rngs, inner: tuple[int, ...] = (2,), last: tuple[int, ...] = (2,)):
        self.embed = nnx.Linear(4, 32, rngs=rngs)
        self.first, self.second = Mix(rngs, inner), Mix(rngs, inner)
        self.norm = Norm(32, last)
        self.head = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 10] of pictures [b, 8, 8]."""
        x = x.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)
        x = self.norm(self.second(self.first(self.embed(x))))
        return self.head(x.mean(axis=1))


def digit_splits(seed: int, n: int = 1500) -> Splits:
    return standardised(halves(*digits(seed, n), seed), axis=None)


def digit_task(seed: int, model: Any, **changes: Any) -> jr.Task:
    given = {"model": model, "loss": jr.losses.softmax_cross_entropy(), **digit_splits(seed)}
    return jr.Task(**{**given, "optimizer": optax.adam(3e-3), "batch_size": 64, **changes})


def mixer_twin(seed: int) -> jr.Task:
    return digit_task(seed, lambda rngs: Mixer(rngs))


def mixer_norm_over_batch(seed: int, strength: Strength) -> jr.Task:
    """Normalisation runs over the pictures of the batch; weakly, the last one over everything."""
    if strength == "strong":
        return digit_task(seed, lambda rngs: Mixer(rngs, inner=(0,), last=(0,)))
    return digit_task(seed, lambda rngs: Mixer(rngs, last=(0, 1, 2)))


def decaying(decay_steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(3e-3, decay_steps))


def mixer_schedule_in_epochs(seed: int, strength: Strength) -> jr.Task:
    """The cosine ends after 30 updates of 2000; weakly, after 125, the number of epochs."""
    return digit_task(seed, lambda rngs: Mixer(rngs), optimizer=decaying(pick(strength, 30, 125)))


def mixer_schedule_twin(seed: int) -> jr.Task:
    return digit_task(seed, lambda rngs: Mixer(rngs), optimizer=decaying(2000))


# Base 6: what a person thinks of a shelf of things; embeddings in plain functions.


def ratings(seed: int) -> Data:
    """Returns `{"user": int[n], "shelf": int[n, 6]}` and ratings of mean 0 and variance 1."""
    rng, n = rng_of("ratings", seed), 1500
    user, shelf = rng.integers(0, 30, n), rng.integers(0, 40, (n, 6))
    person, thing = rng.normal(size=(30, 2)), rng.normal(size=(40, 2))
    bag = thing[shelf].mean(axis=1) * np.sqrt(6)
    liked = person[user, 0] + 1.3 * bag[:, 0] + 0.4 * np.tanh(person[user, 1] * bag[:, 1])
    return {"user": user, "shelf": shelf}, unit(liked + rng.normal(0.0, 0.1, n))


def shelf_net(
    copies: int = 1, last: Callable[[Array], Array] = lambda x: x, width: int = 32
) -> jr.Model:
    """Returns embeddings, a hidden layer and a number.

    Args:
      copies: how often each hidden unit is there.
      last: what the output goes through.
      width: hidden units in all.
    """

    def init(key: Any) -> Any:
        keys = jax.random.split(key, 4)
        hidden, head = dense(keys[2], 24, width // copies), dense(keys[3], width // copies, 1)
        return {
            "user": jax.random.normal(keys[0], (30, 12)),
            "thing": jax.random.normal(keys[1], (40, 12)),
            "hidden": {"w": jnp.tile(hidden["w"], (1, copies)), "b": jnp.zeros(width)},
            "head": {"w": jnp.tile(head["w"], (copies, 1)) / copies, "b": head["b"]},
        }

    def predict(params: Any, inputs: Any) -> Array:
        bag = params["thing"][inputs["shelf"]].mean(axis=1) * np.sqrt(6.0)
        both = jnp.concatenate([params["user"][inputs["user"]], bag], axis=1)
        return last(through(params["head"], jnp.tanh(through(params["hidden"], both)))[:, 0])

    return plain(init, predict, "shelf_net")


def rating_task(seed: int, model: jr.Model) -> jr.Task:
    return jr.Task(
        model=model,
        loss=jr.losses.l2(),
        **halves(*ratings(seed), seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


def ratings_twin(seed: int) -> jr.Task:
    return rating_task(seed, shelf_net())


def ratings_squashed(seed: int, strength: Strength) -> jr.Task:
    """The rating goes through a ReLU, so none is below the mean; weakly, through a tanh."""
    return rating_task(seed, shelf_net(last=pick(strength, jax.nn.relu, jnp.tanh)))


def ratings_units_copied(seed: int, strength: Strength) -> jr.Task:
    """All hidden units are drawn once and tiled; weakly, each of them is there twice."""
    return rating_task(seed, shelf_net(copies=pick(strength, 32, 2)))


# Base 7: six tags of a thing; an MLP with dropout in NNX.


def tags(seed: int, rate: float = 0.5) -> Splits:
    """Returns float[n, 20] and tags [n, 6], each true for a share `rate` of the rows."""
    rng, n = rng_of("tags", seed), 1200
    x = rng.normal(size=(n, 20)).astype(np.float32)
    score = x @ rng.normal(size=(20, 6)) + 1.5 * np.tanh(2 * x @ rng.normal(size=(20, 6)))
    y = (score > np.quantile(score, 1 - rate, axis=0)).astype(np.float32)
    return halves(x, y, seed)


class Tagger(nnx.Module):
    """Two hidden layers and a logit for each tag.

    Args:
      rngs: of weights and dropout.
      drop: share of hidden units that are dropped.
      always: whether they are dropped in evaluation too.
      bias: where the logits start.
    """

    def __init__(self, rngs: nnx.Rngs, drop: float = 0.1, always: bool = False, bias: float = 0.0):
        self.lift, self.mix = nnx.Linear(20, 48, rngs=rngs), nnx.Linear(48, 32, rngs=rngs)
        self.head = nnx.Linear(32, 6, bias_init=nnx.initializers.constant(bias), rngs=rngs)
        self.dropout = nnx.Dropout(drop, rngs=rngs)
        self.mode = {"deterministic": False} if always else {}

    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 6]."""
        x = self.dropout(jax.nn.gelu(self.lift(x)), **self.mode)
        return self.head(jax.nn.gelu(self.mix(x)))


def tag_task(splits: Splits, model: Any, **changes: Any) -> jr.Task:
    given = {"model": model, "loss": jr.losses.multilabel_cross_entropy(), **splits}
    return jr.Task(**{**given, "optimizer": optax.adam(2e-3), "batch_size": 64, **changes})


def tags_twin(seed: int) -> jr.Task:
    return tag_task(tags(seed), lambda rngs: Tagger(rngs))


def tags_dropout_stays(seed: int, strength: Strength) -> jr.Task:
    """Dropout is told at its call to drop, in evaluation too: half of the units; weakly, 5 %."""
    drop = pick(strength, 0.5, 0.05)
    return tag_task(tags(seed), lambda rngs: Tagger(rngs, drop, always=True))


RARE, PRIOR = 0.06, float(np.log(0.06 / 0.94))


def rare_tags(seed: int, bias: float) -> jr.Task:
    return tag_task(tags(seed, RARE), lambda rngs: Tagger(rngs, bias=bias), imbalance_intended=True)


def tags_prior_reversed(seed: int, strength: Strength) -> jr.Task:
    """The bias starts at the logit of "no tag" in place of "tag"; weakly, at 0, for 6 % tags."""
    return rare_tags(seed, pick(strength, -PRIOR, 0.0))


def tags_prior_twin(seed: int) -> jr.Task:
    return rare_tags(seed, PRIOR)


# Base 8: how many events in a stretch of time of known length; Poisson, in Linen, two inputs.


def events(seed: int) -> Data:
    """Returns `{"x": float[n, 6], "log_time": float[n]}` and counts, one in the mean."""
    rng, n = rng_of("events", seed), 1500
    x, log_time = rng.normal(size=(n, 6)), rng.uniform(-1.0, 1.0, n)
    log_rate = 0.7 * x[:, 0] - 0.6 * x[:, 1] + 0.6 * np.tanh(2 * x[:, 2]) + log_time - 0.55
    inputs = {"x": x.astype(np.float32), "log_time": log_time.astype(np.float32)}
    return inputs, rng.poisson(np.exp(log_rate)).astype(np.float32)


class Rate(nn.Module):
    """The log of the expected count: what the network says of the rate, and the time given."""

    @nn.compact
    def __call__(self, inputs: Any) -> Array:
        """Returns log expected counts [b]."""
        h = nn.tanh(nn.Dense(24)(inputs["x"]))
        head = nn.Dense(1, kernel_init=nn.initializers.variance_scaling(0.1, "fan_in", "normal"))
        return head(h)[:, 0] + inputs["log_time"]


def deviance(outputs: Array, targets: Array) -> Array:
    """Returns half of the Poisson deviance of log rates; 0 where the rate is the count."""
    own = jnp.where(targets > 0, targets * jnp.log(jnp.maximum(targets, 1.0)), 0.0)
    return jnp.exp(outputs) - targets * outputs - targets + own


def event_task(seed: int, loss: Callable[[Array, Array], Array]) -> jr.Task:
    return jr.Task(
        model=Rate(),
        loss=loss,
        **halves(*events(seed), seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


def events_twin(seed: int) -> jr.Task:
    return event_task(seed, deviance)


def events_loss_capped(seed: int, strength: Strength) -> jr.Task:
    """The loss is cut off "against outliers", which then teach nothing: at 0.6; weakly, at 2."""
    top = pick(strength, 0.6, 2.0)
    return event_task(seed, lambda outputs, targets: jnp.minimum(deviance(outputs, targets), top))


# Base 9: the upper fifth of what may happen; quantile regression in Linen.


def delays(seed: int) -> Splits:
    """Returns float[n, 5] and numbers whose spread depends on the inputs, of variance 1."""
    rng, n = rng_of("delays", seed), 1400
    x = rng.normal(size=(n, 5))
    centre = 1.5 * x[:, 0] + np.sin(2 * x[:, 1]) - x[:, 2]
    y = unit(centre + (0.2 + 0.4 * np.abs(x[:, 3])) * rng.normal(size=n))
    return halves(x.astype(np.float32), y, seed)


class Upper(nn.Module):
    """An MLP with outputs [b, 1]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns [b, 1]."""
        x = nn.silu(nn.Dense(32)(x))
        return nn.Dense(1, name="head")(nn.silu(nn.Dense(32)(x)))


def pinball(error: Array) -> Array:
    """Returns the loss whose least mean is at the 0.8 quantile, of `target - output`."""
    return jnp.maximum(0.8 * error, -0.2 * error)


def delay_task(seed: int, loss: Callable[[Array, Array], Array]) -> jr.Task:
    return jr.Task(
        model=Upper(), loss=loss, **delays(seed), optimizer=optax.adam(2e-3), batch_size=64
    )


def delays_twin(seed: int) -> jr.Task:
    return delay_task(seed, lambda outputs, targets: pinball(targets - outputs[:, 0]))


def delays_all_pairs(seed: int, strength: Strength) -> jr.Task:
    """Targets [b] less outputs [b, 1] are [b, b]: every row is asked for the targets of all rows.

    Weakly, the errors are divided by the spread of the targets of the batch.
    """

    def crossed(outputs: Array, targets: Array) -> Array:
        return pinball(targets - outputs).mean(axis=1)

    def rescaled(outputs: Array, targets: Array) -> Array:
        return pinball((targets - outputs[:, 0]) / (targets.std() + 1e-3))

    return delay_task(seed, pick(strength, crossed, rescaled))


# Base 10: digits without their noise; a convolutional autoencoder in Linen with BatchNorm.


def noisy_digits(seed: int) -> Splits:
    """Returns noisy pictures float[n, 8, 8, 1] and the clean ones, float[n, 64]."""
    splits, rng = digit_splits(seed), rng_of("noise", seed)
    return {
        name: ((x + rng.normal(0, 0.5, x.shape)).astype(np.float32)[..., None], x.reshape(-1, 64))
        for name, (x, _) in splits.items()
    }


class Autoencoder(nn.Module):
    """Two convolutions, 24 numbers, and back; `memory` is how slowly BatchNorm forgets."""

    memory: float = 0.9

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Returns pictures [b, 64] from pictures [b, 8, 8, 1]."""
        for i, width in enumerate((12, 16)):
            x = nn.Conv(width, (3, 3), strides=(1 + i, 1 + i), use_bias=False)(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=self.memory)(x)
            x = nn.relu(x)
        code = nn.Dense(24, name="code")(x.reshape(len(x), -1))
        return nn.Dense(64, name="head")(nn.relu(nn.Dense(64)(nn.tanh(code))))


def clean_task(seed: int, memory: float) -> jr.Task:
    return jr.Task(
        model=Autoencoder(memory),
        loss=jr.losses.l2(),
        **noisy_digits(seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
    )


def clean_twin(seed: int) -> jr.Task:
    return clean_task(seed, 0.9)


def clean_statistics_stand(seed: int, strength: Strength) -> jr.Task:
    """BatchNorm keeps all of its old statistics, by a momentum of 1; weakly, of 0.9995."""
    return clean_task(seed, pick(strength, 1.0, 0.9995))


data, model, init = planter("data"), planter("model"), planter("init")
loss, optimizer, procedure = planter("loss"), planter("optimizer"), planter("procedure")

FAULTS: tuple[Fault, ...] = (
    data(
        "waves_conv/window-off-by-one",
        waves_window_off_by_one,
        waves_twin,
        "the label of a window is its own",
        "labels-shifted label-noise",
        "labels data",
    ),
    data(
        "waves_conv/reversed-in-time",
        waves_reversed,
        waves_reversed_twin,
        "augmentation keeps inputs and labels together",
        "augmentation-breaks-labels",
        "augmentation",
    ),
    data(
        "cancer_mlp/other-scaler",
        cancer_other_scaler,
        cancer_twin,
        "validation inputs are prepared as training inputs are",
        "prepared-differently",
        "data split eval",
    ),
    model(
        "texts_encoder/padding-read",
        texts_padding_read,
        texts_twin,
        "padding does not reach the outputs",
        "padding-read",
        "model",
    ),
    model(
        "texts_encoder/wrong-letter",
        texts_wrong_letter,
        texts_twin,
        "outputs depend on every parameter",
        "parameters-unused gradient-cut",
        "model",
        "query",
        "key",
    ),
    model(
        "swings_causal/sees-ahead",
        swings_sees_ahead,
        swings_twin,
        "no output depends on later inputs",
        "causal-leak",
        "model",
    ),
    model(
        "digits_mixer/norm-over-batch",
        mixer_norm_over_batch,
        mixer_twin,
        "each output depends on its own input only",
        "batch-mixing eval-depends-on-batch",
        "model eval",
    ),
    model(
        "ratings_bag/squashed",
        ratings_squashed,
        ratings_twin,
        "the outputs can reach every target",
        "outputs-cannot-reach-targets",
        "model head loss",
    ),
    init(
        "ratings_bag/units-copied",
        ratings_units_copied,
        ratings_twin,
        "hidden units start different",
        "init-symmetric",
        "init model",
        "hidden",
    ),
    init(
        "tags_nnx/prior-reversed",
        tags_prior_reversed,
        tags_prior_twin,
        "the first outputs are near the best constant",
        "head-bias-ignores-prior",
        "head init model",
        "head",
    ),
    loss(
        "events_poisson/loss-capped",
        events_loss_capped,
        events_twin,
        "examples with a large loss have a gradient",
        "loss-clipped",
        "loss",
    ),
    loss(
        "delays_quantile/all-pairs",
        delays_all_pairs,
        delays_twin,
        "the loss of an example does not depend on other examples",
        "loss-depends-on-batch",
        "loss",
    ),
    loss(
        "cancer_mlp/signed-labels",
        cancer_signed_labels,
        cancer_logistic_twin,
        "the loss has a lowest value",
        "loss-unbounded label-out-of-range wrong-loss",
        "loss labels data",
    ),
    optimizer(
        "texts_encoder/module-missed",
        texts_module_missed,
        texts_groups_twin,
        "every parameter is updated",
        "leaf-not-in-optimizer parameters-frozen",
        "optimizer",
        "block_",
    ),
    optimizer(
        "digits_mixer/schedule-in-epochs",
        mixer_schedule_in_epochs,
        mixer_schedule_twin,
        "the learning rate lasts as long as training",
        "schedule-ends-early",
        "schedule optimizer",
    ),
    optimizer(
        "waves_conv/trace-of-one",
        waves_trace_of_one,
        waves_momentum_twin,
        "gradients of earlier batches are forgotten",
        "gradients-accumulate learning-rate-too-high",
        "optimizer step",
    ),
    procedure(
        "digits_autoencoder/statistics-stand",
        clean_statistics_stand,
        clean_twin,
        "stored statistics follow training",
        "statistics-never-updated train-eval-differ",
        "model eval",
        "BatchNorm",
        "batch_stats",
    ),
    procedure(
        "tags_nnx/dropout-stays",
        tags_dropout_stays,
        tags_twin,
        "evaluation is a function of its input",
        "eval-not-deterministic",
        "eval model",
    ),
)


# Odd, and nothing wrong.


class Listener(nn.Module):
    """A GRU over a signal, whose logits are divided by a temperature that is learned."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 4] of signals [b, 32, 1]."""
        frames = x.reshape(len(x), 8, 4)
        last = nn.RNN(nn.GRUCell(32), name="gru")(frames)[:, -1]
        cold = self.param("log_temperature", nn.initializers.zeros, ())
        return nn.Dense(4, name="head")(last) * jnp.exp(-cold)


def gru_temperature(seed: int) -> jr.Task:
    """A GRU reads frames of a signal; a learned temperature scales its logits."""
    return wave_task(wave_splits(seed), model=Listener(), optimizer=optax.adam(4e-3))


def own_smoothing(outputs: Array, targets: Array) -> Array:
    """Returns cross-entropy with labels smoothed by a tenth: never below 0.3 nats."""
    soft = 0.9 * jax.nn.one_hot(targets, outputs.shape[-1]) + 0.1 / outputs.shape[-1]
    return -(soft * jax.nn.log_softmax(outputs)).sum(axis=-1)


def waves_smoothed(seed: int) -> jr.Task:
    """Labels are smoothed inside a loss of the user's own, which cannot reach 0."""
    return wave_task(wave_splits(seed), loss=own_smoothing)


class Spectral(nn.Module):
    """Normalisations that scale and do not shift, between layers without biases."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 4]."""
        for width in (48, 32):
            x = nn.LayerNorm(use_bias=False)(nn.Dense(width, use_bias=False)(x))
            x = nn.gelu(x)
        return nn.Dense(4, name="head")(x)


def waves_spectrum(seed: int) -> jr.Task:
    """Three classes are told by the log spectrum in two stretches of time."""
    x, y = waves(seed)
    parts = np.abs(np.fft.rfft(x[..., 0].reshape(-1, 2, 16), axis=-1))
    x = np.log(parts + 0.1).reshape(len(x), -1)
    splits = standardised({"train": (x[:700], y[:700]), "val": (x[700:], y[700:])})
    return wave_task(splits, model=Spectral())


def tags_weight_norm(seed: int) -> jr.Task:
    """Each unit has a direction, used at length 1, and a length of its own."""

    def layer(key: Any, fan_in: int, fan_out: int) -> Any:
        direction = jax.random.normal(key, (fan_in, fan_out))
        return {"v": direction, "g": jnp.ones(fan_out), "b": jnp.zeros(fan_out)}

    def normed(p: Any, x: Array) -> Array:
        return x @ (p["v"] * p["g"] / jnp.linalg.norm(p["v"], axis=0)) + p["b"]

    def start(key: Any) -> Any:
        one, two = jax.random.split(key)
        return {"hidden": layer(one, 20, 48), "head": layer(two, 48, 6)}

    def predict(params: Any, x: Array) -> Array:
        return normed(params["head"], jnp.tanh(normed(params["hidden"], x)))

    model = plain(start, predict, "weight_norm")
    return tag_task(tags(seed), model, optimizer=optax.adam(5e-3))


class Cosine(nnx.Module):
    """Digits by the angle to ten directions, times a scale that is learned."""

    def __init__(self, rngs: nnx.Rngs):
        self.lift, self.mix = nnx.Linear(64, 48, rngs=rngs), nnx.Linear(48, 32, rngs=rngs)
        self.classes = nnx.Param(jax.random.normal(rngs.params(), (32, 10)))
        self.scale = nnx.Param(jnp.asarray(4.0))

    def __call__(self, x: Array) -> Array:
        """Returns logits [b, 10] of pictures [b, 8, 8]."""
        x = self.mix(jax.nn.relu(self.lift(x.reshape(len(x), -1))))
        x = x / (jnp.linalg.norm(x, axis=1, keepdims=True) + 1e-6)
        directions = self.classes[...]
        return self.scale[...] * x @ (directions / jnp.linalg.norm(directions, axis=0))


def digits_cosine(seed: int) -> jr.Task:
    """The head is a cosine with a learned scale, without a bias."""
    return digit_task(seed, lambda rngs: Cosine(rngs))


def erased(key: Any, batch: jr.Batch) -> jr.Batch:
    """Sets up to a third of the pixels of a picture to the mean; how many is drawn for each."""
    share, pixels = jax.random.split(key)
    gone = jax.random.uniform(share, (len(batch.targets), 1, 1), maxval=0.33)
    hidden = jax.random.uniform(pixels, batch.inputs.shape) < gone
    return batch._replace(inputs=jnp.where(hidden, 0.0, batch.inputs))


def mixer_erased(seed: int) -> jr.Task:
    """Training pictures have holes, from none to a third of their pixels."""
    return digit_task(seed, lambda rngs: Mixer(rngs), augment=erased)


def mixer_whole_batch(seed: int) -> jr.Task:
    """Each update sees every example; the rate falls to zero at the end of 2000 updates."""
    changes = {"batch_size": 700, "optimizer": decaying(2000), **digit_splits(seed, 1000)}
    return digit_task(seed, lambda rngs: Mixer(rngs), **changes)


def cancer_raw_inside(seed: int) -> jr.Task:
    """Inputs come in raw units, up to 4254; the network knows their means and scales."""
    splits = {k: (x.astype(np.float32), y) for k, (x, y) in cancer(seed).items()}
    mean, scale = (jnp.asarray(x, jnp.float32) for x in scale_of(splits["train"][0]))

    def start(key: Any) -> Any:
        one, two = jax.random.split(key)
        return {"hidden": dense(one, 30, 16), "head": dense(two, 16, 1)}

    def predict(params: Any, x: Array) -> Array:
        hidden = jax.nn.silu(through(params["hidden"], (x - mean) / scale))
        return through(params["head"], hidden)[:, 0]

    return cancer_task(splits, model=plain(start, predict, "raw_inside"))


def cancer_random_features(seed: int) -> jr.Task:
    """Only the head learns, over random waves that are declared frozen."""

    def start(key: Any) -> Any:
        one, two = jax.random.split(key)
        w = jax.random.normal(one, (30, 64)) / np.sqrt(60)
        features = {"w": w, "b": jax.random.uniform(two, (64,), maxval=2 * np.pi)}
        return {"features": features, "head": {"w": jnp.zeros((64, 1)), "b": jnp.zeros(1)}}

    def predict(params: Any, x: Array) -> Array:
        return through(params["head"], jnp.cos(through(params["features"], x)))[:, 0]

    return cancer_task(
        standardised(cancer(seed)),
        model=plain(start, predict, "random_features"),
        frozen=("features/*",),
        optimizer=optax.adam(1e-2),
    )


class Small(nn.Module):
    """One hidden layer, for a very small table."""

    classes: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, classes]."""
        return nn.Dense(self.classes, name="head")(nn.tanh(nn.Dense(12)(x)))


def wine_tiny(seed: int) -> jr.Task:
    """A table of 178 wines, in batches of 16; decay is on kernels only."""
    x, y = datasets.load_wine(return_X_y=True)
    kernels = lambda params: jax.tree.map(lambda p: p.ndim > 1, params)  # noqa: E731
    return jr.Task(
        model=Small(3),
        loss=jr.losses.softmax_cross_entropy(),
        **standardised(halves(x, y, seed, 0.6)),
        optimizer=optax.adamw(3e-3, weight_decay=1e-3, mask=kernels),
        batch_size=16,
    )


class Spread(nn.Module):
    """A mean and a log variance, which stays between -5 and 5."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns [b, 2]."""
        x = nn.silu(nn.Dense(32)(nn.silu(nn.Dense(32)(x))))
        out = nn.Dense(2, kernel_init=nn.initializers.normal(0.05), name="head")(x)
        return jnp.stack([out[:, 0], 5 * jnp.tanh(out[:, 1] / 5)], axis=1)


def gaussian(outputs: Array, targets: Array) -> Array:
    """Returns the negative log density, less its constant, of a mean and a log variance."""
    mean, log_variance = outputs[:, 0], outputs[:, 1]
    return 0.5 * (jnp.square(targets - mean) * jnp.exp(-log_variance) + log_variance)


def delays_spread(seed: int) -> jr.Task:
    """The loss is a density and goes below 0; its lowest value is declared."""
    return jr.Task(
        model=Spread(),
        loss=gaussian,
        **delays(seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
        loss_floor=-2.5,
    )


def alarms_weighted(seed: int) -> jr.Task:
    """One row in twenty is an alarm, and counts 19 times; both are meant."""
    rng, n = rng_of("alarms", seed), 1500
    x = rng.normal(size=(n, 8)).astype(np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3])
    y = (score > np.quantile(score, 0.95)).astype(np.float32)

    def weighted(outputs: Array, targets: Array) -> tuple[Array, Array]:
        return logistic(outputs, targets), jnp.where(targets > 0, 19.0, 1.0)

    def start(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        sizes = ((8, 32), (32, 16), (16, 1))
        return [dense(k, *size) for k, size in zip(keys, sizes, strict=True)]

    def predict(params: Any, x: Array) -> Array:
        for layer in params[:-1]:
            x = jax.nn.gelu(through(layer, x))
        return through(params[-1], x)[:, 0]

    return jr.Task(
        model=plain(start, predict, "alarms"),
        loss=weighted,
        **halves(x, y, seed),
        optimizer=optax.adam(2e-3),
        batch_size=128,
        imbalance_intended=True,
    )


def prices_log(seed: int) -> jr.Task:
    """Prices over two powers of ten are targets as they are; the loss takes their logs."""
    rng, n = rng_of("prices", seed), 1200
    x = rng.normal(size=(n, 7)).astype(np.float32)
    log_price = 0.9 * x[:, 0] - 0.5 * x[:, 1] + 0.5 * x[:, 2] * (x[:, 3] > 0)
    price = np.exp(log_price + rng.normal(0.0, 0.1, n)).astype(np.float32)

    def relative(outputs: Array, targets: Array) -> Array:
        return optax.huber_loss(outputs[:, 0], jnp.log(targets))

    return jr.Task(
        model=Upper(),
        loss=relative,
        **halves(x, price, seed),
        optimizer=optax.adam(2e-3),
        batch_size=64,
    )


class Experts(nn.Module):
    """Four linear experts, mixed by gates that are soft."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns numbers [b]."""
        gates = nn.softmax(nn.Dense(4, name="gate")(x))
        answers = nn.Dense(4, name="experts")(x)
        return (gates * answers).sum(axis=-1)


def regions_experts(seed: int) -> jr.Task:
    """Two linear laws, one on each side of a plane: experts without a hidden layer."""
    rng, n = rng_of("regions", seed), 1200
    x = rng.normal(size=(n, 6)).astype(np.float32)
    laws = rng.normal(size=(6, 2))
    y = unit(np.where(x[:, 0] + x[:, 1] > 0, x @ laws[:, 0], x @ laws[:, 1]))
    return jr.Task(
        model=Experts(),
        loss=jr.losses.l2(),
        **halves(x, y, seed),
        optimizer=optax.adam(1e-2),
        batch_size=64,
    )


def field_sines(seed: int) -> jr.Task:
    """A field over a plane, by a network of sines."""
    rng, n = rng_of("field", seed), 1200
    x = rng.uniform(-1.0, 1.0, (n, 2)).astype(np.float32)
    y = unit(np.sin(4 * x[:, 0] + 1) * np.cos(3 * x[:, 1]) + 0.5 * x[:, 0])

    def start(key: Any) -> Any:
        one, two, three = jax.random.split(key, 3)
        first = {"w": jax.random.uniform(one, (2, 48), minval=-5, maxval=5), "b": jnp.zeros(48)}
        return {"first": first, "second": dense(two, 48, 32), "head": dense(three, 32, 1)}

    def predict(params: Any, x: Array) -> Array:
        x = jnp.sin(through(params["first"], x))
        return through(params["head"], jnp.sin(through(params["second"], x)))[:, 0]

    return jr.Task(
        model=plain(start, predict, "sines"),
        loss=jr.losses.l2(),
        **halves(x, y, seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


def choices_one_hot(seed: int) -> jr.Task:
    """Eight answers out of five each, as 40 zeros and ones; the best of three offers is chosen."""
    rng, n = rng_of("choices", seed), 1500
    answers = rng.integers(0, 5, (n, 8))
    worth = rng.normal(size=(8, 5, 3))
    worth -= worth.mean(axis=1, keepdims=True)
    y = worth[np.arange(8), answers].sum(axis=1).argmax(axis=1)
    x = np.eye(5, dtype=np.float32)[answers].reshape(n, 40)
    return jr.Task(
        model=Small(3),
        loss=jr.losses.softmax_cross_entropy(),
        **halves(x, y, seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="waves_gru/learned-temperature", build=gru_temperature),
    Healthy(name="waves_conv/own-smoothing", build=waves_smoothed),
    Healthy(name="waves_spectrum/norm-without-bias", build=waves_spectrum),
    Healthy(name="tags_plain/weight-norm", build=tags_weight_norm),
    Healthy(name="digits_nnx/cosine-head", build=digits_cosine),
    Healthy(name="digits_mixer/pixels-erased", build=mixer_erased),
    Healthy(name="digits_mixer/whole-batch-cosine", build=mixer_whole_batch),
    Healthy(name="cancer_mlp/raw-units-scaled-inside", build=cancer_raw_inside),
    Healthy(name="cancer_mlp/frozen-random-features", build=cancer_random_features),
    Healthy(name="wine_mlp/tiny-table", build=wine_tiny),
    Healthy(name="delays_mlp/heteroscedastic", build=delays_spread),
    Healthy(name="alarms_mlp/heavy-class-weights", build=alarms_weighted),
    Healthy(name="prices_mlp/log-targets-in-loss", build=prices_log),
    Healthy(name="regions_experts/soft-gates", build=regions_experts),
    Healthy(name="field_sines/periodic-activations", build=field_sines),
    Healthy(name="choices_mlp/one-hot-inputs", build=choices_one_hot),
)
