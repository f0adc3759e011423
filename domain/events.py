"""Events: what has happened. Past tense, frozen, and nothing refuses them any more.

Every event carries when it was recorded, by whom and through which door. Amounts are exact decimals of
US dollars; what was stated in another currency is kept beside them.
"""

from datetime import date, datetime
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

    def apply(self, aggregate: Any) -> None:
        """Evolve the aggregate; what an event does to the state never refuses."""
        aggregate.evolve(self)


class CycleOpened(Event):
    """A budgeting period was opened: days inclusive, in the named time zone."""

    stored_as: ClassVar[str] = "cycle-opened.v1"
    cycle: int
    start_date: date
    end_date: date
    target_usd: Usd
    timezone: str
    notes: str | None = None

    def mutate(self, aggregate: Any) -> Any:
        """Make the aggregate: this is its first event."""
        from .cycle import BudgetCycle

        return BudgetCycle.opened_by(self)


class BudgetAdjusted(Event):
    """The budget was topped up or corrected; it counts from `at`, for the credit of `provider` ('' for any)."""

    stored_as: ClassVar[str] = "budget-adjusted.v1"
    adjustment: int
    amount_usd: Usd
    at: Moment
    reason: str
    provider: str = ""


class ThresholdsChanged(Event):
    """The inclusive bounds of the grades were set, in percent."""

    stored_as: ClassVar[str] = "thresholds-changed.v1"
    excellent: Usd
    good: Usd
    fair: Usd


class Stated(BaseModel):
    """What was said in another currency, and the rate (USD per unit) it was converted by."""

    model_config = ConfigDict(frozen=True)
    currency: str
    rate: Usd
    amount: Usd | None = None
    balance: Usd | None = None
    credit: Usd | None = None


class SourceRecorded(Event):
    """A source said how much the cycle had cost so far: an amount, or a balance and perhaps its credit."""

    stored_as: ClassVar[str] = "source-recorded.v1"
    reading: int
    source: int
    name: str
    type: str
    provider: str = ""
    counted: bool = True
    amount_usd: Usd | None = None
    balance_usd: Usd | None = None
    credit_usd: Usd | None = None
    measured_at: Moment
    stated: bool
    stated_as: Stated | None = None
    payload: str | None = None


class StandingReading(BaseModel):
    """A reading as it stood when another one, or itself, was retracted."""

    model_config = ConfigDict(frozen=True)
    reading: int
    amount_usd: Usd | None = None
    balance_usd: Usd | None = None
    credit_usd: Usd | None = None
    measured_at: Moment
    stated: bool


class ReadingRetracted(Event):
    """A reading was taken back; `current` and `first` stand in its source from now on (none: the source is gone)."""

    stored_as: ClassVar[str] = "reading-retracted.v1"
    source: int
    retracted: StandingReading
    reason: str
    current: StandingReading | None = None
    first: StandingReading | None = None


class PlugApplied(Event):
    """Spend that no realtime source saw was explained; it rests on the manual readings up to `rests_on`."""

    stored_as: ClassVar[str] = "plug-applied.v1"
    plug: int
    amount_usd: Usd
    reason: str
    provider: str
    rests_on: Moment
    evidence: str | None = None


class PlugReversed(Event):
    """A plug was undone; `amount_usd` is its opposite."""

    stored_as: ClassVar[str] = "plug-reversed.v1"
    plug: int
    amount_usd: Usd
    reason: str
    provider: str
    rests_on: Moment


class ProviderFigures(BaseModel):
    """The tie-out of one provider as it stood on record."""

    model_config = ConfigDict(frozen=True)
    provider: str
    observed_usd: Usd
    tracked_then_usd: Usd
    tracked_usd: Usd
    plugged_usd: Usd
    unexplained_usd: Usd
    grade: str
    diff_usd: Usd
    base_usd: Usd


class PairFigures(BaseModel):
    """A realtime source `a` and a manual source `b` of one provider as they stood on record."""

    model_config = ConfigDict(frozen=True)
    source_a: int
    source_b: int
    amount_a_usd: Usd
    amount_b_usd: Usd
    diff_usd: Usd
    base_usd: Usd
    grade: str
    analysis: str


class Record(BaseModel):
    """What was observed and booked when somebody looked: the figures a person relied on."""

    model_config = ConfigDict(frozen=True)
    budget_usd: Usd
    tracked_usd: Usd
    plugged_usd: Usd
    unexplained_usd: Usd
    remaining_usd: Usd
    grade: str
    diff_usd: Usd
    base_usd: Usd
    providers: tuple[ProviderFigures, ...]
    pairs: tuple[PairFigures, ...]


class CycleReconciled(Event):
    """Somebody looked: the tie-out and all pairs were put on record."""

    stored_as: ClassVar[str] = "cycle-reconciled.v1"
    record: Record


class DiscrepancyDetected(Event):
    """A pair differed in a provider that did not tie out; `diff_usd` of `base_usd`, the larger of the two."""

    stored_as: ClassVar[str] = "discrepancy-detected.v1"
    provider: str
    source_a: int
    source_b: int
    diff_usd: Usd
    base_usd: Usd
    grade: str
    analysis: str


CYCLE_EVENTS: tuple[type[Event], ...] = (
    CycleOpened,
    BudgetAdjusted,
    ThresholdsChanged,
    SourceRecorded,
    ReadingRetracted,
    PlugApplied,
    PlugReversed,
    CycleReconciled,
    DiscrepancyDetected,
)
"""Everything that can happen to a budget cycle."""
