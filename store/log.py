"""The log: eventsourcing's application on our store, with the chain written in the event's own transaction."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from eventsourcing.application import Application
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    Mapper,
    StoredEvent,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from ..domain.aggregate import Aggregate
from .appending import append
from .connection import Connection, Store
from .mapper import EventMapper, Snapshot

SNAPSHOT_EVERY = 100
"""Events of one aggregate between two snapshots."""
REMEMBERED = 256
"""Aggregates kept in memory."""
RECORDERS = {"sqlite": "..recorders", "postgresql": "..postgres.recorders"}
"""The library's recorders, by the kind of store."""


class Factory(InfrastructureFactory[TrackingRecorder]):
    """Makes the library's parts on one of our stores."""

    def __init__(self, env: Environment, store: Store) -> None:
        super().__init__(env)
        self.store = store
        self.recorders = import_module(RECORDERS[store.kind], __name__)

    def application_recorder(self) -> ApplicationRecorder:
        recorder: ApplicationRecorder = self.recorders.recorder_of_events(self.store)
        return recorder

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        recorder: AggregateRecorder = self.recorders.recorder_of_snapshots(self.store, f"stored_{purpose}")
        return recorder

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> Any:
        raise AssertionError("read models follow the log by themselves")

    def process_recorder(self) -> Any:
        raise AssertionError("read models follow the log by themselves")


class Log(Application[str]):
    """The event-sourced application behind the books."""

    is_snapshotting_enabled = True

    def __init__(self, file: Store) -> None:
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

    def append(self, connection: Connection, aggregates: Sequence[Aggregate], recorded_at: str) -> int:
        """Write what was decided, as one write; raises `Stale` if it was not decided on the end of the log. Returns the position.

        Stands in for the library's `save`, whose checks of protocols at run time cost more than the write itself.
        """
        rows: list[StoredEvent] = []
        for aggregate in aggregates:
            rows += [self.mapper.to_stored_event(event) for event in aggregate.collect_events()]
        last = append(connection, rows, recorded_at)
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
