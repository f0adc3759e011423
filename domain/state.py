"""What a budget cycle remembers: small however many readings it has had, and evolved by events alone.

Nothing here refuses: what is stored has happened, even if today's rules would forbid it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from . import events as e
from .event import Event
from .grading import DEFAULT, Thresholds
from .money import ZERO, exactly
from .period import Period
from .tie_out import Adjustment, Ledger, Reading, Source


class Plug(NamedTuple):
    """A plug that stands or was reversed."""

    amount: Decimal
    provider: str
    rests_on: datetime
    reversed: bool


class Closed(NamedTuple):
    """When a cycle was closed, and what was left of it."""

    at: datetime
    remaining: Decimal


@dataclass
class CycleState:
    """The state of a cycle: one current and one first reading of each source, and what people decided.

    `heir` is the cycle that got what was left of this one once it was closed, and `carried` how much that was.
    """

    cycle: int
    period: Period
    target: Decimal
    notes: str | None = None
    thresholds: Thresholds = DEFAULT
    adjustments: list[Adjustment] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    plugs: dict[int, Plug] = field(default_factory=dict)
    readings: int = 0
    sources_ever: int = 0
    record: e.Record | None = None
    closed: Closed | None = None
    heir: int | None = None
    carried: Decimal = ZERO

    @classmethod
    def opened_by(cls, event: e.CycleOpened) -> "CycleState":
        """Begin a cycle."""
        return cls(event.cycle, Period(event.start_date, event.end_date, event.timezone), event.target_usd, event.notes)

    def copy(self) -> "CycleState":
        """The same state, to be evolved apart."""
        twin = CycleState.__new__(CycleState)  # every order makes one: an eighth of the time of `copy.copy`
        twin.__dict__.update(self.__dict__)
        twin.adjustments, twin.sources, twin.plugs = self.adjustments.copy(), self.sources.copy(), self.plugs.copy()
        return twin

    def evolve(self, event: Event) -> None:
        """Take in what has happened."""
        _EVOLVE[type(event)](self, event)

    @exactly
    def ledger(self) -> Ledger:
        """What a tie-out is made from."""
        plugged: dict[str, Decimal] = {}
        for plug in self.plugs.values():
            if not plug.reversed:
                plugged[plug.provider] = plugged.get(plug.provider, ZERO) + plug.amount
        return Ledger(
            self.period, self.target, self.thresholds, tuple(self.adjustments), tuple(self.sources.values()), plugged
        )

    def source_numbered(self, number: int) -> Source | None:
        """The standing source of that number."""
        return next((s for s in self.sources.values() if s.number == number), None)


def _recorded(state: CycleState, event: e.SourceRecorded) -> None:
    reading = reading_of(event)
    state.readings = event.reading
    state.sources_ever = max(state.sources_ever, event.source)
    known = state.sources.get(event.name)
    if known is None:
        known = Source(
            event.source, event.name, event.type, event.provider, event.counted, current=reading, first=reading
        )
    elif reading.measured_at >= known.current.measured_at:
        known = known._replace(current=reading)
    if reading.measured_at <= known.first.measured_at:  # at equal times the later recorded one
        known = known._replace(first=reading)
    state.sources[event.name] = known


def _retracted(state: CycleState, event: e.ReadingRetracted) -> None:
    source = state.source_numbered(event.source)
    if source is None:
        return
    if event.current is None or event.first is None:
        del state.sources[source.name]
    else:
        state.sources[source.name] = source._replace(current=reading_of(event.current), first=reading_of(event.first))


def _adjusted(state: CycleState, event: e.BudgetAdjusted) -> None:
    state.adjustments.append(Adjustment(event.amount_usd, event.at, event.provider))


def _thresholds(state: CycleState, event: e.ThresholdsChanged) -> None:
    state.thresholds = Thresholds(event.excellent, event.good, event.fair)


def _plugged(state: CycleState, event: e.PlugApplied) -> None:
    state.plugs[event.plug] = Plug(event.amount_usd, event.provider, event.rests_on, reversed=False)


def _unplugged(state: CycleState, event: e.PlugReversed) -> None:
    state.plugs[event.plug] = state.plugs[event.plug]._replace(reversed=True)


def _on_record(state: CycleState, event: e.CycleReconciled) -> None:
    state.record = event.record


def _closed(state: CycleState, event: e.CycleClosed) -> None:
    state.closed = Closed(event.recorded_at, event.record.remaining_usd)


def _reopened(state: CycleState, event: e.CycleReopened) -> None:
    state.closed = None


@exactly
def _carried(state: CycleState, event: e.RemainderCarried) -> None:
    state.heir, state.carried = event.to_cycle, state.carried + event.amount_usd


def _nothing_to_remember(state: CycleState, event: e.DiscrepancyDetected) -> None:
    """What was detected is derived from what is remembered already."""


_EVOLVE: dict[type[Event], Callable[[CycleState, Any], None]] = {
    e.SourceRecorded: _recorded,
    e.ReadingRetracted: _retracted,
    e.BudgetAdjusted: _adjusted,
    e.ThresholdsChanged: _thresholds,
    e.PlugApplied: _plugged,
    e.PlugReversed: _unplugged,
    e.CycleReconciled: _on_record,
    e.DiscrepancyDetected: _nothing_to_remember,
    e.CycleClosed: _closed,
    e.CycleReopened: _reopened,
    e.RemainderCarried: _carried,
}


def reading_of(said: e.SourceRecorded | e.StandingReading) -> Reading:
    """The reading inside an event."""
    return Reading(said.reading, said.amount_usd, said.balance_usd, said.credit_usd, said.measured_at, said.stated)


def standing(reading: Reading) -> e.StandingReading:
    """A reading, to be kept inside an event."""
    return e.StandingReading(
        reading=reading.number,
        amount_usd=reading.amount,
        balance_usd=reading.balance,
        credit_usd=reading.credit,
        measured_at=reading.measured_at,
        stated=reading.stated,
    )
