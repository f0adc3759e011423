"""The read model of records: what was found each time a cycle was reconciled.

`budget_discrepancy` has a row for each pair of each record, also for pairs that agree.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ..domain.findings import Standing
from ..domain.ids import cycle_of, source_id
from ..domain.money import percent_of, plain, shown
from ..store.connection import Connection
from . import topics

TABLES = {
    "budget_reconciliation": """(
        id INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, recorded_at TEXT NOT NULL, recorded_by TEXT NOT NULL,
        budget_usd TEXT NOT NULL, tracked_usd TEXT NOT NULL, plugged_usd TEXT NOT NULL, unexplained_usd TEXT NOT NULL,
        remaining_usd TEXT NOT NULL, grade TEXT NOT NULL, diff_usd TEXT NOT NULL, percent_diff TEXT, providers TEXT NOT NULL)""",
    "budget_discrepancy": """(
        id INTEGER PRIMARY KEY, cycle_id INTEGER NOT NULL, source_a_id INTEGER NOT NULL, source_b_id INTEGER NOT NULL,
        diff_usd TEXT NOT NULL, percent_diff TEXT NOT NULL, grade TEXT NOT NULL, analysis TEXT NOT NULL,
        generated_at TEXT NOT NULL, reconciliation_id INTEGER NOT NULL)""",
}
INDEXES = (
    "CREATE INDEX budget_reconciliation_cycle ON budget_reconciliation (cycle_id, id)",
    "CREATE INDEX budget_discrepancy_cycle ON budget_discrepancy (cycle_id)",
)
IGNORES = (topics.CYCLES | topics.RUNS | topics.ODOMETERS | topics.ALERTS | topics.ACCESS | topics.IMPORTS) - {
    "cycle-reconciled.v1"
}
"""Of discrepancies the record in front of them has the pair, and of closing the record that goes with it."""


class Fold:
    """Takes records into the tables; the id of a record is its position in the log."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.records: list[tuple[Any, ...]] = []
        self.pairs: list[tuple[Any, ...]] = []
        self.pair_id: int = connection.execute("SELECT coalesce(max(id), 0) FROM budget_discrepancy").fetchone()[0]
        self.handlers = {"cycle-reconciled.v1": self.cycle_reconciled}

    def cycle_reconciled(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A record and its pairs."""
        record, cycle, at = event["record"], cycle_of(aggregate), event["recorded_at"]
        figures = tuple(record[f"{name}_usd"] for name in ("budget", "tracked", "plugged", "unexplained", "remaining"))
        percent = None if record["grade"] == "UNVERIFIED" else _percent(record)
        providers = json.dumps(record["providers"], separators=(",", ":"))
        self.records.append(
            (
                position,
                cycle,
                at,
                event["recorded_by"],
                *figures,
                record["grade"],
                record["diff_usd"],
                percent,
                providers,
            )
        )
        for pair in record["pairs"]:
            self.pair_id += 1
            a, b = source_id(cycle, pair["source_a"]), source_id(cycle, pair["source_b"])
            self.pairs.append(
                (
                    self.pair_id,
                    cycle,
                    a,
                    b,
                    pair["diff_usd"],
                    _percent(pair),
                    pair["grade"],
                    pair["analysis"],
                    at,
                    position,
                )
            )

    def flush(self) -> None:
        """Write the records that wait."""
        self.connection.executemany(
            "INSERT INTO budget_reconciliation VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", self.records
        )
        self.connection.executemany("INSERT INTO budget_discrepancy VALUES (?,?,?,?,?,?,?,?,?,?)", self.pairs)
        self.records.clear()
        self.pairs.clear()

    finish = flush


def _percent(figures: Mapping[str, str]) -> str:
    percent = percent_of(Decimal(figures["diff_usd"]), Decimal(figures["base_usd"]))
    return plain(shown(percent, 4)) if percent else "0"


class LastRecord(NamedTuple):
    """The last time a cycle was reconciled."""

    recorded_at: str
    standings: dict[str, Standing]


def last_record(connection: Connection, cycle: int, position: int) -> LastRecord | None:
    """The last record of a cycle, as of a position."""
    row = connection.execute(
        "SELECT recorded_at, providers FROM budget_reconciliation WHERE cycle_id = ? AND id <= ? ORDER BY id DESC LIMIT 1",
        (cycle, position),
    ).fetchone()
    if row is None:
        return None
    providers = json.loads(row[1])
    return LastRecord(row[0], {p["provider"]: _standing(p) for p in providers})


def _standing(p: Mapping[str, str]) -> Standing:
    observed, plugged, unexplained = (Decimal(p[f"{name}_usd"]) for name in ("observed", "plugged", "unexplained"))
    return Standing(observed, plugged, unexplained, p["grade"])
