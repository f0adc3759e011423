"""Events of a budget cycle: what has happened. Past tense, frozen, and nothing refuses them any more.

Every event carries when it was recorded, by whom and through which door. Amounts are exact decimals of
US dollars; what was stated in another currency is kept beside them.
"""

from datetime import date
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from .event import Event, Moment, Usd


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
    """The budget was topped up or corrected; it counts from `at`, for the credit of `provider` ('' for any).

    `rolled_over_from` is the closed cycle whose remainder this is, if it is one.
    """

    stored_as: ClassVar[str] = "budget-adjusted.v2"
    adjustment: int
    amount_usd: Usd
    at: Moment
    reason: str
    provider: str = ""
    rolled_over_from: int | None = None


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


class CycleClosed(Event):
    """The cycle was closed with these final figures; `accepted` names what stood against it."""

    stored_as: ClassVar[str] = "cycle-closed.v1"
    record: Record
    accepted: tuple[str, ...] = ()
    reason: str | None = None


class CycleReopened(Event):
    """A closed cycle takes statements again."""

    stored_as: ClassVar[str] = "cycle-reopened.v1"
    reason: str


class RemainderCarried(Event):
    """What was left of this closed cycle went over to another, or what had changed of it since."""

    stored_as: ClassVar[str] = "remainder-carried.v1"
    to_cycle: int
    amount_usd: Usd
    remaining_usd: Usd


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
    CycleClosed,
    CycleReopened,
    RemainderCarried,
)
"""Everything that can happen to a budget cycle."""
