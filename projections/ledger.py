"""Questions to the tables of budgets: what was known of a cycle as of a position, and what had been measured by a time."""

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ..domain.grading import Thresholds
from ..domain.ids import SOURCES, source_id, source_of
from ..domain.money import ZERO, exactly
from ..domain.period import LATE, Period, as_text, from_text
from ..domain.tie_out import Adjustment, Ledger, Reading, Source, Statement
from ..store.connection import Connection

LAST = "~"
"""As text after every time."""


class Cycle(NamedTuple):
    """A cycle as it was opened."""

    id: int
    period: Period
    target: Decimal
    notes: str | None
    opened_at: datetime
    position: int


def cycles(connection: Connection, position: int) -> list[Cycle]:
    """All cycles opened up to a position, in order."""
    return [_cycle(row) for row in connection.execute(f"{_CYCLE} WHERE position <= ? ORDER BY id", (position,))]


def cycle(connection: Connection, id: int) -> Cycle | None:
    """One cycle, whenever it was opened."""
    row = connection.execute(f"{_CYCLE} WHERE id = ?", (id,)).fetchone()
    return _cycle(row) if row else None


_CYCLE = "SELECT id, start_date, end_date, timezone, target_usd, notes, opened_at, position FROM budget_cycle"


def _cycle(row: tuple[Any, ...]) -> Cycle:
    id, first, last, timezone, target, notes, opened_at, position = row
    period = Period(date.fromisoformat(first), date.fromisoformat(last), timezone)
    return Cycle(id, period, Decimal(target), notes, from_text(opened_at), position)


class Closing(NamedTuple):
    """A cycle that was closed: when and by whom, what was left of it, and what was accepted, with the reason."""

    at: datetime
    by: str
    remaining: Decimal
    accepted: list[str]
    reason: str | None


def closing(connection: Connection, cycle: int, position: int) -> Closing | None:
    """How a cycle was closed, if it was closed as of a position."""
    row = connection.execute(
        "SELECT closed, recorded_at, recorded_by, remaining_usd, accepted, reason FROM budget_closing WHERE cycle_id = ? AND position <= ? "
        "ORDER BY position DESC LIMIT 1",
        (cycle, position),
    ).fetchone()
    if not row or not row[0]:
        return None
    return Closing(from_text(row[1]), row[2], Decimal(row[3]), json.loads(row[4]), row[5])


def heir(connection: Connection, cycle: int, position: int) -> int | None:
    """The cycle that got what was left of one, as of a position."""
    row = connection.execute(
        "SELECT to_cycle FROM budget_roll_over WHERE from_cycle = ? AND position <= ? ORDER BY position LIMIT 1",
        (cycle, position),
    ).fetchone()
    return row[0] if row else None


@exactly
def rolled_over(connection: Connection, cycle: int, position: int) -> dict[int, Decimal]:
    """What a cycle took over from others, as of a position."""
    carried: dict[int, Decimal] = {}
    rows = connection.execute(
        "SELECT from_cycle, amount_usd FROM budget_roll_over WHERE to_cycle = ? AND position <= ? ORDER BY position",
        (cycle, position),
    )
    for origin, amount in rows:
        carried[origin] = carried.get(origin, ZERO) + Decimal(amount)
    return carried


class Adjusted(NamedTuple):
    """An adjustment of a budget, as it was recorded."""

    number: int
    amount: Decimal
    counts_from: datetime
    provider: str
    reason: str
    rolled_over_from: int | None
    recorded_at: datetime
    recorded_by: str


def adjustments(connection: Connection, cycle: int, at: "AsOf") -> list[Adjusted]:
    """Every adjustment that counts, in the order recorded."""
    rows = connection.execute(
        "SELECT number, amount_usd, counts_from, provider, reason, rolled_over_from, recorded_at, recorded_by "
        "FROM budget_adjustment WHERE cycle_id = ? AND position <= ? AND counts_from <= ? ORDER BY position",
        (cycle, at.position, as_text(at.measured_by) if at.measured_by else LAST),
    )
    return [
        Adjusted(n, Decimal(amount), from_text(counts_from), p, why, origin, from_text(recorded_at), by)
        for n, amount, counts_from, p, why, origin, recorded_at, by in rows
    ]


class AsOf(NamedTuple):
    """Which events count: those up to `position`, and of them what had been measured by `measured_by` (None: all)."""

    position: int
    measured_by: datetime | None = None


@exactly
def ledger(connection: Connection, cycle: Cycle, at: AsOf) -> Ledger:
    """What a tie-out of a cycle is made from, as it was known."""
    known = (cycle.id, at.position)
    thresholds = connection.execute(
        "SELECT excellent, good, fair FROM budget_threshold WHERE cycle_id = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        known,
    ).fetchone()
    adjustments = connection.execute(
        "SELECT amount_usd, counts_from, provider FROM budget_adjustment "
        "WHERE cycle_id = ? AND position <= ? ORDER BY position",
        known,
    )
    return Ledger(
        period=cycle.period,
        target=cycle.target,
        thresholds=Thresholds(*map(Decimal, thresholds)) if thresholds else Thresholds(),
        adjustments=tuple(Adjustment(Decimal(a), from_text(counts_from), p) for a, counts_from, p in adjustments),
        sources=tuple(sources(connection, cycle, at)),
        plugs=plugs(connection, cycle, at),
        counted_by=at.measured_by,
    )


def plugs(connection: Connection, cycle: Cycle, at: AsOf) -> dict[str, Decimal]:
    """The sum of the standing plugs of each provider."""
    rows = connection.execute(
        "SELECT provider, amount_usd FROM budget_plug WHERE cycle_id = ? AND position <= ? AND rests_on <= ? "
        "AND (reversed IS NULL OR reversed > ?)",
        (cycle.id, at.position, until(at, cycle.period), at.position),
    )
    found: dict[str, Decimal] = {}
    for provider, amount in rows:
        found[provider] = found.get(provider, ZERO) + Decimal(amount)
    return found


class Plugged(NamedTuple):
    """A plug as it was recorded, and whether it was reversed since."""

    number: int
    amount: Decimal
    provider: str
    reason: str
    evidence: str | None
    rests_on: datetime
    recorded_at: datetime
    recorded_by: str
    reversed: bool


def all_plugs(connection: Connection, cycle: Cycle, at: AsOf) -> list[Plugged]:
    """Every plug that counted, reversed ones too."""
    rows = connection.execute(
        "SELECT number, amount_usd, provider, reason, evidence, rests_on, recorded_at, recorded_by, reversed <= ? "
        "FROM budget_plug WHERE cycle_id = ? AND position <= ? AND rests_on <= ? ORDER BY number",
        (at.position, cycle.id, at.position, until(at, cycle.period)),
    )
    return [
        Plugged(n, Decimal(usd), whose, why, proof, from_text(on), from_text(recorded), by, bool(reversed))
        for n, usd, whose, why, proof, on, recorded, by, reversed in rows
    ]


def until(at: AsOf, period: Period) -> str:
    """The latest time that counts, as text: readings after the last day speak of its end."""
    return as_text(at.measured_by) if at.measured_by and at.measured_by < period.ends else LAST


def sources(connection: Connection, cycle: Cycle, at: AsOf) -> Iterable[Source]:
    """Every source of a cycle that stood, with what was its current and its first reading."""
    readings = Readings(connection, cycle, at)
    named = connection.execute(
        "SELECT id, name, type, provider, counted FROM budget_source WHERE cycle_id = ? AND position <= ? ORDER BY id",
        (cycle.id, at.position),
    )
    for id, name, type, provider, counted in named.fetchall():
        found = readings.current_and_first_of(id)
        if found:
            yield Source(source_of(id), name, type, provider, bool(counted), *found)


class Name(NamedTuple):
    """What a source is called, and what it is."""

    id: int
    name: str
    type: str
    provider: str
    counted: bool


def names(connection: Connection, cycle: int) -> list[Name]:
    """Every source a cycle ever named."""
    rows = connection.execute(
        "SELECT id, name, type, provider, counted FROM budget_source WHERE cycle_id = ?", (cycle,)
    )
    return [Name(id, name, type, provider, bool(counted)) for id, name, type, provider, counted in rows]


def payload(connection: Connection, source_id: int) -> str | None:
    """The payload of what a source says now."""
    found = connection.execute("SELECT raw_payload FROM budget_source WHERE id = ?", (source_id,)).fetchone()
    return found[0] if found else None


class Stood(NamedTuple):
    """A reading of a source that stands; of its payload the digest."""

    number: int
    measured_at: datetime
    amount: Decimal | None
    balance: Decimal | None
    credit: Decimal | None
    payload: str | None


def stood(connection: Connection, source_id: int) -> list[Stood]:
    """Every reading of a source that stands now."""
    rows = connection.execute(
        "SELECT number, measured_at, amount_usd, balance_usd, credit_usd, payload_sha256 FROM budget_reading "
        "WHERE source_id = ? AND retracted IS NULL ORDER BY measured_at, number",
        (source_id,),
    )
    return [
        Stood(number, from_text(at), _decimal(amount), _decimal(balance), _decimal(credit), payload)
        for number, at, amount, balance, credit, payload in rows
    ]


Figures = tuple[datetime, Decimal | None, Decimal | None, Decimal | None]
"""When something was measured, and the amount, balance and credit."""


def taken_back(connection: Connection, cycle: int, name: str, provider: str, but: str) -> set[Figures]:
    """What sources of that name and provider said and somebody retracted, but for reasons that begin so."""
    rows = connection.execute(
        "SELECT r.measured_at, r.amount_usd, r.balance_usd, r.credit_usd FROM budget_source s "
        "JOIN budget_reading r ON r.source_id = s.id JOIN budget_retraction t ON t.position = r.retracted "
        "WHERE s.cycle_id = ? AND s.name = ? AND s.provider = ? AND substr(t.reason, 1, ?) <> ?",
        (cycle, name, provider, len(but), but),
    )
    return {
        (from_text(at), _decimal(amount), _decimal(balance), _decimal(credit)) for at, amount, balance, credit in rows
    }


def standing(connection: Connection, source_id: int, position: int) -> tuple[int, int] | None:
    """Where the current and the first reading of a source were, as of a position."""
    found: tuple[int, int, int] | None = connection.execute(
        "SELECT current, first, position FROM budget_reading WHERE source_id = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        (source_id, position),
    ).fetchone()
    retracted = connection.execute(
        "SELECT current, first FROM budget_retraction WHERE source_id = ? AND position <= ? AND position > ? "
        "ORDER BY position DESC LIMIT 1",
        (source_id, position, found[2] if found else 0),
    ).fetchone()
    current, first = retracted or (found[:2] if found else (0, 0))
    return (current, first) if current else None


class Readings:
    """The readings of one cycle that stood, as of a position: the past that decisions and questions ask."""

    def __init__(self, connection: Connection, cycle: Cycle, at: AsOf) -> None:
        self.connection, self.cycle, self.at = connection, cycle, at
        self.until = until(at, cycle.period)

    def last_by(self, source: Source, moment: datetime, without: int = 0) -> Reading | None:
        """The last reading of a source that counts for a moment; one without a stated time may have been late."""
        if moment >= self.cycle.period.ends:
            return self._last(source.number, self.until, self.until, without)
        return self._last(
            source.number, min(as_text(moment), self.until), min(as_text(moment + LATE), self.until), without
        )

    def _last(self, number: int, stated_by: str, unstated_by: str, without: int = 0) -> Reading | None:
        return self._outermost(number, ((True, stated_by), (False, unstated_by)), "DESC", without)

    def _outermost(self, number: int, bounds: Iterable[tuple[bool, str]], order: str, without: int) -> Reading | None:
        """The latest (DESC) or earliest (ASC) reading; at equal times the later recorded one."""
        found: list[tuple[Any, ...]] = []
        for stated, by in bounds:
            row = self.connection.execute(
                f"SELECT measured_at, {_READING} FROM budget_reading INDEXED BY budget_reading_time "
                "WHERE source_id = ? AND stated = ? AND measured_at <= ? AND position <= ? "
                "AND (retracted IS NULL OR retracted > ?) AND number <> ? "
                f"ORDER BY measured_at {order}, position DESC LIMIT 1",
                (self._id(number), stated, by, self.at.position, self.at.position, without),
            ).fetchone()
            if row:
                found.append(row)
        if not found:
            return None
        outer = max(row[0] for row in found) if order == "DESC" else min(row[0] for row in found)
        return _reading(max((row for row in found if row[0] == outer), key=lambda row: row[1])[1:])

    def around(self, source: Source, moment: datetime) -> tuple[Reading | None, Reading | None]:
        """The last reading of a source measured by a moment, and the first one measured later."""
        by = min(as_text(moment), self.until)
        after = [self._next(source.number, stated, by) for stated in (1, 0)]
        found = [row for row in after if row]
        later = min((row[0] for row in found), default="")
        return (
            self._last(source.number, by, by),
            _reading(max((row for row in found if row[0] == later), key=lambda row: row[1])[1:]) if found else None,
        )

    def _next(self, number: int, stated: int, by: str) -> tuple[Any, ...] | None:
        """The first reading measured after a time; at equal times the later recorded one.

        Asked for in two steps: one that also orders by position would look through everything recorded since.
        """
        stood = (self.at.position, self.at.position)
        first = self.connection.execute(
            f"SELECT measured_at FROM {_TIMES} AND measured_at > ? AND measured_at <= ? AND {_STOOD} ORDER BY measured_at LIMIT 1",
            (self._id(number), stated, by, self.until, *stood),
        ).fetchone()
        if first is None:
            return None
        row: tuple[Any, ...] = self.connection.execute(
            f"SELECT measured_at, {_READING} FROM {_TIMES} AND measured_at = ? AND {_STOOD} ORDER BY position DESC LIMIT 1",
            (self._id(number), stated, first[0], *stood),
        ).fetchone()
        return row

    def _id(self, number: int) -> int:
        return source_id(self.cycle.id, number)

    def current_and_first_of(self, id: int) -> tuple[Reading, Reading] | None:
        """What was current and first in a source."""
        if self.at.measured_by is not None:
            return self._by_time(source_of(id), 0)
        where = standing(self.connection, id, self.at.position)
        if where is None:
            return None
        rows = self.connection.execute(
            f"SELECT {_READING} FROM budget_reading WHERE source_id = ? AND position IN (?, ?)", (id, *where)
        )
        at = {row[0]: _reading(row) for row in rows}
        return at[where[0]], at[where[1]]

    def _by_time(self, number: int, without: int) -> tuple[Reading, Reading] | None:
        bounds = ((True, self.until), (False, self.until))
        current = self._outermost(number, bounds, "DESC", without)
        first = self._outermost(number, bounds, "ASC", without)
        return (current, first) if current and first else None

    def current_and_first(self, source: Source, without: int) -> tuple[Reading, Reading] | None:
        """What would stand in a source without one of its readings."""
        return self._by_time(source.number, without)

    def statements(self, source: Source, measured_at: datetime) -> Iterable[Statement]:
        """What a source said with exactly this stated time."""
        rows = self.connection.execute(
            "SELECT amount_usd, balance_usd, credit_usd, payload_sha256 FROM budget_reading "
            "WHERE source_id = ? AND stated = 1 AND measured_at = ? AND retracted IS NULL AND position <= ?",
            (self._id(source.number), as_text(measured_at), self.at.position),
        )
        return [Statement(_decimal(a), _decimal(b), _decimal(c), payload) for a, b, c, payload in rows]

    def reading(self, number: int) -> tuple[int, Reading] | None:
        """A standing reading and the number of its source."""
        row = self.connection.execute(
            f"SELECT source_id, {_READING} FROM budget_reading WHERE source_id BETWEEN ? AND ? AND number = ? AND retracted IS NULL",
            (self._id(0), self._id(SOURCES), number),
        ).fetchone()
        return (source_of(row[0]), _reading(row[1:])) if row else None

    def balances_since(self, moment: datetime) -> Iterable[tuple[int, Reading]]:
        """Standing balances without a credit of their own, measured at a moment or later, with their sources' numbers."""
        rows = self.connection.execute(
            f"SELECT source_id, {_READING} FROM budget_reading WHERE source_id BETWEEN ? AND ? AND retracted IS NULL "
            "AND balance_usd IS NOT NULL AND credit_usd IS NULL AND measured_at >= ? ORDER BY position",
            (self._id(0), self._id(SOURCES), as_text(moment)),
        )
        return [(source_of(id), _reading(row)) for id, *row in rows]

    def all(self) -> Iterable[tuple[int, Reading, bool]]:
        """Every reading in the order recorded, with its source id, and whether it was retracted since."""
        rows = self.connection.execute(
            f"SELECT source_id, retracted, {_READING} FROM budget_reading "
            "WHERE source_id BETWEEN ? AND ? AND position <= ? AND measured_at <= ? ORDER BY position",
            (self._id(0), self._id(SOURCES), self.at.position, self.until),
        )
        for id, retracted, *row in rows:
            yield id, _reading(row), retracted is not None and retracted <= self.at.position


_READING = "position, number, amount_usd, balance_usd, credit_usd, measured_at, stated"
_TIMES = "budget_reading INDEXED BY budget_reading_time WHERE source_id = ? AND stated = ?"
_STOOD = "position <= ? AND (retracted IS NULL OR retracted > ?)"


def _reading(row: Sequence[Any]) -> Reading:
    _, number, amount, balance, credit, measured_at, stated = row
    return Reading(number, _decimal(amount), _decimal(balance), _decimal(credit), from_text(measured_at), bool(stated))


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
