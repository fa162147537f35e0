"""Fine-tuning leaves padding out: it changes no gradient, and compiles once for each bucket."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import optax
import pytest
from small_encoder import pairs, reviews, tweets, write_small_encoder
from text_lengths import counting

import jrecipe as jr
from jrecipe import finetune
from jrecipe.data import training_rows
from jrecipe.finetune.buckets import bucket_lengths
from jrecipe.finetune.ragged import Ragged
from jrecipe.finetune.rows import as_rows
from jrecipe.finetune.tokenized import PairSource, TokenizedSource, Tokens
from jrecipe.models import Bert, TextClassifier
from jrecipe.train.some_rows import SomeRows

SIZE = 16


def texts(n=320, longest=60, seed=0):
    """Returns texts of 3 to `longest` random tokens, as a source."""
    rng = np.random.default_rng(seed)
    ids = [rng.integers(1, 40, rng.integers(3, longest + 1)).tolist() for _ in range(n)]
    tokens = Tokens(Ragged.of(ids, np.int32), Ragged.of([[0] * len(x) for x in ids], np.int32), 0)
    buckets = bucket_lengths(tokens.lengths, 64, few=True)
    return TokenizedSource(tokens, rng.integers(0, 2, n).astype(np.int32), buckets)


def own_task(source):
    encoder = Bert(40, width=8, depth=1, heads=2, hidden=16, length=64, dropout=0.0)
    return jr.Task(
        model=TextClassifier(encoder, 2),
        loss=jr.losses.softmax_cross_entropy(),
        train=source,
        val=texts(32, seed=1),
        optimizer=optax.sgd(0.1),
        batch_size=SIZE,
    )


def test_all_batches_of_an_epoch_fit_and_most_of_the_padding_is_gone():
    source = texts(4000)
    rows = training_rows(source.buckets, SIZE, 0, 0, 500, source.lengths)
    inputs = [source.unpadded(row)[0] for row in rows]
    assert all("room" in each for each in inputs)
    real = sum(each["mask"].sum() for each in inputs)
    kept = sum(each["room"].size for each in inputs)
    padded = sum(each["mask"].size for each in inputs)
    assert real <= kept < 1.05 * real < 1.25 * real < padded
    shapes = {(each["ids"].shape, each["room"].shape) for each in inputs}
    assert len(shapes) == len(set(source.buckets.tolist()))


def test_rows_that_do_not_fit_are_read_with_their_padding():
    source = texts()
    longest = np.argsort(source.lengths)[-SIZE:]
    inputs, targets = source.unpadded(longest)
    want, same = source.take(longest)
    assert inputs.keys() == want.keys() == {"ids", "mask", "types"}
    np.testing.assert_array_equal(targets, same)


def test_pairs_have_room_for_each_of_their_texts():
    one, other = texts(64), texts(64, seed=1)
    buckets = np.maximum(one.buckets, other.buckets)
    source = PairSource(one.tokens, other.tokens, np.zeros(64, np.float32), buckets)
    inputs, _ = source.unpadded(np.arange(SIZE))
    for name, part in (("first", one), ("second", other)):
        count = part.lengths[:SIZE].sum()
        assert inputs[name]["room"].size >= count == inputs[name]["mask"].sum()


class Padded:
    """The same rows in the same order, read with their padding."""

    def __init__(self, source):
        self.take, self.buckets, self.lengths = source.take, source.buckets, source.lengths

    def __len__(self):
        return len(self.buckets)


@pytest.mark.exhaustive
def test_training_is_that_of_padded_batches_and_is_traced_once_for_each_bucket():
    source, traced = texts(), []
    task = own_task(source)
    task = task.replace(model=counting(task.model, traced))
    fit = jr.fit(task, 45, progress=False)  # past two ends of epochs
    assert sorted(traced) == [16, 32, 64]
    other = jr.fit(own_task(Padded(source)), 45, progress=False)
    np.testing.assert_allclose(fit.history["loss"], other.history["loss"], rtol=1e-3)
    assert np.ptp(fit.history["loss"]) > 0.01


@pytest.mark.exhaustive
@pytest.mark.thin(6)
@pytest.mark.parametrize(
    ("how", "left_out"), [({}, True), ({"accumulate": 4}, False), ({"devices": 2}, False)]
)
@pytest.mark.parametrize("part", [False, True])
def test_only_whole_batches_are_read_without_padding(how, left_out, part):
    task, seen = own_task(texts()), []
    if part:  # some rows of a source read as it does
        task = task.replace(train=SomeRows(task.train, np.arange(64)[::-1]))
    model = task.model

    def apply(params, state, inputs, *, key=None, train=False):
        if train:
            seen.append("room" in inputs)
        return model.apply(params, state, inputs, key=key, train=train)

    watched = dataclasses.replace(model, apply=apply)
    fit = jr.fit(task.replace(model=watched), 3, progress=False, **how)
    assert np.isfinite(fit.history["loss"]).all()
    assert (True in seen) == left_out
    assert part or set(seen) == {left_out}  # a part may hold more than its bucket does on average


@pytest.mark.exhaustive
def test_batches_that_are_cut_in_parts_keep_their_padding():
    source = texts()
    fit = jr.fit(own_task(source), 6, accumulate=4, progress=False)
    other = jr.fit(own_task(Padded(source)), 6, accumulate=4, progress=False)
    np.testing.assert_array_equal(fit.history["loss"], other.history["loss"])


@pytest.mark.exhaustive
@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("kind", "made"),
    [(finetune.Classify, reviews), (finetune.Tag, tweets), (finetune.Similar, pairs)],
)
def test_what_kinds_read_leads_to_the_same_answers_with_and_without_padding(kind, made, tmp_path):
    found = finetune.load_pretrained(write_small_encoder(tmp_path))
    data = kind().read(as_rows(made(64, 0)), finetune.read_tokenizer(found))
    network = kind().network(found.module, data.labels)
    model = finetune.start_from(network, found)
    rows = training_rows(data.source.buckets, 16, 0, 0, 1, data.source.lengths)[0]
    padded, unpadded = data.source.take(rows)[0], data.source.unpadded(rows)[0]
    assert jax.tree.structure(padded) != jax.tree.structure(unpadded)
    params, state = model.init(jax.random.key(0), padded)
    run = jax.jit(lambda inputs: model.apply(params, state, inputs, train=False, key=None)[0])
    want, got = jax.tree.map(np.asarray, (run(padded), run(unpadded)))
    if "mask" in padded and np.shape(want)[:2] == padded["mask"].shape:  # one for each token
        want, got = want[padded["mask"]], got[padded["mask"]]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), want, got)
