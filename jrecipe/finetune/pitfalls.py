"""What goes wrong in silence between files of texts and a pre-trained network (J7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.finetune.answer_data import AnswerData
from jrecipe.finetune.fields import counted, percent
from jrecipe.finetune.text_data import TextData
from jrecipe.finetune.tokenized import TokenizedSource
from jrecipe.finetune.tokenizer import TextTokenizer

CUT = UNKNOWN = 0.05  # shares above which much of what the labels speak of is lost
SPARE_ROWS = 256  # of an embedding, by which public networks round their vocabulary up
SHARED = 0.005  # share of validation rows that are in training; real data sets have a few
MISALIGNED = 0.05
_LOOKED_AT = 512  # examples, evenly spread


def text_findings(
    train: TextData, val: TextData | None, tokenizer: TextTokenizer, module: Any
) -> tuple[Finding, ...]:
    """Looks for what makes a fine-tuned network worse without an error.

    | check | what is wrong |
    | --- | --- |
    | text-vocabulary | tokens without an embedding, or many embeddings without a token |
    | text-special-tokens | a text lacks the tokens that the network was trained with around it |
    | text-padding | padding stands before tokens, or is another token than the tokenizer's |
    | text-truncation | more than 5 % of the texts were cut |
    | text-unknown | more than 5 % of the tokens are unknown |
    | text-alignment | splits number labels differently; tags or answers are of other tokens |
    | text-split | more than 0.5 % of the validation texts are training texts |

    Args:
      train: training data.
      val: validation data, if there are any.
      tokenizer: of the network.
      module: the network or its encoder, with a `vocabulary`.

    Returns:
      A finding for each check, of the item "J7".
    """
    splits = {"train": train} if val is None else {"train": train, "val": val}
    return (
        judge_vocabulary(tokenizer.vocabulary, int(module.vocabulary)),
        judge_special_tokens(*_special_tokens(splits, tokenizer)),
        judge_padding(*_padding(splits, tokenizer.pad_id)),
        judge_truncation({name: (data.truncated, data.texts) for name, data in splits.items()}),
        judge_unknown({name: data.unknown for name, data in splits.items()}),
        judge_alignment({n: d.labels for n, d in splits.items()}, *_misaligned(splits)),
        judge_split(*_shared(train, val)),
    )


def judge_vocabulary(tokens: int, rows: int) -> Finding:
    """Judges the tokens of a tokenizer against the rows of an embedding."""
    evidence = {"tokens": tokens, "embeddings": rows, "spare": SPARE_ROWS}
    conclude = concluding("J7", "text-vocabulary", evidence)
    said = f"The tokenizer has {tokens:,} tokens, the network embeddings for {rows:,}."
    remedy = "Give the tokenizer from the folder of the weights."
    if tokens > rows:
        return conclude(Verdict.FAILED, said, remedy)
    if rows - tokens > SPARE_ROWS:
        return conclude(Verdict.WARNED, said, remedy)
    return conclude(Verdict.PASSED, said)


def judge_special_tokens(known: int, put: int, lacking: int, looked: int) -> Finding:
    """Judges how many texts lack their special tokens.

    Args:
      known: special tokens that the tokenizer has for the ends of a text.
      put: how many it puts around a text.
      lacking: texts that lack one of them.
      looked: texts that were looked at.
    """
    evidence = {"known": known, "put": put, "lacking": lacking, "looked_at": looked}
    conclude = concluding("J7", "text-special-tokens", evidence)
    if known and not put:
        return conclude(
            Verdict.FAILED,
            f"The tokenizer has {known} special tokens for the ends of a text but puts none there.",
            "Set the post-processor of the tokenizer, or read it from vocab.txt.",
        )
    if lacking:
        return conclude(
            Verdict.FAILED,
            f"{counted(lacking, looked, 'texts')} lack the special tokens around them.",
            "Encode texts with the tokenizer's special tokens.",
        )
    return conclude(Verdict.PASSED, f"All of {looked:,} texts have their {put} special tokens.")


def judge_padding(before: int, strange: int, looked: int) -> Finding:
    """Judges how many texts have padding before tokens, or other tokens as padding."""
    evidence = {"before_tokens": before, "other_tokens": strange, "looked_at": looked}
    conclude = concluding("J7", "text-padding", evidence)
    if before:
        return conclude(
            Verdict.FAILED,
            f"{counted(before, looked, 'texts')} have padding before their last token.",
            "Pad on the right: absolute positions and the first token depend on it.",
        )
    if strange:
        return conclude(
            Verdict.WARNED,
            f"{counted(strange, looked, 'texts')} are padded with another token than padding.",
            "Pad with the tokenizer's padding token.",
        )
    return conclude(Verdict.PASSED, f"All of {looked:,} texts are padded on the right.")


def judge_truncation(cut: dict[str, tuple[int, int]]) -> Finding:
    """Judges `(texts cut, texts)` of each split."""
    evidence = {f"{name}_cut": n / max(of, 1) for name, (n, of) in cut.items()}
    conclude = concluding("J7", "text-truncation", {**evidence, "limit": CUT})
    said = "; ".join(f"{name}: {counted(n, of, 'texts')} cut" for name, (n, of) in cut.items())
    if max(evidence.values()) > CUT:
        return conclude(
            Verdict.WARNED,
            f"{said}.",
            "Raise max_length, or use windows; what is cut off cannot be learned from.",
        )
    return conclude(Verdict.PASSED, f"{said}.")


def judge_unknown(shares: dict[str, float]) -> Finding:
    """Judges the share of unknown tokens of each split."""
    evidence = {f"{name}_unknown": share for name, share in shares.items()}
    conclude = concluding("J7", "text-unknown", {**evidence, "limit": UNKNOWN})
    said = "; ".join(f"{name}: {percent(share)}" for name, share in shares.items())
    said = f"Tokens that are unknown to the tokenizer: {said}."
    if max(shares.values()) > UNKNOWN:
        return conclude(
            Verdict.WARNED, said, "Take a network of the texts' language and case, or clean them."
        )
    return conclude(Verdict.PASSED, said)


def judge_alignment(labels: dict[str, tuple[str, ...]], wrong: int, looked: int) -> Finding:
    """Judges the labels of the splits, and how many examples' targets are of other tokens."""
    evidence = {"misaligned": wrong, "looked_at": looked, "limit": MISALIGNED}
    conclude = concluding("J7", "text-alignment", evidence)
    if len(set(labels.values())) > 1:
        said = "; ".join(f"{name}: {', '.join(names[:8])}" for name, names in labels.items())
        return conclude(
            Verdict.FAILED,
            f"The splits number their labels differently ({said}).",
            "Give labels=train.labels when making the others.",
            Suspect(cause="labels-shifted", component="labels", why="names differ between splits"),
        )
    if wrong > MISALIGNED * looked:
        return conclude(
            Verdict.FAILED,
            f"The targets of {counted(wrong, looked, 'examples')} are of other tokens than they "
            "should be.",
            "Tokenise words and answers with the tokenizer of the network, from the same texts.",
            Suspect(cause="labels-shifted", component="labels", why="tokens and targets differ"),
        )
    return conclude(
        Verdict.PASSED,
        f"Splits share their labels; targets of {looked - wrong:,} of {looked:,} examples are of "
        "the tokens that they speak of.",
    )


def judge_split(shared: int, of: int) -> Finding:
    """Judges how many of the validation texts are training texts."""
    conclude = concluding("J7", "text-split", {"shared": shared, "texts": of, "limit": SHARED})
    if not of:
        return conclude(Verdict.SKIPPED, "There are no validation data to compare with.")
    said = f"{counted(shared, of, 'validation texts')} are training texts too."
    if shared > SHARED * of:
        return conclude(
            Verdict.WARNED,
            said,
            "Take them out of the training data; split by document, not by row.",
            Suspect(cause="split-leakage", component="split", where="val", why=said),
        )
    return conclude(Verdict.PASSED, said)


def _sampled(data: TextData) -> tuple[np.ndarray, Any, Any]:
    """Returns rows, inputs and targets of some examples."""
    rows = np.unique(np.linspace(0, len(data) - 1, _LOOKED_AT).astype(np.int64))
    inputs, targets = data.source.take(rows)
    return rows, inputs, targets


def _texts(splits: dict[str, TextData]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields ids and mask of the texts of some examples."""
    for data in splits.values():
        inputs = _sampled(data)[1]
        for text in (inputs,) if "ids" in inputs else (inputs["first"], inputs["second"]):
            yield text["ids"], text["mask"]


def _special_tokens(
    splits: dict[str, TextData], tokenizer: TextTokenizer
) -> tuple[int, int, int, int]:
    known = len({"first", "separator", "end"} & tokenizer.special.keys())
    pieces = tokenizer.single
    head = [piece.id for piece in pieces[:1] if piece.side < 0]
    tail = [piece.id for piece in pieces[-1:] if piece.side < 0]
    lacking = looked = 0
    for ids, mask in _texts(splits):
        last = ids[np.arange(len(ids)), np.maximum(mask.sum(axis=1) - 1, 0)]
        fine = np.ones(len(ids), bool)
        for token, there in ((head, ids[:, 0]), (tail, last)):
            fine &= there == token[0] if token else True
        lacking, looked = lacking + int((~fine).sum()), looked + len(ids)
    return known, len(head) + len(tail), lacking, looked


def _padding(splits: dict[str, TextData], pad: int) -> tuple[int, int, int]:
    before = strange = looked = 0
    for ids, mask in _texts(splits):
        before += int(np.any(mask[:, 1:] & ~mask[:, :-1], axis=1).sum())
        strange += int(np.any(~mask & (ids != pad), axis=1).sum())
        looked += len(ids)
    return before, strange, looked


def _misaligned(splits: dict[str, TextData]) -> tuple[int, int]:
    """Returns how many examples have targets of other tokens, and how many were looked at."""
    wrong = looked = 0
    for data in splits.values():
        rows, inputs, targets = _sampled(data)
        looked += len(rows)
        if isinstance(data, AnswerData):
            pairs = zip(rows, targets, strict=True)
            wrong += sum(not _holds(data, int(i), span) for i, span in pairs)
        elif isinstance(data.source, TokenizedSource) and "words" in inputs:
            words, lengths = inputs["words"], inputs["mask"].sum(axis=1)
            fine = ((words >= 0) == (targets >= 0)).all(axis=1)
            fine &= ((np.diff(words, axis=1) > 0) | (words[:, 1:] < 0)).all(axis=1)
            wrong += int((~(fine & (words.max(axis=1) < lengths))).sum())
    return wrong, looked


def _holds(data: AnswerData, window: int, span: np.ndarray) -> bool:
    """Says whether the tokens of a target stand for a right answer; for none, anything does."""
    start, end = (int(place) for place in span)
    if end == 0:
        return True
    question, offsets = int(data.question[window]), data.offsets[window]
    found = data.contexts[question][max(offsets[start, 0], 0) : max(offsets[end, 1], 0)]
    return any(answer.strip() in found for answer in data.answers[question])


def _shared(train: TextData, val: TextData | None) -> tuple[int, int]:
    """Returns how many different validation texts are in training, and how many there are."""
    if val is None:
        return 0, 0
    seen, new = _keys(train), _keys(val)
    return len(seen & new), len(new)


def _keys(data: TextData) -> set[tuple[str, ...]]:
    """Returns the texts of the examples without what case and spaces add; contexts of questions."""
    keys = {(each,) for each in data.contexts} if isinstance(data, AnswerData) else set(data.keys)
    return {tuple(" ".join(part.lower().split()) for part in key) for key in keys}
