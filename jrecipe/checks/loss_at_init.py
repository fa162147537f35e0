"""B4: verify the loss at initialisation, as a two-sided law.

An untrained network knows nothing about which target belongs to which input. So its loss (1) cannot
be below that of the best constant output, (2) must be what its own outputs score against *any*
pairing with the targets, and (3) exceeds that of its average output only by what the spread of its
outputs costs: random logits of variance s^2 cost about s^2 / 2 nats. All three limits come from the
outputs measured, none is tuned.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.train.evaluate import mean_and_stderr
from jrecipe.types import LossFunction, PyTree

ITEM, CHECK = "B4", "loss-at-init"
ROWS = 512


def shuffled_loss(
    loss: LossFunction, outputs: PyTree, targets: PyTree, seed: int, times: int = 16
) -> tuple[float, float]:
    """Measures the loss of outputs against targets of other examples.

    Returns:
      Mean over `times` random pairings, and the standard deviation between pairings: the range in
      which the loss of a network lies that knows nothing about the pairing.
    """
    n = len(jax.tree.leaves(targets)[0])
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(n) for _ in range(times)])

    def one(order: jax.Array) -> jax.Array:
        moved = jax.tree.map(lambda x: jnp.asarray(x)[order], targets)
        value, weight = losses.weighted(loss, outputs, moved)
        return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

    means = np.asarray(jax.jit(lambda orders: jax.lax.map(one, orders))(orders), np.float64)
    return float(means.mean()), float(means.std(ddof=1))


def judge_loss_at_init(
    *,
    loss: float,
    stderr: float,
    shuffled: float,
    shuffled_sd: float,
    floor: float | None = None,
    zero: float | None = None,
    offset: float | None = None,
    spread: float | None = None,
    unit: float | None = None,
) -> Finding:
    """Judges the loss before the first update.

    Args:
      loss: mean loss per example of the untrained network.
      stderr: its standard error over examples.
      shuffled: mean loss of the same outputs against shuffled targets.
      shuffled_sd: standard deviation of that between shufflings.
      floor: loss of the best constant output, H(prior) for a softmax; None if unknown.
      zero: loss of all-zero outputs, log(n_classes) for a softmax; None if unknown.
      offset: loss of the average output as a constant; None if unknown.
      spread: what the measured spread of the outputs lawfully costs; None if unknown.
      unit: natural size of a difference in this loss (1 nat; the variance of the targets).

    Source: Karpathy, "A Recipe for Training Neural Networks", 2019, "verify loss @ init".
    """
    evidence: dict[str, float | None] = {
        "loss": loss,
        "stderr": stderr,
        "shuffled": shuffled,
        "floor": floor,
        "zero_outputs": zero,
        "average_output": offset,
        "spread_cost": spread,
    }

    def result(verdict: Verdict, finding: str, remedy: str = "", *suspects: Suspect) -> Finding:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=verdict,
            evidence=evidence,
            finding=finding,
            remedy=remedy,
            suspects=suspects,
        )

    if not math.isfinite(loss):
        return result(
            Verdict.FAILED,
            f"The loss at initialisation is {loss}.",
            "Look for log(0), a division by zero, or inputs that are not finite.",
            Suspect(cause="not-finite", component="loss", why=f"the untrained loss is {loss}"),
        )
    slack = 4 * max(shuffled_sd, 1e-6 * max(1.0, abs(shuffled)))
    evidence |= {"low": shuffled - slack, "high": shuffled + slack}
    if floor is not None and zero is not None and offset is not None and spread is not None:
        assert unit is not None
        noise = 4 * stderr if math.isfinite(stderr) else 0.0
        low, high = floor - noise, offset + max(spread, 0.0) + noise
        evidence |= {"low": low, "high": high}
        if loss < low - 1e-3 * unit:
            return result(
                Verdict.FAILED,
                f"The untrained loss is {loss:.4g}, below the {floor:.4g} of the best constant.",
                "The loss is scaled down (averaged over classes too?), or the labels leak in.",
                Suspect(
                    cause="loss-scale",
                    component="loss",
                    why=f"{loss:.4g} is {loss / floor if floor else 0:.2f} times {floor:.4g}",
                ),
                Suspect(
                    cause="label-leak",
                    component="data",
                    why="an untrained network cannot know the labels",
                ),
            )
        if spread > 2 * unit:
            return result(
                Verdict.FAILED,
                f"The untrained outputs are spread so widely that this alone costs {spread:.3g} "
                f"(loss {loss:.4g}, an uninformed network has {zero:.4g}).",
                "Initialise the last layer with zeros or small values; normalise the inputs.",
                Suspect(
                    cause="init-scale",
                    component="init",
                    where="head",
                    why=f"the spread of the outputs costs {spread:.3g}, lawful is about 0.5",
                ),
                Suspect(
                    cause="data-on-wrong-scale", component="data", why="large inputs do the same"
                ),
            )
        if offset > zero + 2 * unit + 0.25 * abs(zero):
            return result(
                Verdict.FAILED,
                f"The untrained network prefers a wrong answer: its average output costs "
                f"{offset:.4g}, an output of zeros {zero:.4g}.",
                "Initialise the final bias with jr.init_well(task), or with zeros.",
                Suspect(
                    cause="init-scale",
                    component="init",
                    where="head bias",
                    why=f"the average output alone costs {offset - zero:.3g} more than zeros",
                ),
            )
        if loss > high + 1e-3 * unit:
            return result(
                Verdict.FAILED,
                f"The untrained loss is {loss:.4g}; uninformed, it is {low:.4g} to {high:.4g}.",
                "The outputs do worse than chance on these targets: look at how they are paired.",
                Suspect(
                    cause="loss-scale",
                    component="loss",
                    why=f"{loss:.4g} is {loss / high:.2f} times what the outputs can explain",
                ),
            )
        return result(
            Verdict.PASSED,
            f"The untrained loss is {loss:.4g}; an uninformed network scores {low:.4g} to "
            f"{high:.4g}.",
        )
    if abs(loss - shuffled) > slack and loss < shuffled:
        return result(
            Verdict.WARNED,
            f"The untrained loss {loss:.4g} is lower than with shuffled targets, {shuffled:.4g}.",
            "Unless the weights are pre-trained, see whether the inputs contain the targets.",
            Suspect(
                cause="label-leak", component="data", why="pairing matters before any training"
            ),
        )
    return result(
        Verdict.PASSED,
        f"The untrained loss {loss:.4g} is what its outputs score against any pairing with the "
        f"targets ({shuffled:.4g}); the loss function states no law of its own.",
    )


def check_loss_at_init(context: Context) -> Finding:
    """Measures and judges the loss of the untrained network (B4)."""
    loss = context.task.loss
    inputs, targets = context.split("train", ROWS)  # type: ignore[misc]
    outputs = context.predict(context.fresh_state(), inputs)
    value, weight = context.losses(outputs, targets)
    mean, stderr = mean_and_stderr(np.asarray(value), np.asarray(weight))
    shuffled, shuffled_sd = shuffled_loss(loss, outputs, targets, context.seed)
    law: dict[str, float] = {}
    if isinstance(loss, losses.Loss):
        shape = tuple(outputs.shape[1:])
        every = context.split("train", 50_000)[1]  # type: ignore[index]
        law = {
            "floor": loss.uninformed(every, shape),
            "zero": loss.zero_outputs(every, shape),
            "offset": loss.constant_loss(np.asarray(outputs, np.float64).mean(axis=0), every),
            "spread": loss.spread_cost(outputs),
            "unit": loss.unit(every, shape),
        }
    return judge_loss_at_init(
        loss=mean, stderr=stderr, shuffled=shuffled, shuffled_sd=shuffled_sd, **law
    )
