"""Training: pure steps, compiled loops, exact evaluation, checkpoints."""

from jrecipe.train import loggers, schedules
from jrecipe.train.averaging import averaged, ema, swa
from jrecipe.train.checkpoint import checkpoint_steps, load_checkpoint, save_checkpoint, unstorable
from jrecipe.train.clock import Clock
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.train.fitted import Fit
from jrecipe.train.frozen import freeze, frozen_mask
from jrecipe.train.history import History
from jrecipe.train.init_well import find_head_bias, init_well
from jrecipe.train.layout import Layout
from jrecipe.train.leaf_adam import scale_by_leaf_adam
from jrecipe.train.loop import fit
from jrecipe.train.loss_scaling import loss_scale, loss_scaled
from jrecipe.train.memory import keep_memory
from jrecipe.train.processes import join_processes
from jrecipe.train.quick_on_cpu import quick_on_cpu
from jrecipe.train.rate_finder import LrFind, lr_find
from jrecipe.train.reference import reference_trainer, trainer_of
from jrecipe.train.state import TrainState, create_state
from jrecipe.train.step import make_loss_fn, make_train_step, make_update
from jrecipe.unfreezing import Unfreezing

__all__ = [
    "Clock",
    "Evaluation",
    "Fit",
    "History",
    "Layout",
    "LrFind",
    "TrainState",
    "Unfreezing",
    "averaged",
    "checkpoint_steps",
    "create_state",
    "ema",
    "evaluate",
    "find_head_bias",
    "fit",
    "freeze",
    "frozen_mask",
    "init_well",
    "join_processes",
    "keep_memory",
    "load_checkpoint",
    "loggers",
    "loss_scale",
    "loss_scaled",
    "lr_find",
    "make_loss_fn",
    "make_train_step",
    "make_update",
    "quick_on_cpu",
    "reference_trainer",
    "save_checkpoint",
    "scale_by_leaf_adam",
    "schedules",
    "swa",
    "trainer_of",
    "unstorable",
]
