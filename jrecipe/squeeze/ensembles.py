"""Several trained networks as one: their probabilities are averaged (F)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.squeeze.ensemble_mean import fit_temperature, kind_of, mean_outputs
from jrecipe.squeeze.ensemble_scores import EnsembleScores, scores_of
from jrecipe.squeeze.task_network import TaskNetwork, outputs_of, split_of
from jrecipe.task import Task
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.types import Array, Key, Model, PyTree, TaskError


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """K networks of one form, whose outputs are averaged as probabilities.

    Attributes:
      task: of one member.
      params: its parameters, each leaf with a leading axis k.
      model_state: its other state, each leaf with a leading axis k.
      temperature: by which the logarithm of the mean probability is divided; validation chose it.
      seconds: that its training took, NaN if unknown.

    References:
      Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep
      Ensembles", 2017, arXiv:1612.01474.
      Rahaman and Thiery, "Uncertainty Quantification and Deep Ensembles", 2021, arXiv:2007.08792:
      average first, calibrate then.
    """

    task: Task
    params: PyTree
    model_state: PyTree
    temperature: float = 1.0
    seconds: float = float("nan")

    def __len__(self) -> int:
        return len(jax.tree.leaves(self.params)[0])

    @property
    def joint(self) -> Task:
        """The task with all members as one network, whose outputs are the calibrated mean.

        Everything that takes a trained task takes this one, with the parameters of the ensemble.
        """
        return self.task.replace(model=joint_model(self.task, len(self), self.temperature))

    @property
    def size(self) -> int:
        """How many numbers the parameters of all members are."""
        return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(self.params))

    def member(self, i: int) -> TaskNetwork:
        """Returns one of the networks, by its number from 0."""
        params, state = jax.tree.map(lambda x: x[i], (self.params, self.model_state))
        return TaskNetwork(task=self.task, params=params, model_state=state)

    def part(self, which: Sequence[int]) -> Ensemble:
        """Returns the ensemble of some members, not calibrated.

        Raises:
          TaskError: if they are fewer than two.
        """
        if len(which) < 2:
            raise TaskError(f"an ensemble needs 2 members or more, got {list(which)}.")
        rows = np.asarray(which)
        params, state = jax.tree.map(lambda x: x[rows], (self.params, self.model_state))
        return dataclasses.replace(self, params=params, model_state=state, temperature=1.0)

    def predict(self, inputs: PyTree) -> Array:
        """Returns the calibrated mean as outputs of the loss, see `mean_outputs`."""
        return outputs_of(self._joint)((self.params, self.model_state), inputs)

    def evaluate(self, split: str = "val", **options: Any) -> Evaluation:
        """Evaluates the calibrated mean on a split, exactly; options are those of `jr.evaluate`.

        Raises:
          TaskError: if the task has no such split.
        """
        source = split_of(self.task, split, "Ensemble")
        options = {"metric": self.task.metric, **options}
        weights = (self.params, self.model_state)
        return evaluate(outputs_of(self._joint), weights, source, self.task.loss, **options)

    def scores(self, split: str = "val") -> EnsembleScores:
        """Returns what the members and the ensemble score, and what it gains."""
        members = [self.member(i).evaluate(split) for i in range(len(self))]
        return scores_of(self.task, split, members, self.evaluate(split))

    def calibrated(self) -> Ensemble:
        """Returns it with the temperature that is best on the validation split.

        Raises:
          TaskError: if the loss has no probabilities.
        """
        plain = dataclasses.replace(self, temperature=1.0)
        outputs = plain.evaluate("val", keep_outputs=True).outputs
        targets = self.task.val.take(np.arange(len(self.task.val)))[1]
        return dataclasses.replace(
            self, temperature=fit_temperature(self.task.loss, outputs, targets)
        )

    @property
    def _joint(self) -> Task:
        if "joined" not in self.__dict__:
            object.__setattr__(self, "joined", self.joint)  # compiled once for one ensemble
        joined: Task = self.__dict__["joined"]
        return joined


def joint_model(task: Task, members: int, temperature: float = 1.0) -> Model:
    """Returns k networks as one, for parameters with a leading axis k; not to be trained.

    Args:
      task: of one member.
      members: k, >= 2.
      temperature: see `Ensemble`.

    Raises:
      TaskError: if the outputs of its loss have no mean, or `temperature` is not above 0 or not 1
        where there are no probabilities.
    """
    if not (temperature > 0 and np.isfinite(temperature)):
        raise TaskError(f"an ensemble needs a temperature > 0, got {temperature!r}; 1 is as it is.")
    if kind_of(task.loss, "an ensemble") == "number" and temperature != 1:
        raise TaskError(
            f"an ensemble got temperature={temperature!r} with a loss of numbers, which has no "
            "probabilities; leave it at 1."
        )
    model: Model = task.model

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        keys = [jax.random.fold_in(key, i) for i in range(members)]
        pair: tuple[PyTree, PyTree] = stacked([model.init(each, inputs) for each in keys])
        return pair

    def apply(
        params: PyTree,
        state: PyTree,
        inputs: PyTree,
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[PyTree, PyTree]:
        if train:
            raise TaskError("an ensemble is not trained as one network; train its members.")
        # One program in any case. A CPU is slower at batched products, and at convolutions whose
        # kernels are batched by far.
        if jax.default_backend() == "cpu":
            each = [jax.tree.map(lambda x, i=i: x[i], (params, state)) for i in range(members)]
            outputs = jnp.stack([model.apply(*one, inputs, key=key)[0] for one in each])
        else:
            run = lambda p, s: model.apply(p, s, inputs, key=key)[0]  # noqa: E731
            outputs = jax.vmap(run)(params, state)
        return mean_outputs(task.loss, outputs) / temperature, state

    return Model(init, apply, name=f"{members} x {model.name}")


def stacked(trees: Sequence[PyTree]) -> PyTree:
    """Returns trees of one form as one tree, with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def ensemble_of(task: Task, members: Sequence[Any], seconds: float = float("nan")) -> Ensemble:
    """Joins trained networks to an ensemble, not calibrated.

    Args:
      task: that they were trained on.
      members: each a `jr.Fit`, of which the best state counts, or anything with `params` and
        `model_state`; two or more.
      seconds: that their training took.

    Raises:
      TaskError: if there are fewer than two, their parameters differ in form, the task has no
        model, or the outputs of its loss have no mean.
    """
    if task.model is None:
        raise TaskError("an ensemble needs Task.model; a trainer of your own hides its network.")
    if len(members) < 2:
        raise TaskError(f"an ensemble needs 2 members or more, got {len(members)}.")
    kind_of(task.loss, "an ensemble")
    states = [getattr(one, "best", one) for one in members]
    weights = [(one.params, one.model_state) for one in states]
    require_one_form([params for params, _ in weights])
    params, state = stacked(weights)
    return Ensemble(task=task, params=params, model_state=state, seconds=seconds)


def require_one_form(trees: Sequence[PyTree]) -> None:
    """Raises TaskError if parameters differ in structure or shapes, and says where."""

    def shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
        leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
        return {jax.tree_util.keystr(path): np.shape(leaf) for path, leaf in leaves}

    first = shapes(trees[0])
    for i, tree in enumerate(trees[1:], 1):
        other = shapes(tree)
        for name in [*first, *other]:
            if first.get(name) != other.get(name):
                raise TaskError(
                    f"members need parameters of one form, but {name} is {first.get(name)} in "
                    f"member 0 and {other.get(name)} in member {i}; give networks of one task."
                )
