"""Fine-tuning from a folder to answers: each kind learns, and broken input is refused (J5, J9)."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil

import jax
import numpy as np
import pytest
from small_encoder import pairs, questions, reviews, tweets, write_small_encoder

import jrecipe as jr
from jrecipe import finetune
from jrecipe.finetune.rows import as_rows

KINDS = {  # the kind, its rows, passes over them, and the score it has to reach
    "classify": (finetune.Classify(dropout=0.0), reviews, 10, 0.95),
    "tag": (finetune.Tag(dropout=0.0), tweets, 5, 0.95),
    "tag, softmax": (finetune.Tag(crf=False, dropout=0.0), tweets, 5, 0.95),
    "answer": (finetune.Answer(max_length=24, stride=8, dropout=0.0), questions, 60, 0.9),
    "similar": (finetune.Similar(), pairs, 10, 0.8),
}
PLAN = finetune.Plan(rate=3e-3, epochs=10, batch_size=16)
slow = pytest.mark.slow
each_kind = pytest.mark.parametrize(
    "name", [n if n in ("classify", "tag") else pytest.param(n, marks=slow) for n in KINDS]
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return finetune.load_pretrained(write_small_encoder(tmp_path_factory.mktemp("encoder")))


def tuned(found, name, plan=PLAN, rows=128, **how):
    kind, made, *_ = KINDS[name]
    train, val = as_rows(made(rows, 0)), as_rows(made(32, 1))
    return finetune.fine_tune(kind, found, train, val, plan, progress=False, **how)


@pytest.fixture(scope="module")
def all_tuned(found):
    @functools.cache
    def made(name):
        return tuned(found, name, dataclasses.replace(PLAN, epochs=KINDS[name][2]))

    return made


@pytest.mark.exhaustive
@each_kind
def test_each_kind_learns_its_task(all_tuned, name):
    assert all_tuned(name).headline >= KINDS[name][3], str(all_tuned(name).scores)


@pytest.mark.exhaustive
@each_kind
def test_a_folder_answers_as_the_network_that_was_saved(all_tuned, name, tmp_path):
    predictor = all_tuned(name).predictor
    predictor.save(tmp_path / "kept", {"scores": {"val": all_tuned(name).headline}})
    again = finetune.load_finetuned(tmp_path / "kept")
    for a, b in zip(jax.tree.leaves(predictor.params), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_array_equal(a, b)
    rows = KINDS[name][1](5, 2)
    assert again.answers(rows) == predictor.answers(rows)
    assert again.labels == predictor.labels
    assert again.kind == predictor.kind
    # The encoder's part is a public folder by itself.
    assert finetune.load_pretrained(tmp_path / "kept").module == predictor.found.module


@pytest.mark.exhaustive
def test_answers_do_not_look_at_what_is_right(all_tuned):
    predictor = all_tuned("classify").predictor
    rows = reviews(6, 3)
    blind = [{"text": row["text"]} for row in rows]
    flipped = [{**row, "label": "bad" if row["label"] == "good" else "good"} for row in rows]
    assert predictor.answers(blind) == predictor.answers(rows) == predictor.answers(flipped)


@pytest.mark.exhaustive
@slow
def test_a_run_that_is_resumed_is_the_run_without_a_break(found, tmp_path):
    whole = tuned(found, "classify", rows=64)
    kind, made, *_ = KINDS["classify"]
    train, val = as_rows(made(64, 0)), as_rows(made(32, 1))
    how = {"out": tmp_path, "progress": False}
    finetune.fine_tune(kind, found, train, val, PLAN, **how)
    for folder in ("checkpoints", "best"):  # as if it had been stopped after the third epoch
        for saved in (tmp_path / folder).iterdir():
            if saved.name.isdigit() and int(saved.name) > 12:
                shutil.rmtree(saved)
    again = finetune.fine_tune(kind, found, train, val, PLAN, resume=True, **how)
    assert again.fit.steps == whole.fit.steps
    for a, b in zip(
        jax.tree.leaves(again.fit.state.params),
        jax.tree.leaves(whole.fit.state.params),
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.exhaustive
@slow
def test_from_random_weights_nothing_of_the_encoder_is_kept(found):
    plan = dataclasses.replace(PLAN, scratch=True, epochs=1, rate=1e-9)
    fresh = tuned(found, "classify", plan).predictor.params["encoder"]
    kept = tuned(found, "classify", dataclasses.replace(plan, scratch=False)).predictor.params
    table = lambda params: np.asarray(params["embeddings"]["tokens"]["embedding"])  # noqa: E731
    loaded = table(found.params)
    np.testing.assert_allclose(table(kept["encoder"]), loaded, atol=1e-6)
    assert np.abs(table(fresh) - loaded).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 0.0}, "Plan.rate"),
        ({"rate": float("nan")}, "Plan.rate"),
        ({"epochs": 0}, "Plan.epochs"),
        ({"batch_size": True}, "Plan.batch_size"),
        ({"warm_up": 1.0}, "Plan.warm_up"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(change, said):
    with pytest.raises(jr.TaskError, match=said):
        finetune.Plan(**change)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_label_that_training_does_not_have_is_an_error(found):
    kind = KINDS["classify"][0]
    val = [*reviews(4), {"text": "it was good", "label": "so-so"}]
    with pytest.raises(jr.TaskError, match="so-so"):
        finetune.fine_tune(kind, found, as_rows(reviews(32)), as_rows(val), PLAN)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_folders_that_cannot_be_are_refused(all_tuned, found, tmp_path):
    with pytest.raises(jr.TaskError, match=r"has no finetuned\.json"):
        finetune.load_finetuned(tmp_path)
    kept = tmp_path / "kept"
    all_tuned("classify").predictor.save(kept)
    record = json.loads((kept / "finetuned.json").read_text())

    def written(**change):
        (kept / "finetuned.json").write_text(json.dumps({**record, **change}))
        return kept

    with pytest.raises(jr.TaskError, match="schema"):
        finetune.load_finetuned(written(schema=0))
    with pytest.raises(jr.TaskError, match="lacks or misnames"):
        finetune.load_finetuned(written(kind="sing"))
    with pytest.raises(jr.TaskError, match="does not fit"):
        finetune.load_finetuned(written(labels=["a", "b", "c"]))
    (kept / "finetuned.json").write_text("{")
    with pytest.raises(jr.TaskError, match="damaged"):
        finetune.load_finetuned(kept)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_texts_of_several_lengths_are_tagged_by_both_heads(found):
    rows = [{"tokens": r["tokens"] * (1 + i % 4), "tags": r["tags"] * (1 + i % 4)} for i, r in
            enumerate(tweets(24))]  # fmt: skip
    for crf in (True, False):
        kind = finetune.Tag(crf=crf)
        plan = finetune.Plan(epochs=1, batch_size=8)
        done = finetune.fine_tune(kind, found, as_rows(rows), as_rows(rows[:9]), plan)
        answers = done.predictor.answers(rows[:9])
        assert [len(answer["answer"]) for answer in answers] == [len(r["tags"]) for r in rows[:9]]
