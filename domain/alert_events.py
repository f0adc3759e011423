"""Events of the alerts of a cycle: what was raised, what reached whom, and what did not. No secrets: `target` is a label."""

from typing import Any, ClassVar

from .event import Event, Moment, Usd


class AlertEvent(Event):
    """Something that happened to the alerts of a cycle; the first one makes it."""

    def first_of(self) -> Any:
        """Nothing has happened to it yet."""
        from .alerts import Alerts

        return Alerts.blank(self.originator_id)


class AlertRaised(AlertEvent):
    """Something is over its threshold, and these targets are to hear of it.

    `clock_at` is what the clock showed, where the log was ahead of it.
    """

    stored_as: ClassVar[str] = "alert-raised.v1"
    alert: int
    kind: str
    level: str
    message: str
    threshold_percent: Usd
    discrepancy_percent: Usd | None = None
    clock_at: Moment | None = None
    targets: tuple[str, ...] = ()


class AlertSuppressed(AlertEvent):
    """It was over its threshold again within the cool-down of an alert; told once for each alert."""

    stored_as: ClassVar[str] = "alert-suppressed.v1"
    alert: int
    kind: str
    level: str
    until: Moment


class AlertDelivered(AlertEvent):
    """A target heard of an alert, at the attempt of that number."""

    stored_as: ClassVar[str] = "alert-delivered.v1"
    alert: int
    target: str
    attempts: int
    clock_at: Moment | None = None


class AlertFailed(AlertEvent):
    """A target could not be reached; it is tried again from `retry_at` on."""

    stored_as: ClassVar[str] = "alert-failed.v1"
    alert: int
    target: str
    attempts: int
    error: str
    retry_at: Moment


ALERT_EVENTS: tuple[type[Event], ...] = (AlertRaised, AlertSuppressed, AlertDelivered, AlertFailed)
"""Everything that can happen to the alerts of a cycle."""
