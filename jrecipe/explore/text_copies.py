"""Near copies among texts: other case, punctuation or spaces, a few words changed (A1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

_WORD = re.compile(r"\w+")
_SHINGLE = 4  # letters
_SHORT = 16  # sequences below which another word is another text
_HASHES = 64
_ROWS = 4  # hashes that agree in a bucket, of 16 buckets
_ALIKE = 0.7  # share of shingles in common that makes a copy
_BUCKET = 50  # texts of one bucket that are all compared; of more, each with the next
_PRIME = 2_147_483_647


def text_pairs(texts: Sequence[str], *, seed: int = 0) -> np.ndarray:
    """Returns pairs of texts that are near copies, int[p, 2], the smaller number first.

    Two texts are near copies if they have the same words in the same order, letters aside that are
    no part of words, or if they are not short and have 70 % of their sequences of four letters in
    common (Jaccard). Candidates share a bucket of MinHash, so that a pair at 70 % is missed with a
    chance of 1 %.

    Args:
      texts: no two of them equal.
      seed: of the hashes.

    References:
      Broder, "On the resemblance and containment of documents", 1997.
    """
    plain = [" ".join(_WORD.findall(text.casefold())) for text in texts]
    names = np.unique(np.array([*plain, ""], object), return_inverse=True)[1]
    empty, names = names[-1], names[:-1]
    filled = np.flatnonzero(names != empty)
    same = [_chained(group) for group in _groups(names[filled][:, None], filled)]
    # One text of each kind is compared further.
    first = np.unique(names[filled], return_index=True)[1]
    rows = np.sort(filled[first])
    parts = [*same, rows[_resembling([plain[row] for row in rows], seed)]]
    return np.unique(np.sort(np.concatenate(parts), axis=1), axis=0)


def _resembling(texts: list[str], seed: int) -> np.ndarray:
    """Returns the pairs int[p, 2] of texts that have enough shingles in common."""
    from sklearn.feature_extraction.text import HashingVectorizer

    none = np.zeros((0, 2), int)
    if len(texts) < 2:
        return none
    vectorizer = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(_SHINGLE, _SHINGLE),
        binary=True,
        norm=None,
        alternate_sign=False,
        n_features=2**20,
        lowercase=False,
    )
    shingles = vectorizer.transform(texts).tocsr()
    shingles.sort_indices()
    filled = np.flatnonzero(np.diff(shingles.indptr) > 0)
    if len(filled) < 2:
        return none
    shingles = shingles[filled]
    marks = _minhashes(shingles.indices, shingles.indptr, seed)
    pairs = [none]
    for start in range(0, _HASHES, _ROWS):
        band = marks[:, start : start + _ROWS]
        for group in _groups(band, np.arange(len(filled))):
            pairs.append(_all_pairs(group) if len(group) <= _BUCKET else _chained(group))
    both = np.unique(np.concatenate(pairs), axis=0)
    sizes = np.diff(shingles.indptr)
    kept = [none]
    for start in range(0, len(both), 100_000):
        a, b = both[start : start + 100_000].T
        common = np.asarray(shingles[a].multiply(shingles[b]).sum(axis=1)).reshape(-1)
        alike = common >= _ALIKE * (sizes[a] + sizes[b] - common)
        alike &= np.minimum(sizes[a], sizes[b]) >= _SHORT
        kept.append(both[start : start + 100_000][alike])
    return filled[np.concatenate(kept)]


def _minhashes(indices: np.ndarray, starts: np.ndarray, seed: int) -> np.ndarray:
    """Returns the least of each random renumbering of a row's shingles, int64[n, hashes]."""
    rng = np.random.default_rng((seed % 2**32, 41))
    a, b = rng.integers(1, _PRIME, (2, _HASHES))
    columns = indices.astype(np.int64)
    marks = [
        np.minimum.reduceat((columns * int(x) + int(y)) % _PRIME, starts[:-1])
        for x, y in zip(a, b, strict=True)
    ]
    return np.stack(marks, axis=1)


def _groups(keys: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the rows of every group of two or more equal keys, [n, k]."""
    order = np.lexsort(keys.T[::-1])
    keys = keys[order]
    new = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)]))
    ends = np.append(new[1:], len(keys))
    for start, end in zip(new[ends - new > 1], ends[ends - new > 1], strict=True):
        yield np.sort(rows[order[start:end]])


def _chained(group: np.ndarray) -> np.ndarray:
    return np.stack([group[:-1], group[1:]], axis=1)


def _all_pairs(group: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(len(group), 1)
    return np.stack([group[first], group[second]], axis=1)
