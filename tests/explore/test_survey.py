"""The survey of all examples: the probe, doubted labels, trivial features, dead inputs, columns."""

from __future__ import annotations

import dataclasses
import importlib.util

import jax
import numpy as np
import pytest
from sets import blobs, data, sentences, shapes

import jrecipe as jr
from jrecipe.checks.result import Verdict
from jrecipe.explore import Column, Examples, copies_csv, findings_of, survey, suspects_csv
from jrecipe.explore.columns import count_annotations
from jrecipe.explore.gather import gather
from jrecipe.explore.outliers import outlier_scores
from jrecipe.explore.probe import FOLDS, Probe, probe
from jrecipe.explore.suspects import confidently_wrong, find_suspects
from jrecipe.types import TaskError


def finding(found, check):
    return next(each for each in findings_of(found) if each.check == check)


def flipped(labels, share, classes, seed=1):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))[: int(share * len(labels))]
    wrong = labels.copy()
    wrong[rows] = (wrong[rows] + rng.integers(1, classes, len(rows))) % classes
    return wrong, rows


class TestProbe:
    def test_no_row_is_answered_by_a_model_that_saw_it(self):
        """Labels that have nothing to do with the inputs cannot be known: a leak would show."""
        rng = np.random.default_rng(0)
        inputs = rng.normal(size=(400, 30)).astype(np.float32)
        found = probe(gather(data(inputs, rng.integers(0, 2, 400))))
        assert abs(found.score - 0.5) < 0.12

    def test_what_can_be_told_is_told(self):
        inputs, labels = blobs(400)
        found = probe(gather(data(inputs, labels)))
        assert found.score > 0.95
        np.testing.assert_allclose(found.answers.sum(axis=1), 1, atol=1e-4)
        assert (found.loss >= 0).all()

    def test_labels_need_not_count_from_zero(self):
        inputs, labels = blobs(200)
        found = probe(gather(data(inputs, labels * 10 - 5)))
        assert set(found.classes.tolist()) == {-5, 5, 15}
        assert (found.answer == labels * 10 - 5).mean() > 0.9

    def test_numbers(self):
        inputs, _ = blobs(600, classes=1, width=4)
        targets = (3 * inputs[:, 0] - inputs[:, 1] + 100).astype(np.float32)
        found = probe(gather(data(inputs, targets)))
        assert found.kind == "numbers"
        assert found.score > 0.9
        assert abs(float(found.answers.mean()) - float(targets.mean())) < 1

    def test_texts(self):
        texts = sentences(300)
        labels = np.arange(300) % 2
        told = [
            text + (" splendid" if label else " dreadful")
            for text, label in zip(texts, labels, strict=True)
        ]
        inputs = np.zeros((300, 1), np.float32)
        assert probe(gather(data(inputs, labels, texts={"train": told}))).score > 0.9
        assert probe(gather(data(inputs, labels, texts={"train": texts}))).score < 0.65

    @pytest.mark.parametrize(
        ("targets", "why"),
        [
            (np.zeros(100, int), "all examples have the label 0"),
            (np.zeros(100, np.float32), "constant"),
            (np.zeros((100, 4, 2), np.float32), "neither one class nor one number"),
        ],
    )
    def test_why_there_is_none(self, targets, why):
        assert why in probe(gather(data(np.ones((100, 3), np.float32), targets)))

    def test_too_few(self):
        inputs, labels = blobs(10 * FOLDS - 1)
        assert "a probe needs 50" in probe(gather(data(inputs, labels)))

    def test_the_folds_are_one_program(self):
        """However many folds and epochs, a few programs: an epoch, the answers, the start."""
        inputs, labels = blobs(333, width=7)  # shapes that no other test has
        count = 0

        def heard(name, _seconds, **_):
            nonlocal count
            count += name == "/jax/core/compile/backend_compile_duration"

        jax.monitoring.register_event_duration_secs_listener(heard)
        probe(gather(data(inputs, labels)))
        jax.monitoring.unregister_event_duration_listener(heard)
        assert 1 <= count <= 6


class TestSuspects:
    @pytest.mark.exhaustive
    @pytest.mark.parametrize("cleanlab", [False, True])
    def test_flipped_labels_stand_first_and_clean_ones_are_few(self, cleanlab):
        if cleanlab and importlib.util.find_spec("cleanlab") is None:
            pytest.skip("cleanlab is not installed")
        inputs, labels = blobs(800)
        wrong, rows = flipped(labels, 0.05, 3)
        suspects = find_suspects(probe(gather(data(inputs, wrong))), cleanlab=cleanlab)
        first = np.argsort(suspects.score)[: len(rows)]
        assert np.isin(rows, first).mean() > 0.9
        assert suspects.interval[0] <= 0.05 <= suspects.interval[1] + 0.01
        clean = find_suspects(probe(gather(data(inputs, labels))), cleanlab=cleanlab)
        assert clean.rate < 0.01

    def test_own_judgement_is_near_cleanlabs(self):
        pytest.importorskip("cleanlab", reason="cleanlab is not installed")
        inputs, labels = blobs(600, seed=3)
        wrong, _ = flipped(labels, 0.1, 3)
        found = probe(gather(data(inputs, wrong)))
        own, other = (find_suspects(found, cleanlab=by).wrong for by in (False, True))
        assert (own == other).mean() > 0.98

    def test_numbers_have_none(self):
        found = Probe("numbers", np.ones((3, 1)), np.ones(3), np.zeros(0), np.ones(3), 0.0)
        assert find_suspects(found) is None

    def test_a_likeliest_class_is_not_wrong_however_sure_another_seems(self):
        # Class 1 is usually 0.4 sure; the last row is that sure of it, but surer of its own.
        answers = np.array([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.55, 0.45]])
        assert not confidently_wrong(answers, np.array([0, 1, 1, 0]))[3]

    def test_a_class_without_rows_does_not_count(self):
        answers = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]])
        assert not confidently_wrong(answers, np.array([0, 1])).any()


class TestTrivial:
    @pytest.mark.exhaustive
    def test_brightness_that_tells_the_class(self):
        pictures, labels = shapes(400), np.arange(400) % 2
        shining = pictures * 0.5 + 0.5 * labels[:, None, None, None].astype(np.float32)
        told = finding(survey(data(shining, labels)), "trivial-features")
        assert told.verdict is Verdict.WARNED
        assert told.suspects[0].cause == "shortcut"
        assert told.suspects[0].where == "brightness"
        same = finding(survey(data(pictures, labels)), "trivial-features")
        assert same.verdict is Verdict.PASSED

    def test_the_length_of_texts(self):
        labels = np.arange(300) % 2
        inputs = np.zeros((300, 1), np.float32)
        long = [" ".join([text] * (1 + i % 2)) for i, text in enumerate(sentences(300))]
        told = finding(survey(data(inputs, labels, texts={"train": long})), "trivial-features")
        assert told.verdict is Verdict.WARNED
        assert told.suspects[0].where in ("characters", "words")

    def test_the_place_in_the_file(self):
        inputs, labels = blobs(300)
        order = np.argsort(labels)
        told = finding(
            survey(data(np.random.default_rng(0).permutation(inputs), labels[order])),
            "trivial-features",
        )
        assert told.suspects[0].where == "place in the file"


class TestConstant:
    @pytest.mark.exhaustive
    def test_dead_columns_and_pixels(self):
        inputs, labels = blobs(100, width=5)
        assert finding(survey(data(inputs, labels)), "constant-inputs").verdict is Verdict.PASSED
        inputs[:, [1, 4]] = 7
        told = finding(survey(data(inputs, labels)), "constant-inputs")
        assert told.verdict is Verdict.WARNED
        assert told.suspects[0].where == "x[1], x[4]"
        pictures = shapes(100)
        pictures[:, :2] = 0  # a border
        assert finding(survey(data(pictures, labels)), "constant-inputs").verdict is Verdict.PASSED
        pictures[:, 15, 15] = 0.2  # in a corner: its neighbours outside may be as blank
        assert finding(survey(data(pictures, labels)), "constant-inputs").verdict is Verdict.PASSED
        pictures[:, 8, 5] = 0.3
        assert finding(survey(data(pictures, labels)), "constant-inputs").suspects[0].where == (
            "x[8, 5, 0]"
        )

    def test_a_column_of_nan_is_constant(self):
        inputs, labels = blobs(100, width=5)
        inputs[:, 2] = np.nan
        assert finding(survey(data(inputs, labels)), "constant-inputs").suspects[0].where == "x[2]"


class TestLeaks:
    @pytest.mark.slow
    def test_verdicts_by_share(self):
        inputs, labels = blobs(600, width=12)
        train, val = (inputs[:300], labels[:300]), (inputs[300:], labels[300:])
        assert finding(survey(data(*train, val=val)), "copies").verdict is Verdict.PASSED
        for copied, verdict in ((1, Verdict.WARNED), (3, Verdict.FAILED)):
            held = val[0].copy()
            held[:copied] = train[0][:copied]
            found = survey(data(*train, val=(held, val[1])))
            told = finding(found, "copies")
            assert told.verdict is verdict
            assert told.evidence["val_leaks"] == copied
            lines = copies_csv(found).splitlines()
            assert lines[0] == "split,row,group,kind,copy_split,copy_row"
            assert len(lines) == 1 + 2 * copied
            assert "val,0,0,exact,train,0" in lines

    def test_copies_that_disagree(self):
        inputs, labels = blobs(300, width=12)
        inputs[150:160] = inputs[:10]
        labels[150:160] = (labels[:10] + 1) % 3
        told = finding(survey(data(inputs, labels)), "copies-agree")
        assert told.verdict is Verdict.WARNED
        labels[150:160] = labels[:10]
        checks = [each.check for each in findings_of(survey(data(inputs, labels)))]
        assert "copies-agree" not in checks


class TestInspect:
    def test_a_pair(self):
        inputs, labels = blobs(200)
        inputs[7] += 100
        rows = jr.inspect((inputs, labels), columns={"first": lambda x, y: float(x[0]) + y})
        assert len(rows) == 200
        np.testing.assert_allclose(rows["first"], inputs[:, 0] + labels, rtol=1e-5)
        assert rows.sort("outlier", descending=True)["row"][0] == 7
        some = rows.where(label=["0", "1"]).where(row=(None, 99)).sort("probe_loss")
        assert set(some["label"]) == {"0", "1"}
        assert (np.diff(some["probe_loss"]) >= 0).all()

    def test_the_page_is_written(self, tmp_path):
        path = jr.inspect((shapes(80), np.arange(80) % 2)).head(30).save(tmp_path / "page.html")
        assert "30 of 30" in path.read_text() or "probe_loss" in path.read_text()

    def test_a_column_that_raises_or_is_of_no_use(self):
        inputs, labels = blobs(60)
        with pytest.raises(TaskError, match=r"columns\['bad'\] raised ZeroDivisionError on train"):
            jr.inspect((inputs, labels), columns={"bad": lambda x, y: 1 / 0})
        with pytest.raises(TaskError, match="needs to give a number"):
            jr.inspect((inputs, labels), columns={"bad": lambda x, y: [1, 2]})
        with pytest.raises(TaskError, match="there already"):
            jr.inspect((inputs, labels), columns={"label": lambda x, y: 1})

    def test_texts_of_a_file(self, tmp_path):
        file = tmp_path / "t.csv"
        lines = [f'"{text}",{i % 2}' for i, text in enumerate(sentences(120))]
        file.write_text("text,label\n" + "\n".join(lines) + "\n")
        rows = jr.inspect(str(file))
        assert rows.head(1).shown()[0] in [line.split('"')[1] for line in lines]
        assert {"characters", "words"} <= {column.name for column in rows.columns}

    def test_columns_of_a_table_have_their_names_and_units(self, tmp_path):
        lines = [f"{20 + i % 50},{'red' if i % 3 else 'blue'},{'uv'[i % 2]}" for i in range(200)]
        lines[5] = f",red,{'uv'[1]}"
        file = tmp_path / "t.csv"
        file.write_text("age,colour,y\n" + "\n".join(lines) + "\n")
        rows = jr.inspect(str(file))
        assert set(rows["colour"]) == {"red", "blue"}
        assert np.isnan(rows["age"]).sum() == 1
        assert rows["missing"].sum() == 1
        assert np.nanmin(rows["age"]) == pytest.approx(20)
        assert np.nanmax(rows["age"]) == pytest.approx(69, abs=1e-3)

    def test_a_column_named_as_ours_keeps_its_values(self, tmp_path):
        lines = [f"{i * 3},{'uv'[i % 2]}" for i in range(100)]
        (tmp_path / "t.csv").write_text("row,y\n" + "\n".join(lines) + "\n")
        rows = jr.inspect(str(tmp_path / "t.csv"))
        np.testing.assert_allclose(sorted(rows["row (input)"]), np.arange(0, 300, 3), atol=1e-3)
        assert rows["row"].max() < 100

    def test_suspects_are_written_first(self):
        inputs, labels = blobs(300)
        wrong, rows = flipped(labels, 0.02, 3)
        lines = suspects_csv(survey(data(inputs, wrong))).splitlines()
        assert lines[0].startswith("split,row,label,probe_answer,score")
        first = {int(line.split(",")[1]) for line in lines[1 : 1 + len(rows)]}
        assert first == set(rows.tolist())


class TestExamples:
    rows = Examples(
        "set",
        (
            Column("label", np.array(["a", "b", "a", "b"])),
            Column("size", np.array([2.0, np.nan, 1.0, 3.0])),
        ),
        view=lambda places: [str(place) for place in places],
        places=np.arange(4),
    )

    def test_missing_numbers_stand_last_both_ways(self):
        assert self.rows.sort("size").places.tolist() == [2, 0, 3, 1]
        assert self.rows.sort("size", descending=True).places.tolist() == [3, 0, 2, 1]

    def test_conditions(self):
        assert self.rows.where(label="a", size=(None, 1.5)).places.tolist() == [2]
        assert self.rows.where(lambda e: e["size"] > 1.5).places.tolist() == [0, 3]
        assert self.rows.where(np.array([True, False, False, True])).shown() == ["0", "3"]
        assert len(self.rows.where(label=7)) == 0
        assert len(self.rows.where(size=(5, None))) == 0

    @pytest.mark.parametrize(
        ("condition", "said"),
        [
            (lambda e: e.where(colour="red"), "there is no column 'colour'; there are label, size"),
            (lambda e: e.where(label=(1, 2)), "a pair"),
            (lambda e: e.where(np.ones(3, bool)), r"bool \[4\]"),
            (lambda e: e.where(np.ones(4)), "got float64"),
        ],
    )
    def test_what_cannot_be_asked(self, condition, said):
        with pytest.raises(TaskError, match=said):
            condition(self.rows)


def test_annotations_are_counted_without_padding():
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[0, :2] = 1
    assert count_annotations([boxes]).tolist() == [2, 0]
    assert count_annotations([np.array([[1, 0, 1], [0, 0, 0]])]).tolist() == [2, 0]
    masks = np.zeros((2, 8, 8), np.int32)
    masks[0, 0, :2] = [1, 2]
    assert count_annotations([masks]).tolist() == [2, 0]


def test_outliers_are_far():
    points = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    points[3] = 20
    scores = outlier_scores(points)
    assert scores.argmax() == 3
    assert scores[3] > 5
    assert abs(float(np.median(scores)) - 1) < 1e-3


def test_another_shape_is_left_out_and_said():
    inputs, labels = blobs(60)
    for val in ((inputs[:, :3], labels), (inputs, np.stack([labels, labels], axis=1))):
        found = gather(data(inputs, labels, val=val))
        assert found.names == ("train",)
        assert "The examples of val have another shape than those of train." in found.notes[0]


def test_texts_need_to_fit():
    inputs, labels = blobs(60)
    with pytest.raises(TaskError, match="one for each of 60 examples of train, got 3"):
        gather(data(inputs, labels, texts={"train": ["a", "b", "c"]}))


def test_large_data_are_thinned_and_said():
    inputs, labels = blobs(100)
    found = gather(data(inputs, labels), most=inputs.nbytes // 2)
    assert len(found) == 50
    assert "One in 2" in found.notes[0]
    assert dataclasses.is_dataclass(found)
