"""A connection to PostgreSQL that takes the statements the rooms above speak in."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.adapt import Dumper

from .dialect import translated
from .faults import in_our_words
from .waiting import Quiet

_MADE = re.compile(r"\s*CREATE (TABLE|VIEW) main\.(\w+)")
AT_ONCE = 2_000
"""Rows that are fetched together of a question with very many."""


class _Flag(Dumper):
    """A yes or no is stored as 1 or 0, as SQLite has it."""

    oid = psycopg.adapters.types["int2"].oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class Session:
    """One of PostgreSQL's connections; `here` and `live` are the schemas that `main` and `live` stand for."""

    def __init__(self, raw: Quiet, where: str, here: str, live: str) -> None:
        self.raw, self.where, self.here, self.live = raw, where, here, live
        raw.adapters.register_dumper(bool, _Flag)
        self.forget()

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
            return self.raw.execute(translated(sql, self.here, self.live), parameters)
        except psycopg.Error as error:
            raise in_our_words(error, self.where) from error

    def executemany(self, sql: str, rows: Iterable[Any]) -> Any:
        """Do one statement for each row."""
        cursor = self.raw.cursor()
        given = list(rows)
        if given and sql.startswith("INSERT INTO event_chain"):
            self.appended = given[-1][0]
        self.has_written |= bool(given)
        try:
            if len(given) == 1:
                return cursor.execute(translated(sql, self.here, self.live), given[0])
            cursor.executemany(translated(sql, self.here, self.live), given)
        except psycopg.Error as error:
            raise in_our_words(error, self.where) from error
        return cursor

    def stream(self, sql: str, parameters: Any = ()) -> Iterator[Any]:
        """The rows of a question, some at a time, from a cursor that the server keeps."""
        try:
            with self.raw.cursor(name=f"mecris_{id(object()):x}") as cursor:
                cursor.itersize = AT_ONCE
                cursor.execute(translated(sql, self.here, self.live), parameters)
                yield from cursor
        except psycopg.Error as error:
            raise in_our_words(error, self.where) from error
