"""B2: the skeleton is simple - stage B runs without augmentation, dropout and decay, and says so.

Augmentation is left out of the task; dropout is taken out of the network where it can be taken
apart. Decay lives inside the optimiser and stays on, so what it does is measured: how much of the
first update comes from the weights rather than from the gradient, and what the same training
reaches when the optimiser is told that all weights are 0.
"""

from __future__ import annotations

import dataclasses

import jax

from jrecipe.checks.arms import ArmResult
from jrecipe.checks.context import DECAYS, Context
from jrecipe.checks.intervals import paired_difference
from jrecipe.checks.probing import as_numpy, disagreement, visible_variables
from jrecipe.checks.result import Finding, Suspect, Verdict

ITEM, CHECK = "B2", "simplify"


def dropout_noise(context: Context) -> tuple[float, float]:
    """Returns the relative change of outputs between two keys: as it is, and simplified."""
    assert context.model is not None
    # Moved weights: a zero-initialised head would hide any randomness behind it.
    params, state = visible_variables(context)
    inputs = context.batch(8).inputs

    def noise(*without: str) -> float:
        a, b = (
            context.apply(params, state, inputs, jax.random.key(i), True, without)[0]
            for i in (1, 2)
        )
        return disagreement(as_numpy(a), as_numpy(b))

    alone = noise()
    return alone, noise("dropout") if alone > 0 and context.model.without is not None else alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecayCost:
    """What weight decay costs, against the same training without it.

    Attributes:
      train: training loss at the end, with decay.
      train_without: the same without.
      gap: mean of (with - without) over training examples.
      gap_stderr: its standard error.
      progress: how far the training loss fell without decay.
      val_gap: mean of (with - without) over validation examples.
      val_gap_stderr: its standard error.
    """

    train: float
    train_without: float
    gap: float
    gap_stderr: float
    progress: float
    val_gap: float
    val_gap_stderr: float

    @property
    def dominates(self) -> bool:
        """Whether decay takes a tenth of the progress, and validation pays for it too."""
        train = self.share > 0.1 and self.gap > 6 * self.gap_stderr
        return train and self.val_gap > 3 * self.val_gap_stderr

    @property
    def share(self) -> float:
        """What decay takes of the progress in training loss; 0 if there is none."""
        return self.gap / self.progress if self.progress > 0 else 0.0


def decay_cost(real: ArmResult, undecayed: ArmResult) -> DecayCost:
    """Compares two arms of the controls example by example."""
    gap, gap_stderr = paired_difference(real.train, undecayed.train)
    val_gap, val_gap_stderr = paired_difference(real.val, undecayed.val)
    return DecayCost(
        train=real.train_mean[0],
        train_without=undecayed.train_mean[0],
        gap=gap,
        gap_stderr=gap_stderr,
        progress=float(undecayed.train_start.mean()) - undecayed.train_mean[0],
        val_gap=val_gap,
        val_gap_stderr=val_gap_stderr,
    )


def judge_simplify(
    *,
    augmented: bool,
    noise: float,
    noise_left: float,
    decay: float,
    cost: DecayCost | None = None,
) -> Finding:
    """Judges whether stage B is simple enough to trust what its other checks say.

    Args:
      augmented: whether the task has an augmentation (left out of stage B).
      noise: relative change of training outputs between two keys, the network as it is.
      noise_left: the same after dropout was taken out.
      decay: see `decay_share`.
      cost: what decay costs in training; None if there is none.
    """
    off = ["augmentation"] * augmented + ["dropout"] * (noise > 0 and noise_left == 0)
    said = (
        f"Stage B runs without {' and '.join(off)}." if off else "Stage B runs the task as it is."
    )
    left = []
    if noise_left > 0:
        left.append("randomness inside the network that cannot be taken out stays on")
    if decay > DECAYS:
        left.append(f"weight decay stays on and turns the first update by {decay:.1%}")
    if left:
        said += " " + "; ".join(left).capitalize() + "."
    elif not off:
        said = "Nothing to simplify: no augmentation, no dropout, no weight decay."
    evidence = {
        "augmentation": augmented,
        "dropout_noise": noise,
        "noise_left": noise_left,
        "decay_share": decay,
        "decay_share_limit": 0.5,
        "train_loss": None if cost is None else cost.train,
        "train_loss_without_decay": None if cost is None else cost.train_without,
    }
    if decay > 0.5:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.FAILED,
            evidence=evidence,
            finding=f"Weight decay, not the loss, decides the first update (share {decay:.0%}).",
            remedy="Lower the weight decay, or use decoupled decay (optax.adamw) at 1e-4 to 1e-2.",
            suspects=(
                Suspect(
                    cause="decay-dominates",
                    component="optimizer",
                    where="weight decay",
                    why=f"the update turns by {decay:.0%} when the weights are taken out of it",
                ),
            ),
        )
    if cost is not None and cost.dominates:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.FAILED if cost.share > 1 / 3 else Verdict.WARNED,
            evidence=evidence,
            finding=f"Weight decay holds the training loss at {cost.train:.4g}; without it the "
            f"same training reaches {cost.train_without:.4g}, and validation gains too.",
            remedy="Lower the weight decay tenfold, or use decoupled decay (optax.adamw).",
            suspects=(
                Suspect(
                    cause="decay-dominates",
                    component="optimizer",
                    where="weight decay",
                    why=f"it costs {cost.gap:.3g} +- {cost.gap_stderr:.2g} on training and "
                    f"{cost.val_gap:.3g} +- {cost.val_gap_stderr:.2g} on validation examples",
                ),
            ),
        )
    return Finding(item=ITEM, check=CHECK, verdict=Verdict.PASSED, evidence=evidence, finding=said)


def check_simplify(context: Context) -> Finding:
    """Measures and judges what remains switched on in stage B (B2)."""
    task = context.task
    if context.foreign or context.model is None:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="The task brings its own trainer; switch augmentation, dropout and decay off "
            "there while you check the skeleton.",
        )
    noise, noise_left = dropout_noise(context)
    arms = context.controls.arms if context.decay_share > DECAYS else {}
    cost = decay_cost(arms["real"], arms["undecayed"]) if arms else None
    return judge_simplify(
        augmented=task.augment is not None,
        noise=noise,
        noise_left=noise_left,
        decay=context.decay_share,
        cost=cost,
    )
