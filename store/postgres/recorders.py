"""The library's recorders on a PostgreSQL database: it reads events and snapshots through them, on our connections."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresApplicationRecorder, PostgresDatastore
from psycopg.rows import DictRow, dict_row

from ..mapper import Snapshot
from .database import Database
from .faults import told


class Archive(PostgresDatastore):
    """Gives the library our connections in place of its pool, and our tables in place of its own."""

    def __init__(self, database: Database) -> None:
        super().__init__("", "", 0, "", "", schema=database.address.schema, originator_id_type="text")
        self.database = database

    def register_type_adapters(self) -> None:
        """Events are written by `appending`, and need no types of the library's own."""

    @contextmanager
    def get_connection(self) -> Iterator["psycopg.Connection[DictRow]"]:
        """A connection in a read transaction, or the one that writes."""
        with self.database.reading() as session:
            raw, before = session.raw, session.raw.row_factory
            raw.row_factory = dict_row
            try:
                with told(session.where):
                    yield raw
            finally:
                raw.row_factory = before

    def close(self) -> None:
        """Nothing is open: the connections are the database's."""


class LastSnapshot(PostgresAggregateRecorder):
    """Keeps one snapshot of each aggregate: older ones answer nothing."""

    def select_events(self, originator_id: UUID | str, **which: Any) -> Sequence[StoredEvent]:
        """The last snapshot, unless it is of another shape or was changed: then the events are read."""
        rows = super().select_events(originator_id, **which)
        return [row for row in rows if isinstance(row.state, bytes) and Snapshot.of_stored(row)]

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Put a snapshot in the place of the one before, in the write's own transaction."""
        assert isinstance(self.datastore, Archive)
        with self.datastore.database.pen() as session:
            for s in stored_events:
                session.execute("DELETE FROM stored_snapshots WHERE originator_id = ?", (s.originator_id,))
                row = (s.originator_id, s.originator_version, s.topic, s.state)
                session.execute("INSERT INTO stored_snapshots VALUES (?, ?, ?, ?)", row)
        return None


def recorder_of_events(database: Database) -> PostgresApplicationRecorder:
    """What reads the events of an aggregate."""
    return PostgresApplicationRecorder(Archive(database))


def recorder_of_snapshots(database: Database, table: str) -> PostgresAggregateRecorder:
    """What reads and keeps snapshots."""
    return LastSnapshot(Archive(database), events_table_name=table)
