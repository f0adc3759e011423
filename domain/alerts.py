"""The alerts of a cycle: what was raised, who heard of it, and when the next one may be raised."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from . import alert_events as e
from . import commands as c
from .aggregate import Aggregate, Answer, Stamp
from .errors import NotFound, RuleRefused
from .event import Event
from .grading import UNVERIFIED, Comparison
from .health import CRITICAL, WARNING
from .money import EXACT, usd
from .period import LATE, time_text
from .text import name_of, reason_of

IN_FLIGHT = timedelta(minutes=2)
"""For so long whoever raised an alert is trusted to deliver it; then the next one tries."""
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=1), timedelta(hours=1)
"""A failed delivery is tried again after a minute, then after two, four ... up to an hour."""


class Failure(NamedTuple):
    """How often in a row a target could not be reached, and when it is tried again."""

    times: int
    retry_at: datetime


@dataclass
class Raised:
    """The last alert of one kind and level, and what became of it."""

    alert: int
    at: datetime
    targets: tuple[str, ...] = ()
    delivered: dict[str, datetime] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    told: bool = False

    def copy(self) -> "Raised":
        """The same, to be evolved apart."""
        return Raised(self.alert, self.at, self.targets, self.delivered.copy(), self.failed.copy(), self.told)

    def stands_until(self, cool_down: timedelta) -> datetime:
        """The end of its cool-down, which begins anew when it reaches somebody."""
        return max([self.at, *self.delivered.values()]) + cool_down

    def stands(self, cool_down: timedelta, now: datetime) -> bool:
        """Is it within its cool-down? What a clock that was far ahead raised does not keep others waiting."""
        return now < self.stands_until(cool_down) <= now + cool_down + LATE


@dataclass
class AlertsState:
    """The last alert of each kind and level, by "kind level"."""

    alerts: int = 0
    raised: dict[str, Raised] = field(default_factory=dict)

    def copy(self) -> "AlertsState":
        """The same state, to be evolved apart."""
        return AlertsState(self.alerts, {kind: raised.copy() for kind, raised in self.raised.items()})

    def evolve(self, event: Event) -> None:
        """Take in what has happened."""
        _EVOLVE[type(event)](self, event)

    def numbered(self, alert: int) -> Raised | None:
        """The alert of that number, if it is the last of its kind and level."""
        return next((r for r in self.raised.values() if r.alert == alert), None)


def _raised(state: AlertsState, event: e.AlertRaised) -> None:
    state.alerts = event.alert
    state.raised[f"{event.kind} {event.level}"] = Raised(
        event.alert, event.clock_at or event.recorded_at, event.targets
    )


def _suppressed(state: AlertsState, event: e.AlertSuppressed) -> None:
    raised = state.numbered(event.alert)
    if raised:
        raised.told = True


def _delivered(state: AlertsState, event: e.AlertDelivered) -> None:
    raised = state.numbered(event.alert)
    if raised:
        raised.delivered[event.target] = event.clock_at or event.recorded_at
        raised.failed.pop(event.target, None)


def _failed(state: AlertsState, event: e.AlertFailed) -> None:
    raised = state.numbered(event.alert)
    if raised:
        times = raised.failed[event.target].times + 1 if event.target in raised.failed else 1
        raised.failed[event.target] = Failure(times, event.retry_at)


_EVOLVE: dict[type[Event], Callable[[AlertsState, Any], None]] = {
    e.AlertRaised: _raised,
    e.AlertSuppressed: _suppressed,
    e.AlertDelivered: _delivered,
    e.AlertFailed: _failed,
}


class Alerts(Aggregate):
    """The alerts of one cycle; they outlive its closing."""

    if TYPE_CHECKING:
        state: AlertsState  # the library would turn a class with annotations into a dataclass

    @classmethod
    def nothing(cls) -> AlertsState:
        """Nothing was raised."""
        return AlertsState()

    def decide(self, order: c.AlertCommand, stamp: Stamp) -> Answer:
        """Do what an order says, or refuse it."""
        before = len(self.pending_events)
        if isinstance(order, c.RaiseAlert):
            answer = self._raise(order, stamp)
        elif isinstance(order, c.NoteDelivery):
            answer = self._note(order, stamp)
        else:
            raise RuleRefused(f"{type(order).__name__} is not an order about alerts", code="unknown-order")
        return {"cycle_id": order.cycle_id, "recorded": len(self.pending_events) > before, **answer}

    def _raise(self, order: c.RaiseAlert, stamp: Stamp) -> Answer:
        message, now = reason_of(order.message, "the message"), stamp.now
        hours = usd(order.cool_down_hours, "the cool-down")
        cool_down = timedelta(microseconds=int(hours * 3_600_000_000))
        last = self.state.raised.get(f"{order.kind} {order.level}")
        if last is None or not last.stands(cool_down, now):
            alert = self.state.alerts + 1
            self.record(
                stamp,
                e.AlertRaised,
                alert=alert,
                kind=order.kind,
                level=order.level,
                message=message,
                clock_at=_clock_at(stamp),
                threshold_percent=order.threshold_percent,
                discrepancy_percent=order.discrepancy_percent,
                targets=tuple(name_of(t, "the label of a target") for t in order.targets),
            )
            return {"alert": alert, "raised": True, "deliver": list(order.targets), "waiting": {}, "until": None}
        deliver, waiting = _still_to_reach(last, order.targets, now)
        until = last.stands_until(cool_down)
        if not deliver and not waiting and not last.told:
            self.record(stamp, e.AlertSuppressed, alert=last.alert, kind=order.kind, level=order.level, until=until)
        return {
            "alert": last.alert,
            "raised": False,
            "deliver": deliver,
            "waiting": waiting,
            "until": time_text(until),
        }

    def _note(self, order: c.NoteDelivery, stamp: Stamp) -> Answer:
        if not 1 <= order.alert <= self.state.alerts:
            raise NotFound(f"cycle {order.cycle_id} has no alert {order.alert}", code="alert-not-found")
        facts = {
            "alert": order.alert,
            "target": name_of(order.target, "the label of a target"),
            "attempts": order.attempts,
        }
        if order.error is None:
            self.record(stamp, e.AlertDelivered, **facts, clock_at=_clock_at(stamp))
            return {"alert": order.alert, "retry_at": None}
        raised = self.state.numbered(order.alert)
        failed = raised.failed.get(order.target) if raised else None
        times = min(failed.times if failed else 0, 10)
        retry_at = stamp.now + min(FIRST_RETRY * 2**times, LONGEST_RETRY)
        self.record(stamp, e.AlertFailed, **facts, error=reason_of(order.error, "the error"), retry_at=retry_at)
        return {"alert": order.alert, "retry_at": time_text(retry_at)}


def _clock_at(stamp: Stamp) -> datetime | None:
    """What the clock shows, where that is not what is recorded."""
    return None if stamp.now == stamp.recorded_at else stamp.now


def _still_to_reach(last: Raised, targets: Iterable[str], now: datetime) -> tuple[list[str], dict[str, str]]:
    """The targets that have not heard of an alert: those to try now, and those that wait until a moment."""
    deliver, waiting = [], {}
    for target in targets:
        if target in last.delivered:
            continue
        failed, begun = last.failed.get(target), last.at + IN_FLIGHT if target in last.targets else now
        later = failed.retry_at if failed else begun
        if now >= later or later > now + LONGEST_RETRY + LATE:
            deliver.append(target)
        else:
            waiting[target] = time_text(later)
    return deliver, waiting


def level_of(compared: Comparison, threshold: Decimal, critical: Decimal) -> str | None:
    """How bad a discrepancy is: nothing up to the threshold, CRITICAL beyond the critical one too; decided on unrounded numbers."""
    if compared.grade == UNVERIFIED or not _over(compared, threshold):
        return None
    return CRITICAL if _over(compared, critical) else WARNING


def _over(compared: Comparison, percent: Decimal) -> bool:
    return EXACT.multiply(compared.diff, Decimal(100)) > EXACT.multiply(percent, compared.base)
