"""The floor: plain sqlite3 with a table of the same bytes, as durable as the books."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

INSERT = "INSERT INTO rows VALUES (NULL, ?, ?, ?, ?, ?, ?)"


class Plain:
    """One table beside the books, with so many copies of the books' last event and its link."""

    def __init__(self, path: Path, books: Path, rows: int) -> None:
        self.row = _last_event(books)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute(
            "CREATE TABLE rows (position INTEGER PRIMARY KEY, originator_id TEXT, originator_version INTEGER, "
            "topic TEXT, state BLOB, recorded_at TEXT, link BLOB)"
        )
        if rows:
            self.batch(rows)

    def singles(self, rows: int) -> None:
        """So many durable inserts, each committed by itself."""
        for _ in range(rows):
            self.connection.execute(INSERT, self.row)

    def batch(self, rows: int) -> None:
        """So many rows in one durable transaction."""
        self.connection.execute("BEGIN")
        self.connection.executemany(INSERT, [self.row] * rows)
        self.connection.execute("COMMIT")


def _last_event(books: Path) -> tuple[Any, ...]:
    with closing(sqlite3.connect(books)) as connection:
        row: tuple[Any, ...] = connection.execute(
            "SELECT originator_id, originator_version, topic, state, recorded_at, link "
            "FROM stored_events JOIN event_chain USING (position) WHERE topic = 'source-recorded.v1' "
            "ORDER BY position DESC LIMIT 1"
        ).fetchone()
    return row
