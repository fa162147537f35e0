"""The base programs: small, healthy, quick to train, on real or drawn data.

Each is a function `(seed, **changes) -> Task`; the changes are fields of the task (and `data`), or
parts of the loop where the training code is the user's own.
"""

from __future__ import annotations

from collections.abc import Callable

import jrecipe as jr
from gallery.bases_digits import digits_cnn, digits_mlp, finetune
from gallery.bases_loops import (
    cnn_loop,
    digits_loop,
    finetune_loop,
    regression_loop,
    tagger_loop,
)
from gallery.bases_pictures import segmentation
from gallery.bases_sequences import char_lm, tagger
from gallery.bases_tables import regression, tabular_imbalanced

BASES: dict[str, Callable[..., jr.Task]] = {
    "digits_mlp": digits_mlp,
    "digits_cnn": digits_cnn,
    "tabular_imbalanced": tabular_imbalanced,
    "regression": regression,
    "char_lm": char_lm,
    "tagger": tagger,
    "segmentation": segmentation,
    "finetune": finetune,
    "digits_loop": digits_loop,
    "cnn_loop": cnn_loop,
    "regression_loop": regression_loop,
    "tagger_loop": tagger_loop,
    "finetune_loop": finetune_loop,
}
