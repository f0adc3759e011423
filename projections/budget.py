"""The read model of budgets: cycles, their adjustments and plugs, every source and every reading. `ledger` asks it.

Money is stored as text in decimal digits, times as ISO 8601 in UTC with six digits of fraction, so that
both are exact and text order is time order. `position` is the place in the log that a row comes from.

A reading's `current` and `first` are the positions of the readings that were so in its source once it was
recorded. With them, what was current as of any position is one look-up, however long ago.
"""

import json
from decimal import Decimal
from typing import Any

from ..domain.ids import cycle_of, cycle_of_source, source_id
from ..domain.money import exactly, plain
from ..store.connection import Connection
from . import topics
from .ledger import standing

SOURCES_IN_MEMORY = 50_000
"""Sources a fold keeps at hand."""

TABLES = {
    "budget_cycle": """(
        id INTEGER PRIMARY KEY, start_date TEXT NOT NULL, end_date TEXT NOT NULL, target_usd TEXT NOT NULL, notes TEXT,
        timezone TEXT NOT NULL, budget_usd TEXT NOT NULL, opened_at TEXT NOT NULL, opened_by TEXT NOT NULL,
        closed_at TEXT, position INTEGER NOT NULL)""",
    "budget_threshold": "(position INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, excellent TEXT, good TEXT, fair TEXT)",
    "budget_adjustment": """(
        position INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, number INTEGER NOT NULL, amount_usd TEXT NOT NULL,
        counts_from TEXT NOT NULL, provider TEXT NOT NULL, reason TEXT NOT NULL, recorded_at TEXT, recorded_by TEXT,
        rolled_over_from INTEGER)""",
    "budget_source": """(
        id INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
        provider TEXT NOT NULL, counted INTEGER NOT NULL, currency TEXT, amount_usd TEXT, balance_usd TEXT, credit_usd TEXT,
        measured_at TEXT, stated INTEGER, reading INTEGER, last_updated TEXT, raw_payload TEXT, position INTEGER NOT NULL)""",
    "budget_reading": """(
        source_id INTEGER NOT NULL, position INTEGER NOT NULL, number INTEGER NOT NULL, amount_usd TEXT, balance_usd TEXT,
        credit_usd TEXT, measured_at TEXT NOT NULL, stated INTEGER NOT NULL, payload_sha256 TEXT,
        current INTEGER NOT NULL, first INTEGER NOT NULL, retracted INTEGER,
        PRIMARY KEY (source_id, position)) WITHOUT ROWID""",
    "budget_retraction": """(
        position INTEGER PRIMARY KEY, source_id INTEGER NOT NULL, number INTEGER NOT NULL, current INTEGER, first INTEGER,
        reason TEXT NOT NULL, recorded_at TEXT, recorded_by TEXT)""",
    "budget_plug": """(
        cycle_id INTEGER NOT NULL, number INTEGER NOT NULL, position INTEGER NOT NULL, amount_usd TEXT NOT NULL,
        provider TEXT NOT NULL, reason TEXT NOT NULL, evidence TEXT, rests_on TEXT NOT NULL, recorded_at TEXT,
        recorded_by TEXT, reversed INTEGER, PRIMARY KEY (cycle_id, number)) WITHOUT ROWID""",
    "budget_closing": """(
        position INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, closed INTEGER NOT NULL, remaining_usd TEXT, grade TEXT,
        accepted TEXT, reason TEXT, recorded_at TEXT NOT NULL, recorded_by TEXT NOT NULL)""",
    "budget_roll_over": """(
        position INTEGER PRIMARY KEY, from_cycle INTEGER NOT NULL, to_cycle INTEGER NOT NULL, amount_usd TEXT NOT NULL,
        remaining_usd TEXT NOT NULL)""",
}
_TOTAL = """
CREATE VIEW main.budget_total AS
WITH signed AS (
    SELECT cycle_id, type, provider, counted, iif(amount_usd LIKE '-%', -1, 1) AS sign, ltrim(amount_usd, '-') || '.' AS digits
    FROM budget_source WHERE amount_usd IS NOT NULL),
parts AS (
    SELECT cycle_id, type, provider, counted,
        sum(sign * CAST(substr(digits, 1, instr(digits, '.') - 1) AS INTEGER)) AS dollars,
        sum(sign * CAST(substr(rtrim(substr(digits, instr(digits, '.') + 1), '.') || '000000000000', 1, 12) AS INTEGER)) AS picos
    FROM signed GROUP BY cycle_id, type, provider, counted),
carried AS (
    SELECT cycle_id, type, provider, counted, dollars + picos / 1000000000000 AS dollars, picos % 1000000000000 AS picos
    FROM parts),
levelled AS (
    SELECT cycle_id, type, provider, counted,
        dollars + (dollars < 0 AND picos > 0) - (dollars > 0 AND picos < 0) AS dollars,
        picos + 1000000000000 * ((dollars > 0 AND picos < 0) - (dollars < 0 AND picos > 0)) AS picos
    FROM carried)
SELECT cycle_id, type, provider, counted,
    iif(dollars < 0 OR picos < 0, '-', '') || abs(dollars)
    || rtrim(rtrim(printf('.%012d', abs(picos)), '0'), '.') AS amount_usd
FROM levelled"""
"""Sums of what sources say, exact to the last digit: SQLite's own `sum` would make floats of them."""
_BY_TIME = "CREATE INDEX IF NOT EXISTS budget_reading_time ON budget_reading (source_id, stated, measured_at)"
INDEXES = (
    "CREATE INDEX budget_threshold_cycle ON budget_threshold (cycle_id)",
    "CREATE INDEX budget_adjustment_cycle ON budget_adjustment (cycle_id)",
    "CREATE INDEX budget_source_name ON budget_source (cycle_id, name)",
    _BY_TIME,
    "CREATE INDEX budget_retraction_source ON budget_retraction (source_id)",
    "CREATE INDEX budget_closing_cycle ON budget_closing (cycle_id)",
    "CREATE INDEX budget_roll_over_to ON budget_roll_over (to_cycle)",
    "CREATE INDEX budget_roll_over_from ON budget_roll_over (from_cycle)",
    "DROP VIEW IF EXISTS main.budget_total",
    _TOTAL,
)
IGNORES = (
    topics.RUNS
    | topics.ODOMETERS
    | topics.ALERTS
    | topics.ACCESS
    | topics.IMPORTS
    | frozenset(("cycle-reconciled.v1", "discrepancy-detected.v1"))
)


_AMOUNT = "source_id, position, number, amount_usd, measured_at, stated, current, first"
_REST = "balance_usd, credit_usd, payload_sha256"


class _Source:
    """A source while events are taken in: where its current and first readings are."""

    __slots__ = ("current", "current_at", "fields", "first", "first_at", "id", "position", "said")

    def __init__(self, id: int, position: int, said: dict[str, Any] | None) -> None:
        self.id, self.position, self.said = id, position, said
        self.current, self.current_at, self.first, self.first_at = 0, "", 0, "~"


def _digest(payload: str) -> str:
    from hashlib import sha256  # takes 5 ms to import, and most questions have no payload to fold

    return sha256(payload.encode()).hexdigest()


class Fold:
    """Takes events into the tables. Readings wait in memory until the next flush, and what a source says until the end.

    The rest is rare and written at once.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.amounts: list[
            tuple[Any, ...]
        ] = []  # readings of an amount alone: it takes SQLite's module long to bind a None
        self.balances: list[tuple[Any, ...]] = []
        self.sources: dict[int, _Source] = {}
        self.changed: set[int] = set()
        self.handlers = {
            "source-recorded.v1": self.source_recorded,
            "cycle-opened.v1": self.cycle_opened,
            "budget-adjusted.v2": self.budget_adjusted,
            "thresholds-changed.v1": self.thresholds_changed,
            "reading-retracted.v1": self.reading_retracted,
            "plug-applied.v1": self.plug_applied,
            "plug-reversed.v1": self.plug_reversed,
            "cycle-closed.v1": self.cycle_closed,
            "cycle-reopened.v1": self.cycle_reopened,
            "remainder-carried.v1": self.remainder_carried,
        }

    def source_recorded(self, position: int, aggregate: str, said: dict[str, Any]) -> None:
        """A reading; the row says which readings are current and first from here on."""
        id = source_id(cycle_of(aggregate), said["source"])
        source = self.sources.get(id) or self._known(id) or self._new(id, position, said)
        measured_at = said["measured_at"]
        if measured_at >= source.current_at:
            source.current, source.current_at, source.said = position, measured_at, said
        if measured_at <= source.first_at:
            source.first, source.first_at = position, measured_at
        get, payload = said.get, said.get("payload")
        stands = (source.current, source.first)
        reading = (id, position, said["reading"], get("amount_usd"), measured_at, int(said["stated"]), *stands)
        rest = (get("balance_usd"), get("credit_usd"), None if payload is None else _digest(payload))
        if any(rest):
            self.balances.append(reading + rest)
        else:
            self.amounts.append(reading)
        self.changed.add(id)

    def _known(self, id: int) -> _Source | None:
        row = self.connection.execute("SELECT position FROM budget_source WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        source = self.sources[id] = _Source(id, row[0], None)
        current, first = standing(self.connection, id, 2**62) or (0, 0)
        for row in self.connection.execute(
            "SELECT position, measured_at FROM budget_reading WHERE source_id = ? AND position IN (?, ?)",
            (id, current, first),
        ):
            if row[0] == current:
                source.current, source.current_at = row
            if row[0] == first:
                source.first, source.first_at = row
        return source

    def _new(self, id: int, position: int, said: dict[str, Any]) -> _Source:
        source = self.sources[id] = _Source(id, position, said)
        self.connection.execute(
            "INSERT INTO budget_source (id, cycle_id, name, type, provider, counted, position) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (id, cycle_of_source(id), said["name"], said["type"], said["provider"], said["counted"], position),
        )
        return source

    def reading_retracted(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A reading leaves: the event says which readings stand in its place."""
        self.flush()
        self.connection.execute(_BY_TIME)  # a rebuild makes its indexes last, but this look-up needs one
        id = source_id(cycle_of(aggregate), event["source"])
        source = self.sources.get(id) or self._known(id)
        if source is None:
            return
        source.said = None
        source.current, source.current_at = self._place(id, event.get("current")) or (0, "")
        source.first, source.first_at = self._place(id, event.get("first")) or (0, "~")
        retracted = event["retracted"]["reading"]
        place, _ = self._place(id, event["retracted"]) or (0, "")
        self.connection.execute(
            "UPDATE budget_reading SET retracted = ? WHERE source_id = ? AND position = ?", (position, id, place)
        )
        self.connection.execute(
            "INSERT INTO budget_retraction VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position,
                id,
                retracted,
                source.current,
                source.first,
                event["reason"],
                event["recorded_at"],
                event["recorded_by"],
            ),
        )
        self.changed.add(id)

    def _place(self, id: int, standing: dict[str, Any] | None) -> tuple[int, str] | None:
        if standing is None:
            return None
        row = self.connection.execute(
            "SELECT position FROM budget_reading WHERE source_id = ? AND stated = ? AND measured_at = ? AND number = ?",
            (id, standing["stated"], standing["measured_at"], standing["reading"]),
        ).fetchone()
        return row[0], standing["measured_at"]

    def cycle_opened(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A new cycle."""
        self.connection.execute(
            "INSERT INTO budget_cycle VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            (
                event["cycle"],
                event["start_date"],
                event["end_date"],
                event["target_usd"],
                event.get("notes"),
                event["timezone"],
                event["target_usd"],
                event["recorded_at"],
                event["recorded_by"],
                position,
            ),
        )

    def budget_adjusted(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A top-up or correction: it moves what balances without a credit of their own amount to."""
        cycle = cycle_of(aggregate)
        self.connection.execute(
            "INSERT INTO budget_adjustment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position,
                cycle,
                event["adjustment"],
                event["amount_usd"],
                event["at"],
                event["provider"],
                event["reason"],
                event["recorded_at"],
                event["recorded_by"],
                event.get("rolled_over_from"),
            ),
        )
        self._add_to_budget(cycle, event["amount_usd"])
        balances = "SELECT id FROM budget_source WHERE cycle_id = ? AND balance_usd IS NOT NULL AND credit_usd IS NULL"
        for (id,) in self.connection.execute(balances, (cycle,)).fetchall():
            if id in self.sources or self._known(id):
                self.changed.add(id)

    @exactly
    def _add_to_budget(self, cycle: int, amount: str) -> None:
        (budget,) = self.connection.execute("SELECT budget_usd FROM budget_cycle WHERE id = ?", (cycle,)).fetchone()
        self.connection.execute(
            "UPDATE budget_cycle SET budget_usd = ? WHERE id = ?", (plain(Decimal(budget) + Decimal(amount)), cycle)
        )

    def thresholds_changed(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """Other bounds for the grades."""
        self.connection.execute(
            "INSERT INTO budget_threshold VALUES (?, ?, ?, ?, ?)",
            (position, cycle_of(aggregate), event["excellent"], event["good"], event["fair"]),
        )

    def plug_applied(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A plug."""
        self.connection.execute(
            "INSERT INTO budget_plug VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                cycle_of(aggregate),
                event["plug"],
                position,
                event["amount_usd"],
                event["provider"],
                event["reason"],
                event.get("evidence"),
                event["rests_on"],
                event["recorded_at"],
                event["recorded_by"],
            ),
        )

    def plug_reversed(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A plug that does not stand any more."""
        self.connection.execute(
            "UPDATE budget_plug SET reversed = ? WHERE cycle_id = ? AND number = ?",
            (position, cycle_of(aggregate), event["plug"]),
        )

    def cycle_closed(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A cycle takes nothing any more; what somebody accepted and why is kept beside its remainder."""
        record = event["record"]
        accepted = json.dumps(event["accepted"], ensure_ascii=False)
        figures = (1, record["remaining_usd"], record["grade"], accepted, event.get("reason"))
        self._closing(position, cycle_of(aggregate), figures, event)

    def cycle_reopened(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A closed cycle takes statements again."""
        self._closing(position, cycle_of(aggregate), (0, None, None, None, event["reason"]), event)

    def _closing(self, position: int, cycle: int, figures: tuple[Any, ...], event: dict[str, Any]) -> None:
        at = event["recorded_at"]
        self.connection.execute(
            "INSERT INTO budget_closing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (position, cycle, *figures, at, event["recorded_by"]),
        )
        self.connection.execute(
            "UPDATE budget_cycle SET closed_at = ? WHERE id = ?", (at if figures[0] else None, cycle)
        )

    def remainder_carried(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """What was left of a closed cycle went over to another."""
        self.connection.execute(
            "INSERT INTO budget_roll_over VALUES (?, ?, ?, ?, ?)",
            (position, cycle_of(aggregate), event["to_cycle"], event["amount_usd"], event["remaining_usd"]),
        )

    def flush(self) -> None:
        """Write the readings that wait. Payloads do not wait with their sources: they are large, and the log has them."""
        marks = ", ".join("?" * 8)
        self.connection.executemany(f"INSERT INTO budget_reading ({_AMOUNT}) VALUES ({marks})", self.amounts)
        self.connection.executemany(
            f"INSERT INTO budget_reading ({_AMOUNT}, {_REST}) VALUES ({marks}, ?, ?, ?)", self.balances
        )
        self.amounts.clear()
        self.balances.clear()
        if len(self.sources) > SOURCES_IN_MEMORY:
            self._settle()
            self.sources.clear()
        for id in self.changed:
            source = self.sources[id]
            if source.said is not None and "payload" in source.said:
                source.said = None

    def finish(self) -> None:
        """Write what waits, and what the sources say in the end."""
        self.flush()
        self._settle()

    def _settle(self) -> None:
        for id in self.changed:
            self._update(self.sources[id])
        self.changed.clear()

    def _update(self, source: _Source) -> None:
        """Say in `budget_source` what the source says now."""
        said = self._said(source) if source.current else {}
        self.connection.execute(
            "UPDATE budget_source SET currency = ?, amount_usd = ?, balance_usd = ?, credit_usd = ?, measured_at = ?, stated = ?, "
            "reading = ?, last_updated = ?, raw_payload = ? WHERE id = ?",
            (
                said.get("stated_as", {}).get("currency", "USD") if said else None,
                said.get("amount_usd") or (self._left(cycle_of_source(source.id), said) if said else None),
                said.get("balance_usd"),
                said.get("credit_usd"),
                said.get("measured_at"),
                said.get("stated"),
                said.get("reading"),
                said.get("recorded_at"),
                said.get("payload"),
                source.id,
            ),
        )
        source.said = None

    def _said(self, source: _Source) -> dict[str, Any]:
        if source.said is not None:
            return source.said
        row = self.connection.execute(
            "SELECT state FROM stored_events WHERE position = ?", (source.current,)
        ).fetchone()
        said: dict[str, Any] = json.loads(row[0])
        return said

    @exactly
    def _left(self, cycle: int, said: dict[str, Any]) -> str:
        """The amount that a balance means."""
        credit = said.get("credit_usd")
        if credit is None:
            (target,) = self.connection.execute("SELECT target_usd FROM budget_cycle WHERE id = ?", (cycle,)).fetchone()
            topped_up = self.connection.execute(
                "SELECT amount_usd FROM budget_adjustment WHERE cycle_id = ? AND counts_from <= ? AND provider IN ('', ?)",
                (cycle, said["measured_at"], said["provider"]),
            )
            credit = sum((Decimal(amount) for (amount,) in topped_up), Decimal(target))
        return plain(Decimal(credit) - Decimal(said["balance_usd"]))
