"""Which of many findings is the cause, and which follow from it.

One fault sets off several checks: a layer that the optimiser never sees also keeps a few examples
from being learned. Causes are told from consequences by what a check can know. One that intervened
(replaced an example, asked the loss alone, repeated a step) names a mechanism; one that only saw a
run fail names a symptom, and a mechanism found elsewhere explains it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jrecipe.checks.result import Finding, Suspect, Verdict

# Causes by how far they are from the fault; one that is not listed is a mechanism. A cause explains
# those that are farther away, from `_RATES` on.
_SIZES = 1  # a size that is off, seen in what it does
_RATES = 2  # a learning rate judged by its arms: it fits ill to a scale, or is ill itself
_HABITS = 3  # worth mending, but explains nothing else
_SYMPTOMS = 4  # a run that fails, whatever the reason
_DEPTHS = {
    _SIZES: (
        "data-on-wrong-scale",
        "decay-dominates",
        "init-scale",
        "label-noise",
        "schedule-ends-early",
        "vectorisation",
    ),
    _RATES: ("learning-rate-too-high", "learning-rate-too-low"),
    _HABITS: (
        "constant-feature",
        "decay-on-bias",
        "duplicated-rows",
        "head-bias-ignores-prior",
        "human-disagrees",
        "imbalance",
        "label-conflict",
        "miscalibrated",
        "overfitting",
        "shortcut",
        "unshuffled-data",
        "variance-shift",
    ),
    _SYMPTOMS: (
        "inputs-ignored",
        "no-learning",
        "outputs-cannot-reach-targets",
        "parameters-frozen",
    ),
}
_DEPTH = {cause: depth for depth, causes in _DEPTHS.items() for cause in causes}
# Places that say no more than the component does.
_VAGUE = (
    "",
    "inputs",
    "targets",
    "head",
    "final bias",
    "head bias",
    "train",
    "val",
    "every parameter",
)
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


def diagnose(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sorts findings worst first, causes before consequences, and names causes in consequences.

    Args:
      findings: of one run of the checks, in any order.

    Returns:
      The same findings: FAILED, WARNED, SKIPPED, PASSED, and within a verdict mechanisms before
      symptoms. A symptom gets the causes that explain it as its first suspects, with the item that
      found them.
    """
    findings = [_placed(finding, findings) for finding in findings]
    roots = [
        (finding, finding.suspects[0])
        for finding in sorted(findings, key=_order)
        if alarmed(finding) and finding.suspects and depth(finding.suspects[0]) <= _RATES
    ]
    told = [_explained(finding, roots) for finding in findings]
    return tuple(sorted(told, key=_order))


def alarmed(finding: Finding) -> bool:
    """Tells whether a finding failed or warned."""
    return finding.verdict in (Verdict.FAILED, Verdict.WARNED)


def depth(suspect: Suspect) -> int:
    """Returns how far a cause is from the fault: 0 for a mechanism, 4 for a mere symptom."""
    return _DEPTH.get(suspect.cause, 0)


def _order(finding: Finding) -> tuple[int, int]:
    first = min((depth(suspect) for suspect in finding.suspects[:1]), default=0)
    return _RANK[finding.verdict], first


def _explained(finding: Finding, roots: Sequence[tuple[Finding, Suspect]]) -> Finding:
    if not alarmed(finding) or not finding.suspects:
        return finding
    own = depth(finding.suspects[0])
    if own not in (_RATES, _SYMPTOMS):
        return finding
    causes = tuple(
        dataclasses.replace(suspect, see=root.item)
        for root, suspect in roots
        if root is not finding and depth(suspect) < own
    )[:2]
    named = {suspect.cause for suspect in causes}
    rest = tuple(suspect for suspect in finding.suspects if suspect.cause not in named)
    return dataclasses.replace(finding, suspects=(*causes, *rest))


def _placed(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """Puts the exact place into a suspect whose cause another check has found more exactly."""
    if not alarmed(finding):
        return finding

    def placed(suspect: Suspect) -> Suspect:
        if suspect.where not in _VAGUE:
            return suspect
        exact = (
            other.where
            for also in findings
            if also is not finding and alarmed(also)
            for other in also.suspects[:1]
            if (other.cause, other.component) == (suspect.cause, suspect.component)
            and other.where not in _VAGUE
        )
        return dataclasses.replace(suspect, where=next(exact, suspect.where))

    return dataclasses.replace(finding, suspects=tuple(map(placed, finding.suspects)))
