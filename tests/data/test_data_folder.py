import numpy as np
import pytest
from PIL import Image

from jrecipe.data.encode import EncodedSource
from jrecipe.data.folder import load_folder
from jrecipe.data.pictures import read_picture
from jrecipe.types import TaskError

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def paint(path, colour, size=(6, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def by_class(root, each=10, **how):
    for name, colour in COLOURS.items():
        for i in range(each):
            paint(root / name / f"{i}.png", colour, **how)


def colours_match(splits, source):
    inputs, targets = source.take(np.arange(len(source)))
    pictures = splits.encoder.decode(inputs)
    for picture, target in zip(pictures, targets, strict=True):
        expected = np.array(COLOURS[splits.class_names[target]]) / 255.0
        np.testing.assert_allclose(picture.mean(axis=(0, 1)), expected, atol=1e-5)


def test_a_folder_per_class_is_a_class(tmp_path):
    by_class(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("not a picture")
    splits = load_folder(tmp_path, seed=1)
    assert splits.class_names == ("blue", "green", "red")
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [19, 5, 6]
    assert splits.train.inputs.shape[1:] == (5, 6, 3)
    for source in (splits.train, splits.val, splits.test):
        colours_match(splits, source)


def test_given_splits_are_kept(tmp_path):
    by_class(tmp_path / "train", each=4)
    by_class(tmp_path / "valid", each=2)
    by_class(tmp_path / "test", each=3)
    splits = load_folder(tmp_path)
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [12, 6, 9]
    assert splits.notes == ()


def test_pictures_of_other_sizes_are_resized_and_it_is_said(tmp_path):
    by_class(tmp_path)
    paint(tmp_path / "red" / "large.png", COLOURS["red"], size=(20, 20))
    splits = load_folder(tmp_path)
    assert splits.train.inputs.shape[1:] == (5, 6, 3)
    assert "1 of 31 pictures were resized to 5x6" in splits.notes[0]
    assert load_folder(tmp_path, size=4).train.inputs.shape[1:] == (4, 4, 3)
    assert load_folder(tmp_path, size=(3, 7)).train.inputs.shape[1:] == (3, 7, 3)


def test_large_photos_are_brought_to_256_pixels(tmp_path):
    by_class(tmp_path, each=3, size=(1024, 512))
    assert load_folder(tmp_path).train.inputs.shape[1:] == (128, 256, 3)


def test_grey_pictures_have_one_channel(tmp_path):
    for name, value in (("dark", 10), ("light", 200)):
        for i in range(5):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("L", (3, 3), value).save(tmp_path / name / f"{i}.png")
    splits = load_folder(tmp_path)
    assert splits.train.inputs.shape[1:] == (3, 3, 1)


def test_what_does_not_fit_is_read_as_it_is_needed_with_the_same_result(tmp_path):
    by_class(tmp_path)
    held, lazy = load_folder(tmp_path), load_folder(tmp_path, budget=100)
    assert isinstance(lazy.train, EncodedSource)
    assert any("read as they are needed" in note for note in lazy.notes)
    for name in ("train", "val", "test"):
        one, other = getattr(held, name), getattr(lazy, name)
        rows = np.arange(len(one))
        np.testing.assert_array_equal(one.take(rows)[0], other.take(rows)[0])
        np.testing.assert_array_equal(one.take(rows)[1], other.take(rows)[1])


@pytest.mark.parametrize("budget", [2**30, 100])
def test_a_damaged_picture_is_named(tmp_path, budget):
    def read():
        splits = load_folder(tmp_path, budget=budget)
        for source in (splits.train, splits.val, splits.test):
            source.take(np.arange(len(source)))

    by_class(tmp_path)
    read()
    path = tmp_path / "red" / "3.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(TaskError, match=r"3\.png: the picture is cut short; repair or remove"):
        read()
    path.write_text("no picture at all")
    with pytest.raises(TaskError, match=r"3\.png: no picture"):
        read()


def test_folders_without_classes_are_refused(tmp_path):
    with pytest.raises(TaskError, match="holds no picture"):
        load_folder(tmp_path)
    paint(tmp_path / "a.png", (1, 2, 3))
    with pytest.raises(TaskError, match="1 pictures, but no folder"):
        load_folder(tmp_path)
    for i in range(5):
        paint(tmp_path / "only" / f"{i}.png", (1, 2, 3))
    with pytest.raises(TaskError, match="all targets are 'only'"):
        load_folder(tmp_path)


def test_transparent_palette_deep_and_turned_pictures_are_read(tmp_path):
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png", (2, 2, 3)).tolist() == [[[255] * 3] * 2] * 2
    Image.new("RGB", (2, 2), (0, 255, 0)).convert("P").save(tmp_path / "palette.gif")
    assert read_picture(tmp_path / "palette.gif", (2, 2, 3))[0, 0].tolist() == [0, 255, 0]
    Image.fromarray(np.full((2, 2), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png", (2, 2, 1))[0, 0, 0] == 255
    half = np.zeros((2, 4, 3), np.uint8)
    half[:, 2:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(half).save(tmp_path / "turned.png", exif=exif)
    upright = read_picture(tmp_path / "turned.png", (4, 2, 3))
    assert upright[..., 0].tolist() == [[0, 0], [0, 0], [255, 255], [255, 255]]
    assert load_folder(turned_class(tmp_path)).train.inputs.shape[1:] == (4, 2, 1)


def turned_class(root):
    """Writes two classes of pictures that are stored lying on their side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, value in (("dark", 10), ("light", 200)):
        (root / "upright" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("L", (4, 2), value).save(root / "upright" / name / f"{i}.jpg", exif=exif)
    return root / "upright"


@pytest.mark.parametrize("budget", [2**30, 100])
def test_every_row_has_its_file(tmp_path, budget):
    by_class(tmp_path)
    paint(tmp_path / "red" / "deep" / "er" / "one.jpg", COLOURS["red"], size=(20, 10))
    splits = load_folder(tmp_path, budget=budget, seed=3)
    sources = {"train": splits.train, "val": splits.val, "test": splits.test}
    assert {name: len(files) for name, files in splits.files.items()} == {
        name: len(source) for name, source in sources.items()
    }
    for name, source in sources.items():
        pictures = splits.encoder.decode(source.take(np.arange(len(source)))[0])
        for picture, target, file in zip(pictures, source.targets, splits.files[name], strict=True):
            assert file.folder == splits.class_names[target]
            wanted = read_picture(file.path, (5, 6, 3)) / 255
            np.testing.assert_allclose(picture, wanted, atol=1e-5)
    every = [file for files in splits.files.values() for file in files]
    assert len({file.path for file in every}) == 31
    (one,) = [file for file in every if file.format == "JPEG"]
    path = tmp_path / "red" / "deep" / "er" / "one.jpg"
    assert one.name == "deep/er/one.jpg"
    assert (one.bytes, one.width, one.height) == (path.stat().st_size, 20, 10)


def test_rows_are_not_in_the_order_of_the_classes(tmp_path):
    by_class(tmp_path / "train", each=30)
    first, again = (load_folder(tmp_path, seed=seed).train.targets for seed in (1, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.diff(first) != 0).sum() > 20  # two in a sorted file, 47 expected of 72 rows
    assert (load_folder(tmp_path, seed=2).train.targets != first).any()
