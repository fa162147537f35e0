"""Where the arrays of a run lie: on one device, or over several with each batch cut between them.

`jit` on a mesh is the core: the program is that of one device, told where its arrays lie, so the
mean over the batch, BatchNorm's statistics and the draws of dropout are those of one device too.
`pmap` is an adapter for code that wants it: one program per device, whose gradients are summed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jrecipe.train.quick_on_cpu import quick_on_cpu
from jrecipe.types import PyTree, TaskError

AXIS = "batch"
Parallel = Literal["jit", "pmap"]
_ALL = PartitionSpec()  # a copy on each device


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which devices a run uses, and how.

    Attributes:
      devices: which; one means that nothing is laid out.
      parallel: "jit" on a mesh, or "pmap".
      shard_params: cut parameters and optimiser state between the devices too, each leaf along its
        longest axis that they divide, instead of a copy on each (only with "jit").
    """

    devices: tuple[Any, ...]
    parallel: Parallel = "jit"
    shard_params: bool = False

    @property
    def several(self) -> bool:
        """Whether there is more than one device."""
        return len(self.devices) > 1

    @property
    def processes(self) -> int:
        """How many processes hold the devices."""
        return len({device.process_index for device in self.devices})

    @property
    def meshed(self) -> bool:
        """Whether arrays are laid over a mesh."""
        return self.several and self.parallel == "jit"

    @property
    def axis_name(self) -> str | None:
        """The mapped axis over which a step has to sum by itself, None if there is none."""
        return AXIS if self.several and self.parallel == "pmap" else None

    @property
    def mesh(self) -> Mesh:
        """The mesh, with the one axis "batch"."""
        return Mesh(np.array(self.devices), (AXIS,))

    def shardings(self, state: PyTree) -> PyTree:
        """Returns the sharding of each leaf of a state."""
        mesh, count = self.mesh, len(self.devices)

        def of(leaf: Any) -> NamedSharding:
            shape = np.shape(leaf)
            fits = [i for i, size in enumerate(shape) if size >= count and size % count == 0]
            if not self.shard_params or not fits:
                return NamedSharding(mesh, _ALL)
            longest = max(fits, key=lambda i: shape[i])
            return NamedSharding(mesh, PartitionSpec(*[None] * longest, AXIS))

        return jax.tree.map(of, state)

    def place(self, state: PyTree) -> PyTree:
        """Puts a state on the devices; on one device it stays where it is."""
        if not self.meshed:
            return state
        return jax.tree.map(self._put, state, self.shardings(state))

    def everywhere(self, data: PyTree) -> PyTree:
        """Puts a copy of some data on every device."""
        if not self.meshed:
            return data
        return jax.tree.map(lambda x: self._put(x, NamedSharding(self.mesh, _ALL)), data)

    def local(self, state: PyTree) -> PyTree:
        """Returns a state that this process can read by itself; all processes have to ask for it.

        With one process it is the state as it lies.
        """
        if self.processes == 1:
            return state
        whole = jax.tree.map(lambda _: NamedSharding(self.mesh, _ALL), state)
        return jax.tree.map(_on_host, jax.jit(lambda x: x, out_shardings=whole)(state))

    def _put(self, x: Any, sharding: NamedSharding) -> Any:
        """Lays an array that every process has over the devices of all of them."""
        if self.processes == 1:
            return jax.device_put(x, sharding)
        if jnp.issubdtype(jnp.result_type(x), jax.dtypes.prng_key):
            data = self._put(jax.random.key_data(x), NamedSharding(self.mesh, _ALL))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    def spread(self, batch: PyTree) -> PyTree:
        """Cuts a batch between the devices, outside of a compiled program.

        A batch that they do not divide goes to each as a whole.
        """
        if not self.meshed:
            return batch
        rows = len(jax.tree.leaves(batch)[0])
        even = rows % len(self.devices) == 0
        spec = PartitionSpec(AXIS) if even else _ALL
        return jax.tree.map(lambda x: self._put(x, NamedSharding(self.mesh, spec)), batch)

    def inside(self, step: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
        """Wraps `step(state, batch) -> (state, numbers)` to keep its arrays where they belong."""
        if not self.meshed:
            return step
        cut = NamedSharding(self.mesh, PartitionSpec(AXIS))

        def laid_out(state: PyTree, batch: PyTree) -> tuple[Any, Any]:
            batch = jax.lax.with_sharding_constraint(batch, cut)
            state, numbers = step(state, batch)
            return jax.lax.with_sharding_constraint(state, self.shardings(state)), numbers

        return laid_out

    def compile(self, run: Callable[..., Any], axis: int) -> Callable[..., Any]:
        """Compiles `run(state, xs, *constants)`, donating the state.

        Args:
          run: a pure function; with "pmap" it sums over the axis "batch".
          axis: along which `xs` holds the examples of a batch.
        """
        run = quick_on_cpu(run, self.mesh if self.meshed else None)
        if not self.several:
            return jax.jit(run, donate_argnums=0)
        if self.parallel == "jit":
            program = jax.jit(run, donate_argnums=0)
            return lambda *args: jax.block_until_ready(program(*args))  # as in `predicting`
        count = len(self.devices)

        def mapped(state: PyTree, xs: PyTree, *constants: PyTree) -> Any:
            in_axes = (None, axis, *[None] * len(constants))
            program = jax.pmap(
                run, axis_name=AXIS, in_axes=in_axes, out_axes=None, devices=self.devices
            )

            def parts(x: Any) -> Any:
                return x.reshape(*x.shape[:axis], count, -1, *x.shape[axis + 1 :])

            return jax.block_until_ready(program(state, jax.tree.map(parts, xs), *constants))

        return mapped

    def predicting(
        self, predict: Callable[[Any, PyTree], PyTree]
    ) -> Callable[[Any, PyTree], PyTree]:
        """Wraps `predict(state, inputs)` to cut the inputs between the devices.

        It returns when all devices are done: a program that is begun while another with
        collectives still runs can deadlock XLA's CPU devices.
        """
        if not self.meshed:
            return predict

        def spread_out(state: Any, inputs: PyTree) -> PyTree:
            return self.local(jax.block_until_ready(predict(state, self.spread(inputs))))

        return spread_out


def _on_host(x: Any) -> Any:
    """Returns an array of which every device holds all, as one of this process alone."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = jnp.asarray(np.asarray(jax.random.key_data(x)))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    return np.asarray(x)


def make_layout(
    parallel: Parallel, devices: int | str | None, shard_params: bool, batch_size: int
) -> Layout:
    """Returns the layout that `fit` was asked for.

    Args:
      parallel: "jit" or "pmap".
      devices: how many of `jax.devices()`; None for one, or for all of several processes.
      shard_params: see `Layout`.
      batch_size: rows of a batch over all devices.

    Raises:
      TaskError: if an argument is not understood, there are fewer devices, or they do not divide
        the batch.
    """
    if parallel not in ("jit", "pmap"):
        raise TaskError(f"fit got parallel={parallel!r}; there are 'jit' and 'pmap'.")
    there = jax.devices()
    together = jax.process_count() > 1
    count = (len(there) if together else 1) if devices is None else devices
    if together and (count != len(there) or parallel == "pmap"):
        raise TaskError(
            f"fit got devices={devices!r}, parallel={parallel!r} in {jax.process_count()} "
            f"processes; they train with all of their {len(there)} devices and parallel='jit'."
        )
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(there):
        raise TaskError(
            f"fit got devices={devices!r}, but JAX sees {len(there)} ({there[0].platform}); name a "
            "number up to that. On a CPU, jax.config.update('jax_num_cpu_devices', n) makes n "
            "virtual ones, before JAX is first used."
        )
    if batch_size % count:
        raise TaskError(
            f"fit got devices={count}, which do not divide batch_size={batch_size}; use a "
            f"batch_size of {batch_size - batch_size % count or count} or another multiple."
        )
    if shard_params and (parallel == "pmap" or count == 1):
        raise TaskError(
            f"fit got shard_params=True with parallel={parallel!r} and devices={count}; it needs "
            "parallel='jit' and at least two devices."
        )
    return Layout(tuple(there[:count]), parallel, shard_params)
