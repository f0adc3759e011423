"""What every event is: something that has happened, told by somebody at a moment, under a name for good."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from eventsourcing.domain import CanMutateAggregate
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from .money import plain
from .period import as_text

Usd = Annotated[Decimal, PlainSerializer(plain, when_used="json")]
Moment = Annotated[datetime, PlainSerializer(as_text, when_used="json")]


class Event(BaseModel, CanMutateAggregate[str]):
    """One thing that happened to one aggregate. `stored_as` is its name in the log: a promise for good."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stored_as: ClassVar[str]
    originator_id: str = Field(default="", exclude=True)
    originator_version: int = Field(default=0, exclude=True)
    recorded_at: Moment
    recorded_by: str
    via: str

    # The library's own name for it; as an annotated attribute of its mixin, pydantic would take it for a field.
    timestamp: ClassVar[Any] = property(lambda event: event.recorded_at)  # type: ignore[misc]

    @classmethod
    def of_stored(cls, state: bytes, originator_id: str, originator_version: int) -> Self:
        """The event in a stored row; whose it is stands beside the JSON, not in it."""
        event: Self = cls.__pydantic_validator__.validate_json(state)
        event.__dict__.update(originator_id=originator_id, originator_version=originator_version)
        return event

    def mutate(self, aggregate: Any) -> Any:
        """Take the event into its aggregate; the first event of most makes it."""
        return super().mutate(self.first_of() if aggregate is None else aggregate)

    def first_of(self) -> Any:
        """The aggregate that nothing has happened to yet."""
        raise NotImplementedError(f"{self.stored_as} is the first event of nothing")

    def apply(self, aggregate: Any) -> None:
        """Evolve the aggregate; what an event does to the state never refuses."""
        aggregate.evolve(self)
