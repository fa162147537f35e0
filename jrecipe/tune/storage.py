"""Where a study of several processes is kept: a file, or a database (E)."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jrecipe.types import TaskError, one_line


def require_optuna() -> Any:
    """Returns the module optuna, quiet; raises TaskError if it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise TaskError(
            "Bayesian search needs Optuna, which is not installed; install jrecipe[tune], or use "
            "jr.tune.population or jr.tune.search, which need nothing more."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextlib.contextmanager
def reaching(storage: str | Path | None) -> Iterator[None]:
    """Turns what a storage raises when it cannot be reached into one line.

    Raises:
      TaskError: naming the storage and the reason.
    """
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (OSError, ImportError, sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        raise TaskError(
            f"The storage {_without_password(str(storage))} cannot be reached: {_reason(error)}. "
            "Give a file, as runs/study.journal, or the URL of a database that is up, as "
            "sqlite:///study.db or postgresql://user@host/name, with its driver installed."
        ) from error


def open_storage(storage: str | Path | None) -> Any:
    """Returns Optuna's storage for a file, the URL of a database, or None for memory.

    Raises:
      TaskError: if it cannot be reached.
    """
    optuna = require_optuna()
    if storage is None:
        return optuna.storages.InMemoryStorage()
    with reaching(storage), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if is_url(storage):
            return optuna.storages.RDBStorage(str(storage))
        path = Path(storage)
        path.parent.mkdir(parents=True, exist_ok=True)
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        return optuna.storages.JournalStorage(backend)


def is_url(storage: str | Path) -> bool:
    """Whether a storage is the URL of a database, not a file."""
    return "://" in str(storage)


def _reason(error: BaseException) -> str:
    """Returns the innermost reason, as the outer ones of databases say little."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = one_line(str(error).split("\n(Background")[0].split("\n\n")[0])
    return f"{type(error).__name__}: {text}"[:300].rstrip(".")


def _without_password(url: str) -> str:
    """Returns a URL whose password is left out."""
    scheme, mark, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    return f"{scheme}{mark}{login.partition(':')[0]}{at}{place}" if at else url
