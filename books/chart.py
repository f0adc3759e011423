"""What a burn-down chart shows: budget, spend, plugs and forecast, day by day."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ..domain.money import ZERO, exactly
from ..domain.period import time_text
from ..domain.tie_out import Ledger
from ..projections import ledger
from .answers import estimate
from .questions import Book, Questions

POINTS = 100
"""Days that are shown at most; of a longer cycle every so many."""


@exactly
def series(ask: Questions, book: Book) -> dict[str, Any]:
    """The points of a chart: at the end of each day, in USD. Spend is known up to the newest reading, and expected after it."""
    period, clock = book.cycle.period, book.moment.clock
    curve, outlook = book.curve, ask.outlook(book)
    paces, closed = outlook.expected.paces, ask.is_closed(book)
    newest = max((p.measured_at for p in paces), default=period.begins)
    points = []
    for moment in _ends_of_days(book):
        known = not paces or period.today(moment) <= period.today(newest)
        expected = None if known else sum((p.spent if closed else p.at(moment, p.week) for p in paces), ZERO)
        points.append(
            {
                "day": period.today(moment).isoformat(),
                "budget_usd": _budget_at(book.ledger, _known(book, moment)),
                "spent_usd": estimate(curve.spent(moment)) if paces and known else None,
                "plugged_usd": _plugged_at(ask, book, _known(book, moment)),
                "forecast_usd": estimate(expected),
            }
        )
    return {
        "cycle_id": book.cycle.id,
        "start_date": period.first_day.isoformat(),
        "end_date": period.last_day.isoformat(),
        "today": period.today(clock).isoformat(),
        "newest": time_text(newest) if paces else None,
        "points": points,
        "position": book.moment.position,
        "as_of": book.moment.as_of,
        "measured_by": None if book.moment.measured_by is None else time_text(book.moment.measured_by),
    }


def _ends_of_days(book: Book) -> list[datetime]:
    """The last moment of each day that is shown, the last day among them; today counts as now."""
    period = book.cycle.period
    length = (period.last_day - period.first_day).days
    step = length // POINTS + 1
    days = [period.first_day + timedelta(days=n) for n in range(0, length + 1, step)]
    if days[-1] != period.last_day:
        days.append(period.last_day)
    return [period.end_of(of, book.moment.clock) for of in days]


def _known(book: Book, moment: datetime) -> datetime:
    """What comes later than the moment that is asked about is not shown."""
    by = book.moment.measured_by
    return moment if by is None else min(moment, by)


def _budget_at(books: Ledger, moment: datetime) -> Decimal:
    return sum((a.amount for a in books.adjustments if a.at <= moment), books.target)


def _plugged_at(ask: Questions, book: Book, moment: datetime) -> Decimal:
    """The plugs that rest on readings up to a moment."""
    at = book.moment.at._replace(measured_by=moment)
    return sum(ledger.plugs(ask.connection, book.cycle, at).values(), ZERO)
