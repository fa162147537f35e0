"""Archives are read up to the damaged place (A2)."""

import gzip

import numpy as np

from jrecipe.data.gzipped import unpack

TEXT = "\n".join(f"{value:.6f}" for value in np.random.default_rng(0).normal(size=3000)).encode()
PACKED = gzip.compress(TEXT)


def test_sound_archives_are_whole():
    assert unpack(PACKED) == (TEXT, "")
    assert unpack(PACKED + PACKED) == (TEXT + TEXT, "")


def test_what_stands_before_a_damaged_place_is_kept():
    place = len(PACKED) // 2
    kept = []
    for value in range(256):  # some bytes end the block, others are no code
        packed = PACKED[:place] + bytes([value]) * 40 + PACKED[place + 40 :]
        data, wrong = unpack(packed)
        if wrong == "its data cannot be decoded":
            kept.append(len(data))
            assert data[: 4 * len(TEXT) // 10] == TEXT[: 4 * len(TEXT) // 10]
    assert len(kept) > 20


def test_the_end_that_is_missing_and_a_wrong_checksum_are_told_apart():
    assert unpack(PACKED[:-9])[1] == "its end is missing"
    wrong = bytearray(PACKED)
    wrong[-6] ^= 255
    assert unpack(bytes(wrong)) == (TEXT, "wrong checksum")
    assert unpack(b"text") == (b"", "no gzip file")
