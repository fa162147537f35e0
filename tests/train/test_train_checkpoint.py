"""Checkpoints come back to the bit, or say why not."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import assert_identical, small

import jrecipe as jr
from jrecipe.train import checkpoint_steps, load_checkpoint, reference_trainer, save_checkpoint
from jrecipe.train.checkpoint import _require_room


class Pair(NamedTuple):
    """A node of a tree."""

    left: object
    right: object


STATE = {
    "pair": Pair(jnp.arange(3, dtype=jnp.bfloat16), (np.float32([1.5]), jnp.int32(7))),
    "keys": jax.random.split(jax.random.key(3), 2),
    "other": jax.random.key(1, impl="rbg"),
    "nothing": None,
    "empty": {},
}


def test_keys_named_tuples_and_small_dtypes_come_back(tmp_path):
    save_checkpoint(tmp_path, 5, STATE)
    got = load_checkpoint(tmp_path, STATE)
    assert_identical(got, STATE)
    assert isinstance(got["pair"], Pair)
    assert got["pair"].left.dtype == jnp.bfloat16
    assert jax.random.key_impl(got["other"]) == jax.random.key_impl(STATE["other"])


def test_the_newest_is_loaded_unless_one_is_named(tmp_path):
    for step in (9, 10):
        save_checkpoint(tmp_path, step, {"x": np.float32(step)})
    save_checkpoint(tmp_path, 9, {"x": np.float32(-9)})  # replaces
    (tmp_path / "11.orbax-checkpoint-tmp").mkdir()  # was not finished
    assert checkpoint_steps(tmp_path) == [9, 10]
    assert float(load_checkpoint(tmp_path, {"x": np.float32(0)})["x"]) == 10
    assert float(load_checkpoint(tmp_path, {"x": np.float32(0)}, 9)["x"]) == -9


def test_a_train_state_comes_back_and_nothing_on_disk_is_a_pickle(tmp_path):
    trainer = reference_trainer(small(optimizer=optax.adamw(1e-3)))
    state = trainer.init(jax.random.key(0))
    path = save_checkpoint(tmp_path, 0, state)
    assert path == tmp_path / "0"
    assert_identical(load_checkpoint(tmp_path, trainer.init(jax.random.key(1))), state)
    for file in path.rglob("*"):
        assert file.suffix not in (".pkl", ".pickle")
        assert not (file.is_file() and file.read_bytes()[:2] == b"\x80\x04")


@pytest.mark.parametrize(
    "like",
    [
        {"x": np.zeros(4, np.float32)},
        {"y": np.zeros(3, np.float32)},
        {"x": np.zeros(3, np.float32), "y": np.zeros(3, np.float32)},
    ],
)
def test_the_checkpoint_of_another_model_is_refused(tmp_path, like):
    save_checkpoint(tmp_path, 1, {"x": np.zeros(3, np.float32)})
    with pytest.raises(
        jr.TaskError, match=r"checkpoint .* (does not fit|of other shapes)"
    ) as error:
        load_checkpoint(tmp_path, like)
    assert "\n" not in str(error.value)


def test_a_missing_checkpoint_is_an_error_that_tells_what_there_is(tmp_path):
    with pytest.raises(jr.TaskError, match=r"no checkpoint in .*, found \[\]; name the folder"):
        load_checkpoint(tmp_path / "none", {})
    save_checkpoint(tmp_path, 1, {"x": np.float32(0)})
    with pytest.raises(jr.TaskError, match=r"no checkpoint 2 in .*, found \[1\]"):
        load_checkpoint(tmp_path, {"x": np.float32(0)}, 2)


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    Path(tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        save_checkpoint(tmp_path / "file", 1, {"x": np.float32(0)})


def test_a_disk_without_room_is_an_os_error_before_anything_is_written(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device, .* bytes wanted") as error:
        _require_room(tmp_path / "run", 10**18)
    assert error.value.errno == errno.ENOSPC
    assert list((tmp_path / "run").iterdir()) == []
