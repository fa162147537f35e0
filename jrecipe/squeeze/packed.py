"""Weights kept in a smaller form: 8-bit integers, products of thin matrices.

A packed weight is a pytree that stands in the parameters where the weight stood. `packed_model`
makes a network that unpacks them on its way in, whatever framework it was written in; packed parts
may be packed again, as the thin matrices of `low_rank` into 8 bits.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jrecipe.types import Array, Key, Model, PyTree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Int8:
    """A weight as `values * scale`.

    Attributes:
      values: int8[..., n], -127 to 127.
      scale: float[1, ..., n], one for each output of the layer.
    """

    values: Array
    scale: Array

    def unpacked(self) -> Array:
        """Returns the weight, in the scale's dtype."""
        return self.values.astype(self.scale.dtype) * self.scale


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LowRank:
    """A weight as `left @ right`, brought into its shape.

    Attributes:
      left: float[m, k], or packed.
      right: float[k, n], or packed.
      shape: of the weight, (..., n) with m numbers before n.
    """

    left: Array
    right: Array
    shape: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    def unpacked(self) -> Array:
        """Returns the weight."""
        return (unpacked(self.left) @ unpacked(self.right)).reshape(self.shape)


def is_packed(leaf: object) -> bool:
    """Says whether a node of the parameters is a packed weight."""
    return isinstance(leaf, Int8 | LowRank)


def unpacked(params: PyTree) -> PyTree:
    """Returns parameters with every packed weight as the array that it stands for."""
    return jax.tree.map(
        lambda leaf: leaf.unpacked() if is_packed(leaf) else leaf, params, is_leaf=is_packed
    )


def packed_model(model: Model) -> Model:
    """Returns the same network, which takes packed parameters; packing it twice changes nothing."""
    if getattr(model.apply, "unpacks", False):
        return model

    def apply(
        params: PyTree, state: PyTree, inputs: PyTree, *, key: Key = None, train: bool = False
    ) -> tuple[PyTree, PyTree]:
        return model.apply(unpacked(params), state, inputs, key=key, train=train)

    apply.unpacks = True  # type: ignore[attr-defined]
    return dataclasses.replace(model, apply=apply, without=None)


def stored_bytes(params: PyTree) -> int:
    """Returns the bytes of all arrays."""
    return sum(jnp.asarray(leaf).nbytes for leaf in jax.tree.leaves(params))
