"""Answers that belong to a split, or are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jrecipe.human.answers import Answers, read_answers
from jrecipe.human.sheet import mark_of
from jrecipe.task import Task
from jrecipe.types import TaskError


def answers_for(task: Task, split: str, path: str | Path, class_names: Sequence[str]) -> Answers:
    """Reads answers, and compares the split and the data that they name with these.

    Raises:
      TaskError: if the file cannot be understood, or was answered on other examples.
    """
    answers = read_answers(path, class_names)
    if answers.split not in (None, split):
        raise TaskError(
            f"human answers {path} are for the split {answers.split!r}, and {split!r} is asked "
            f"for; give answers for that, or --split {answers.split}."
        )
    if answers.data not in (None, mark_of(task, split)):
        raise TaskError(
            f"human answers {path} are for other data than these; give the target and the --seed "
            "that the page was made with."
        )
    return answers
