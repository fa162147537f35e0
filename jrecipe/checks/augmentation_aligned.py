"""G1: augmentation moves inputs and targets together, or only where the target does not care.

The augmentation is run on a few training batches, and what it did is recognised from the result:
turned, mirrored, shifted, exchanged, mixed. Then the same is asked of the targets. Masks must have
moved alike. Coordinates must have changed with the picture: a probe that reads them from untouched
pictures says whether they did. Class labels are compared with the nearest untouched neighbours: a
picture that now looks exactly like another class has the wrong label.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import jax
import numpy as np

from jrecipe.checks.augmented import (
    Augmented,
    Sources,
    differs,
    in_place,
    measure_augmented,
    measure_sources,
    picture_moves,
    same_layout,
)
from jrecipe.checks.context import Context
from jrecipe.checks.moved_targets import (
    Conversion,
    Coordinates,
    Spatial,
    classes_of,
    measure_conversion,
    measure_coordinates,
    measure_spatial,
)
from jrecipe.checks.movements import Moves
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.types import PyTree

ITEM, CHECK = "G1", "augmentation-aligned"
CAUSE = "augmentation-breaks-labels"


def _alarm(
    verdict: Verdict,
    said: str,
    remedy: str,
    evidence: dict[str, float | int | str | bool | None],
    *,
    where: str,
    why: str,
    cause: str = CAUSE,
) -> Finding:
    suspect = Suspect(cause=cause, component="augmentation", where=where, why=why)
    return concluding(ITEM, CHECK, evidence)(verdict, said, remedy, suspect)


def judge_exchange(*, exchanged: int, kept: int, examples: int) -> Finding | None:
    """Judges inputs that became those of another row of the batch.

    Args:
      exchanged: inputs that are now another row's, with another target.
      kept: how many of them kept their old target.
      examples: all examples looked at.
    """
    if kept < max(3, 0.05 * examples) or kept < 0.5 * exchanged:
        return None
    why = f"{kept} of {exchanged} inputs that are now another row's kept their old target"
    return _alarm(
        Verdict.FAILED,
        f"Augmentation permutes inputs within the batch, but not their targets: {why}.",
        "Index inputs and targets with the same permutation.",
        {"exchanged": exchanged, "kept": kept, "examples": examples},
        where="inputs permuted within the batch, targets kept",
        why=why,
    )


def judge_mixture(*, mixed: int, kept: int, share: float, examples: int) -> Finding | None:
    """Judges inputs that were mixed with another row.

    Args:
      mixed: inputs mixed with a row of another target, by a fifth at least.
      kept: how many of them kept their target unmixed.
      share: mean share of the other row.
      examples: all examples looked at.
    """
    if kept < max(3, 0.05 * examples) or kept < 0.5 * mixed:
        return None
    why = (
        f"{kept} of {mixed} inputs hold {share:.0%} of another example, and their own target alone"
    )
    return _alarm(
        Verdict.WARNED,
        f"Augmentation mixes examples, but not their targets: {why}.",
        "Mix the targets (one-hot) with the same weights.",
        {"mixed": mixed, "kept": kept, "mean_share": share, "examples": examples},
        where="inputs mixed within the batch, targets kept",
        why=why,
    )


def judge_targets_alone(
    *, changed: int, untouched: int, where: str, label_noise: float | None
) -> Finding | None:
    """Judges targets that changed beside inputs that did not.

    Args:
      changed: examples whose target changed while the input stayed as it was.
      untouched: examples whose input stayed as it was.
      where: the leaf of the targets.
      label_noise: what the task declares.
    """
    if changed < max(3, 0.1 * untouched) or label_noise:
        return None
    why = f"the target changed in {changed} of {untouched} examples whose input did not"
    return _alarm(
        Verdict.WARNED,
        f"Augmentation changes targets without their inputs: {why}.",
        "Apply one random choice to both, from one key.",
        {"changed": changed, "untouched": untouched},
        where=f"{where} changed, inputs kept",
        why=why,
    )


def judge_spatial(spatial: Spatial, *, where: str) -> Finding | None:
    """Judges a mask or map beside the picture it belongs to.

    Args:
      spatial: what was measured.
      where: the leaf of the targets.
    """
    wrong = spatial.kept + spatial.otherwise
    if wrong < 3 or wrong < 0.1 * (wrong + spatial.alike):
        return None
    if spatial.kept >= spatial.otherwise:
        why = (
            f"{spatial.kept} of {wrong + spatial.alike} pictures were moved ({spatial.turn}) "
            "beside a target that stayed"
        )
        place = f"{spatial.turn}, {where} kept"
    else:
        why = (
            f"in {spatial.otherwise} of {wrong + spatial.alike} examples the target was moved "
            f"otherwise than the picture ({spatial.turn})"
        )
        place = f"{where}, moved otherwise than the inputs ({spatial.turn})"
    return _alarm(
        Verdict.FAILED,
        f"Augmentation moves pictures, but not {where} with them: {why}.",
        "Apply the same movement, drawn from the same key, to inputs and targets.",
        {"alike": spatial.alike, "kept": spatial.kept, "otherwise": spatial.otherwise},
        where=place,
        why=why,
    )


def judge_coordinates(found: Coordinates, *, where: str) -> Finding | None:
    """Judges numbers that a probe can read from a picture.

    Args:
      found: what was measured.
      where: the leaf of the targets.
    """
    if found.examples < 10 or found.before < 0.5 or found.gap < 5 or not found.explained:
        return None
    kept = " kept" if found.kept else ""
    why = (
        f"column {found.column} of {where} correlates {found.before:.2f} with what a probe reads "
        f"from untouched pictures, and {found.after:.2f} after a {found.turn} ({found.explained})"
    )
    return _alarm(
        Verdict.FAILED,
        f"Augmentation moves pictures, but {where} does not change with them: {why}.",
        "Move coordinates with the picture: under a horizontal flip x becomes width - x.",
        {
            "examples": found.examples,
            "correlation_before": found.before,
            "correlation_after": found.after,
            "standard_errors": found.gap,
        },
        where=f"{found.turn}, {where}{kept}",
        why=why,
    )


def judge_conversion(found: Conversion, *, where: str) -> Finding | None:
    """Judges labels of moved pictures by their nearest untouched neighbours.

    Args:
      found: what was measured.
      where: the leaf of the targets.
    """
    gain, loss = found.after - found.before, found.right_before - found.right_after
    evidence: dict[str, float | int | str | bool | None] = {
        "examples": found.examples,
        "like_another_class_before": found.before,
        "like_another_class_after": found.after,
        "stderr": found.stderr,
        "neighbour_right_before": found.right_before,
        "neighbour_right_after": found.right_after,
        "neighbour_stderr": found.right_stderr,
        "unlike_any_example": found.lost,
    }
    if found.examples < 10:
        return None
    if gain >= 0.1 and gain > 4 * found.stderr:
        why = (
            f"after a {found.turn} {found.after:.0%} of {found.examples} examples look like real "
            f"examples of another class, {found.before:.0%} before"
        )
        return _alarm(
            Verdict.FAILED if gain >= 0.3 else Verdict.WARNED,
            f"Augmentation turns examples into those of other classes, and keeps the label: {why}.",
            "Leave this movement out, or change the label with it.",
            evidence,
            where=f"{found.turn}, {where} kept",
            why=why,
        )
    collapsed = found.right_after <= 0.6 * found.right_before and loss > 5 * found.right_stderr
    if found.turn == "shift" or found.right_before < 0.6 or not collapsed:
        return None
    why = (
        f"the nearest untouched example has the label of {found.right_before:.0%} of "
        f"{found.examples} examples, but of {found.right_after:.0%} after a {found.turn}"
    )
    return _alarm(
        Verdict.WARNED,
        f"A {found.turn} is no symmetry of this data: {why}.",
        "Leave this movement out, unless such pictures occur in use, with these labels.",
        evidence,
        where=f"{found.turn}, {where} kept",
        why=why,
    )


def _broken(augmented: Augmented) -> list[Finding]:
    """Finds values that are not finite, and inputs of which nothing is left."""
    findings = []
    sides = (
        ("inputs", augmented.before.inputs, augmented.after.inputs),
        ("targets", augmented.before.targets, augmented.after.targets),
    )
    for what, before, after in sides:
        if not same_layout(before, after):
            continue
        pairs = zip(
            jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
        )
        for (path, a), b in pairs:
            where = what + jax.tree_util.keystr(path)
            if a.dtype.kind != "f" and "float" not in a.dtype.name:
                continue
            old, new = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
            bad = ~np.isfinite(new).all(axis=1) & np.isfinite(old).all(axis=1)
            if bad.any():
                why = f"{int(bad.sum())} of {len(bad)} examples have NaN or infinity afterwards"
                findings.append(
                    _alarm(
                        Verdict.FAILED,
                        f"Augmentation makes {where} not finite: {why}.",
                        "Look for a division by zero, a root or a logarithm in the augmentation.",
                        {"not_finite": int(bad.sum()), "examples": len(bad)},
                        where=where,
                        why=why,
                        cause="not-finite",
                    )
                )
            elif what == "inputs" and old.shape[1] >= 4:
                varied = np.ptp(old, axis=1) > 0
                blank = varied & (np.ptp(new, axis=1) <= 1e-6 * np.ptp(old, axis=1).max())
                alike = len(new) > 1 and bool((new == new[:1]).all()) and (old != old[:1]).any()
                if blank.sum() > 0.5 * max(varied.sum(), 1) or alike:
                    count = len(new) if alike else int(blank.sum())
                    why = f"{count} of {len(new)} examples have nothing left of what they showed"
                    findings.append(
                        _alarm(
                            Verdict.FAILED,
                            f"Augmentation destroys {where}: {why}.",
                            "Look at augmented examples; a mask or a range may be the wrong way "
                            "round.",
                            {"destroyed": count, "examples": len(new)},
                            where=where,
                            why=why,
                            cause="prepared-differently",
                        )
                    )
    return findings


def _weights(augmented: Augmented) -> list[Finding]:
    old, new = (np.asarray(x, np.float64) for x in (augmented.before[2], augmented.after[2]))
    changed = int((old != new).sum()) if old.shape == new.shape else len(old)
    if not changed:
        return []
    why = f"{changed} of {len(old)} weights are changed; 0 marks padding, 1 an example"
    return [
        _alarm(
            Verdict.WARNED,
            f"Augmentation changes the weights of examples: {why}.",
            "Return batch._replace(inputs=..., targets=...), and leave the weights alone.",
            {"changed": changed, "examples": len(old)},
            where="weights",
            why=why,
        )
    ]


def _rows(augmented: Augmented, sources: Sources) -> list[Finding | None]:
    """Judges rows that were exchanged or mixed."""
    targets, after = augmented.before.targets, augmented.after.targets
    n = len(augmented.call)
    every = np.arange(n)
    kept = ~differs(targets, every, after, every)
    unlike = differs(targets, every, targets, sources.row)
    exchanged = (sources.row != every) & unlike
    with_other = np.where(sources.other < 0, every, sources.other)
    mixed = (sources.share >= 0.2) & differs(targets, every, targets, with_other)
    mixture = judge_mixture(
        mixed=int(mixed.sum()),
        kept=int((mixed & kept).sum()),
        share=float(sources.share[mixed].mean()) if mixed.any() else 0.0,
        examples=n,
    )
    if mixture is not None and mixed.sum() > exchanged.sum():
        return [mixture]  # a share of nearly all is among them
    exchange = judge_exchange(
        exchanged=int(exchanged.sum()), kept=int((exchanged & kept).sum()), examples=n
    )
    return [exchange, mixture]


def _alone(augmented: Augmented, moves: Moves | None, noise: float | None) -> list[Finding | None]:
    """Judges targets that changed beside untouched inputs."""
    untouched = in_place(augmented, moves)
    found: list[Finding | None] = []
    leaves = jax.tree_util.tree_leaves_with_path(augmented.before.targets)
    for (path, a), b in zip(leaves, jax.tree.leaves(augmented.after.targets), strict=True):
        coded = classes_of(a, b)
        if coded is not None:
            changed = coded[0] != coded[1]
        else:
            old, new = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
            spread = max(float(old.std()), 1e-30)
            changed = np.sqrt(((new - old) ** 2).mean(axis=1)) > 0.5 * spread
        found.append(
            judge_targets_alone(
                changed=int((changed & untouched).sum()),
                untouched=int(untouched.sum()),
                where=f"targets{jax.tree_util.keystr(path)}",
                label_noise=noise,
            )
        )
    return found


@dataclasses.dataclass(frozen=True)
class _Pictures:
    """One leaf of pictures: its number, how it was moved, and the shape of an example."""

    leaf: int
    moves: Moves
    shape: tuple[int, ...]


def _pictures(augmented: Augmented) -> list[_Pictures]:
    found = []
    if not same_layout(augmented.before.inputs, augmented.after.inputs):
        return []
    leaves = zip(
        jax.tree.leaves(augmented.before.inputs),
        jax.tree.leaves(augmented.after.inputs),
        strict=True,
    )
    for i, (a, b) in enumerate(leaves):
        seen = picture_moves(a, b)
        if seen is not None:
            found.append(_Pictures(i, *seen))
    return found


def _moved(context: Context, augmented: Augmented, seen: _Pictures) -> list[Finding | None]:
    """Asks of each target what was done to the pictures."""
    moves, shape = seen.moves, seen.shape
    before, after = (
        np.asarray(jax.tree.leaves(side.inputs)[seen.leaf]).reshape(-1, *shape)
        for side in (augmented.before, augmented.after)
    )
    found: list[Finding | None] = []
    known: tuple[PyTree, PyTree] = context.split("train", 1500)  # type: ignore[assignment]
    pictures = np.asarray(jax.tree.leaves(known[0])[seen.leaf]).reshape(-1, *shape)
    leaves = jax.tree_util.tree_leaves_with_path(augmented.before.targets)
    for i, ((path, a), b) in enumerate(
        zip(leaves, jax.tree.leaves(augmented.after.targets), strict=True)
    ):
        where = f"targets{jax.tree_util.keystr(path)}"
        own = np.asarray(jax.tree.leaves(known[1])[i])
        sides = shape[:2]
        if a.shape[1:3] == sides or (a.ndim == 2 and a.shape[1] == sides[0] * sides[1]):
            channels = a.shape[3:] if a.ndim == 4 else ()
            maps = tuple(x.reshape(-1, *sides, *channels) for x in (a, b))
            spatial = measure_spatial(maps[0], maps[1], moves)
            if sides[0] == 1 and spatial.turn == "horizontal flip":
                spatial = dataclasses.replace(spatial, turn="reversal")
            found.append(judge_spatial(spatial, where=where))
        elif classes_of(a, b) is not None:
            for conversion in measure_conversion(before, after, a, b, moves, pictures, own):
                if sides[0] == 1 and conversion.turn == "horizontal flip":
                    conversion = dataclasses.replace(conversion, turn="reversal")
                found.append(judge_conversion(conversion, where=where))
        elif a.dtype.kind == "f" and a[0].size <= 64 and sides[0] > 1:
            for one in measure_coordinates(before, after, a, b, moves, pictures, own):
                found.append(judge_coordinates(one, where=where))
    return found


def check_augmentation_aligned(context: Context) -> tuple[Finding, ...]:
    """Runs the augmentation on a few batches and judges what it did to targets (G1)."""
    if context.task.augment is None:
        return (
            Finding(
                item=ITEM,
                check=CHECK,
                verdict=Verdict.SKIPPED,
                finding="The task has no augmentation (Task.augment).",
            ),
        )
    augmented = measure_augmented(context)
    broken = _broken(augmented)
    if broken:
        return tuple(broken)
    findings: list[Finding | None] = list(_weights(augmented))
    seen = _pictures(augmented)
    moves = max((one.moves for one in seen), key=lambda one: one.moved.sum(), default=None)
    # Targets of another layout, as a pair of labels to mix, were rewritten on purpose.
    if same_layout(augmented.before[:2], augmented.after[:2]):
        sources = measure_sources(augmented, moves)
        rows = _rows(augmented, sources)
        findings += rows
        # Rows that were exchanged or mixed have their own finding; else the rest is asked further.
        if not any(rows):
            own = (sources.row == np.arange(len(augmented.call))) & (sources.other < 0)
            for one in seen:
                findings += _moved(context, augmented, _only(one, own))
            if not any(findings):
                findings += _alone(augmented, moves, context.task.label_noise)
    alarms = [finding for finding in findings if finding is not None]
    return tuple(alarms) if alarms else (_nothing(augmented, moves),)


def _only(seen: _Pictures, rows: np.ndarray) -> _Pictures:
    return dataclasses.replace(
        seen, moves=dataclasses.replace(seen.moves, known=seen.moves.known & rows)
    )


def _nothing(augmented: Augmented, moves: Moves | None) -> Finding:
    n = len(augmented.call)
    counted: Counter[str] = Counter()
    if moves is not None:
        counted.update(moves.named(int(i)) for i in np.flatnonzero(moves.moved))
    every = np.arange(n)
    changed = (
        int(differs(augmented.before.inputs, every, augmented.after.inputs, every).sum())
        if same_layout(augmented.before.inputs, augmented.after.inputs)
        else n
    )
    told = ", ".join(f"{count} {name}" for name, count in counted.most_common(4))
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.PASSED,
        evidence={"examples": n, "inputs_changed": changed, "moved": sum(counted.values())},
        finding=f"Augmentation changed {changed} of {n} inputs"
        + (f" ({told})" if told else "")
        + "; nothing in their targets contradicts it.",
    )
