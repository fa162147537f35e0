"""Which special tokens a tokenizer puts around a text, and which segment each token is of."""

from __future__ import annotations

from typing import Any, NamedTuple


class Piece(NamedTuple):
    """One special token, or the place of a text.

    Attributes:
      side: 0 for the first text, 1 for the second, -1 for a special token.
      id: of the special token; -1 for a text.
      type: the segment of the token, or of all tokens of the text.
    """

    side: int
    id: int
    type: int


Template = tuple[Piece, ...]


def template_of(core: Any, pair: bool) -> Template:
    """Returns how a `tokenizers.Tokenizer` lays out one text, or a pair of them."""
    probe = _probe(core)
    encoded = core.encode(probe, probe) if pair else core.encode(probe)
    pieces: list[Piece] = []
    seen: set[int] = set()
    columns = zip(encoded.sequence_ids, encoded.ids, encoded.type_ids, strict=True)
    for side, token, segment in columns:
        if side is None:
            pieces.append(Piece(-1, token, segment))
        elif side not in seen:
            seen.add(side)
            pieces.append(Piece(side, -1, segment))
    return tuple(pieces)


def special_count(template: Template) -> int:
    """Returns how many special tokens there are."""
    return sum(piece.side < 0 for piece in template)


def _probe(core: Any) -> str:
    """Returns a text that has a token; most tokenizers have one for the letter a."""
    for text in ("a", "1", *core.get_vocab(with_added_tokens=False)):
        if core.encode(text, add_special_tokens=False).ids:
            return str(text)
    return ""
