"""B10: look just before the net - what enters `model(x)`, and whether every split enters alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.examples import gallery, is_picture
from jrecipe.checks.first_layer import Entry, first_product
from jrecipe.checks.probing import traceable
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.checks.two_sample import Difference, compare, leaves_in_common, unseen_share
from jrecipe.figures import Figure
from jrecipe.train.compiled import jit_once
from jrecipe.types import Array, Batch, PyTree

ITEM, CHECK = "B10", "before-net"
ROWS = 1024  # rows of each split that are compared
LARGE, SMALL = 20.0, 0.005  # sizes of input numbers between which a network starts well


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers:
    """What an array looks like.

    Attributes:
      dtype: as it enters.
      low: least finite value.
      high: greatest finite value.
      mean: over all entries.
      std: over all entries.
      zeros: share of entries that are 0.
      finite: whether all entries are.
    """

    dtype: str
    low: float
    high: float
    mean: float
    std: float
    zeros: float
    finite: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """How large numbers are, feature by feature, untouched by outliers and zeros.

    Attributes:
      typical: median size of the entries that are not 0.
      rms: root mean square of these, the largest hundredth cut off.
      large: share of features of which a tenth of the entries exceeds `LARGE`.
      worst: index of the largest feature, in the flattened example.
      worst_size: size that a tenth of its entries exceeds.
    """

    typical: float
    rms: float
    large: float
    worst: int
    worst_size: float


def describe(leaf: Array) -> Numbers:
    """Describes the numbers in an array."""
    array = np.asarray(leaf)
    values = array.astype(np.float64)
    good = np.isfinite(values)
    kept = values[good] if good.any() else np.zeros(1)
    return Numbers(
        dtype=str(array.dtype),
        low=float(kept.min()),
        high=float(kept.max()),
        mean=float(kept.mean()),
        std=float(kept.std()),
        zeros=float((values == 0).mean()),
        finite=bool(good.all()),
    )


def measure_scale(leaf: Array) -> Scale:
    """Measures how large the numbers of a batch [n, ...] are."""
    table = np.abs(np.nan_to_num(np.asarray(leaf).astype(np.float64)))
    table = table.reshape(len(table), -1) if table.ndim > 1 else table.reshape(-1, 1)
    values = table[table > 0]
    if values.size == 0:
        return Scale(typical=0.0, rms=0.0, large=0.0, worst=0, worst_size=0.0)
    sizes = np.quantile(table, 0.9, axis=0)
    cut = np.minimum(values, np.quantile(values, 0.99, method="lower"))
    return Scale(
        typical=float(np.median(values)),
        rms=float(np.sqrt(np.mean(cut**2))),
        large=float((sizes > LARGE).mean()),
        worst=int(np.argmax(sizes)),
        worst_size=float(sizes.max()),
    )


def judge_scale(scale: Scale) -> Verdict:
    """Judges the size of what enters the first layer.

    WARNED if entries are typically above 20, if that holds for a tenth of the features, if one
    feature is above 50, or if all that is not 0 is below 0.005. Sparse, 0-1 and heavy-tailed
    standardised inputs pass: zeros and outliers do not count.
    """
    large = scale.typical > LARGE or scale.large >= 0.1 or scale.worst_size > 50.0
    small = 0 < scale.rms < SMALL
    return Verdict.WARNED if large or small else Verdict.PASSED


def judge_alike(difference: Difference, *, ordered: bool, augmented: bool = False) -> Verdict:
    """Judges how another split differs from training.

    Args:
      difference: as `two_sample.compare` measures it.
      ordered: the splits are stretches of time, which may drift; only gross factors count.
      augmented: training inputs were changed at random, which may move means and spreads a little.

    Returns:
      FAILED if the whole split is on another scale or shifted; WARNED if it is so by less, though
      by no accident, or if single features are.
    """
    factor = 20.0 if ordered else 2.0 if augmented else 1.5
    # The median over features says more than all entries together, where one wild column decides.
    ratio = difference.scale if math.isnan(difference.spread) else difference.spread
    apart = abs(math.log(max(ratio, 1e-30)))
    if apart > math.log(factor) + difference.chance_spread:
        return Verdict.FAILED
    if ordered:
        return Verdict.PASSED
    if difference.shift > (1.0 if augmented else 0.5) + difference.chance_shift:
        return Verdict.FAILED
    if augmented:
        return Verdict.PASSED
    apart_a_little = apart > max(math.log(1.15), difference.chance_spread)
    apart_a_little |= difference.shift > max(0.2, difference.chance_shift)
    apart_a_little |= difference.moved >= 0.05 or _one_feature_differs(difference)
    return Verdict.WARNED if apart_a_little else Verdict.PASSED


def _one_feature_differs(difference: Difference) -> bool:
    slack = 5 * difference.noise
    moved = abs(difference.feature_shift) > 5 + slack
    return moved or abs(math.log(max(difference.feature_spread, 1e-30))) > math.log(10) + 2 * slack


def judge_ids(*, unseen: float, chance: float, ordered: bool) -> Verdict:
    """Judges the share of ids (tokens) in another split that training lacks."""
    return Verdict.WARNED if unseen > 0.05 + 3 * chance and not ordered else Verdict.PASSED


def check_before_net(ctx: Context) -> tuple[Finding, ...]:
    """Looks at exactly what enters the network, in training and in evaluation (B10)."""
    batch, ready = _training_batches(ctx)
    evidence: dict[str, float | int | str | bool | None] = {}
    findings: list[Finding] = []
    rows = np.arange(min(12, len(ready.weights)))
    figures = gallery(
        ctx.task,
        "What enters the network" + (", augmented" if ctx.task.augment is not None else ""),
        jax.tree.map(np.asarray, ready.inputs),
        jax.tree.map(np.asarray, ready.targets),
        rows=rows,
        # How masks and boxes are meant is told by those that no augmentation has moved.
        stored=(batch.inputs, batch.targets),
    )
    said = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(ready.inputs):
        name = f"inputs{jax.tree_util.keystr(path)}"
        numbers = describe(leaf)
        evidence |= {f"{name}_{key}": value for key, value in dataclasses.asdict(numbers).items()}
        shape = "x".join(map(str, np.shape(leaf)[1:])) or "scalar"
        if _holds_ids(np.asarray(leaf)):
            said.append(
                f"{name}: {numbers.dtype} {shape}, ids {numbers.low:.0f} to {numbers.high:.0f}"
            )
        else:
            said.append(
                f"{name}: {numbers.dtype} {shape}, {numbers.low:.3g} to {numbers.high:.3g}, "
                f"mean {numbers.mean:.3g}, std {numbers.std:.3g}, {numbers.zeros:.0%} zeros"
            )
        if not numbers.finite:
            findings.append(_not_finite(name, evidence, figures))
    if not findings:
        findings += _scale(ctx, ready, evidence, figures)
        findings += _alike(ctx, batch, ready, evidence, figures)
    if findings:
        return tuple(dataclasses.replace(f, evidence=evidence) for f in findings)
    return (
        Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.PASSED,
            evidence=evidence,
            finding="; ".join(said) + "; every split alike.",
            figures=figures,
        ),
    )


def _training_batches(ctx: Context) -> tuple[Batch, Batch]:
    """Returns training rows as they are stored, and as they enter the network."""
    pair = ctx.split("train", ROWS)
    assert pair is not None
    inputs, targets = pair
    batch = Batch(inputs, targets, np.ones(len(jax.tree.leaves(inputs)[0]), np.float32))
    if ctx.task.augment is None:
        return batch, batch
    moved = jit_once(ctx.task.augment)(ctx.key, jax.tree.map(jnp.asarray, batch))
    return batch, moved


def _holds_ids(array: np.ndarray) -> bool:
    return array.dtype.kind in "iub" and not is_picture(array)


def _entry(ctx: Context, inputs: PyTree) -> Entry:
    """Returns what reaches the first layer, "unknown" where the program cannot be traced."""
    inputs = jax.tree.map(lambda x: jnp.asarray(x)[:64], inputs)
    if ctx.model is not None and not ctx.foreign:
        params, state = ctx.variables()
        model = ctx.model
        return first_product(
            lambda x: model.apply(params, state, x, key=ctx.key, train=True)[0], inputs
        )
    state = ctx.fresh_state()
    if not traceable(lambda x: ctx.predict(state, x), inputs):
        return Entry("unknown")
    return first_product(lambda x: ctx.predict(state, x), inputs)


def _scale(
    ctx: Context,
    ready: Batch,
    evidence: dict[str, float | int | str | bool | None],
    figures: Sequence[Figure],
) -> list[Finding]:
    entry = _entry(ctx, ready.inputs)
    evidence["enters_by"] = entry.kind
    measured: dict[str, Array] = {}
    if entry.values is not None and len(entry.values):
        measured["first layer"] = entry.values
    elif entry.kind == "unknown":
        for path, leaf in jax.tree_util.tree_leaves_with_path(ready.inputs):
            if np.asarray(leaf).dtype.kind == "f":
                measured[f"inputs{jax.tree_util.keystr(path)}"] = leaf
    findings = []
    for name, leaf in measured.items():
        scale = measure_scale(leaf)
        evidence |= {
            f"{name}_typical_size": scale.typical,
            f"{name}_largest_feature": scale.worst_size,
            "size_limit": LARGE,
        }
        if judge_scale(scale) is Verdict.PASSED:
            continue
        large = scale.typical > LARGE or scale.worst_size > LARGE
        whole = not large or scale.typical > LARGE or scale.large > 0.5
        size = scale.rms if whole else scale.worst_size
        where = name if whole else f"{name} feature {scale.worst}"
        findings.append(
            Finding(
                item=ITEM,
                check=CHECK,
                verdict=Verdict.WARNED,
                finding=f"Numbers of size {size:.3g} enter the first layer"
                f"{'' if whole else f' in feature {scale.worst}'}; networks start best near 1.",
                remedy="Subtract the training mean and divide by the training standard deviation, "
                "in every split alike.",
                suspects=(
                    Suspect(
                        cause="data-on-wrong-scale",
                        component="data",
                        where=where,
                        why=f"size {size:.3g}, lawful is {SMALL:g} to {LARGE:g}",
                    ),
                ),
                figures=figures,
            )
        )
    return findings


def _alike(
    ctx: Context,
    batch: Batch,
    ready: Batch,
    evidence: dict[str, float | int | str | bool | None],
    figures: Sequence[Figure],
) -> list[Finding]:
    findings = []
    ordered = ctx.task.ordered_data
    sides = [(False, batch)] + ([(True, ready)] if ctx.task.augment is not None else [])
    for name in ctx.task.splits:
        if name == "train":
            continue
        pair = ctx.split(name, ROWS)
        assert pair is not None
        for augmented, side in sides:
            for path, a, b in leaves_in_common(side.inputs, pair[0]):
                where = f"{name} inputs{path}"
                if len(a) < 20 or len(b) < 20:
                    evidence[f"{where}_compared"] = "too few rows"
                    continue
                if _holds_ids(a):
                    unseen, chance = unseen_share(a, b, ctx.seed)
                    evidence |= {f"{where}_unseen_ids": unseen, f"{where}_unseen_chance": chance}
                    verdict = judge_ids(unseen=unseen, chance=chance, ordered=ordered)
                    why = f"{unseen:.0%} of its ids are not in train, chance explains {chance:.0%}"
                else:
                    difference = compare(a, b, ctx.seed)
                    evidence |= {
                        f"{where}_scale_to_train": difference.scale,
                        f"{where}_shift_in_std": difference.shift,
                        f"{where}_spread_to_train": difference.spread,
                        f"{where}_features_moved": difference.moved,
                    }
                    verdict = judge_alike(difference, ordered=ordered, augmented=augmented)
                    why, place = _what_differs(difference, verdict)
                    where += place
                if verdict is Verdict.PASSED:
                    continue
                findings.append(_differs(name, where, why, verdict, augmented, figures))
    unique = {finding.suspects[0].where: finding for finding in reversed(findings)}
    return list(reversed(unique.values()))


def _what_differs(difference: Difference, verdict: Verdict) -> tuple[str, str]:
    """Says what differs most, and where: the whole leaf, or one feature."""
    if (
        verdict is Verdict.FAILED
        or difference.moved >= 0.05
        or not _one_feature_differs(difference)
    ):
        text = f"{difference.scale:.3g} times the scale of train"
        if not math.isnan(difference.shift):
            text += f", means shifted by {difference.shift:.2g} standard deviations"
            text += f", spread {difference.spread:.3g} times"
        return text, ""
    text = f"feature {difference.feature} is shifted by {difference.feature_shift:+.2g} standard "
    text += f"deviations, with {difference.feature_spread:.3g} times the spread"
    return text, f" feature {difference.feature}"


def _differs(
    name: str, where: str, why: str, verdict: Verdict, augmented: bool, figures: Sequence[Figure]
) -> Finding:
    than = "what training feeds the network after augmentation" if augmented else "train"
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=verdict,
        finding=f"{name} inputs are prepared differently than {than}: {why}.",
        remedy="Fit normalisation on train, and apply the same numbers to every split"
        + (
            "; augmentation must not normalise, since evaluation leaves it out."
            if augmented
            else "."
        ),
        suspects=(
            Suspect(cause="prepared-differently", component="split", where=where, why=why),
            *(
                (
                    Suspect(
                        cause="prepared-differently",
                        component="augmentation",
                        where="Task.augment",
                        why="stored training inputs are alike; they differ after augmentation",
                    ),
                )
                if augmented
                else ()
            ),
        ),
        figures=figures,
    )


def _not_finite(
    name: str,
    evidence: dict[str, float | int | str | bool | None],
    figures: Sequence[Figure],
) -> Finding:
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.FAILED,
        evidence=evidence,
        finding=f"{name} hold NaN or infinity as they enter the network.",
        remedy="See A2 for the rows; if there are none, look at the augmentation.",
        suspects=(
            Suspect(
                cause="not-finite", component="data", where=name, why="not all values are finite"
            ),
        ),
        figures=figures,
    )
