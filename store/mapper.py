"""Between events and bytes: pydantic's JSON straight to the log and back, under stored names."""

import json
from typing import Any, ClassVar

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from pydantic import BaseModel, ConfigDict, ValidationError

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

    def mutate(self, _: None) -> BudgetCycle:
        """Make the cycle again."""
        return BudgetCycle.restored(self.originator_id, self.originator_version, self.state)


class EventMapper(Mapper[str]):
    """Writes and reads events as plain JSON, without the library's transcoder."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The row of an event."""
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
                return CycleSnapshot.model_validate_json(stored_event.state)
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
