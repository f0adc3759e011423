"""Odometers: a provider's month-to-date counter that a person reads off, and the cycles that it feeds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from . import commands as c
from . import odometer_events as e
from .aggregate import Aggregate, Answer, Stamp
from .counter import Said, Shown, fed_amount, in_words, spans, standing
from .errors import AmountRefused, NotFound, RuleRefused, TimeRefused
from .event import Event
from .ids import odometer_key
from .money import dollars, exactly
from .month import Month
from .period import LATE, Period, end_of, time_text
from .text import name_of, reason_of


class Feed(NamedTuple):
    """A cycle that gets a reading with each reading of the counter."""

    cycle: int
    period: Period


@dataclass
class OdometerState:
    """The state of an odometer: what each month shows, and whom it feeds."""

    months: dict[str, Shown] = field(default_factory=dict)
    feeds: dict[int, Feed] = field(default_factory=dict)

    def copy(self) -> "OdometerState":
        """The same state, to be evolved apart."""
        return OdometerState(self.months.copy(), self.feeds.copy())

    def evolve(self, event: Event) -> None:
        """Take in what has happened."""
        _EVOLVE[type(event)](self, event)


def _read(state: OdometerState, event: e.OdometerRead) -> None:
    known = state.months.get(event.month)
    if known is None or event.read_at >= known.read_at:
        state.months[event.month] = Shown(event.amount_usd, event.read_at, final=False)


def _corrected(state: OdometerState, event: e.OdometerCorrected) -> None:
    final = event.month in state.months and state.months[event.month].final
    state.months[event.month] = Shown(event.amount_usd, event.read_at, final)


def _finalized(state: OdometerState, event: e.MonthFinalized) -> None:
    state.months[event.month] = state.months[event.month]._replace(final=True)


def _reopened(state: OdometerState, event: e.MonthReopened) -> None:
    state.months[event.month] = state.months[event.month]._replace(final=False)


def _fed(state: OdometerState, event: e.FeedBegun) -> None:
    state.feeds[event.fed_cycle] = Feed(event.fed_cycle, Period(event.first_day, event.last_day, event.timezone))


def _unfed(state: OdometerState, event: e.FeedEnded) -> None:
    del state.feeds[event.fed_cycle]


_EVOLVE: dict[type[Event], Callable[[OdometerState, Any], None]] = {
    e.OdometerRead: _read,
    e.OdometerCorrected: _corrected,
    e.MonthFinalized: _finalized,
    e.MonthReopened: _reopened,
    e.FeedBegun: _fed,
    e.FeedEnded: _unfed,
}

Days = Callable[[int], Period | None]
Readings = Callable[[str], Iterable[Said]]
"""The days of a cycle, if there is one of that number."""


class Odometer(Aggregate):
    """One provider's counter."""

    if TYPE_CHECKING:
        state: OdometerState  # the library would turn a class with annotations into a dataclass

    @classmethod
    def nothing(cls) -> OdometerState:
        """Nothing was read, and nobody is fed."""
        return OdometerState()

    @property
    def provider(self) -> str:
        """Whose counter it is."""
        return self.id.removeprefix(odometer_key(""))

    @exactly
    def decide(self, order: c.OdometerCommand, stamp: Stamp, days: Days, said: Readings) -> Answer:
        """Do what an order says, or refuse it; `said` tells the readings of a month."""
        if not order.provider or name_of(order.provider, "the provider") != order.provider:
            raise RuleRefused(
                f"an odometer needs a provider without spaces around it, like groq, not {order.provider[:50]!r}",
                code="name",
            )
        before = len(self.pending_events)
        if isinstance(order, c.FeedCycle):
            answer = self._feed(order, stamp, days)
        elif isinstance(order, c.ReadOdometer):
            answer = self._read(order, stamp, said)
        else:
            answer = _DECIDE[type(order)](self, order, stamp)
        return {"provider": self.provider, "recorded": len(self.pending_events) > before, **answer}

    # -- reading ------------------------------------------------------------------------------------------------

    def _read(self, order: c.ReadOdometer, stamp: Stamp, said: Readings) -> Answer:
        read_at = stamp.now if order.read_at is None else end_of(order.read_at, stamp.now)
        month = Month.of(read_at) if order.month is None else Month.read(order.month)
        known = self.state.months.get(str(month))
        notes = reason_of(order.notes, "the note") if order.notes is not None else None
        _require_time(month, read_at, stamp, corrects=order.correct and known is not None)
        if order.amount_usd < 0:
            raise AmountRefused(f"the counter cannot show {dollars(order.amount_usd)}: give what it shows, 0 or more")
        if not order.correct and order.reason is not None:
            raise RuleRefused("a reason is for a correction: give it with --correct, or use --notes", code="correct")
        if known and order.read_at is None:
            read_at = max(read_at, known.read_at)  # a clock that was ahead does not make later readings history
        facts = {
            "provider": self.provider,
            "month": str(month),
            "amount_usd": order.amount_usd,
            "read_at": read_at,
            "stated": order.read_at is not None,
            "notes": notes,
        }
        if order.correct:
            return self._correct(order, known, facts, stamp)
        if known and self._said_before(known, order, read_at):
            return {"month": str(month), "amount_usd": order.amount_usd, "warnings": []}
        _require_rising(month, known, order.amount_usd, read_at)
        if known and read_at < known.read_at:
            _require_between(month, standing(said(str(month))), order.amount_usd, read_at)
        self.record(stamp, e.OdometerRead, **facts)
        return {
            "month": str(month),
            "amount_usd": order.amount_usd,
            "read_at": time_text(read_at),
            "warnings": list(self._history(month, known, read_at)),
        }

    def _said_before(self, known: Shown, order: c.ReadOdometer, read_at: datetime) -> bool:
        """Is it the identical statement? Without a stated time two readings are never identical."""
        return order.read_at is not None and (known.amount, known.read_at) == (order.amount_usd, read_at)

    @staticmethod
    def _history(month: Month, known: Shown | None, read_at: datetime) -> Iterable[str]:
        if known and read_at < known.read_at:
            yield f"{month} was read later, at {time_text(known.read_at)}: this reading is history and does not become current"

    def _correct(self, order: c.ReadOdometer, known: Shown | None, facts: Answer, stamp: Stamp) -> Answer:
        reason = reason_of(order.reason or "", "the reason of a correction")
        month = facts["month"]
        if known is None:
            raise RuleRefused(
                f"{month} has no reading to correct: record it without --correct", code="nothing-to-correct"
            )
        if facts["read_at"] < known.read_at:
            raise TimeRefused(
                f"{month} was read at {time_text(known.read_at)}: a correction counts from then on at the earliest, so leave "
                "--read-at out",
                code="read-before",
            )
        change = order.amount_usd - known.amount
        if not change:
            return {"month": month, "amount_usd": order.amount_usd, "change_usd": change, "warnings": []}
        self.record(stamp, e.OdometerCorrected, **facts, change_usd=change, reason=reason)
        return {
            "month": month,
            "amount_usd": order.amount_usd,
            "change_usd": change,
            "read_at": time_text(facts["read_at"]),
            "warnings": [],
        }

    # -- months -------------------------------------------------------------------------------------------------

    def _finalize(self, order: c.FinalizeMonth, stamp: Stamp) -> Answer:
        month = Month.read(order.month)
        known = self._known(month)
        if not known.final:
            self.record(stamp, e.MonthFinalized, provider=self.provider, month=str(month), amount_usd=known.amount)
        return {"month": str(month), "amount_usd": known.amount, "warnings": list(_to_come(month, stamp.now))}

    def _reopen(self, order: c.ReopenMonth, stamp: Stamp) -> Answer:
        reason = reason_of(order.reason, "the reason")
        month = Month.read(order.month)
        known = self._known(month)
        if not known.final:
            raise RuleRefused(f"{month} is not final: nothing has to be reopened", code="not-final")
        self.record(stamp, e.MonthReopened, provider=self.provider, month=str(month), reason=reason)
        return {"month": str(month), "amount_usd": known.amount}

    def _known(self, month: Month) -> Shown:
        known = self.state.months.get(str(month))
        if known is None:
            raise NotFound(
                f"the odometer of '{self.provider}' has no reading of {month}: a gap is not a 0, record what it showed first",
                code="month-not-found",
            )
        return known

    # -- feeding ------------------------------------------------------------------------------------------------

    def _feed(self, order: c.FeedCycle, stamp: Stamp, days: Days) -> Answer:
        period = days(order.cycle_id)
        if period is None:
            raise NotFound(
                f"there is no cycle {order.cycle_id}: `mecris budget cycle list` shows those there are",
                code="cycle-not-found",
            )
        name_of(self.source, "the source that the cycle would get")
        if order.cycle_id not in self.state.feeds:
            self.record(
                stamp,
                e.FeedBegun,
                provider=self.provider,
                fed_cycle=order.cycle_id,
                first_day=period.first_day,
                last_day=period.last_day,
                timezone=period.timezone,
            )
        warnings = [*self._unread(), *reaching_beyond(period)]
        return {"cycle_id": order.cycle_id, "source": self.source, "warnings": warnings}

    def _unread(self) -> Iterable[str]:
        """A cycle may be fed before the first reading, but a misspelled name would never get one."""
        if not self.state.months:
            yield (
                f"there is no reading of '{self.provider}' yet: if that is its name, read its counter "
                f"(mecris odometer record --provider {quote(self.provider)} VALUE)"
            )

    def _stop(self, order: c.StopFeeding, stamp: Stamp) -> Answer:
        reason = reason_of(order.reason, "the reason")
        if order.cycle_id not in self.state.feeds:
            raise RuleRefused(
                f"the odometer of '{self.provider}' does not feed cycle {order.cycle_id}: nothing has to be stopped",
                code="not-fed",
            )
        self.record(stamp, e.FeedEnded, provider=self.provider, fed_cycle=order.cycle_id, reason=reason)
        return {"cycle_id": order.cycle_id}

    @property
    def source(self) -> str:
        """What the counter is called among the sources of a cycle."""
        return f"{self.provider} odometer"

    @exactly
    def readings_for_cycles(self) -> Iterable[tuple[c.RecordSource, list[str]]]:
        """What each fed cycle is told now, with what to know about it."""
        for feed in self.state.feeds.values():
            amount, measured_at, gaps = fed_amount(self.state.months, feed.period)
            if measured_at is None:
                continue
            order = c.RecordSource(
                cycle_id=feed.cycle,
                source=self.source,
                type="manual",
                provider=self.provider,
                amount=amount,
                measured_at=measured_at,
            )
            yield (
                order,
                [
                    f"{in_words(first, last)} no reading: what cycle {feed.cycle} is told leaves that out"
                    for first, last in spans(gaps)
                ],
            )


def _require_time(month: Month, read_at: datetime, stamp: Stamp, *, corrects: bool) -> None:
    this = Month.of(stamp.now)
    if month > this and not corrects:
        raise TimeRefused(f"{month} has not come yet: the counter shows {this} now", code="future-month")
    if read_at > stamp.now + LATE:
        raise TimeRefused(f"{time_text(read_at)} has not come yet: say when the counter was read, at the latest now")
    if read_at < month.begins and not corrects:
        raise TimeRefused(
            f"{month} began at {time_text(month.begins)}, it could not be read at {time_text(read_at)}: "
            "give the month that was read, or another --read-at",
            code="read-before",
        )


def _require_rising(month: Month, known: Shown | None, amount: Decimal, read_at: datetime) -> None:
    """Within a month a counter only rises, and a final month stays as it is."""
    if known is None:
        return
    if known.final:
        raise RuleRefused(
            f"{month} is final at {dollars(known.amount)}: use --correct with a --reason, or reopen it "
            "(mecris odometer reopen)",
            code="month-final",
        )
    if read_at >= known.read_at and amount < known.amount:
        raise RuleRefused(
            f"{month} stood at {dollars(known.amount)} already, and a counter only rises: {dollars(amount)} needs --correct "
            "with a --reason if the figure before was wrong, or another --month",
            code="counter-fell",
        )


def _require_between(month: Month, stood: list[Said], amount: Decimal, read_at: datetime) -> None:
    """A reading of before fits between those around it that stand."""
    before = [reading for reading in stood if reading.read_at <= read_at]
    after = [reading for reading in stood if reading.read_at > read_at]
    if before and amount < before[-1].amount:
        raise RuleRefused(
            f"{month} stood at {dollars(before[-1].amount)} before, at {time_text(before[-1].read_at)}, and a counter only "
            f"rises: it cannot have shown {dollars(amount)} after; give another --read-at",
            code="counter-fell",
        )
    if after and amount > after[0].amount:
        raise RuleRefused(
            f"{month} stood at {dollars(after[0].amount)} later, at {time_text(after[0].read_at)}, and a counter only rises: "
            f"it cannot have shown {dollars(amount)} before; use --correct with a --reason if the later figure was wrong",
            code="counter-fell",
        )


def _to_come(month: Month, now: datetime) -> Iterable[str]:
    """What a month that is final already will not show; it is told and not refused, as on its last evening that is how it is done."""
    left = month.period.days_left(now)
    if left:
        yield f"{month} is not over, {left} {'day of it is' if left == 1 else 'days of it are'} to come: reopen it to read {'it' if left == 1 else 'them'}"
    elif now <= month.ends:
        yield f"{month} is not over, today is its last day: reopen it to read what is still to come"


def reaching_beyond(period: Period) -> Iterable[str]:
    """Which months a cycle shares only in part: their counters hold money of other days too."""
    for month in dict.fromkeys((Month.of(period.first_day), Month.of(period.last_day))):
        days = month.period
        if days.first_day < period.first_day:
            yield f"{month} begins on {days.first_day}, before the cycle does ({period.first_day}): what was spent in between is in its readings"
        if days.last_day > period.last_day:
            yield f"{month} goes on until {days.last_day}, after the cycle ends ({period.last_day}): what is spent then will be in its readings"


_DECIDE: dict[type[c.OdometerCommand], Any] = {
    c.FinalizeMonth: Odometer._finalize,
    c.ReopenMonth: Odometer._reopen,
    c.StopFeeding: Odometer._stop,
}
