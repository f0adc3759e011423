"""What a month-to-date counter shows, month by month, and what follows from it: states, pace, and what is to be done."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from shlex import quote
from typing import NamedTuple

from .money import SHOW, ZERO
from .month import Month, months
from .period import Period, days

NO_DATA, OPEN, DUE, FINAL = "no_data", "open", "due", "final"
DUE_DAYS = 3
"""The last days of a month, in which its counter should be read before it resets."""
DAY = timedelta(days=1)


class Shown(NamedTuple):
    """What a month shows: dollars, when that was read, and whether it is final."""

    amount: Decimal
    read_at: datetime
    final: bool


class Said(NamedTuple):
    """One reading of a month, in the order recorded; `corrects` says that what stood before it was wrong."""

    amount: Decimal
    read_at: datetime
    corrects: bool = False


def standing(said: Iterable[Said]) -> list[Said]:
    """The readings of a month that stand, by when they were read: a correction takes what it corrects, and what is above it."""
    found: list[Said] = []
    for reading in said:
        if reading.corrects:
            found = [earlier for earlier in found[:-1] if earlier.amount <= reading.amount]
        found.append(reading)
        found.sort(key=lambda r: r.read_at)  # stable: of two that were read at once the later recorded one is last
    return found


def state_of(month: Month, shown: Shown | None, now: datetime) -> str:
    """`no_data`, `open`, `due` (its last three days, or over and not final) or `final`."""
    if shown is None:
        return NO_DATA
    if shown.final:
        return FINAL
    return DUE if now > month.ends - DUE_DAYS * DAY else OPEN


def listed(shown: Mapping[str, Shown], now: datetime) -> list[Month]:
    """The months from the first one with a reading to the present one, gaps included."""
    first = min(map(Month.read, shown), default=Month.of(now))
    return months(min(first, Month.of(now)), Month.of(now))


def fed_amount(shown: Mapping[str, Shown], period: Period) -> tuple[Decimal, datetime | None, list[Month]]:
    """What the months that overlap a period come to, when the newest of them was measured, and which between them are missing.

    A month that was read after its end speaks of its end.
    """
    known = {month: s for month, s in ((Month.read(name), s) for name, s in shown.items()) if month.overlaps(period)}
    if not known:
        return ZERO, None, []
    newest = max(min(s.read_at, month.ends) for month, s in known.items())
    gaps = [month for month in months(Month.of(period.first_day), max(known)) if month not in known]
    return sum((s.amount for s in known.values()), ZERO), min(newest, period.ends), gaps


class Pace(NamedTuple):
    """How fast a month counts: dollars a day up to its last reading, and what its end would show at that pace."""

    per_day: Decimal
    at_end: Decimal


def pace_of(month: Month, shown: Shown) -> Pace:
    """The pace of a month; a span shorter than a day counts as a day. Estimates, to 60 digits."""
    read_at = min(shown.read_at, month.ends)
    elapsed = max(read_at - month.begins, DAY)
    per_day = SHOW.divide(shown.amount, days(elapsed))
    return Pace(per_day, SHOW.add(shown.amount, SHOW.multiply(per_day, days(month.ends - read_at))))


class Reminder(NamedTuple):
    """What a person should do about a counter; urgency is `high`, `medium` or `low`."""

    urgency: str
    month: Month
    message: str


def reminders(provider: str, shown: Mapping[str, Shown], now: datetime) -> Iterable[Reminder]:
    """What is to be done, the most urgent first."""
    found = [reminder for month in listed(shown, now) for reminder in _of_month(provider, month, shown, now)]
    gaps = [month for month in listed(shown, now) if str(month) not in shown and month != Month.of(now)]
    found += [_of_gap(provider, first, last) for first, last in spans(gaps)]
    return sorted(found, key=lambda r: ("high", "medium", "low").index(r.urgency))


def spans(listed: Iterable[Month]) -> list[tuple[Month, Month]]:
    """Months in a row, each row as its first and its last month."""
    found: list[tuple[Month, Month]] = []
    for month in listed:
        if found and found[-1][1].next == month:
            found[-1] = (found[-1][0], month)
        else:
            found.append((month, month))
    return found


def in_words(first: Month, last: Month) -> str:
    """A row of months: `2025-03 has`, `2025-03 to 2025-07 have`."""
    return f"{first} has" if first == last else f"{first} to {last} have"


def _of_month(provider: str, month: Month, shown: Mapping[str, Shown], now: datetime) -> Iterable[Reminder]:
    known = shown.get(str(month))
    this = Month.of(now)
    command = f"mecris odometer record --provider {quote(provider)} VALUE"
    if month == this:
        left = month.period.days_left(now)
        unread = known is None or known.read_at < now - DAY
        if left < DUE_DAYS and unread and not (known and known.final):
            resets = (
                f"today is the last day of {month}"
                if not left
                else f"{left} {'day' if left == 1 else 'days'} until {month} is over"
            )
            yield Reminder(
                "high" if not left else "medium", month, f"{resets}: read the counter before it resets ({command})"
            )
        elif known is None:
            yield Reminder("low", month, f"{month} has no reading yet: read the counter ({command})")
        elif known.read_at < now - 7 * DAY and not known.final:
            yield Reminder(
                "low", month, f"{month} was last read {(now - known.read_at).days} days ago: read it again ({command})"
            )
    elif known and not known.final:
        yield Reminder(
            "medium",
            month,
            f"{month} is over and not final: check its figure, then mecris odometer finalize --provider {quote(provider)} "
            f"--month {month}",
        )


def _of_gap(provider: str, first: Month, last: Month) -> Reminder:
    command = f"mecris odometer record --provider {quote(provider)} VALUE --month {first}"
    return Reminder(
        "medium", first, f"{in_words(first, last)} no reading, which is not a 0: record what it showed ({command})"
    )
