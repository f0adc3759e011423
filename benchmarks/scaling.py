"""The same books at a million events and at ten: `python -m benchmarks.scaling FILE... [--postgres] [--write PAGE]`.

FILE are books that are made if they are not there, named by their size: `1000000.db`. With `--postgres` each is copied to a
server of its own and measured there too.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from mecris.books import Books
from mecris.domain.commands import Command, RecordSource
from tests.postgres import Postgres

from .data import CYCLES, YEAR, mixed_books
from .report import machine, ms
from .timing import percentile

HEADINGS = (
    "store", "events", "bytes an event", "orders/s, one by one", "`status` p50 / p99", "as of a position p50 / p99",
    "as of a time p50 / p99", "replay and compare, events/s",
)  # fmt: skip
ORDERS, QUESTIONS = 300, 1_000


def main() -> None:
    """Make what is missing, measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    print(f"{machine()}\n\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    for path in options.files:
        if not path.exists():
            mixed_books(path, int(path.stem))
        print(_row(f"| SQLite | {_measured(str(path), path.stat().st_size)}"), flush=True)
        if options.postgres:
            for row in _on_postgres(path):
                print(_row(f"| PostgreSQL 18 | {row}"), flush=True)


def _row(cells: str) -> str:
    return f"{cells} |"


def _on_postgres(path: Path) -> Iterator[str]:
    settings = {"shared_buffers": "1GB", "max_wal_size": "8GB", "maintenance_work_mem": "512MB"}
    with Postgres.start(settings) as server:
        url = f"{server.url}&schema=scale"
        begun = perf_counter()
        with Books.open(path) as source:
            answer = source.copy_to(url)
        took = perf_counter() - begun
        print(f"copied and compared: {answer['copied'] / took:,.0f} events/s, {answer['rows']:,} rows", file=sys.stderr)
        size = server.sql("SELECT pg_database_size('postgres')")[0][0]
        yield _measured(url, size)


def _measured(where: str, size: int) -> str:
    with Books.open(where) as books:
        books.status(1)
        events = books.position
        random = Random(1)
        cells = [f"{events:,}", f"{size / events:,.0f}", f"{_orders(books):,.0f}"]
        for moment in (lambda: None, lambda: random.randint(CYCLES, events), lambda: _time(random)):
            waits = [_asked(books, 1 + random.randrange(CYCLES), moment()) for _ in range(QUESTIONS)]
            cells.append(f"{ms(percentile(waits, 50))} / {ms(percentile(waits, 99))}")
        found = books.replay()
        assert found.differences == 0 == len(found.faults)
        cells.append(f"{found.events_per_second:,}")
    return " | ".join(cells)


def _orders(books: Books) -> float:
    """Durable readings a second, one after the other, when each cycle was read once."""
    for number in range(CYCLES):
        books.handle(_reading(number))
    begun = perf_counter()
    for number in range(ORDERS):
        books.handle(_reading(CYCLES + number))
    return ORDERS / (perf_counter() - begun)


def _reading(number: int) -> Command:
    return RecordSource(cycle_id=1 + number % CYCLES, source="claude api", amount=1_000_000 + number)


def _time(random: Random) -> datetime:
    return datetime(2025, 1, 1, tzinfo=UTC) + YEAR * random.random()


def _asked(books: Books, cycle: int, as_of: Any) -> float:
    begun = perf_counter()
    books.status(cycle, as_of=as_of)
    return perf_counter() - begun


if __name__ == "__main__":
    main()
