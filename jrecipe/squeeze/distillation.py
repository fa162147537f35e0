"""A student that learns what a teacher answers, not only what is right (F)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.data.source import in_memory
from jrecipe.squeeze.ensemble_mean import SIGMOID, require_probabilities
from jrecipe.squeeze.ensembles import Ensemble, joint_model
from jrecipe.squeeze.task_network import TaskNetwork
from jrecipe.task import Task, head_shape, read
from jrecipe.train.fitted import Fit
from jrecipe.train.reference import example_inputs
from jrecipe.types import Array, Key, Model, PyTree, TaskError

_ROWS = 256  # per forward pass of a teacher that is asked beforehand


class Taught(NamedTuple):
    """What belongs to the student beside what the teacher says.

    Attributes:
      own: outputs of the student, or labels.
      teacher: logits of the teacher, float[b, ...].
      hidden: float32[b], distance between hidden states; 0 where they do not count.
    """

    own: PyTree
    teacher: Array
    hidden: Array


class Teacher(NamedTuple):
    """A network that is not trained: `(params, state, inputs) -> logits`, and its weights."""

    apply: Callable[..., Any]
    params: PyTree
    state: PyTree


@dataclasses.dataclass(frozen=True)
class DistilLoss:
    """`hard * loss(labels) + (1 - hard) * T^2 * KL(teacher at T || student at T) + hidden`.

    In evaluation, where outputs and targets are plain, it is the loss of the labels.

    Attributes:
      base: the loss of the labels, one of `jr.losses` with probabilities.
      temperature: T, > 0.
      hard: share of the labels, 0 to 1.
      hidden: weight of the distance between hidden states, >= 0.
    """

    base: losses.Loss
    temperature: float
    hard: float
    hidden: float = 0.0

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"distillation, {self.base.name}"

    def __call__(self, outputs: PyTree, targets: PyTree) -> Array:
        """Returns float32[b]."""
        taught = [part for part in (outputs, targets) if isinstance(part, Taught)]
        own = outputs.own if isinstance(outputs, Taught) else outputs
        labels = targets.own if isinstance(targets, Taught) else targets
        value, _ = losses.weighted(self.base, own, labels)
        if not taught:
            return value
        soft = soft_loss(self.base, own, taught[0].teacher, self.temperature)
        return self.hard * value + (1 - self.hard) * soft + self.hidden * taught[0].hidden


def soft_loss(loss: Any, student: Array, teacher: Array, temperature: float) -> Array:
    """Returns `T^2 KL(teacher at T || student at T)`, float32[b].

    The factor keeps its gradient as large as that of the labels at any temperature. As T grows the
    gradient by a student's logit z becomes `(z - t) / c`, the logits centred: matching logits.

    Args:
      loss: says whether logits are of classes or of yes/no; several labels are averaged.
      student: logits float[b, ...].
      teacher: logits of the same shape, or any that differ from them by a constant in each row.
      temperature: T, > 0.

    References:
      Hinton et al., "Distilling the Knowledge in a Neural TaskNetwork", 2015, arXiv:1503.02531,
      section 2.1.
    """
    own, other = (jnp.asarray(x, jnp.float32) / temperature for x in (student, teacher))
    if loss.kind in SIGMOID:
        sides = [(jax.nn.log_sigmoid(s * own), jax.nn.log_sigmoid(s * other)) for s in (1, -1)]
        parts = [jnp.exp(b) * (b - a) for a, b in sides]
        divergence = (parts[0] + parts[1]).reshape(len(own), -1).mean(axis=1)
    else:
        a, b = jax.nn.log_softmax(own), jax.nn.log_softmax(other)
        divergence = (jnp.exp(b) * (b - a)).sum(axis=-1)
    return temperature**2 * divergence


def distil(teacher: Any, student: Task, *, temperature: float = 4.0, hard: float = 0.1) -> Task:
    """Returns a student's task whose loss in training is what a teacher says, softened.

    `jr.fit` trains it as any task; validation and test are scored by labels alone, as before.
    `student_of` takes the network out. Without `augment` the teacher is asked once for every
    training example, beforehand. With it, it is asked in every update about the very pictures that
    the student sees (Beyer et al.), which costs its forward pass there; its weights are then a part
    of the network's other state, and of checkpoints.

    Args:
      teacher: an `Ensemble` (its mean, not calibrated), a `TaskNetwork` or a `jr.Fit`, of the same
        inputs and outputs.
      student: task with a model of any size, and labels; its loss is a cross-entropy of classes or
        of yes/no.
      temperature: by which logits of both are divided, > 0; higher shows more of what the teacher
        holds possible. 2 to 5 are usual.
      hard: share of the loss of the labels, 0 to 1.

    Raises:
      TaskError: if an argument is out of range, there are no probabilities, or outputs of teacher
        and student differ in shape.

    References:
      Hinton et al., "Distilling the Knowledge in a Neural TaskNetwork", 2015, arXiv:1503.02531.
      Beyer et al., "Knowledge Distillation: A Good Teacher is Patient and Consistent", 2022,
      arXiv:2106.05237.
    """
    loss = checked_loss(student, temperature, hard)
    known = _teacher_of(teacher)
    _require_same_outputs(known, student)
    if student.augment is None and in_memory(student.train):
        return student.replace(
            loss=loss, metric=student.metric, train=_asked_before(known, student)
        )
    return student.replace(loss=loss, metric=student.metric, model=_asked_inside(known, student))


def student_of(fit: Any, student: Task) -> TaskNetwork:
    """Returns the network that was trained on a task of `distil`.

    Args:
      fit: a `jr.Fit`, of which the best state counts, or a state with `params` and `model_state`.
      student: the task as it was before `distil`.
    """
    state = getattr(fit, "best", fit)
    own = state.model_state
    if isinstance(own, dict) and own.keys() == {"student", "teacher"}:
        own = own["student"]
    return TaskNetwork(task=student, params=state.params, model_state=own)


def student_fit(fit: Fit, student: Task) -> Fit:
    """Returns the training as one of the plain task, without the teacher in its states.

    Args:
      fit: of a task of `distil`.
      student: the task as it was before `distil`.
    """

    def plain(state: Any) -> Any:
        own = student_of(state, student).model_state
        return dataclasses.replace(state, model_state=own)

    return dataclasses.replace(fit, task=student, state=plain(fit.state), best=plain(fit.best))


def checked_loss(student: Task, temperature: float, hard: float, hidden: float = 0.0) -> DistilLoss:
    """Returns the loss of a student; raises TaskError for what `distil` cannot use."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise TaskError(f"distil needs a temperature > 0, got {temperature!r}; 4 is usual.")
    if not 0 <= hard <= 1:
        raise TaskError(f"distil needs hard as a share, 0 to 1, got {hard!r}; 0.1 is usual.")
    if not (hidden >= 0 and math.isfinite(hidden)):
        raise TaskError(f"distil needs hidden >= 0, got {hidden!r}; 1 is usual.")
    if student.model is None or student.trainer is not None:
        raise TaskError("distil needs a student with a model and jrecipe's trainer.")
    way_out = "give the student the teacher's outputs as targets, by Task.replace(train=...)"
    kind = require_probabilities(student.loss, "distil", way_out)
    if kind == "tokens":
        raise TaskError(
            "distil knows classes and yes/no, got token cross-entropy; write the loss of each "
            "token with jr.losses, or distil the classifier that is made of it."
        )
    assert isinstance(student.loss, losses.Loss)  # as it has a kind
    return DistilLoss(student.loss, float(temperature), float(hard), float(hidden))


def _teacher_of(teacher: Any) -> Teacher:
    if isinstance(teacher, Ensemble):
        # Not calibrated: distillation has a temperature of its own, and what a sharp teacher says
        # of its commonest class would be learnt first.
        model = joint_model(teacher.task, len(teacher))
        return Teacher(model.apply, teacher.params, teacher.model_state)
    task, state = getattr(teacher, "task", None), getattr(teacher, "best", teacher)
    if task is None or task.model is None:
        raise TaskError(
            f"distil needs an Ensemble, a TaskNetwork or a jr.Fit as teacher, got a "
            f"{type(teacher).__name__}."
        )
    return Teacher(task.model.apply, state.params, state.model_state)


def _require_same_outputs(teacher: Teacher, student: Task) -> None:
    inputs = example_inputs(student)
    says = jax.eval_shape(
        lambda p, s, x: teacher.apply(p, s, x)[0], teacher.params, teacher.state, inputs
    )
    own = head_shape(student.model, inputs)
    shapes = [getattr(outputs, "shape", outputs) for outputs in (says, own)]
    if shapes[0] != shapes[1]:
        raise TaskError(
            f"distil needs outputs of one shape, but the teacher gives {shapes[0]} and the student "
            f"{shapes[1]}; give both as many classes."
        )


def _asked_before(teacher: Teacher, student: Task) -> tuple[PyTree, Taught]:
    """Returns the training examples with what the teacher says as a part of their targets."""
    inputs, labels = read(student.train)
    apply = jax.jit(lambda p, s, x: teacher.apply(p, s, x)[0])
    n, said = len(student.train), []
    for start in range(0, n, _ROWS):
        rows = np.minimum(np.arange(start, start + _ROWS), n - 1)  # of one shape
        part = jax.tree.map(lambda x, rows=rows: x[rows], inputs)
        said.append(np.asarray(apply(teacher.params, teacher.state, part)))
    logits = np.concatenate(said)[:n]
    return inputs, Taught(labels, logits, np.zeros(n, np.float32))


def _asked_inside(teacher: Teacher, student: Task) -> Model:
    """Returns the student's network, which in training also returns what the teacher says."""
    model: Model = student.model

    def distance(inputs: PyTree, own: PyTree, said: PyTree) -> tuple[Array, Array, Array]:
        return own, said, jnp.zeros(len(said))

    return taught_model(model, teacher, distance)


def taught_model(
    model: Model, teacher: Teacher, split: Callable[[PyTree, PyTree, PyTree], Any]
) -> Model:
    """Returns a network that in training also asks a teacher about its inputs.

    Args:
      model: the student's.
      teacher: not trained; its weights are a part of the state, so that no program holds them.
      split: `(inputs, outputs of the student, of the teacher) -> (own, teacher, hidden)`, the parts
        of a `Taught`.
    """

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        params, state = model.init(key, inputs)
        # Copies: a step donates its state, and the teacher is used again.
        copied = jax.tree.map(jnp.array, (teacher.params, teacher.state))
        return params, {"student": state, "teacher": copied}

    def apply(
        params: PyTree,
        state: PyTree,
        inputs: PyTree,
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[PyTree, PyTree]:
        outputs, own = model.apply(params, state["student"], inputs, key=key, train=train)
        if not train:
            none = jax.tree.map(jnp.zeros_like, outputs)
            return split(inputs, outputs, none)[0], state
        said = jax.lax.stop_gradient(teacher.apply(*state["teacher"], inputs)[0])
        return Taught(*split(inputs, outputs, said)), {**state, "student": own}

    return Model(init, apply, name=model.name)
