"""D13: What happens inside a network, layer by layer, after training or before?

The best state of a run is looked at on a batch of validation examples, in evaluation mode: one
compiled program for what comes out of the layers, one for the gradient of the loss.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.checks.inside_filters import Filters, first_filters
from jrecipe.checks.inside_judge import judge_inside
from jrecipe.checks.inside_layers import LayerInside, measure_layers
from jrecipe.checks.inside_shown import drawn, table
from jrecipe.checks.network_layers import model_layers, predictor_layers
from jrecipe.checks.parameter_paths import by_path
from jrecipe.checks.result import Finding, Verdict
from jrecipe.figures import Figure, Table
from jrecipe.task import Task
from jrecipe.train.compiled import jit_once
from jrecipe.train.fitted import Fit
from jrecipe.train.frozen import path_name
from jrecipe.train.reference import trainer_of
from jrecipe.types import Array, PyTree, TaskError

ROWS = 256
NOT_SEEN = "not_looked_at"  # in the evidence of the finding


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inside:
    """What was seen inside a network.

    Attributes:
      task: name of the task.
      split: whose examples were passed through.
      rows: how many.
      layers: what comes out of each layer, in the order of the network.
      gradients: parameter path -> norm of the gradient of the loss on these examples, relative to
        the norm of the weights; NaN for weights that are all 0. Empty with a foreign trainer.
      filters: of the first layer, None where `notes` says why not.
      notes: what could not be looked at, and why.
    """

    task: str
    split: str
    rows: int
    layers: tuple[LayerInside, ...]
    gradients: dict[str, float]
    filters: Filters | None
    notes: tuple[str, ...] = ()

    def complaints(self) -> Finding:
        """Returns what is wrong, as a finding without pictures; PASSED if nothing is."""
        return judge_inside(self.layers, self.gradients)

    def table(self, most: int | None = None) -> Table:
        """Returns a row per layer, worst first; at most `most`."""
        return table(self.layers, self.gradients, most)

    def figures(self) -> tuple[Figure, ...]:
        """Returns table, histograms (12 layers at most) and first-layer filters (18 at most)."""
        return drawn(self.layers, self.gradients, self.filters)

    def markdown(self) -> str:
        """Returns the whole table as Markdown."""
        return self.table().markdown()

    def __str__(self) -> str:
        head = f"{self.task}: {len(self.layers)} layers on {self.rows} {self.split} examples"
        return "\n".join([head, str(self.complaints()), self.markdown(), *self.notes])


def look_inside(
    what: Fit | Task, *, split: str = "val", rows: int = ROWS, best: bool = True, seed: int = 0
) -> Inside:
    """Looks inside a network: histograms, dead and saturated units, gradients, filters (D13).

    It looks at the program of the network, and so works for Linen, NNX, plain functions and what a
    foreign trainer's `predict` does, if JAX can trace it.

    Args:
      what: a run, or a task, whose network is looked at before training.
      split: "train", "val" or "test": whose examples to pass through.
      rows: how many of them, spread evenly; all if there are fewer.
      best: the best state of a run by validation loss, or else the last.
      seed: of the weights before training, for a task.

    Raises:
      TaskError: if `what` is neither, there is no such split, `rows` is not positive, or a foreign
        trainer's `predict` cannot be traced.

    Example:
      >>> import jrecipe as jr, numpy as np, optax
      >>> data = np.ones((8, 4), np.float32), np.arange(8) % 2
      >>> task = jr.Task(model=jr.models.MLP(2, width=3), train=data, val=data,
      ...     loss=jr.losses.softmax_cross_entropy(), optimizer=optax.adam(1e-3), batch_size=4)
      >>> [(layer.path, layer.kind) for layer in jr.look_inside(task).layers]
      [('dense0/kernel', 'relu'), ('dense1/kernel', 'relu'), ('output/dense/kernel', 'linear')]
    """
    if isinstance(what, Fit):
        task, state = what.task, what.best if best else what.state
        trainer = trainer_of(task)
    elif isinstance(what, Task):
        task, trainer = what, trainer_of(what)
        state = trainer.init(jax.random.key(seed))
    else:
        raise TaskError(
            f"look_inside needs what jr.fit returned, or a jr.Task, got {type(what).__name__}."
        )
    source = task.splits.get(split)
    if source is None:
        raise TaskError(f"look_inside has no split {split!r}; there are {[*task.splits]}.")
    if rows < 1:
        raise TaskError(f"look_inside needs rows >= 1, got {rows}.")
    picked = np.linspace(0, len(source) - 1, min(rows, len(source))).astype(int)
    inputs, targets = jax.tree.map(jnp.asarray, source.take(picked))
    params, notes = trainer.params(state), []
    if task.trainer is None:
        assert task.model is not None
        layers = model_layers(task.model, params, state.model_state, inputs)
        gradients = _gradients(task, params, state.model_state, inputs, targets)
    else:
        found = predictor_layers(lambda x: trainer.predict(state, x), params, inputs)
        if found is None:
            raise TaskError(
                "look_inside needs a network that JAX can trace, but the `predict` of the task's "
                "own trainer cannot be; give the network as jr.Task(model=...), without a trainer."
            )
        layers, gradients = found, {}
        notes.append("A foreign trainer does not show its gradients.")
    looped = sum(product.value_out < 0 for product in layers.flow.products)
    if looped:
        notes.append(f"{looped} layers run inside a loop and have no single output to look at.")
    shape = inputs.shape if hasattr(inputs, "shape") else None
    filters = first_filters(layers, by_path(params), shape)
    if isinstance(filters, str):
        notes.append(filters)
    return Inside(
        task=task.name,
        split=split,
        rows=len(picked),
        layers=measure_layers(layers),
        gradients=gradients,
        filters=None if isinstance(filters, str) else filters,
        notes=tuple(notes),
    )


def check_inside(fit: Fit) -> Finding:
    """Looks inside the best state of a run and judges it (D13)."""
    try:
        inside = look_inside(fit)
    except TaskError as error:
        return Finding(item="D13", check="inside", verdict=Verdict.SKIPPED, finding=str(error))
    finding = inside.complaints()
    more = {NOT_SEEN: " ".join(inside.notes)} if inside.notes else {}
    return dataclasses.replace(
        finding, evidence={**finding.evidence, **more}, figures=inside.figures()
    )


def _gradients(
    task: Task, params: PyTree, state: PyTree, inputs: PyTree, targets: PyTree
) -> dict[str, float]:
    """Returns the norm of the gradient of each parameter, relative to that of the parameter."""
    model, loss = task.model, task.loss
    assert model is not None

    def relative(params: PyTree, state: PyTree, inputs: PyTree, targets: PyTree) -> list[Array]:
        def mean_loss(params: PyTree) -> Array:
            outputs = model.apply(params, state, inputs)[0]
            value, weight = losses.weighted(loss, outputs, targets)
            return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

        grads = jax.grad(mean_loss, allow_int=True)(params)
        pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(params), strict=True)
        return [_norm(g) / _norm(w) for g, w in pairs if g.dtype != jax.dtypes.float0]

    names = [
        path_name(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.inexact)
    ]
    found: Any = jax.device_get(jit_once(relative)(params, state, inputs, targets))
    # A bias that is still all zeros has no size to compare its gradient with.
    return {
        name: float(x) if np.isfinite(x) else float("nan")
        for name, x in zip(names, found, strict=True)
    }


def _norm(leaf: Array) -> Array:
    return jnp.linalg.norm(leaf.astype(jnp.float32).reshape(-1))
