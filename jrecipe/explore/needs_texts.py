"""What a problem needs of its texts: their beginning or end, word order, rare words (A6)."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jrecipe.explore.needs import Level, Need, Whole
from jrecipe.explore.needs_probe import Question, generator, question
from jrecipe.types import TaskError

Words = list[str]
Score = Callable[[list[Words]], np.ndarray]

_MOST = 8_000  # texts, to learn from and held out
_FEWEST = 800  # of long ones
_ALL_WORDS = 200_000  # about which it takes a second for each level
_PENALTY = 1.0  # of ridge regression, for rows of unit length
_VOCABULARIES = (30, 100, 300, 1000, 3000)
_WINDOW = 4  # words shuffled among themselves

# A word, a sign, or one character of scripts that leave no space between words.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


def needs_of_texts(texts: Sequence[str], labels: Any, *, seed: int) -> tuple[Need, ...]:
    """Measures what telling texts apart needs, by a probe on texts that lack it.

    The probe is a ridge regression on words and pairs of neighbours, weighted by tf-idf. It sees no
    order beyond those pairs; what it does not need, a network may still use.

    Args:
      texts: n texts. Words are runs of letters and digits; signs count as words, and so does each
        character of Chinese and Japanese.
      labels: [n] of int, bool or str for classes, or float [n] or [n, k] for numbers.
      seed: any integer, for the draw of the examples and the shuffling.

    Returns:
      Curves of the score against
      1. how many words at the beginning are left;
      2. how many words at the end are left;
      3. word order: shuffled among four neighbours, or as a whole;
      4. how many of the most frequent words are left;
      5. what is written: all in lower case, without punctuation, without digits.

    Raises:
      TaskError: if inputs are not texts, hardly any has two words, or labels are as in
        `needs_probe.question`.

    References:
      Pham et al., "Out of Order: How important is the sequential order of words in a sentence in
      natural language understanding tasks?", 2021, arXiv:2012.15180.
    """
    texts = list(texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TaskError(
                f"needs_of_texts needs texts, got {type(text).__name__} in texts[{row}]; leave "
                "such examples out."
            )
    some = [len(_WORD.findall(text)) for text in texts[:: max(1, len(texts) // 500)]]
    most = int(np.clip(_ALL_WORDS / max(1.0, float(np.mean(some or [1]))), _FEWEST, _MOST))
    asked = question(labels, len(texts), most=most, seed=seed, what="needs_of_texts")
    words = [_WORD.findall(texts[row]) for row in asked.rows]
    longest = int(np.percentile([len(text) for text in words], 95))
    if longest < 2:
        raise TaskError(
            "needs_of_texts: hardly any text has two words, so there is nothing to take away; "
            "are these texts?"
        )

    def score(changed: list[Words]) -> np.ndarray:
        return answer(asked, changed)

    note = f"Probe: ridge regression on words and pairs of words; {asked.note()}."
    whole = Whole(score(words), asked.prior(), asked.measure, note)
    return (
        _truncated(whole, score, words, longest, first=True),
        _truncated(whole, score, words, longest, first=False),
        _order(whole, score, words, seed),
        _vocabulary(whole, score, words, len(asked.train)),
        _writing(whole, score, words),
    )


def answer(asked: Question, texts: list[Words]) -> np.ndarray:
    """Learns from texts of `asked.rows` and returns the credits float64[m] of those held out."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    n = len(asked.train)
    seen = TfidfVectorizer(analyzer=_features, sublinear_tf=True, dtype=np.float32, min_df=2)
    try:
        known = seen.fit_transform(texts[:n])
    except ValueError:  # no word is in two texts
        return asked.prior()
    model = Ridge(alpha=_PENALTY, solver="sparse_cg", tol=1e-3).fit(known, asked.targets)
    answers = np.asarray(model.predict(seen.transform(texts[n:])))
    return asked.credits(answers.reshape(len(answers), -1))


def _features(words: Words) -> list[str]:
    return [*words, *map(" ".join, itertools.pairwise(words))]


def _truncated(
    whole: Whole, score: Score, words: list[Words], longest: int, *, first: bool
) -> Need:
    where = "first" if first else "last"
    levels = []
    for count in _counts(longest):
        cut = [text[:count] if first else text[-count:] for text in words]
        name = f"the {where} {count} words" if count > 1 else f"the {where} word alone"
        levels.append(Level(float(count), name, score(cut)))
    return whole.need(
        f"How many words from its {'beginning' if first else 'end'} does it need?",
        f"{where} words",
        float(longest),
        levels[::-1],
        whole.verdict(levels),
    )


def _order(whole: Whole, score: Score, words: list[Words], seed: int) -> Need:
    rng = generator(seed, "order of words")
    levels = [
        Level(
            "all words shuffled", "shuffled words", score([shuffled(w, len(w), rng) for w in words])
        ),
        Level(
            f"shuffled {_WINDOW} by {_WINDOW}",
            f"words shuffled {_WINDOW} by {_WINDOW}",
            score([shuffled(w, _WINDOW, rng) for w in words]),
        ),
    ]
    return whole.need(
        "Does it need word order?",
        "",
        "as written",
        levels,
        whole.without(levels[0], "Word order"),
    )


def _vocabulary(whole: Whole, score: Score, words: list[Words], train: int) -> Need:
    counts = Counter(word for text in words[:train] for word in text)
    ranked = [word for word, _ in counts.most_common()]
    levels = []
    for size in reversed([size for size in _VOCABULARIES if size < len(ranked)]):
        known = set(ranked[:size])
        left = [[word for word in text if word in known] for text in words]
        levels.append(Level(float(size), f"the {size:,} most frequent words", score(left)))
    return whole.need(
        "How many different words does it need?",
        "most frequent words left",
        float(len(ranked)),
        levels[::-1],
        whole.verdict(levels) if levels else f"There are only {len(ranked)} words.",
    )


def _writing(whole: Whole, score: Score, words: list[Words]) -> Need:
    kinds: tuple[tuple[str, str, Callable[[Words], Words]], ...] = (
        ("lower case", "Upper case", lambda text: [word.lower() for word in text]),
        ("no punctuation", "Punctuation", lambda text: [w for w in text if w[0].isalnum()]),
        (
            "no digits",
            "The use of digits",
            lambda text: [w for w in text if not any(map(str.isdigit, w))],
        ),
    )
    levels, said = [], []
    for name, what, change in kinds:
        changed = [change(text) for text in words]
        if changed == words:
            continue
        levels.append(Level(name, f"texts with {name}", score(changed)))
        said.append(whole.without(levels[-1], what))
    return whole.need(
        "Does it need upper case, punctuation, digits?",
        "",
        "as written",
        levels,
        " ".join(said) or "There is no upper case, no punctuation, and there are no digits.",
    )


def shuffled(words: Words, window: int, rng: np.random.Generator) -> Words:
    """Returns words in random order within stretches of `window` words.

    Example:
      >>> sorted(shuffled(["a", "b", "c", "d"], 2, np.random.default_rng(0))[:2])
      ['a', 'b']
    """
    place = np.arange(len(words)) // max(1, window) + rng.random(len(words))
    return [words[i] for i in np.argsort(place)]


def _counts(longest: int) -> list[int]:
    """Returns powers of two below the length of long texts, from most to least."""
    return [2**i for i in range(9, -1, -1) if 2**i < longest]
