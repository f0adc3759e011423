"""The read model of imports: files that are kept as evidence, the lines of reports, and what they come to by day."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ..domain.lines import Line
from ..domain.money import EXACT, plain
from ..domain.period import from_text
from ..store.connection import Connection
from . import topics

TABLES = {
    "import_file": """(
        id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, format TEXT NOT NULL,
        version INTEGER NOT NULL, report TEXT NOT NULL, exported_at TEXT NOT NULL, items INTEGER NOT NULL,
        unreadable INTEGER NOT NULL, remarks TEXT NOT NULL, incomplete INTEGER NOT NULL, recorded_at TEXT NOT NULL,
        recorded_by TEXT NOT NULL, cycle_id INTEGER)""",
    "import_unreadable": """(
        file INTEGER NOT NULL, line INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (file, line, reason)) WITHOUT ROWID""",
    "import_report": """(
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, provider TEXT NOT NULL, account TEXT NOT NULL, source TEXT NOT NULL,
        type TEXT NOT NULL, estimate INTEGER NOT NULL, exported_at TEXT NOT NULL)""",
    "import_line": """(
        report INTEGER NOT NULL, key TEXT NOT NULL, rank TEXT NOT NULL, begins TEXT NOT NULL, ends TEXT NOT NULL, usd TEXT,
        run TEXT, model TEXT, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (report, key)) WITHOUT ROWID""",
    "import_bucket": """(
        report INTEGER NOT NULL, begins TEXT NOT NULL, ends TEXT NOT NULL, usd TEXT NOT NULL, lines INTEGER NOT NULL,
        PRIMARY KEY (report, ends, begins)) WITHOUT ROWID""",
}
INDEXES = ("CREATE INDEX import_file_sha256 ON import_file (sha256)",)
IGNORES = topics.CYCLES | topics.RUNS | topics.ODOMETERS | topics.ALERTS | topics.ACCESS
_LINE = "key, rank, begins, ends, usd, run, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens"
_NOTHING = (Decimal(0), 0)
_PUT = f"""
INSERT INTO import_line VALUES ({", ".join("?" * 13)}) ON CONFLICT (report, key) DO UPDATE SET {
    ", ".join(f"{name} = excluded.{name}" for name in (*_LINE.split(", ")[1:], "position"))
}"""
AT_ONCE = 500
"""Keys that one look-up asks for."""


class Fold:
    """Takes files and lines into the tables, event by event."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.handlers = {"evidence-filed.v1": self.filed, "lines-imported.v1": self.imported}

    def flush(self) -> None:
        """Nothing waits: an event of many lines is a batch of its own."""

    def filed(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A file was kept; the same file again, read by a newer importer, is a row of its own."""
        get = event.get
        self.connection.execute(
            "INSERT INTO import_file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position, event["sha256"], event["file_name"], event["size"], event["format"], event["version"], event["report"],
                event["exported_at"], event["items"], get("unreadable_count", 0), json.dumps(get("remarks", [])),
                int(get("incomplete", False)), event["recorded_at"], event["recorded_by"],
                get("cycle_id"),
            ),
        )  # fmt: skip
        self.connection.execute(
            "UPDATE import_report SET exported_at = ? WHERE name = ? AND exported_at < ?",
            (event["exported_at"], event["report"], event["exported_at"]),
        )
        rows = [(position, line, reason) for line, reason in get("unreadable", ())]
        self.connection.executemany("INSERT INTO import_unreadable VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)

    def imported(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """Lines are new, or say something else; the sums of their buckets move by the difference."""
        report = self._report(position, event)
        sums: dict[tuple[str, str], tuple[Decimal, int]] = {}
        rows = []
        for key, rank, start, end, usd, run, model, *tokens, was, began, ended in event["lines"]:
            rows.append((report, key, rank, start, end, usd, run, model, *tokens, position))
            begins = "" if run is not None else start  # what calls cost is summed up by day
            if usd is not None:
                moved, count = sums.get((begins, end), _NOTHING)
                sums[begins, end] = EXACT.add(moved, Decimal(usd)), count + 1
            if was is not None:
                before = ("" if run is not None else began, ended)
                moved, count = sums.get(before, _NOTHING)
                sums[before] = EXACT.subtract(moved, Decimal(was)), count - 1
        self.connection.executemany(_PUT, rows)
        for (start, end), (moved, count) in sums.items():
            self._move(report, start, end, moved, count)

    def _move(self, report: int, start: str, end: str, moved: Decimal, count: int) -> None:
        """A bucket whose last line went elsewhere is none."""
        found = self.connection.execute(
            "SELECT usd, lines FROM import_bucket WHERE report = ? AND ends = ? AND begins = ?", (report, end, start)
        ).fetchone()
        usd, lines = (EXACT.add(Decimal(found[0]), moved), found[1] + count) if found else (moved, count)
        self.connection.execute(
            "INSERT INTO import_bucket VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (report, ends, begins) DO UPDATE SET usd = excluded.usd, lines = excluded.lines",
            (report, start, end, plain(usd), lines),
        )
        if not lines:
            self.connection.execute(
                "DELETE FROM import_bucket WHERE report = ? AND ends = ? AND begins = ?", (report, end, start)
            )

    def _report(self, position: int, event: dict[str, Any]) -> int:
        self.connection.execute(
            "INSERT INTO import_report VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET exported_at = excluded.exported_at WHERE import_report.exported_at < excluded.exported_at",
            (
                position, event["report"], event["provider"], event["account"], event["source"], event["type"],
                int(event.get("estimate", False)), event["exported_at"],
            ),
        )  # fmt: skip
        found = self.connection.execute("SELECT id FROM import_report WHERE name = ?", (event["report"],)).fetchone()
        return int(found[0])


class Lines:
    """What was imported of one report."""

    def __init__(self, connection: Connection, report: str) -> None:
        self.connection, self.report = connection, report

    def lines(self, keys: Iterable[str]) -> Mapping[str, Line]:
        """The lines with these keys."""
        found = self.connection.execute("SELECT id FROM import_report WHERE name = ?", (self.report,)).fetchone()
        if found is None:
            return {}
        wanted, known = list(dict.fromkeys(keys)), {}
        for first in range(0, len(wanted), AT_ONCE):
            some = wanted[first : first + AT_ONCE]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT {_LINE} FROM import_line WHERE report = ? AND key IN ({marks})"
            for row in self.connection.execute(sql, (found[0], *some)):
                known[row[0]] = _line(row)
        return known


def _line(row: tuple[Any, ...]) -> Line:
    key, rank, start, end, usd, *rest = row
    return Line(key, rank, from_text(start), from_text(end), None if usd is None else Decimal(usd), *rest)


class Report(NamedTuple):
    """A report, and when the newest file of it was exported."""

    id: int
    name: str
    provider: str
    account: str
    source: str
    type: str
    estimate: bool
    exported_at: datetime

    @property
    def money_of(self) -> str:
        """The provider of its readings: two accounts are two providers."""
        return f"{self.provider}:{self.account}" if self.account else self.provider

    @property
    def label(self) -> str:
        """The name of the source of its readings."""
        return f"{self.source} ({self.account})" if self.account else self.source


def reports(connection: Connection) -> list[Report]:
    """Every report, by name."""
    rows = connection.execute("SELECT * FROM import_report ORDER BY name")
    return [
        Report(id, name, provider, account, source, type, bool(estimate), from_text(exported_at))
        for id, name, provider, account, source, type, estimate, exported_at in rows
    ]


class Bucket(NamedTuple):
    """What the lines of a report come to that end together; `start` is None where calls of a day are summed up."""

    start: datetime | None
    end: datetime
    usd: Decimal


def buckets(connection: Connection, report: int) -> list[Bucket]:
    """The buckets of a report, in the order in which they end."""
    rows = connection.execute(
        "SELECT begins, ends, usd FROM import_bucket WHERE report = ? ORDER BY ends, begins", (report,)
    )
    return [Bucket(from_text(start) if start else None, from_text(end), Decimal(usd)) for start, end, usd in rows]


class Kept(NamedTuple):
    """A file that is kept as evidence; times are as they are stored, `id` is its position in the log."""

    id: int
    sha256: str
    name: str
    size: int
    format: str
    version: int
    report: str
    exported_at: str
    items: int
    unreadable: int
    remarks: str
    incomplete: int
    recorded_at: str
    recorded_by: str
    cycle_id: int | None


def files(connection: Connection, position: int) -> list[Kept]:
    """Every file, in the order recorded; of one that was read again by a newer importer, each time."""
    return [
        Kept(*row) for row in connection.execute("SELECT * FROM import_file WHERE id <= ? ORDER BY id", (position,))
    ]


def kept(connection: Connection, digest: str, report: str) -> Kept | None:
    """A file by its digest, as it was read last for a report."""
    found = connection.execute(
        "SELECT * FROM import_file WHERE sha256 = ? AND report = ? ORDER BY id DESC LIMIT 1", (digest, report)
    ).fetchone()
    return None if found is None else Kept(*found)


def unreadable(connection: Connection, file: int) -> list[tuple[int, str]]:
    """The lines of a file that could not be read, and why."""
    return list(connection.execute("SELECT line, reason FROM import_unreadable WHERE file = ? ORDER BY line", (file,)))
