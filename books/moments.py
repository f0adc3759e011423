"""Moments: the two times of a question, and what can be said about the log at them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..domain.errors import TimeRefused
from ..domain.period import LATE, When, as_text, end_of, time_text
from ..projections.ledger import AsOf
from ..store import positions
from ..store.connection import Connection


class Moment(NamedTuple):
    """When a question is asked about: the position that was known, the clock then, and what had happened."""

    position: int
    now: datetime
    as_of: str | None
    measured_by: datetime | None

    @property
    def clock(self) -> datetime:
        """What the clock showed, or shows, at the moment that is asked about."""
        return self.now if self.measured_by is None else min(self.now, self.measured_by)

    @property
    def at(self) -> AsOf:
        """Which events count."""
        return AsOf(self.position, self.measured_by)


class Since(NamedTuple):
    """Since when something is known: its position, when and how it was first heard of, and what else can be asked."""

    position: int
    at: datetime
    how: str
    code: str
    instead: str = ""


ALWAYS = Since(0, datetime.min.replace(tzinfo=UTC), "", "")


class Asked:
    """One connection in one read transaction, with the position it has seen and the clock."""

    def __init__(self, connection: Connection, position: int, now: datetime) -> None:
        self.connection, self.position, self.now = connection, position, now

    def known(self, what: str, since: Since, as_of: When | int | None, timezone: str = "UTC") -> Moment:
        """What was known then; refuses a moment before the thing that is asked about was heard of."""
        if as_of is None:
            return Moment(self.position, self.now, None, None)
        if isinstance(as_of, str) and as_of.isascii() and as_of.strip().isdecimal() and len(as_of) < 19:
            as_of = int(as_of.strip())
        position, now = (
            self._at_position(as_of) if isinstance(as_of, int) else self._at_time(end_of(as_of, self.now, timezone))
        )
        if position < since.position:
            raise TimeRefused(
                f"as of {as_of}, {what} was not known yet: {since.how} at {time_text(since.at)} "
                f"(position {since.position}){since.instead}",
                code=since.code,
            )
        return Moment(position, now, str(as_of) if isinstance(as_of, int) else time_text(now), None)

    def _at_position(self, position: int) -> tuple[int, datetime]:
        if not 1 <= position <= self.position:
            raise TimeRefused(
                f"there is no position {position}: the log has 1 to {self.position}", code="position-not-found"
            )
        end = positions.end_of_write(self.connection, position)
        return end, positions.recorded_at(self.connection, end)

    def _at_time(self, moment: datetime) -> tuple[int, datetime]:
        if moment > self.now + LATE:
            raise TimeRefused(
                f"{time_text(moment)} has not come yet: what will be known then, nobody knows", code="future"
            )
        if moment >= self.now:
            return self.position, self.now
        return min(positions.last_by(self.connection, as_text(moment)), self.position), moment

    def log_warnings(self, moment: Moment) -> Iterable[str]:
        """What a person should know of the log before trusting an answer."""
        if moment.as_of is not None or not self.position:
            return
        if positions.head(self.connection).position < self.position:
            yield "the end of the log is missing, this is what was known of it: run `mecris audit verify`"
            return
        try:
            last = positions.recorded_at(self.connection, self.position)
        except ValueError:
            yield "when the last event was recorded cannot be read: run `mecris audit verify`"
            return
        if last - self.now > LATE:
            yield clock_is_behind(last, self.now)


def clock_is_behind(last: datetime, now: datetime) -> str:
    """The warning about a clock that shows less than the log."""
    return (
        f"the clock shows {time_text(now)}, {_minutes(last - now)} before the last event ({time_text(last)}): "
        "set the clock, or readings will be placed too early"
    )


def _minutes(span: timedelta) -> str:
    return f"{int(span.total_seconds() // 60)} minutes"
