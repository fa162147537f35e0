"""Sets that TensorFlow Datasets has prepared are read without TensorFlow."""

import numpy as np
import pytest
from tfds_sets import write_set

from jrecipe.data.encode import TabularEncoder, TextEncoder
from jrecipe.data.tfds import load_tfds
from jrecipe.types import TaskError

tfds = pytest.importorskip("tensorflow_datasets")


LABEL = tfds.features.ClassLabel(names=["cat", "dog"])


def test_pictures_are_read_without_tensorflow(tmp_path):
    import sys

    def example(i):
        return {"image": np.full((6, 5), i, np.uint8), "label": i % 2}

    write_set(
        tmp_path,
        "tiny_pictures",
        {"image": tfds.features.Image(shape=(6, 5, 1)), "label": LABEL},
        {"train": [example(i) for i in range(20)], "test": [example(i) for i in range(20, 30)]},
        supervised=("image", "label"),
    )
    splits = load_tfds("tiny_pictures", data_dir=tmp_path, seed=0)
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [16, 4, 10]
    assert splits.class_names == ("cat", "dog")
    assert splits.test.inputs.shape[1:] == (6, 5, 1)
    decoded = splits.encoder.decode(splits.test.inputs) * 255.0
    np.testing.assert_allclose(decoded[:, 0, 0, 0], np.arange(20, 30), atol=1e-3)
    assert splits.test.targets.tolist() == [0, 1] * 5
    assert "tensorflow" not in sys.modules


def test_pictures_of_different_sizes_are_brought_to_the_commonest(tmp_path):
    def example(i):
        side = 9 if i == 3 else 6
        return {"image": np.full((side, side, 3), 40 + i, np.uint8), "label": i % 2}

    write_set(
        tmp_path,
        "tiny_photos",
        {"image": tfds.features.Image(), "label": LABEL},
        {"train": [example(i) for i in range(12)]},
    )
    splits = load_tfds("tiny_photos", data_dir=tmp_path)
    assert splits.train.inputs.shape[1:] == (6, 6, 3)
    sources = (splits.train, splits.val, splits.test)
    values = [splits.encoder.decode(s.inputs)[:, 0, 0, 0] * 255.0 for s in sources]
    np.testing.assert_allclose(np.sort(np.concatenate(values)), np.arange(40, 52), atol=1e-3)


def test_texts_and_tables_are_read(tmp_path):
    texts = [{"text": f"a {'good' if i % 2 else 'bad'} film", "label": i % 2} for i in range(20)]
    features = {"text": tfds.features.Text(), "label": LABEL}
    write_set(tmp_path, "tiny_texts", features, {"train": texts})
    splits = load_tfds("tiny_texts", data_dir=tmp_path)
    assert isinstance(splits.encoder, TextEncoder)
    assert set(splits.encoder.words) == {"good", "bad", "film"}

    rows = [{"age": float(i), "size": i % 7, "price": 2.0 * i} for i in range(20)]
    features = {"age": np.float32, "size": np.int64, "price": np.float32}
    write_set(tmp_path, "tiny_rows", features, {"train": rows})
    splits = load_tfds("tiny_rows", data_dir=tmp_path, target="price")
    assert isinstance(splits.encoder, TabularEncoder)
    assert splits.kind == "number"
    assert splits.encoder.feature_names == ("age", "size")
    ages = (
        splits.train.inputs[:, 0] * splits.encoder.columns[0].std + splits.encoder.columns[0].mean
    )
    np.testing.assert_allclose(splits.train.targets, 2 * ages, rtol=1e-4, atol=1e-3)
    with pytest.raises(TaskError, match="which feature is the target"):
        load_tfds("tiny_rows", data_dir=tmp_path)
    with pytest.raises(TaskError, match="no feature 'colour'"):
        load_tfds("tiny_rows", data_dir=tmp_path, target="colour")


def test_a_set_that_is_not_prepared_says_what_to_run(tmp_path, capfd):
    with pytest.raises(TaskError) as caught:
        load_tfds("mnist", data_dir=tmp_path)
    message = str(caught.value)
    assert "pip install tensorflow" in message
    assert f"tfds build mnist --file_format=array_record --data_dir={tmp_path}" in message
    assert "\n" not in message
    assert capfd.readouterr().out == ""


def test_an_unknown_name_is_corrected(tmp_path):
    with pytest.raises(TaskError, match=r"did you mean tfds:fashion_mnist\?"):
        load_tfds("fashon_mnist", data_dir=tmp_path)
    with pytest.raises(TaskError, match="cannot be opened"):
        load_tfds("mnist:no_such_config", data_dir=tmp_path)
