"""The read model of imports: files that are kept as evidence, the lines and figures of reports, and what lines come to.

Runs are folded with them (`runs`), as a line of a call is what a dispatch reported, and is kept once.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ..domain.figures import Figure
from ..domain.lines import Line
from ..domain.money import EXACT, ZERO, exactly, plain
from ..domain.period import MOMENT, QUARTER, from_text
from ..domain.tokens import Tokens
from ..store.connection import Connection
from . import runs, topics
from .many import batches

TABLES = runs.TABLES | {
    "import_file": """(
        id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, format TEXT NOT NULL,
        version INTEGER NOT NULL, report TEXT NOT NULL, exported_at TEXT NOT NULL, items INTEGER NOT NULL,
        unreadable INTEGER NOT NULL, remarks TEXT NOT NULL, incomplete INTEGER NOT NULL, recorded_at TEXT NOT NULL,
        recorded_by TEXT NOT NULL, cycle_id INTEGER, settled TEXT, settled_at INTEGER)""",
    "import_unreadable": """(
        file INTEGER NOT NULL, line INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (file, line, reason)) WITHOUT ROWID""",
    "import_report": """(
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, provider TEXT NOT NULL, account TEXT NOT NULL, source TEXT NOT NULL,
        type TEXT NOT NULL, estimate INTEGER NOT NULL, exported_at TEXT NOT NULL)""",
    "import_withdrawal": """(
        report TEXT NOT NULL, position INTEGER NOT NULL, until INTEGER, reason TEXT NOT NULL,
        PRIMARY KEY (report, position)) WITHOUT ROWID""",
    "import_line": """(
        id INTEGER PRIMARY KEY, report INTEGER NOT NULL, key TEXT NOT NULL, rank TEXT NOT NULL, begins TEXT NOT NULL,
        ends TEXT NOT NULL, usd TEXT, run INTEGER, model TEXT, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, terms TEXT NOT NULL,
        provider TEXT NOT NULL, position INTEGER NOT NULL, stands INTEGER NOT NULL DEFAULT 1, UNIQUE (key, report))""",
    "import_figure": """(
        report INTEGER NOT NULL, cycle_id INTEGER NOT NULL, measured_at TEXT NOT NULL, rank TEXT NOT NULL, amount_usd TEXT,
        balance_usd TEXT, credit_usd TEXT, raw_payload TEXT NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (report, cycle_id, measured_at, rank)) WITHOUT ROWID""",
    "import_share": """(
        report INTEGER NOT NULL, provider TEXT NOT NULL, PRIMARY KEY (report, provider)) WITHOUT ROWID""",
    "import_bucket": """(
        report INTEGER NOT NULL, provider TEXT NOT NULL, begins TEXT NOT NULL, ends TEXT NOT NULL, usd TEXT NOT NULL,
        lines INTEGER NOT NULL, PRIMARY KEY (report, provider, ends, begins)) WITHOUT ROWID""",
}
AT_ONCE = 5_000
"""Lines that are read together."""
INDEXES = (
    *runs.INDEXES,
    "CREATE INDEX import_file_sha256 ON import_file (sha256)",
    "CREATE INDEX import_line_run ON import_line (run, id)",
)
IGNORES = topics.CYCLES | topics.ODOMETERS | topics.ALERTS | topics.ACCESS | {"cost.reconciliation_discrepancy"}
_FACTS = (
    *("key", "rank", "begins", "ends", "usd", "run", "model", "input_tokens", "output_tokens", "cache_read_tokens"),
    *("cache_write_tokens", "estimated", "terms", "provider"),
)
_LINE = (
    f"SELECT {', '.join(_FACTS).replace('run', 'run_id')}, l.id FROM import_line l LEFT JOIN cost_run r ON r.id = l.run"
)

Moves = dict[tuple[str, str, str], list[str]]
"""Amounts by the provider, start and end of their bucket; those of calls are summed up by quarters of an hour, without a start."""

_NEW = f"INSERT INTO import_line (id, report, {', '.join(_FACTS)}, position) VALUES ({', '.join('?' * 17)})"
_AGAIN = (
    f"UPDATE import_line SET {', '.join(f'{name} = ?' for name in _FACTS[1:])}, position = ?, stands = 1 "
    "WHERE report = ? AND key = ?"
)


class Fold:
    """Takes files and lines into the tables, event by event."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self._runs = connection, runs.Fold(connection)
        self.handlers = self._runs.handlers | {
            "evidence-filed.v1": self.filed,
            "evidence-settled.v1": self.settled,
            "report-withdrawn.v1": self.withdrawn,
            "lines-imported.v1": self.imported,
            "figures-imported.v1": self.noted,
        }

    def flush(self) -> None:
        """Nothing waits: an event of many lines is a batch of its own."""

    finish = flush

    def filed(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A file was kept; the same file again, read by a newer importer, is a row of its own."""
        get = event.get
        self.connection.execute(
            "INSERT INTO import_file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
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
        self._count_again(position, event["report"])
        self.connection.execute(
            "UPDATE import_file SET (settled, settled_at) = (SELECT was.settled, was.settled_at FROM import_file was "
            "WHERE was.sha256 = ? AND was.version = ? AND was.settled IS NOT NULL ORDER BY was.id DESC LIMIT 1) WHERE id = ?",
            (event["sha256"], event["version"], position),
        )  # the same bytes, read by the same importer, are as settled as they were
        rows = [(position, line, reason) for line, reason in get("unreadable", ())]
        self.connection.executemany("INSERT INTO import_unreadable VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)

    def settled(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """Nothing is missing any more of a file, as far as it was read until now."""
        self.connection.execute(
            "UPDATE import_file SET settled = ?, settled_at = ? WHERE sha256 = ?",
            (event["reason"], position, event["sha256"]),
        )

    def withdrawn(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A report counts no more, until something comes of it again."""
        self.connection.execute(
            "INSERT INTO import_withdrawal VALUES (?, ?, NULL, ?)", (event["report"], position, event["reason"])
        )

    def _count_again(self, position: int, report: str) -> None:
        """Something comes of a report that may have been withdrawn."""
        self.connection.execute(
            "UPDATE import_withdrawal SET until = ? WHERE report = ? AND until IS NULL", (position, report)
        )

    def imported(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """Lines are new, or say something else; the sums of their buckets move by the difference."""
        calls = self._runs.lines_imported(position, event)
        report = self._report(position, event)
        restated, confirmed = event.get("restated", ()), event.get("confirmed", ())
        new, lines = len(event["lines"]), [*event["lines"], *(line[:12] for line in restated)]
        providers = event.get("whose") or [""] * len(lines)
        come, gone = Moves(), Moves()
        for line, provider in zip(lines, providers, strict=True):
            if (usd := line[4]) is not None:
                come.setdefault((provider, line[2] if line[5] is None else "", line[3]), []).append(usd)
        stood = _standing(self.connection, report, [line[0] for line in restated])
        for key, _, _, _, _, run, *_, usd, start, end in restated:
            if usd is not None:
                gone.setdefault((stood[key].provider, start if run is None else "", end), []).append(usd)
        self._reprice(report, event.get("repriced", ()), come, gone)
        terms, number = dict(event.get("terms", ())), calls.runs.get
        rows = [
            (report, *line[:5], number(line[5]), *line[6:11], int(line[11]), terms.get(line[0], "") if terms else "", provider, position)
            for line, provider in zip(lines, providers, strict=True)
        ]  # fmt: skip  # SQLite's module takes long to bind a bool, as it does for None
        if new:
            first = self.connection.execute("SELECT coalesce(max(id), 0) + 1 FROM import_line").fetchone()[0]
            self.connection.executemany(_NEW, [(id, *row) for id, row in enumerate(rows[:new], first)])
        self.connection.executemany(_AGAIN, [(*row[2:], *row[:2]) for row in rows[new:]])
        self.connection.executemany(
            "UPDATE import_line SET stands = 0 WHERE report = ? AND key = ?", [(report, key) for key in calls.apart]
        )
        self.connection.executemany(
            "UPDATE import_line SET rank = ? WHERE report = ? AND key = ?",
            [(rank, report, key) for key, rank in confirmed],
        )
        self._share(report, set(providers))
        for bucket in come | gone:
            came, went = come.get(bucket, []), gone.get(bucket, [])
            self._move(report, bucket, EXACT.subtract(_sum(came), _sum(went)), len(came) - len(went))

    def _share(self, report: int, providers: set[str]) -> None:
        """Whose money the report is of, now or ever."""
        self.connection.executemany(
            "INSERT INTO import_share VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(report, name) for name in sorted(providers)],
        )

    def _reprice(
        self, report: int, repriced: list[tuple[str, str | None, str | None]], come: Moves, gone: Moves
    ) -> None:
        """Calls cost otherwise now; what that moves is added to what comes and goes of each bucket."""
        stood = _standing(self.connection, report, [key for key, _, _ in repriced])
        for key, usd, was in repriced:
            bucket = stood[key].provider, "", stood[key].end
            for moved, amount in ((come, usd), (gone, was)):
                if amount is not None:
                    moved.setdefault(bucket, []).append(amount)
        self.connection.executemany(
            "UPDATE import_line SET usd = ?, estimated = 1 WHERE report = ? AND key = ?",
            [(usd, report, key) for key, usd, _ in repriced],
        )

    def noted(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """Figures are kept, each of them: which of two is right is asked when cycles are told."""
        report = self._report(position, event)
        rows = [(report, *figure, position) for figure in event["figures"]]
        self.connection.executemany(
            "INSERT INTO import_figure VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
        )

    def _move(self, report: int, bucket: tuple[str, str, str], moved: Decimal, count: int) -> None:
        """A bucket whose last line went elsewhere is none."""
        provider, start, end = bucket
        which = "WHERE report = ? AND provider = ? AND ends = ? AND begins = ?"
        found = self.connection.execute(
            f"SELECT usd, lines FROM import_bucket {which}", (report, provider, end, start)
        ).fetchone()
        usd, lines = (EXACT.add(Decimal(found[0]), moved), found[1] + count) if found else (moved, count)
        self.connection.execute(
            "INSERT INTO import_bucket VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (report, provider, ends, begins) DO UPDATE SET usd = excluded.usd, lines = excluded.lines",
            (report, provider, start, end, plain(usd), lines),
        )
        if not lines:
            self.connection.execute(f"DELETE FROM import_bucket {which}", (report, provider, end, start))

    def _report(self, position: int, event: dict[str, Any]) -> int:
        """The report of an event; files that were kept before it had anything to say were exported too."""
        newest = self.connection.execute(
            "SELECT max(exported_at) FROM import_file WHERE report = ?", (event["report"],)
        ).fetchone()[0]
        self.connection.execute(
            "INSERT INTO import_report VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET exported_at = CASE WHEN import_report.exported_at < excluded.exported_at THEN excluded.exported_at "
            "ELSE import_report.exported_at END, estimate = excluded.estimate",
            (
                position, event["report"], event["provider"], event["account"], event["source"], event["type"],
                int(event.get("estimate", False)), max(event["exported_at"], newest or ""),
            ),
        )  # fmt: skip
        self._count_again(position, event["report"])
        found = self.connection.execute("SELECT id FROM import_report WHERE name = ?", (event["report"],)).fetchone()
        return int(found[0])


@exactly
def _sum(amounts: list[str]) -> Decimal:
    return sum(map(Decimal, amounts), ZERO)


class Lines:
    """What was imported of one report."""

    def __init__(self, connection: Connection, report: str) -> None:
        self.connection, self.report = connection, report

    def lines(self, keys: Iterable[str]) -> Mapping[str, Line]:
        """The lines with these keys."""
        found = self.connection.execute("SELECT id FROM import_report WHERE name = ?", (self.report,)).fetchone()
        if found is None:
            return {}
        return _standing(self.connection, found[0], list(dict.fromkeys(keys)))

    def sums(self, names: Iterable[str]) -> Mapping[str, Tokens]:
        """What these runs come to; those that are unknown are left out."""
        numbers = {name: runs.run_number(self.connection, name) for name in names}
        return {
            n: runs.total_of(self.connection, run, runs.EVER).tokens for n, run in numbers.items() if run is not None
        }

    def nothing(self, calls: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those of some calls, by run and key, that are dispatches without any tokens."""
        found: set[tuple[str, str]] = set()
        for name, key in calls:
            run = runs.run_number(self.connection, name)
            stood = runs.standing(self.connection, run, [key]).get(key) if run is not None else None
            if stood is not None and not any(stood.tokens):
                found.add((name, key))
        return frozenset(found)

    def figures(self) -> list[Figure]:
        """Every figure."""
        found = self.connection.execute("SELECT id FROM import_report WHERE name = ?", (self.report,)).fetchone()
        return figures(self.connection, found[0]) if found else []


def _standing(connection: Connection, report: int, keys: list[str]) -> dict[str, Line]:
    """What stands of some lines of a report; those that are unknown are left out."""
    found: dict[str, Line] = {}
    for some, marks in batches(keys):
        for row in connection.execute(f"{_LINE} WHERE l.report = ? AND key IN ({marks})", (report, *some)):
            found[row[0]] = _line(row)
    return found


def _line(row: tuple[Any, ...]) -> Line:
    return Line._make((*row[:11], bool(row[11]), *row[12:-1]))


def unpriced_or_estimated(connection: Connection, report: int) -> Iterator[list[Line]]:
    """The calls of a report of which nobody said what they cost, in batches, in the order in which they were imported."""
    sql = (
        f"{_LINE} WHERE l.report = ? AND l.run IS NOT NULL AND (usd IS NULL OR estimated = 1) AND l.id > ? "
        "ORDER BY l.id LIMIT ?"
    )
    after = 0
    while rows := connection.execute(sql, (report, after, AT_ONCE)).fetchall():
        yield [_line(row) for row in rows]
        after = rows[-1][-1]


class Report(NamedTuple):
    """A report, or the share of it that is another provider's money, and when the newest file of it was exported."""

    id: int
    name: str
    provider: str
    account: str
    source: str
    type: str
    estimate: bool
    exported_at: datetime
    withdrawn: bool
    """Did somebody say that it should not count, and nothing of it came since?"""
    share: str
    """The provider whose money it is, if that is not the report's own."""

    @property
    def money_of(self) -> str:
        """The provider of its readings: two accounts are two providers."""
        return self.share or (f"{self.provider}:{self.account}" if self.account else self.provider)

    @property
    def label(self) -> str:
        """The name of the source of its readings."""
        whose = self.share or self.account
        return f"{self.source} ({whose})" if whose else self.source


_WITHDRAWN = "EXISTS (SELECT 1 FROM import_withdrawal w WHERE w.report = r.name AND w.until IS NULL)"


def reports(connection: Connection) -> list[Report]:
    """Every report by name, each of its shares by itself."""
    rows = connection.execute(
        f"SELECT id, name, r.provider, account, source, type, estimate, exported_at, {_WITHDRAWN}, coalesce(s.provider, '') "
        "FROM import_report r LEFT JOIN import_share s ON s.report = r.id ORDER BY name, s.provider"
    )
    return [
        Report(
            id, name, provider, account, source, type, bool(estimate), from_text(exported_at), bool(withdrawn), share
        )
        for id, name, provider, account, source, type, estimate, exported_at, withdrawn, share in rows
    ]


class Bucket(NamedTuple):
    """What the lines of a report come to that end together; `start` is None where they are calls of a quarter of an hour."""

    start: datetime | None
    end: datetime
    usd: Decimal

    @property
    def begins(self) -> datetime:
        """Its first moment."""
        return self.start or self.end - (QUARTER - MOMENT)


def buckets(connection: Connection, report: Report) -> list[Bucket]:
    """The buckets of a report, or of a share of it, in the order in which they end."""
    rows = connection.execute(
        "SELECT begins, ends, usd FROM import_bucket WHERE report = ? AND provider = ? ORDER BY ends, begins",
        (report.id, report.share),
    )
    return [Bucket(from_text(start) if start else None, from_text(end), Decimal(usd)) for start, end, usd in rows]


def figures(connection: Connection, report: int) -> list[Figure]:
    """Every figure of a report that stands for a whole cycle, right or not any more."""
    rows = connection.execute(
        "SELECT cycle_id, measured_at, rank, amount_usd, balance_usd, credit_usd, raw_payload FROM import_figure WHERE report = ?",
        (report,),
    )
    return [
        Figure(cycle, from_text(at), rank, _amount(amount), _amount(balance), _amount(credit), payload)
        for cycle, at, rank, amount, balance, credit, payload in rows
    ]


def is_withdrawn(connection: Connection, report: str) -> bool:
    """Did somebody say that a report should not count, and nothing of it came since?"""
    found = connection.execute("SELECT 1 FROM import_withdrawal WHERE report = ? AND until IS NULL", (report,))
    return found.fetchone() is not None


def withdrawn(connection: Connection, position: int) -> dict[str, str]:
    """The reports that did not count as of a position, and why."""
    rows = connection.execute(
        "SELECT report, reason FROM import_withdrawal WHERE position <= ? AND (until IS NULL OR until > ?)",
        (position, position),
    )
    return dict(rows.fetchall())


def formats(connection: Connection, report: str) -> set[str]:
    """The formats of the files of a report."""
    rows = connection.execute("SELECT DISTINCT format FROM import_file WHERE report = ?", (report,))
    return {format for (format,) in rows}


def others(connection: Connection, digest: str, report: str) -> list[str]:
    """Other reports that a file was imported as, and that count."""
    rows = connection.execute(
        "SELECT DISTINCT r.name FROM import_file f JOIN import_report r ON r.name = f.report "
        f"WHERE f.sha256 = ? AND r.name <> ? AND NOT {_WITHDRAWN} ORDER BY r.name",
        (digest, report),
    )
    return [name for (name,) in rows]


def has_figures(connection: Connection, report: str) -> bool:
    """Does a report say figures that stand for whole cycles?"""
    found = connection.execute(
        "SELECT 1 FROM import_report r JOIN import_figure f ON f.report = r.id WHERE r.name = ? LIMIT 1", (report,)
    )
    return found.fetchone() is not None


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


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
    settled: str | None
    """Why nothing is missing any more of the lines that could not be read, if somebody said so."""

    settled_at: int | None

    def as_of(self, position: int) -> "Kept":
        """The same as it was known at a position."""
        return self if self.settled_at is None or self.settled_at <= position else self._replace(settled=None)

    @property
    def missing(self) -> int:
        """Lines that could not be read and that nobody saw to."""
        return 0 if self.settled is not None else self.unreadable


def files(connection: Connection, position: int) -> list[Kept]:
    """Every file, in the order recorded; of one that was read again by a newer importer, each time."""
    return [
        Kept(*row).as_of(position)
        for row in connection.execute("SELECT * FROM import_file WHERE id <= ? ORDER BY id", (position,))
    ]


def kept(connection: Connection, digest: str, report: str, format: str) -> list[Kept]:
    """A file by its digest, each time it was noted for a report as of that format."""
    rows = connection.execute(
        "SELECT * FROM import_file WHERE sha256 = ? AND report = ? AND format = ? ORDER BY id", (digest, report, format)
    )
    return [Kept(*row) for row in rows]


def newest(connection: Connection, report: str) -> Kept:
    """The file of a report that was exported last; there is one, as a report begins with a file."""
    found = connection.execute(
        "SELECT * FROM import_file WHERE report = ? ORDER BY exported_at DESC, sha256 DESC, id DESC LIMIT 1", (report,)
    ).fetchone()
    return Kept(*found)


def cycles_for(connection: Connection, report: str) -> set[int] | None:
    """The cycles that the lines of a report may feed: those that its files were imported for, or None for all.

    One file that was imported for no cycle in particular is enough for all.
    """
    rows = connection.execute("SELECT DISTINCT cycle_id FROM import_file WHERE report = ?", (report,))
    found = {cycle for (cycle,) in rows}
    return None if None in found else found


def unreadable(connection: Connection, file: int) -> list[tuple[int, str]]:
    """The lines of a file that could not be read, and why."""
    return list(connection.execute("SELECT line, reason FROM import_unreadable WHERE file = ? ORDER BY line", (file,)))
