"""A task for a data set: the plainest network that fits, as a plan that JSON can carry (C1, C2)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe import augment, losses, models, regularize
from jrecipe.data.source import ArraySource
from jrecipe.data.splits import Splits
from jrecipe.task import Task, read
from jrecipe.types import Augment, Model, Source, TaskError

NETWORKS: dict[str, type[nn.Module]] = {
    "linear": models.Linear,
    "mlp": models.MLP,
    "convnet": models.ConvNet,
    "resnet18": models.ResNet,
    "gru": models.GRU,
}
# What a plan says of each network, besides what is a number; its other fields keep their defaults.
_FIELDS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "mlp": ("width", "depth"),
    "convnet": ("width", "depth", "head", "norm"),
    "resnet18": ("width", "head"),
    "gru": ("width", "vocabulary"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that `build_task` decides, besides the data.

    Attributes:
      network: "linear", "mlp", "convnet", "resnet18" or "gru".
      width: units of a hidden layer, or channels of the first stage.
      depth: hidden layers, or convolutions in each stage; of an mlp or a convnet.
      head: of a convnet or a resnet18, "flatten" or "gap" (D7).
      norm: BatchNorm after each convolution, of a convnet.
      vocabulary: number of token ids, of a gru on tokens; None for one on numbers.
      dropout: before the last layer, in [0, 1) (D9).
      translate: pictures move by up to this many pixels (D2).
      flip: pictures are mirrored left-right (D2).
      weight_decay: decoupled, on kernels only (D10).
      learning_rate: of Adam, constant (C2, C4) unless `decay_over` is given.
      decay_over: updates over which the rate falls to 0 along a cosine; 0 keeps it constant.
      batch_size: examples per update.
    """

    network: str = "mlp"
    width: int = 128
    depth: int = 2
    head: str = "flatten"
    norm: bool = False
    vocabulary: int | None = None
    dropout: float = 0.0
    translate: int = 0
    flip: bool = False
    weight_decay: float = 0.0
    learning_rate: float = 3e-4
    decay_over: int = 0
    batch_size: int = 64

    def replace(self, **changes: Any) -> Plan:
        """Returns a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def suggest_plan(splits: Splits) -> Plan:
    """Returns a plan of the network that `jr.models.suggest` names.

    Raises:
      TaskError: if the inputs are not one array of numbers.
    """
    input_shape(splits)  # or raises
    model = models.suggest(splits).model
    size = min(64, 2 ** int(math.log2(max(len(splits.train), 1))))
    network = next(name for name, kind in NETWORKS.items() if type(model) is kind)
    given = {name: getattr(model, name) for name in _FIELDS[network]}
    return Plan(network=network, batch_size=size, **given)


def build_task(splits: Splits, plan: Plan) -> Task:
    """Builds the task of a data set.

    Args:
      splits: the data; number targets are standardised by the training split, see `target_scale`.
      plan: what to build.
    """
    sources = {name: getattr(splits, name) for name in ("train", "val", "test")}
    scale = target_scale(splits)
    if scale is not None:
        sources = {name: _rescaled(source, *scale) for name, source in sources.items()}
    shape = input_shape(splits)
    return Task(
        model=build_model(plan, outputs=output_count(splits), squeeze=_squeeze(splits)),
        loss=loss_for(splits),
        optimizer=build_optimizer(plan),
        augment=build_augment(plan, shape),
        batch_size=min(plan.batch_size, len(splits.train)),
        class_names=splits.class_names,
        decode=None if splits.encoder is None else splits.encoder.decode,
        name=splits.name,
        **sources,
    )


# Numbers of a plan that may be traced: plans that differ only in these share one program.
KNOBS = ("dropout", "translate", "flip", "weight_decay", "learning_rate", "decay_over")


def knobs_of(plan: Plan) -> dict[str, np.ndarray]:
    """Returns the numbers of a plan that `turn_knobs` takes."""
    return {name: np.asarray(getattr(plan, name), np.float32) for name in KNOBS}


def turn_knobs(task: Task, plan: Plan, splits: Splits, knobs: Mapping[str, Any]) -> Task:
    """Returns the task of a plan whose numbers are replaced by traced ones.

    Args:
      task: the task of the plan, for its data.
      plan: decides what is not a number: network, width, depth, head.
      splits: the data.
      knobs: as `knobs_of` names them, traced.
    """
    traced = plan.replace(**knobs)
    model = build_model(traced, outputs=output_count(splits), squeeze=_squeeze(splits))
    # What is not drawn costs little: moving by 0 pixels, mirroring with chance 0.
    parts: tuple[Augment, ...] = ()
    if len(input_shape(splits)) == 3:
        parts = (
            augment.random_translate(jnp.round(knobs["translate"]).astype(jnp.int32)),
            augment.random_flip(0.5 * knobs["flip"]),
        )
    return task.replace(
        model=dataclasses.replace(model, init=task.model.init),
        optimizer=_adamw(knobs["learning_rate"], knobs["weight_decay"], knobs["decay_over"]),
        augment=augment.compose(*parts) if parts else None,
    )


def build_model(plan: Plan, *, outputs: int, squeeze: bool = False) -> Model:
    """Builds the network of a plan, with its last layer at zero so that B4's law is exact.

    Raises:
      TaskError: for an unknown network.
    """
    if plan.network not in NETWORKS:
        raise TaskError(f"Plan.network is {plan.network!r}; it can be {', '.join(NETWORKS)}.")
    options: dict[str, Any] = {name: getattr(plan, name) for name in _FIELDS[plan.network]}
    if plan.network != "linear":
        options["dropout"] = plan.dropout
    return models.as_model(NETWORKS[plan.network](outputs, squeeze=squeeze, **options))


def build_optimizer(plan: Plan) -> optax.GradientTransformation:
    """Builds Adam, with decoupled decay of kernels if the plan has any (C2, D10)."""
    return _adamw(plan.learning_rate, plan.weight_decay, plan.decay_over)


def _adamw(rate: Any, weight_decay: Any, decay_over: Any) -> optax.GradientTransformation:
    """AdamW at a rate that is constant, or falls to 0 over `decay_over` updates along a cosine."""

    def schedule(step: Any) -> Any:
        share = jnp.clip(step / jnp.maximum(decay_over, 1), 0.0, 1.0)
        return rate * jnp.where(decay_over > 0, 0.5 * (1.0 + jnp.cos(jnp.pi * share)), 1.0)

    return regularize.adamw(schedule, weight_decay)


def build_augment(plan: Plan, shape: tuple[int, ...]) -> Augment | None:
    """Builds the augmentation of a plan, None if it has none or the inputs are no pictures."""
    parts = []
    if plan.translate and len(shape) == 3:
        parts.append(augment.random_translate(plan.translate))
    if plan.flip and len(shape) == 3:
        parts.append(augment.random_flip())
    return augment.compose(*parts) if parts else None


def loss_for(splits: Splits) -> losses.Loss:
    """Returns the loss for the kind of the targets."""
    if splits.kind == "classes":
        return losses.softmax_cross_entropy()
    if splits.kind == "multilabel":
        return losses.multilabel_cross_entropy()
    return losses.l2()


def output_count(splits: Splits) -> int:
    """Returns how many outputs the network needs for each example."""
    if splits.kind == "classes":
        return len(splits.class_names)
    targets = read(splits.train, 1)[1]
    return int(np.prod(np.shape(targets)[1:], dtype=int))


def target_scale(splits: Splits) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns mean and standard deviation of number targets, None for other kinds."""
    if splits.kind != "number":
        return None
    targets = np.asarray(read(splits.train, 100_000)[1], np.float64)
    std = targets.std(axis=0)
    return targets.mean(axis=0), np.where(std > 0, std, 1.0)


@dataclasses.dataclass(frozen=True)
class _Rescaled:
    """A source with `(target - mean) / std` in place of its targets."""

    source: Source
    mean: np.ndarray
    std: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: np.ndarray) -> tuple[Any, Any]:
        inputs, targets = self.source.take(rows)
        return inputs, ((np.asarray(targets) - self.mean) / self.std).astype(np.float32)


def _rescaled(source: Source, mean: np.ndarray, std: np.ndarray) -> Source:
    scaled = _Rescaled(source, mean, std)
    if isinstance(source, ArraySource):
        return ArraySource(*scaled.take(np.arange(len(source))))
    return scaled


def _squeeze(splits: Splits) -> bool:
    return splits.kind == "number" and np.ndim(read(splits.train, 1)[1]) == 1


def input_shape(splits: Splits) -> tuple[int, ...]:
    """Returns the shape of one input.

    Raises:
      TaskError: if the inputs are not one array.
    """
    inputs = read(splits.train, 1)[0]
    if not hasattr(inputs, "shape"):
        raise TaskError(
            f"No network is known for inputs that are {type(inputs).__name__}; write a task file "
            "with a network of your own."
        )
    return tuple(inputs.shape[1:])


def plan_from_json(stored: Mapping[str, Any]) -> Plan:
    """Restores a plan from `dataclasses.asdict`; raises TaskError for fields of another version."""
    known = {field.name for field in dataclasses.fields(Plan)}
    if unknown := set(stored) - known:
        raise TaskError(f"The stored plan has the unknown fields {sorted(unknown)}.")
    return Plan(**stored)
