"""How to fine-tune: what is frozen when, and how fast the rest learns (J1, J2, J3)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import optax

from jrecipe.finetune.choice import Compute, Distance, choose_strategy
from jrecipe.finetune.levels import level_of, levels, patterns_below
from jrecipe.finetune.lora import lora, merge_lora
from jrecipe.models.adapt import as_model
from jrecipe.train.frozen import path_name
from jrecipe.train.leaf_adam import scale_by_leaf_adam
from jrecipe.train.schedules import linear
from jrecipe.types import Array, Model, PyTree, TaskError
from jrecipe.unfreezing import Unfreezing

# The usual learning rate of each; those that move fewer weights may move them faster.
RATES = {
    "full": 3e-5,
    "discriminative": 3e-5,
    "gradual": 3e-5,
    "freeze-first": 3e-5,
    "freeze": 3e-5,
    "lora": 5e-4,
    "head": 1e-3,
}
_DISCRIMINATIVE = 0.9  # of the rate of the layer above


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strategy:
    """What a `jr.Task` is given to be fine-tuned so.

    Attributes:
      name: one of those of `strategy`, never "auto".
      model: for `Task.model`: the network, with adapters for "lora".
      optimizer: for `Task.optimizer`.
      frozen: for `Task.frozen`.
      rate: the highest learning rate, that of the head.
      why: why "auto" chose it, "" otherwise.
    """

    name: str
    model: Model
    optimizer: optax.GradientTransformation
    frozen: tuple[str, ...] | Unfreezing
    rate: float
    why: str = ""

    def export(self, params: PyTree) -> PyTree:
        """Returns trained parameters as those of the plain network: adapters are folded in."""
        return merge_lora(params) if self.name == "lora" else params


def strategy(
    name: str,
    network: Any,
    params: PyTree,
    *,
    steps: int,
    rate: float | None = None,
    warm_up: float = 0.1,
    weight_decay: float = 0.01,
    clip: float | None = 1.0,
    decay: float | None = None,
    first: int | None = None,
    patterns: tuple[str, ...] = (),
    phase_steps: int | None = None,
    phases: int | None = None,
    rank: int = 8,
    alpha: float = 16.0,
    rows: int | None = None,
    distance: Distance = "near",
    compute: Compute = "plenty",
    scaler: optax.GradientTransformation | None = None,
) -> Strategy:
    """Returns the pieces of a task that is fine-tuned in a known way.

    | name | what is trained |
    | --- | --- |
    | "full" | everything (J1) |
    | "head" | the head, on an encoder that stays |
    | "freeze-first" | all but the embeddings and the first layers (J2) |
    | "freeze" | all but what `patterns` name |
    | "gradual" | the head; then a layer more in each phase, from the top (J3) |
    | "discriminative" | everything, each layer slower than the one above (J3) |
    | "lora" | the head, and adapters of low rank beside query and value |
    | "auto" | what `choose_strategy` says for `rows` |

    The optimiser is AdamW with a linear warm-up, then a straight line to 0; only matrices are
    decayed, no embeddings (D10), and each leaf's moments are corrected by its own count, so that
    layers may join late. Schedules follow the updates of the whole run.

    Args:
      name: see above.
      network: what `Task.model` takes, as `jr.finetune.start_from` returns it.
      params: its parameters, or their shapes; of a network with `encoder/layer_I/...`.
      steps: updates of the run, >= 1.
      rate: highest learning rate, > 0; default `RATES[name]`. J1 has 2e-5 to 5e-5 for all weights.
      warm_up: share of the run in which the rate grows from 0, in [0, 1).
      weight_decay: >= 0, times the rate in each update.
      clip: largest norm of the gradient of what is trained; None for any.
      decay: the rate of each layer by that of the layer above, in (0, 1]; default 0.9 for
        "discriminative", else 1. For all but "lora".
      first: layers that "freeze-first" freezes, besides the embeddings; default half of them.
      patterns: of parameter paths, for "freeze".
      phase_steps: updates of each phase of "gradual"; by default all are trained after half a run.
      phases: of "gradual", >= 1, besides that of the head: each compiles a program, so a deep
        network may join some layers at a time. By default one layer each, last the embeddings.
      rank: of "lora".
      alpha: of "lora".
      rows: training examples, for "auto".
      distance: for "auto".
      compute: for "auto".
      scaler: what scales gradients, in place of Adam.

    Raises:
      TaskError: if an argument is out of range, or the network has no layers or no head to train.

    References:
      Devlin et al., 2019, arXiv:1810.04805, appendix A.3; Howard and Ruder, "Universal Language
      Model Fine-tuning for Text Classification", 2018, arXiv:1801.06146.
    """
    why = ""
    if name == "auto":
        if rows is None:
            raise TaskError("strategy('auto') needs rows, the number of training examples.")
        name, why = choose_strategy(rows, distance=distance, compute=compute)
    if name not in RATES:
        raise TaskError(f"strategy got {name!r}; there are {', '.join(RATES)} and auto.")
    rate = RATES[name] if rate is None else rate
    decay = (_DISCRIMINATIVE if name == "discriminative" else 1.0) if decay is None else decay
    if not rate > 0 or not 0 < decay <= 1 or weight_decay < 0:
        raise TaskError(
            f"strategy needs rate > 0, decay in (0, 1] and weight_decay >= 0, got {rate=}, "
            f"{decay=}, {weight_decay=}."
        )
    model, parts = as_model(network), levels(params)
    frozen: tuple[str, ...] | Unfreezing = ()
    if name == "head":
        _require_head(parts)
        frozen = patterns_below(parts, len(parts) - 1)
    elif name == "freeze-first":
        frozen = patterns_below(parts, 1 + _first(first, len(parts) - 2))
    elif name == "freeze":
        if not patterns:
            raise TaskError("strategy('freeze') needs patterns, as ('encoder/embeddings/*',).")
        frozen = patterns
    elif name == "gradual":
        frozen = gradual_phases(params, steps, phase_steps=phase_steps, phases=phases)
    elif name == "lora":
        model = lora(model, rank, alpha=alpha)
        frozen = (*patterns_below(parts, len(parts) - 1), "lora/scale")
    optimizer = optax.chain(
        optax.identity() if clip is None else optax.clip_by_global_norm(clip),
        scale_by_leaf_adam() if scaler is None else scaler,
        optax.add_decayed_weights(weight_decay, mask=decayed),
        optax.identity() if decay == 1 else scale_by_level(params, decay),
        optax.scale_by_learning_rate(linear(rate, steps, warm_up=warm_up)),
    )
    return Strategy(name=name, model=model, optimizer=optimizer, frozen=frozen, rate=rate, why=why)


def decayed(params: PyTree) -> PyTree:
    """Returns a tree of bools: whether weight decay is for a leaf.

    It is for matrices, but not for biases, norms and embeddings (D10).

    Args:
      params: pytree of arrays, perhaps with parts left out, as optax does.
    """

    def is_decayed(path: tuple[Any, ...], leaf: Array) -> bool:
        *modules, last = path_name(path).split("/")
        left_out = any("norm" in part or part in ("embeddings", "shared") for part in modules)
        return leaf.ndim >= 2 and last != "bias" and not left_out

    return jax.tree_util.tree_map_with_path(is_decayed, params)


def scale_by_level(params: PyTree, decay: float) -> optax.GradientTransformation:
    """Scales the updates of each level of a network by `decay` to the power of its depth.

    Args:
      params: of a network with `encoder/layer_I/...`; the head has depth 0, the last layer 1.
      decay: in (0, 1].
    """
    parts = levels(params)

    def scaled(path: tuple[Any, ...], update: Array) -> Array:
        return update * decay ** (len(parts) - 1 - level_of(path_name(path), parts))

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scaled, updates))


def gradual_phases(
    params: PyTree, steps: int, *, phase_steps: int | None = None, phases: int | None = None
) -> Unfreezing:
    """Returns the frozen set of progressive unfreezing: the head, then more from the top (J3).

    Args:
      params: of a network with `encoder/layer_I/...`. One without a head begins with its last
        layer.
      steps: of the run, >= 1.
      phase_steps: updates of each phase but the last; default so that all are trained after half.
      phases: after the first; default one for each layer and one for the embeddings.

    Raises:
      TaskError: if an argument is out of range.
    """
    parts = levels(params)
    top = len(parts) - 1 if parts[-1] else len(parts) - 2  # what is below it joins later
    count = top if phases is None else phases
    if not 1 <= count <= top:
        raise TaskError(f"gradual needs phases from 1 to {top} levels, got {phases!r}.")
    length = max(1, steps // (2 * count)) if phase_steps is None else phase_steps
    if length < 1:
        raise TaskError(f"gradual needs phase_steps >= 1, got {phase_steps!r}.")
    heights = [top - round(i * top / count) for i in range(count + 1)]
    return Unfreezing(
        tuple((i * length, patterns_below(parts, height)) for i, height in enumerate(heights))
    )


def _first(first: int | None, depth: int) -> int:
    first = depth // 2 if first is None else first
    if isinstance(first, bool) or not isinstance(first, int) or not 0 <= first <= depth:
        raise TaskError(f"freeze-first needs first from 0 to {depth} layers, got {first!r}.")
    return first


def _require_head(parts: tuple[tuple[str, ...], ...]) -> None:
    if not parts[-1]:
        raise TaskError(
            "strategy('head') needs a network with a head, but all parameters are the encoder's; "
            "use 'freeze-first' or 'lora'."
        )
