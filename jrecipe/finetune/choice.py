"""Which strategy to begin with: a rule of thumb, with its reason."""

from __future__ import annotations

from typing import Literal

from jrecipe.types import TaskError

Distance = Literal["near", "far"]
Compute = Literal["little", "plenty"]


def choose_strategy(
    rows: int, *, distance: Distance = "near", compute: Compute = "plenty"
) -> tuple[str, str]:
    """Returns the name of a strategy for `strategy`, and why, in a sentence.

    | training rows | distance | little compute | plenty |
    | --- | --- | --- | --- |
    | below 1,000 | near | head | lora |
    | below 1,000 | far | lora | freeze-first |
    | 1,000 to 10,000 | near | freeze-first | discriminative |
    | 1,000 to 10,000 | far | freeze-first | gradual |
    | above 10,000 | any | freeze-first | full |

    It is where to begin, not what is best: few rows over-fit many free weights, texts that differ
    from those of the pre-training need more of the network to change, and rows pay for it.

    Args:
      rows: training examples, >= 1.
      distance: "near" if the texts are like those of the pre-training (prose of its language), or
        "far" (code, tweets, formulas).
      compute: "little" where an update of all weights is too slow or takes too much memory.

    Raises:
      TaskError: if an argument is not understood.

    References:
      Howard and Ruder, 2018, arXiv:1801.06146; Hu et al., 2022, arXiv:2106.09685; Lee et al., "What
      Would Elsa Do? Freezing Layers During Transformer Fine-Tuning", 2019, arXiv:1911.03090.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise TaskError(f"choose_strategy needs rows as an integer >= 1, got {rows!r}.")
    if distance not in ("near", "far") or compute not in ("little", "plenty"):
        raise TaskError(
            f"choose_strategy got {distance=}, {compute=}; there are 'near' and 'far', 'little' "
            "and 'plenty'."
        )
    texts = f"{distance} {'to' if distance == 'near' else 'from'} the pre-training"
    given = f"{rows:,} rows, {texts}, {compute} compute"
    little = compute == "little"
    if rows < 1_000 and distance == "near":
        name, why = (
            ("head", "few rows over-fit many weights, and the features fit already")
            if little
            else ("lora", "few rows over-fit many weights, and adapters change little")
        )
    elif rows < 1_000:
        name, why = (
            ("lora", "the layers have to change, and adapters need little memory")
            if little
            else ("freeze-first", "the upper layers have to change, and few rows cannot move all")
        )
    elif little:
        name, why = "freeze-first", "the lower half has no backward pass and no optimiser state"
    elif rows <= 10_000:
        name, why = (
            ("discriminative", "all layers adapt, the lower ones, which fit already, less")
            if distance == "near"
            else ("gradual", "all layers have to change, after those above them have settled")
        )
    else:
        name, why = "full", "there are rows enough to move every weight"
    return name, f"{name} for {given}: {why}."
