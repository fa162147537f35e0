"""A2: values that cannot be right - NaN, blank examples, labels out of range, conflicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.duplicates import repeats_by_nature, row_hashes
from jrecipe.checks.examples import decoded, gallery, name_rows
from jrecipe.checks.probing import same_structure
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.task import head_shape
from jrecipe.train.reference import example_inputs
from jrecipe.types import PyTree, TaskError

ITEM, CHECK = "A2", "corrupt"
ROWS = 100_000  # rows read of one split at the most
FEW_WORDS = 5  # known words of a text below which an equal one may be another text
RARE = 0.05  # share up to which blank examples are accidents
Evidence = Mapping[str, float | int | str | bool | None]


def not_finite_rows(tree: PyTree) -> dict[str, np.ndarray]:
    """Returns path of a leaf -> rows int[k] that hold NaN or infinity, only where there are any.

    Args:
      tree: array or pytree of arrays, leading axis n; integers are always finite.
    """
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        if array.dtype.kind in "biu" or array.size == 0:
            continue
        rows = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if len(rows):
            found[jax.tree_util.keystr(path)] = rows
    return found


def constant_features(tree: PyTree) -> tuple[int, int]:
    """Returns `(constant, all)`: how many features have one value in all rows."""
    constant = total = 0
    for leaf in jax.tree.leaves(tree):
        table = np.asarray(leaf).reshape(len(leaf), -1)
        constant += int((table == table[:1]).all(axis=0).sum())
        total += table.shape[1]
    return constant, total


def blank_rows(tree: PyTree) -> np.ndarray:
    """Returns rows int[k] whose numbers are all equal, as in an empty picture.

    Only leaves with 16 numbers per example or more are looked at; each of them has to be blank.
    """
    wide = [np.asarray(x).reshape(len(x), -1) for x in jax.tree.leaves(tree)]
    wide = [x for x in wide if x.shape[1] >= 16]
    if not wide:
        return np.zeros(0, int)
    return np.flatnonzero(np.all([(x == x[:, :1]).all(axis=1) for x in wide], axis=0))


def label_conflicts(inputs: PyTree, targets: PyTree) -> tuple[np.ndarray, int]:
    """Finds equal inputs with different targets.

    Args:
      inputs: leading axis n.
      targets: leading axis n.

    Returns:
      `(rows int[k], repeated)`: rows of inputs that come with more than one target, and how many
      rows have an equal input elsewhere at all.
    """
    _, group, counts = np.unique(row_hashes(inputs), return_inverse=True, return_counts=True)
    both = np.stack([group.astype(np.uint64), row_hashes(targets)], axis=1)
    pairs = np.unique(both, axis=0)[:, 0].astype(int)
    several = np.bincount(pairs, minlength=len(counts)) > 1
    return np.flatnonzero(several[group]), int((counts[group] > 1).sum())


def differing_layout(train: PyTree, other: PyTree) -> tuple[Verdict, str]:
    """Compares shapes and dtypes of two splits, the leading axis aside.

    Returns:
      FAILED with what differs in structure, shape or kind of number; PASSED with "" otherwise.
    """
    if not same_structure(train, other):
        return Verdict.FAILED, "the leaves differ"
    pairs = zip(jax.tree_util.tree_leaves_with_path(train), jax.tree.leaves(other), strict=True)
    for (path, a), b in pairs:
        a, b = np.asarray(a), np.asarray(b)
        name = jax.tree_util.keystr(path)
        if a.shape[1:] != b.shape[1:]:
            return Verdict.FAILED, f"shape{name} {list(a.shape[1:])} against {list(b.shape[1:])}"
        if (a.dtype.kind in "biu") != (b.dtype.kind in "biu"):
            return Verdict.FAILED, f"dtype{name} {a.dtype} against {b.dtype}"
    return Verdict.PASSED, ""


def judge_conflicts(
    *, conflicts: int, repeated: int, natural: bool, label_noise: float | None
) -> Verdict:
    """Judges equal inputs that carry different targets.

    Args:
      conflicts: rows whose input comes with more than one target.
      repeated: rows whose input occurs more than once.
      natural: whether rows repeat by nature; then conflicts are the noise of the problem.
      label_noise: what the task declares; any declaration explains conflicts.

    Returns:
      WARNED from three rows on, if they are a twentieth of the repeated ones.
    """
    explained = natural or bool(label_noise)
    many = conflicts >= 3 and conflicts >= 0.05 * repeated
    return Verdict.WARNED if many and not explained else Verdict.PASSED


def judge_blank(*, blank: int, rows: int, natural: bool) -> Verdict:
    """Judges blank examples: WARNED if there are some, but few, and the others are varied."""
    return Verdict.WARNED if 0 < blank < RARE * rows and not natural else Verdict.PASSED


def check_corrupt(ctx: Context) -> tuple[Finding, ...]:
    """Looks at every value of every split and judges what cannot be right (A2)."""
    names = list(ctx.task.splits)
    splits = {name: ctx.split(name, ROWS) for name in names}
    findings: list[Finding] = []
    evidence: dict[str, float | int | str | bool | None] = {}
    for name in names:
        inputs, targets = splits[name]  # type: ignore[misc]
        evidence[f"{name}_rows"] = len(jax.tree.leaves(inputs)[0])
        finite = _finite(name, inputs, targets)
        findings += finite
        if _all_equal(inputs):
            findings.append(_constant(name, inputs))
        if not any(suspect.component == "labels" for f in finite for suspect in f.suspects):
            findings += _labels(ctx, name, targets)
        if name != "train":
            findings += _layout(name, splits["train"], splits[name])  # type: ignore[arg-type]
    inputs, targets = splits["train"]  # type: ignore[misc]
    constant, total = constant_features(inputs)
    evidence |= {"constant_features": constant, "features": total}
    natural = repeats_by_nature(inputs)
    blank = blank_rows(inputs)
    rows = int(evidence["train_rows"])  # type: ignore[arg-type]
    evidence["blank_rows"] = len(blank)
    lost = _few_words(ctx, inputs)
    if judge_blank(blank=len(np.setdiff1d(blank, lost)), rows=rows, natural=natural) is (
        Verdict.WARNED
    ):
        findings.append(_blank(ctx, inputs, targets, blank))
    conflicts, repeated = label_conflicts(inputs, targets)
    conflicts = np.setdiff1d(conflicts, lost)
    evidence |= {"conflicting_rows": len(conflicts), "repeated_rows": repeated}
    verdict = judge_conflicts(
        conflicts=len(conflicts),
        repeated=repeated,
        # Equal inputs with other numbers are the noise of a regression, not a wrong label.
        natural=natural or _numbers(targets),
        label_noise=ctx.task.label_noise,
    )
    if verdict is Verdict.WARNED:
        findings.append(_conflict(ctx, inputs, targets, conflicts, repeated))
    if findings:
        return tuple(
            dataclasses.replace(finding, evidence={**finding.evidence, **evidence})
            for finding in findings
        )
    said = f"Every value of {', '.join(names)} is finite, and the labels fit the loss"
    said += f"; {constant} of {total} features are constant" if constant else ""
    said += (
        f"; {len(conflicts)} rows with equal inputs differ in the target" if len(conflicts) else ""
    )
    return (
        Finding(
            item=ITEM, check=CHECK, verdict=Verdict.PASSED, evidence=evidence, finding=said + "."
        ),
    )


def _finite(name: str, inputs: PyTree, targets: PyTree) -> list[Finding]:
    findings = []
    for what, component, tree in (("inputs", "data", inputs), ("targets", "labels", targets)):
        for path, rows in not_finite_rows(tree).items():
            where = f"{name} {what}{path} rows {name_rows(rows)}"
            findings.append(
                _finding(
                    Verdict.FAILED,
                    f"{name} {what}{path} have NaN or infinity in {len(rows)} rows: "
                    f"{name_rows(rows)}.",
                    "Drop or impute these rows; one NaN spoils every weight.",
                    Suspect(
                        cause="not-finite",
                        component=component,
                        where=where,
                        why=f"{len(rows)} rows hold a value that is not finite",
                    ),
                    {f"{name}_not_finite_rows": len(rows)},
                )
            )
    return findings


def _all_equal(tree: PyTree) -> bool:
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return len(leaves[0]) > 1 and all(bool((leaf == leaf[:1]).all()) for leaf in leaves)


def _constant(name: str, inputs: PyTree) -> Finding:
    count = len(jax.tree.leaves(inputs)[0])
    return _finding(
        Verdict.FAILED,
        f"All {count} examples of {name} have the same input.",
        "Look at what the loader returns: overwritten buffers and integer division do this.",
        Suspect(
            cause="constant-input",
            component="data",
            where=name,
            why=f"every feature has one value in all {count} rows",
        ),
        {},
    )


def _labels(ctx: Context, name: str, targets: PyTree) -> list[Finding]:
    """Asks the loss whether it can take the targets; without laws, compares labels with outputs."""
    shape = None
    if ctx.model is not None and not ctx.foreign:
        outputs = head_shape(ctx.model, example_inputs(ctx.task))
        if hasattr(outputs, "shape"):
            shape = tuple(outputs.shape[1:])
    loss, verdict, why = ctx.task.loss, Verdict.PASSED, ""
    if isinstance(loss, losses.Loss):
        try:
            loss.validate(targets, name=f"{name} targets", shape=shape, several=False)
        except TaskError as error:
            verdict, why = Verdict.FAILED, str(error)
    elif shape is not None and len(shape) == 1 and shape[0] > 1:
        labels = np.asarray(targets) if hasattr(targets, "dtype") else np.zeros(0)
        # Thresholds of an ordinal answer are one fewer than its grades, 0 among them.
        ordinal = labels.size and labels.min() == 0 and labels.max() == shape[0]
        integers = labels.ndim == 1 and labels.dtype.kind in "iu"
        if integers and (labels >= shape[0]).any() and not ordinal:
            row = int(np.argmax(labels >= shape[0]))
            verdict = Verdict.WARNED
            why = f"{name} targets have {labels[row]} in row {row}; the outputs number {shape[0]}."
    if verdict is Verdict.PASSED:
        return []
    return [
        _finding(
            verdict,
            why,
            "Renumber the labels, or choose a loss that fits them.",
            Suspect(cause="label-out-of-range", component="labels", where=name, why=why),
            {},
        )
    ]


def _layout(name: str, train: tuple[PyTree, PyTree], other: tuple[PyTree, PyTree]) -> list[Finding]:
    findings = []
    for what, a, b in (("inputs", train[0], other[0]), ("targets", train[1], other[1])):
        verdict, why = differing_layout(a, b)
        if verdict is not Verdict.PASSED:
            findings.append(
                _finding(
                    verdict,
                    f"The {what} of train and {name} differ: {why}.",
                    "Prepare every split with one and the same function.",
                    Suspect(
                        cause="prepared-differently",
                        component="split",
                        where=f"{name} {what}",
                        why=why,
                    ),
                    {},
                )
            )
    return findings


def _blank(ctx: Context, inputs: PyTree, targets: PyTree, rows: np.ndarray) -> Finding:
    return _finding(
        Verdict.WARNED,
        f"{len(rows)} training examples are blank: one value throughout (rows {name_rows(rows)}).",
        "Look at these files; drop the examples if they could not be read.",
        Suspect(
            cause="constant-feature",
            component="data",
            where=f"train rows {name_rows(rows)}",
            why="all numbers of the example are equal, while other examples vary",
        ),
        {},
        gallery(ctx.task, "Blank examples", inputs, targets, rows=rows[:8]),
    )


def _few_words(ctx: Context, inputs: PyTree) -> np.ndarray:
    """Returns rows int[k] of texts of which an encoder has left so little that it tells nothing.

    What is equal there are the words that it knows, not the texts.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    weights = len(leaves) == 1 and leaves[0].ndim == 2 and leaves[0].dtype.kind == "f"
    if ctx.task.decode is None or not weights or (leaves[0] == 0).mean() < 0.9:
        return np.zeros(0, int)
    if not isinstance(decoded(ctx.task, leaves[0][:1]), list):
        return np.zeros(0, int)
    return np.flatnonzero((leaves[0] != 0).sum(axis=1) < FEW_WORDS)


def _conflict(
    ctx: Context, inputs: PyTree, targets: PyTree, rows: np.ndarray, repeated: int
) -> Finding:
    order = np.argsort(row_hashes(inputs)[rows], kind="stable")
    rows = rows[order]  # equal inputs stand together
    return _finding(
        Verdict.WARNED,
        f"{len(rows)} of {repeated} repeated training inputs come with different targets "
        f"(rows {name_rows(rows)}).",
        "Decide these labels by hand, or declare label_noise if they are honest disagreement.",
        Suspect(
            cause="label-conflict",
            component="labels",
            where=f"train rows {name_rows(rows)}",
            why=f"{len(rows)} rows have an equal input with another target",
        ),
        {},
        gallery(ctx.task, "Equal inputs, different targets", inputs, targets, rows=rows[:12]),
    )


def _finding(
    verdict: Verdict,
    said: str,
    remedy: str,
    suspect: Suspect,
    evidence: Evidence,
    figures: tuple = (),
) -> Finding:
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=verdict,
        evidence=evidence,
        finding=said,
        remedy=remedy,
        suspects=(suspect,),
        figures=figures,
    )


def _numbers(targets: PyTree) -> bool:
    """Tells whether targets are numbers that can take any value, not classes or flags."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(targets)]
    return any(leaf.dtype.kind == "f" and bool((leaf % 1 != 0).any()) for leaf in leaves)
