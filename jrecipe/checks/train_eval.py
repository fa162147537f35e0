"""G12: Do training and evaluation mode agree once the network is trained?

With dropout out, what parts the two modes is the statistics that normalisation uses. So training
mode is run over the same examples until the stored statistics have become those of the examples;
evaluation must then answer as training does, to rounding. What remains is a difference of the
code. A second question is whether the statistics that training left behind serve: a leaf that
evaluation reads, training mode does not, and no update ever changed was forgotten.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.controls import simplified
from jrecipe.checks.data_flow import follow
from jrecipe.checks.network_layers import arguments_of, layers_of, training_layers
from jrecipe.checks.probing import disagreement, rounding, same_bits, same_structure
from jrecipe.checks.program_walk import trace
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.checks.thinning import SLACK, Thinning, find_thinning
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import path_name
from jrecipe.types import Array, Batch, Model, PyTree

ITEM, CHECK = "G12", "train-eval-agree"
ROWS = 256
_LEAST = 0.1  # share of the values that dropout must leave to a layer
_BLUR = 2e-5  # how far from 1 the rate of an average must be to be told from 1 in float32
_KEYS = 8  # draws of a noise that cannot be switched off


@dataclasses.dataclass(frozen=True, kw_only=True)
class Modes:
    """Training and evaluation mode of a trained network on the same examples, dropout out.

    Attributes:
      rows: how many examples.
      same: both modes are one program that leaves the state alone; no loss was measured then.
      start: mean loss before training, in training mode.
      train: mean loss in training mode; with noise left in it, the average over draws.
      stored: mean loss in evaluation mode, with the statistics that training left.
      settled: the same with statistics of these very examples; NaN where they do not settle.
      stderr: standard error of `stored - train` over the examples.
      gap: largest difference between the outputs of training mode and of evaluation with settled
        statistics, relative to the outputs' size; NaN where they do not settle.
      tolerance: the difference that rounding and an unbiased variance explain.
      noisy: training mode draws noise that could not be switched off.
      never: leaves of the state that evaluation reads and training neither reads nor changes.
      untouched: statistics that both modes read, still all zeros and all ones after training.
      kept: share of the first statistics that is still in the stored ones after training; NaN
        without statistics.
      slow: the statistics that settle slowest.
      where: the first layer that is fed otherwise in evaluation; empty unless `gap` is large.
      deaf: in training mode, dropout on, outputs are the same whatever the inputs are.
      left: the smallest share of what enters a layer that dropout leaves; 1 without dropout.
      dropped: parameter of that layer.
      thinned: how training thins out what enters the first layer that is fed otherwise; None if
        it does not, or dropout could be switched off.
    """

    rows: int
    same: bool = False
    start: float = float("nan")
    train: float = float("nan")
    stored: float = float("nan")
    settled: float = float("nan")
    stderr: float = 0.0
    gap: float = float("nan")
    tolerance: float = 0.0
    noisy: bool = False
    never: Sequence[str] = ()
    untouched: Sequence[str] = ()
    kept: float = float("nan")
    slow: str = ""
    where: str = ""
    deaf: bool = False
    left: float = 1.0
    dropped: str = ""
    thinned: Thinning | None = None


Run = Callable[..., tuple[PyTree, PyTree]]  # (state, train, draw=0) -> (outputs, state)


def measure_modes(context: Context) -> Modes:
    """Measures how far training and evaluation mode of the trained network are apart."""
    real = context.controls.arms["real"]
    assert real.variables is not None
    assert context.model is not None
    params, state = jax.tree.map(jnp.asarray, real.variables)
    batch = context.batch(min(ROWS, len(context.task.train)))
    part = ("dropout",) if context.model.without is not None else ()
    model, plain = context.model, simplified(context.task).model
    evaluation, training = (_text(plain, params, state, batch, train) for train in (False, True))
    draws = bool(part) and training != _text(model, params, state, batch, True)
    left, dropped = _left(context, params, state) if draws else (1.0, "")
    found = Modes(
        rows=len(batch.weights),
        same=training == evaluation,
        deaf=left < _LEAST and _deaf(context, params, state),
        left=left,
        dropped=dropped,
    )

    def run(state: PyTree, train: bool, draw: int = 0) -> tuple[PyTree, PyTree]:
        key = jax.random.fold_in(context.key, draw)
        return context.apply(params, state, batch.inputs, key, train, part)

    names = _still(context.variables()[1], state)
    if found.same:
        return dataclasses.replace(found, untouched=_untouched(state, names, run))
    outputs = run(state, True)[0]
    noisy = disagreement(outputs, run(state, True, 1)[0]) > 0
    every = [outputs, *(run(state, True, i)[0] for i in range(1, _KEYS if noisy else 1))]
    trained = np.mean([_values(context, x, batch) for x in every], axis=0)
    stored = _values(context, run(state, False)[0], batch)
    before = context.variables()
    key, apart = context.key, stored - trained
    fresh = context.apply(*before, batch.inputs, key, True, part)[0]
    settled, rates = settle(state, run)
    slow = max(rates, key=lambda name: rates[name], default="")
    least = 3 * rounding(context)
    found = dataclasses.replace(
        found,
        start=float(_values(context, fresh, batch).mean()),
        train=float(trained.mean()),
        stored=float(stored.mean()),
        stderr=float(apart.std() / np.sqrt(max(len(apart) - 1, 1))),
        tolerance=max(least, 4.0 / len(apart)) if jax.tree.leaves(state) else least,
        noisy=noisy,
        never=() if noisy else _never(state, names, run),
        untouched=() if noisy else _untouched(state, names, run),
        kept=rates[slow] ** real.steps if slow else float("nan"),
        slow=slow,
    )
    if noisy:
        where, thinned = _thinned(context, params, state, batch)
        return dataclasses.replace(found, where=where, thinned=thinned)
    if settled is None:
        return found
    ends = run(settled, False)[0]
    losses = _values(context, ends, batch)
    alike = same_structure(outputs, ends)
    gap = disagreement(outputs, ends) if alike else disagreement(trained, losses)
    where = _first_difference(context, params, settled, batch) if gap > found.tolerance else ""
    return dataclasses.replace(found, settled=float(losses.mean()), gap=gap, where=where)


def settle(state: PyTree, run: Run) -> tuple[PyTree | None, dict[str, float]]:
    """Returns the state that training mode leaves as it is, and the rates of its averages.

    A running average is `rate * old + (1 - rate) * new`: started from zeros and from ones, one pass
    gives both the rate and the new value.

    Args:
      state: of the network.
      run: `(state, train) -> (outputs, state)` on one batch.

    Returns:
      The state, None if training mode itself reads the state (so that it is no running average) or
      an average moves too slowly to tell where it ends; path -> rate of each running average.
    """
    leaves, structure = jax.tree.flatten(state)
    if not leaves:
        return state, {}

    def flat(value: float) -> PyTree:
        return jax.tree.map(
            lambda x: jnp.full_like(x, value) if jnp.issubdtype(x.dtype, jnp.floating) else x,
            state,
        )

    (low_outputs, low), (high_outputs, high) = run(flat(0.0), True), run(flat(1.0), True)
    if disagreement(low_outputs, high_outputs) > 0:
        return None, {}
    ends, rates, settled = [], {}, True
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    for name, leaf, a, b in zip(
        paths, leaves, jax.tree.leaves(low), jax.tree.leaves(high), strict=True
    ):
        end = leaf
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.size:
            zero, one = (np.asarray(x).astype(np.float64) for x in (a, b))
            rate = float(np.mean(one - zero))
            steady = np.isfinite(zero).all() and np.ptp(one - zero) < 1e-3 and rate > -1e-3
            if steady and rate < 1 - _BLUR:
                rates[name] = max(rate, 0.0)
                end = jnp.asarray((zero / (1 - rate)).astype(leaf.dtype))
            elif steady and (zero != 0).any() and _reads(state, name, run, False):
                rates[name], settled = min(rate, 1.0), False  # too slow to tell where it ends
        ends.append(end)
    return (jax.tree.unflatten(structure, ends) if settled else None), rates


def _text(model: Model | None, params: PyTree, state: PyTree, batch: Batch, train: bool) -> object:
    """Returns what a mode computes, to compare with another."""
    assert model is not None
    options: dict[str, Any] = {"key": jax.random.key(0), "train": True} if train else {}
    inputs = jax.tree.map(lambda x: x[:2], batch.inputs)
    return trace(
        lambda p, s, x: model.apply(p, s, x, **options), params, state, inputs
    ).fingerprint()


def _values(context: Context, outputs: PyTree, batch: Batch) -> np.ndarray:
    """Returns the loss of each example, by its weight."""
    value, weight = (np.asarray(x, np.float64) for x in context.losses(outputs, batch.targets))
    mean = float(weight.mean())
    return value * weight / mean if mean > 0 else value


def _still(before: PyTree, after: PyTree) -> list[str]:
    """Returns the floating leaves that training has not changed by a bit."""
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    return [
        path_name(path)
        for (path, a), b in pairs
        if jnp.issubdtype(a.dtype, jnp.floating) and a.size and same_bits(a, b).all()
    ]


def _reads(state: PyTree, name: str, run: Run, train: bool) -> bool:
    """Tells whether outputs change when one leaf of the state gets other values."""

    def change(path: Any, leaf: Array) -> Array:
        return (1.5 * leaf + 0.7).astype(leaf.dtype) if path_name(path) == name else leaf

    other = jax.tree_util.tree_map_with_path(change, state)
    return disagreement(run(state, train)[0], run(other, train)[0]) > 0


def _never(state: PyTree, names: Sequence[str], run: Run) -> list[str]:
    return [
        name
        for name in names[:8]
        if _reads(state, name, run, False) and not _reads(state, name, run, True)
    ]


def _untouched(state: PyTree, names: Sequence[str], run: Run) -> list[str]:
    """Returns siblings of which one is all zeros and one all ones, as a mean and a variance."""
    values = {
        path_name(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
    flat: dict[str, dict[float, str]] = {}
    for name in names:
        for number in (0.0, 1.0):
            if (values[name] == number).all():
                flat.setdefault(name.rpartition("/")[0], {})[number] = name
    pairs = [name for both in flat.values() if len(both) == 2 for name in both.values()]
    return [name for name in pairs[:8] if all(_reads(state, name, run, t) for t in (False, True))]


def _left(context: Context, params: PyTree, state: PyTree) -> tuple[float, str]:
    """Returns the smallest share of what enters a layer that dropout leaves, and the layer."""
    layers = layers_of(context)
    assert context.model is not None
    if layers is None:
        return 1.0, ""
    on = training_layers(context, context.model, (params, state))
    paths = [[p.path for p in side.flow.products] for side in (layers, on)]
    if paths[0] != paths[1]:
        return 1.0, ""
    plain, thinned = layers.sizes((params, state)).nonzero, on.sizes().nonzero
    shares = [
        (float(b / a), path)
        for a, b, path in zip(plain, thinned, paths[0], strict=True)
        if np.isfinite(a) and np.isfinite(b) and a > 0
    ]
    return min(shares, default=(1.0, ""))


def _deaf(context: Context, params: PyTree, state: PyTree) -> bool:
    """Tells whether outputs with dropout on are the same for other inputs, but not without it."""
    one, other = context.batch().inputs, context.other().inputs

    def same(train: bool) -> bool:
        a, b = (
            jax.tree.leaves(context.apply(params, state, x, context.key, train)[0])
            for x in (one, other)
        )
        return all(same_bits(x, y).all() for x, y in zip(a, b, strict=True))

    return same(True) and not same(False)


def _first_difference(context: Context, params: PyTree, state: PyTree, batch: Batch) -> str:
    """Returns the first layer that is fed otherwise in evaluation, with settled statistics."""
    if context.model is None or context.model.without is None:
        return ""
    tolerance = 3 * rounding(context)
    for path, a, b in _fed(context, params, state, batch):
        if a is None or b is None or disagreement(a, b) > tolerance:
            return path
    return "behind the last layer"


def _thinned(
    context: Context, params: PyTree, state: PyTree, batch: Batch
) -> tuple[str, Thinning | None]:
    """Returns the first layer that is fed otherwise in evaluation, and how it is thinned out."""
    for path, a, b in _fed(context, params, state, batch):
        if a is None or b is None:
            break
        if disagreement(a, b) > 3 * rounding(context):
            return path, find_thinning(a, b)
    return "", None


def _fed(
    context: Context, params: PyTree, state: PyTree, batch: Batch
) -> Iterator[tuple[str, np.ndarray | None, np.ndarray | None]]:
    """Yields `(path, evaluation, training)`: what enters each layer, without dropout.

    Values are None from where the layers are not the same.
    """
    model = context.model
    assert model is not None
    if model.without is not None:
        model = model.without("dropout", "batch_statistics")
    sides = []
    for train in (False, True):
        options: dict[str, Any] = {"key": context.key, "train": True} if train else {}
        program = trace(
            lambda p, s, x, options=options: model.apply(p, s, x, **options)[0],
            params,
            state,
            batch.inputs,
        )
        flow = follow(program, *arguments_of(program, params, state))
        inside = [p for p in flow.products if p.value_in >= 0]
        arguments = jax.tree.leaves((params, state, batch.inputs))
        wanted = [p.value_in for p in inside]
        values = jit_once(lambda a, r=program, w=wanted: r.run(a, w))(arguments)
        sides.append([(p.path, np.asarray(values[p.value_in])) for p in inside])
    for (path, a), (other, b) in zip(*sides, strict=False):
        yield (path, a, b) if path == other else (path, None, None)


def judge_modes(found: Modes) -> Finding:
    """Judges whether training and evaluation mode of a trained network agree.

    Args:
      found: what was measured.
    """
    evidence: dict[str, float | int | str | bool | None] = {
        "rows": found.rows,
        "training_mode_loss": found.train,
        "evaluation_loss": found.stored,
        "evaluation_loss_settled": found.settled,
        "difference_stderr": found.stderr,
        "output_difference_settled": found.gap,
        "tolerance": found.tolerance,
        "share_of_first_statistics_left": found.kept,
        "share_left_by_dropout": found.left,
    }
    result = concluding(ITEM, CHECK, evidence)
    if found.never or found.untouched:
        names = list(found.never or found.untouched)
        where = ", ".join(names[:4])
        how = "evaluation reads them, but no update ever changes them"
        if not found.never:
            how = "they are still zeros and ones after training, and both modes use them"
        return result(
            Verdict.FAILED if found.never else Verdict.WARNED,
            f"Stored statistics {where} do not follow training: {how}.",
            "Return the new state from apply in training, and use batch statistics there "
            "(use_running_average=not train).",
            Suspect(cause="statistics-never-updated", component="model", where=where, why=how),
        )
    if found.deaf:
        return result(
            Verdict.WARNED,
            "In training mode outputs are the same whatever the inputs are: dropout leaves nothing "
            "over.",
            "Lower the dropout rate; 0.5 is large already.",
            Suspect(
                cause="inputs-ignored",
                component="model",
                where=f"dropout before {found.dropped}, in training mode",
                why="other inputs change no bit of the outputs with dropout on, but do without",
            ),
        )
    if found.left < _LEAST:
        return result(
            Verdict.WARNED,
            f"In training, dropout leaves {found.left:.1%} of what enters {found.dropped}.",
            "Give the share to drop, not the share to keep; 0.5 is large already.",
            Suspect(
                cause="train-eval-differ",
                component="model",
                where=found.dropped,
                why=f"with dropout on, {found.left:.1%} of the values that evaluation has are left",
            ),
        )
    if found.same:
        return result(
            Verdict.PASSED,
            "Training mode without dropout is the same program as evaluation mode.",
        )
    if found.gap > found.tolerance:
        return result(
            Verdict.FAILED,
            f"With the statistics of the very same {found.rows} examples, evaluation still answers "
            f"{found.gap:.1%} of the outputs' size apart from training mode.",
            "Look for code that runs in one mode only: a scale, an activation, a noise, another "
            "epsilon.",
            Suspect(
                cause="train-eval-differ",
                component="eval",
                where=found.where,
                why=f"outputs differ by {found.gap:.2g}, rounding explains {found.tolerance:.1g}",
            ),
        )
    if found.thinned is not None and abs(found.thinned.average - 1) > SLACK:
        kept, factor = found.thinned.kept, found.thinned.factor
        return result(
            Verdict.WARNED,
            f"In training {kept:.0%} of what enters {found.where} is kept and multiplied by "
            f"{factor:.3g}: {found.thinned.average:.2g} times of what evaluation feeds it.",
            "Divide what dropout keeps by the share that it keeps.",
            Suspect(
                cause="train-eval-differ",
                component="model",
                where=found.where,
                why=f"{kept:.0%} kept, times {factor:.3g}, is not 1 on average",
            ),
        )
    gained, lost = found.start - found.train, found.stored - found.train
    worse = lost > max(3 * found.stderr, 0.1 * gained)
    said = f"loss {found.train:.4g} in training mode and {found.stored:.4g} in evaluation"
    cured = np.isnan(found.settled) or found.stored - found.settled > 0.5 * lost
    if worse and found.kept > 0.9 and cured:
        return result(
            Verdict.WARNED,
            f"The same {found.rows} trained examples have {said}: the stored statistics have not "
            "followed.",
            "Lower the momentum of the running averages, to 0.99 or 0.9.",
            Suspect(
                cause="train-eval-differ",
                component="eval",
                where=found.slow,
                why=f"{found.kept:.0%} of the first statistics is still in them after training",
            ),
        )
    if lost > max(5 * found.stderr, 0.5 * gained) and np.isnan(found.settled):
        return result(
            Verdict.WARNED,
            f"The same {found.rows} trained examples have {said} (standard error "
            f"{found.stderr:.2g}).",
            "Compare the two modes: dropout must scale up what it keeps, statistics must follow.",
            Suspect(
                cause="train-eval-differ",
                component="eval",
                where="evaluation mode",
                why=f"evaluation loses {lost:.3g} of the {gained:.3g} that training gained",
            ),
        )
    return result(
        Verdict.PASSED,
        f"After training the same {found.rows} examples have {said}"
        + ("." if np.isnan(found.gap) else f"; with equal statistics within {found.gap:.0e}."),
    )


def check_train_eval(context: Context) -> tuple[Finding, ...]:
    """Measures and judges the two modes of the trained network (G12)."""
    if context.foreign or context.model is None:
        said = "A foreign trainer shows its evaluation mode only."
        return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said),)
    return (judge_modes(measure_modes(context)),)
