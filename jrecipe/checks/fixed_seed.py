"""B1: one seed, one run - two runs from the same seed agree to the last bit.

A compiled step bakes hidden randomness in when it is traced, so two runs of one compiled program
agree although two processes do not. jrecipe's own step is therefore traced twice, and trained again
from scratch with a new compilation wherever the two traces differ.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.examples import name_rows
from jrecipe.checks.probing import as_numpy, same_bits, same_structure
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.task import Trainer
from jrecipe.train.compiled import jit_once
from jrecipe.train.reference import reference_trainer, update_of
from jrecipe.types import Batch, Key, PyTree

ITEM, CHECK = "B1", "fixed-seed"
STEPS = 3


def run(trainer: Trainer, key: Key, batches: Sequence[Batch]) -> list[PyTree]:
    """Trains from scratch on `batches` in order.

    Args:
      trainer: what to run.
      key: of `init`; the step i gets the key folded with i.
      batches: one per update.

    Returns:
      Copies of the parameters at the start and after each update, as NumPy arrays.
    """
    state = trainer.init(key)
    seen = [as_numpy(trainer.params(state))]
    for i, batch in enumerate(batches):
        state, _ = trainer.step(state, batch, jax.random.fold_in(key, i))
        seen.append(as_numpy(trainer.params(state)))
    return seen


def first_difference(a: Sequence[PyTree], b: Sequence[PyTree]) -> tuple[int, str, float] | None:
    """Finds the first update after which two runs differ in a bit.

    Args:
      a: parameters at the start and after each update, as `run` gives them.
      b: the same of another run.

    Returns:
      `(updates, path of the leaf with the largest difference, that difference)`; None if equal.
    """
    for step, (x, y) in enumerate(zip(a, b, strict=True)):
        if not same_structure(x, y):
            return step, "the structure", float("inf")
        gaps = {}
        pairs = zip(jax.tree_util.tree_leaves_with_path(x), jax.tree.leaves(y), strict=True)
        for (path, p), q in pairs:
            if p.shape != q.shape:
                return step, jax.tree_util.keystr(path), float("inf")
            same = same_bits(p, q)
            if not same.all():
                gap = np.abs(p.astype(np.float64) - q.astype(np.float64))[~same]
                gaps[jax.tree_util.keystr(path)] = float(np.nan_to_num(gap, nan=np.inf).max())
        if gaps:
            worst = max(gaps, key=gaps.__getitem__)
            return step, worst, gaps[worst]
    return None


def traces_alike(function: Callable[..., Any], *args: PyTree) -> bool:
    """Traces a function twice and compares the programs, their constants included.

    Args:
      function: a jittable function; a new wrapper is traced each time, so no cache answers.
      *args: its arguments, or their shapes.
    """
    texts, constants = [], []
    for _ in range(2):
        closed = jax.make_jaxpr(lambda *args: function(*args))(*args)
        texts.append(re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)))
        constants.append(_constants(closed))
    if texts[0] != texts[1] or len(constants[0]) != len(constants[1]):
        return False
    pairs = zip(constants[0], constants[1], strict=True)
    return all(a.shape == b.shape and bool(same_bits(a, b).all()) for a, b in pairs)


def judge_fixed_seed(
    *,
    difference: tuple[int, str, float] | None,
    rows_differ: Sequence[int] = (),
    exact: bool = True,
    size: float = 1.0,
) -> Finding:
    """Judges two runs from one seed.

    Args:
      difference: `(updates, leaf, largest difference)`, as of `first_difference`; None if equal.
      rows_differ: training rows that came out differently when they were read twice.
      exact: whether the backend promises equal bits (CPU); elsewhere rounding is let pass.
      size: largest parameter, which tells rounding from randomness.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "steps": STEPS,
        "largest_difference": 0.0 if difference is None else difference[2],
        "expected_difference": 0.0,
        "rows_differing": len(rows_differ),
    }
    if len(rows_differ):
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.FAILED,
            evidence=evidence,
            finding=f"Reading the same training rows twice gives other values "
            f"(rows {name_rows(np.asarray(rows_differ))}).",
            remedy="Take random changes out of the source; give them as augment(key, batch).",
            suspects=(
                Suspect(
                    cause="hidden-randomness",
                    component="data",
                    where=f"train rows {name_rows(np.asarray(rows_differ))}",
                    why="take(rows) is not a function of the rows",
                ),
            ),
        )
    rounded = difference is not None and not exact and difference[2] <= 1e-4 * max(size, 1e-12)
    if difference is None or rounded:
        said = f"Two runs of {STEPS} updates from one seed agree to the last bit."
        if difference is not None:
            said = f"Two runs from one seed agree up to rounding ({difference[2]:.1e})"
            said += "; this backend does not promise equal bits."
        return Finding(
            item=ITEM, check=CHECK, verdict=Verdict.PASSED, evidence=evidence, finding=said
        )
    step, leaf, gap = difference
    when = "at initialisation" if step == 0 else f"after update {step}"
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.FAILED,
        evidence=evidence | {"updates": step, "leaf": leaf},
        finding=f"Two runs from one seed differ {when}, most in {leaf} (by {gap:.3g}).",
        remedy="Look for np.random, random, time or id() in init, step and augment; use their key.",
        suspects=(
            Suspect(
                cause="hidden-randomness",
                component="init" if step == 0 else "step",
                where=leaf,
                why=f"equal seeds and batches give a difference of {gap:.3g} {when}",
            ),
        ),
    )


def check_fixed_seed(ctx: Context) -> Finding:
    """Runs the trainer twice from one seed, reads the data twice, and compares (B1)."""
    rows = np.arange(min(256, len(ctx.task.train)))
    differing = _rows_differing(*(ctx.task.train.take(rows) for _ in range(2)))
    batches = [ctx.batch(), ctx.other(), ctx.batch()]
    first = run(ctx.trainer, ctx.key, batches)
    second = run(ctx.trainer, ctx.key, batches)
    difference = first_difference(first, second)
    augmented = False
    if difference is None and not ctx.foreign:
        state = jax.eval_shape(ctx.trainer.init, ctx.key)
        update = update_of(ctx.task)
        if not traces_alike(update, state, batches[0], ctx.key) or not traces_alike(
            ctx.model.init,  # type: ignore[union-attr]
            ctx.key,
            batches[0].inputs,
        ):
            again = run(reference_trainer(ctx.task, jit_once), ctx.key, batches)
            difference = first_difference(first, again)
            augment = ctx.task.augment
            augmented = augment is not None and not traces_alike(augment, ctx.key, batches[0])
    size = max((float(np.abs(x).max(initial=0.0)) for x in jax.tree.leaves(first[0])), default=1.0)
    finding = judge_fixed_seed(
        difference=difference,
        rows_differ=differing,
        exact=jax.default_backend() == "cpu",
        size=size,
    )
    if augmented and finding.verdict is Verdict.FAILED and not differing:
        why = "task.augment itself differs when it is traced twice with one key"
        suspect = Suspect(cause="hidden-randomness", component="augmentation", why=why)
        return dataclasses.replace(finding, suspects=(suspect, *finding.suspects))
    return finding


def _rows_differing(a: PyTree, b: PyTree) -> list[int]:
    same = [
        same_bits(x, y).reshape(len(np.asarray(x)), -1).all(axis=1)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    ]
    return np.flatnonzero(~np.all(same, axis=0)).tolist()


def _constants(closed: Any) -> list[np.ndarray]:
    """Returns the constants of a closed jaxpr and of all those nested in it."""
    found = [as_numpy(const) for const in closed.consts]
    for equation in closed.jaxpr.eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, "jaxpr") and hasattr(inner, "consts"):
                    found += _constants(inner)
    return found
