"""The parts of a network for texts from bottom to top: embeddings, layers, head."""

from __future__ import annotations

import re
from collections.abc import Mapping

import jax

from jrecipe.train.frozen import path_name
from jrecipe.types import PyTree, TaskError

_LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)(?=/)")


def levels(params: PyTree) -> tuple[tuple[str, ...], ...]:
    """Returns the parts of a network, from the bottom to what gives the answers.

    Known are networks whose parameters are `encoder/layer_I/...`, as `jr.models.Bert` under a head
    has them, and perhaps `decoder/layer_I/...`, as `jr.models.T5` has them.

    Args:
      params: of the network.

    Returns:
      One tuple of path prefixes for each level: first the embeddings, then one level a layer, an
      encoder's before a decoder's; last the head, and a pooler, which is empty if there is none.
      Each parameter is under exactly one prefix.

    Raises:
      TaskError: if there is no layer.

    Example:
      >>> layer = {"kernel": 0.0}
      >>> encoder = {"embeddings": {"tokens": 0.0}, "layer_0": layer, "layer_1": layer}
      >>> levels({"encoder": encoder, "head": {"kernel": 0.0}})
      (('encoder/embeddings',), ('encoder/layer_0',), ('encoder/layer_1',), ('head',))
    """
    names = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    depth = {
        stack: 1 + max((int(n) for s, n in map(_layer, names) if s == stack), default=-1)
        for stack in ("encoder", "decoder")
    }
    top = depth["encoder"] + depth["decoder"] + 1
    if top == 1:
        raise TaskError(
            "A strategy needs a network with parameters encoder/layer_0/..., got "
            f"{', '.join(names[:4])}, ...; give patterns of your own as Task.frozen."
        )
    found: list[set[str]] = [set() for _ in range(top + 1)]
    for name in names:
        prefix, height = _place(name, depth, top)
        found[height].add(prefix)
    return tuple(tuple(sorted(level)) for level in found)


def level_of(name: str, parts: tuple[tuple[str, ...], ...]) -> int:
    """Returns at which of `levels` the parameter of this path is, 0 at the bottom."""
    return next(i for i, level in enumerate(parts) if any(_under(name, p) for p in level))


def patterns_below(parts: tuple[tuple[str, ...], ...], height: int) -> tuple[str, ...]:
    """Returns patterns of the paths of all parameters in the levels below `height`."""
    return tuple(f"{prefix}/*" for level in parts[:height] for prefix in level)


def _under(name: str, prefix: str) -> bool:
    return name.startswith(f"{prefix}/")


def _layer(name: str) -> tuple[str, str]:
    found = _LAYER.match(name)
    return (found[1], found[2]) if found else ("", "0")


def _place(name: str, depth: Mapping[str, int], top: int) -> tuple[str, int]:
    """Returns a parameter's part and its height."""
    stack, number = _layer(name)
    first, _, rest = name.partition("/")
    if stack:
        height = 1 + int(number) + (depth["encoder"] if stack == "decoder" else 0)
        return f"{stack}/layer_{number}", height
    if first in depth:
        part = rest.partition("/")[0]
        ends = {"pooler": top, "norm": depth["encoder"] if first == "encoder" else top - 1}
        return f"{first}/{part}", ends.get(part, 0)
    return first, 0 if first == "shared" else top
