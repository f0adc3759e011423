"""Large files imported: a session log beside the tool that only totals it, and a spend log beside plain inserts."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

from mecris.books import Books
from mecris.domain.commands import OpenCycle

from .logs import claude_code_log, litellm_rows
from .plain import Plain
from .report import Row, at_least, at_most, for_scale, missing, rate
from .sizes import Sizes

HOW = (
    "- **A session log**: `mecris import` of one generated Claude Code log (an answer has 1.8 lines) as a process, with everything durable: the "
    "file kept, every line, every dispatch, the readings; beside `ccusage claude daily --json --offline` on the same file, which totals it "
    "(`ccusage` is looked for on the PATH). In turn, five times; the median of the ratios.",
    "- **A spend log**: `Books.import_file` of generated LiteLLM rows, one a line, in one durable write, with everything of it kept; rows whose "
    "ids grow, and rows with random ones, as a proxy gives them. Beside it the same rows go into plain SQLite as they are, id and text, in durable "
    "batches of 5,000: into a table without a key (that is the target), and into one whose key is the id, without which nothing would be counted "
    "once; what it takes to read the rows is not counted there. The floor of the other tables, rows of the size of a reading in a table without "
    "a key, stands below: until 2026-12-01 it was the target. The sum is compared with one of our own in decimals.",
)
BATCH = 5_000
ROUNDS = 5
"""Imports of the session log, each with a total of it by the other tool right after."""


def rows(folder: Path, books: Path, sizes: Sizes) -> Iterator[Row]:
    """Seconds, rates, memory, and whether the totals agree."""
    yield from _session_log(folder / "home" / "projects" / "demo" / "session.jsonl", folder, sizes.log_lines)
    yield from _spend_log(folder, books, sizes.spend_rows)


def _session_log(path: Path, folder: Path, lines: int) -> Iterator[Row]:
    path.parent.mkdir(parents=True)
    claude_code_log(path, lines)
    what = f"`mecris import` of a Claude Code log of {lines:,} lines, {path.stat().st_size >> 20} MiB"
    ccusage = shutil.which("ccusage")
    ours, theirs, total = [], [], ""
    for n in range(ROUNDS):
        took, cost = _imported(path, folder / f"log{n}.db")
        ours.append(took)
        if n == 0:
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        if ccusage:
            took, total = _totalled(ccusage, path.parents[2])
            theirs.append(took)
    figures = f"{median(ours):.2f} s, {rate(median(ours), lines)}, total {cost}"
    if theirs:
        ratio = median(mine / its for mine, its in zip(ours, theirs, strict=True))
        told = f"{figures}; ccusage {median(theirs):.2f} s, {total}"
        yield at_most(f"{what}, against ccusage's total of it", 1, ratio, told)
    else:
        yield missing(what, f"{figures}; ccusage is not installed")
    yield for_scale("the same, peak memory of any process so far", f"{peak} MiB", "")


def _imported(path: Path, books: Path) -> tuple[float, Decimal]:
    command = [sys.executable, "-m", "mecris.cli", "--books", str(books), "import", str(path)]
    with Books.open(books) as opened:
        opened.handle(OpenCycle(start_date="2026-08-01", end_date="2027-12-31", target_usd=1_000_000))
    begun = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    took = perf_counter() - begun
    with Books.open(books) as opened:
        return took, opened.status(1)["totals"]["realtime_usd"]


def _totalled(ccusage: str, home: Path) -> tuple[float, str]:
    begun = perf_counter()
    done = subprocess.run(
        [ccusage, "claude", "daily", "--json", "--offline"],
        check=True,
        capture_output=True,
        env={**os.environ, "CLAUDE_CONFIG_DIR": str(home)},
    )
    took = perf_counter() - begun
    return took, str(json.loads(done.stdout, parse_float=str)["totals"]["totalCost"])


def _spend_log(folder: Path, books: Path, count: int) -> Iterator[Row]:
    floor = Plain(folder / "plain-lines.db", books, 0)
    begun = perf_counter()
    for _ in range(0, count, BATCH):
        floor.batch(BATCH)
    small = perf_counter() - begun
    for name, ids in ("spend", "ids that grow"), ("random", "random ids"):
        path = folder / f"{name}.jsonl"
        litellm_rows(path, count, random_ids=name == "random")
        plain = _inserted(path, folder / f"{name}-plain.db", "request_id TEXT")
        keyed = _inserted(path, folder / f"{name}-keyed.db", "request_id TEXT PRIMARY KEY")
        with Books.open(folder / f"{name}.db") as opened:
            opened.handle(OpenCycle(start_date="2026-08-01", end_date="2027-12-31", target_usd=1_000_000))
            begun = perf_counter()
            answer = opened.import_file(path)
            took = perf_counter() - begun
        agrees = "agrees" if answer["report_usd"] == _summed(path) else "DIFFERS"
        path.unlink()
        what = f"{count:,} LiteLLM rows with {ids} imported, against plain SQLite taking the same rows"
        figures = (
            f"{rate(took, count)}, plain {rate(plain, count)}; the sum {answer['report_usd']} {agrees} with our own"
        )
        yield at_least(what, 0.25, plain / took, figures)
        for against, seconds in ("their id for a key", keyed), ("rows of a reading's size and no key", small):
            told = f"plain {rate(seconds, count)}"
            yield for_scale(f"the same against a plain table with {against}", f"{seconds / took:.2f}x", told)


def _inserted(path: Path, database: Path, column: str) -> float:
    """Seconds in which plain SQLite takes the rows of a log as they are, each batch durable; reading them is not counted."""
    took = 0.0
    with closing(sqlite3.connect(database, isolation_level=None)) as connection, path.open(encoding="utf-8") as log:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"CREATE TABLE rows ({column}, row TEXT)")
        while batch := [(json.loads(line)["request_id"], line) for line in islice(log, BATCH)]:
            begun = perf_counter()
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO rows VALUES (?, ?)", batch)
            connection.execute("COMMIT")
            took += perf_counter() - begun
    return took


def _summed(path: Path) -> Decimal:
    with path.open(encoding="utf-8") as log:
        return sum((Decimal(json.loads(line, parse_float=str)["spend"]) for line in log), Decimal(0)).normalize()
