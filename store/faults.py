"""What a database complains about, said in our words: one place for SQLite's."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ..domain.errors import Busy, Damaged, EventDamaged, NotBooks, NotFound, Unavailable

BROKEN = (sqlite3.DatabaseError,)
"""What reading a damaged file may raise beside errors of our own."""
FAILED = (sqlite3.OperationalError,)
"""What is raised when SQLite could not do what it was told, which says nothing about the events."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_CORRUPT}


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what SQLite raises into an error that says what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise in_our_words(error, where) from error


def in_our_words(error: sqlite3.DatabaseError | OverflowError, where: str) -> Exception:
    """The error to raise for what SQLite raised; mistakes of our own code stay what they are."""
    if isinstance(error, OverflowError):
        return NotFound(f"no number in {where} is that large: use one that was listed")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return Busy(f"another writer holds {where} for too long: try again")
    if code == sqlite3.SQLITE_NOTADB:
        return NotBooks(f"{where} is not a database: name another file with --books")
    if code in _BROKEN:
        return Damaged(f"{where} is damaged ({error}): restore it from a backup")
    if code == sqlite3.SQLITE_FULL:
        return Unavailable(f"the disk is full, nothing was recorded in {where}: make room and try again")
    if code == sqlite3.SQLITE_READONLY:
        return Unavailable(f"{where} cannot be written: check its permissions")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return Unavailable(f"{where} cannot be opened: check that the folder exists and that you may write there")
    if "decode to UTF-8" in str(error):
        return EventDamaged(f"{where} holds a text that is none: run `mecris audit verify`")
    if isinstance(error, sqlite3.OperationalError) and code == sqlite3.SQLITE_ERROR and "no such" in str(error):
        return Damaged(f"{where} is damaged ({error}): restore it from a backup")
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return error
    return Unavailable(f"{where}: {error}")
