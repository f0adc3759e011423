"""The read model of alerts: what was raised, and who heard of it."""

import json
import sqlite3
from typing import Any

from ..domain.ids import cycle_in
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
IGNORES = topics.CYCLES | topics.RUNS | topics.ODOMETERS | {"alert-suppressed.v1"}


class Fold:
    """Takes alerts into the tables; the id of an alert is its position in the log."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.handlers = {
            "alert-raised.v1": self.raised,
            "alert-delivered.v1": self.tried,
            "alert-failed.v1": self.tried,
        }

    def flush(self) -> None:
        """Nothing waits: alerts are rare."""

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
