"""The read model of alerts: what was raised, and who heard of it."""

import json
from decimal import Decimal
from typing import Any

from ..domain.ids import cycle_in
from ..domain.period import from_text, time_text
from ..store.connection import Connection
from . import topics

TABLES = {
    "budget_alert": """(
        id INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, alert INTEGER NOT NULL, kind TEXT NOT NULL, level TEXT NOT NULL,
        message TEXT NOT NULL, threshold_percent TEXT NOT NULL, discrepancy_percent TEXT, targets TEXT NOT NULL,
        raised_at TEXT NOT NULL, recorded_by TEXT NOT NULL)""",
    "budget_alert_delivery": """(
        position INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, alert INTEGER NOT NULL, target TEXT NOT NULL,
        attempts INTEGER NOT NULL, error TEXT, retry_at TEXT, recorded_at TEXT NOT NULL)""",
}
INDEXES = (
    "CREATE INDEX budget_alert_cycle ON budget_alert (cycle_id, alert)",
    "CREATE INDEX budget_alert_delivery_alert ON budget_alert_delivery (cycle_id, alert)",
)
IGNORES = topics.CYCLES | topics.RUNS | topics.ODOMETERS | topics.ACCESS | topics.IMPORTS | {"alert-suppressed.v1"}


class Fold:
    """Takes alerts into the tables; the id of an alert is its position in the log."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.handlers = {
            "alert-raised.v1": self.raised,
            "alert-delivered.v1": self.tried,
            "alert-failed.v1": self.tried,
        }

    def flush(self) -> None:
        """Nothing waits: alerts are rare."""

    finish = flush

    def raised(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """Something was over its threshold."""
        self.connection.execute(
            "INSERT INTO budget_alert VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position,
                cycle_in(aggregate),
                event["alert"],
                event["kind"],
                event["level"],
                event["message"],
                event["threshold_percent"],
                event.get("discrepancy_percent"),
                json.dumps(event["targets"], ensure_ascii=False),
                event["recorded_at"],
                event["recorded_by"],
            ),
        )

    def tried(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A target heard of it, or could not be reached."""
        self.connection.execute(
            "INSERT INTO budget_alert_delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position,
                cycle_in(aggregate),
                event["alert"],
                event["target"],
                event["attempts"],
                event.get("error"),
                event.get("retry_at"),
                event["recorded_at"],
            ),
        )


def of_cycle(connection: Connection, cycle: int, position: int) -> list[dict[str, Any]]:
    """The alerts of a cycle as of a position, the newest first, each with what came of telling whom."""
    tried: dict[int, list[dict[str, Any]]] = {}
    for alert, target, attempts, error, retry_at, recorded_at in connection.execute(
        "SELECT alert, target, attempts, error, retry_at, recorded_at FROM budget_alert_delivery "
        "WHERE cycle_id = ? AND position <= ? ORDER BY position",
        (cycle, position),
    ):
        tried.setdefault(alert, []).append(
            {
                "target": target,
                "delivered": error is None,
                "attempts": attempts,
                "error": error,
                "retry_at": retry_at and time_text(from_text(retry_at)),
                "recorded_at": time_text(from_text(recorded_at)),
            }
        )
    rows = connection.execute(
        "SELECT alert, kind, level, message, threshold_percent, discrepancy_percent, targets, raised_at, recorded_by "
        "FROM budget_alert WHERE cycle_id = ? AND id <= ? ORDER BY alert DESC",
        (cycle, position),
    )
    return [
        {
            "alert": alert,
            "kind": kind,
            "level": level,
            "message": message,
            "threshold_percent": Decimal(threshold),
            "percent": percent and Decimal(percent),
            "targets": json.loads(targets),
            "raised_at": time_text(from_text(raised_at)),
            "recorded_by": by,
            "deliveries": tried.get(alert, []),
        }
        for alert, kind, level, message, threshold, percent, targets, raised_at, by in rows
    ]
