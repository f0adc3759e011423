"""The read model of runs: what every dispatch reported, what that comes to, and what was billed. Figures are tokens.

A line of a call is a dispatch of its run, and is kept once, with the lines (`imports`): as long as it `stands`, it is what that
dispatch reported last. What it said before, and what anybody else says, is here. `superseded` is the position at which a
dispatch reported something else. Sums have a row for each event that changed them, so that what they were as of any position is
one look-up.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from ..domain.tokens import Bill, Reported, Sum, Tokens, sum_of
from ..store.connection import Connection
from .many import batches

_FIGURES = "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens"
_INTEGERS = ", ".join(f"{name} INTEGER NOT NULL" for name in _FIGURES.split(", "))

Row = tuple[str, int, int, int, int, int | None, str | None, int]
"""What a dispatch reports, as the table has it: its id, tokens by class, input as it was stated, model, and whether it is running."""

TABLES = {
    "cost_run": """(
        id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, position INTEGER NOT NULL, report TEXT, shared INTEGER NOT NULL)""",
    "cost_dispatch": f"""(
        run INTEGER NOT NULL, dispatch_id TEXT NOT NULL, position INTEGER NOT NULL, {_INTEGERS}, input_stated INTEGER,
        model TEXT, running INTEGER NOT NULL, superseded INTEGER, line INTEGER,
        PRIMARY KEY (run, dispatch_id, position)) WITHOUT ROWID""",
    "cost_total": f"""(
        run INTEGER NOT NULL, position INTEGER NOT NULL, dispatches INTEGER NOT NULL, running INTEGER NOT NULL, {_INTEGERS},
        PRIMARY KEY (run, position)) WITHOUT ROWID""",
    "cost_reconciliations": """(
        id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, dispatch_id TEXT, reported_in INTEGER NOT NULL,
        reported_out INTEGER NOT NULL, billed_in INTEGER NOT NULL, billed_out INTEGER NOT NULL, delta_in INTEGER NOT NULL,
        delta_out INTEGER NOT NULL, source TEXT NOT NULL, created_at TEXT NOT NULL, recorded_by TEXT NOT NULL,
        status TEXT NOT NULL, reported_cache_read INTEGER, reported_cache_write INTEGER, billed_cache_read INTEGER,
        billed_cache_write INTEGER, tolerance_tokens INTEGER NOT NULL, tolerance_percent TEXT NOT NULL,
        outside_tokens INTEGER NOT NULL, running_count INTEGER NOT NULL, running TEXT NOT NULL)""",
    "cost_billed": f"""(
        run INTEGER NOT NULL, source TEXT NOT NULL, position INTEGER NOT NULL, dispatches INTEGER NOT NULL, {_INTEGERS},
        cache_read_named INTEGER NOT NULL, cache_write_named INTEGER NOT NULL,
        PRIMARY KEY (run, source, position)) WITHOUT ROWID""",
}
VIEW = f"""
CREATE VIEW main.cost_reported AS
SELECT run, dispatch_id, position, {_FIGURES}, input_stated, model, running, superseded FROM cost_dispatch
UNION ALL SELECT run, key, position, {_FIGURES}, NULL, model, 0, NULL FROM import_line WHERE run IS NOT NULL AND stands = 1"""
"""For people who ask in SQL; the rooms above ask the tables, each by its own index."""

_OF_BILLS = (
    "CREATE INDEX IF NOT EXISTS cost_reconciliations_run ON cost_reconciliations (run_id, dispatch_id, source)",
    "CREATE INDEX IF NOT EXISTS cost_reconciliations_dispatch ON cost_reconciliations (dispatch_id)",
)
INDEXES = (
    "CREATE INDEX cost_dispatch_running ON cost_dispatch (run, superseded, dispatch_id) WHERE running = 1",
    "CREATE INDEX cost_dispatch_line ON cost_dispatch (run, line) WHERE line IS NOT NULL",
    *_OF_BILLS,
    "DROP VIEW IF EXISTS main.cost_reported",
    VIEW,
)


_SAID = (
    f"INSERT INTO cost_dispatch (run, dispatch_id, position, {_FIGURES}, model, running) VALUES ({', '.join('?' * 9)})"
)
_STATED = (
    f"INSERT INTO cost_dispatch (run, dispatch_id, position, {_FIGURES}, input_stated, model, running) "
    f"VALUES ({', '.join('?' * 10)})"
)
_PAST = (
    f"INSERT INTO cost_dispatch (run, dispatch_id, position, {_FIGURES}, model, running, superseded, line) "
    f"VALUES ({', '.join('?' * 11)})"
)

_ELSEWHERE = "WHERE report = (SELECT id FROM import_report WHERE name = ?) AND key = ? AND run <> ? AND stands = 1"
_LEFT = (
    f"INSERT INTO cost_dispatch (run, dispatch_id, position, {_FIGURES}, model, running, line) "
    f"SELECT run, key, position, {_FIGURES}, model, 0, id FROM import_line {_ELSEWHERE}"
)
"""A line that moves to another run, or to none, leaves behind what it said."""


class Calls(NamedTuple):
    """What the lines of an event are among the dispatches: the numbers of their runs, and those that do not stand for theirs."""

    runs: Mapping[str, int]
    apart: Collection[str]
    """Keys of lines whose dispatch says more than the line does."""


class Fold:
    """Takes what runs report and are billed into the tables, event by event."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.handlers = {
            "dispatches-recorded.v1": self.dispatches_recorded,
            "tokens-reconciled.v1": self.tokens_reconciled,
        }

    def dispatches_recorded(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """New figures of some dispatches."""
        run = self._run(event["run_id"], position)
        self.connection.execute(
            "UPDATE cost_run SET shared = 1 WHERE id = ? AND report IS NOT NULL AND shared = 0", (run,)
        )
        said = [
            (
                d["dispatch_id"], d["input_tokens"], d["output_tokens"], d.get("cache_read_tokens", 0), d.get("cache_write_tokens", 0),
                d.get("input_stated"), d.get("model"), int(d.get("running", False)),
            )
            for d in event["dispatches"]
        ]  # fmt: skip
        known = standing(self.connection, run, [row[0] for row in said])
        self._supersede(run, position, known)
        self._say(run, position, [_named_still(row, known.get(row[0])) for row in said] if known else said)
        self._count(run, position, [row[1:5] for row in said], sum(row[7] for row in said), known)

    def lines_imported(self, position: int, event: dict[str, Any]) -> Calls:
        """Calls are dispatches of their runs; one that belongs to another run is nothing in this one."""
        report, restated, elsewhere = event["report"], event.get("restated", ()), event.get("elsewhere", ())
        lines: dict[str, list[Any]] = {}
        for line in event["lines"] if not restated else [*event["lines"], *restated]:
            lines.setdefault(line[5], []).append(line)
        lines.pop(None, None)  # type: ignore[call-overload]  # lines of money are of no run
        nothing: dict[str, list[str]] = {}
        for run_id, key in elsewhere:
            nothing.setdefault(run_id, []).append(key)
        numbers = {run_id: self._run(run_id, position, report) for run_id in [*lines, *nothing]}
        moved = [(report, line[0], numbers.get(line[5], NO_RUN)) for line in restated]
        self.connection.executemany(_LEFT, moved)
        self.connection.executemany(f"UPDATE import_line SET stands = 0 {_ELSEWHERE}", moved)
        again, apart = {line[0] for line in restated}, set[str]()
        for run_id, run in numbers.items():
            is_alone = self._is_alone(run, report)
            mine, gone = lines.get(run_id, []), nothing.get(run_id, [])
            wanted = [line[0] for line in mine if line[0] in again] if is_alone else [line[0] for line in mine]
            known = standing(self.connection, run, [*wanted, *gone]) if wanted or gone else {}
            self._supersede(run, position, known)
            said = [(line[0], *line[7:11], None, line[6], 0) for line in mine if line[6] is None and line[0] in known]
            more = [row for row in (_named_still(row, known[row[0]]) for row in said) if row[6] is not None]
            apart.update(row[0] for row in more)
            left = [_named_still((key, *NOTHING, None, None, 0), known.get(key)) for key in gone]
            self._say(run, position, [*more, *left])
            self._count(run, position, [line[7:11] for line in mine] + [NOTHING] * len(gone), 0, known)
        return Calls(numbers, apart)

    def _is_alone(self, run: int, report: str) -> bool:
        """Did nobody but this report ever speak of the run? Then lines that are new to it are new dispatches, without a look."""
        found = self.connection.execute("SELECT report, shared FROM cost_run WHERE id = ?", (run,)).fetchone()
        if found == (report, 0):
            return True
        self.connection.execute(
            "UPDATE cost_run SET report = coalesce(report, ?), shared = 1 WHERE id = ?", (report, run)
        )
        return False

    def _supersede(self, run: int, position: int, known: Mapping[str, "Standing"]) -> None:
        """What stood until now is superseded; what a line said stands here from now on."""
        if not known:
            return
        self.connection.executemany(
            "UPDATE cost_dispatch SET superseded = ? WHERE run = ? AND dispatch_id = ? AND position = ?",
            [(position, run, stood.id, stood.position) for stood in known.values() if stood.line is None],
        )
        lines = [stood for stood in known.values() if stood.line is not None]
        self.connection.executemany(
            _PAST,
            [(run, stood.id, stood.position, *stood.tokens, stood.model, 0, position, stood.line) for stood in lines],
        )
        self.connection.executemany(
            "UPDATE import_line SET stands = 0 WHERE id = ?", [(stood.line,) for stood in lines]
        )

    def _say(self, run: int, position: int, said: list[Row]) -> None:
        """What dispatches report that no line stands for."""
        for put, rows in (
            (_SAID, [(run, row[0], position, *row[1:5], *row[6:]) for row in said if row[5] is None]),
            (_STATED, [(run, row[0], position, *row[1:]) for row in said if row[5] is not None]),
        ):  # most name no input of their own, and it takes SQLite's module long to bind a None
            self.connection.executemany(put, rows)

    def _count(self, run: int, position: int, tokens: list[Any], running: int, known: Mapping[str, "Standing"]) -> None:
        """The total moves by what changed."""
        before, was = total_of(self.connection, run, position), known.values()
        total = before.tokens.plus(sum_of(tokens)).plus(sum_of([stood.tokens for stood in was]), -1)
        running += before.running - sum(stood.running for stood in was)
        self.connection.execute(
            "INSERT INTO cost_total VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (run, position, before.dispatches + len(tokens) - len(was), running, *total),
        )

    def _run(self, run_id: str, position: int, report: str | None = None) -> int:
        found = run_number(self.connection, run_id)
        if found is not None:
            return found
        made = self.connection.execute(
            "INSERT INTO cost_run (id, run_id, position, report, shared) "
            "SELECT coalesce(max(id), 0) + 1, ?, ?, ?, 0 FROM cost_run RETURNING id",
            (run_id, position, report),
        )
        return int(made.fetchone()[0])

    def tokens_reconciled(self, position: int, aggregate: str, event: dict[str, Any]) -> None:
        """A comparison, and what all bills of single dispatches come to."""
        reported, billed = event["reported"], event["billed"]
        run_id, dispatch, source = event["run_id"], event.get("dispatch_id"), event["source"]
        if dispatch is not None:
            self._add_bill(self._run(run_id, position), position, dispatch, event)
        self.connection.execute(
            f"INSERT INTO cost_reconciliations VALUES ({', '.join('?' * 22)})",
            (
                position,
                run_id,
                dispatch,
                reported["input_tokens"],
                reported["output_tokens"],
                billed["input_tokens"],
                billed["output_tokens"],
                billed["input_tokens"] - reported["input_tokens"],
                billed["output_tokens"] - reported["output_tokens"],
                source,
                event["recorded_at"],
                event["recorded_by"],
                event["status"],
                reported.get("cache_read_tokens"),
                reported.get("cache_write_tokens"),
                billed.get("cache_read_tokens"),
                billed.get("cache_write_tokens"),
                event["tolerance_tokens"],
                event["tolerance_percent"],
                event["outside_tokens"],
                event["running_count"],
                json.dumps(event["running"], ensure_ascii=False),
            ),
        )

    def _add_bill(self, run: int, position: int, dispatch: str, event: dict[str, Any]) -> None:
        for statement in _OF_BILLS:
            self.connection.execute(statement)  # a rebuild makes its indexes last, but this look-up needs them
        source, billed = event["source"], event["billed"]
        count, *sums = billed_by(self.connection, run, source, position) or (0,) * 7
        was = self.connection.execute(
            "SELECT billed_in, billed_out, coalesce(billed_cache_read, 0), coalesce(billed_cache_write, 0), "
            "billed_cache_read IS NOT NULL, billed_cache_write IS NOT NULL FROM cost_reconciliations WHERE run_id = ? AND dispatch_id = ? AND source = ? ORDER BY id DESC LIMIT 1",
            (event["run_id"], dispatch, source),
        ).fetchone()
        names = _FIGURES.split(", ")
        new = [billed.get(name, 0) for name in names] + [int(name in billed) for name in names[2:]]
        sums = [s + n - old for s, n, old in zip(sums, new, was or (0,) * 6, strict=True)]
        self.connection.execute(
            f"INSERT INTO cost_billed VALUES ({', '.join('?' * 10)})",
            (run, source, position, count + (was is None), *sums),
        )


NO_RUN = 0
"""No run has this number."""
NOTHING = (0, 0, 0, 0)
"""Tokens of a call in a run in which it was found and to which it does not belong."""
EVER = 2**63 - 1
"""A position after every other."""


def _named_still(row: Row, stood: "Standing | None") -> Row:
    """A correction that names no model keeps the one that was named."""
    return row if stood is None or row[6] is not None else (*row[:6], stood.model, row[7])


class Standing(NamedTuple):
    """What a dispatch reported last, and at which position."""

    id: str
    position: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    running: int
    model: str | None
    line: int | None
    """The line that says it, if it is one."""

    @property
    def tokens(self) -> Tokens:
        """Its tokens by class."""
        return Tokens(*self[2:6])


def standing(connection: Connection, run: int, ids: list[str]) -> dict[str, Standing]:
    """What these dispatches of a run reported last; those that are unknown are left out."""
    found: dict[str, Standing] = {}
    has_lines = connection.execute("SELECT 1 FROM cost_run WHERE id = ? AND report IS NOT NULL", (run,)).fetchone()
    for some, marks in batches(ids):
        rows = connection.execute(
            f"SELECT dispatch_id, position, {_FIGURES}, running, model, NULL FROM cost_dispatch "
            f"WHERE run = ? AND superseded IS NULL AND dispatch_id IN ({marks})",
            (run, *some),
        )
        found.update((row[0], Standing(*row)) for row in rows)
        if has_lines:
            rows = connection.execute(
                f"SELECT key, position, {_FIGURES}, 0, model, id FROM import_line "
                f"WHERE key IN ({marks}) AND +run = ? AND stands = 1",
                (*some, run),
            )
            found.update((row[0], Standing(*row)) for row in rows)
    return found


def run_number(connection: Connection, run_id: str) -> int | None:
    """The number of a run in these tables."""
    found = connection.execute("SELECT id FROM cost_run WHERE run_id = ?", (run_id,)).fetchone()
    return int(found[0]) if found else None


def total_of(connection: Connection, run: int, position: int) -> Sum:
    """What all dispatches of a run reported together, as of a position."""
    found = connection.execute(
        f"SELECT dispatches, running, {_FIGURES} FROM cost_total WHERE run = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        (run, position),
    ).fetchone()
    return Sum(found[0], found[1], Tokens(*found[2:])) if found else Sum()


class OneByOne(NamedTuple):
    """How many dispatches of a run a source billed one by one, what these bills come to, and how many name which cache."""

    dispatches: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_read_named: int
    cache_write_named: int

    @property
    def tokens(self) -> Tokens:
        """What the bills come to; a class that none of them names is 0."""
        return Tokens(*self[1:5])

    @property
    def named(self) -> tuple[int | None, ...]:
        """What the bills come to; None for a class that none of them names."""
        read = self.cache_read if self.cache_read_named else None
        return self.input, self.output, read, self.cache_write if self.cache_write_named else None


def billed_by(connection: Connection, run: int, source: str, position: int) -> OneByOne | None:
    """What a source billed of single dispatches of a run, as of a position."""
    found = connection.execute(
        f"SELECT dispatches, {_FIGURES}, cache_read_named, cache_write_named FROM cost_billed "
        "WHERE run = ? AND source = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        (run, source, position),
    ).fetchone()
    return OneByOne(*found) if found else None


class Known(NamedTuple):
    """A run that was known."""

    id: int
    run_id: str
    position: int


def run(connection: Connection, run_id: str) -> Known | None:
    """A run by its name, whenever it was first heard of."""
    found = connection.execute("SELECT id, run_id, position FROM cost_run WHERE run_id = ?", (run_id,)).fetchone()
    return Known(*found) if found else None


def runs(connection: Connection, position: int, limit: int) -> list[Known]:
    """Runs heard of up to a position, the newest first."""
    rows = connection.execute(
        "SELECT id, run_id, position FROM cost_run WHERE position <= ? ORDER BY id DESC LIMIT ?", (position, limit)
    )
    return [Known(*row) for row in rows]


class Dispatches:
    """What was reported and billed for one run, as of a position: the past that decisions and questions ask."""

    def __init__(self, connection: Connection, run_id: str, position: int) -> None:
        self.connection, self.run_id, self.position = connection, run_id, position
        found = connection.execute("SELECT id, report IS NOT NULL FROM cost_run WHERE run_id = ?", (run_id,)).fetchone()
        self.run, self.has_lines = (int(found[0]), bool(found[1])) if found else (0, False)

    def reported(self, ids: Iterable[str]) -> Mapping[str, Reported]:
        """What these dispatches reported last; those that are unknown are left out."""
        found = {}
        for id in ids:
            row = self.connection.execute(_REPORTED, (self.run, id, self.position)).fetchone()
            if self.has_lines:
                line = self.connection.execute(_REPORTED_BY_LINE, (id, self.run, self.position)).fetchone()
                row = line if line and not (row and row[0] > line[0]) else row  # what was said later
            if row:
                found[id] = _reported(row[1:])
        return found

    def sum(self) -> Sum:
        """What all dispatches reported together."""
        return total_of(self.connection, self.run, self.position)

    def running(self, limit: int) -> list[str]:
        """The first running dispatches, by name."""
        rows = self.connection.execute(
            _RUNNING, {"run": self.run, "position": self.position, "many": self.sum().running, "limit": limit}
        )
        return [id for (id,) in rows]

    def first(self, limit: int) -> list[tuple[str, Reported]]:
        """Some dispatches with what they reported last: the first by name, then lines in the order in which they were imported.

        A line that was superseded since keeps its place in what was answered before.
        """
        found = self.connection.execute(
            f"SELECT dispatch_id, {_ROW} FROM cost_dispatch WHERE run = ? AND line IS NULL AND {_STOOD} "
            "ORDER BY dispatch_id LIMIT ?",
            (self.run, self.position, self.position, limit),
        ).fetchall()
        if self.has_lines and (more := limit - len(found)):
            stand = self.connection.execute(
                f"SELECT id, key, {_LINE} FROM import_line WHERE run = ? AND stands = 1 AND position <= ? ORDER BY id LIMIT ?",
                (self.run, self.position, more),
            ).fetchall()
            stood = self.connection.execute(
                f"SELECT line, dispatch_id, {_ROW} FROM cost_dispatch WHERE run = ? AND line IS NOT NULL AND {_STOOD} "
                "ORDER BY line LIMIT ?",
                (self.run, self.position, self.position, more),
            ).fetchall()
            found += [row[1:] for row in sorted([*stand, *stood], key=itemgetter(0))[:more]]
        return [(id, _reported(row)) for id, *row in found]

    def last_bill(self, dispatch_id: str | None, source: str) -> Bill | None:
        """The last comparison of the run, or of a dispatch, with a source."""
        which, name = ("IS NULL", ()) if dispatch_id is None else ("= ?", (dispatch_id,))
        row = self.connection.execute(
            "SELECT reported_in, reported_out, reported_cache_read, reported_cache_write, billed_in, billed_out, "
            "billed_cache_read, billed_cache_write, tolerance_tokens, tolerance_percent, status, running_count "
            f"FROM cost_reconciliations WHERE run_id = ? AND dispatch_id {which} AND source = ? AND id <= ? ORDER BY id DESC LIMIT 1",
            (self.run_id, *name, source, self.position),
        ).fetchone()
        return Bill(row[:4], row[4:8], (row[8], Decimal(row[9])), row[10], row[11]) if row else None

    def billed_one_by_one(self, source: str) -> Tokens:
        """What the last bills of single dispatches come to, of one source."""
        found = billed_by(self.connection, self.run, source, self.position)
        return found.tokens if found else Tokens()

    def sources(self) -> list[str]:
        """Who billed anything of this run."""
        rows = self.connection.execute(_SOURCES, {"run_id": self.run_id, "run": self.run, "position": self.position})
        return [source for (source,) in rows]

    def reconciliations(self, limit: int) -> Iterable[dict[str, Any]]:
        """What was compared, the newest first, as the table has it."""
        rows = self.connection.execute(
            "SELECT * FROM cost_reconciliations WHERE run_id = ? AND id <= ? ORDER BY id DESC LIMIT ?",
            (self.run_id, self.position, limit),
        )
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows]


_STOOD = "position <= ? AND (superseded IS NULL OR superseded > ?)"
_ROW = f"{_FIGURES}, input_stated, model, running"
_LINE = f"{_FIGURES}, NULL, model, 0"
_REPORTED = f"SELECT position, {_ROW} FROM cost_dispatch WHERE run = ? AND dispatch_id = ? AND position <= ? ORDER BY position DESC LIMIT 1"
_REPORTED_BY_LINE = f"""
SELECT position, {_LINE} FROM import_line
WHERE key = ? AND +run = ? AND position <= ? AND stands = 1"""
_RUNNING = """
WITH still (dispatch_id) AS MATERIALIZED (
    SELECT dispatch_id FROM cost_dispatch INDEXED BY cost_dispatch_running
    WHERE run = :run AND running = 1 AND superseded IS NULL AND position <= :position),
ended (dispatch_id) AS (
    SELECT dispatch_id FROM cost_dispatch INDEXED BY cost_dispatch_running
    WHERE run = :run AND running = 1 AND superseded > :position AND position <= :position
    ORDER BY superseded LIMIT :many - (SELECT count(*) FROM still))
SELECT dispatch_id FROM still UNION ALL SELECT dispatch_id FROM ended ORDER BY 1 LIMIT :limit"""
"""What ran then ended soon after, most likely: with as many as there were, the search is over."""
_SOURCES = """
WITH RECURSIVE
whole (source) AS (
    SELECT min(source) FROM cost_reconciliations WHERE run_id = :run_id AND dispatch_id IS NULL
    UNION ALL SELECT (
        SELECT min(source) FROM cost_reconciliations WHERE run_id = :run_id AND dispatch_id IS NULL AND source > whole.source
    ) FROM whole WHERE source IS NOT NULL),
single (source) AS (
    SELECT min(source) FROM cost_billed WHERE run = :run
    UNION ALL SELECT (SELECT min(source) FROM cost_billed WHERE run = :run AND source > single.source)
    FROM single WHERE source IS NOT NULL)
SELECT source FROM whole WHERE source IS NOT NULL AND EXISTS (
    SELECT 1 FROM cost_reconciliations c
    WHERE c.run_id = :run_id AND c.dispatch_id IS NULL AND c.source = whole.source AND c.id <= :position)
UNION
SELECT source FROM single WHERE source IS NOT NULL AND EXISTS (
    SELECT 1 FROM cost_billed b WHERE b.run = :run AND b.source = single.source AND b.position <= :position)
ORDER BY 1"""


def _reported(row: Any) -> Reported:
    return Reported(Tokens(*row[:4]), row[4], row[5], bool(row[6]))
