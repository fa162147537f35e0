"""Small tasks that a person could answer."""

from __future__ import annotations

import numpy as np
import optax

import jrecipe as jr

CLASSES = ("cat", "dog", "owl")


def pictures(names=CLASSES, seed=0, rows=20):
    """Returns a task of random pictures 8 x 8, classes in turn."""
    rng = np.random.default_rng(seed)

    def split(n):
        x = rng.uniform(size=(n, 8, 8, 1)).astype(np.float32)
        return x, np.arange(n).astype(np.int32) % len(names)

    return jr.Task(
        model=jr.models.Linear(len(names)),
        loss=jr.losses.softmax_cross_entropy(),
        train=split(2 * len(names)),
        val=split(rows),
        test=split(rows),
        optimizer=optax.sgd(0.1),
        batch_size=4,
        class_names=names,
        name="toy",
    )


def texts(names):
    """Returns the same, shown as texts with markup in them."""
    task = pictures(names)
    return task.replace(decode=lambda x: [f"<b>text {i}</b> \u202eback" for i in range(len(x))])
