"""A sweep finds the learning rate that learns (J7)."""

from __future__ import annotations

import dataclasses

import pytest
from small_encoder import reviews, write_small_encoder

from jrecipe import finetune
from jrecipe.finetune.rows import as_rows


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_rate_that_learns_is_taken_and_the_others_are_shown(tmp_path):
    found = finetune.load_pretrained(write_small_encoder(tmp_path / "encoder"))
    told = []
    swept = finetune.sweep(
        finetune.Classify(dropout=0.0),
        found,
        as_rows(reviews(160, 0)),
        as_rows(reviews(48, 1)),
        finetune.Plan(epochs=6, batch_size=16),
        rates=(1e-7, 3e-3),
        batch_sizes=(8, 16),
        epochs=(2, 6),
        minutes=30,
        say=told.append,
    )
    assert swept.best.rate == 3e-3
    assert not swept.cut
    scores = {(t.plan.rate, t.plan.batch_size, t.plan.epochs): t.score for t in swept.trials}
    assert len(scores) == len(swept.trials) >= 4
    best = dataclasses.replace(swept.best)
    assert scores[best.rate, best.batch_size, best.epochs] == max(scores.values())
    assert scores[1e-7, 16, 6] < scores[3e-3, 16, 6]
    assert any("learning rate 0.003" in line for line in told)
    assert "accuracy" in str(swept)
    # Time that is over ends it after what has begun.
    assert finetune.sweep(
        finetune.Classify(dropout=0.0),
        found,
        as_rows(reviews(32, 0)),
        as_rows(reviews(16, 1)),
        rates=(1e-3,),
        batch_sizes=(16,),
        epochs=(1,),
        minutes=1e-9,
    ).cut
