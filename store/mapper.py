"""Between events and bytes: pydantic's JSON straight to the log and back, under stored names."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from pydantic import TypeAdapter, ValidationError

from ..domain.aggregate import Aggregate
from ..domain.alerts import Alerts, AlertsState
from ..domain.cycle import BudgetCycle
from ..domain.errors import EventDamaged, NewerBooks
from ..domain.event import Event
from ..domain.odometer import Odometer, OdometerState
from ..domain.old_shapes import today
from ..domain.state import CycleState
from .names import EVENTS


class Kind(NamedTuple):
    """What kind of aggregate a snapshot is of: its class, and the adapter of its state."""

    aggregate: type[Aggregate]
    state: TypeAdapter[Any]


SNAPSHOTS: Mapping[str, Kind] = {
    "cycle-snapshot.v2": Kind(BudgetCycle, TypeAdapter(CycleState)),
    "odometer-snapshot.v1": Kind(Odometer, TypeAdapter(OdometerState)),
    "alerts-snapshot.v1": Kind(Alerts, TypeAdapter(AlertsState)),
}
"""The snapshots that are taken, by stored name; of another shape they are passed over, and the events are read."""
_NAMES = {kind.aggregate: name for name, kind in SNAPSHOTS.items()}


class Snapshot(NamedTuple):
    """What an aggregate remembers at a version, so that the events before it need not be read."""

    originator_id: str
    originator_version: int
    topic: str
    state: Any

    @classmethod
    def of(cls, aggregate: Aggregate) -> "Snapshot | None":
        """The snapshot of an aggregate; none of a kind that remembers nothing."""
        name = _NAMES.get(type(aggregate))
        return cls(aggregate.id, aggregate.version, name, aggregate.state) if name else None

    def stored(self) -> StoredEvent:
        """The row of a snapshot: its state beside a SHA-256 of it."""
        state = SNAPSHOTS[self.topic].state.dump_json(self.state)
        row = b'{"sha256":"%s","state":%s}' % (sha256(state).hexdigest().encode(), state)
        return StoredEvent(self.originator_id, self.originator_version, self.topic, row)

    @classmethod
    def of_stored(cls, row: StoredEvent) -> "Snapshot | None":
        """The snapshot in a row; none if it is of another shape, or not what was written: the events tell the same."""
        digest, state = row.state[11:75], row.state[85:-1]
        if row.topic not in SNAPSHOTS or sha256(state).hexdigest().encode() != digest:
            return None
        try:
            told = SNAPSHOTS[row.topic].state.validate_json(state)
        except ValidationError:
            return None
        return cls(str(row.originator_id), row.originator_version, row.topic, told)

    def mutate(self, _: None) -> Aggregate:
        """Make the aggregate again."""
        return SNAPSHOTS[self.topic].aggregate.begin(self.originator_id, self.originator_version, self.state)


class EventMapper(Mapper[str]):
    """Writes and reads events as plain JSON, without the library's transcoder."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The row of an event."""
        if isinstance(domain_event, Snapshot):
            return domain_event.stored()
        return StoredEvent(
            domain_event.originator_id,
            domain_event.originator_version,
            domain_event.stored_as,
            domain_event.__pydantic_serializer__.to_json(domain_event, exclude_none=True),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The event of a row; a row that cannot be read is named."""
        try:
            if stored_event.topic in SNAPSHOTS:
                return Snapshot.of_stored(stored_event)
            return self._event(stored_event)
        except (ValidationError, ValueError, KeyError) as error:
            raise EventDamaged(
                f"event {stored_event.originator_version} of {stored_event.originator_id} ({stored_event.topic}) "
                "cannot be read: run `mecris audit verify`"
            ) from error

    def _event(self, stored: StoredEvent) -> Event:
        oid, version = str(stored.originator_id), stored.originator_version
        known = EVENTS.get(stored.topic)
        if known is not None:
            return known.of_stored(stored.state, oid, version)
        name, fields = today(stored.topic, json.loads(stored.state))
        if name not in EVENTS:
            raise NewerBooks(f"{oid} holds a '{name}', which this Mecris does not know: upgrade mecris")
        return EVENTS[name].of_stored(json.dumps(fields).encode(), oid, version)
