"""A connection to PostgreSQL that takes the statements the rooms above speak in."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg.adapt import Dumper

from .dialect import translated
from .faults import in_our_words, no_such
from .waiting import Quiet

_MADE = re.compile(r"\s*CREATE (TABLE|VIEW) main\.(\w+)")
NUL, SIGN = "\0", "\N{SYMBOL FOR NULL}"
_ROWS = re.compile(r"INSERT INTO (?P<table>\w+(?: \([\w, ]+\))?) VALUES \(\?(?:, ?\?)*\)")
"""Rows, and nothing to be said of any: many of them are copied, which takes the server a fifth of the time."""
COPIED = 20
"""Rows from which that is quicker."""
AT_ONCE, LARGE = 2_000, 4
"""Rows that are fetched together of a question with very many, and of parts of evidence, which may have a mebibyte each."""


class _Flag(Dumper):
    """A yes or no is stored as 1 or 0, as SQLite has it."""

    oid = psycopg.adapters.types["int2"].oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


def _writable(given: Any) -> Any:
    """The same parameters; PostgreSQL's texts have no place for a NUL, so a sign stands for it."""
    if isinstance(given, Mapping):
        return dict(zip(given, _writable(tuple(given.values())), strict=True))
    if not any(isinstance(value, str) and NUL in value for value in given):
        return given
    return [value.replace(NUL, SIGN) if isinstance(value, str) else value for value in given]


def _copy(cursor: psycopg.Cursor[Any], table: str, rows: list[Any]) -> None:
    """Write rows into a table, or into some columns of it."""
    with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


class Session:
    """One of PostgreSQL's connections; `here` and `live` are the schemas that `main` and `live` stand for."""

    def __init__(self, raw: Quiet, where: str, here: str, live: str, *, asks: bool = False) -> None:
        self.raw, self.where, self.here, self.live, self.asks = raw, where, here, live, asks
        raw.adapters.register_dumper(bool, _Flag)
        self.forget()

    def _told(self, error: psycopg.Error) -> Exception:
        """What to raise: a value that cannot be read comes from the caller of a question, and in a fold from an event."""
        if self.asks and isinstance(error, psycopg.errors.InvalidTextRepresentation):
            return no_such(self.where)
        return in_our_words(error, self.where)

    def forget(self) -> None:
        """Begin anew to note what a transaction does."""
        self.has_written = False
        self.appended = 0
        """The last position that was appended; 0: none."""
        self.made: dict[str, str] = {}
        """The read models that were made: TABLE or VIEW, by name."""

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        """Do one statement."""
        if made := _MADE.match(sql):
            self.made[made[2]] = made[1]
        self.has_written |= sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))
        try:
            return self.raw.execute(translated(sql, self.here, self.live), _writable(parameters))
        except psycopg.Error as error:
            raise self._told(error) from error

    def executemany(self, sql: str, rows: Iterable[Any]) -> Any:
        """Do one statement for each row."""
        cursor = self.raw.cursor()
        given = [_writable(row) for row in rows]
        if given and sql.startswith("INSERT INTO event_chain"):
            self.appended = given[-1][0]
        self.has_written |= bool(given)
        try:
            if len(given) == 1:
                return cursor.execute(translated(sql, self.here, self.live), given[0])
            if len(given) >= COPIED and (found := _ROWS.fullmatch(sql)):
                _copy(cursor, found["table"], given)
            else:
                cursor.executemany(translated(sql, self.here, self.live), given)
        except psycopg.Error as error:
            raise self._told(error) from error
        return cursor

    def stream(self, sql: str, parameters: Any = ()) -> Iterator[Any]:
        """The rows of a question, some at a time, from a cursor that the server keeps."""
        try:
            with self.raw.cursor(name=f"mecris_{id(object()):x}") as cursor:
                cursor.itersize = LARGE if sql.endswith("FROM evidence") else AT_ONCE
                cursor.execute(translated(sql, self.here, self.live), _writable(parameters))
                yield from cursor
        except psycopg.Error as error:
            raise self._told(error) from error
