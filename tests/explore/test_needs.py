"""Of made-up data it is known what telling them apart needs; each claim in both directions (A6)."""

from __future__ import annotations

import numpy as np
import pytest

from jrecipe.explore import needs_patches
from jrecipe.explore.needs import Level, Whole, needs_figures
from jrecipe.explore.needs_pictures import (
    needs_of_pictures,
    resampled,
    shuffled,
    without_colour,
)
from jrecipe.explore.needs_probe import generator
from jrecipe.explore.needs_texts import needs_of_texts
from jrecipe.explore.needs_texts import shuffled as shuffled_words
from jrecipe.figures import Bars, Curves
from jrecipe.types import TaskError

N, SIDE = 480, 12
DRAWS = np.random.default_rng(0)
LABELS = DRAWS.permutation(np.arange(N) % 2)


START = DRAWS.bit_generator.state


@pytest.fixture(autouse=True)
def _same_draws_in_any_order():
    DRAWS.bit_generator.state = START


def noise(channels=1):
    return DRAWS.normal(0, 0.3, (N, SIDE, SIDE, channels)).astype(np.float32)


def coloured():
    """Red or green at even brightness."""
    pictures = noise(3)
    pictures += np.array([[1, -1, 0], [-1, 1, 0]], np.float32)[LABELS][:, None, None]
    return pictures


def placed():
    """A blob, left or right."""
    pictures = noise(3)
    for picture, label in zip(pictures, LABELS, strict=True):
        row, column = DRAWS.integers(0, SIDE - 4), DRAWS.integers(0, 2) + 6 * label
        picture[row : row + 4, column : column + 4] += 1.5
    return pictures


def textured():
    """Lines of one pixel, upright or lying, everywhere."""
    lines = np.where(np.arange(SIDE) % 2, 1.0, -1.0).astype(np.float32)
    lying = np.broadcast_to(lines[:, None, None], (SIDE, SIDE, 1))
    return noise() + np.stack([lying, lying.swapaxes(0, 1)])[LABELS]


def scores(need):
    return dict(zip(need.levels, need.scores, strict=True))


@pytest.fixture(scope="module")
def by_colour():
    DRAWS.bit_generator.state = START
    return needs_of_pictures(coloured(), LABELS, seed=0)


@pytest.fixture(scope="module")
def by_place():
    DRAWS.bit_generator.state = START
    return needs_of_pictures(placed(), LABELS, seed=0)


@pytest.fixture(scope="module")
def by_texture():
    DRAWS.bit_generator.state = START
    return needs_of_pictures(textured(), LABELS, seed=0)


@pytest.mark.slow
def test_classes_told_by_colour_need_colour(by_colour):
    resolution, patches, averages, colour = by_colour
    assert scores(colour)["grey"] < 0.65
    assert scores(colour)["colour"] > 0.95
    assert colour.sentence.startswith("Colour brings ")
    assert scores(averages)["one average"] > 0.95
    assert averages.sentence.startswith("The average colour suffices")
    assert "1x1 pixels kept" in resolution.sentence
    assert patches.sentence.startswith(
        "Colours of pixels suffice, wherever they stand. Pixels in any order"
    )


@pytest.mark.slow
def test_classes_told_by_place_need_place_alone(by_place):
    resolution, patches, averages, colour = by_place
    assert colour.sentence.startswith("Colour is not needed")
    assert patches.sentence.startswith("The whole counts (global): 6x6 patches")
    assert scores(patches)[6.0] < 0.65
    assert scores(patches)[1.0] < 0.65
    assert "3x3 pixels kept" in resolution.sentence or "2x2 pixels kept" in resolution.sentence
    assert "tells nothing" in averages.sentence
    assert "averages of its columns kept" in averages.sentence


def test_classes_told_by_texture_need_fine_pixels_anywhere(by_texture):
    resolution, patches, averages = by_texture
    assert scores(resolution)[6.0] < 0.65
    assert resolution.full > 0.95
    assert patches.sentence.startswith("Local parts suffice, wherever they stand. ")
    assert scores(patches)[3.0] > 0.9
    assert scores(patches)[1.0] < 0.65
    assert "tells nothing" in averages.sentence


def test_classes_told_by_chance_allow_no_word():
    found = needs_of_pictures(noise(), LABELS, seed=0)
    assert all("does not beat chance" in need.sentence for need in found)
    assert all("nothing can be said" in need.sentence for need in found)


def test_numbers_are_scored_by_r_squared():
    pictures = noise()
    numbers = DRAWS.normal(size=N)
    pictures[:, : SIDE // 2] += numbers[:, None, None, None]
    resolution, _, averages = needs_of_pictures(pictures, numbers, seed=0)
    assert resolution.measure == "R²"
    assert abs(resolution.chance) < 0.05
    assert resolution.full > 0.9
    assert "2x2 pixels kept" in resolution.sentence or "1x1 pixels kept" in resolution.sentence
    low, high = resolution.intervals[-1]
    assert low < resolution.full < high
    assert needs_figures([averages])[0].xlabel == "R² of a probe"


@pytest.mark.slow
def test_one_program_serves_all_changes_and_the_seed_repeats(monkeypatch):
    traced = []
    averaged = needs_patches._averaged
    monkeypatch.setattr(needs_patches, "_averaged", lambda x: traced.append(x.shape) or averaged(x))
    pictures = placed()[:200, :10, :11]
    first = needs_of_pictures(pictures, LABELS[:200], seed=3)
    assert len(traced) == 2 * (1 + len(needs_patches.scales(10, 11)))
    again = needs_of_pictures(pictures, LABELS[:200], seed=3)
    assert len(traced) == 2 * (1 + len(needs_patches.scales(10, 11)))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    other = needs_of_pictures(pictures, LABELS[:200], seed=4)
    assert any((a.scores != b.scores).any() for a, b in zip(first, other, strict=True))


@pytest.mark.slow
def test_ranges_do_not_matter(by_colour):
    scaled = np.clip(127 + 50 * coloured(), 0, 255).astype(np.uint8)
    found = needs_of_pictures(scaled, LABELS, seed=0)
    assert found[-1].sentence.startswith("Colour brings")
    assert abs(found[-1].full - by_colour[-1].full) < 0.03


@pytest.mark.thin(3)
@pytest.mark.parametrize("shape", [(4, 4), (5, 90), (31, 7)])
def test_small_and_long_pictures_are_answered(shape):
    pictures = DRAWS.normal(size=(80, *shape)).astype(np.float32)
    pictures += 2 * LABELS[:80, None, None]
    found = needs_of_pictures(pictures, LABELS[:80], seed=0)
    assert len(found) == 3
    assert found[0].full > 0.8
    assert ("reduced to" in found[0].note) == (shape == (5, 90))


def test_resampling_keeps_what_fits():
    pictures = noise()
    np.testing.assert_allclose(resampled(pictures, (SIDE, SIDE)), pictures, atol=1e-6)
    small = resampled(pictures, (3, 5))
    assert small.shape == pictures.shape
    assert small.dtype == np.float32
    np.testing.assert_allclose(resampled(pictures * 0 + 2, (3, 5)), 2.0, rtol=1e-6)
    ones = resampled(pictures, (1, 1))
    np.testing.assert_allclose(ones[:, 0, 0], pictures.mean(axis=(1, 2)), atol=1e-6)


def test_shuffling_moves_whole_patches_and_each_picture_alone():
    same = np.tile(np.arange(64.0).reshape(1, 8, 8, 1), (6, 1, 1, 1))
    moved = shuffled(same, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(moved.ravel()), np.sort(same.ravel()))
    corners = {tuple(picture[::4, ::4, 0].ravel()) for picture in moved}
    assert len(corners) > 2
    assert all(set(corner) == {0.0, 4.0, 32.0, 36.0} for corner in corners)
    np.testing.assert_array_equal(np.diff(moved[:, :4, :4, 0], axis=2), 1.0)
    border = shuffled(same[:, :7, :7], 3, np.random.default_rng(0))
    np.testing.assert_allclose(border[:, -1], same[:, :7, :7].mean(axis=(1, 2))[0, 0])


def test_grey_pictures_have_equal_channels():
    grey = without_colour(noise(3))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


WORDS = [f"w{i}" for i in range(40)]


def filler(length=20):
    return [list(DRAWS.choice(WORDS, length)) for _ in range(N)]


def texts_of(words):
    return [" ".join(text) for text in words]


def test_classes_told_by_the_last_word_need_the_end():
    words = [[*text, ("good", "bad")[y]] for text, y in zip(filler(), LABELS, strict=True)]
    first, last, order, frequent, writing = needs_of_texts(texts_of(words), LABELS, seed=0)
    assert first.sentence.startswith("Already the first 16 words cost")
    assert last.sentence.startswith("The last word alone kept")
    assert order.sentence.startswith("Word order is not needed")
    assert scores(frequent)[30.0] > 0.95
    assert "The use of digits is not needed" in writing.sentence


def test_classes_told_by_the_first_word_need_the_beginning():
    words = [[("good", "bad")[y], *text] for text, y in zip(filler(), LABELS, strict=True)]
    first, last, *_ = needs_of_texts(texts_of(words), LABELS, seed=0)
    assert first.sentence.startswith("The first word alone kept")
    assert last.sentence.startswith("Already the last 16 words cost")


def test_classes_told_by_word_order_need_it():
    words = [
        [*text[:9], *(("cat", "dog") if y else ("dog", "cat")), *text[9:]]
        for text, y in zip(filler(), LABELS, strict=True)
    ]
    order = needs_of_texts(texts_of(words), LABELS, seed=0)[2]
    assert order.sentence.startswith("Word order brings")
    assert scores(order)["all words shuffled"] < 0.65
    assert order.full > 0.9


def test_classes_told_by_rare_words_need_them():
    names = (DRAWS.permutation([f"one{i}" for i in range(40)]), [f"two{i}" for i in range(40)])
    words = [
        [*text, DRAWS.choice(names[y]), DRAWS.choice(names[y])]
        for text, y in zip(filler(), LABELS, strict=True)
    ]
    frequent = needs_of_texts(texts_of(words), LABELS, seed=0)[3]
    assert scores(frequent)[30.0] < 0.65
    assert frequent.sentence.startswith("Already the 100 most frequent words cost")


def test_classes_told_by_upper_case_and_signs_need_them():
    words = [["THIS" if y else "this", *text] for text, y in zip(filler(), LABELS, strict=True)]
    assert "Upper case brings" in needs_of_texts(texts_of(words), LABELS, seed=0)[4].sentence
    words = [[*text, "!" if y else "."] for text, y in zip(filler(), LABELS, strict=True)]
    assert "Punctuation brings" in needs_of_texts(texts_of(words), LABELS, seed=0)[4].sentence


def test_texts_of_classes_told_by_chance_allow_no_word():
    found = needs_of_texts(texts_of(filler()), LABELS, seed=0)
    assert all("does not beat chance" in need.sentence for need in found)


def test_texts_may_have_numbers_or_no_spaces():
    numbers = DRAWS.normal(size=N)
    words = [[*t, "up" if v > 0 else "down"] for t, v in zip(filler(), numbers, strict=True)]
    _, last, *_ = needs_of_texts(texts_of(words), numbers, seed=0)
    assert last.measure == "R²"
    assert last.sentence.startswith("The last word alone kept")
    chars = ["".join(DRAWS.choice(list("的一是不了"), 8)) + ("好", "坏")[y] for y in LABELS]
    assert scores(needs_of_texts(chars, LABELS, seed=0)[1])[1.0] > 0.95


def test_words_are_shuffled_within_windows():
    rng = generator(0, "test")
    words = [str(i) for i in range(11)]
    moved = shuffled_words(words, 4, rng)
    assert sorted(moved[:4]) == words[:4]
    assert sorted(moved) == sorted(words)
    assert shuffled_words(words, 1, rng) == words
    assert any(shuffled_words(words, 11, rng) != words for _ in range(3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x, y * 0), "one class only"),
        (lambda x, y: (x[:59], y[:59]), "59 examples, too few"),
        (lambda x, y: (x, y[:100]), "one label for each of 480 inputs"),
        (lambda x, y: (x, np.arange(N)), "480 classes among 480 examples"),
        (lambda x, y: (x, np.where(y, np.nan, 1.0)), "labels.* is nan"),
        (lambda x, y: (x, np.full(N, 2.5)), "labels are all 2.5"),
        (lambda x, y: (x, np.eye(2, dtype=int)[y]), "labels of classes"),
        (lambda x, y: (np.where(x > 9, x, np.nan), y), "pixels that are not finite"),
        (lambda x, y: (x * 0 + 0.5, y), "all pixels are 0.5"),
        (lambda x, y: (x[:, :3], y), "at least 4 x 4 pixels"),
        (lambda x, y: (x[0], y), "labels|needs pictures|one label"),
    ],
)
def test_what_cannot_be_asked_is_said(change, said):
    pictures, labels = change(noise(), LABELS)
    with pytest.raises(TaskError, match=said):
        needs_of_pictures(pictures, labels, seed=0)


def test_texts_that_cannot_be_asked_are_said():
    with pytest.raises(TaskError, match=r"got NoneType in texts\[1\]"):
        needs_of_texts(["a b", None] * 40, LABELS[:80], seed=0)
    with pytest.raises(TaskError, match="hardly any text has two words"):
        needs_of_texts(["word"] * 80, LABELS[:80], seed=0)


def credits(share, n=1000):
    return (np.arange(n) < share * n).astype(float)


def test_a_loss_is_nothing_a_cost_or_open():
    whole = Whole(credits(0.9), credits(0.5), "accuracy")
    level = lambda share: Level(1.0, "few", credits(share))  # noqa: E731
    assert whole.keeps(level(0.9))
    assert whole.keeps(level(0.89))
    assert whole.costs(level(0.8))
    assert not whole.keeps(level(0.8))
    assert whole.without(level(0.8), "Colour").startswith("Colour brings 10.0 points (8.1 to 11.9)")
    assert whole.verdict([level(0.8)]) == "Already few cost 10.0 points (8.1 to 11.9)."
    few = Whole(credits(0.9, 30), credits(0.5, 30), "accuracy")
    unsure = Level(1.0, "few", credits(0.9, 30)[::-1])
    assert not few.keeps(unsure)
    assert not few.costs(unsure)
    assert "is open" in few.verdict([unsure])
    assert "is open" in few.without(unsure, "Colour")


@pytest.mark.parametrize("share", [0.5, 0.4])
def test_a_probe_at_chance_or_below_is_not_divided_by(share):
    whole = Whole(credits(share), credits(0.5), "accuracy")
    level = Level(1.0, "few", credits(0.45))
    need = whole.need("few", "", 2.0, [level], whole.verdict([level]))
    assert "does not beat chance" in need.sentence
    assert not whole.beats_chance()


def test_the_walk_ends_at_the_first_level_that_does_not_suffice():
    whole = Whole(credits(0.9), credits(0.5), "accuracy")
    levels = [Level(float(i), f"l{i}", credits(s)) for i, s in enumerate((0.9, 0.7, 0.9))]
    assert whole.enough(levels) is levels[0]
    assert whole.enough(levels[1:]) is None


def test_figures_show_the_curve_with_whole_and_chance(by_colour):
    curve, _, bars, _ = needs_figures(by_colour)
    assert isinstance(curve, Curves)
    assert isinstance(bars, Bars)
    assert set(curve.levels) == set(bars.levels) == {"whole", "chance"}
    assert list(curve.x) == [1, 2, 3, 6, 9, 12]
    low, high = curve.bands["probe"]
    assert (low <= curve.lines["probe"]).all()
    assert (curve.lines["probe"] <= high).all()
    assert set(bars.intervals) == set(bars.values)
