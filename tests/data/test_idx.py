import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jrecipe.data.idx import is_idx_folder, load_idx, read_idx
from jrecipe.types import TaskError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array, code=0x08):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    big = array.astype(array.dtype.newbyteorder(">"))
    return bytes([0, 0, code, array.ndim]) + sizes + big.tobytes()


def write(path, data):
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def mnist_like(folder, end="", train=60, test=20, prefix=""):
    rng = np.random.default_rng(0)
    made = {}
    for split, n in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (n, 5, 4), dtype=np.uint8)
        labels = (np.arange(n) % 3).astype(np.uint8)
        write(folder / f"{prefix}{split}-images-idx3-ubyte{end}", idx_bytes(images))
        write(folder / f"{prefix}{split}-labels-idx1-ubyte{end}", idx_bytes(labels))
        made[split] = images, labels
    return made


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    dtype=st.sampled_from(sorted(CODES)),
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    end=st.sampled_from(["", ".gz"]),
    seed=st.integers(0, 2**32),
)
def test_every_type_and_shape_is_read_back(tmp_path, dtype, shape, end, seed):
    array = np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)
    path = tmp_path / f"some-idx{end}"
    write(path, idx_bytes(array, CODES[dtype]))
    got = read_idx(path)
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_folder_of_the_family_is_loaded(tmp_path, end):
    made = mnist_like(tmp_path, end)
    assert is_idx_folder(tmp_path)
    splits = load_idx(tmp_path, seed=1)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (48, 12, 20)
    assert np.bincount(splits.val.targets).tolist() == [4, 4, 4]
    images, labels = made["t10k"]
    np.testing.assert_array_equal(splits.test.targets, labels)
    decoded = splits.encoder.decode(splits.test.inputs)[..., 0]
    np.testing.assert_allclose(decoded, images / 255.0, atol=1e-5)
    assert "val" in splits.notes[0]


def test_the_encoder_is_fitted_on_the_training_split_only(tmp_path):
    mnist_like(tmp_path)
    splits = load_idx(tmp_path)
    assert abs(splits.train.inputs.mean()) < 1e-5
    assert abs(splits.train.inputs.std() - 1.0) < 1e-5
    assert abs(splits.test.inputs.mean()) > 1e-5


def test_class_names_are_read(tmp_path):
    mnist_like(tmp_path)
    (tmp_path / "labels.txt").write_text("shirt\nbag\nboot\n", encoding="utf-8")
    assert load_idx(tmp_path).class_names == ("shirt", "bag", "boot")


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a", GOOD[:-1], "cut short: shape 2x3x4 needs 40 bytes, it has 39"),
        ("a", GOOD + b"x", "too long"),
        ("a", GOOD[:9], "header says 3 axes"),
        ("a", b"PK\3\4" + GOOD, "no IDX file: it starts with 50 4b 03 04"),
        ("a", b"", "starts with nothing"),
        ("a", b"\0\0\x07\1" + GOOD, "no IDX file"),
        ("a.gz", gzip.compress(GOOD)[:-9], "cut short"),
        ("a.gz", GOOD, "damaged"),
        ("a.gz", gzip.compress(GOOD)[:12] + b"\xff\xff\xff" + gzip.compress(GOOD)[15:], "damaged"),
    ],
    ids=[
        "cut",
        "too-long",
        "short-header",
        "a-zip",
        "empty",
        "wrong-type",
        "cut-gzip",
        "no-gzip",
        "damaged-gzip",
    ],
)
def test_damaged_files_are_named(tmp_path, name, data, words):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(TaskError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_incomplete_folders_are_refused(tmp_path):
    mnist_like(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(TaskError, match="no train labels"):
        load_idx(tmp_path)
    write(tmp_path / "train-labels-idx1-ubyte", idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(TaskError, match="60 pictures, but train-labels-idx1-ubyte has 3"):
        load_idx(tmp_path)
    mnist_like(tmp_path, prefix="letters-")
    with pytest.raises(TaskError, match="two data sets"):
        load_idx(tmp_path)
    with pytest.raises(TaskError, match="does not exist"):
        read_idx(tmp_path / "nothing")


def test_fashion_mnist_is_what_its_authors_publish():
    root = os.environ.get("JRECIPE_DATA")
    if root is None:
        pytest.skip("JRECIPE_DATA does not name a folder with fashion_mnist")
    folder = Path(root) / "fashion_mnist"
    images = read_idx(folder / "train-images-idx3-ubyte.gz")
    assert images.shape == (60_000, 28, 28)
    assert abs(images.mean() / 255 - 0.2860) < 1e-4
    assert abs(images.std() / 255 - 0.3530) < 1e-4
    splits = load_idx(folder)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (48_000, 12_000, 10_000)
    assert np.bincount(splits.val.targets).tolist() == [1200] * 10
    assert np.bincount(splits.test.targets).tolist() == [1000] * 10
