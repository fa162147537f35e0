"""A2: damaged pictures, archives and IDX files are collected, and training refuses them."""

import gzip
import io
import struct

import numpy as np
import pytest
from PIL import Image

from jrecipe import data
from jrecipe.types import TaskError

RNG = np.random.default_rng(0)


def picture(suffix="PNG", side=12):
    file = io.BytesIO()
    pixels = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, suffix)
    return file.getvalue()


def pets(root, each=10, suffix="png"):
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(each):
            file = picture("JPEG" if suffix == "jpg" else suffix.upper())
            (root / name / f"{i}.{suffix}").write_bytes(file)
    return root


def count(splits):
    return len(splits.train) + len(splits.val) + len(splits.test)


def changed(file, place, new):
    return file[:place] + new + file[place + len(new) :]


@pytest.mark.parametrize(
    ("suffix", "damage", "said"),
    [
        ("png", lambda file: b"", "empty file"),
        ("png", lambda file: b"no picture at all", "no picture, it starts with b'no pictu'"),
        ("png", lambda file: file[: len(file) // 2], "the picture is cut short"),
        ("jpg", lambda file: file[: len(file) // 2], "the picture is cut short"),
        ("gif", lambda file: file[: len(file) // 2], "the picture is cut short"),
        ("png", lambda file: changed(file, 100, b"\0\0\0\0"), "(wrong checksum)"),
        # Here the pixels can be decoded: only the checksum tells.
        ("png", lambda file: changed(file, len(file) - 16, b"\1\2\3\4"), "(wrong checksum)"),
        ("png", lambda file: changed(file, 12, b"????"), "its header is damaged"),
        ("png", lambda file: file[:20], "the picture is cut short"),
    ],
)
def test_damaged_pictures_are_told_and_the_rest_is_read(tmp_path, suffix, damage, said):
    root = pets(tmp_path / "pets", suffix=suffix)
    sound = data.load(root, skip_damaged=True)
    assert (sound.damage, count(sound)) == ((), 20)
    path = root / "cat" / f"3.{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    splits = data.load(root, skip_damaged=True)
    (piece,) = splits.damage
    assert (piece.place, piece.what, piece.stops) == (str(path), "file", True)
    assert said in piece.reason
    assert count(splits) == 19
    with pytest.raises(TaskError) as caught:
        data.load(root)
    assert str(caught.value) == (
        f"{path}: {piece.reason}; repair or remove the file. "
        f"'jrecipe inspect {root}' shows all that is damaged."
    )


def test_pictures_that_move_or_are_of_other_sizes_are_sound(tmp_path):
    root = pets(tmp_path / "pets")
    frames = [Image.fromarray(RNG.integers(0, 256, (12, 12), dtype=np.uint8)) for _ in range(3)]
    for name in ("cat/moves.gif", "dog/moves.png", "dog/moves.webp", "cat/pages.tiff"):
        frames[0].save(root / name, save_all=True, append_images=frames[1:])
    frames[0].save(root / "cat" / "still.gif")
    Image.new("P", (30, 7)).save(root / "cat" / "wide.png")
    splits = data.load(root, skip_damaged=True)
    assert (splits.damage, count(splits)) == ((), 26)


def test_twenty_planted_pictures_are_found_and_no_other(tmp_path):
    root = pets(tmp_path / "pets", each=100)
    rng = np.random.default_rng(1)
    paths = sorted(root.rglob("*.png"))
    planted = [paths[i] for i in sorted(rng.choice(200, 20, replace=False))]
    for k, path in enumerate(planted):
        file = path.read_bytes()
        middle = int(rng.integers(45, len(file) - 40))
        path.write_bytes(
            [file[: int(rng.integers(1, len(file) - 12))], b"", b"text\n"][k % 4]
            if k % 4 < 3
            else changed(file, middle, bytes(255 - byte for byte in file[middle : middle + 4]))
        )
    splits = data.load(root, skip_damaged=True)
    assert [piece.path for piece in splits.damage] == [str(path) for path in planted]
    assert count(splits) == 180


def test_classes_without_a_picture_are_told_and_training_does_without(tmp_path):
    root = pets(tmp_path / "pets")
    (root / "bird").mkdir()
    (root / "fish").mkdir()
    (root / "fish" / "0.png").write_bytes(b"")
    splits = data.load(root, skip_damaged=True)
    assert [(piece.what, piece.path, piece.reason) for piece in splits.damage] == [
        ("class", str(root / "bird"), "a class without a picture"),
        ("file", str(root / "fish" / "0.png"), "empty file"),
        ("class", str(root / "fish"), "no picture in it can be read"),
    ]
    assert splits.class_names == ("cat", "dog")
    (root / "fish" / "0.png").unlink()
    assert data.load(root).class_names == ("cat", "dog")


def test_a_split_without_a_sound_picture_is_cut_anew(tmp_path):
    root = pets(tmp_path / "train").parent
    (root / "test" / "cat").mkdir(parents=True)
    (root / "test" / "cat" / "0.png").write_bytes(b"")
    splits = data.load(root, skip_damaged=True)
    assert count(splits) == 20
    assert [piece.what for piece in splits.damage] == ["file", "class"]
    for path in (root / "train").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(TaskError, match=r"no picture that can be read.*24 pieces.*cat/0\.png"):
        data.load(root, skip_damaged=True)


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)


def mnist_like(folder, n=120):
    images = RNG.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    labels = (np.arange(n) % 3).astype(np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        packed = gzip.compress(idx(array) + array.tobytes())
        (folder / f"train-{name}-ubyte.gz").write_bytes(packed)
    return images, labels


def test_whole_rows_of_cut_idx_files_are_kept(tmp_path):
    images, _ = mnist_like(tmp_path)
    assert data.load(tmp_path, skip_damaged=True).damage == ()
    path = tmp_path / "train-images-idx3-ubyte.gz"
    packed = path.read_bytes()
    path.write_bytes(packed[: len(packed) // 2])
    splits = data.load(tmp_path, skip_damaged=True)
    (piece,) = splits.damage
    rows = count(splits)
    assert 40 < rows < 80
    assert piece.reason == (
        f"the archive is damaged or cut short (its end is missing), {rows} of 120 rows are whole"
    )
    held = np.concatenate([s.inputs for s in (splits.train, splits.val, splits.test)])
    pixels = np.round(splits.encoder.decode(held)[..., 0] * 255).astype(int)
    assert {row.tobytes() for row in pixels} == {row.astype(int).tobytes() for row in images[:rows]}
    with pytest.raises(TaskError, match=r"images-idx3-ubyte\.gz: the archive .*get it again"):
        data.load(tmp_path)
    path.write_bytes(packed[:20])
    with pytest.raises(TaskError, match="cut short"):
        data.load(tmp_path, skip_damaged=True)


def test_an_idx_file_of_another_length_and_a_test_file_that_is_none(tmp_path):
    images, labels = mnist_like(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images) + images.tobytes() + b"more")
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"nothing")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels) + labels.tobytes())
    (tmp_path / "labels.txt").write_bytes("hat\nHöhle\nshoe\n".encode("latin-1"))
    splits = data.load(tmp_path, skip_damaged=True)
    assert [piece.place.removeprefix(f"{tmp_path}/") for piece in splits.damage] == [
        "train-images-idx3-ubyte",
        "t10k-images-idx3-ubyte",
        "labels.txt:2",
    ]
    assert "too long" in splits.damage[0].reason
    assert splits.damage[1].reason.startswith("no IDX file")
    assert count(splits) == 120
    assert splits.class_names == ("0", "1", "2")


def test_a_damaged_array_of_an_archive_leaves_the_others(tmp_path):
    x, y = RNG.normal(size=(40, 4)), np.arange(40) % 2
    path = tmp_path / "a.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x + 1, y_test=y)
    assert data.load(path, skip_damaged=True).damage == ()
    file = path.read_bytes()
    place = file.index((x + 1).tobytes()[:64])
    path.write_bytes(changed(file, place, b"12345678"))
    splits = data.load(path, skip_damaged=True)
    (piece,) = splits.damage
    assert piece.reason.startswith("array 'x_test' is damaged (Bad CRC-32")
    assert count(splits) == 40
    with pytest.raises(TaskError, match="array 'x_test' is damaged"):
        data.load(path)
    place = file.index(x.tobytes()[:64])
    path.write_bytes(changed(file, place, b"12345678"))
    with pytest.raises(TaskError, match="array 'x_train' is damaged"):
        data.load(path, skip_damaged=True)


def test_targets_that_are_not_finite_are_told_with_their_row(tmp_path):
    y = RNG.normal(size=40)
    y[[5, 9]] = np.nan, np.inf
    path = tmp_path / "a.npz"
    np.savez(path, x=np.eye(40), y=y)
    splits = data.load(path, skip_damaged=True)
    assert [str(piece) for piece in splits.damage] == [
        f"{path} (train): the target of row {row} is NaN or infinite" for row in (5, 9)
    ]
    assert count(splits) == 38
    with pytest.raises(TaskError, match="row 5 is NaN or infinite; drop this row"):
        data.load(path)
