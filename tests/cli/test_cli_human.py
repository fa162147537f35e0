"""`jrecipe human`: a page, and what answers on it are worth."""

from __future__ import annotations

import json

import pytest
from cli_runs import jrecipe as run

import jrecipe as jr


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of digits, and what it asks."""
    path = tmp_path_factory.mktemp("human") / "page.html"
    code, said, err = run("human", "digits", "-n", "8", "--out", str(path))
    assert (code, err.strip()) in ((0, ""), (0, "Load digits"))
    assert said.endswith(f"Page: {path}\n")
    text = path.read_text(encoding="utf-8")
    begin = text.index('type="application/json">') + len('type="application/json">')
    return json.loads(text[begin : text.index("</script>", begin)])


def answered(path, asked, wrong=0, **more):
    """Writes the right answers, but for the first few, as the page would."""
    _, targets = jr.data.load("digits").val.take([each["row"] for each in asked["examples"]])
    labels = [str((t + (i < wrong)) % 10) for i, t in enumerate(targets.tolist())]
    told = {name: asked[name] for name in ("split", "data", "seed")}
    rows = [each["row"] for each in asked["examples"]]
    path.write_text(json.dumps({**told, "rows": rows, "labels": labels, **more}), "utf-8")
    return str(path)


def test_answers_are_scored_and_compared(page, tmp_path):
    one = answered(tmp_path / "a.json", page, wrong=2, person="Anna", seconds=[1.5] * 8)
    code, said, _ = run("human", "digits", "--score", one)
    assert code == 0
    assert "Anna: accuracy 75.0% (40.9% to 92.9%; 6 of 8), 1.5 s an example (median)" in said
    other = answered(tmp_path / "b.json", page, wrong=1)
    code, said, _ = run("human", "digits", "--score", one, "--score", other)
    assert "7 of 8 alike (87.5%), Cohen's kappa 0.8" in said
    code, said, _ = run("human", "digits", "--score", one, "--score", other, "--json")
    told = json.loads(said)
    assert [person["accuracy"] for person in told["persons"]] == [0.75, 0.875]
    assert told["persons"][1]["median_seconds"] is None
    assert 0.8 < told["agreement"][0]["kappa"] < 0.9


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({"split": "test"}, (), "are for the split 'test', and 'val' is asked for"),
        ({"data": "0" * 16}, (), "are for other data"),
        ({}, ("--seed", "1"), "are for other data"),
        ({}, ("--split", "test"), "are for the split 'val', and 'test' is asked for"),
    ],
)
def test_answers_that_belong_elsewhere_are_one_line(page, tmp_path, change, more, words):
    file = answered(tmp_path / "a.json", page, **change)
    code, said, err = run("human", "digits", "--score", file, *more)
    assert (code, said) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_cook_refuses_answers_on_other_data_before_it_trains(page, tmp_path):
    file = answered(tmp_path / "a.json", page, data="0" * 16)
    code, _, err = run("cook", "digits", "--human", file, "--out", str(tmp_path / "run"))
    assert code == 2
    assert "are for other data" in err


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
    code, _, err = run("human", "digits", "--out", str(tmp_path / "no" / "page.html"))
    assert code == 2
    assert "page.html" in err
    assert "Traceback" not in err


def test_a_decoder_that_raises_is_one_line_with_its_place(tmp_path):
    (tmp_path / "own.py").write_text(
        "import jrecipe as jr, optax\n"
        "digits = jr.data.load('digits')\n"
        "def decode(inputs):\n"
        "    raise RuntimeError('no pictures today')\n"
        "task = jr.Task(model=jr.models.Linear(10), loss=jr.losses.softmax_cross_entropy(),\n"
        "    train=digits.train, val=digits.val, optimizer=optax.sgd(0.1), batch_size=64,\n"
        "    decode=decode)\n",
        encoding="utf-8",
    )
    code, _, err = run("human", f"{tmp_path / 'own.py'}:task", "--out", str(tmp_path / "p.html"))
    assert code == 2
    assert "no pictures today" in err
    assert "own.py:4:" in err
    assert "Traceback" not in err
    assert not (tmp_path / "p.html").exists()
