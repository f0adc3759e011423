"""The read model of odometers: every reading of a counter, which months are final, and which cycles are fed."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from ..domain.counter import Said, Shown
from ..domain.period import as_text, from_text
from ..store.connection import Connection
from . import topics

TABLES = {
    "odometer_reading": """(
        position INTEGER PRIMARY KEY, provider TEXT NOT NULL, month TEXT NOT NULL, amount_usd TEXT NOT NULL,
        change_usd TEXT, read_at TEXT NOT NULL, stated INTEGER NOT NULL, notes TEXT, reason TEXT,
        recorded_at TEXT NOT NULL, recorded_by TEXT NOT NULL)""",
    "odometer_month": """(
        position INTEGER PRIMARY KEY, provider TEXT NOT NULL, month TEXT NOT NULL, final INTEGER NOT NULL,
        amount_usd TEXT, reason TEXT, recorded_at TEXT NOT NULL, recorded_by TEXT NOT NULL)""",
    "odometer_feed": """(
        position INTEGER PRIMARY KEY, provider TEXT NOT NULL, cycle_id INTEGER NOT NULL, feeds INTEGER NOT NULL,
        reason TEXT, recorded_at TEXT NOT NULL, recorded_by TEXT NOT NULL)""",
}
INDEXES = (
    "CREATE INDEX odometer_reading_month ON odometer_reading (provider, month, read_at)",
    "CREATE INDEX odometer_month_month ON odometer_month (provider, month)",
    "CREATE INDEX odometer_feed_provider ON odometer_feed (provider)",
)
IGNORES = topics.CYCLES | topics.RUNS | topics.ALERTS | topics.ACCESS | topics.IMPORTS


class Fold:
    """Takes readings of counters into the tables."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.handlers = {
            "odometer-read.v1": self.read,
            "odometer-corrected.v1": self.read,
            "month-finalized.v1": self.finalized,
            "month-reopened.v1": self.finalized,
            "odometer-feed-begun.v1": self.fed,
            "odometer-feed-ended.v1": self.fed,
        }

    def flush(self) -> None:
        """Nothing waits: people read counters now and then."""

    finish = flush

    def read(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A reading; a correction says by how much the month changed, and why."""
        self.connection.execute(
            "INSERT INTO odometer_reading VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position,
                event["provider"],
                event["month"],
                event["amount_usd"],
                event.get("change_usd"),
                event["read_at"],
                event["stated"],
                event.get("notes"),
                event.get("reason"),
                event["recorded_at"],
                event["recorded_by"],
            ),
        )

    def finalized(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A month became final, or was reopened with a reason."""
        amount, reason = event.get("amount_usd"), event.get("reason")
        self.connection.execute(
            "INSERT INTO odometer_month VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (position, event["provider"], event["month"], reason is None, amount, reason, *_by(event)),
        )

    def fed(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A cycle is fed from here on, or not any more."""
        reason = event.get("reason")
        self.connection.execute(
            "INSERT INTO odometer_feed VALUES (?, ?, ?, ?, ?, ?, ?)",
            (position, event["provider"], event["fed_cycle"], reason is None, reason, *_by(event)),
        )


def _by(event: dict[str, Any]) -> tuple[str, str]:
    return event["recorded_at"], event["recorded_by"]


def providers(connection: Connection, position: int) -> list[str]:
    """Every provider with a reading or a feed, as of a position."""
    rows = connection.execute(
        "SELECT provider FROM odometer_reading WHERE position <= ? "
        "UNION SELECT provider FROM odometer_feed WHERE position <= ? ORDER BY 1",
        (position, position),
    )
    return [provider for (provider,) in rows]


def shown(connection: Connection, provider: str, position: int, by: datetime | None) -> dict[str, Shown]:
    """What each month showed, as of a position, by the readings taken by a moment (None: all)."""
    until = "~" if by is None else as_text(by)
    rows = connection.execute(
        "SELECT month, amount_usd, read_at FROM odometer_reading "
        "WHERE provider = ? AND position <= ? ORDER BY month, read_at, position",
        (provider, position),
    )
    last, newest = {}, {}
    for month, amount, read_at in rows:
        newest[month] = (amount, read_at)
        if read_at <= until:
            last[month] = newest[month]
    final = {
        month: bool(is_final)
        for month, is_final in connection.execute(
            "SELECT month, final FROM odometer_month WHERE provider = ? AND position <= ? ORDER BY position",
            (provider, position),
        )
    }
    return {
        month: Shown(
            Decimal(amount), from_text(read_at), newest[month] == (amount, read_at) and final.get(month, False)
        )
        for month, (amount, read_at) in last.items()
    }


def said(connection: Connection, provider: str, month: str) -> list[Said]:
    """Every reading of a month, in the order recorded."""
    rows = connection.execute(
        "SELECT amount_usd, read_at, change_usd IS NOT NULL FROM odometer_reading "
        "WHERE provider = ? AND month = ? ORDER BY position",
        (provider, month),
    )
    return [Said(Decimal(amount), from_text(read_at), bool(corrects)) for amount, read_at, corrects in rows]


def feeds(connection: Connection, position: int) -> list[tuple[str, int]]:
    """Which cycles are fed by which odometers, as of a position."""
    rows = connection.execute(
        "SELECT provider, cycle_id, feeds FROM odometer_feed WHERE position <= ? ORDER BY position", (position,)
    )
    last = {(provider, cycle): bool(feeds) for provider, cycle, feeds in rows}
    return sorted(fed for fed, feeds in last.items() if feeds)
