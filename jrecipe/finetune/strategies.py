"""Which parameters of a pre-trained network learn, when, and how fast (J1-J3)."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import optax

from jrecipe.train import schedules
from jrecipe.train.frozen import path_name
from jrecipe.train.leaf_adam import scale_by_leaf_adam
from jrecipe.types import PyTree, TaskError
from jrecipe.unfreezing import Unfreezing

STRATEGIES = ("full", "head", "freeze-first", "gradual", "discriminative", "auto")
CLIP = 1.0  # largest norm of a gradient, as BERT was trained with
DECAY = 0.01
_BODY = "encoder/"
_LAYER = re.compile(r"(?:^|/)layer_(\d+)/")
_OFFSETS = re.compile(r".*(bias|scale)$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strategy:
    """Which parameters learn, and how.

    Attributes:
      name: of `STRATEGIES`, what "auto" chose included.
      optimizer: for `jr.Task(optimizer=...)`.
      frozen: for `jr.Task(frozen=...)`.
      why: what was chosen, one sentence.
    """

    name: str
    optimizer: optax.GradientTransformation
    frozen: tuple[str, ...] | Unfreezing
    why: str


def strategy(
    name: str,
    depth: int,
    *,
    rate: float,
    steps: int,
    warm_up: float = 0.1,
    first: int | None = None,
    layer_decay: float = 0.9,
    rows: int | None = None,
) -> Strategy:
    """Returns a strategy for a network with an encoder of `depth` layers under "encoder".

    All use AdamW with a rate that rises linearly and falls linearly to 0, decay 0.01 on matrices
    only, and gradients cut to a norm of 1.

    | name | what learns |
    | --- | --- |
    | full | everything (J1) |
    | head | what is not the encoder |
    | freeze-first | all but the embeddings and the first layers, half of them by default (J2) |
    | gradual | the head, then layer after layer from the top, the embeddings last (J3) |
    | discriminative | everything, each layer `layer_decay` times as fast as the one above (J3) |
    | auto | below 200 rows "head", below 1,000 "freeze-first", below 4,000 "discriminative" |

    Args:
      name: see above.
      depth: layers of the encoder, named `layer_0`, ....
      rate: highest learning rate, of the head and the top layer.
      steps: updates of the run, >= 1.
      warm_up: share of the run in which the rate rises, in [0, 1).
      first: layers that "freeze-first" freezes, 0 to `depth`; None for half of them.
      layer_decay: factor of the rate from a layer to the one below, in (0, 1].
      rows: training rows, for "auto".

    Raises:
      TaskError: if an argument is out of range.

    References:
      Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018:
      gradual unfreezing and discriminative rates. Devlin et al., "BERT", 2019, A.3: AdamW.
    """
    if name not in STRATEGIES:
        raise TaskError(f"strategy needs one of {', '.join(STRATEGIES)}, got {name!r}.")
    if not 0 < layer_decay <= 1:
        raise TaskError(f"strategy needs layer_decay in (0, 1], got {layer_decay!r}; try 0.9.")
    if first is not None and not 0 <= first <= depth:
        raise TaskError(f"strategy needs first in 0..{depth} layers, got {first!r}.")
    because = ""
    if name == "auto":
        name, because = _chosen(rows)
    schedule = schedules.linear(rate, steps, warm_up=warm_up)
    by_layer = layer_decay if name == "discriminative" else 1.0
    optimizer = optax.chain(
        optax.clip_by_global_norm(CLIP),
        scale_by_leaf_adam(),  # layers that join late have counts of their own
        optax.add_decayed_weights(DECAY, mask=decays),
        optax.scale_by_learning_rate(schedule),
        *([scaled_by_layer(depth, by_layer)] if by_layer < 1 else []),
    )
    frozen, why = _frozen(name, depth, depth // 2 if first is None else first, steps)
    if by_layer < 1:
        why = f"everything learns, each layer at {by_layer:g} of the rate of the one above"
    return Strategy(name=name, optimizer=optimizer, frozen=frozen, why=f"{because}{why}.")


def _chosen(rows: int | None) -> tuple[str, str]:
    if rows is None:
        raise TaskError("strategy 'auto' needs rows, the number of training rows.")
    for most, name in ((200, "head"), (1_000, "freeze-first"), (4_000, "discriminative")):
        if rows < most:
            return name, f"{name}, as there are only {rows:,} training rows: "
    return "full", f"full, as there are {rows:,} training rows: "


def _frozen(
    name: str, depth: int, first: int, steps: int
) -> tuple[tuple[str, ...] | Unfreezing, str]:

    def below(count: int) -> tuple[str, ...]:
        return (f"{_BODY}embeddings/*", *(f"{_BODY}layer_{i}/*" for i in range(count)))

    if name == "head":
        return (f"{_BODY}*",), "only what is not the encoder learns"
    if name == "freeze-first":
        return below(first), f"the embeddings and the first {first} of {depth} layers are frozen"
    if name == "gradual":
        # A third of the run until everything learns, in few phases: each compiles a program for
        # each length of the texts.
        group = max(1, math.ceil(depth / 3))
        left = [*range(depth - group, 0, -group), 0]
        sets = [(f"{_BODY}*",), *(below(count) for count in left if count), ()]
        starts = [round(i * steps / (3 * (len(sets) - 1))) for i in range(len(sets))]
        return Unfreezing(tuple(dict(zip(starts, sets, strict=True)).items())), (
            f"the head learns first, then {group} more of {depth} layers each "
            f"{max(1, starts[1]):,} updates, from the top"
        )
    return (), "everything learns"


def decays(params: PyTree) -> PyTree:
    """Returns which parameters decay, a tree of bools: matrices, but no embeddings (D10)."""

    def kept(path: Any, leaf: Any) -> bool:
        name = path_name(path)
        return leaf.ndim > 1 and not _OFFSETS.match(name) and "embeddings/" not in name

    return jax.tree_util.tree_map_with_path(kept, params)


def scaled_by_layer(depth: int, factor: float) -> optax.GradientTransformation:
    """Scales updates by `factor ** (layers above)`; embeddings are below all layers (J3).

    Args:
      depth: layers of the encoder.
      factor: from a layer to the one below, in (0, 1].
    """

    def update(updates: PyTree, state: Any, params: PyTree | None = None) -> tuple[PyTree, Any]:
        scale = lambda path, u: u * factor ** _above(path_name(path), depth)  # noqa: E731
        return jax.tree_util.tree_map_with_path(scale, updates), state

    init: Callable[[PyTree], Any] = lambda params: optax.EmptyState()  # noqa: E731
    return optax.GradientTransformation(init, update)


def _above(name: str, depth: int) -> int:
    """Returns how many layers are above a parameter, 0 for the head."""
    if not name.startswith(_BODY):
        return 0
    found = _LAYER.search(name)
    return depth - int(found[1]) if found else depth + 1 if "embeddings/" in name else 0
