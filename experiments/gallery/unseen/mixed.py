"""A blind exam, third part: own and foreign loops, by an author who had not read the checks."""

# ruff: noqa: D102, E731
from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jrecipe as jr
from gallery.planting import Split, pick, planter
from gallery.program import Fault, Healthy, Strength
from jrecipe.losses import weighted, weighted_mean

State = dict[str, Any]
Splits = tuple[Split, Split]
constant, normal = nn.initializers.constant, nn.initializers.normal
zeros = nn.initializers.zeros
BATCH = 50

# Data: every function draws rows and returns the first three quarters for training, the rest held.


def split(inputs: Any, targets: Any, share: float = 0.75) -> Splits:
    """Cuts rows in two, in the order in which they were drawn."""
    cut = round(share * len(jax.tree.leaves(targets)[0]))
    part = lambda rows: jax.tree.map(lambda a: a[rows], (inputs, targets))
    return part(slice(cut)), part(slice(cut, None))


def f32(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)


def machines(seed: int, n: int = 900) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Eight standardised sensor values and a standardised wear that is not linear in them."""
    rng = np.random.default_rng([seed, 1])
    x = rng.normal(size=(n, 8))
    wear = 1.2 * x[:, 0] - 0.8 * x[:, 1] + x[:, 2] * x[:, 3] + 0.8 * np.abs(x[:, 4])
    wear += 0.2 * rng.normal(size=n)
    return f32(x), f32((wear - wear.mean()) / wear.std()), rng


def ranking(seed: int) -> Splits:
    """Six documents of five features per query; the target is the most relevant one."""
    rng = np.random.default_rng([seed, 2])
    docs = rng.normal(size=(800, 6, 5))
    score = 1.5 * docs[..., 0] - docs[..., 1] + docs[..., 2] * docs[..., 3]
    best = np.argmax(score + 0.1 * rng.normal(size=score.shape), axis=1)
    return split(f32(docs), best.astype(np.int32))


def survival(seed: int) -> Splits:
    """Patients over eight periods; targets are (period, whether it ended in an event)."""
    rng = np.random.default_rng([seed, 3])
    x = rng.normal(size=(900, 6))
    hazard = 1 / (1 + np.exp(1.7 - 1.3 * x[:, 0] + x[:, 1] - 0.8 * x[:, 2] * x[:, 3]))
    hit = rng.random((900, 8)) < hazard[:, None]
    when = np.where(hit.any(1), hit.argmax(1), 8)
    leaves = rng.integers(2, 9, size=900)  # censored: seen no longer than this
    event = when < leaves
    period = np.minimum(np.where(event, when, leaves - 1), 7)
    return split(f32(x), np.stack([period, event], 1).astype(np.int32))


def events(seed: int) -> Splits:
    """Streams of twenty events of eight kinds, by three machines with other habits."""
    rng = np.random.default_rng([seed, 4])
    kind = rng.integers(0, 3, size=800)
    stream = rng.integers(0, 8, size=(800, 20))
    for t in range(1, 20):
        usual = rng.random(800) < 0.6
        stream[:, t] = np.where(usual, (stream[:, t - 1] + kind + 1) % 8, stream[:, t])
    return split(stream.astype(np.int32), kind.astype(np.int32))


def shapes(seed: int) -> Splits:
    """Noisy drawings float[b, 16, 16, 1] of a disc or a box, and its mask as 256 labels."""
    rng = np.random.default_rng([seed, 5])
    r, c = np.mgrid[:16, :16]
    cy, cx = rng.uniform(4, 12, size=(2, 400, 1, 1))
    dy, dx, size = np.abs(r - cy), np.abs(c - cx), rng.uniform(2, 4, size=(400, 1, 1))
    disc = rng.random((400, 1, 1)) < 0.5
    mask = np.where(disc, np.hypot(dy, dx), np.maximum(dy, dx)) < size
    picture = 1.6 * mask - 0.3 + 0.6 * rng.normal(size=mask.shape)
    return split(f32(picture)[..., None], f32(mask.reshape(400, 256)))


def keypoints(seed: int) -> Splits:
    """Pictures float[b, 14, 14, 1] of one bright spot; its (row, column), standardised."""
    rng = np.random.default_rng([seed, 6])
    at = rng.uniform(4, 9, size=(800, 2))
    r, c = np.mgrid[:14, :14]
    spot = np.exp(-((r - at[:, :1, None]) ** 2 + (c - at[:, 1:, None]) ** 2) / 3)
    picture = 4 * spot - 0.4 + 0.3 * rng.normal(size=spot.shape)
    return split(f32(picture)[..., None], f32((at - 6.5) / SPOT_SCALE))


SPOT_SCALE = 5 / np.sqrt(12)  # pixels in one unit of a key point


def sets(seed: int) -> Splits:
    """Up to ten points of three sorts, what is left of other sets behind them; the main sort."""
    rng = np.random.default_rng([seed, 7])
    main, count = rng.integers(0, 3, size=800), rng.integers(4, 11, size=800)
    sort = np.where(rng.random((800, 10)) < 0.6, main[:, None], rng.integers(0, 3, size=(800, 10)))
    mask = np.arange(10) < count[:, None]
    sort = np.where(mask, sort, rng.integers(0, 3, size=(800, 10)))
    point = 1.4 * np.eye(4)[sort] + 0.5 * rng.normal(size=(800, 10, 4)) - 0.4
    return split({"x": f32(point), "mask": f32(mask)}, main.astype(np.int32))


def clicks(seed: int) -> Splits:
    """Ids of user group, advert and site int[b, 3]; one view in five is clicked."""
    rng = np.random.default_rng([seed, 8])
    ids = np.stack([rng.integers(0, k, size=1200) for k in IDS], 1)
    effect = [1.6 * rng.normal(size=k) for k in IDS]
    logit = sum(e[ids[:, i]] for i, e in enumerate(effect)) - 2.3
    return split(ids.astype(np.int32), f32(rng.random(1200) < 1 / (1 + np.exp(-logit))))


IDS = (40, 30, 20)


def grammar(seed: int) -> Splits:
    """Sentences of a language where two words decide on the next; 0 is padding."""
    rng = np.random.default_rng([seed, 9])
    words = rng.integers(1, 8, size=(700, 13))
    for t in range(2, 13):
        rule = (words[:, t - 1] + 2 * words[:, t - 2]) % 7 + 1
        words[:, t] = np.where(rng.random(700) < 0.9, rule, words[:, t])
    words *= np.arange(13) < rng.integers(7, 14, size=(700, 1))
    return split(words[:, :-1].astype(np.int32), words[:, 1:].astype(np.int32))


def signals(seed: int) -> Splits:
    """Waves float[b, 32] with noise, and the same waves without."""
    rng = np.random.default_rng([seed, 10])
    speed, phase = rng.integers(1, 4, size=(700, 1)), rng.uniform(0, 6.3, size=(700, 1))
    clean = 1.4 * np.sin(2 * np.pi * speed * np.arange(32) / 32 + phase)
    return split(f32(clean + 0.7 * rng.normal(size=clean.shape)), f32(clean))


def textures(seed: int) -> Splits:
    """Weave patterns float[b, 12, 12, 1] of four sorts, a little displaced, with noise."""
    rng = np.random.default_rng([seed, 11])
    sort, shift = rng.integers(0, 4, size=800), rng.integers(-1, 2, size=800)
    r, c = np.mgrid[:12, :12] / 12 * 2 * np.pi
    weave = np.stack([np.sin(r), np.sin(c), np.sin(r + c), np.sin(2 * r) * np.cos(c)])
    clean = np.stack([np.roll(weave[s], k, axis=1) for s, k in zip(sort, shift, strict=True)])
    picture = 1.2 * clean + 0.8 * rng.normal(size=clean.shape)
    return split(f32(picture)[..., None], sort.astype(np.int32))


def orders(seed: int) -> Splits:
    """Ten features of a customer; what sort of thing is ordered, and how much of it."""
    rng = np.random.default_rng([seed, 12])
    x = rng.normal(size=(900, 10))
    scores = np.stack([2 * x[:, 0] * x[:, 1], 1.5 * x[:, 2] - 0.5, np.abs(x[:, 3])], 1)
    amount = np.tanh(x[:, 4] + x[:, 5]) - 0.7 * x[:, 6] + 0.1 * rng.normal(size=900)
    kind = np.argmax(scores + 0.2 * rng.normal(size=scores.shape), 1).astype(np.int32)
    return split(f32(x), {"kind": kind, "amount": f32(amount / amount.std())})


# Networks.


class Dense(nn.Module):
    """A table network: tanh layers and a linear head."""

    widths: tuple[int, ...] = (48, 32)
    outputs: int = 1
    head_bias: Any = zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.widths:
            x = nn.tanh(nn.Dense(width)(x))
        x = nn.Dense(self.outputs, bias_init=self.head_bias, name="head")(x)
        return x[:, 0] if self.outputs == 1 else x


class Scorer(nn.Module):
    """Scores each document by itself; a head without bias, as the softmax would not feel it."""

    @nn.compact
    def __call__(self, docs: jax.Array) -> jax.Array:
        h = nn.relu(nn.Dense(32)(docs))
        h = nn.relu(nn.Dense(32)(h))
        return nn.Dense(1, use_bias=False, kernel_init=zeros)(h)[..., 0]


class Lstm(nnx.Module):
    """An LSTM over one-hot events, read at its last step."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.rnn = nnx.RNN(nnx.LSTMCell(8, 32, rngs=rngs))
        self.head = nnx.Linear(32, 3, kernel_init=zeros, rngs=rngs)

    def __call__(self, stream: jax.Array) -> jax.Array:
        return self.head(self.rnn(jax.nn.one_hot(stream, 8))[:, -1])


class UNet(nn.Module):
    """A U-Net of two levels; `lost` forgets what the lower level, or its last layer, computed."""

    lost: str = ""

    @nn.compact
    def __call__(self, picture: jax.Array) -> jax.Array:
        skip = nn.relu(nn.Conv(8, (3, 3), name="down")(picture))
        low = nn.max_pool(skip, (2, 2), (2, 2))
        deep = nn.relu(nn.Conv(16, (3, 3), name="deep1")(low))
        deeper = nn.relu(nn.Conv(16, (3, 3), name="deep2")(deep))
        low = {"all": jnp.concatenate([low, low], -1), "last": deep}.get(self.lost, deeper)
        up = jnp.repeat(jnp.repeat(low, 2, axis=1), 2, axis=2)
        h = nn.relu(nn.Conv(8, (3, 3), name="up")(jnp.concatenate([skip, up], -1)))
        return nn.Conv(1, (1, 1), bias_init=constant(-1.9))(h).reshape(len(h), -1)


class Finder(nn.Module):
    """Finds a key point by strided convolutions; `end` is put on its outputs."""

    outputs: int = 2
    end: Callable[[Any], Any] = lambda x: x

    @nn.compact
    def __call__(self, picture: jax.Array) -> jax.Array:
        h = nn.relu(nn.Conv(8, (3, 3), strides=2)(picture))
        h = nn.relu(nn.Conv(16, (3, 3), strides=2)(h)).reshape(len(h), -1)
        return self.end(nn.Dense(self.outputs)(nn.relu(nn.Dense(32)(h))))


class Attend(nn.Module):
    """Attention among the points of a set; `hide` is what a missing point's score loses."""

    hide: float = 1e9
    pool_all: bool = False

    @nn.compact
    def __call__(self, points: dict[str, jax.Array]) -> jax.Array:
        x, mask = points["x"], points["mask"]
        h = nn.relu(nn.Dense(24, name="embed")(x))
        q, k = nn.Dense(8, name="query")(h), nn.Dense(8, name="key")(h)
        score = q @ k.swapaxes(1, 2) / np.sqrt(8) - self.hide * (1 - mask[:, None, :])
        h = h + nn.Dense(24, name="value")(jax.nn.softmax(score) @ h)
        mask = jnp.ones_like(mask) if self.pool_all else mask
        pooled = (h * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return nn.Dense(3, name="head")(nn.relu(nn.Dense(24, name="mix")(pooled)))


class Factors(nn.Module):
    """A factorisation machine over three ids."""

    scale: float = 0.1

    @nn.compact
    def __call__(self, ids: jax.Array) -> jax.Array:
        init = normal(self.scale)
        table = [nn.Embed(k, 2, embedding_init=init, name=f"id{i}") for i, k in enumerate(IDS)]
        each = [nn.Embed(k, 1, embedding_init=zeros, name=f"alone{i}") for i, k in enumerate(IDS)]
        v = [e(ids[:, i]) for i, e in enumerate(table)]
        pairs = sum((a * b).sum(-1) for a, b in itertools.combinations(v, 2))
        alone = sum(e(ids[:, i])[:, 0] for i, e in enumerate(each))
        return pairs + alone + self.param("bias", constant(-1.3), ())


class Speaker(nn.Module):
    """A next-word model by convolutions along time; `pad` is what each puts at both ends."""

    pad: tuple[tuple[int, int], ...] = ((2, 0), (1, 0))
    tied: bool = False

    @nn.compact
    def __call__(self, words: jax.Array) -> jax.Array:
        embed = nn.Embed(8, 24, embedding_init=normal(0.5), name="embed")
        h = embed(words)
        for left, right in self.pad:
            h = nn.relu(nn.Conv(48, (left + right + 1,), padding=[(left, right)])(h))
        h = nn.Dense(24)(h)
        return embed.attend(h) / np.sqrt(24) if self.tied else nn.Dense(8, kernel_init=zeros)(h)


class Cleaner(nn.Module):
    """Takes noise off a wave; as a residual network it starts by handing on its input."""

    residual: bool = False

    @nn.compact
    def __call__(self, wave: jax.Array) -> jax.Array:
        h = nn.relu(nn.Conv(16, (9,), padding="CIRCULAR")(wave[..., None]))
        h = nn.relu(nn.Conv(16, (9,), padding="CIRCULAR")(h))
        last = nn.Conv(1, (5,), kernel_init=zeros if self.residual else normal(0.05))(h)[..., 0]
        return wave + last if self.residual else last


class Weaves(nn.Module):
    """A picture classifier with GroupNorm."""

    groups: int = 4
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in (8, 16):
            x = nn.Conv(width, (3, 3), strides=2, dtype=self.dtype)(x)
            x = nn.relu(nn.GroupNorm(self.groups, dtype=self.dtype)(x))
        x = nn.Dense(4, dtype=self.dtype, kernel_init=normal(0.02))(x.reshape(len(x), -1))
        return x.astype(jnp.float32)


class TwoHeads(nn.Module):
    """A trunk with a tower for each target; `cut` names those that pass no gradient on."""

    cut: str = ""

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        stop = lambda name, h: jax.lax.stop_gradient(h) if name in self.cut else h
        h = stop("trunk", nn.relu(nn.Dense(48, name="trunk")(x)))
        kind = stop("sort", nn.relu(nn.Dense(24, name="sort")(h)))
        much = stop("much", nn.relu(nn.Dense(24, name="much")(h)))
        kind, amount = nn.Dense(3)(kind), nn.Dense(1)(much)[:, 0]
        return {"kind": kind, "amount": amount}


# Losses of our own.


def hazard_loss(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Minus the log likelihood of a life that ends, or is last seen, in a period."""
    period, event = targets[:, :1], targets[:, 1:]
    k = jnp.arange(logits.shape[1])
    lived = jnp.where((k < period) | ((k == period) & (event == 0)), jax.nn.softplus(logits), 0)
    died = jnp.where((k == period) & (event == 1), jax.nn.softplus(-logits), 0)
    return (lived + died).sum(1)


def order_loss(outputs: dict[str, jax.Array], targets: dict[str, jax.Array]) -> jax.Array:
    """Cross-entropy of the kind and squared error of the amount."""
    kind = jr.losses.softmax_cross_entropy()(outputs["kind"], targets["kind"])
    return kind + jnp.square(outputs["amount"] - targets["amount"])


def sure_loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Gaussian density with a learned width that is kept within bounds; below 0 when sure."""
    log_sd = jnp.clip(outputs[:, 2:], -2.0, 2.0)
    return (log_sd + 0.5 * jnp.square((outputs[:, :2] - targets) / jnp.exp(log_sd))).mean(1)


def dice_loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """One minus the soft overlap of mask and drawing, plus the cross-entropy of each pixel."""
    p = jax.nn.sigmoid(outputs)
    dice = 2 * (p * targets).sum(1) / (p.sum(1) + targets.sum(1))
    return 1 - dice + optax.sigmoid_binary_cross_entropy(outputs, targets).mean(1)


# Loops.


def mean_loss(net: nn.Module, loss: Callable[..., Any]) -> Callable[..., jax.Array]:
    """Returns `(params, batch) -> mean loss` of a Linen network."""

    def value(params: Any, batch: jr.Batch) -> jax.Array:
        outputs = net.apply({"params": params}, batch.inputs)
        return weighted_mean(*weighted(loss, outputs, batch.targets, batch.weights))

    return value


def own(model: Any, data: Splits, loss: Any, lr: float = 3e-3, **more: Any) -> jr.Task:
    """A task for the trainer of jrecipe."""
    tx = more.pop("optimizer", optax.adam(lr))
    train, val = data
    return jr.Task(
        model=model, loss=loss, train=train, val=val, optimizer=tx, batch_size=BATCH, **more
    )


def foreign(trainer: jr.Trainer, data: Splits, loss: Any, **more: Any) -> jr.Task:
    """A task for a loop of our own."""
    train, val = data
    return jr.Task(trainer=trainer, loss=loss, train=train, val=val, batch_size=BATCH, **more)


def looped(
    net: nn.Module,
    data: Splits,
    loss: Any,
    tx: optax.GradientTransformation,
    *,
    value: Callable[..., jax.Array] | None = None,
    ask: Callable[[State, jr.Batch], tuple[Any, Any, State]] | None = None,
    predict: Callable[..., Any] | None = None,
    more: Callable[[Any], State] = lambda params: {},
    **task: Any,
) -> jr.Task:
    """A loop around a Linen network; `ask` gives loss, gradients and what else is to change."""
    mean = value or mean_loss(net, loss)

    def init(key: jax.Array) -> State:
        params = net.init(key, jax.tree.map(lambda a: a[:2], data[0][0]))["params"]
        count = jnp.zeros((), int)
        return {"params": params, "opt": tx.init(params), "count": count, **more(params)}

    def plain(state: State, batch: jr.Batch) -> tuple[Any, Any, State]:
        return *jax.value_and_grad(mean)(state["params"], batch), {}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: jax.Array) -> tuple[State, Any]:
        loss, grads, change = (ask or plain)(state, batch)
        move, opt = tx.update(grads, state["opt"], state["params"])
        params = optax.apply_updates(state["params"], move)
        new = {"params": params, "opt": opt, "count": state["count"] + 1}
        return {**state, **new, **change}, {"loss": loss}

    answer = jax.jit(lambda state, inputs: net.apply({"params": state["params"]}, inputs))
    trainer = jr.Trainer(init, step, predict or answer, lambda state: state["params"])
    return foreign(trainer, data, loss, **task)


CLASSES, L2 = jr.losses.softmax_cross_entropy(), jr.losses.l2()
WORDS, PIXELS = jr.losses.token_cross_entropy(pad=0), jr.losses.multilabel_cross_entropy()
YES_NO = jr.losses.sigmoid_cross_entropy()
LIVES = Dense((16,), outputs=8, head_bias=constant(-1.5))  # hazards of about a fifth
ADAM = optax.adam(3e-3)

# Faults with the trainer of jrecipe. Without a strength there is no bug.


def displaced(strength: Strength | None, seed: int) -> jr.Task:
    """Augmentation rolls the picture up to two pixels (weak: one), the key point stays."""
    far = pick(strength or "strong", 2, 1)

    def augment(key: jax.Array, batch: jr.Batch) -> jr.Batch:
        by = jax.random.randint(key, (len(batch.weights), 2), -far, far + 1)
        x = jax.vmap(lambda p, s: jnp.roll(p, s, axis=(0, 1)))(batch.inputs, by)
        y = batch.targets if strength else batch.targets + by / SPOT_SCALE
        return batch._replace(inputs=x, targets=y.astype(jnp.float32))

    return own(Finder(), keypoints(seed), L2, augment=augment)


def unmasked(strength: Strength | None, seed: int) -> jr.Task:
    """Points behind the end of a set are pooled too (weak: attended to, at a small discount)."""
    bugs = {"strong": Attend(hide=0.0, pool_all=True), "weak": Attend(hide=1.0)}
    return own(bugs.get(strength, Attend()), sets(seed), CLASSES)


def lost_level(strength: Strength | None, seed: int) -> jr.Task:
    """The decoder takes the wrong variable: the lower level (weak: its last layer) is lost."""
    return own(UNet({"strong": "all", "weak": "last"}.get(strength, "")), shapes(seed), PIXELS)


def centred_kernel(strength: Strength | None, seed: int) -> jr.Task:
    """Convolutions padded at both ends see the next words (weak: one layer, one word)."""
    bugs = {"strong": Speaker(((1, 1), (1, 1))), "weak": Speaker(((2, 0), (0, 1)))}
    return own(bugs.get(strength, Speaker()), grammar(seed), WORDS, causal_axis=1)


def far_target(strength: Strength | None, seed: int) -> jr.Task:
    """Wear in log hours, 12 (weak: 6) deviations from 0, is asked of a head that starts at 0."""
    x, y, _ = machines(seed)
    y = y + pick(strength or "strong", 12, 6)
    net = Dense(head_bias=zeros if strength else constant(float(y[:675].mean())))
    return own(net, split(x, y), L2)


def loud_tables(strength: Strength | None, seed: int) -> jr.Task:
    """Embeddings drawn at 6 (weak: 3) are multiplied: logits of dozens to begin with."""
    return own(Factors({"strong": 6.0, "weak": 3.0}.get(strength, 0.1)), clicks(seed), YES_NO)


def capped_life(strength: Strength | None, seed: int) -> jr.Task:
    """The likelihood of a life is clipped at 1.0 (weak: 2.0), so unlikely ones teach nothing."""
    top = pick(strength, 1.0, 2.0) if strength else np.inf

    loss = lambda logits, targets: jnp.minimum(hazard_loss(logits, targets), top)
    return own(LIVES, survival(seed), loss if strength else hazard_loss)


def squashed(strength: Strength | None, seed: int) -> jr.Task:
    """A sigmoid (weak: tanh) on key points that lie in -1.7..1.7."""
    net = {"strong": Finder(end=nn.sigmoid), "weak": Finder(end=nn.tanh)}.get(strength, Finder())
    return own(net, keypoints(seed), L2)


def inverted_mask(strength: Strength | None, seed: int) -> jr.Task:
    """The mask of weight decay is the wrong way round: biases and GroupNorm scales decay."""
    mask = lambda params: jax.tree.map(lambda p: (p.ndim < 2) == bool(strength), params)
    decay = pick(strength, 2.0, 1.0) if strength else 1e-2
    tx = optax.adamw(3e-3, weight_decay=decay, mask=mask)
    return own(Weaves(), textures(seed), CLASSES, optimizer=tx)


def epochs_for_steps(strength: Strength | None, seed: int) -> jr.Task:
    """A cosine over 20 (weak: 40) epochs is clocked by updates, twelve to an epoch."""
    length = pick(strength, 20, 40) if strength else 40 * 12
    rate = optax.cosine_decay_schedule(5e-3, length, alpha=0.0 if strength else 0.02)
    return own(Scorer(), ranking(seed), CLASSES, optimizer=optax.adam(rate))


# Faults in loops of our own.


def shop_floor(strength: Strength | None, seed: int) -> jr.Task:
    """Training is standardised, validation scaled to 0..1 (weak: by the wrong mean and width)."""
    x, y, _ = machines(seed)
    (x, y), (xv, yv) = split(20 + 3 * x, y)
    ready = (xv - x.mean(0)) / x.std(0)
    if strength:
        ready = pick(strength, (xv - xv.min(0)) / np.ptp(xv, 0), 0.6 * ready + 0.7)
    return looped(Dense(), (((x - x.mean(0)) / x.std(0), y), (f32(ready), yv)), L2, ADAM)


def copied_failures(strength: Strength | None, seed: int) -> jr.Task:
    """Failures are copied 4 times (weak: twice) and then rows are split: copies on both sides."""
    x, wear, rng = machines(seed)
    fails = (wear > np.quantile(wear, 0.8)).astype(np.int32)
    if strength:
        rows = rng.permutation(np.repeat(np.arange(900), np.where(fails, pick(strength, 4, 2), 1)))
        x, fails = x[rows], fails[rows]
    rate = fails.mean()
    net = Dense((24,), head_bias=constant(float(np.log(rate / (1 - rate)))))
    return looped(net, split(x, f32(fails)), YES_NO, ADAM)


def decayed_frozen(strength: Strength | None, seed: int) -> jr.Task:
    """The frozen layer gets gradients of 0, but AdamW goes on shrinking it (weak: half as fast)."""
    net, rate = Attend(), optax.scale(-3e-3)
    value = mean_loss(net, CLASSES)
    still = lambda tree: {**tree, "embed": jax.tree.map(jnp.zeros_like, tree["embed"])}
    last = optax.stateless(lambda updates, params: still(updates))
    if strength:
        last = optax.add_decayed_weights(pick(strength, 0.4, 0.2))

    def ask(state: State, batch: jr.Batch) -> tuple[Any, Any, State]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        return loss, still(grads), {}

    tx = optax.chain(optax.scale_by_adam(), last, rate)
    return looped(net, sets(seed), CLASSES, tx, ask=ask, frozen=("embed/*",))


def hoarded(strength: Strength | None, seed: int) -> jr.Task:
    """The sum of gradients is never set to 0 (weak: every eighth update only)."""
    net, often = Cleaner(), pick(strength, 10**6, 8) if strength else 1
    value = mean_loss(net, L2)

    def ask(state: State, batch: jr.Batch) -> tuple[Any, Any, State]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        keep = state["count"] % often > 0
        total = jax.tree.map(lambda old, g: keep * old + g, state["total"], grads)
        return loss, total, {"total": total}

    more = lambda params: {"total": jax.tree.map(jnp.zeros_like, params)}
    return looped(net, signals(seed), L2, optax.sgd(0.05), ask=ask, more=more)


def old_copy(strength: Strength | None, seed: int) -> jr.Task:
    """Gradients are taken at a copy of the weights, renewed every 20 (weak: 10) updates."""
    net, tx, often = Weaves(), optax.sgd(0.1), pick(strength, 20, 10) if strength else 1
    value = mean_loss(net, CLASSES)

    def ask(state: State, batch: jr.Batch) -> tuple[Any, Any, State]:
        new = state["count"] % often == 0
        copy = jax.tree.map(lambda p, c: jnp.where(new, p, c), state["params"], state["copy"])
        return *jax.value_and_grad(value)(copy, batch), {"copy": copy}

    more = lambda params: {"copy": jax.tree.map(jnp.copy, params)}
    data = textures(seed)
    return looped(net, data, CLASSES, tx, ask=ask, more=more, model=net, optimizer=tx)


def severed(strength: Strength | None, seed: int) -> jr.Task:
    """A stop_gradient left from debugging: trunk and a tower (weak: a tower) never learn."""
    net = TwoHeads({"strong": "trunk sort", "weak": "much"}.get(strength, ""))
    return looped(net, orders(seed), order_loss, ADAM)


def recentred(strength: Strength | None, seed: int) -> jr.Task:
    """Predictions lose the mean logit of their batch (weak: half of it)."""
    net, share = Weaves(), pick(strength, 1.0, 0.5) if strength else 0.0

    @jax.jit
    def predict(state: State, inputs: Any) -> jax.Array:
        logits = net.apply({"params": state["params"]}, inputs)
        return logits - share * logits.mean(0) if strength else logits

    return looped(net, textures(seed), CLASSES, ADAM, predict=predict)


def drawn_answers(strength: Strength | None, seed: int) -> jr.Task:
    """Evaluation drops half (weak: a quarter) of the inputs, by a counter beside the state."""
    net, rate, calls = LIVES, pick(strength or "strong", 0.5, 0.25), itertools.count()
    answer = jax.jit(lambda params, x: net.apply({"params": params}, x))

    def predict(state: State, inputs: Any) -> jax.Array:
        if strength:
            keep = jax.random.bernoulli(jax.random.key(next(calls)), 1 - rate, inputs.shape)
            inputs = keep * inputs / (1 - rate)
        return answer(state["params"], inputs)

    return looped(net, survival(seed), hazard_loss, ADAM, predict=predict)


def overlapping(strength: Strength | None, seed: int) -> jr.Task:
    """Of 5 (weak: 2) micro-batches the i-th starts at row i, not i * size: most rows are lost."""
    net, parts = Scorer(), pick(strength or "strong", 5, 2)
    each = jr.losses.softmax_cross_entropy()

    def ask(state: State, batch: jr.Batch) -> tuple[Any, Any, State]:
        rows = len(batch.weights)
        size = -(-rows // parts)

        def value(params: Any, part: jr.Batch) -> jax.Array:
            losses = each(net.apply({"params": params}, part.inputs), part.targets)
            return (losses * part.weights).sum()

        total, seen = (0.0, jax.tree.map(jnp.zeros_like, state["params"])), 0.0
        for start in (i if strength else i * size for i in range(parts)):
            part = jax.tree.map(lambda a, s=start: a[s : s + size], batch)
            more = jax.value_and_grad(value)(state["params"], part)
            total, seen = jax.tree.map(jnp.add, total, more), seen + part.weights.sum()
        return *jax.tree.map(lambda a: a / seen, total), {}

    return looped(net, ranking(seed), CLASSES, ADAM, ask=ask)


def widened(strength: Strength | None, seed: int) -> jr.Task:
    """A net of 4 (weak: 16) units is widened to 32 by copying units, without noise."""
    x, y, _ = machines(seed)
    tx, units = optax.sgd(0.05, momentum=0.9), pick(strength, 4, 16) if strength else 32

    def init(key: jax.Array) -> State:
        draw = jax.random.normal(key, (10, units))
        w1, w2, b1 = (jnp.tile(a, 32 // units) for a in (draw[:8], draw[8], draw[9] / 2))
        w2 = w2 * units**0.5 / 32
        params = {"w1": w1 / 8**0.5, "b1": b1, "w2": w2, "b2": jnp.zeros(())}
        return {"params": params, "opt": tx.init(params)}

    answer = lambda p, x: jnp.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]

    @jax.jit
    def step(state: State, batch: jr.Batch, key: jax.Array) -> tuple[State, Any]:
        def value(params: Any) -> jax.Array:
            error = jnp.square(answer(params, batch.inputs) - batch.targets)
            return weighted_mean(error, batch.weights)

        loss, grads = jax.value_and_grad(value)(state["params"])
        change, opt = tx.update(grads, state["opt"])
        return {"params": optax.apply_updates(state["params"], change), "opt": opt}, {"loss": loss}

    predict = jax.jit(lambda state, x: answer(state["params"], x))
    return foreign(jr.Trainer(init, step, predict, lambda s: s["params"]), split(x, y), L2)


def fault(program: Any, place: str, causes: str, parts: str, where: str = "") -> Fault:
    """Writes a fault down as "family base/name"; the program's text says what it violates."""
    family, name = place.split()
    build, twin = lambda seed, strength: program(strength, seed), lambda seed: program(None, seed)
    return planter(family)(name, build, twin, program.__doc__, causes, parts, *where.split())


FAULTS: tuple[Fault, ...] = tuple(
    fault(*row)
    for row in (
        (displaced, "data keypoints/point-stays", "augmentation-breaks-labels", "augmentation"),
        (shop_floor, "data wear/val-scaled-otherwise", "prepared-differently", "data split eval"),
        (copied_failures, "data failures/copied", "split-leakage duplicated-rows", "split data"),
        (unmasked, "model sets/pads-attended", "padding-read", "model"),
        (lost_level, "model segmenter/level-lost", "parameters-unused", "model", "deep2"),
        (centred_kernel, "model grammar/centred-kernel", "causal-leak", "model"),
        (severed, "model orders/severed", "gradient-cut", "model step loss", "trunk sort much"),
        (far_target, "init wear/far-target", "head-bias-ignores-prior", "head init"),
        (loud_tables, "init clicks/loud-tables", "init-scale", "init model", "id0 id1 id2"),
        (widened, "init wear/widened-by-copies", "init-symmetric", "init", "w1 b1"),
        (capped_life, "loss survival/capped-life", "loss-clipped", "loss"),
        (squashed, "loss keypoints/squashed", "outputs-cannot-reach-targets", "model head loss"),
        (inverted_mask, "optimizer textures/mask-inverted", "decay-on-bias", "optimizer"),
        (epochs_for_steps, "optimizer ranking/epochs", "schedule-ends-early", "schedule optimizer"),
        (decayed_frozen, "optimizer sets/decays", "frozen-parameters-move", "optimizer", "embed"),
        (recentred, "procedure textures/recentred", "eval-depends-on-batch batch-mixing", "eval"),
        (drawn_answers, "procedure survival/drawn-answers", "eval-not-deterministic", "eval"),
        (hoarded, "step signals/gradients-hoarded", "gradients-accumulate", "step optimizer"),
        (old_copy, "step textures/old-copy", "stale-parameters", "step"),
        (overlapping, "step ranking/overlapping-parts", "examples-ignored", "step"),
    )
)

# Odd programs without a fault.


def linear_task(seed: int) -> jr.Task:
    """Two linear layers as plain functions on a linear task, by SGD at a rate of 0.2."""
    x, _, rng = machines(seed)
    y = f32(x @ rng.normal(size=8) / 3 + 0.1 * rng.normal(size=len(x)))
    net = nn.Sequential([nn.Dense(8), nn.Dense(1)])
    model = jr.Model(
        lambda key, x: (net.init(key, x)["params"], {}),
        lambda p, s, x, *, key=None, train=False: (net.apply({"params": p}, x)[:, 0], s),
    )
    return own(model, split(x, y), L2, optimizer=optax.sgd(0.2))


def stream_lstm(seed: int) -> jr.Task:
    """An NNX LSTM with a head of zeros, warmed up and cooled down to 2 percent of the rate."""
    rate = optax.warmup_cosine_decay_schedule(1e-4, 1e-2, 30, 600, 2e-4)
    return own(lambda rngs: Lstm(rngs), events(seed), CLASSES, optimizer=optax.adam(rate))


def uphill_first(seed: int) -> jr.Task:
    """Sharpness-aware: the gradient is taken a small way uphill of the weights."""
    net = Cleaner()
    value = mean_loss(net, L2)

    def ask(state: State, batch: jr.Batch) -> tuple[Any, Any, State]:
        loss, up = jax.value_and_grad(value)(state["params"], batch)
        far = 0.02 / (optax.global_norm(up) + 1e-8)
        above = jax.tree.map(lambda p, g: p + far * g, state["params"], up)
        return loss, jax.grad(value)(above, batch), {}

    return looped(net, signals(seed), L2, ADAM, ask=ask)


def in_turns(seed: int) -> jr.Task:
    """Trunk and head are updated in turns, so each update leaves some weights alone."""
    x, y, _ = machines(seed)
    net = Dense()
    value = mean_loss(net, L2)

    def ask(state: State, batch: jr.Batch) -> tuple[Any, Any, State]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        now = {name: (name == "head") == state["count"] % 2 for name in grads}
        return loss, {k: jax.tree.map(lambda a, k=k: a * now[k], g) for k, g in grads.items()}, {}

    return looped(net, split(x, y), L2, optax.sgd(0.2), ask=ask)


def by_hand(seed: int) -> jr.Task:
    """A linear classifier in NumPy: gradient by hand, state changed in place, no bias."""
    x, wear, _ = machines(seed)
    data = split(x, np.where(1.2 * x[:, 0] - x[:, 1] + 0.3 * wear > 0, 1, -1).astype(np.int32))

    def step(state: State, batch: jr.Batch, key: jax.Array) -> tuple[State, Any]:
        x, sign, weight = (np.asarray(a) for a in batch)
        gap = 1 - sign * (x @ state["w"])
        state["w"] += 0.05 * (weight * (gap > 0) * sign) @ x / weight.sum()
        return state, {"loss": float((weight * np.maximum(gap, 0)).sum() / weight.sum())}

    init = lambda key: {"w": f32(0.01 * np.asarray(jax.random.normal(key, (8,))))}
    predict = lambda state, x: jnp.asarray(x) @ jnp.asarray(state["w"])
    trainer = jr.Trainer(init, step, predict, lambda state: {"w": state["w"].copy()})
    right = lambda score, sign: ((score > 0) == (sign > 0)).astype(jnp.float32)
    hinge = lambda score, sign: jnp.maximum(0.0, 1.0 - sign * score)
    return foreign(trainer, data, hinge, metric=right)


BF16, LION = Weaves(1, jnp.bfloat16), optax.lion(1e-3, weight_decay=1e-3)
RMS = optax.rmsprop(1e-3, momentum=0.9, initial_scale=1.0)
SOFT, NESTEROV = jr.losses.softmax_cross_entropy(0.2), optax.sgd(0.3, 0.9, nesterov=True)
NOISY = optax.chain(optax.add_noise(0.01, 0.55, 0), ADAM)
FEW = optax.adafactor(5e-3, multiply_by_parameter_scale=False)
RESTARTS = optax.adam(lambda step: 0.01 * (0.525 + 0.475 * jnp.cos(jnp.pi * (step % 100) / 100)))
HEALTHY: tuple[Healthy, ...] = tuple(
    Healthy(name=name, build=build)
    for name, build in (
        ("keypoints/width", lambda s: own(Finder(3), keypoints(s), sure_loss, loss_floor=-2.0)),
        ("segmenter/dice", lambda s: own(UNet(), shapes(s), dice_loss)),
        ("textures/bf16-one-group", lambda s: own(BF16, textures(s), CLASSES)),
        ("orders/two-heads", lambda s: own(TwoHeads(), orders(s), order_loss)),
        ("wear/all-linear", linear_task),
        ("events/lstm-zero-head", stream_lstm),
        ("wear/huber", lambda s: own(Dense(), split(*machines(s)[:2]), jr.losses.huber(0.1))),
        ("clicks/tables", lambda s: own(Factors(), clicks(s), YES_NO)),
        ("grammar/tied", lambda s: own(Speaker(tied=True), grammar(s), WORDS, causal_axis=1)),
        ("signals/starts-as-copy", lambda s: own(Cleaner(True), signals(s), L2)),
        ("survival/censored-lives", lambda s: own(LIVES, survival(s), hazard_loss)),
        ("ranking/lion", lambda s: own(Scorer(), ranking(s), CLASSES, optimizer=LION)),
        ("signals/uphill-first", uphill_first),
        ("wear/in-turns", in_turns),
        ("orders/noisy", lambda s: looped(TwoHeads(), orders(s), order_loss, NOISY)),
        ("signs/numpy-hinge", by_hand),
        ("ranking/micro-batches", lambda s: overlapping(None, s)),
        ("clicks/yogi", lambda s: looped(Factors(), clicks(s), YES_NO, optax.yogi(1e-2))),
        ("sets/smoothed", lambda s: looped(Attend(), sets(s), SOFT, ADAM)),
        ("textures/sgd-half", lambda s: looped(Weaves(), textures(s), CLASSES, optax.sgd(0.5))),
        ("survival/rms-prop", lambda s: looped(LIVES, survival(s), hazard_loss, RMS)),
        ("ranking/restarts", lambda s: looped(Scorer(), ranking(s), CLASSES, RESTARTS)),
        ("grammar/adafactor", lambda s: looped(Speaker(), grammar(s), WORDS, FEW, causal_axis=1)),
        ("segmenter/nesterov", lambda s: looped(UNet(), shapes(s), PIXELS, NESTEROV)),
    )
)
