"""What several networks say together: the mean of their probabilities, as outputs of a loss (F).

The mean is handed on as logits, so that every loss, metric and answer works on an ensemble as on
one network.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.types import Array, PyTree, TaskError

SOFTMAX, SIGMOID = ("classes", "tokens"), ("binary", "multilabel")
_RANGE = (0.05, 20.0)  # of temperatures that are tried


def kind_of(loss: Any, who: str) -> str:
    """Returns the kind of a loss whose outputs can be averaged.

    Raises:
      TaskError: for a loss of the user's own, and for those that decide about several outputs
        together (tags, spans).
    """
    kind = getattr(loss, "kind", None)
    if kind in (*SOFTMAX, *SIGMOID, "number"):
        return str(kind)
    name = getattr(loss, "name", getattr(loss, "__name__", type(loss).__name__))
    raise TaskError(
        f"{who} cannot tell what the outputs of the loss {name} mean together; it knows the "
        "cross-entropies of classes, tokens and yes/no, and l1, l2 and huber: use one of these."
    )


def require_probabilities(loss: Any, who: str, way_out: str) -> str:
    """Returns the kind of a loss whose outputs are logits; raises TaskError for other losses."""
    kind = kind_of(loss, who)
    if kind == "number":
        raise TaskError(f"{who} needs probabilities, and {loss.name} has none; {way_out}.")
    return kind


def mean_outputs(loss: Any, outputs: Array) -> Array:
    """Returns what k networks say together.

    Args:
      loss: one of `jr.losses`; its kind says what outputs are.
      outputs: float[k, b, ...], those of each network.

    Returns:
      float32[b, ...]: the logarithm of the mean probability of each class; the logit of the mean
      probability for yes/no; the mean for numbers.

    Raises:
      TaskError: if outputs of this loss have no mean, see `kind_of`.

    Example:
      >>> sure = jnp.array([[[9.0, -9.0]], [[-9.0, 9.0]]])  # two networks that disagree
      >>> jnp.exp(mean_outputs(losses.softmax_cross_entropy(), sure)).tolist()
      [[0.5, 0.5]]
    """
    kind = kind_of(loss, "an ensemble")
    outputs = jnp.asarray(outputs, jnp.float32)
    if kind == "number":
        return outputs.mean(axis=0)
    if kind in SOFTMAX:
        return _log_mean(jax.nn.log_softmax(outputs, axis=-1))
    return _log_mean(jax.nn.log_sigmoid(outputs)) - _log_mean(jax.nn.log_sigmoid(-outputs))


def _log_mean(logs: Array) -> Array:
    return jax.nn.logsumexp(logs, axis=0) - math.log(len(logs))


def fit_temperature(loss: Any, outputs: PyTree, targets: PyTree) -> float:
    """Returns the temperature by which logits are best divided, > 0.

    It is the one number that makes the mean loss smallest, and changes no decision.

    Args:
      loss: one of `jr.losses` with probabilities.
      outputs: logits float[n, ...], of a split that is not trained on.
      targets: of the same examples.

    Returns:
      From 0.05 to 20; 1 if nothing else is better.

    Raises:
      TaskError: if the loss has no probabilities.

    References:
      Guo et al., "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    way_out = "there is nothing to calibrate: leave calibrate=False"
    require_probabilities(loss, "a temperature", way_out)

    @jax.jit
    def mean_loss(log: Array) -> Array:
        value, weight = losses.weighted(loss, jnp.asarray(outputs) * jnp.exp(-log), targets)
        return losses.weighted_mean(value, weight)

    found = minimize_scalar(
        lambda log: float(mean_loss(log)), bounds=tuple(np.log(_RANGE)), method="bounded"
    )
    better = math.isfinite(found.fun) and found.fun < float(mean_loss(0.0))
    return float(np.exp(found.x)) if better else 1.0
