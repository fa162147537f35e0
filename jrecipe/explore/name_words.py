"""Words in the names of files, which may tell how the classes were collected (A4)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

_FEWEST = 5  # files that a word is in, at least
_RARE = 0.01  # the same, as a share
_ALIKE = 3  # letters from which a beginning is enough: "cat" for "cats"
_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+")


def words_of(name: str) -> set[str]:
    """Returns the words of a file's name as they are, and with "#" for each number.

    Example:
      >>> sorted(words_of("cam2/IMG_0012.png"))
      ['#', '0012', 'IMG', 'cam#', 'cam2', 'png']
    """
    words = _WORD.findall(name)
    return {*words, *(_NUMBER.sub("#", word) for word in words)}


def word_table(
    names: Sequence[str], classes: Iterable[str] = ()
) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns which of the frequent words are in which name.

    A word is left out if all names have it, or if it says a class: that the pictures in "cats" are
    called "cat.1.jpg" and "cat.2.jpg" is no discovery.

    Args:
      names: of n files, without the folder of their class.
      classes: names of the classes.

    Returns:
      The v words, sorted, and bool[n, v].

    Example:
      >>> words, table = word_table(["a/1.png", "b/2.png"] * 5)
      >>> words, table[:2].tolist()
      (('1', '2', 'a', 'b'), [[True, False, True, False], [False, True, False, True]])
    """
    found = [words_of(name) for name in names]
    counts = Counter(word for words in found for word in words)
    fewest = max(_FEWEST, _RARE * len(names))
    said = _class_words(classes)
    kept = sorted(
        word
        for word, count in counts.items()
        if fewest <= count < len(names) and not _says(word, said)
    )
    place = {word: i for i, word in enumerate(kept)}
    table = np.zeros((len(names), len(kept)), bool)
    for row, words in enumerate(found):
        table[row, [place[word] for word in words if word in place]] = True
    return tuple(kept), table


def _class_words(classes: Iterable[str]) -> set[str]:
    """Returns the words of the names of classes, and each name as one word, in small letters."""
    split = [_WORD.findall(name.casefold()) for name in classes]
    return {word for words in split for word in (*words, "".join(words)) if word}


def _says(word: str, said: set[str]) -> bool:
    small = word.casefold()
    if small in said:
        return True
    letters = _letters(small)
    return any(
        min(len(letters), len(other)) >= _ALIKE
        and (letters.startswith(other) or other.startswith(letters))
        for other in map(_letters, said)
    )


def _letters(word: str) -> str:
    return re.sub(r"[\d#]", "", word)
