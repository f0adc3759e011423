"""News of the log on PostgreSQL: what one server records, a stream at another tells at once, and questions find it taken in."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import median
from threading import Thread
from time import monotonic, perf_counter, sleep

import httpx
import pytest
from postgres import Postgres
from served import Server, opened, said, serving, tokens_of

from mecris.books import Books
from mecris.domain.commands import OpenCycle
from mecris.domain.errors import Unavailable

pytestmark = pytest.mark.own_store  # these have a server of their own

NUMBERS = count()
SOON = 0.1
"""Seconds in which a stream has told, where looking every quarter of a second takes half of that and more."""
LISTENERS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query LIKE 'SELECT position, recorded_at%'"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of their own."""
    with Postgres.start() as server:
        yield server


@pytest.fixture
def address(postgres: Postgres) -> str:
    """Where nobody keeps books yet."""
    return f"{postgres.url}&schema=news{next(NUMBERS)}"


@pytest.fixture
def two(address: str) -> Iterator[tuple[Server, Server]]:
    """Two servers of the same books."""
    tokens = tokens_of(address)
    with serving(address, tokens=tokens) as one, serving(address, tokens=tokens) as other:
        yield one, other


def open_cycle(books: Books, month: int) -> int:
    """A position that is new."""
    order = OpenCycle(start_date=f"2025-{month:02}-01", end_date=f"2025-{month:02}-28", target_usd=1)
    return int(books.handle(order)["position"])


def test_a_stream_tells_at_once_what_another_server_recorded(two: tuple[Server, Server]) -> None:
    with ExitStack() as stack:
        here, there = (stack.enter_context(server.client()) for server in two)
        cycle = opened(here)
        lines = stack.enter_context(there.stream("GET", "/audit/events/stream")).iter_lines()
        assert next(lines) == ": the log of the books"
        waits = []
        for amount in range(1, 12):
            begun = perf_counter()
            position = said(here, cycle, "api", "realtime", amount_usd=amount)["position"]
            told = next(line for line in lines if line.startswith("data: "))
            waits.append(perf_counter() - begun)
            assert json.loads(told.removeprefix("data: "))["position"] == position
        assert median(waits) < SOON


def test_the_read_models_follow_although_nobody_asks(two: tuple[Server, Server], address: str) -> None:
    with two[0].client() as client, Books.open(address) as books:
        position = said(client, opened(client), "api", "realtime", amount_usd=1)["position"]
        until = monotonic() + 10
        while monotonic() < until:
            with books.file.reading() as connection:
                seen = connection.execute("SELECT min(position) FROM view_positions").fetchone()[0]
            if seen == position:
                return
            sleep(0.05)
        raise AssertionError(f"the read models have seen {seen} of {position}")


def test_a_server_that_is_told_to_end_ends_its_streams(two: tuple[Server, Server]) -> None:
    with two[0].client() as client, client.stream("GET", "/audit/events/stream") as stream:
        lines = stream.iter_lines()
        next(lines)
        begun = perf_counter()
        two[0].stop()
        assert perf_counter() - begun < 4
        assert [line for line in lines if line.strip()] == []


def test_whoever_waits_hears_again_after_the_connection_broke(postgres: Postgres, address: str) -> None:
    with Books.open(address) as ours, Books.open(address) as others:
        assert ours.wait(0, 0) == 0
        assert ours.file.connections == 2
        postgres.sql(f"SELECT pg_terminate_backend(pid) {LISTENERS}")
        with pytest.raises(Unavailable, match="cannot be reached"):
            ours.wait(0, 5)
        position = open_cycle(others, 1)  # nobody listens
        assert ours.wait(0, 5) == position
        Thread(target=open_cycle, args=(others, 2)).start()
        begun = perf_counter()
        assert ours.wait(position, 30) == position + 1
        assert perf_counter() - begun < 3


def test_whoever_waits_asks_nothing_meanwhile(postgres: Postgres, address: str) -> None:
    asked = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'"
    with Books.open(address) as books:
        books.wait(0, 0)
        sleep(1.5)  # what the server counts it tells a second later
        before = postgres.sql(asked)[0][0]
        for _ in range(6):
            assert books.wait(0, 0.5) == 0
        assert postgres.sql(asked)[0][0] - before < 6


def test_a_file_is_looked_at(tmp_path: Path) -> None:
    with Books.open(f"{tmp_path}/books.db") as ours, Books.open(f"{tmp_path}/books.db") as others:
        assert ours.wait(0, 0) == 0
        Thread(target=open_cycle, args=(others, 1)).start()
        assert ours.wait(0, 30) == 1
        assert ours.file.connections >= 1


def test_a_server_goes_on_following_after_the_database_was_away(postgres: Postgres, address: str) -> None:
    tokens = tokens_of(address)
    with serving(address, tokens=tokens) as server, server.client() as client:
        cycle = opened(client)
        postgres.kill()
        sleep(1)
        postgres.run()
        until = monotonic() + 30
        while monotonic() < until:
            try:
                position = said(client, cycle, "api", "realtime", amount_usd=1)["position"]
                break
            except (AssertionError, httpx.HTTPError):
                sleep(0.2)
        with client.stream("GET", "/audit/events/stream", params={"since": position - 1}) as stream:
            lines = stream.iter_lines()
            next(line for line in lines if line.startswith("data: "))
            said(client, cycle, "api", "realtime", amount_usd=2)
            begun = perf_counter()
            next(line for line in lines if line.startswith("data: "))
            assert perf_counter() - begun < 6
        assert any("the log is not followed, and tried again" in line for line in server.lines)
