"""The arms of the controls: what each changes about training, and what it did."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from jrecipe.train.evaluate import mean_and_stderr
from jrecipe.types import Batch, PyTree

STRIDE = 15  # updates between two looks at the predictions


@dataclasses.dataclass(frozen=True)
class Arm:
    """One change to the training of the task.

    Attributes:
      name: of the arm.
      blank: every input is replaced by the same one.
      shuffled: targets are permuted among the training examples.
      few: the same few examples in every batch.
      rate: factor on every update, as on the learning rate.
      well: the final bias is initialised from the targets.
      undecayed: the optimiser is told that all weights are 0, so that nothing decays.
    """

    name: str
    blank: bool = False
    shuffled: bool = False
    few: bool = False
    rate: float = 1.0
    well: bool = False
    undecayed: bool = False


ARMS = (
    Arm("real"),
    Arm("blank", blank=True),
    Arm("shuffled", shuffled=True),
    Arm("rate/10", rate=0.1),
    Arm("rate/100", rate=0.01),
    Arm("rate*10", rate=10.0),
    Arm("few", few=True),
    Arm("few, rate/10", few=True, rate=0.1),
    Arm("few, rate*10", few=True, rate=10.0),
    Arm("few, rate/100", few=True, rate=0.01),
    Arm("few, rate*100", few=True, rate=100.0),
)
WELL = Arm("well", well=True)
UNDECAYED = Arm("undecayed", undecayed=True)
FOREIGN_ARMS = tuple(arm for arm in ARMS if arm.rate == 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What one arm did.

    Attributes:
      arm: which.
      steps: updates applied; fewer than planned if time ran out.
      train_loss: float[steps], loss of each training batch before its update.
      looks: int[s], steps at which the predictions on the probe were taken, from 0.
      probe: outputs on the probe at each look, leading axes [s, p].
      val: float[v], loss of each validation example at the end, real inputs (blank ones for a
        blank arm).
      train: float[t], loss of each of up to 512 training examples at the end, under the arm's
        inputs and targets.
      few_outputs: outputs on the few examples at the end.
      few: float[f], their loss.
      val_metric: float[v], metric of each validation example at the end; NaN without a metric.
      train_start: float[t], as `train` but before the first update.
      few_start: float[f], as `few` but before the first update.
      moved: parameter path -> size of its change, relative to the size of all parameters.
      variables: `(params, state)` of the model at the end; None with a foreign trainer.
    """

    arm: Arm
    steps: int
    train_loss: np.ndarray
    looks: np.ndarray
    probe: PyTree
    val: np.ndarray
    train: np.ndarray
    few_outputs: PyTree
    few: np.ndarray
    val_metric: np.ndarray
    train_start: np.ndarray
    few_start: np.ndarray
    moved: Mapping[str, float]
    variables: tuple[PyTree, PyTree] | None = None

    @property
    def val_mean(self) -> tuple[float, float]:
        """Mean validation loss and its standard error."""
        return mean_and_stderr(self.val, np.ones_like(self.val))

    @property
    def train_mean(self) -> tuple[float, float]:
        """Mean training loss at the end and its standard error."""
        return mean_and_stderr(self.train, np.ones_like(self.train))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controls:
    """The results of all arms and the examples they used.

    Attributes:
      arms: name -> result.
      planned: updates that each arm should have made.
      few: the few examples, each once.
      probe: inputs and targets whose predictions were followed.
      val_targets: targets of the validation examples scored.
      seconds: wall time, compilation included.
    """

    arms: Mapping[str, ArmResult]
    planned: int
    few: Batch
    probe: Batch
    val_targets: PyTree
    seconds: float
