"""Mean weights of several networks: one network's cost, if they lie in one valley (F)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.squeeze.ensemble_scores import score_of
from jrecipe.squeeze.ensembles import Ensemble
from jrecipe.squeeze.task_network import TaskNetwork, refresh_statistics
from jrecipe.types import Array, TaskError


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Soup(TaskNetwork):
    """A network whose weights are the mean of some members'.

    Attributes:
      kept: numbers of the members in it, in the order in which they went in.
      val: score on the validation split, which chose them; too good by that.
      best_member: that of the best member there, never above `val`.
    """

    kept: tuple[int, ...]
    val: float
    best_member: float

    def __str__(self) -> str:
        return (
            f"soup of {len(self.kept)} members: validation score {self.val:.4g}, the best member "
            f"{self.best_member:.4g}"
        )


def mean_weights(members: Ensemble, which: Sequence[int]) -> TaskNetwork:
    """Returns the network of mean weights of some members, its statistics made anew.

    Args:
      members: the networks.
      which: their numbers, one or more. The network of one is the member itself.

    Raises:
      TaskError: if there are none.
    """
    if not which:
        raise TaskError("mean_weights needs a member or more, got none.")
    if len(which) == 1:
        return members.member(which[0])
    rows = np.asarray(which)

    def mean(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):  # a counter, alike in all
            return leaf[rows[0]]
        return leaf[rows].astype(jnp.float32).mean(axis=0).astype(leaf.dtype)

    params, state = jax.tree.map(mean, (members.params, members.model_state))
    return refresh_statistics(TaskNetwork(task=members.task, params=params, model_state=state))


def greedy_soup(members: Ensemble) -> Soup:
    """Averages the weights of those members that do not make the validation score worse.

    Members go in from the best to the worst, and each stays only if the score of the mean weights
    does not fall. So the soup is never worse on the validation split than the best member, and is
    the best member alone where networks have nothing in common: weights of networks that began from
    different draws are unlike each other unit by unit, and their mean is no network. Give members
    of one beginning: `jr.squeeze.ensemble(task, shared=...)`, or fine-tunings of the same
    pre-trained weights, which is what soups are for.

    Args:
      members: trained networks of one task, as `ensemble` or `ensemble_of` gives them.

    References:
      Wortsman et al., "Model Soups: Averaging Weights of Multiple Fine-Tuned Models Improves
      Accuracy without Increasing Inference Time", 2022, arXiv:2203.05482, recipe 1.
      Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis", 2020,
      arXiv:1912.05671: how soon runs of one beginning stay in one valley.
    """
    alone = [score_of(members.member(i).evaluate("val")) for i in range(len(members))]
    order = np.argsort(-np.array(alone), kind="stable").tolist()
    kept, found, best = order[:1], members.member(order[0]), alone[order[0]]
    for i in order[1:]:
        tried = mean_weights(members, [*kept, i])
        score = score_of(tried.evaluate("val"))
        if score >= best:
            kept, found, best = [*kept, i], tried, score
    return Soup(
        task=members.task,
        params=found.params,
        model_state=found.model_state,
        kept=tuple(kept),
        val=best,
        best_member=alone[order[0]],
    )
