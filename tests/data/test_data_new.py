import json

import numpy as np
import pytest
from PIL import Image

from jrecipe import data
from jrecipe.types import TaskError


def test_new_pictures_are_encoded_like_the_stored_ones(tmp_path):
    splits = data.load_digits()
    picture = splits.encoder.decode(splits.test.inputs[:3])[..., 0]
    for i, grey in enumerate(picture):
        Image.fromarray(np.round(grey * 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    new = data.read_new([tmp_path], splits.encoder)
    assert [name.rsplit("/")[-1] for name in new.names] == ["0.png", "1.png", "2.png"]
    np.testing.assert_allclose(new.inputs, splits.test.inputs[:3], atol=0.01)
    np.save(tmp_path / "raw.npy", picture * 16.0)
    again = data.read_new([tmp_path / "raw.npy", tmp_path / "1.png"], splits.encoder)
    assert again.inputs.shape == (4, 8, 8, 1)
    np.testing.assert_allclose(again.inputs[:3], splits.test.inputs[:3], atol=1e-5)


def test_new_texts_and_tables(tmp_path):
    texts = ["a good film", "a bad film"]
    encoder = data.TextEncoder.fit(texts, column="review")
    (tmp_path / "new.txt").write_text("good\n\nbad\n")
    new = data.read_new([tmp_path / "new.txt"], encoder)
    assert [name.rsplit(":")[-1] for name in new.names] == ["1", "3"]
    np.testing.assert_array_equal(new.inputs, encoder.encode(["good", "bad"]))
    lines = [json.dumps({"review": text, "other": 1}) for text in texts]
    (tmp_path / "new.jsonl").write_text("\n".join(lines))
    np.testing.assert_array_equal(
        data.read_new([tmp_path / "new.jsonl"], encoder).inputs, encoder.encode(texts)
    )
    table = data.TabularEncoder.fit({"a": [1, 2, 3], "b": ["x", "y", "x"]}, ignored=["y"])
    (tmp_path / "new.csv").write_text("b,a\ny,2\n")
    assert data.read_new([tmp_path / "new.csv"], table).inputs.tolist() == [[0, 0, 1, 0]]
    vectors = data.VectorEncoder.fit(np.array([[0.0, 1.0], [2.0, 3.0]]))
    (tmp_path / "v.csv").write_text("p,q\n2,3\n0,1\n")
    assert data.read_new([tmp_path / "v.csv"], vectors).inputs.tolist() == [[1, 1], [-1, -1]]


def test_new_files_that_do_not_fit_are_named(tmp_path):
    image = data.ImageEncoder.fit(np.zeros((2, 4, 4), np.uint8))
    text = data.TextEncoder.fit(["some words"], column="review")
    vector = data.VectorEncoder.fit(np.eye(2))
    (tmp_path / "a.csv").write_text("p,q\nx,1\ny,2\n")
    (tmp_path / "a.npy").write_bytes(b"nothing")
    (tmp_path / "a.png").write_bytes(b"nothing")
    for paths, encoder, words in [
        ([], image, "no file"),
        (["b.png"], image, "does not exist"),
        (["a.csv"], image, "holds no picture"),
        (["a.png"], image, "no picture, it starts with b'nothing'; repair or remove the file"),
        (["a.npy"], image, "no readable array"),
        (["a.png"], text, "does not fit a model of Text inputs"),
        (["a.csv"], text, "no text column 'review'"),
        (["a.csv"], vector, "no number"),
    ]:
        with pytest.raises(TaskError, match=words):
            data.read_new([tmp_path / path for path in paths], encoder)
