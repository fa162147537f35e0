"""`jrecipe finetune` and `predict` for texts, as a person runs them (J5, J9)."""

from __future__ import annotations

import csv
import json

import jax
import numpy as np
import pytest
from cli_runs import jrecipe as run
from small_encoder import questions, reviews, tweets, write_small_encoder
from tfds_sets import write_set

import jrecipe as jr
from jrecipe import finetune


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(write_small_encoder(tmp_path_factory.mktemp("encoder")))


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_table(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def write_columns(path, rows):
    lines = ["\n".join(map("\t".join, zip(r["tokens"], r["tags"], strict=True))) for r in rows]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def tuned(encoder, tmp_path_factory):
    """A run of a folder with three splits, of other formats."""
    home = tmp_path_factory.mktemp("reviews")
    train, test = reviews(192, 0), reviews(32, 2)
    train[7]["text"] = "good film " * 100
    test[5]["text"] = ""
    write_table(home / "train.csv", train)
    write_lines(home / "dev.jsonl", reviews(32, 1))
    write_lines(home / "test.jsonl", test)
    out = home / "run"
    code, said, err = run(
        *("finetune", "classify", str(home), "--encoder", encoder, "--out", str(out)),
        *("--epochs", "8", "--learning-rate", "3e-3", "--batch-size", "16"),
    )
    assert code == 0, err
    return home, out, said, err


@pytest.mark.exhaustive
def test_what_is_cut_or_empty_is_counted_for_each_split(tuned):
    _, out, said, err = tuned
    assert "training: 1 of 192 texts (0.52 %) were cut to 128 tokens" in err
    assert "test: 1 of 32 texts (3.1 %) are empty" in err
    assert "validation:" not in err
    assert "cut to" not in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "were cut to 128 tokens" in page
    assert "Test: 1 of 32 texts" in page
    assert "Test, each class" in page
    code, said, err = run("predict", str(out), "bad " * 300, "good", "--json")
    assert (code, len(said.splitlines())) == (0, 2)
    assert err.startswith("jrecipe: warning: 1 of 2 texts (50 %) were cut to 128 tokens")
    assert run("predict", str(out), "a good film")[2] == ""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_folder_of_splits_is_learned_and_tested(tuned):
    _, out, said, _ = tuned
    assert "validation: accuracy" in said
    assert "test: accuracy" in said
    record = json.loads((out / "finetuned.json").read_text())
    assert record["scores"]["test"] > 0.9
    assert record["labels"] == ["bad", "good"]
    names = ("config.json", "model.safetensors", "head.safetensors", "tokenizer.json")
    assert all((out / name).is_file() for name in (*names, "report.html", "run.json"))
    report = json.loads((out / "report.json").read_text())
    assert {f["check"] for f in report["findings"]["J7"]} >= {"untuned", "text-truncation"}


@pytest.mark.slow
def test_texts_files_and_splits_are_answered(tuned, tmp_path):
    home, out, *_ = tuned
    code, said, _ = run("predict", str(out), "the film was good .", "it was awful .")
    assert code == 0
    assert [line.split("\t")[1] for line in said.splitlines()] == ["good", "bad"]
    (tmp_path / "more.txt").write_text("a film was great .\n\nit was dull .\n", encoding="utf-8")
    code, said, _ = run("predict", str(out), str(tmp_path / "more.txt"), "--json")
    rows = [json.loads(line) for line in said.splitlines()]
    assert [row["answer"] for row in rows] == ["good", "bad"]
    assert rows[0]["probabilities"].keys() == {"bad", "good"}
    code, said, _ = run("predict", str(out), "--split", "test")
    assert len(said.splitlines()) == 32
    code, said, _ = run("predict", str(out), str(home / "dev.jsonl"))
    assert len(said.splitlines()) == 32


@pytest.mark.slow
def test_a_run_goes_on_where_it_was(tuned, encoder):
    home, out, *_ = tuned
    code, said, err = run(
        *("finetune", "classify", str(home), "--encoder", encoder, "--out", str(out)),
        *("--epochs", "8", "--learning-rate", "3e-3", "--batch-size", "16", "--resume"),
    )
    assert code == 0, err
    assert "test: accuracy" in said


@pytest.mark.exhaustive
@pytest.mark.slow
def test_words_of_a_columns_file_are_tagged(encoder, tmp_path):
    data, out = write_columns(tmp_path / "names.conll", tweets(128)), str(tmp_path / "run")
    code, said, err = run(
        *("finetune", "tag", data, "--encoder", encoder, "--out", out, "--epochs", "6"),
        *("--learning-rate", "5e-3", "--batch-size", "16", "--json"),
    )
    assert code == 0, err
    assert json.loads(said)["val"] > 0.9
    code, said, _ = run("predict", out, "anna lives in paris .")
    assert said.split("\t")[1].strip() == "B-PER, O, O, B-LOC, O"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_question_and_a_passage_are_two_texts(encoder, tmp_path):
    data, out = write_lines(tmp_path / "asked.jsonl", questions(64)), str(tmp_path / "run")
    code, _, err = run(
        *("finetune", "answer", data, "--encoder", encoder, "--out", out, "--epochs", "1"),
        *("--max-length", "32", "-q"),
    )
    assert code == 0, err
    code, said, _ = run("predict", out, "who ?\tanna lives in paris .")
    assert code == 0
    assert said.split("\t")[1].strip() in "anna lives in paris ."
    code, _, err = run("predict", out, "who ?")
    assert code == 2
    assert "FIRST<tab>SECOND" in err


@pytest.mark.exhaustive
def test_a_t5_that_copies_writes_as_it_was_told_to(tmp_path):
    rows = [{"text": row["text"], "title": row["text"].split()[0]} for row in reviews(64)]
    words = finetune.train_tokenizer([row["text"] for row in rows], 60, "unigram", sentinels=2)
    sizes = {"width": 8, "depth": 1, "heads": 2, "head_width": 4, "hidden": 8}
    net = jr.models.T5(words.get_vocab_size(), **sizes, copies=True)
    ids = np.ones((1, 2), np.int32)
    inputs = {"ids": ids, "mask": ids > 0, "decoder_ids": ids}
    params = net.init(jax.random.key(0), inputs)["params"]
    finetune.write_pretrained(tmp_path / "t5", net, params, words)
    data, out = write_lines(tmp_path / "rows.jsonl", rows), tmp_path / "run"
    code, said, err = run(
        *("finetune", "summarise", data, "--encoder", str(tmp_path / "t5"), "--out", str(out)),
        *("--summary", "title", "--prefix", "sum up: ", "--summary-length", "7", "--beams", "2"),
        *("--length-penalty", "0", "--no-repeat", "1", "--epochs", "1"),
    )
    assert code == 0, err
    assert "ROUGE-1" in said
    kind = finetune.load_finetuned(out).kind
    assert kind == finetune.Summarise(
        summary="title",
        prefix="sum up: ",
        summary_length=7,
        beams=2,
        length_penalty=0.0,
        no_repeat=1,
    )
    code, written, err = run("predict", out, rows[0]["text"])
    assert code == 0, err
    assert len(words.encode(written.strip().split("\t")[1]).ids) <= 8


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("classify", "--no-repeat", "0"), "--no-repeat has no meaning for the task classify"),
        (("tag", "--no-crf", "--text", "x"), "--text has no meaning for the task tag"),
        (("classify", "--no-crf"), "--no-crf has no meaning for the task classify"),
        (("classify", "--text", "body"), "body"),
        (("classify", "--max-length", "999"), "128 positions"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, said, encoder, tmp_path):
    kind, *more = arguments
    rows = tweets(8) if kind == "tag" else reviews(8)
    data, out = write_lines(tmp_path / "rows.jsonl", rows), tmp_path / "run"
    code, _, err = run(
        *("finetune", kind, data, "--encoder", encoder, "--out", str(out), *more),
    )
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert not out.exists()


def test_an_encoder_that_is_not_there_is_one_line(tmp_path):
    data = write_lines(tmp_path / "rows.jsonl", reviews(8))
    code, _, err = run("finetune", "classify", data, "--encoder", str(tmp_path / "none"))
    assert code == 2
    assert "hub:OWNER/NAME" in err


@pytest.mark.parametrize("data", ["tfds:no_such_set_at_all", "no_such_file.csv"])
def test_data_that_are_not_there_are_one_line(data, encoder, tmp_path):
    out = tmp_path / "run"
    code, _, err = run("finetune", "classify", data, "--encoder", encoder, "--out", str(out))
    assert code == 2
    assert data in err
    assert "Traceback" not in err
    assert not out.exists()


@pytest.mark.exhaustive
def test_a_prepared_set_is_learned_and_its_splits_are_found_again(encoder, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = tfds.features
    kinds = {"text": features.Text(), "label": features.ClassLabel(names=["bad", "good"])}
    splits = {
        name: [{**row, "label": int(row["label"] == "good")} for row in reviews(n, n)]
        for name, n in (("train", 32), ("validation", 16), ("test", 8))
    }
    write_set(tmp_path, "tiny_reviews", kinds, splits)
    code, said, err = run(
        *("finetune", "classify", "tfds:tiny_reviews", "--encoder", encoder, "--json"),
        *("--data-dir", str(tmp_path), "--epochs", "1", "--out", str(tmp_path / "run")),
    )
    assert code == 0, err
    assert json.loads(said).keys() >= {"val", "test"}
    code, said, _ = run("predict", str(tmp_path / "run"), "--split", "test")
    assert len(said.splitlines()) == 8


def test_data_are_missed_before_an_encoder_is_looked_for(tmp_path):
    code, _, err = run("finetune", "classify", "no_such_file.csv", "--encoder", str(tmp_path))
    assert code == 2
    assert "no_such_file.csv" in err


def test_a_folder_without_training_rows_says_what_to_call_them(encoder, tmp_path):
    write_lines(tmp_path / "rows.jsonl", reviews(8))
    code, _, err = run("finetune", "classify", str(tmp_path), "--encoder", encoder)
    assert code == 2
    assert "train.jsonl" in err
