"""Low-rank adapters: a small change to large matrices, that can be folded into them (J3)."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jrecipe.types import Array, Key, Model, PyTree, TaskError

QUERY_AND_VALUE = ("*/query/kernel", "*/value/kernel")
_STREAM = 0x4C6F5241  # keeps the draws of the adapters apart from those of the network


def lora(
    model: Model,
    rank: int = 8,
    *,
    alpha: float = 16.0,
    patterns: Sequence[str] = QUERY_AND_VALUE,
) -> Model:
    """Returns a network with adapters beside some of its matrices: `W + alpha / rank * down @ up`.

    Its parameters are those of `model` and, under "lora", `down` float32[in, rank], drawn, and `up`
    float32[rank, out], 0, for each matrix; at first its outputs are those of `model`. Freeze what
    is not under "lora" or the head, and "lora/scale", as the strategy "lora" does: only a share of
    a percent of the numbers is trained then, and `merge_lora` folds it in.

    Args:
      model: whose parameters are nested dicts.
      rank: of the change of each matrix, >= 1, at most its smaller side.
      alpha: strength of the change; with another rank the same rate fits.
      patterns: paths of matrices [in, out].

    Raises:
      TaskError: if an argument is out of range; from `init`, if a pattern names no parameter, or
        one that is no matrix.

    References:
      Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2022, arXiv:2106.09685.
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1 or not alpha > 0:
        raise TaskError(f"lora needs an integer rank >= 1 and alpha > 0, got {rank=}, {alpha=}.")
    patterns = tuple(patterns)

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        params, state = model.init(key, inputs)
        flat = flatten_dict(params, sep="/")
        adapters = {}
        for i, name in enumerate(_named(flat, patterns, rank)):
            rows, columns = flat[name].shape
            draw = jax.random.normal(jax.random.fold_in(key, _STREAM + i), (rows, rank))
            adapters[name] = {"down": draw * rows**-0.5, "up": jnp.zeros((rank, columns))}
        scale = jnp.asarray(alpha / rank, jnp.float32)
        return {**params, "lora": {"scale": scale, **unflatten_dict(adapters, sep="/")}}, state

    def apply(
        params: PyTree,
        state: PyTree,
        inputs: PyTree,
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[PyTree, PyTree]:
        return model.apply(merge_lora(params), state, inputs, key=key, train=train)

    without = model.without
    less: Callable[..., Model] | None = None
    if without is not None:

        def less(*parts: str) -> Model:
            return lora(without(*parts), rank, alpha=alpha, patterns=patterns)

    return dataclasses.replace(
        model, init=init, apply=apply, without=less, name=f"{model.name} with adapters"
    )


def merge_lora(params: PyTree) -> PyTree:
    """Folds adapters into the matrices beside which they stand.

    Args:
      params: of a network of `lora`.

    Returns:
      Parameters of the network without adapters, with the same outputs to rounding.

    Raises:
      TaskError: if there are no adapters.
    """
    if not isinstance(params, dict) or "lora" not in params:
        raise TaskError("merge_lora needs the parameters of a network of lora, with a part 'lora'.")
    adapters = dict(params["lora"])
    scale = adapters.pop("scale")
    flat = flatten_dict({name: part for name, part in params.items() if name != "lora"}, sep="/")
    small = flatten_dict(adapters, sep="/")
    for name in {path.rpartition("/")[0] for path in small}:
        change = scale * (small[f"{name}/down"] @ small[f"{name}/up"])
        flat[name] = flat[name] + change.astype(flat[name].dtype)
    merged: PyTree = unflatten_dict(flat, sep="/")
    return merged


def _named(flat: dict[str, Array], patterns: Sequence[str], rank: int) -> list[str]:
    """Returns the paths of the matrices that the patterns name, or says what is wrong."""
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in flat):
            raise TaskError(
                f"lora has the pattern {pattern!r}, which matches no parameter; there are "
                f"{', '.join([*flat][:8])}, ..."
            )
    names = [name for name in flat if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    for name in names:
        shape = flat[name].shape
        if len(shape) != 2 or rank > min(shape):
            raise TaskError(
                f"lora of rank {rank} needs matrices at least as large, but {name} is "
                f"{list(shape)}; give other patterns or a lower rank."
            )
    return names
