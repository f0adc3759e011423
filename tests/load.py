"""Clients who go on whatever happens to their servers, and what must be true of the books afterwards."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.client import HTTPConnection, HTTPException
from itertools import pairwise
from threading import Event, Lock
from time import monotonic, sleep
from typing import Any

from served import Server

from mecris.books import Books

GIVEN_UP = 30
"""Seconds after which what does not come will not come."""


class Load:
    """Clients that each send readings one after the other to their server, under keys, and keep what they were told.

    A client with an even number sends an order again under its key until it is acknowledged; the others go on to the next.
    After a failure a client goes to the next server.
    """

    def __init__(self, servers: list[Server], clients: int) -> None:
        self.servers, self.stop = servers, Event()
        self.acknowledged: list[tuple[str, str]] = []
        self.sent: set[tuple[str, str]] = set()
        self.problems: Counter[tuple[int, str, str]] = Counter()
        self.broken = 0
        self.slowest = 0.0
        self._turn = Lock()
        self._clients = [threading.Thread(target=self._client, args=(n,)) for n in range(clients)]

    def _client(self, number: int) -> None:
        at, count, again = number, 0, False
        while not self.stop.is_set():
            count += not again
            reading = f"meter {number}", f"{count}.{number:02}"
            status = self._send(self.servers[at % len(self.servers)], reading, f"{number} {count}")
            again = status != 200 and number % 2 == 0
            if status != 200:
                at += 1
                sleep(0.02)

    def _send(self, server: Server, reading: tuple[str, str], key: str) -> int | None:
        body = {"cycle_id": 1, "name": reading[0], "type": "realtime", "amount_usd": reading[1]}
        with self._turn:
            self.sent.add(reading)
        begun, answer = monotonic(), sent(server, body, key)
        with self._turn:
            self.slowest = max(self.slowest, monotonic() - begun)
            if answer is None:
                self.broken += 1
                return None
            status, told, _ = answer
            if status == 200:
                self.acknowledged.append(reading)
            else:
                self.problems[status, told["code"], told["detail"]] += 1
            return status

    def goes_on(self, more: int = 100) -> None:
        """Wait until so many more orders were acknowledged."""
        wanted = len(self.acknowledged) + more
        wait_for(lambda: len(self.acknowledged) >= wanted, f"{more} more orders, {self}")

    def __str__(self) -> str:
        refused = Counter(status for (status, _, _), n in self.problems.items() for _ in range(n))
        told = "".join(f", {n} answered {status}" for status, n in sorted(refused.items()))
        return (
            f"{len(self.sent)} sent, {len(self.acknowledged)} acknowledged{told}, {self.broken} broke off, "
            f"slowest answer {self.slowest:.2f} s"
        )

    def require_clear(self, slowest: float = 10) -> None:
        """Everything but an acknowledgement was a clear and quick error, and no server logged a traceback."""
        assert {status for status, _, _ in self.problems} <= {503}, self.problems
        assert {code for _, code, _ in self.problems} <= {"unavailable", "busy"}, self.problems
        assert self.slowest < slowest
        for server in self.servers:
            assert "Traceback" not in "".join(server.lines), "".join(server.lines)[-4000:]

    def require_all(self, where: str, more: int = 0) -> None:
        """Every acknowledged reading is there once, and nothing else twice or in part; `more` were sent by others."""
        with Books.open(where) as books:
            there = Counter((r["name"], Decimal(r["amount_usd"])) for r in books.sources(1, history=True))
            told = {(name, Decimal(amount)) for name, amount in self.acknowledged}
            sys.stdout.write(f"{self}, {there.total()} there\n")
            assert len(told) == len(self.acknowledged), "an order was acknowledged twice"
            assert told - set(there) == set(), "an acknowledged reading is lost"
            assert max(there.values(), default=0) == 1, "a reading is there twice"
            assert there.total() <= len(self.sent) + more
            require_sound(books)


@contextmanager
def load(servers: list[Server], clients: int = 8) -> Iterator[Load]:
    """Clients at work, while a test does what it does."""
    crowd = Load(servers, clients)
    for client in crowd._clients:
        client.start()
    try:
        yield crowd
    finally:
        crowd.stop.set()
        for client in crowd._clients:
            client.join(GIVEN_UP)


def sent(server: Server, body: dict[str, Any], key: str, timeout: float = GIVEN_UP) -> tuple[int, Any, bool] | None:
    """The status, the answer, and whether it was given before; None if none came."""
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=timeout)
    head = {
        "Authorization": f"Bearer {server.tokens['write']}", "Content-Type": "application/json", "Idempotency-Key": key,
    }  # fmt: skip
    try:
        connection.request("POST", "/budget/source", json.dumps(body), head)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.getheader("Idempotency-Replayed") == "true"
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def wait_for(holds: Callable[[], Any], what: str, seconds: float = GIVEN_UP) -> Any:
    """Wait until something holds."""
    until = monotonic() + seconds
    while not (found := holds()):
        assert monotonic() < until, f"waited in vain for {what}"
        sleep(0.01)
    return found


def require_sound(books: Books) -> None:
    """The chain is whole, positions are dense, time does not go backwards, the read models are what the log says."""
    assert books.verify().faults == []
    replay = books.replay()
    assert (replay.differences, replay.faults) == (0, [])
    events = list(books.log())
    assert [e["position"] for e in events] == list(range(1, len(events) + 1))
    assert all(one["recorded_at"] <= other["recorded_at"] for one, other in pairwise(events))
