"""B6: the human baseline - what does a person, or the plainest stand-in for one, score?

With a person's answers on some validation rows (`Task.human`), their accuracy is the line to
compare with, and answers that disagree with the recorded targets mean that the targets are wrong or
the task is not what it seems. Until somebody has answered, the nearest training example stands in:
it says at the least how well looking at similar examples does.
"""

from __future__ import annotations

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.intervals import wilson
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.types import PyTree

ITEM, CHECK = "B6", "human-baseline"


def neighbour_answers(
    train_inputs: PyTree, train_targets: np.ndarray, inputs: PyTree
) -> np.ndarray | None:
    """Answers each input with the target of the nearest training input (Euclidean distance).

    Args:
      train_inputs: pytree of arrays, leading axis n.
      train_targets: int[n].
      inputs: pytree of arrays, leading axis m.

    Returns:
      int[m]; None if the inputs are not numbers that can be compared.
    """
    from sklearn.neighbors import KNeighborsClassifier

    def flat(tree: PyTree) -> np.ndarray:
        leaves = [np.asarray(x) for x in jax.tree.leaves(tree)]
        return np.concatenate([x.reshape(len(x), -1).astype(np.float32) for x in leaves], axis=1)

    a, b = flat(train_inputs), flat(inputs)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    return KNeighborsClassifier(n_neighbors=1).fit(a, train_targets).predict(b)


def judge_human(*, right: int, n: int, chance: float, person: bool) -> Finding:
    """Judges how well a person, or the stand-in, agrees with the recorded targets.

    Args:
      right: answers that equal the target.
      n: answers in all.
      chance: share that the commonest class reaches.
      person: whether a person answered, or the nearest neighbour did.
    """
    low, high = wilson(right, n)
    share = right / max(n, 1)
    evidence = {
        "accuracy": share,
        "low": low,
        "high": high,
        "n": n,
        "commonest_class": chance,
        "by_a_person": person,
    }
    if not person:
        note = "Nobody has answered yet; pass a person's answers as Task.human or --human FILE."
        if low <= chance:
            return Finding(
                item=ITEM,
                check=CHECK,
                verdict=Verdict.SKIPPED,
                evidence=evidence,
                finding=f"{note} The nearest neighbour, as a stand-in, is no better than chance "
                f"({share:.1%} against {chance:.1%}) and says nothing.",
            )
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.PASSED,
            evidence=evidence,
            finding=f"A stand-in that copies the nearest training example scores {share:.1%} "
            f"({low:.1%} to {high:.1%}); the network has to beat that. {note}",
        )
    if high < max(chance, 0.5):
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.FAILED,
            evidence=evidence,
            finding=f"A person agrees with only {share:.1%} of {n} recorded targets "
            f"({low:.1%} to {high:.1%}).",
            remedy="Look at the disagreements: are targets shifted, shuffled or renamed?",
            suspects=(
                Suspect(
                    cause="human-disagrees",
                    component="labels",
                    where="val",
                    why=f"the commonest class alone reaches {chance:.1%}",
                ),
            ),
        )
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.PASSED,
        evidence=evidence,
        finding=f"A person scores {share:.1%} ({low:.1%} to {high:.1%}, {n} examples).",
    )


def check_human(context: Context) -> Finding:
    """Measures and judges the human baseline (B6)."""
    task = context.task
    inputs, targets = context.split("val", 1000)  # type: ignore[misc]
    if not isinstance(targets, np.ndarray) or targets.ndim != 1 or targets.dtype.kind not in "iub":
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="Only class labels can be scored against a person's answers so far.",
        )
    if task.human is not None:
        rows, answers = map(np.asarray, task.human)
        every = context.split("val")[1]  # type: ignore[index]
        chance = _commonest(every)
        right = int((every[rows] == answers).sum())
        return judge_human(right=right, n=len(rows), chance=chance, person=True)
    train_inputs, train_targets = context.split("train", 20_000)  # type: ignore[misc]
    found = neighbour_answers(train_inputs, train_targets, inputs)
    if found is None:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="Nobody has answered yet, and inputs that are not finite have no neighbours.",
        )
    chance = _commonest(targets)
    right = int((found == targets).sum())
    return judge_human(right=right, n=len(targets), chance=chance, person=False)


def _commonest(labels: np.ndarray) -> float:
    """Returns the share of the most frequent label; labels may be negative, as -1 and 1."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))
