"""What a fine-tuning run shows afterwards: forgetting, too few epochs, over-fitting (J7)."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jrecipe.finetune.tuning import FineTuned
from jrecipe.models.t5 import T5
from jrecipe.types import PyTree

FORGOT = 0.5  # cosine between features before and after, below which little of them is left
_ROWS = 64  # texts by which features are compared
_GAP = 2.0  # standard errors that count as a difference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hindsight:
    """Numbers of a finished run.

    Attributes:
      kept: mean cosine in [-1, 1] between the features of texts before and after; 1 is no change.
      val_loss: after each epoch, with the start.
      val_stderr: standard errors of these.
      train_loss: mean loss of the last epoch's batches.
      rate: highest learning rate.
      epochs: passes over the rows.
      rows: training rows.
      swept: whether rates were tried before.
    """

    kept: float
    val_loss: tuple[float, ...]
    val_stderr: tuple[float, ...]
    train_loss: float
    rate: float
    epochs: int
    rows: int
    swept: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pitfall:
    """Something that went wrong, or is likely to have.

    Attributes:
      code: stable, as "forgetting".
      finding: what was seen, one sentence with its numbers.
      remedy: what to try.
    """

    code: str
    finding: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.code}: {self.finding} Try: {self.remedy}"


def look_back(tuned: FineTuned, *, swept: bool = False) -> Hindsight:
    """Measures a finished run.

    Args:
      tuned: the run.
      swept: whether rates were tried before it.
    """
    history = tuned.fit.history
    loss = history["loss"]
    last = max(1, len(loss) // tuned.plan.epochs)
    return Hindsight(
        kept=features_kept(tuned),
        val_loss=tuple(map(float, history["val_loss"])),
        val_stderr=tuple(map(float, history["val_loss_stderr"])),
        train_loss=float(np.mean(loss[-last:])),
        rate=tuned.strategy.rate,
        epochs=tuned.plan.epochs,
        rows=len(tuned.train.source),
        swept=swept,
    )


def features_kept(tuned: FineTuned) -> float:
    """Returns the mean cosine of the mean-pooled features of texts before and after, in [-1, 1].

    The mean over all texts is taken off first, as features of one network share a direction.
    """
    predictor = tuned.predictor
    source = tuned.val.source
    inputs = source.take(np.arange(min(_ROWS, len(source))))[0]
    text = inputs.get("first", inputs)
    text = {name: text[name] for name in ("ids", "mask", "types") if name in text}

    module, writes = predictor.found.module, isinstance(predictor.found.module, T5)
    method = "encode" if writes else "features"

    @jax.jit
    def pooled(params: PyTree) -> jax.Array:
        features = module.apply({"params": params}, text, method=method)
        mask = text["mask"][:, :, None]
        return (features * mask).sum(1) / mask.sum(1)

    body = {name: part for name, part in predictor.found.params.items() if name != "pooler"}
    tuned_body = predictor.params if writes else predictor.params["encoder"]
    before, after = (np.asarray(pooled(p)) for p in (body, tuned_body))
    before, after = (x - x.mean(axis=0) for x in (before, after))
    size = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return float(np.mean((before * after).sum(axis=1) / np.maximum(size, 1e-12)))


def pitfalls_of(seen: Hindsight) -> tuple[Pitfall, ...]:
    """Judges the numbers of a run (J7).

    Returns:
      Of "forgetting", "over-fitting", "too-few-epochs" and "untuned" those that apply.
    """
    loss, stderr = np.array(seen.val_loss), np.array(seen.val_stderr)
    best = int(np.argmin(loss))
    margin = _GAP * float(np.hypot(stderr[best], stderr[-1]))
    rose = bool(loss[-1] - loss[best] > margin)
    found = []
    if seen.kept < FORGOT and (rose or loss[-1] >= loss[0]):
        found.append(
            Pitfall(
                code="forgetting",
                finding=f"the features of texts have a cosine of {seen.kept:.2f} with those before "
                f"fine-tuning, and the validation loss is {loss[-1]:.3f} after {loss[best]:.3f}.",
                remedy=f"a learning rate below {seen.rate:g}, as {seen.rate / 4:.1g}, a longer "
                "warm-up, or --strategy gradual.",
            )
        )
    if rose and seen.train_loss < loss[best] / 2:
        found.append(
            Pitfall(
                code="over-fitting",
                finding=f"the validation loss rose from {loss[best]:.3f} to {loss[-1]:.3f} while "
                f"the training loss fell to {seen.train_loss:.3f} ({seen.rows:,} rows).",
                remedy="fewer epochs, more rows, or --strategy freeze-first or lora.",
            )
        )
    last_gain = float(loss[-2] - loss[-1]) if len(loss) > 1 else 0.0
    if best == len(loss) - 1 and last_gain > margin and seen.train_loss > 0.5 * loss[-1]:
        found.append(
            Pitfall(
                code="too-few-epochs",
                finding=f"the last of {seen.epochs} epochs still lowered the validation loss by "
                f"{last_gain:.3f} to {loss[-1]:.3f}.",
                remedy=f"--epochs {2 * seen.epochs}.",
            )
        )
    if not seen.swept:
        found.append(
            Pitfall(
                code="untuned",
                finding=f"only one learning rate was tried, {seen.rate:g}.",
                remedy="--sweep, which tries several rates, batch sizes and epochs.",
            )
        )
    return tuple(found)
