"""Servers under load: two of them and a command line on one file, ended politely and killed; every acknowledged order is there."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from time import sleep

import pytest
from load import wait_for
from served import Server, opened, said, serving, tokens_of

from mecris.books import Books
from mecris.books.writing import Given
from mecris.domain.commands import OpenCycle, RecordSource
from mecris.domain.errors import MecrisError, RuleRefused

CLIENTS = 16
KILLS = 12


def sending(server: Server, number: int, acknowledged: list[tuple[str, str]], stop: threading.Event) -> int:
    """Send readings one after the other and keep what was acknowledged; the answer that did not come counts as sent."""
    sent = 0
    host = server.url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=10)
    head = {"Authorization": f"Bearer {server.tokens['write']}", "Content-Type": "application/json"}
    try:
        while not stop.is_set():
            name, amount = f"meter {number}", f"{sent + 1}.{number:02}"
            body = {"cycle_id": 1, "name": name, "type": "realtime", "amount_usd": amount}
            sent += 1
            connection.request(
                "POST", "/budget/source", json.dumps(body), {**head, "Idempotency-Key": f"{number} {sent}"}
            )
            answer = connection.getresponse()
            if answer.status != 200:
                break
            if json.loads(answer.read())["amount_usd"] != float(amount):
                raise AssertionError(amount)
            acknowledged.append((name, amount))
    except (OSError, HTTPException):
        pass
    finally:
        connection.close()
    return sent


def under_load(server: Server, end: Callable[[], object]) -> tuple[list[tuple[str, str]], int]:
    """Sixteen clients while something ends the server: what was acknowledged, and how much was sent."""
    acknowledged: list[tuple[str, str]] = []
    stop = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as crowd:
        at_work = [crowd.submit(sending, server, n, acknowledged, stop) for n in range(CLIENTS)]
        end()
        stop.set()
        sent = sum(work.result(30) for work in at_work)
    return acknowledged, sent


def require_all(path: Path, acknowledged: list[tuple[str, str]], sent: int) -> None:
    """Every acknowledged reading is there once, and nothing is there in part."""
    with Books.open(path) as books:
        there = Counter((r["name"], str(r["amount_usd"])) for r in books.sources(1, history=True))
        exact = Counter((name, str(Decimal(amount).normalize())) for name, amount in acknowledged)
        there = Counter({(name, str(Decimal(amount).normalize())): n for (name, amount), n in there.items()})
        assert exact - there == Counter(), "an acknowledged reading is lost"
        assert max(there.values(), default=0) <= 1, "a reading is there twice"
        assert len(acknowledged) <= there.total() <= sent
        sys.stdout.write(f"{sent} sent, {len(acknowledged)} acknowledged, {there.total()} there; ")
        assert books.verify().faults == []
        assert books.replay().differences == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_what_was_acknowledged_under_load_is_there_when_the_server_ends(tmp_path: Path, how: signal.Signals) -> None:
    path = tmp_path / "books.db"
    with serving(path) as server:
        with server.client() as client:
            opened(client, 1000)

        def end() -> None:
            sleep(1)
            server.stop(how)

        acknowledged, sent = under_load(server, end)
    assert len(acknowledged) > 50
    require_all(path, acknowledged, sent)


def test_a_server_killed_again_and_again_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path, chance = tmp_path / "books.db", Random(7)
    with Books.open(path) as books:
        books.handle(OpenCycle(start_date="2025-08-06", end_date="2025-09-30", target_usd=1000))
    tokens, kept, total = tokens_of(path), [], 0
    for round in range(KILLS):
        with serving(path, tokens=tokens) as server:
            acknowledged: list[tuple[str, str]] = []
            stop = threading.Event()
            with ThreadPoolExecutor(4) as crowd:
                at_work = [crowd.submit(sending, server, 100 * round + n, acknowledged, stop) for n in range(4)]
                wait_for(partial(bool, acknowledged), "an order")
                sleep(chance.uniform(0, 0.2))
                server.process.kill()
                total += sum(work.result(30) for work in at_work)
        kept += acknowledged
    assert len(kept) >= KILLS
    require_all(path, kept, total)


def test_two_servers_and_a_command_line_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with ExitStack() as stack:
        one = stack.enter_context(serving(path))
        other = stack.enter_context(serving(path, tokens=one.tokens))
        with one.client() as client:
            opened(client, 1000)

        def by_server(server: Server, number: int) -> None:
            with server.client() as client:
                for amount in range(1, 41):
                    head = {"Idempotency-Key": f"shared {amount}"} if number % 2 else {}
                    name = "shared" if number % 2 else f"meter {number}"
                    body = {"cycle_id": 1, "name": name, "type": "realtime", "amount_usd": amount}
                    client.post("/budget/source", json=body, headers=head).raise_for_status()

        def by_command_line() -> None:
            for amount in range(1, 6):
                words = ["budget", "add-source", "--cycle", "1", "--name", "typed", "--type", "realtime", "--amount"]
                command = [sys.executable, "-m", "mecris.cli", "--books", str(path), *words, str(amount)]
                subprocess.run(command, check=True, capture_output=True, timeout=60)

        with ThreadPoolExecutor(9) as crowd:
            at_work = [crowd.submit(by_server, (one, other)[n % 4 // 2], n) for n in range(8)]
            at_work.append(crowd.submit(by_command_line))
            for work in at_work:
                work.result(60)
        with one.client() as here, other.client() as there:
            assert here.get("/budget/cycle/1").text == there.get("/budget/cycle/1").text
    with Books.open(path) as books:
        counted = Counter(r["name"] for r in books.sources(1, history=True))
        assert counted == {"shared": 40, "typed": 5, **{f"meter {n}": 40 for n in (0, 2, 4, 6)}}
        assert books.verify().faults == []
        assert books.replay().differences == 0


def test_a_server_ends_although_somebody_follows_the_log(tmp_path: Path) -> None:
    with serving(tmp_path / "books.db") as server, server.client() as client:
        with client.stream("GET", "/audit/events/stream") as stream:
            lines = stream.iter_lines()
            next(lines)
            server.process.terminate()
            assert [line for line in lines if line.startswith("data:")] == []
        server.process.wait(10)
    assert "Traceback" not in "".join(server.lines)


def test_orders_that_share_a_write_are_each_done_or_refused_for_themselves(tmp_path: Path) -> None:
    with Books.open(tmp_path / "books.db") as books:
        books.handle(OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=1))

        def reading(name: str, amount: str, cycle: int = 1) -> Given:
            return Given(RecordSource(cycle_id=cycle, source=name, type="realtime", amount=amount), by=name)

        opening = OpenCycle(start_date="2025-10-01", end_date="2025-09-30", target_usd=1)
        good = OpenCycle(start_date="2025-10-01", end_date="2025-10-31", target_usd=2)
        came = books.handle_each(
            [
                reading("a", "1"),
                reading("b", "-1"),
                Given(opening),
                Given(good),
                reading("c", "1", 2),
                reading("d", "1", 9),
            ]
        )
        assert [getattr(answer, "code", "done") for answer in came] == [
            "done", "amount", "time", "done", "done", "cycle-not-found",
        ]  # fmt: skip
        assert [c["id"] for c in books.cycles()] == [1, 2]
        assert [e["recorded_by"] for e in books.log() if e["event"] == "source-recorded.v1"] == ["a", "c"]
        assert books.replay().differences == 0


@pytest.mark.sqlite
def test_a_damaged_cycle_does_not_take_those_with_it_that_share_its_write(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with Books.open(path) as books:
        for _ in range(2):
            books.handle(OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd=1))
    with Books.open(path) as books:
        with books.file.pen() as connection:
            connection.execute("UPDATE stored_events SET state = ? WHERE position = 1", (b"{}",))

        def reading(cycle: int) -> Given:
            return Given(RecordSource(cycle_id=cycle, source="a", type="realtime", amount="1"))

        came = books.handle_each([reading(2), reading(1), reading(2)])
        assert isinstance(came[1], MecrisError)
        assert [came[0]["recorded"], came[2]["recorded"]] == [True, True]  # type: ignore[index]


def test_what_is_refused_in_a_group_leaves_no_trace_for_the_next(tmp_path: Path) -> None:
    with Books.open(tmp_path / "books.db") as books:
        opening = OpenCycle(start_date="2025-10-01", end_date="2025-09-30", target_usd=1)
        for _ in range(3):
            came = books.handle_each([Given(opening), Given(opening, "key")])
            assert all(isinstance(answer, MecrisError) for answer in came)
        assert books.position == 0
        with pytest.raises(RuleRefused, match="idempotency key is empty"):
            books.handle(opening, idempotency_key=" ")


def test_a_rehearsal_says_what_would_come_and_records_nothing(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with serving(path) as server, server.client() as client:
        cycle = opened(client)
        said(client, cycle, "api", "realtime", amount_usd=1)
    with Books.open(path) as books:
        before = books.position
        order = RecordSource(cycle_id=cycle, source="api", amount="2")
        assert books.rehearse(order)["amount_usd"] == 2
        assert (books.position, books.status(cycle)["totals"]["realtime_usd"]) == (before, 1)
        assert books.handle(order)["recorded"] is True
        assert books.replay().differences == 0
