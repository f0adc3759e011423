"""A connection to PostgreSQL that takes the statements the rooms above speak in."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.adapt import Dumper

from .dialect import translated
from .faults import in_our_words
from .readers import Quiet

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
        self.has_written = self.has_made = False
        """Was anything written in this transaction, and was anything made?"""
        self.appended = 0
        """The last position that was appended in this transaction; 0: none."""
        raw.adapters.register_dumper(bool, _Flag)

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        """Do one statement."""
        self.has_made |= sql.lstrip().startswith("CREATE")
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
