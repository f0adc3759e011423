"""What PostgreSQL complains about, said in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from ...domain.errors import Busy, Damaged, EventDamaged, NotFound, Unavailable

LOST = (psycopg.OperationalError, psycopg.InterfaceError)
"""What is raised when the server cannot be reached, or the connection to it broke."""


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what PostgreSQL raises into an error that says what to do."""
    try:
        yield
    except psycopg.Error as error:
        raise in_our_words(error, where) from error


def in_our_words(error: psycopg.Error, where: str) -> Exception:  # a table of what there is
    """The error to raise for what PostgreSQL raised; mistakes of our own code stay what they are."""
    match error:
        case errors.IdleInTransactionSessionTimeout():
            return Unavailable(f"{where} cut this writer off, which stood still: nothing was recorded, try again")
        case errors.LockNotAvailable() | errors.QueryCanceled() | errors.DeadlockDetected():
            return Busy(f"another writer holds {where} for too long: try again")
        case errors.SerializationFailure():
            return Busy(f"{where} was written in the meantime: try again")
        case errors.OutOfMemory() | errors.ConfigurationLimitExceeded() | errors.InsufficientResources():
            return Unavailable(f"the server of {where} has not enough for this ({_first(error)}), nothing was recorded")
        case errors.DiskFull() | errors.InternalError_() if _is_full(error):
            return Unavailable(
                f"the disk of {where} is full, nothing was recorded: make room on the server and try again"
            )
        case errors.ReadOnlySqlTransaction():
            return Unavailable(
                f"{where} is a standby that can only be read: name its primary, or all servers with "
                "target_session_attrs=read-write"
            )
        case errors.InsufficientPrivilege():
            return Unavailable(
                f"the role that opened {where} may not do that ({_first(error)}): see docs/operations.md"
            )
        case errors.InvalidPassword() | errors.InvalidAuthorizationSpecification():
            return Unavailable(f"{where} does not let this role in: check user and password")
        case errors.InvalidCatalogName():
            return Unavailable(f"there is no database at {where}: make it with createdb")
        case errors.NumericValueOutOfRange():
            return NotFound(f"no number in {where} is that large: use one that was listed")
        case psycopg.DataError():
            return EventDamaged(f"{where} holds a value that is none: run `mecris audit verify`")
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.DataCorrupted() | errors.IndexCorrupted():
            return Damaged(f"{where} is damaged ({_first(error)}): restore it from a backup")
        case psycopg.IntegrityError() | psycopg.ProgrammingError():
            return error
        case _:
            return Unavailable(
                f"{where} cannot be reached ({_first(error)}), nothing was recorded: check that the server runs, and try again"
            )


def _is_full(error: psycopg.Error) -> bool:
    """A quota says the same in other words: a file may not grow."""
    return isinstance(error, errors.DiskFull) or "could not extend file" in str(error)


def _first(error: psycopg.Error) -> str:
    """The first line of what the server says; libpq adds hints and counts tries."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
