"""A fast probe of every example's target, from models that never saw the example (A2, A5, A7).

K folds are trained as one program: all see the same batches, and each gives no weight to the rows
that it has to answer afterwards. The inputs are common to the folds, so that their first layers are
one matrix product. Texts have a linear probe of their words instead, which is better and quicker.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.checks.neighbours import classes_of, maker_of
from jrecipe.explore.gather import Gathered
from jrecipe.explore.text_probe import text_answers

FOLDS = 5
_WIDTH = 128  # hidden units
_BATCH = 256
_SEEN = 250_000  # rows that each fold sees, at least
_EPOCHS = (4, 30)  # at least, at most
_RATE = 2e-3
_COLUMNS = 4096  # numbers of an input


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """Answers for every row by models that were not trained on it.

    Attributes:
      kind: "classes" or "numbers".
      answers: float32[n, c], probabilities, or float32[n, 1], the number that is expected.
      targets: int64[n], classes renumbered 0 to c - 1 as the columns, or float64[n].
      classes: int64[c], the label of each column; empty for numbers.
      loss: float32[n], -log of the probability of the stored class, in nats; or the squared error
        over the variance of the targets.
      score: accuracy, or 1 - mean loss (R squared), over all rows.
    """

    kind: str
    answers: np.ndarray
    targets: np.ndarray
    classes: np.ndarray
    loss: np.ndarray
    score: float

    @property
    def confidence(self) -> np.ndarray:
        """Probability of the likeliest class, float32[n]."""
        best: np.ndarray = self.answers.max(axis=1)
        return best

    @property
    def answer(self) -> np.ndarray:
        """The likeliest class as it is labelled int64[n], or the number expected float32[n]."""
        if self.kind == "numbers":
            return self.answers[:, 0]
        answered: np.ndarray = self.classes[self.answers.argmax(axis=1)]
        return answered


def probe(gathered: Gathered, seed: int = 0) -> Probe | str:
    """Trains the folds on all splits together and lets each answer the rows left out.

    Args:
      gathered: all examples.
      seed: of folds, weights and the order of rows.

    Returns:
      The answers, or why there are none: targets that are neither one class nor one number, fewer
      than two classes, or too few rows.
    """
    n = len(gathered)
    if n < 10 * FOLDS:
        return f"there are {n} examples, and a probe needs {10 * FOLDS}"
    classes = classes_of(gathered.targets)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gathered.targets)]
    if classes is not None:
        values, targets = np.unique(classes, return_inverse=True)
        if len(values) < 2:
            return f"all examples have the label {values[0]}"
        if len(values) > 2000:
            return f"there are {len(values)} classes, and a probe takes at most 2000"
        wanted = np.eye(len(values), dtype=np.float32)[targets]
    elif len(leaves) == 1 and leaves[0].size == n and leaves[0].dtype.kind in "fiu":
        values, targets = np.zeros(0, np.int64), leaves[0].reshape(n).astype(np.float64)
        spread = targets.std()
        if not np.isfinite(spread) or spread == 0:
            return "the targets are constant or not finite"
        wanted = ((targets - targets.mean()) / spread).astype(np.float32)[:, None]
    else:
        return "targets are neither one class nor one number for each example"
    rng = np.random.default_rng((seed % 2**32, 43))
    fold = rng.permutation(np.arange(n) % FOLDS)
    answers = None
    if gathered.texts is not None:
        answers = text_answers(gathered.texts, targets, fold, classes is not None)
    if answers is None:
        answers = _out_of_fold(_features(gathered), wanted, fold, classes is not None, seed)
    if classes is not None:
        own = np.maximum(answers[np.arange(n), targets], 1e-9)
        loss = -np.log(own)
        score = float((answers.argmax(axis=1) == targets).mean())
        return Probe("classes", answers, targets, values, loss.astype(np.float32), score)
    loss = np.square(answers - wanted)[:, 0]
    told = answers * targets.std() + targets.mean()
    return Probe("numbers", told, targets, values, loss, 1 - float(loss.mean()))


def _features(gathered: Gathered) -> np.ndarray:
    """Returns all inputs as numbers of about unit size, float32[n, d]."""
    few = np.linspace(0, len(gathered) - 1, min(len(gathered), 8000)).astype(int)
    parts = []
    for leaf in map(np.asarray, jax.tree.leaves(gathered.inputs)):
        make = maker_of(leaf[few])
        parts.append(np.concatenate([make(part) for part in np.array_split(leaf, 8) if len(part)]))
    return np.concatenate(parts, axis=1)[:, :_COLUMNS].astype(np.float32)


def _out_of_fold(
    features: np.ndarray, wanted: np.ndarray, fold: np.ndarray, classes: bool, seed: int
) -> np.ndarray:
    n = len(features)
    epochs = int(np.clip(-(-_SEEN // n), *_EPOCHS))
    batch = min(_BATCH, max(32, n // 20))
    steps = n // batch
    run = _Run((features.shape[1], wanted.shape[1]), classes, steps * epochs)
    state = run.init(seed)
    rng = np.random.default_rng((seed % 2**32, 47))
    data = tuple(jnp.asarray(part) for part in (features, wanted, fold))
    for _ in range(epochs):
        order = rng.permutation(n)[: steps * batch].reshape(steps, batch)
        state = run.epoch(state, data, order)
    return np.asarray(_answers(state[0], data[0], data[2], classes))


class _Run:
    """The compiled training of all folds."""

    def __init__(self, shape: tuple[int, int], classes: bool, steps: int):
        self.shape = shape
        self.tx = optax.adamw(optax.cosine_decay_schedule(_RATE, steps), weight_decay=1e-2)
        self.classes = classes
        self.epoch = jax.jit(self._epoch, donate_argnums=0)

    def init(self, seed: int) -> Any:
        inner, out = self.shape
        rng = np.random.default_rng((seed % 2**32, 61))
        draw = lambda scale, *shape: (  # noqa: E731
            (scale * rng.normal(size=(FOLDS, *shape))).astype(np.float32)
        )
        params = {
            "w": draw((2 / inner) ** 0.5, inner, _WIDTH),
            "b": np.zeros((FOLDS, _WIDTH), np.float32),
            "v": draw(0.1 / _WIDTH**0.5, _WIDTH, out),
            "c": np.zeros((FOLDS, out), np.float32),
        }
        return params, jax.jit(self.tx.init)(params)

    def _epoch(self, state: Any, data: tuple[jax.Array, ...], order: jax.Array) -> Any:
        def step(state: Any, rows: jax.Array) -> tuple[Any, None]:
            return self._step(state, *(part[rows] for part in data)), None

        return jax.lax.scan(step, state, order)[0]

    def _step(self, state: Any, x: jax.Array, wanted: jax.Array, fold: jax.Array) -> Any:
        params, moments = state

        def loss(params: Any) -> jax.Array:
            outputs = jax.vmap(_outputs, in_axes=(0, None))(params, x)
            each = (
                -(wanted[None] * jax.nn.log_softmax(outputs)).sum(axis=-1)
                if self.classes
                else jnp.square(outputs - wanted[None]).sum(axis=-1)
            )
            seen = jnp.arange(FOLDS)[:, None] != fold[None]
            return (each * seen).sum() / (seen.mean() * len(x))

        grads = jax.grad(loss)(params)
        updates, moments = self.tx.update(grads, moments, params)
        return optax.apply_updates(params, updates), moments


def _outputs(params: Any, x: jax.Array) -> jax.Array:
    hidden = jax.nn.relu(x @ params["w"] + params["b"][None])
    return hidden @ params["v"] + params["c"][None]


@functools.partial(jax.jit, static_argnums=3)
def _answers(params: Any, features: jax.Array, fold: jax.Array, classes: bool) -> jax.Array:
    """Returns the outputs of each row's own fold, as probabilities for classes."""

    def answer(x: jax.Array, own: jax.Array) -> jax.Array:
        outputs = jax.vmap(_outputs, in_axes=(0, None))(params, x[None])[own, 0]
        return jax.nn.softmax(outputs) if classes else outputs

    return jax.lax.map(lambda pair: answer(*pair), (features, fold), batch_size=1024)
