"""Days, zones and moments: when a cycle begins and ends, and what people mean by WHEN."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from .errors import TimeRefused
from .money import SHOW

LATE = timedelta(minutes=5)
"""A reading whose time was not stated may have been typed in this late; clocks may differ this much."""

MOMENT = timedelta(microseconds=1)
"""The shortest time there is."""

When = datetime | date | str
"""What people say for a moment: an ISO date-time, a date, or either as text."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(
    _DATE.pattern + r"[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?", re.ASCII | re.IGNORECASE
)


def zone(name: str) -> tzinfo:
    """The time zone of that IANA name, like 'Europe/Berlin'."""
    return UTC if name == "UTC" else _zone(name)


@lru_cache
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo  # only for those who need it: it would cost every start of the command line

    try:
        if name in ("localtime", "posixrules"):  # what these are differs from machine to machine
            raise KeyError(name)
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise TimeRefused(f"time zone {name!r} is unknown: give an IANA name like Europe/Berlin") from None


def day(value: date | str) -> date:
    """Read a calendar day; a text must be YYYY-MM-DD."""
    if isinstance(value, str) and not _DATE.fullmatch(value.strip()):
        raise TimeRefused(f"{value} is not written as a day: write it like 2025-09-01")
    read = _from_iso(value.strip()) if isinstance(value, str) else value
    if isinstance(read, datetime) or not isinstance(read, date):
        raise TimeRefused(f"{value!s} is not a day of the calendar: give one like 2025-09-01")
    if not _in_range(read):
        raise TimeRefused(f"{value!s} is out of range: give a day from 1970 to 9000")
    return read


def text_of(moment: datetime) -> str:
    """A moment as stored: UTC, always six digits of fraction, so that text order is time order."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")[:-6] + "Z"


as_text = lru_cache(text_of)
"""The same for moments that come again and again."""


@lru_cache
def time_text(moment: datetime) -> str:
    """A moment for people and programs: ISO 8601 in UTC, with a fraction only where there is one."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def from_text(text: str) -> datetime:
    """Read a stored moment."""
    return datetime.fromisoformat(text)


class Period(NamedTuple):
    """The days of a cycle, both inclusive, in their time zone."""

    first_day: date
    last_day: date
    timezone: str = "UTC"

    @property
    def begins(self) -> datetime:
        """The first moment of the first day, in UTC."""
        return self.midnight(self.first_day)

    @property
    def ends(self) -> datetime:
        """The end of the last day, in UTC."""
        return last_moment(self.last_day, self.timezone)

    def midnight(self, of: date) -> datetime:
        """The first moment of a day in this zone, in UTC."""
        return _midnight(of, self.timezone)

    def today(self, now: datetime) -> date:
        """The calendar day it is here."""
        return now.astimezone(zone(self.timezone)).date()

    def days_left(self, now: datetime) -> int:
        """Days until the last day: 0 on it, never negative."""
        return max(0, (self.last_day - self.today(now)).days)

    def state(self, now: datetime) -> str:
        """`upcoming`, `open` or `ended`, by the clock alone."""
        today = self.today(now)
        return "upcoming" if today < self.first_day else "open" if today <= self.last_day else "ended"

    def end_of(self, when: When, now: datetime) -> datetime:
        """What people mean by WHEN in a question or for a reading: a day means its end, today means now."""
        return end_of(when, now, self.timezone)

    def beginning_of(self, when: When) -> datetime:
        """What people mean by the WHEN of an adjustment: a day means its first moment."""
        read = _parse(when)
        return _in_utc(read, self.timezone) if isinstance(read, datetime) else self.midnight(read)


def end_of(when: When, now: datetime, timezone: str = "UTC") -> datetime:
    """What people mean by WHEN in that time zone: a day means its end, today means now."""
    read = _parse(when)
    if isinstance(read, datetime):
        return _in_utc(read, timezone)
    return now if read == now.astimezone(zone(timezone)).date() else last_moment(read, timezone)


@lru_cache
def last_moment(of: date, timezone: str = "UTC") -> datetime:
    """The last moment of a day; not the first of the next, from which a top-up may count that this day had not."""
    return _midnight(of + timedelta(days=1), timezone) - timedelta(microseconds=1)


QUARTER = timedelta(minutes=15)
"""Days begin at a quarter of an hour in UTC, in every zone there is."""


_LAST_MINUTES = ("14", "29", "44", "59")


def end_of_quarter(moment: str) -> str:
    """The last moment of the quarter of an hour that a moment falls in; both as stored."""
    return f"{moment[:14]}{_LAST_MINUTES[int(moment[14:16]) // 15]}:59.999999Z"


def _in_utc(moment: datetime, timezone: str) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))).astimezone(UTC)


@lru_cache
def _midnight(of: date, timezone: str) -> datetime:
    return datetime.combine(of, time(), zone(timezone)).astimezone(UTC)


def _parse(when: When) -> datetime | date:
    read = _from_iso(when.strip()) if isinstance(when, str) else when
    if not isinstance(read, date) or not _in_range(read):
        raise TimeRefused(
            f"{when!s} is not a moment we can keep: write it like 2025-09-10T09:00:00Z, or a day like 2025-09-10"
        )
    return read


def _in_range(of: date) -> bool:
    return 1970 <= of.year <= 9000


def _from_iso(text: str) -> datetime | date | None:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", "")) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def days(span: timedelta) -> Decimal:
    """A span in days, exactly to the microsecond."""
    return SHOW.divide(Decimal(span // timedelta(microseconds=1)), Decimal(86_400_000_000))
