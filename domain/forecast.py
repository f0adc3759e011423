"""Burn and forecast: how fast money goes, from the history of readings, and what that comes to by the end.

Between two readings of a source, spend is taken to have grown evenly; before the first it grew from nothing at the
beginning of the cycle, and after the last nothing is known. So pace is measured up to a provider's newest
reading, and what came after is an estimate like the future is. Estimates carry 60 digits and are rounded when shown.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from .money import SHOW, ZERO, exactly
from .period import Period, days
from .tie_out import Ledger, Provider, Reading, Source, TieOut

WEEK, DAY = timedelta(days=7), timedelta(days=1)


if TYPE_CHECKING:  # it costs every start of the command line otherwise
    from typing import Protocol

    class Around(Protocol):
        """The history of a source around a moment."""

        def around(self, source: Source, moment: datetime) -> tuple[Reading | None, Reading | None]:
            """Its last reading measured by then, and the first one measured later."""


class Curve(NamedTuple):
    """What a cycle had cost at any moment, by the readings around it."""

    ledger: Ledger
    providers: Sequence[Provider]
    history: "Around"

    @exactly
    def spent(self, moment: datetime) -> Decimal:
        """What all providers had cost at a moment."""
        return sum((self.spent_by(p, moment) for p in self.providers), ZERO)

    def spent_by(self, p: Provider, moment: datetime) -> Decimal:
        """What one provider had cost at a moment: as it was looked at, and what its meters counted since."""
        observed = sum((self._said(look, moment) for look in p.looks), ZERO)
        if p.looks and moment <= min(self.ledger.moment_of(look.current) for look in p.looks):
            return observed
        return observed + sum((max(ZERO, self._said(s.meter, moment) - s.amount) for s in p.seen), ZERO)

    def _said(self, source: Source, moment: datetime) -> Decimal:
        """What a source would have said at a moment."""
        period = self.ledger.period
        if moment >= min(source.current.measured_at, period.ends):
            return self.ledger.said(source)
        before, after = (
            (None, source.first) if moment < source.first.measured_at else self.history.around(source, moment)
        )
        begins, low = (
            (before.measured_at, self.ledger.amount_of(before, source.provider)) if before else (period.begins, ZERO)
        )
        if after is None or after.measured_at <= begins:
            return low
        high, ends = self.ledger.amount_of(after, source.provider), self.ledger.moment_of(after)
        share = SHOW.divide(Decimal((moment - begins) // _TICK), Decimal(max(ends - begins, _TICK) // _TICK))
        return SHOW.add(low, SHOW.multiply(SHOW.subtract(high, low), min(max(share, ZERO), Decimal(1))))


_TICK = timedelta(microseconds=1)


class Pace(NamedTuple):
    """How fast a provider spends, in dollars a day, measured up to its newest reading.

    A reading after the last day speaks of its end: `measured_at` is what it speaks of, `read_at` when it was really measured.
    """

    provider: str
    measured_at: datetime
    spent: Decimal
    week: Decimal
    cycle: Decimal
    read_at: datetime

    def at(self, moment: datetime, per_day: Decimal) -> Decimal:
        """What it comes to at a later moment, at so many dollars a day."""
        return SHOW.add(self.spent, SHOW.multiply(per_day, days(max(moment - self.measured_at, timedelta()))))


class Range(NamedTuple):
    """An estimate and its bounds: at the pace of the last 7 days, and between that pace and that of the whole cycle."""

    low: Decimal
    likely: Decimal
    high: Decimal


class Forecast(NamedTuple):
    """Burn and forecast of a cycle, in USD. None where no reading says anything.

    `today` is what was spent today as far as it was measured; `week` and `cycle` are dollars a day.
    """

    today: Decimal | None
    week: Decimal | None
    cycle: Decimal | None
    spent: Range | None
    remaining: Range | None
    runs_out: date | None
    paces: tuple[Pace, ...]


def newest(p: Provider) -> datetime | None:
    """When a provider was measured last."""
    return max((s.current.measured_at for s in (*p.looks, *(s.meter for s in p.seen))), default=None)


@exactly
def forecast(curve: Curve, figures: TieOut, now: datetime, *, closed: bool = False) -> Forecast:
    """Work out burn and forecast at a moment; of a closed cycle nothing more is to be expected."""
    period = curve.ledger.period
    paces = tuple(_paces(curve))
    if not paces:
        return Forecast(None, None, None, None, None, None, ())
    to_come = tuple(p._replace(week=ZERO, cycle=ZERO) for p in paces) if closed else paces
    ends = _at_end(to_come, period)
    remaining = Range(*(SHOW.subtract(figures.budget, spent) for spent in (ends.high, ends.likely, ends.low)))
    return Forecast(
        today=_today(curve, paces, now),
        week=sum((p.week for p in paces), ZERO),
        cycle=sum((p.cycle for p in paces), ZERO),
        spent=ends,
        remaining=remaining,
        runs_out=_runs_out(figures.budget, to_come, period, now),
        paces=paces,
    )


def _paces(curve: Curve) -> Iterable[Pace]:
    period = curve.ledger.period
    for p in curve.providers:
        read_at = newest(p)
        if read_at is None:
            continue
        measured_at = min(read_at, period.ends)
        spent = curve.spent_by(p, measured_at)
        since = max(period.begins, measured_at - WEEK)
        yield Pace(
            p.name,
            measured_at,
            spent,
            _per_day(spent - curve.spent_by(p, since), measured_at - since),
            _per_day(spent, measured_at - period.begins),
            read_at,
        )


def _per_day(spent: Decimal, span: timedelta) -> Decimal:
    """Dollars a day; a span shorter than a day counts as a day, and what a meter took back is no pace."""
    return SHOW.divide(max(spent, ZERO), days(max(span, DAY)))


def _today(curve: Curve, paces: Sequence[Pace], now: datetime) -> Decimal | None:
    """What was spent today, by the providers that were measured today; None if none was."""
    period = curve.ledger.period
    midnight = max(period.midnight(period.today(now)), period.begins)
    measured = {p.provider for p in paces if midnight <= p.measured_at <= now}
    if not measured:
        return None
    return sum(
        (curve.spent_by(p, now) - curve.spent_by(p, midnight) for p in curve.providers if p.name in measured), ZERO
    )


def _at_end(paces: Sequence[Pace], period: Period) -> Range:
    """What the cycle comes to by its end."""
    ends = period.ends
    slow = sum((p.at(ends, min(p.week, p.cycle)) for p in paces), ZERO)
    likely = sum((p.at(ends, p.week) for p in paces), ZERO)
    fast = sum((p.at(ends, max(p.week, p.cycle)) for p in paces), ZERO)
    return Range(slow, likely, fast)


def _runs_out(budget: Decimal, paces: Sequence[Pace], period: Period, now: datetime) -> date | None:
    """The day on which nothing is left at the pace of the last 7 days; None if that is not before the cycle ends."""
    last = min(now, period.ends)
    left = budget - sum((p.at(last, p.week) for p in paces), ZERO)
    if left <= 0:
        return _when_reached(budget, paces, period)
    per_day = sum((p.week for p in paces), ZERO)
    if not per_day or SHOW.multiply(per_day, days(period.ends - last)) < left:
        return None
    return period.today(last + _span(left, per_day))


def _when_reached(budget: Decimal, paces: Sequence[Pace], period: Period) -> date | None:
    """The day on which the budget was used up, as far as readings and pace tell: not before the newest of them."""
    left = budget - sum((p.spent for p in paces), ZERO)
    newest = max(p.measured_at for p in paces)
    per_day = sum((p.week for p in paces), ZERO)
    return period.today(newest + _span(max(left, ZERO), per_day) if per_day else newest)


def _span(left: Decimal, per_day: Decimal) -> timedelta:
    return timedelta(microseconds=int(SHOW.divide(SHOW.multiply(left, Decimal(86_400_000_000)), per_day)))
