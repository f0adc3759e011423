"""What PostgreSQL complains about, said in our words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from ...domain.errors import Busy, Damaged, EventDamaged, NotFound, Unavailable

LOST = (psycopg.OperationalError, psycopg.InterfaceError)
"""What is raised when the server cannot be reached, or the connection to it broke."""
LETS_NOBODY_IN = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    '" is not permitted to log in',
)


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
        case errors.ReadOnlySqlTransaction() | errors.FeatureNotSupported() if _is_standby(error):
            return Unavailable(
                f"{where} is a standby that can only be read: name its primary, or all servers with "
                "target_session_attrs=read-write"
            )
        case errors.InsufficientPrivilege():
            return Unavailable(
                f"the role that opened {where} may not do that ({_first(error)}): see docs/operations.md"
            )
        case psycopg.OperationalError(sqlstate=None) if refused := at_the_door(str(error), where):
            return refused
        case errors.NumericValueOutOfRange():
            return NotFound(f"no number in {where} is that large: use one that was listed")
        case psycopg.DataError(sqlstate=None):  # not the server says so: it was never asked
            return no_such(where)
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


def no_such(where: str) -> NotFound:
    """The error to raise for a question about something of a shape that nothing there has: a word for a number."""
    return NotFound(f"{where} can hold nothing like that: use what was listed")


def unreadable(where: str) -> Unavailable:
    """The error to raise for an address that libpq does not take; what it says may quote a password."""
    return Unavailable(f"{where} is no address that PostgreSQL knows: check the names and the escapes (%..) in it")


def at_the_door(said: str, where: str) -> Unavailable | None:
    """Why a server let us not in; libpq hands its words on, and not its code."""
    if any(words in said for words in LETS_NOBODY_IN) or re.search(r'role "[^"]*" does not exist', said):
        return Unavailable(f"{where} does not let this role in: check the user, its password and pg_hba.conf")
    if re.search(r'database "[^"]*" does not exist', said):
        return Unavailable(f"there is no database at {where}: make it with createdb")
    if "too many clients" in said or "too many connections" in said or "remaining connection slots" in said:
        return Unavailable(f"{where} takes no more connections: raise max_connections, or run fewer servers")
    return None


def _is_full(error: psycopg.Error) -> bool:
    """A quota says the same in other words: a file may not grow."""
    return isinstance(error, errors.DiskFull) or "could not extend file" in str(error)


def _is_standby(error: psycopg.Error) -> bool:
    """A standby refuses a write, and before that a transaction that might write."""
    return isinstance(error, errors.ReadOnlySqlTransaction) or "during recovery" in str(error)


def _first(error: psycopg.Error) -> str:
    """The first line of what the server says; libpq adds hints and counts tries."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
