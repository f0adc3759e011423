"""Between events and bytes: pydantic's JSON straight to the log and back, under stored names."""

import json
from hashlib import sha256
from typing import Any, ClassVar

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ..domain.cycle import BudgetCycle
from ..domain.errors import EventDamaged, NewerBooks
from ..domain.events import Event
from ..domain.old_shapes import today
from ..domain.state import CycleState
from .names import EVENTS


class CycleSnapshot(BaseModel):
    """What a cycle remembers at a version, so that the events before it need not be read."""

    model_config = ConfigDict(frozen=True)
    stored_as: ClassVar[str] = "cycle-snapshot.v1"
    originator_id: str
    originator_version: int
    state: CycleState

    def stored(self) -> StoredEvent:
        """The row of a snapshot: its state beside a SHA-256 of it."""
        state = self.model_dump_json(include={"state"}).encode()[len(b'{"state":') : -1]
        row = b'{"sha256":"%s","state":%s}' % (sha256(state).hexdigest().encode(), state)
        return StoredEvent(self.originator_id, self.originator_version, self.stored_as, row)

    @classmethod
    def of_stored(cls, row: StoredEvent) -> "CycleSnapshot | None":
        """The snapshot in a row; none if it is of another shape, or not what was written: the events tell the same."""
        digest, state = row.state[11:75], row.state[85:-1]
        if row.topic != cls.stored_as or sha256(state).hexdigest().encode() != digest:
            return None
        try:
            told = TypeAdapter(CycleState).validate_json(state)
        except ValidationError:
            return None
        return cls(originator_id=str(row.originator_id), originator_version=row.originator_version, state=told)

    def mutate(self, _: None) -> BudgetCycle:
        """Make the cycle again."""
        return BudgetCycle.restored(self.originator_id, self.originator_version, self.state)


class EventMapper(Mapper[str]):
    """Writes and reads events as plain JSON, without the library's transcoder."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The row of an event."""
        if isinstance(domain_event, CycleSnapshot):
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
            if stored_event.topic == CycleSnapshot.stored_as:
                return CycleSnapshot.of_stored(stored_event)
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
