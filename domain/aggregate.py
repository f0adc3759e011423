"""What every aggregate of the books shares: it decides with a stamp, and evolves by its events alone."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from eventsourcing.domain import BaseAggregate

from .event import Event

A = TypeVar("A", bound="Aggregate")
Mark = tuple[int, Any]
"""A version and the state at it."""
Answer = dict[str, Any]
"""What an order is answered with: plain values, ready for every door."""


_UNTIMED = datetime.min.replace(tzinfo=UTC)  # what the library keeps of times is not used: events carry their own


class Stamp(NamedTuple):
    """When, by whom and through which door: `now` is the real clock, `recorded_at` never goes backwards."""

    now: datetime
    recorded_at: datetime
    recorded_by: str
    via: str


class Aggregate(BaseAggregate[str]):
    """An aggregate whose state is one value, made and evolved by events."""

    if TYPE_CHECKING:
        state: Any  # the library would turn a class with annotations into a dataclass

    @classmethod
    def begin(cls: type[A], originator_id: str, version: int, state: Any) -> A:
        """Make an aggregate with a state."""
        aggregate = cls.__new__(cls)
        aggregate.__base_init__(originator_id, version, _UNTIMED)
        aggregate.state = state
        return aggregate

    @classmethod
    def blank(cls: type[A], originator_id: str) -> A:
        """An aggregate that nothing has happened to yet."""
        return cls.begin(originator_id, 0, cls.nothing())

    @classmethod
    def nothing(cls) -> Any:
        """The state before the first event."""
        raise NotImplementedError(f"{cls.__name__} begins with its first event")

    def record(self, stamp: Stamp, event_class: type[Event], **facts: Any) -> None:
        """Trigger an event: from here on it has happened."""
        event = event_class(
            originator_id=self.id,
            originator_version=self.version + 1,
            recorded_at=stamp.recorded_at,
            recorded_by=stamp.recorded_by,
            via=stamp.via,
            **facts,
        )
        self.evolve(event)  # what `event.mutate(self)` comes to: whose it is and which version were set just above
        self.version = event.originator_version
        self.pending_events.append(event)

    def marked(self) -> Mark:
        """Where a decision begins, to come back to if it is refused half-way."""
        return self.version, self.state.copy()

    def rewind(self, mark: Mark) -> None:
        """Forget what was triggered since; what the same order triggered before it stays."""
        self.version, self.state = mark
        self.pending_events[:] = [event for event in self.pending_events if event.originator_version <= self.version]

    def evolve(self, event: Event) -> None:
        """Take an event into the state; never refuses."""
        self.state.evolve(event)
