"""F1 of named entities, by seqeval."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from jrecipe.finetune.scores.checking import same_length
from jrecipe.finetune.scores.found import Found, table
from jrecipe.types import TaskError


@dataclasses.dataclass(frozen=True)
class EntityScores:
    """Scores of a tagger on a split; see `entity_scores`.

    Attributes:
      n: sentences.
      all: of all entities together; the whole of each counts, extent and type (micro average).
      types: each type of entity by its name, in alphabetical order.
    """

    n: int
    all: Found
    types: dict[str, Found]

    @property
    def f1(self) -> float:
        """F1 of all entities together, the number that papers give."""
        return self.all.f1

    @property
    def parts(self) -> dict[str, Found]:
        """What the table shows: each type, and all together."""
        return {**self.types, "all": self.all}

    def __str__(self) -> str:
        rows = table(self.parts)
        return f"entity F1 {100 * self.f1:.1f} % (n={self.n} sentences)\n{rows}"


def entity_scores(
    predictions: Sequence[Sequence[str]],
    targets: Sequence[Sequence[str]],
    *,
    strict: bool = False,
) -> EntityScores:
    """Returns precision, recall and F1 of the entities in BIO2 tags (J5).

    Args:
      predictions: the tags of each sentence, "O", "B-TYPE" or "I-TYPE".
      targets: the right tags, as many per sentence.
      strict: an "I-TYPE" that follows neither "B-TYPE" nor "I-TYPE" belongs to no entity. Without,
        it begins one, as in the CoNLL-2003 script, whose numbers most papers give.

    Raises:
      TaskError: if sentences or their tags do not line up, or a tag is not BIO2; with its row.

    References:
      Nakayama, "seqeval", 2018. Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003
      Shared Task", 2003.

    Example:
      >>> entity_scores([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "B-LOC"]]).f1
      0.6666666666666666
    """
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    n = same_length(predictions, targets, "sentences")
    guessed, right = [list(map(str, x)) for x in predictions], [list(map(str, x)) for x in targets]
    for row, (a, b) in enumerate(zip(guessed, right, strict=True)):
        if len(a) != len(b):
            raise TaskError(
                f"predictions have {len(a)} tags for {len(b)} words in row {row}; give one tag per "
                "word."
            )
    for name, rows in (("predictions", guessed), ("targets", right)):
        for row, tags in enumerate(rows):
            for tag in tags:
                if tag != "O" and not (tag[:2] in ("B-", "I-") and len(tag) > 2):
                    raise TaskError(
                        f"{name} need BIO2 tags, 'O', 'B-TYPE' or 'I-TYPE', got {tag!r} in row "
                        f"{row}; convert them first."
                    )
    if all(tag == "O" for tags in (*guessed, *right) for tag in tags):  # seqeval then fails
        return EntityScores(n, Found(0.0, 0.0, 0.0, 0), {})
    how: dict[str, Any] = {"mode": "strict", "scheme": IOB2} if strict else {}
    report = classification_report(right, guessed, output_dict=True, zero_division=0, **how)
    scores = {
        name: Found(
            precision=float(row["precision"]),
            recall=float(row["recall"]),
            f1=float(row["f1-score"]),
            n=int(row["support"]),
        )
        for name, row in report.items()
    }
    types = {name: scores[name] for name in sorted(scores) if not name.endswith(" avg")}
    return EntityScores(n, scores["micro avg"], types)
