"""An augmentation that breaks its contract stops the training with a sentence (D2)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jrecipe as jr

X = np.linspace(0, 1, 16 * 8 * 8, dtype=np.float32).reshape(16, 8, 8, 1)
Y = (np.arange(16) % 4).astype(np.int32)


class Words(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(4)(jnp.where(x["mask"], x["tokens"], 0.0))


def own_loss(outputs, targets):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets["label"])


def trained(inputs=X, targets=Y, **changes) -> jr.Fit:
    loss = own_loss if isinstance(targets, dict) else jr.losses.softmax_cross_entropy()
    task = jr.Task(
        model=jr.models.MLP(4, width=4, depth=1),
        loss=loss,
        train=(inputs, targets),
        val=(inputs, targets),
        optimizer=optax.adam(1e-3),
        batch_size=8,
    )
    return jr.fit(task.replace(**changes), 1, progress=False)


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("augment", "says"),
    [
        (lambda key, batch: batch._replace(inputs=batch.inputs[:, ::2]), r"to float32\[8,4,8,1\]"),
        (lambda key, batch: jax.tree.map(lambda x: x[:4], batch), r"to float32\[4,8,8,1\]"),
        (lambda key, batch: batch._replace(inputs=batch.inputs.astype(jnp.bfloat16)), "bfloat16"),
        (lambda key, batch: (batch.inputs, batch.targets), "returned a tuple; return a Batch"),
    ],
    ids=["shape", "rows", "dtype", "type"],
)
def test_what_breaks_the_contract_is_named(augment, says):
    with pytest.raises(jr.TaskError, match=says):
        trained(augment=augment)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_soft_targets_are_no_breach():
    assert trained(augment=jr.augment.mixup(0.2, classes=4)).steps == 1


BOXES = np.tile(np.float32([[[0, 0, 4, 4]]]), (16, 1, 1))
OUTSIDE = np.where(np.arange(16)[:, None, None] == 3, np.float32([0, 0, 9, 4]), BOXES)


@pytest.mark.slow
@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("name", "leaf", "says"),
    [
        ("boxes", OUTSIDE, r"inside the picture of width 8 .* example 3"),
        ("boxes", BOXES[:, :, ::-1].copy() - [0, 0, 1, 1], "boxes"),
        ("mask", np.zeros((16, 4, 4), np.int32), "size of the pictures"),
    ],
    ids=["outside", "turned around", "mask of another size"],
)
def test_what_cannot_move_with_its_picture_is_named_before_training(name, leaf, says):
    targets = {"label": Y, name: np.asarray(leaf, leaf.dtype)}
    with pytest.raises(jr.TaskError, match=says):
        trained(targets=targets, augment=jr.augment.random_flip())
    assert trained(targets=targets).steps == 1  # nothing moves without an augmentation
    healthy = {"boxes": BOXES, "mask": np.zeros((16, 8, 8), np.int32)}[name]
    assert trained(targets={"label": Y, name: healthy}, augment=jr.augment.random_flip()).steps == 1


@pytest.mark.exhaustive
def test_the_mask_of_a_text_is_none_of_a_picture():
    inputs = {"tokens": np.ones((16, 6), np.float32), "mask": np.ones((16, 6), bool)}
    assert trained(inputs, augment=lambda key, batch: batch, model=Words()).steps == 1
