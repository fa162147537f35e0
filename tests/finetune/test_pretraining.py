"""Pre-training as a task: rows that hold the texts, a loss that falls where there is an order."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jrecipe as jr
from jrecipe.finetune.corruption import restore
from jrecipe.finetune.head_swap import with_head
from jrecipe.finetune.load import load_pretrained
from jrecipe.finetune.masking import IGNORE
from jrecipe.finetune.pretraining import pretrain_task, write_pretrained
from jrecipe.finetune.start import start_from
from jrecipe.finetune.train_tokenizer import train_tokenizer
from jrecipe.types import TaskError

pytestmark = pytest.mark.thin(2)

# Each text says one word again and again: whoever sees the others knows the hidden one.
WORDS = ("ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen")
TEXTS = [" ".join([WORDS[s % 8]] * (12 + s % 5)) for s in range(240)]
BERT = {"width": 32, "depth": 1, "heads": 2, "hidden": 64, "length": 16, "dropout": 0.0}
T5 = {"width": 32, "depth": 1, "heads": 2, "head_width": 16, "hidden": 64, "dropout": 0.0}


@functools.cache
def words_of(kind):
    return train_tokenizer(TEXTS, 60, kind, sentinels=8)


def bert_task(**changes):
    words = words_of("wordpiece")
    net = jr.models.Bert(words.get_vocab_size(), **BERT)
    return pretrain_task(TEXTS, words, net, **{"length": 16, "batch_size": 32} | changes)


def t5_task(**changes):
    words = words_of("unigram")
    net = jr.models.T5(words.get_vocab_size(), **T5)
    return pretrain_task(TEXTS, words, net, **{"length": 24, "batch_size": 32} | changes)


def loss_of(task, steps, rate=1e-2):
    task = task.replace(optimizer=optax.adam(rate))
    return jr.fit(task, steps, eval_every=steps, progress=False).evaluate("val", best=False).loss


def texts_in(rows, words, separator):
    """Returns the texts that stand in rows, as sorted lists of ids."""
    known = set(words.get_added_tokens_decoder()) - {separator}
    stream = [int(t) for t in np.ravel(rows) if int(t) not in known]
    ends = [i + 1 for i, t in enumerate(stream) if t == separator]
    return sorted(stream[a : b - 1] for a, b in zip([0, *ends], ends, strict=False))


def wanted(words):
    return sorted(words.encode(t, add_special_tokens=False).ids for t in TEXTS)


@pytest.mark.exhaustive
def test_every_text_stands_once_in_training_or_in_validation():
    task, words = bert_task(val_fraction=0.2), words_of("wordpiece")
    found = []
    for source in (task.train, task.val):
        inputs, targets = source.take(np.arange(len(source)))
        true = np.where(targets == IGNORE, inputs["ids"], targets)
        assert (true[:, 0] == 2).all()  # [CLS]
        assert 0.1 < (targets != IGNORE).mean() < 0.18
        found.append(texts_in(true, words, 3))
    assert sorted(found[0] + found[1]) == wanted(words)
    assert len(found[1]) == 48
    words = words_of("unigram")
    task, found = t5_task(draws=2), []
    sentinels = [words.token_to_id(f"<extra_id_{i}>") for i in range(8)]
    for source in (task.train, task.val):
        inputs, targets = source.take(np.arange(len(source.rows)))
        rows = [
            restore(a[a != 0], b[b != 0], sentinels)
            for a, b in zip(inputs["ids"], targets, strict=True)
        ]
        found += texts_in([t for row in rows for t in row], words, 1)
    assert sorted(found) == wanted(words)
    assert len(task.train) == 2 * len(task.train.rows)
    assert len(task.val) == len(task.val.rows)


@pytest.mark.exhaustive
def test_validation_is_the_same_each_time_and_training_is_not():
    one, again, other = bert_task(), bert_task(), bert_task(seed=1)
    rows = np.arange(5)
    jax.tree.map(np.testing.assert_array_equal, one.val.take(rows), again.val.take(rows))
    assert (one.val.take(rows)[1] != other.val.take(rows)[1]).any()
    batch = jr.Batch(*one.train.take(np.arange(32)), np.ones(32, np.float32))
    first, second = (one.augment(jax.random.key(i), batch) for i in (0, 1))
    assert (first.targets != second.targets).any()
    true = [np.where(b.targets == IGNORE, b.inputs["ids"], b.targets) for b in (first, second)]
    np.testing.assert_array_equal(*true)


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", [bert_task, t5_task])
def test_the_task_is_understood_and_begins_uninformed(make):
    task = make()
    jr.task.validate_values(task)
    inputs, targets = task.val.take(np.arange(len(task.val)))
    params, _ = jax.jit(task.model.init)(jax.random.key(0), inputs)
    logits, _ = task.model.apply(params, {}, inputs)
    value, weight = task.loss(logits, targets)
    loss = float((value * weight).sum() / weight.sum())
    size = logits.shape[-1]
    assert abs(loss - np.log(size)) < (0.2 if make is bert_task else 1.0)  # T5's embedding is wide
    assert len(task.decode(inputs)) == len(targets)
    assert "elk" in " ".join(task.decode(inputs))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_it_learns_an_order_and_not_one_that_is_not_there():
    task = bert_task()
    entropy = np.log(8)  # of the eight words, separators are never asked for
    assert loss_of(task, 130) < 0.6 * entropy

    def shuffled(source, seed):
        inputs, targets = source.take(np.arange(len(source)))
        targets = targets.copy()
        chosen = targets != IGNORE
        targets[chosen] = np.random.default_rng(seed).permutation(targets[chosen])
        return inputs, targets

    wrong = task.replace(augment=None, train=shuffled(task.train, 0), val=shuffled(task.val, 1))
    assert loss_of(wrong, 130) > 0.95 * entropy


@pytest.mark.exhaustive
@pytest.mark.slow
def test_t5_learns_to_write_what_was_cut_out():
    task = t5_task()
    _, targets = task.val.take(np.arange(len(task.val)))
    counts = np.bincount(targets[targets != 0])
    shares = counts[counts > 0] / counts.sum()
    entropy = -float((shares * np.log(shares)).sum())
    assert loss_of(task, 150) < 0.6 * entropy


@pytest.mark.exhaustive
def test_the_trained_body_is_taken_over_to_the_bit_and_through_a_folder(tmp_path):
    task = bert_task()
    params = jr.fit(task, 2, progress=False).state.params
    words = words_of("wordpiece")
    encoder = jr.models.Bert(words.get_vocab_size(), **BERT)
    text = task.val.take(np.arange(2))[0]
    classifier = jr.models.TextClassifier(encoder, 3)
    fresh = classifier.init(jax.random.key(1), text)["params"]
    begun = with_head(params, fresh)
    jax.tree.map(np.testing.assert_array_equal, begun["encoder"], params["encoder"])
    write_pretrained(tmp_path, encoder, params, words)
    found = load_pretrained(tmp_path)
    assert found.module == encoder
    assert found.tokenizer_files == {"tokenizer.json": tmp_path / "tokenizer.json"}
    again = start_from(jr.models.TextClassifier(found.module, 3), found).init(
        jax.random.key(1), text
    )[0]
    jax.tree.map(np.testing.assert_array_equal, again, begun)
    # Pre-training goes on from a folder as well, with its own tokenizer.
    more = pretrain_task(TEXTS, tmp_path, found.module, length=16, batch_size=32)
    goes_on = start_from(jr.models.MaskedLM(found.module), found).init(jax.random.key(0), text)[0]
    jax.tree.map(np.testing.assert_array_equal, goes_on["encoder"], params["encoder"])
    np.testing.assert_array_equal(more.val.take(np.arange(2))[1], task.val.take(np.arange(2))[1])


@pytest.mark.exhaustive
@pytest.mark.parametrize("changes", [{}, {"gated": True, "tied": False, "decoder_depth": 2}])
def test_a_t5_is_written_and_read_again(changes, tmp_path):
    words = words_of("unigram")
    net = jr.models.T5(words.get_vocab_size(), **T5 | changes)
    inputs, _ = t5_task().val.take(np.arange(2))
    params = net.init(jax.random.key(0), inputs)["params"]
    write_pretrained(tmp_path, net, params, words)
    found = load_pretrained(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, found.params, dict(params))
    assert found.unused == ()
    np.testing.assert_array_equal(
        found.module.apply({"params": found.params}, inputs), net.apply({"params": params}, inputs)
    )
    odd = net.clone(scaled=not net.tied)
    with pytest.raises(TaskError, match="has no place in a config"):
        write_pretrained(tmp_path, odd, params, words)


@pytest.mark.exhaustive
def test_a_text_may_be_of_any_length_and_the_tokenizer_is_left_as_it_is():
    words = train_tokenizer(TEXTS, 60)
    words.enable_truncation(4)
    words.enable_padding(length=9)
    net = jr.models.Bert(words.get_vocab_size(), **BERT)
    one, other = (
        pretrain_task(TEXTS, w, net, length=16).val.take(np.arange(3))
        for w in (words, words_of("wordpiece"))
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert len(words.encode("ant bee cow dog elk fox").ids) == 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"texts": "one text"}, "two texts or more"),
        ({"tokenizer": "nowhere"}, "there is no nowhere"),
        ({"network": jr.models.GPT(60)}, "Bert or T5, got GPT"),
        ({"network": jr.models.Bert(10, **BERT)}, "vocabulary for"),
        ({"length": 17}, "17 positions, got length=16"),
        ({"val_fraction": 0.0}, "val_fraction in \\(0, 1\\), got 0.0"),
        ({"batch_size": 1_000}, "texts for 1000 rows of 16 tokens, got"),
        ({"network": jr.models.T5(60, **T5)}, "with <pad>, which this one lacks"),
    ],
)
def test_arguments_of_no_use_are_refused(call, message):
    words = words_of("wordpiece")
    usual = {
        "texts": TEXTS,
        "tokenizer": words,
        "network": jr.models.Bert(words.get_vocab_size(), **BERT),
        "length": 16,
    }
    with pytest.raises(TaskError, match=message):
        pretrain_task(**usual | call)


def test_a_damaged_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TaskError, match=r"tokenizer\.json is no tokenizer"):
        pretrain_task(TEXTS, tmp_path, jr.models.Bert(60, **BERT), length=16)


@pytest.mark.exhaustive
def test_losses_of_both_networks_count_hidden_tokens_only():
    for task in (bert_task(), t5_task()):
        targets = task.val.take(np.arange(4))[1]
        counted = targets != task.loss.pad
        logits = jnp.zeros((*targets.shape, 60))
        np.testing.assert_array_equal(task.loss(logits, targets)[1], counted.sum(axis=1))
