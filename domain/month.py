"""Months of a counter: from the 1st, when it resets, to the last moment of the last day, in UTC."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Self

from .errors import TimeRefused
from .period import Period, last_moment

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


class Month(NamedTuple):
    """A calendar month; months compare as they follow each other."""

    year: int
    number: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read YYYY-MM."""
        text = text.strip()
        if not _MONTH.fullmatch(text) or not 1970 <= int(text[:4]) <= 9000:
            raise TimeRefused(f"{text[:20]!r} is not a month: write it like 2025-09", code="month")
        return cls(int(text[:4]), int(text[5:]))

    @classmethod
    def of(cls, moment: datetime | date) -> Self:
        """The month that a moment, or a day, lies in."""
        there = moment.astimezone(UTC) if isinstance(moment, datetime) else moment
        return cls(there.year, there.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def period(self) -> Period:
        """Its days."""
        return Period(self.first_day, self.next.first_day - timedelta(days=1))

    @property
    def first_day(self) -> date:
        """The day on which the counter is set to zero."""
        return date(self.year, self.number, 1)

    @property
    def begins(self) -> datetime:
        """The moment at which the counter is set to zero."""
        return self.period.begins

    @property
    def ends(self) -> datetime:
        """The last moment it counts."""
        return last_moment(self.period.last_day)

    @property
    def next(self) -> "Month":
        """The month after."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    def overlaps(self, period: Period) -> bool:
        """Does it share a day with a period?"""
        mine = self.period
        return mine.first_day <= period.last_day and period.first_day <= mine.last_day


def months(first: Month, last: Month) -> list[Month]:
    """The months from one to another."""
    found = []
    while first <= last:
        found.append(first)
        first = first.next
    return found
