"""Texts: one weight per word (tf-idf)."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from jrecipe.types import TaskError

_WORD = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's: words of two letters or more
_SHOWN = 12  # words in a decoded text


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """Lower-case words, weighted by tf-idf and normalised per text.

    Attributes:
      words: the vocabulary, in the order of the columns.
      idf: weight of each word, 1 + log((1 + n) / (1 + texts with it)).
      column: name of the text column, where the texts come from a table; "" otherwise.

    References:
      Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.
    """

    words: tuple[str, ...]
    idf: tuple[float, ...]
    column: str = ""

    @classmethod
    def fit(cls, texts: Sequence[str], max_features: int = 4096, column: str = "") -> TextEncoder:
        """Finds the most frequent words of the training texts and how rare each is.

        Args:
          texts: n texts.
          max_features: size of the vocabulary, at most.
          column: name of the text column.

        Raises:
          TaskError: if no text has a word.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = _texts(texts)
        if not any(_WORD.search(text) for text in texts):
            raise TaskError(
                f"none of the {len(texts)} texts has a word of two letters; name the text column."
            )
        fitted = TfidfVectorizer(max_features=max_features, token_pattern=_WORD.pattern).fit(texts)
        return cls(
            words=tuple(str(word) for word in fitted.get_feature_names_out()),
            idf=tuple(fitted.idf_.tolist()),
            column=column,
        )

    @property
    def size(self) -> int:
        """Numbers per text."""
        return len(self.words)

    @functools.cached_property
    def _columns(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.words)}

    def encode(self, raw: Sequence[str]) -> np.ndarray:
        """Returns float32[n, v], each row of norm 1, or 0 if it has no known word.

        Raises:
          TaskError: if `raw` is not a sequence of texts.
        """
        texts = _texts(raw)
        out = np.zeros((len(texts), len(self.words)), np.float32)
        idf = np.array(self.idf)
        for row, text in enumerate(texts):
            counts = Counter(_WORD.findall(text.lower()))
            known = [(self._columns[w], c) for w, c in counts.items() if w in self._columns]
            if known:
                columns, times = (np.array(side) for side in zip(*known, strict=True))
                weights = times * idf[columns]
                out[row, columns] = weights / np.sqrt(np.sum(np.sort(weights**2)))
        return out

    def decode(self, inputs: np.ndarray) -> list[str]:
        """Returns the words of each text, the heaviest first; their order in the text is lost."""
        texts = []
        for row in np.asarray(inputs):
            found = np.argsort(-row, kind="stable")[: int(np.sum(row > 0))]
            more = " ..." if len(found) > _SHOWN else ""
            shown = " ".join(self.words[i] for i in found[:_SHOWN]) + more
            texts.append(shown or "(no known word)")
        return texts

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {
            "kind": "text",
            "words": list(self.words),
            "idf": list(self.idf),
            "column": self.column,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> TextEncoder:
        """Restores an encoder from the fields of `to_json`."""
        return cls(tuple(stored["words"]), tuple(stored["idf"]), stored["column"])


def _texts(raw: Any) -> list[str]:
    if isinstance(raw, str):
        raise TaskError(
            f"texts need a list of texts, got the single text {raw[:40]!r}; use [text]."
        )
    texts = list(raw)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TaskError(f"texts need a list of texts, got {text!r} in row {row}.")
    return texts
