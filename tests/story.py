"""Given events, when an order, then events or a refusal: how rules are told in tests."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from mecris.domain import commands as c
from mecris.domain import events as e
from mecris.domain.aggregate import Stamp
from mecris.domain.cycle import BudgetCycle
from mecris.domain.errors import Refused
from mecris.domain.event import Event
from mecris.domain.state import reading_of
from mecris.domain.tie_out import Reading, Source, Statement, counts_for

NINE = datetime(2025, 9, 10, 9, tzinfo=UTC)


def at(clock: str) -> datetime:
    """A moment of the tenth of September, or a full date-time."""
    return datetime.fromisoformat(f"2025-09-10T{clock}:00Z" if len(clock) == 5 else clock)


def stamp(now: datetime) -> Stamp:
    """Ada at the command line."""
    return Stamp(now, now, "ada", "cli")


class Remembered:
    """The past of a cycle, from its events in memory: the smallest thing that keeps the contract."""

    def __init__(self, events: Iterable[Event], ends: datetime) -> None:
        self.ends = ends
        gone = {x.retracted.reading for x in events if isinstance(x, e.ReadingRetracted)}
        self.said = [x for x in events if isinstance(x, e.SourceRecorded) and x.reading not in gone]

    def _of(self, source: Source, without: int) -> list[Reading]:
        said = [reading_of(x) for x in self.said if x.source == source.number and x.reading != without]
        return sorted(said, key=lambda r: (r.measured_at, r.number))

    def last_by(self, source: Source, moment: datetime, without: int = 0) -> Reading | None:
        return next((r for r in reversed(self._of(source, without)) if counts_for(r, moment, self.ends)), None)

    def statements(self, source: Source, measured_at: datetime) -> list[Statement]:
        same = [x for x in self.said if x.source == source.number and x.stated and x.measured_at == measured_at]
        return [Statement(x.amount_usd, x.balance_usd, x.credit_usd, _digest(x.payload)) for x in same]

    def reading(self, number: int) -> tuple[int, Reading] | None:
        return next(((x.source, reading_of(x)) for x in self.said if x.reading == number), None)

    def balances_since(self, moment: datetime) -> list[tuple[int, Reading]]:
        said = [x for x in self.said if x.balance_usd is not None and x.credit_usd is None]
        return [(x.source, reading_of(x)) for x in said if x.measured_at >= moment]

    def current_and_first(self, source: Source, without: int) -> tuple[Reading, Reading] | None:
        standing = self._of(source, without)
        first = [r for r in standing if r.measured_at == standing[0].measured_at]
        return (standing[-1], first[-1]) if standing else None


def _digest(payload: str | None) -> str | None:
    return None if payload is None else sha256(payload.encode()).hexdigest()


class Story:
    """A cycle on its way through orders."""

    def __init__(self, cycle: BudgetCycle, now: datetime) -> None:
        self.cycle, self.now = cycle, now
        self.new: list[Event] = []
        self.answer: dict[str, Any] = {}
        self.refusal: Refused | None = None

    def when(self, order: c.CycleCommand, now: datetime | None = None) -> "Story":
        """Give an order, a minute after the last one unless a time is given."""
        self.now = now or self.now + timedelta(minutes=1)
        before = list(self.cycle.pending_events)
        past = Remembered(before, self.cycle.state.period.ends)
        mark = self.cycle.marked()
        try:
            self.answer, self.refusal = self.cycle.decide(order, stamp(self.now), past), None
            self.new = self.cycle.pending_events[len(before) :]
        except Refused as refusal:
            self.cycle.rewind(mark)
            self.new, self.refusal = [], refusal
        return self

    def then(self, *expected: dict[str, Any]) -> "Story":
        """The order led to exactly these events; records are told only when a story is about them."""
        told = any(x["event"] is e.CycleReconciled or x["event"] is e.DiscrepancyDetected for x in expected)
        happened = [x for x in self.new if told or not isinstance(x, e.CycleReconciled | e.DiscrepancyDetected)]
        assert self.refusal is None, self.refusal
        assert [type(x) for x in happened] == [x["event"] for x in expected]
        for event, facts in zip(happened, expected, strict=True):
            assert {k: getattr(event, k) for k in facts if k != "event"} == {
                k: v for k, v in facts.items() if k != "event"
            }
        return self

    def refused(self, code: str, *words: str) -> "Story":
        """The order was refused with this code, and the message names these words."""
        assert self.refusal is not None, f"not refused: {self.answer}"
        assert self.refusal.code == code, self.refusal
        for word in words:
            assert word in self.refusal.message
        return self

    def nothing(self) -> "Story":
        """The order was accepted, and nothing was recorded."""
        assert self.refusal is None, self.refusal
        assert self.new == []
        assert self.answer["recorded"] is False
        return self


def given(*orders: c.Command, now: datetime = NINE) -> Story:
    """A cycle that has had these orders, none of them refused."""
    first, *rest = orders
    assert isinstance(first, c.OpenCycle)
    story = Story(BudgetCycle.open(first, 1, stamp(now)), now)
    for order in rest:
        assert isinstance(order, c.CycleCommand)
        story.when(order)
        if story.refusal:
            pytest.fail(f"a story begins with a refusal: {story.refusal}")
    return story


def opened(target: str = "25", **more: Any) -> c.OpenCycle:
    """A cycle over August and September."""
    return c.OpenCycle(**{"start_date": "2025-08-06", "end_date": "2025-09-30", "target_usd": target, **more})


def said(source: str, kind: str | None = None, **more: Any) -> c.RecordSource:
    """A source says something."""
    return c.RecordSource(cycle_id=1, source=source, type=kind, **more)


def metered(amount: str, source: str = "meter", **more: Any) -> c.RecordSource:
    """A meter counts."""
    return said(source, "realtime", amount=amount, **more)


def read_off(amount: str, source: str = "console", **more: Any) -> c.RecordSource:
    """A person reads a dashboard."""
    return said(source, "manual", amount=amount, **more)


def plug(amount: str | None = None, **more: Any) -> c.ApplyPlug:
    """A person explains."""
    return c.ApplyPlug(**{"cycle_id": 1, "amount_usd": amount, "reason": "another workspace", **more})


def square(**more: Any) -> c.ApplyPlug:
    """A person explains exactly what is missing."""
    return plug(square=True, yes=True, **more)


def adjusted(amount: str, **more: Any) -> c.AdjustBudget:
    """A top-up."""
    return c.AdjustBudget(**{"cycle_id": 1, "amount_usd": amount, "reason": "topped up", **more})


def retracted(reading: int, **more: Any) -> c.RetractReading:
    """A slip is taken back."""
    return c.RetractReading(**{"cycle_id": 1, "reading": reading, "reason": "a slip", **more})


def recorded(**facts: Any) -> dict[str, Any]:
    """A reading that was recorded."""
    return {"event": e.SourceRecorded, **_exact(facts)}


def plugged(amount: str, **facts: Any) -> dict[str, Any]:
    """A plug that was applied."""
    return {"event": e.PlugApplied, "amount_usd": Decimal(amount), **facts}


def happened(event: type[Event], **facts: Any) -> dict[str, Any]:
    """Anything else that happened."""
    return {"event": event, **_exact(facts)}


def _exact(facts: dict[str, Any]) -> dict[str, Any]:
    return {k: Decimal(v) if k.endswith("_usd") and isinstance(v, str) else v for k, v in facts.items()}


def lasting(status: dict[str, Any]) -> dict[str, Any]:
    """A status without what the clock alone decides."""
    cycle = {key: value for key, value in status["cycle"].items() if key not in ("days_left", "state")}
    return status | {
        "cycle": cycle | {"closed": status["cycle"]["state"] == "closed"},
        "warnings": [w for w in status["warnings"] if not w.startswith("the clock shows")],
        "as_of": None,
        "health": None,
        "burn": status["burn"] | {"today_usd": None},
        "forecast": status["forecast"] | {"runs_out_on": None},
        "newest": [n | {"age_days": None} for n in status["newest"]],
    }
