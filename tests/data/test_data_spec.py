import json
import struct

import numpy as np
import pytest
from PIL import Image

from jrecipe import data
from jrecipe.types import TaskError


def test_the_kind_of_a_path_is_recognised_by_content(tmp_path):
    y = np.arange(30) % 2
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(30, 2)), y=y)
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(f"{i}.5,{i % 2}" for i in range(30)))
    tables, idx, pictures = (tmp_path / name for name in ("tables", "idx", "pictures"))
    for folder in (tables, idx, pictures / "a", pictures / "b"):
        folder.mkdir(parents=True)
    rows = [json.dumps({"x": i, "y": i % 2}) for i in range(30)]
    (tables / "train.jsonl").write_text("\n".join(rows))
    images, labels = bytes(30 * 4), bytes(y.tolist())
    head = struct.pack(">BBBBIII", 0, 0, 8, 3, 30, 2, 2)
    (idx / "train-images-idx3-ubyte").write_bytes(head + images)
    (idx / "train-labels-idx1-ubyte").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 30) + labels)
    for i in range(30):
        Image.new("L", (2, 2), i).save(pictures / "ab"[i % 2] / f"{i}.png")
    for path in (tmp_path / "a.npz", tmp_path / "a.csv", tables, idx, pictures):
        for spec in (path, str(path)):
            splits = data.load(spec, seed=1)
            assert len(splits.train) + len(splits.val) + len(splits.test) == 30
            assert splits.kind == "classes"
            assert np.bincount(splits.test.targets).tolist() == [3, 3]
            assert len(splits.notes) >= 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("digit", "unknown; did you mean 'digits'?"),
        ("mnist", "did you mean 'tfds:mnist'?"),
        ("qwertzuiop", "unknown. It can be digits, tfds:NAME"),
        ("no/such/folder", "does not exist"),
        ("nothing.csv", "does not exist"),
        ("tfds:mnits", "did you mean tfds:mnist"),
    ],
)
def test_unknown_specs_say_what_they_could_be(spec, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError) as caught:
        data.load(spec, data_dir=tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_without_data_are_refused(tmp_path):
    with pytest.raises(TaskError, match="holds nothing"):
        data.load(tmp_path)
    (tmp_path / "readme.md").write_text("hello")
    with pytest.raises(TaskError, match=r"holds readme\.md"):
        data.load(tmp_path)
    with pytest.raises(TaskError, match="unknown type"):
        data.load(tmp_path / "readme.md")


@pytest.mark.exhaustive
def test_importing_the_package_loads_nothing_heavy():
    import subprocess
    import sys

    heavy = ("sklearn", "PIL", "grain", "tensorflow_datasets", "matplotlib", "orbax")
    code = f"import sys, jrecipe.data; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
