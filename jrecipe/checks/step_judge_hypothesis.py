"""What a change of the declared step means that explains the movements: words for each (G15)."""

from __future__ import annotations

from jrecipe.checks.step_explain import Explanation
from jrecipe.checks.step_trouble import Trouble


def judge_hypothesis(found: Explanation, share: str) -> Trouble | None:
    """Returns what a hypothesis that fits means, None if nothing is wrong with it."""
    name = found.hypothesis
    if name == "penalty":
        heavy = found.l2 > 1.0
        if not (heavy or found.decoupled) and found.default:
            return None
        return Trouble(
            certain=found.decoupled,
            cause="decay-dominates" if heavy and not found.decoupled else "decay-coupled",
            component="optimizer",
            where="",
            why="weight decay enters the gradient before Adam divides it, at "
            f"{found.l2:.2g} times the gradient of the loss",
        )
    for start, cause, component, where, why in _HYPOTHESES:
        if name.startswith(start):
            rest = name.removeprefix("without ")
            said = why.format(name)
            return Trouble(
                certain=found.identity > 5 * found.tolerance,
                cause=cause,
                component=component,
                where=where.format(name, rest),
                why=f"{said} ({share}; without that, {100 * min(found.identity, 1):.2g} %)",
            )
    return Trouble(
        certain=False, cause="update-differs", component="step", where=name, why=f"{name}: {share}"
    )


_HYPOTHESES: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "parameters of the",
        "stale-parameters",
        "step",
        "",
        "the gradient is taken at the {0}",
    ),
    ("batch of the update before", "batch-ignored", "step", "{0}", "updates use the {0}"),
    ("first batch", "batch-ignored", "step", "{0}", "all updates use the {0}"),
    (
        "sum of gradients",
        "gradients-accumulate",
        "step",
        "gradient of earlier batches",
        "every update is that of the {0} of all batches so far",
    ),
    (
        "reset",
        "state-not-threaded",
        "step",
        "optimizer state",
        "every update is that of an optimiser that starts anew",
    ),
    ("targets", "labels-shifted", "step", "{0}", "updates are those of the batch with {0}"),
    ("rows", "examples-ignored", "step", "batch {0}", "updates leave out batch {0}"),
    (
        "without",
        "examples-ignored",
        "step",
        "{1} of the batch",
        "updates are those {0}",
    ),
    ("loss over", "loss-clipped", "step", "{0}", "updates leave out examples with a {0}"),
    (
        "softmax over the batch",
        "loss-depends-on-batch",
        "step",
        "axis 0",
        "updates are those of the loss after a {0}",
    ),
    (
        "log-softmax over the batch",
        "loss-depends-on-batch",
        "step",
        "axis 0",
        "updates are those of the loss after a {0}",
    ),
    ("softmax", "double-softmax", "step", "outputs", "updates are those after one more {0}"),
    ("sigmoid", "double-softmax", "step", "outputs", "updates are those after one more {0}"),
    ("tanh", "update-differs", "step", "outputs", "updates are those after one more {0}"),
    (
        "evaluation mode",
        "statistics-never-updated",
        "step",
        "model state",
        "updates are those of the network in {0}",
    ),
)
