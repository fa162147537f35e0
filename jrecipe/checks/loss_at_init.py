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
from jrecipe.checks.laws import Law, is_distribution
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.train.compiled import jit_once
from jrecipe.train.evaluate import mean_and_stderr
from jrecipe.types import LossFunction, PyTree

ITEM, CHECK = "B4", "loss-at-init"


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

    means = np.asarray(jit_once(lambda orders: jax.lax.map(one, orders))(orders), np.float64)
    return float(means.mean()), float(means.std(ddof=1))


def judge_loss_at_init(
    *,
    loss: float,
    stderr: float,
    shuffled: float,
    shuffled_sd: float,
    inits_sd: float = 0.0,
    floor: float | None = None,
    zero: float | None = None,
    offset: float | None = None,
    spread: float | None = None,
    unit: float | None = None,
    known: Law | None = None,
    distribution: bool = False,
    pretrained: bool = False,
    labels: bool = True,
    every_init: bool = True,
    inputs_rms: float = 1.0,
    outputs_rms: float = 0.0,
    head: str = "head bias",
    offset_over_inits: float | None = None,
) -> Finding:
    """Judges the loss before the first update.

    Args:
      loss: mean loss per example of the untrained network.
      stderr: its standard error over examples.
      shuffled: mean loss of the same outputs against shuffled targets.
      shuffled_sd: standard deviation of that between shufflings.
      inits_sd: standard deviation of the loss between initialisations. Examples of a class look
        alike, so the outputs of one draw of weights fit the labels by chance, all at once.
      floor: loss of the best constant output, H(prior) for a softmax; None if unknown.
      zero: loss of all-zero outputs, log(n_classes) for a softmax; None if unknown.
      offset: loss of the average output as a constant; None if unknown.
      spread: what the measured spread of the outputs lawfully costs; None if unknown.
      unit: natural size of a difference in this loss (1 nat; the variance of the targets).
      known: the law of the loss, with its scale.
      distribution: whether the outputs are probabilities already.
      pretrained: whether the weights are given rather than drawn; such a network is informed.
      labels: whether the targets are labels. Where they are numbers an untrained network may do
        better than chance on purpose: a residual connection passes its inputs on.
      every_init: whether the loss is lower than with shuffled targets for each of several draws of
        the weights; a single draw is so by chance, all examples of a class at once.
      inputs_rms: root mean square of the inputs, 1 if standardised.
      outputs_rms: root mean square of the outputs.
      head: path of the final bias, if it is known.
      offset_over_inits: as `offset`, for the average output over eight draws of the weights; None
        if it was not needed.

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

    result = concluding(ITEM, CHECK, evidence)

    if not math.isfinite(loss):
        return result(
            Verdict.FAILED,
            f"The loss at initialisation is {loss}.",
            "Look for log(0), a division by zero, or inputs that are not finite.",
            Suspect(cause="not-finite", component="loss", why=f"the untrained loss is {loss}"),
        )
    if known is not None and distribution and known.loss.kind in ("classes", "tokens"):
        return result(
            Verdict.FAILED,
            "The network's outputs are probabilities that sum to 1, and the loss takes logits: it "
            "normalises them a second time.",
            "Drop the softmax at the end of the network, or use a loss of probabilities.",
            Suspect(
                cause="double-softmax",
                component="head",
                where="last axis of the outputs",
                why="every row of outputs is non-negative and sums to 1",
            ),
        )
    if known is not None and known.loss.kind != "number":
        evidence |= {"scale": known.scale, "scale_with_half_the_examples": known.scale_half}
        if known.depends_on_batch or known.per_class:
            how = (
                f"{known.scale:.4g} times with {known.rows} examples and {known.scale_half:.4g} "
                f"times with {known.rows // 2}"
                if known.depends_on_batch
                else f"1/{known.classes} times"
            )
            return result(
                Verdict.FAILED,
                f"The loss of one example is {how} its {known.loss.name}.",
                "Give one number per example: no sum or mean over the batch, none over classes.",
                Suspect(
                    cause="loss-scale",
                    component="loss",
                    where="axis 0, the batch" if known.depends_on_batch else "class axis",
                    why=f"measured on outputs drawn at random, it is {how} {known.loss.name}",
                ),
            )
    slack = 4 * max(shuffled_sd, 1e-6 * max(1.0, abs(shuffled)))
    evidence |= {"low": shuffled - slack, "high": shuffled + slack}
    if floor is not None and zero is not None and offset is not None and spread is not None:
        assert unit is not None
        noise = 4 * math.hypot(stderr if math.isfinite(stderr) else 0.0, inits_sd)
        low, high = floor - noise, offset + max(spread, 0.0) + noise
        evidence |= {"low": low, "high": high}
        informed = loss < shuffled - slack
        if loss < low - 1e-3 * unit and (
            pretrained or (informed and known is not None and known.loss.kind == "number")
        ):
            return result(
                Verdict.PASSED,
                f"The loss before the first update is {loss:.4g}, below the {floor:.4g} of the "
                "best constant: the network starts informed, by given weights or by passing its "
                "inputs on.",
            )
        if loss < low - 1e-3 * unit:
            suspects = (
                Suspect(
                    cause="loss-scale",
                    component="loss",
                    why=f"{loss:.4g} is {loss / floor if floor else 0:.2f} times {floor:.4g}",
                ),
                Suspect(
                    cause="label-leak",
                    component="data",
                    where="inputs",
                    why="an untrained network cannot know the labels; with shuffled ones its loss "
                    f"is {shuffled:.4g}",
                ),
            )
            return result(
                Verdict.FAILED,
                f"The untrained loss is {loss:.4g}, below the {floor:.4g} of the best constant.",
                "The loss is scaled down (averaged over classes too?), or the labels leak in.",
                *(suspects[::-1] if informed else suspects),
            )
        # Nats, or for numbers the variance of the targets: outputs three times as wide as they are.
        if spread > (9 if known is not None and known.loss.kind == "number" else 2) * unit:
            # Usual initialisers keep the size of what enters: outputs then are as large as inputs.
            wide = inputs_rms > 3 and outputs_rms < 3 * inputs_rms
            suspects = (
                Suspect(
                    cause="init-scale",
                    component="init",
                    where="head",
                    why=f"the spread of the outputs costs {spread:.3g}, usual is up to {unit:.3g}",
                ),
                Suspect(
                    cause="data-on-wrong-scale",
                    component="data",
                    where="inputs",
                    why=f"the inputs have root mean square {inputs_rms:.3g}, the outputs "
                    f"{outputs_rms:.3g}",
                ),
            )
            return result(
                Verdict.FAILED,
                f"The untrained outputs are spread so widely that this alone costs {spread:.3g} "
                f"(loss {loss:.4g}, an uninformed network has {zero:.4g}).",
                "Initialise the last layer with zeros or small values; normalise the inputs.",
                *(suspects[::-1] if wide else suspects),
            )
        # What one draw of the weights prefers, the next need not.
        preferred = offset if offset_over_inits is None else offset_over_inits
        if max(preferred, offset - 6 * unit) > zero + 2 * unit + 0.25 * abs(zero):
            return result(
                Verdict.FAILED,
                f"The untrained network prefers a wrong answer: its average output costs "
                f"{offset:.4g}, an output of zeros {zero:.4g}.",
                "Initialise the final bias with jr.init_well(task), or with zeros.",
                Suspect(
                    cause="init-scale",
                    component="init",
                    where=head,
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
    if loss < shuffled - slack and every_init and not pretrained and known is None and labels:
        return result(
            Verdict.WARNED,
            f"The untrained loss {loss:.4g} is lower than with shuffled targets, {shuffled:.4g}, "
            "whichever weights are drawn.",
            "Unless the weights are pre-trained, see whether the inputs contain the targets.",
            Suspect(
                cause="label-leak", component="data", why="pairing matters before any training"
            ),
        )
    if loss < shuffled - slack:
        said = f"The untrained loss is {loss:.4g}, {shuffled:.4g} with shuffled targets: chance, "
        said += "given weights, or inputs that are passed on"
    else:
        said = f"The untrained loss {loss:.4g} is what its outputs score against any pairing with "
        said += f"the targets ({shuffled:.4g})"
    return result(Verdict.PASSED, f"{said}; the loss function states no law of its own.")


def check_loss_at_init(context: Context) -> Finding:
    """Measures and judges the loss of the untrained network (B4)."""
    loss = context.task.loss
    inputs, targets, outputs = context.at_init
    value, weight = context.losses(outputs, targets)
    mean, stderr = mean_and_stderr(np.asarray(value), np.asarray(weight))
    shuffled, shuffled_sd = shuffled_loss(loss, outputs, targets, context.seed)
    known, law = context.law, {}
    if known is not None and math.isfinite(mean):
        shape = tuple(outputs.shape[1:])
        every = context.split("train", 50_000)[1]  # type: ignore[index]
        average = np.asarray(outputs, np.float64).mean(axis=0)
        of = known.loss
        law = {
            "floor": known.scale * of.uninformed(every, shape),
            "zero": known.scale * of.zero_outputs(every, shape),
            "offset": known.scale * of.constant_loss(average, every),
            "spread": known.scale * of.spread_cost(outputs),
            "unit": known.scale * of.unit(every, shape),
        }
        if law["offset"] > law["zero"] + 2 * law["unit"]:
            means = [np.asarray(x, np.float64).mean(axis=0) for _, x in context.other_inits]
            over = np.mean([average, *means], axis=0)
            law["offset_over_inits"] = known.scale * of.constant_loss(over, every)
        noise = 4 * stderr if math.isfinite(stderr) else 0.0
        high = law["offset"] + max(law["spread"], 0.0) + noise
        # Asked only where it matters, as it takes more initialisations.
        if not law["floor"] - noise <= mean <= high:
            law["inits_sd"] = _sd_between_inits(context, mean)
    labels = all(np.asarray(x).dtype.kind in "iub" for x in jax.tree.leaves(targets))
    return judge_loss_at_init(
        loss=mean,
        stderr=stderr,
        shuffled=shuffled,
        shuffled_sd=shuffled_sd,
        every_init=known is None and labels and mean < shuffled and _every_init_is_lower(context),
        known=known,
        distribution=is_distribution(outputs),
        # Asked only where it matters, as it takes a second initialisation.
        pretrained=mean < shuffled and context.pretrained,
        labels=labels,
        inputs_rms=_rms(inputs),
        outputs_rms=_rms(outputs),
        head=context.head_bias[0] if law and context.head_bias else "head bias",
        **law,
    )


def _every_init_is_lower(context: Context) -> bool:
    """Tells whether each other draw of the weights scores better than with shuffled targets.

    Not asked where examples are compared with each other: there it is no leak that inputs of one
    class are alike, and so are their outputs.
    """
    if not context.task.examples_independent:
        return False
    targets = context.at_init[1]
    for _, outputs in context.other_inits:
        value, weight = context.losses(outputs, targets)
        mean = mean_and_stderr(np.asarray(value), np.asarray(weight))[0]
        shuffled, deviation = shuffled_loss(context.task.loss, outputs, targets, context.seed)
        if not mean < shuffled - 4 * deviation:
            return False
    return True


def _sd_between_inits(context: Context, own: float) -> float:
    """Returns the standard deviation of the untrained loss over the draw of the weights."""
    targets, means = context.at_init[1], [own]
    for _, outputs in context.other_inits:
        value, weight = context.losses(outputs, targets)
        means.append(mean_and_stderr(np.asarray(value), np.asarray(weight))[0])
    spread = float(np.std(means, ddof=1))
    return spread if math.isfinite(spread) else 0.0


def _rms(tree: PyTree) -> float:
    leaves = [np.asarray(x) for x in jax.tree.leaves(tree)]
    # The size of ids (tokens) means nothing.
    numbers = [x.astype(np.float64) for x in leaves if x.size and x.dtype.kind not in "biu"]
    return max((float(np.sqrt(np.mean(x**2))) for x in numbers), default=0.0)
