"""The log: eventsourcing's application on our file, with the chain written in the event's own transaction."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    Mapper,
    StoredEvent,
    TrackingRecorder,
)
from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteApplicationRecorder, SQLiteCursor, SQLiteDatastore
from eventsourcing.utils import Environment, EnvType

from ..domain.aggregate import Aggregate
from . import chain, positions
from .file import File
from .mapper import EventMapper, Snapshot

SNAPSHOT_EVERY = 100
"""Events of one aggregate between two snapshots."""
REMEMBERED = 256
"""Aggregates kept in memory."""


class Stale(IntegrityError):
    """What was decided on is not the end of the log any more: ask again."""


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


class ChainedRecorder(SQLiteApplicationRecorder):
    """Appends events at the end of the log, each with its link."""

    def append(self, connection: sqlite3.Connection, stored_events: Sequence[StoredEvent], recorded_at: str) -> int:
        """Write events and their links; returns the last position, or raises `Stale` if others have written since."""
        position, before, link = positions.head(connection)
        if recorded_at < before:
            raise Stale("the log has moved on")
        last = position + len(stored_events)
        for at, s in enumerate(stored_events, position + 1):
            oid, version, topic, state = str(s.originator_id), s.originator_version, s.topic, s.state
            link = chain.link_of(link, at, last, recorded_at, oid, version, topic, state)
            try:
                connection.execute("INSERT INTO stored_events VALUES (?, ?, ?, ?, ?)", (at, oid, version, topic, state))
            except sqlite3.IntegrityError as error:
                raise Stale("another writer was first") from error
            connection.execute("INSERT INTO event_chain VALUES (?, ?, ?, ?)", (at, last, recorded_at, link))
        return last


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


class Factory(InfrastructureFactory[TrackingRecorder]):
    """Makes the library's parts on one of our files."""

    def __init__(self, env: Environment, file: File) -> None:
        super().__init__(env)
        self.archive = Archive(file)

    def application_recorder(self) -> ApplicationRecorder:
        return ChainedRecorder(self.archive)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return LastSnapshot(self.archive, f"stored_{purpose}")

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> Any:
        raise AssertionError("read models follow the log by themselves")

    def process_recorder(self) -> Any:
        raise AssertionError("read models follow the log by themselves")


class Log(Application[str]):
    """The event-sourced application behind the books."""

    is_snapshotting_enabled = True

    def __init__(self, file: File) -> None:
        self.file = file
        super().__init__()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Settings of our own: what stands in the environment of an embedding program is not for us."""
        return Environment(
            name,
            {
                "IS_SNAPSHOTTING_ENABLED": "y",
                "AGGREGATE_CACHE_MAXSIZE": str(REMEMBERED),
                "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
            },
        )

    def construct_factory(self, env: Environment) -> InfrastructureFactory[TrackingRecorder]:
        return Factory(env, self.file)

    def construct_mapper(self) -> Mapper[str]:
        return EventMapper()

    def remembered(self, key: str) -> Aggregate | None:
        """An aggregate as we last saw it; another process may have moved on since."""
        assert self.repository.cache is not None
        try:
            return self.repository.cache.get(key)  # type: ignore[return-value]  # we keep only our own aggregates
        except KeyError:
            return None

    def keep(self, aggregate: Aggregate) -> None:
        """Remember an aggregate whose events are in the log."""
        assert self.repository.cache is not None
        self.repository.cache.put(aggregate.id, aggregate)

    def forget_all(self) -> None:
        """Forget every aggregate: one of them may hold what did not reach the log."""
        self._repository = self.construct_repository()

    def append(self, connection: sqlite3.Connection, aggregates: Sequence[Aggregate], recorded_at: str) -> int:
        """Write what was decided, as one write; raises `Stale` if it was not decided on the end of the log. Returns the position.

        Stands in for the library's `save`, whose checks of protocols at run time cost more than the write itself.
        """
        rows: list[StoredEvent] = []
        for aggregate in aggregates:
            rows += [self.mapper.to_stored_event(event) for event in aggregate.collect_events()]
        assert isinstance(self.recorder, ChainedRecorder)
        last = self.recorder.append(connection, rows, recorded_at)
        for aggregate in aggregates:
            mine = sum(row.originator_id == aggregate.id for row in rows)
            if aggregate.version // SNAPSHOT_EVERY > (aggregate.version - mine) // SNAPSHOT_EVERY:
                self._take_snapshot(aggregate)
        return last

    def _take_snapshot(self, aggregate: Aggregate) -> None:
        """Snapshot what is in memory, in the write's own transaction."""
        assert self.snapshots is not None
        taken: Any = Snapshot.of(aggregate)
        if taken:
            self.snapshots.put([taken])

    def version_of(self, key: str) -> int:
        """How many events an aggregate has had."""
        with self.file.reading() as connection:
            found = connection.execute(
                "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?", (key,)
            ).fetchone()
        return int(found[0] or 0)

    def next_cycle(self) -> int:
        """The number of the cycle to be opened next."""
        with self.file.reading() as connection:
            found = connection.execute(
                "SELECT originator_id FROM stored_events WHERE originator_id > 'cycle-' AND originator_id < 'cycle.' "
                "ORDER BY originator_id DESC LIMIT 1"
            ).fetchone()
        return int(found[0].removeprefix("cycle-")) + 1 if found else 1
