"""What a user hands over: a task, or training code of their own.

A `Task` is checked for being understandable when it is made (lengths, types, sizes). Whether it is
a *good* task is what the checks say; `validate_values` looks at every value, for the commands that
are about to spend time on training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe import losses, metrics
from jrecipe.augment.fields import has_fields
from jrecipe.augment.fields import validate as validate_fields
from jrecipe.data.source import as_source, in_memory, nbytes
from jrecipe.models.adapt import as_model
from jrecipe.types import Augment, Batch, Key, LossFunction, Model, PyTree, Source, TaskError
from jrecipe.unfreezing import Unfreezing

_STREAMED = 2**26  # bytes of a split that is not in memory that are looked at
_PADDED = 2**30  # bytes up to which rows of several lengths are read at once


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Training code of the user's own, behind four functions; none of them needs to be jittable.

    Attributes:
      init: `(key) -> state`, any object.
      step: `(state, batch, key) -> (state, metrics)`, one update; may donate or mutate `state`.
      predict: `(state, inputs) -> outputs` in evaluation mode.
      params: `(state) -> pytree` of the trainable arrays.
    """

    init: Callable[[Key], Any]
    step: Callable[[Any, Batch, Key], tuple[Any, Any]]
    predict: Callable[[Any, PyTree], PyTree]
    params: Callable[[Any], PyTree]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A network, a loss and data: everything that jrecipe trains and checks.

    Attributes:
      model: a Linen module, an NNX factory `lambda rngs: Net(rngs)`, or a `jr.Model`. None only
        with a `trainer`.
      loss: `(outputs, targets) -> float32[b]`, or a pair `(value, weight)` of such; one of
        `jr.losses` also knows its law at initialisation.
      train: `(inputs, targets)`, arrays or pytrees of arrays with a common leading axis, or a
        `jr.data` source.
      val: the same, for every decision during training; never trained on.
      test: the same, or None; read once, at the end.
      optimizer: an optax gradient transformation; default Adam at a constant 3e-4 (C2).
      augment: `(key, batch) -> batch`, applied in training only, or None.
      batch_size: examples per update, at most the number of training examples.
      trainer: training code of the user's own, or None for jrecipe's.
      examples_independent: False where a loss or network mixes examples on purpose.
      causal_axis: axis of inputs and outputs (the batch is axis 0) along which output t may depend
        only on earlier inputs; None if not autoregressive.
      frozen: patterns of parameter paths, as "encoder/*", that must not move; or a
        `jr.train.Unfreezing`, patterns for each phase of the training.
      loss_floor: lowest loss that can be reached on the training set, where it is not 0 (label
        smoothing, a density).
      ordered_data: True where the order of the examples means something (time series).
      imbalance_intended: True where rare classes are as they should be.
      label_noise: expected share of wrong labels in [0, 1), or None.
      metric: `(outputs, targets) -> float32[b]`, higher is better; default by the loss.
      class_names: names of the classes, for reports.
      decode: `(inputs) -> pictures float[b, h, w(, c)] in [0, 1], or b texts`, what a person would
        look at; for reports only.
      human: `(rows, answers)`: a person's answers for these rows of the validation split (B6).
      name: what reports call the task.

    Raises:
      TaskError: if an argument cannot be understood; the message says which and what to do.
    """

    loss: LossFunction
    train: Any
    val: Any
    model: Any = None
    test: Any = None
    optimizer: optax.GradientTransformation | None = None
    augment: Augment | None = None
    batch_size: int = 128
    trainer: Trainer | None = None
    examples_independent: bool = True
    causal_axis: int | None = None
    frozen: tuple[str, ...] | Unfreezing = ()
    loss_floor: float | None = None
    ordered_data: bool = False
    imbalance_intended: bool = False
    label_noise: float | None = None
    metric: LossFunction | None = None
    class_names: tuple[str, ...] = ()
    decode: Callable[[PyTree], Any] | None = None
    human: tuple[np.ndarray, np.ndarray] | None = None
    name: str = "task"

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        if not callable(self.loss):
            raise TaskError(
                f"Task.loss needs a function (outputs, targets) -> float32[b], got {self.loss!r}; "
                "try jr.losses.softmax_cross_entropy()."
            )
        if any(self.loss is getattr(losses, name) for name in losses.__all__):
            raise TaskError(
                f"Task.loss is jr.losses.{self.loss.__name__}, which makes a loss; call it, as "
                f"jr.losses.{self.loss.__name__}()."
            )
        for split in ("train", "val", "test"):
            given = getattr(self, split)
            if given is None and split == "test":
                continue
            put(split, as_source(given, name=f"Task.{split}"))
        if self.model is None and self.trainer is None:
            raise TaskError(
                "Task.model is None and so is Task.trainer; give a Linen module, an NNX factory, a "
                "jr.Model, or a jr.Trainer."
            )
        if self.model is not None:
            put("model", as_model(self.model))
        if self.trainer is not None and not isinstance(self.trainer, Trainer):
            raise TaskError(
                f"Task.trainer needs jr.Trainer(init, step, predict, params), got {self.trainer!r}."
            )
        if self.optimizer is None:
            put("optimizer", optax.adam(3e-4))
        if not hasattr(self.optimizer, "update"):
            raise TaskError(
                f"Task.optimizer needs an optax transformation, got {self.optimizer!r}; "
                "try optax.adam(3e-4)."
            )
        if self.augment is not None and not callable(self.augment):
            raise TaskError(
                f"Task.augment needs a function (key, batch) -> batch, got {self.augment!r}."
            )
        size, rows = self.batch_size, len(self.train)
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise TaskError(f"Task.batch_size needs an integer >= 1, got {size!r}.")
        if size > rows:
            raise TaskError(
                f"Task.batch_size is {size}, but the training split has only {rows} examples; use "
                f"batch_size={min(32, rows)} or more data."
            )
        noise, axis = self.label_noise, self.causal_axis
        if noise is not None and not (_is_number(noise) and 0.0 <= noise < 1.0):
            raise TaskError(
                f"Task.label_noise needs a share in [0, 1), got {noise!r}; 0.1 is one wrong label "
                "in ten, None leaves it open."
            )
        if axis is not None and (not isinstance(axis, int | np.integer) or axis in (0, False)):
            raise TaskError(
                f"Task.causal_axis needs an axis of the inputs, got {axis!r}; axis 0 is the batch, "
                "so tokens [b, t] have causal_axis=1."
            )
        for name in ("metric", "decode"):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise TaskError(f"Task.{name} needs a function or None, got {given!r}.")
        for name in ("frozen", "class_names"):
            given = getattr(self, name)
            if isinstance(given, str):
                raise TaskError(
                    f"Task.{name} needs a tuple of texts, got the text {given!r}; write "
                    f"({given!r},)."
                )
            put(name, given if isinstance(given, Unfreezing) else tuple(given))
        if self.metric is None:
            put("metric", metrics.for_loss(self.loss))

    def replace(self, **changes: Any) -> Task:
        """Returns a copy of the task with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def splits(self) -> dict[str, Source]:
        """The splits that are there: name -> source, in the order train, val, test."""
        given = {"train": self.train, "val": self.val, "test": self.test}
        return {name: source for name, source in given.items() if source is not None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def spread(n: int, limit: int | None = None) -> np.ndarray:
    """Returns the rows int[min(n, limit)] of `n`: all, or `limit` of them spread evenly."""
    if limit is None or limit >= n:
        return np.arange(n)
    return np.linspace(0, n - 1, limit).astype(int)


def read(source: Source, limit: int | None = None) -> tuple[PyTree, PyTree]:
    """Returns `(inputs, targets)` of a whole source, or of `limit` rows spread evenly over it.

    Raises:
      TaskError: if rows of several lengths (`source.buckets`) would take more than 1 GiB, padded to
        the longest.
    """
    if limit is None and getattr(source, "buckets", None) is not None and nbytes(source) > _PADDED:
        raise TaskError(
            f"{type(source).__name__} of {len(source)} rows would take {nbytes(source):,} bytes "
            "when all are padded to the longest; read batches of one length, as "
            "jr.data.evaluation_rows(source.buckets, 256) has them, or some rows."
        )
    return source.take(spread(len(source), limit))


def validate_values(task: Task, limit: int = 100_000) -> None:
    """Looks at the values of every split: finite inputs, targets that loss and outputs fit (A2).

    Where there is an augmentation, masks, boxes and key points fit their pictures as well (D2).

    Args:
      task: the task to look at.
      limit: rows read per split; a larger split is sampled evenly, and one that is not in memory
        more thinly, so that 64 MiB of it are read.

    Raises:
      TaskError: naming the split, the row and the way out.
    """
    shape = _output_shape(task, task.train.take(np.arange(1))[0])
    for split, source in task.splits.items():
        few = limit if in_memory(source) else _STREAMED * len(source) // max(nbytes(source), 1)
        rows = spread(len(source), max(1, min(limit, few)))
        inputs, targets = source.take(rows)
        for what, tree in (("inputs", inputs), ("targets", targets)):
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                leaf = np.asarray(leaf)
                if not jnp.issubdtype(leaf.dtype, jnp.floating):
                    continue
                bad = ~np.isfinite(leaf.reshape(len(leaf), -1)).all(axis=1)
                if bad.any():
                    row = int(rows[np.argmax(bad)])
                    where = jax.tree_util.keystr(path)
                    raise TaskError(
                        f"{split} {what}{where} have NaN or infinity in {int(bad.sum())} of "
                        f"{len(leaf)} rows, first in row {row}; drop or impute these rows."
                    )
        batch = Batch(inputs, targets, np.ones(len(rows), np.float32))
        if split == "train" and task.augment is not None and has_fields(batch):
            validate_fields(batch, "Task.augment")
        if isinstance(task.loss, losses.Loss):
            several = split == "train"  # a small held-out split may lack a class
            if getattr(source, "buckets", None) is not None:  # as long as the longest of `rows`
                shape = _output_shape(task, jax.tree.map(lambda x: x[:1], inputs))
            task.loss.validate(targets, f"{split} targets", shape, several=several)


def _output_shape(task: Task, inputs: PyTree) -> tuple[int, ...] | None:
    """Returns the shape of one example's outputs, None if unknown or if they are several arrays."""
    if task.model is None or task.trainer is not None:
        return None
    outputs = head_shape(task.model, inputs)
    return tuple(outputs.shape[1:]) if hasattr(outputs, "shape") else None


def head_shape(model: Model, inputs: PyTree) -> PyTree:
    """Returns the outputs' `jax.ShapeDtypeStruct`s for `inputs`, without running the network."""

    def outputs(key: Key, inputs: PyTree) -> PyTree:
        params, state = model.init(key, inputs)
        return model.apply(params, state, inputs)[0]

    return jax.eval_shape(outputs, jax.random.key(0), inputs)
