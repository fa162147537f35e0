"""The checks that options name."""

from __future__ import annotations

from jrecipe.checks import Check, select
from jrecipe.types import TaskError


def known_checks(only: tuple[str, ...]) -> tuple[Check, ...]:
    """Returns the checks that `--only` names; raises TaskError for one that does not exist."""
    try:
        return select(only)
    except TaskError as error:
        raise TaskError(f"--only {','.join(only)}: {error}") from error
