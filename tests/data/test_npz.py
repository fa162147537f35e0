import numpy as np
import pytest

from jrecipe.data.encode import ImageEncoder, TextEncoder, VectorEncoder
from jrecipe.data.npz import load_npz
from jrecipe.types import TaskError

RNG = np.random.default_rng(0)
Y = np.arange(30) % 3


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_x_and_y_are_cut_into_three(tmp_path):
    x = RNG.normal(5, 2, (30, 4))
    splits = load_npz(save(tmp_path / "my.npz", x=x, y=Y), seed=0)
    assert splits.name == "my"
    sizes = [len(source) for source in (splits.train, splits.val, splits.test)]
    assert sum(sizes) == 30
    assert sizes[2] == 6
    assert isinstance(splits.encoder, VectorEncoder)
    rows = np.concatenate([source.inputs for source in (splits.train, splits.val, splits.test)])
    back = rows * np.array(splits.encoder.std) + np.array(splits.encoder.mean)
    np.testing.assert_allclose(np.sort(back, axis=0), np.sort(x, axis=0), rtol=1e-5)
    assert len(splits.notes) == 2


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
        ("X_train", "Y_train", "X_valid", "Y_valid", "X_test", "Y_test"),
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
        ("images", "labels", "dev_images", "dev_labels", "test_images", "test_labels"),
    ],
)
def test_given_splits_are_kept(tmp_path, names):
    arrays = {name: RNG.normal(size=(6 + i // 2, 3)) for i, name in enumerate(names) if i % 2 == 0}
    arrays |= {name: np.arange(6 + i // 2) % 2 for i, name in enumerate(names) if i % 2 == 1}
    splits = load_npz(save(tmp_path / "a.npz", **arrays))
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [6, 7, 8]
    assert splits.notes == ()


@pytest.mark.parametrize(
    ("shape", "dtype", "inputs", "encoder"),
    [
        ((30, 6, 5), np.uint8, (6, 5, 1), ImageEncoder),
        ((30, 6, 5, 3), np.uint8, (6, 5, 3), ImageEncoder),
        ((30, 3, 6, 5), np.uint8, (6, 5, 3), ImageEncoder),
        ((30, 8, 8), np.float32, (8, 8, 1), ImageEncoder),
        ((30, 5, 6), np.float32, (5, 6), type(None)),
        ((30, 7), np.int64, (7,), VectorEncoder),
        ((30,), np.float64, (1,), VectorEncoder),
    ],
)
def test_inputs_are_recognised_by_shape(tmp_path, shape, dtype, inputs, encoder):
    x = RNG.uniform(0, 99, shape).astype(dtype)
    splits = load_npz(save(tmp_path / "a.npz", x=x, y=Y))
    assert splits.train.inputs.shape[1:] == inputs
    assert isinstance(splits.encoder, encoder)


def test_channels_first_pictures_are_turned_not_reshaped(tmp_path):
    x = RNG.integers(0, 256, (30, 3, 6, 5), dtype=np.uint8)
    y = np.arange(30) % 3
    splits = load_npz(save(tmp_path / "a.npz", x=x, y=y, x_test=x[:3], y_test=y[:3]))
    decoded = splits.encoder.decode(splits.test.inputs)
    np.testing.assert_allclose(decoded, np.moveaxis(x[:3], 1, -1) / 255.0, atol=1e-5)
    assert any("channels first" in note for note in splits.notes)


def test_texts_and_names(tmp_path):
    x = np.array([f"word{i % 3} and more" for i in range(30)])
    splits = load_npz(save(tmp_path / "a.npz", text=x, labels=Y, class_names=np.array(list("abc"))))
    assert isinstance(splits.encoder, TextEncoder)
    assert splits.class_names == ("a", "b", "c")


def test_numbers_and_several_labels(tmp_path):
    x = RNG.normal(size=(30, 2))
    numbers = load_npz(save(tmp_path / "a.npz", x=x, y=x[:, 0]))
    assert (numbers.kind, numbers.train.targets.dtype) == ("number", np.float32)
    assert numbers.class_names == ()
    labels = (RNG.uniform(size=(30, 4)) > 0.5).astype(int)
    several = load_npz(save(tmp_path / "b.npz", x=x, y=labels))
    assert (several.kind, several.train.targets.shape[1:]) == ("multilabel", (4,))


class Innocent:
    pass


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((4, 2))}, "no targets"),
        ({"a": np.zeros((4, 2)), "b": Y}, r"holds a float64\[4, 2\], b int64\[30\]; needed are x"),
        ({"x": np.zeros((4, 2)), "y": [0, 1, 0]}, "4 inputs, but 3 targets"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, int)}, "empty"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(4, int)}, "all targets are 0"),
        ({"x": np.zeros((2, 2)), "y": [0, 1]}, "too few"),
        ({"x": np.zeros((9, 2)), "y": np.full(9, np.nan)}, "NaN"),
    ],
)
def test_archives_that_make_no_sense_are_refused(tmp_path, arrays, words):
    with pytest.raises(TaskError, match=words) as caught:
        load_npz(save(tmp_path / "a.npz", **arrays))
    assert "a.npz" in str(caught.value)


def test_pickles_are_never_loaded(tmp_path):
    path = save(tmp_path / "a.npz", x=np.array([Innocent()] * 4), y=[0, 1, 0, 1])
    with pytest.raises(TaskError, match="'x' cannot be read without pickle"):
        load_npz(path)


def test_files_that_are_no_archive_are_refused(tmp_path):
    path = save(tmp_path / "a.npz", x=RNG.normal(size=(30, 2)), y=Y)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TaskError, match="no readable"):
        load_npz(path)
    path.write_bytes(b"")
    with pytest.raises(TaskError, match="no readable"):
        load_npz(path)
    with pytest.raises(TaskError, match="does not exist"):
        load_npz(tmp_path / "b.npz")
    np.save(tmp_path / "one.npy", Y)
    with pytest.raises(TaskError, match="one array"):
        load_npz(tmp_path / "one.npy")
