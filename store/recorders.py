"""The library's recorders on one SQLite file: it reads events and snapshots through them, on our connections."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteApplicationRecorder, SQLiteCursor, SQLiteDatastore

from .file import File
from .mapper import Snapshot


class Archive(SQLiteDatastore):
    """Gives the library our connections in place of its pool."""

    def __init__(self, file: File) -> None:
        super().__init__(file.where, originator_id_type="text")
        self.file = file

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """A cursor in a transaction; one that commits may lie inside the pen of the caller."""
        with self.file.pen() if commit else self.file.reading() as connection:
            cursor = connection.cursor()
            cursor.row_factory = sqlite3.Row
            try:
                yield SQLiteCursor(cursor)
            finally:
                cursor.close()


class LastSnapshot(SQLiteAggregateRecorder):
    """Keeps one snapshot of each aggregate: older ones answer nothing."""

    def select_events(self, originator_id: UUID | str, **which: Any) -> Sequence[StoredEvent]:
        """The last snapshot, unless it is of another shape or was changed: then the events are read."""
        rows = super().select_events(originator_id, **which)
        return [row for row in rows if isinstance(row.state, bytes) and Snapshot.of_stored(row)]

    def _insert_events(self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any) -> None:
        for s in stored_events:
            c.execute("DELETE FROM stored_snapshots WHERE originator_id = ?", (s.originator_id,))
        super()._insert_events(c, stored_events)


def recorder_of_events(file: File) -> SQLiteApplicationRecorder:
    """What reads the events of an aggregate."""
    return SQLiteApplicationRecorder(Archive(file))


def recorder_of_snapshots(file: File, table: str) -> SQLiteAggregateRecorder:
    """What reads and keeps snapshots."""
    return LastSnapshot(Archive(file), table)
