"""A3: how the targets are distributed, in every split, and what an uninformed network scores."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Bars
from jrecipe.task import Task
from jrecipe.types import PyTree

ITEM, CHECK = "A3", "imbalance"
ROWS = 1_000_000  # rows read of one split at the most
RATIO = 10.0  # most frequent over rarest class from which classes are called imbalanced
DRIFT = 0.1  # total variation between splits that matters
TINY = 1e-6  # p-value below which a difference is no accident
Evidence = dict[str, float | int | str | bool | None]


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns int[classes]: how often each of 0..classes-1 occurs; others are left out."""
    labels = np.asarray(labels).reshape(-1).astype(np.int64)
    return np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)


def prior_entropy(counts: np.ndarray) -> float:
    """Returns the entropy of the class shares in nats: the loss of a network that knows only them.

    Example:
      >>> round(prior_entropy(np.array([10, 10, 0])), 4)  # log 2
      0.6931
    """
    share = counts[counts > 0] / counts.sum()
    return float(max(0.0, -(share * np.log(share)).sum()))


def drift(train: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Compares the class shares of two splits.

    Args:
      train: int[c], class counts.
      other: int[c], class counts.

    Returns:
      `(total variation in [0, 1], p-value of the chi-square test of equal shares)`.
    """
    from scipy.special import chdtrc

    table = np.stack([train, other]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return 0.0, 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    shares = table / table.sum(axis=1, keepdims=True)
    distance = 0.5 * float(np.abs(shares[0] - shares[1]).sum())
    return distance, float(chdtrc(table.shape[1] - 1, statistic))


def class_labels(task: Task, targets: PyTree) -> np.ndarray | None:
    """Returns targets as class indices int[n], or None if they are not classes.

    A loss of jrecipe says what its targets are. For any other, integers along one axis count as
    classes if they are few: 0 to at most 100, each ten times on average.
    """
    if not hasattr(targets, "dtype"):
        return None
    array = np.asarray(targets)
    kind = getattr(task.loss, "kind", None)
    if kind == "binary":
        flat = array.reshape(len(array), -1)
        whole = flat.shape[1] == 1 and bool(np.isin(flat, (0, 1)).all())
        return flat[:, 0].astype(np.int64) if whole else None
    whole = array.ndim == 1 and array.dtype.kind in "biu"
    if kind == "classes":
        return array.astype(np.int64) if whole else None
    if kind is not None or not whole:
        return None
    labels = array.astype(np.int64)
    few = labels.min() >= 0 and labels.max() <= 100
    return labels if few and len(labels) >= 10 * len(np.unique(labels)) else None


def judge_balance(*, counts: np.ndarray, intended: bool) -> Verdict:
    """Judges the class counts of the training split, classes without an example aside.

    Args:
      counts: int[c].
      intended: the task declares that rare classes are as they should be.

    Returns:
      WARNED if the most frequent class has over 10 times the examples of the rarest, or the
      effective number of classes exp(H) is below half their number, and chance does not explain it.
    """
    counts = counts[counts > 0]
    if intended or len(counts) < 2:
        return Verdict.PASSED
    _, p = drift(np.full_like(counts, max(1, round(counts.mean()))), counts)
    uneven = (
        counts.max() / counts.min() > RATIO or math.exp(prior_entropy(counts)) < len(counts) / 2
    )
    return Verdict.WARNED if uneven and p < 1e-3 else Verdict.PASSED


def judge_missing(*, train: np.ndarray, other: np.ndarray) -> tuple[list[int], list[int]]:
    """Finds classes that one split lacks.

    Args:
      train: int[c], class counts in training.
      other: int[c], class counts in another split.

    Returns:
      `(absent from train, absent from the other)`. A class is called absent from the other split if
      10 or more of its examples were to be expected there.
    """
    expected = train / max(train.sum(), 1) * other.sum()
    untrained = np.flatnonzero((train == 0) & (other > 0))
    unseen = np.flatnonzero((other == 0) & (expected >= 10))
    return untrained.tolist(), unseen.tolist()


def judge_drift(*, distance: float, p: float, ordered: bool) -> Verdict:
    """Judges class shares that differ between splits: size and p-value both have to say so."""
    return Verdict.WARNED if distance > DRIFT and p < TINY and not ordered else Verdict.PASSED


def check_imbalance(ctx: Context) -> tuple[Finding, ...]:
    """Counts classes, or describes numbers, in every split (A3)."""
    targets = {name: ctx.split(name, ROWS)[1] for name in ctx.task.splits}  # type: ignore[index]
    labels = {name: class_labels(ctx.task, value) for name, value in targets.items()}
    if labels["train"] is not None:
        known = {name: value for name, value in labels.items() if value is not None}
        return _classes(ctx.task, known)
    return (_numbers(ctx.task, targets),)


def _classes(task: Task, labels: Mapping[str, np.ndarray]) -> tuple[Finding, ...]:
    classes = 1 + max(int(value.max(initial=0)) for value in labels.values())
    if classes > 1_000_000:
        said = f"The labels reach {classes - 1}; that many classes are not counted."
        return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said),)
    counts = {name: class_counts(value, classes) for name, value in labels.items()}
    train = counts["train"]
    present = train[train > 0]
    name_of = lambda c: task.class_names[c] if c < len(task.class_names) else str(c)  # noqa: E731
    entropy = prior_entropy(train)
    evidence: Evidence = {
        "classes": classes,
        "prior_entropy_nats": entropy,
        "effective_number": math.exp(entropy),
        "most_to_rarest": float(present.max() / present.min()) if len(present) else None,
        "most_to_rarest_limit": RATIO,
        "rarest_class": name_of(int(np.argmin(np.where(train > 0, train, train.max() + 1)))),
    }
    figure = Bars(
        title=f"Examples of each class in train; H(prior) = {entropy:.3f} nats",
        values={name_of(c): float(train[c]) for c in np.argsort(-train, kind="stable")[:40]},
        levels={"balanced": float(train.sum() / max(len(present), 1))},
        xlabel="examples",
    )
    findings = []

    def warn(said: str, remedy: str, suspect: Suspect, verdict: Verdict = Verdict.WARNED) -> None:
        findings.append(
            Finding(
                item=ITEM,
                check=CHECK,
                verdict=verdict,
                evidence=evidence,
                finding=said,
                remedy=remedy,
                suspects=(suspect,),
                figures=(figure,),
            )
        )

    # A loss across examples (contrastive) needs no targets; they may all be the same.
    if len(present) < 2 and train.sum() > 1 and task.examples_independent:
        only = name_of(int(np.argmax(train)))
        warn(
            f"All {train.sum()} training examples are of one class, {only}: nothing to learn.",
            "Look at how labels are read: integer division or scaling of labels does this.",
            Suspect(
                cause="missing-class",
                component="labels",
                where="train",
                why=f"every training label is {only}",
            ),
            Verdict.FAILED,
        )
    for name, other in counts.items():
        if name == "train":
            continue
        untrained, unseen = judge_missing(train=train, other=other)
        for where, missing in (("train", untrained), (name, unseen)):
            if not missing:
                continue
            names = ", ".join(name_of(c) for c in missing[:5]) + (", ..." if missing[5:] else "")
            warn(
                f"{len(missing)} classes have no example in {where}: {names}.",
                "Split by class (stratified), or drop the class everywhere.",
                Suspect(
                    cause="missing-class",
                    component="split",
                    where=f"{where} class {names}",
                    why=f"{where} lacks what {name if where == 'train' else 'train'} has",
                ),
            )
        distance, p = drift(train, other)
        evidence |= {f"{name}_share_distance": distance, f"{name}_share_p": p}
        # Rare classes that are meant are often looked at in a balanced split.
        balanced = task.imbalance_intended and prior_entropy(other) > entropy
        meant = task.ordered_data or balanced
        if judge_drift(distance=distance, p=p, ordered=meant) is Verdict.WARNED:
            gap = other / max(other.sum(), 1) - train / max(train.sum(), 1)
            worst = int(np.argmax(np.abs(gap)))
            warn(
                f"The class shares of {name} differ from train's: {distance:.0%} of its examples "
                f"would have to change class, most of all {name_of(worst)} ({gap[worst]:+.0%}).",
                "Split at random, stratified by class; declare ordered_data if time decides.",
                Suspect(
                    cause="prepared-differently",
                    component="split",
                    where=f"{name} class {name_of(worst)}",
                    why=f"total variation {distance:.3f}, p = {p:.1e}",
                ),
            )
    if judge_balance(counts=train, intended=task.imbalance_intended) is Verdict.WARNED:
        warn(
            f"{name_of(int(np.argmax(train)))} is {present.max() / present.min():.0f} times as "
            f"frequent as {evidence['rarest_class']}; {classes} classes count as "
            f"{math.exp(entropy):.1f}.",
            "Look at recall per class, not accuracy; declare imbalance_intended if it is so.",
            Suspect(
                cause="imbalance",
                component="data",
                where=f"class {evidence['rarest_class']}",
                why=f"{present.min()} of {train.sum()} training examples",
            ),
        )
    if findings:
        return tuple(findings)
    said = (
        f"{len(present)} classes, {present.min()} to {present.max()} training examples each; "
        f"H(prior) = {entropy:.3f} nats, as if {math.exp(entropy):.1f} were equally likely."
    )
    if task.imbalance_intended:
        said += " Rare classes are declared to be intended."
    return (
        Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.PASSED,
            evidence=evidence,
            finding=said,
            figures=(figure,),
        ),
    )


def _is_mask(task: Task, labels: int) -> bool:
    """Tells whether there is one label for each pixel of a picture: its edge may never be drawn."""
    shapes = [np.shape(leaf)[1:] for leaf in jax.tree.leaves(task.train.take(np.arange(1))[0])]
    sizes = {
        math.prod(shape[:2]) for shape in shapes if len(shape) in (2, 3) and min(shape[:2]) > 3
    }
    return labels in sizes


def _moved(train: np.ndarray, other: np.ndarray) -> float:
    """Returns how far numbers lie from training's, in deviations; 0 unless far and no accident."""
    a, b = (x.reshape(len(x), -1).astype(np.float64).mean(axis=1) for x in (train, other))
    if len(a) < 20 or len(b) < 20 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0
    if a.std() == 0:
        return 0.0
    shift = float((b.mean() - a.mean()) / a.std())
    error = math.sqrt(1 / len(a) + max(1.0, (b.std() / a.std()) ** 2) / len(b))
    return shift if abs(shift) > max(0.5, 6 * error) else 0.0


def _numbers(task: Task, targets: Mapping[str, PyTree]) -> Finding:
    """Describes targets that are not classes: numbers, several labels, tokens."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(targets["train"])]
    if len(leaves) != 1 or leaves[0].dtype.kind not in "biuf":
        said = "The targets are several arrays; there is no one distribution to describe."
        return Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said)
    values = leaves[0]
    kind = getattr(task.loss, "kind", None)
    if kind == "tokens":
        counts = np.unique(values, return_counts=True)[1]
        entropy = prior_entropy(counts)
        said = f"{len(counts)} different tokens as targets, H = {entropy:.3f} nats."
        evidence: Evidence = {"tokens": len(counts), "prior_entropy_nats": entropy}
        return Finding(
            item=ITEM, check=CHECK, verdict=Verdict.PASSED, evidence=evidence, finding=said
        )
    if kind == "multilabel":
        rates = values.reshape(len(values), -1).astype(np.float64).mean(axis=0)
        said = f"{len(rates)} labels, positive in {rates.min():.1%} to {rates.max():.1%} of rows."
        never = int(((rates <= 0) | (rates >= 1)).sum())
        evidence = {"labels": len(rates), "rarest_rate": float(rates.min()), "constant": never}
        names = [
            task.class_names[i] if i < len(task.class_names) else str(i) for i in range(len(rates))
        ]
        bars = {names[i]: float(rates[i]) for i in np.argsort(-rates)[:40]}
        figure = Bars(title="Positive rate of each label", values=bars, xlabel="share of examples")
        if never and not _is_mask(task, len(rates)):
            where = ", ".join(names[i] for i in np.flatnonzero((rates <= 0) | (rates >= 1))[:5])
            return Finding(
                item=ITEM,
                check=CHECK,
                verdict=Verdict.WARNED,
                evidence=evidence,
                finding=f"{never} labels never vary in train: {where}.",
                remedy="Drop these labels, or find examples of both kinds.",
                suspects=(
                    Suspect(
                        cause="missing-class",
                        component="labels",
                        where=f"train label {where}",
                        why="the label has one value in all training rows",
                    ),
                ),
                figures=(figure,),
            )
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.PASSED,
            evidence=evidence,
            finding=said,
            figures=(figure,),
        )
    numbers = values.astype(np.float64).reshape(-1)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) == 0:
        said = "No target is finite (see A2)."
        return Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said)
    mean, std = float(numbers.mean()), float(numbers.std())
    for name, other in targets.items():
        moved = _moved(values, np.asarray(jax.tree.leaves(other)[0]))
        if name != "train" and not task.ordered_data and moved:
            why = f"{name} targets lie {moved:+.2f} deviations of training from its mean"
            return Finding(
                item=ITEM,
                check=CHECK,
                verdict=Verdict.WARNED,
                evidence={"mean": mean, "std": std, "split": name, "shift_in_std": moved},
                finding=f"The splits have other targets: {why}.",
                remedy="Prepare targets alike in every split; declare ordered_data if they drift.",
                suspects=(
                    Suspect(
                        cause="prepared-differently",
                        component="split",
                        where=f"{name} targets",
                        why=why,
                    ),
                ),
            )
    low, median, high = (float(q) for q in np.quantile(numbers, (0.01, 0.5, 0.99)))
    skew = float((((numbers - mean) / std) ** 3).mean()) if std > 0 else 0.0
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.PASSED,
        evidence={
            "mean": mean,
            "std": std,
            "skew": skew,
            "quantile_01": low,
            "median": median,
            "quantile_99": high,
        },
        finding=f"Targets have mean {mean:.4g}, standard deviation {std:.4g}, skew {skew:.2f}; "
        f"98 % lie in {low:.4g} to {high:.4g}.",
    )
