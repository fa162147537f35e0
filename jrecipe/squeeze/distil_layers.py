"""A smaller BERT out of a larger one: every other layer, then its logits and hidden states (F)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.models.adapt_linen import from_linen
from jrecipe.squeeze.distillation import Teacher, checked_loss, taught_model
from jrecipe.squeeze.task_network import TaskNetwork
from jrecipe.task import Task
from jrecipe.types import Array, Key, Model, PyTree, TaskError


def every_other_layer(
    module: nn.Module, params: PyTree, keep: Sequence[int] | None = None
) -> tuple[nn.Module, PyTree]:
    """Returns a network with some of the layers of a trained one, and their weights.

    Args:
      module: with a field `encoder` that has a field `depth`, as `jr.models.TextClassifier` of a
        `jr.models.Bert`.
      params: its parameters: `encoder/layer_0`, `encoder/layer_1`, ...
      keep: numbers of layers, rising; None for half of them, spread from the first to the last, as
        0, 2, 4, 7, 9 and 11 of 12.

    Returns:
      The module, and its parameters as new arrays; all but the layers is the teacher's.

    Raises:
      TaskError: if there are no such layers, or `keep` names none, one twice, or one that is not
        there.

    References:
      Sanh et al., "DistilBERT, a distilled version of BERT", 2019, arXiv:1910.01108, section 3.
    """
    encoder: Any = getattr(module, "encoder", None)
    depth = getattr(encoder, "depth", None)
    if depth is None or f"layer_{depth - 1}" not in params.get("encoder", {}):
        raise TaskError(
            f"every_other_layer needs a network with encoder.depth and the parameters "
            f"encoder/layer_0, ..., got {type(module).__name__} with {sorted(params)}; give a "
            "jr.models.TextClassifier of a jr.models.Bert."
        )
    if keep is None:
        keep = np.linspace(0, depth - 1, max(1, depth // 2)).round().astype(int).tolist()
    kept = list(keep)
    if not kept or sorted(set(kept)) != kept or not 0 <= kept[0] <= kept[-1] < depth:
        raise TaskError(
            f"every_other_layer needs keep as rising numbers from 0 to {depth - 1}, got {kept}."
        )
    parts = {n: part for n, part in params["encoder"].items() if not n.startswith("layer_")}
    parts |= {f"layer_{i}": params["encoder"][f"layer_{old}"] for i, old in enumerate(kept)}
    smaller = module.clone(encoder=encoder.clone(depth=len(kept)))
    return smaller, jax.tree.map(jnp.array, {**params, "encoder": parts})


def distil_encoder(
    teacher: TaskNetwork,
    teacher_module: nn.Module,
    student: Task,
    student_module: nn.Module,
    *,
    start: PyTree = None,
    temperature: float = 2.0,
    hard: float = 0.5,
    hidden: float = 1.0,
) -> Task:
    """Returns a student's task that follows a teacher's logits and its last hidden states.

    The loss is that of `distil`, plus `hidden` times the mean over real tokens of one minus the
    cosine between the two encoders' features. The teacher is asked in every update. `student_of`
    takes the network out.

    Args:
      teacher: the trained network; its weights are those of `teacher_module`.
      teacher_module: with an `encoder` whose `features` are float[b, t, d].
      student: task of the same texts and labels; its model is replaced by `student_module`.
      student_module: the same kind of network, with features of the same width.
      start: parameters to begin with, as `every_other_layer` gives them; None draws them.
      temperature: see `distil`.
      hard: see `distil`.
      hidden: weight of the hidden states, >= 0.

    Raises:
      TaskError: as `distil`, and if the features differ in width.

    References:
      Sanh et al., "DistilBERT, a distilled version of BERT", 2019, arXiv:1910.01108.
    """
    loss = checked_loss(student, temperature, hard, hidden)
    own, other = with_features(student_module), with_features(teacher_module)
    inputs = student.train.take(np.arange(min(2, len(student.train))))[0]
    shapes = []
    for model in (own, other):

        def both(key: Key, model: Model = model) -> PyTree:
            return model.apply(*model.init(key, inputs), inputs)[0]

        shapes.append([x.shape for x in jax.eval_shape(both, jax.random.key(0))])
    if shapes[0] != shapes[1]:
        raise TaskError(
            "distil_encoder needs outputs and features of one shape, but the student has "
            f"{shapes[0]} and the teacher {shapes[1]}; keep the width, and take layers out."
        )
    known = Teacher(other.apply, teacher.params, teacher.model_state)
    model = taught_model(own, known, _apart)
    if start is not None:
        fresh = model.init

        def begin(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
            return jax.tree.map(jnp.array, start), fresh(key, inputs)[1]

        model = Model(begin, model.apply, name=model.name)
    return student.replace(model=model, loss=loss, metric=student.metric)


def with_features(module: nn.Module) -> Model:
    """Returns a network whose outputs are `(outputs, features of its encoder)`, in one pass.

    Args:
      module: with an `encoder` that has a method `features`.
    """
    model = from_linen(module)

    def apply(
        params: PyTree,
        state: PyTree,
        inputs: PyTree,
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[PyTree, PyTree]:
        seen: list[Array] = []

        def watch(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            value = call(*args, **kwargs)
            if context.method_name == "features" and context.module.name == "encoder":
                seen.append(value)
            return value

        with nn.intercept_methods(watch):
            outputs, state = model.apply(params, state, inputs, key=key, train=train)
        if not seen:
            raise TaskError(
                f"{type(module).__name__} did not call `features` of a part named 'encoder'; give "
                "a jr.models.TextClassifier."
            )
        return (outputs, seen[-1]), state

    return Model(model.init, apply, name=model.name)


def _apart(inputs: PyTree, own: PyTree, said: PyTree) -> tuple[Array, Array, Array]:
    """Returns outputs of both, and the distance between their features over real tokens."""
    (outputs, mine), (logits, theirs) = own, said
    real = inputs["mask"]
    norm = lambda x: jnp.sqrt((x * x).sum(axis=-1) + 1e-12)  # noqa: E731
    # Alike where there is padding, so that it adds nothing, and no NaN.
    mine, theirs = (jnp.where(real[..., None], x, 1.0) for x in (mine, theirs))
    cosine = (mine * theirs).sum(axis=-1) / (norm(mine) * norm(theirs))
    distance = (1 - cosine).sum(axis=1) / jnp.maximum(real.sum(axis=1), 1)
    return outputs, logits, distance
