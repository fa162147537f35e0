"""The optimiser alone (G14): made-up gradients in, updates out, without a network.

The parameter tree is kept, as masks go by its paths, but every leaf is shrunk to two elements along
each axis: thousands of updates cost a fraction of a second. Nine runs with gradients of different
sizes, signs and histories go through one compiled program; what differs between them is the answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.checks.context import Context
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import frozen_mask, path_name
from jrecipe.types import PyTree

RUNS = 9  # optimisers that run beside one another
SHORT, LONGEST = 1000, 3000  # updates that are looked at, and at most
REAL = 1500  # elements of a tree that is probed as it is
BIAS = 0.1  # size that is supposed of biases and scales, which often start at 0


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One parameter as the probe sees it.

    Attributes:
      path: its path, such as "Dense_0/kernel".
      shape: its real shape.
      weight: root mean square of its values.
      gradient: root mean square of a real gradient of it; of all leaves' median where that is 0 or
        far below.
      frozen: whether the task declares it frozen.
    """

    path: str
    shape: tuple[int, ...]
    weight: float
    gradient: float
    frozen: bool

    @property
    def matrix(self) -> bool:
        """Whether it has two axes or more: neither a bias nor a scale."""
        return len(self.shape) >= 2


def _rms(x: PyTree) -> float:
    values = np.asarray(x).astype(np.float64)
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def describe(params: PyTree, grads: PyTree, frozen: Sequence[str]) -> tuple[Leaf, ...]:
    """Returns the leaves of `params`, in order.

    Args:
      params: the parameters.
      grads: a gradient, the same tree.
      frozen: patterns of `Task.frozen`.
    """
    masks = jax.tree.leaves(frozen_mask(params, frozen))
    sizes = [_rms(leaf) for leaf in jax.tree.leaves(grads)]
    known = [size for size in sizes if 0 < size < np.inf]
    middle = float(np.median(known)) if known else 1e-2
    found = []
    named = jax.tree_util.tree_leaves_with_path(params)
    for (path, leaf), size, mask in zip(named, sizes, masks, strict=True):
        own = size if np.isfinite(size) and size > 1e-2 * middle else middle
        weight = _rms(leaf)
        weight = weight if np.isfinite(weight) and weight > 1e-3 else BIAS
        found.append(Leaf(path_name(path), tuple(np.shape(leaf)), weight, own, bool(mask)))
    return tuple(found)


def first_gradient(context: Context) -> tuple[PyTree, PyTree]:
    """Returns `(params, gradient)` of the task's model for the first batch; needs a model."""
    params, state = context.variables()
    return params, context.gradient(params, state, context.batch())[1]


class Probe:
    """A task's optimiser, ready to be asked.

    Attributes:
      leaves: the parameters, in the order of the tree.
      owner: int[n], the leaf that each element of the shrunk tree belongs to.
      longest: updates that one run may have.
      sign: float32[n], -1 or 1: the direction of the made-up gradient, as often one as the other
        within a leaf, so that it is orthogonal to constant weights.
    """

    def __init__(
        self,
        tx: optax.GradientTransformation,
        params: PyTree,
        leaves: Sequence[Leaf],
        small: bool = True,
    ) -> None:
        """Prepares the probe.

        Args:
          tx: the optimiser.
          params: the real parameters, for their tree, dtypes and axes.
          leaves: what `describe` says of them.
          small: whether leaves are shrunk. Without it every element is kept, for optimisers that
            hold arrays of the real shapes, up to `REAL` elements in all.

        Raises:
          ValueError: if too large to keep every element.
          Exception: whatever the optimiser raises on such a tree.
        """
        self.leaves = tuple(leaves)
        self._tx = tx
        real, self._tree = jax.tree.flatten(params)
        total = sum(np.size(leaf) for leaf in real)
        if not small and total > REAL:
            raise ValueError(f"it goes by the real shapes, and {total} weights are too many")
        few = sum(2 ** np.ndim(leaf) for leaf in real) <= REAL
        limit = (2 if few else 1) if small else total
        self._shapes = [tuple(min(n, limit) for n in np.shape(leaf)) for leaf in real]
        self._dtypes = [jnp.asarray(leaf).dtype for leaf in real]
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        self._ends = np.cumsum(sizes)
        self.owner = np.repeat(np.arange(len(sizes)), sizes)
        signs = [1.0 - 2.0 * (np.indices(shape).sum(axis=0) % 2) for shape in self._shapes]
        self.sign = np.concatenate([np.ravel(sign) for sign in signs]).astype(np.float32)
        self.longest = LONGEST if len(self.sign) <= 500 else SHORT
        flat = jax.ShapeDtypeStruct((len(self.sign),), jnp.float32)
        series = jax.ShapeDtypeStruct((self.longest,), jnp.float32)
        jax.eval_shape(self._follow, flat, series, flat, True, 1)
        self._run = jit_once(jax.vmap(self._follow, in_axes=(0, 0, 0, 0, None)))

    def _tree_of(self, flat: jax.Array) -> PyTree:
        parts = jnp.split(flat, self._ends[:-1])
        cast = [
            part.reshape(shape).astype(dtype)
            for part, shape, dtype in zip(parts, self._shapes, self._dtypes, strict=True)
        ]
        return jax.tree.unflatten(self._tree, cast)

    def _follow(
        self,
        weights: jax.Array,
        sizes: jax.Array,
        pattern: jax.Array,
        hold: jax.Array,
        steps: jax.Array,
    ) -> jax.Array:
        def one(
            i: jax.Array, carry: tuple[jax.Array, PyTree, jax.Array]
        ) -> tuple[jax.Array, PyTree, jax.Array]:
            flat, state, seen = carry
            updates, state = self._tx.update(
                self._tree_of(sizes[i] * pattern), state, self._tree_of(flat)
            )
            leaves = [jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(updates)]
            moves = jnp.concatenate(leaves)
            return flat + jnp.where(hold, 0.0, moves), state, seen.at[i].set(moves)

        seen = jnp.zeros((len(sizes), len(weights)), jnp.float32)
        start = (weights, self._tx.init(self._tree_of(weights)), seen)
        return jax.lax.fori_loop(0, steps, one, start)[2]

    def values(self, by_leaf: Sequence[float] | np.ndarray) -> np.ndarray:
        """Returns float32[n]: one number per leaf, for each of its elements."""
        return np.asarray(by_leaf, np.float32)[self.owner]

    def by_leaf(self, values: np.ndarray) -> np.ndarray:
        """Sums [..., n] over the elements of each leaf: float64[..., leaves]."""
        starts = np.searchsorted(self.owner, np.arange(len(self.leaves)))
        total: np.ndarray = np.add.reduceat(values.astype(np.float64), starts, axis=-1)
        return total

    def run(
        self,
        weights: np.ndarray,
        sizes: np.ndarray,
        pattern: np.ndarray,
        hold: np.ndarray,
    ) -> np.ndarray:
        """Runs `RUNS` fresh optimisers beside one another.

        Args:
          weights: float32[RUNS, n], what the parameters start from.
          sizes: float32[RUNS, t] with t <= `longest`, what the gradient is multiplied with at each
            update.
          pattern: float32[RUNS, n], the gradient.
          hold: bool[RUNS], whether the weights stay where they are whatever the updates say.

        Returns:
          The updates float32[RUNS, t, n].
        """
        steps = sizes.shape[1]
        padded = np.zeros((len(sizes), self.longest), np.float32)
        padded[:, :steps] = sizes
        arguments = (np.asarray(weights, np.float32), padded, np.asarray(pattern, np.float32))
        return np.asarray(self._run(*arguments, np.asarray(hold), steps))[:, :steps]
