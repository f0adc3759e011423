"""Events of an odometer: a provider's month-to-date counter that a person reads off. `month` is YYYY-MM."""

from datetime import date
from typing import Any, ClassVar

from .event import Event, Moment, Usd


class OdometerEvent(Event):
    """Something that happened to an odometer; the first one makes it."""

    def first_of(self) -> Any:
        """Nothing has happened to it yet."""
        from .odometer import Odometer

        return Odometer.blank(self.originator_id)


class OdometerRead(OdometerEvent):
    """The counter of a month was read; `stated` says whether the time was given or assumed."""

    stored_as: ClassVar[str] = "odometer-read.v1"
    provider: str
    month: str
    amount_usd: Usd
    read_at: Moment
    stated: bool
    notes: str | None = None


class OdometerCorrected(OdometerEvent):
    """The figure of a month was wrong; `change_usd` is what it moved by, signed."""

    stored_as: ClassVar[str] = "odometer-corrected.v1"
    provider: str
    month: str
    amount_usd: Usd
    change_usd: Usd
    read_at: Moment
    stated: bool
    reason: str
    notes: str | None = None


class MonthFinalized(OdometerEvent):
    """A month is over and its figure is what a person relied on."""

    stored_as: ClassVar[str] = "month-finalized.v1"
    provider: str
    month: str
    amount_usd: Usd


class MonthReopened(OdometerEvent):
    """A final month takes readings again."""

    stored_as: ClassVar[str] = "month-reopened.v1"
    provider: str
    month: str
    reason: str


class FeedBegun(OdometerEvent):
    """From now on a cycle gets a reading with each reading of the counter; its days never change."""

    stored_as: ClassVar[str] = "odometer-feed-begun.v1"
    provider: str
    fed_cycle: int
    first_day: date
    last_day: date
    timezone: str


class FeedEnded(OdometerEvent):
    """A cycle gets no more readings of the counter."""

    stored_as: ClassVar[str] = "odometer-feed-ended.v1"
    provider: str
    fed_cycle: int
    reason: str


ODOMETER_EVENTS: tuple[type[Event], ...] = (
    OdometerRead,
    OdometerCorrected,
    MonthFinalized,
    MonthReopened,
    FeedBegun,
    FeedEnded,
)
"""Everything that can happen to an odometer."""
