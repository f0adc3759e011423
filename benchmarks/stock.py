"""The contender: stock eventsourcing, with an aggregate as its tutorial writes it and the same fields as ours."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from .data import CYCLES, METERS

BATCH = 1000


class Cycle(Aggregate):
    """A budget cycle that remembers what each source said last."""

    @event("Opened")
    def __init__(self, cycle: int, target_usd: Decimal) -> None:
        self.cycle = cycle
        self.target_usd = target_usd
        self.current: dict[int, tuple[Decimal, datetime]] = {}

    @event("SourceRecorded")
    def record(
        self,
        reading: int,
        source: int,
        name: str,
        type: str,
        provider: str,
        counted: bool,
        amount_usd: Decimal,
        measured_at: datetime,
        stated: bool,
        recorded_by: str,
        via: str,
    ) -> None:
        """Take in what a source says."""
        self.current[source] = (amount_usd, measured_at)


class Stock:
    """Stock eventsourcing on a SQLite file of its own, filled with so many events."""

    def __init__(self, path: Path, events: int) -> None:
        self.app = Application[UUID](
            env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path), "SQLITE_LOCK_TIMEOUT": "30"}
        )
        self.ids = [self._fill(number, events // CYCLES) for number in range(1, CYCLES + 1)]
        self.events = self.app.recorder.max_notification_id() or 0

    def _fill(self, number: int, events: int) -> UUID:
        cycle = Cycle(number, Decimal(1000))
        start = datetime(2025, 1, 1, tzinfo=UTC)
        for reading in range(1, events):
            name, provider, rate = METERS[reading % 3]
            at = start + timedelta(minutes=reading)
            cycle.record(
                reading, reading % 3 + 1, name, "realtime", provider, True, rate * reading, at, False, "bench", "python"
            )
            if reading % BATCH == 0:
                self.app.save(cycle)
        self.app.save(cycle)
        return cycle.id

    def replay(self) -> None:
        """Make every aggregate again from its events."""
        for id in self.ids:
            self.app.repository.get(id)

    def decode(self) -> None:
        """Read the whole notification log, event by event."""
        for start in range(1, self.events + 1, BATCH):
            for notification in self.app.recorder.select_notifications(start, BATCH):
                self.app.mapper.to_domain_event(notification)
