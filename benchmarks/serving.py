"""The REST door under load: many clients at once, each waiting for its durable answer, on one cycle and on many."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from mecris.books import Books
from mecris.domain.commands import OpenCycle

from .plain import Plain
from .report import Row, at_least, at_most, for_scale, ms, rate
from .sizes import Sizes
from .timing import percentile

HOW = (
    "- **The REST door**: `mecris serve` as a process of its own, and 16 clients in another one, each with a connection that stays open: "
    "every client sends `POST /budget/source` and waits for the answer, which comes when the reading is on disk. In turn with as "
    "many `INSERT`s of a row with the same bytes into plain SQLite, each committed by itself. The clients take a good part of the machine too. "
    "The median over the rounds is shown. Where the server's time went, sampled on 2026-11-25 (py-spy, 19,200 requests): HTTP in Python (uvicorn, "
    "Starlette, FastAPI's routing) 41 %, the wait for the disk 18 %, deciding and writing the orders 12 %, the guard (token, limits) 9 %, reading and "
    "checking the request 8 %, the line in the log 6 %, the event loop 5 %. Sixteen waiting orders share one sync.",
)
CLIENTS = 16


def rows(folder: Path, books: Path, sizes: Sizes) -> Iterator[Row]:
    """Requests a second and how long they take; `books` give the row of the floor."""
    path, floor = folder / "served.db", Plain(folder / "plain-served.db", books, 0)
    with Books.open(path) as opened:
        token = opened.create_token("bench", "write")["token"]
        for _ in range(CLIENTS):
            opened.handle(OpenCycle(start_date="2020-01-01", end_date="2099-12-31", target_usd=1_000_000))
    each = max(1, sizes.requests // CLIENTS)
    with served(path) as port:
        load(port, token, [1] * CLIENTS, 20)
        for what, cycles in (("one cycle", [1] * CLIENTS), ("16 cycles", list(range(1, CLIENTS + 1)))):
            plain, found = [], []
            for _ in range(sizes.few_rounds):
                begun = perf_counter()
                floor.singles(each * CLIENTS)
                plain.append(perf_counter() - begun)
                found.append(load(port, token, cycles, each))
            n = each * CLIENTS
            took = median(seconds for seconds, _ in found)
            p50, p99 = (median(percentile(waits, p) for _, waits in found) for p in (50, 99))
            yield at_least(
                f"`POST /budget/source`, {CLIENTS} clients on {what}",
                1000,
                n / took,
                f"{rate(took, n)}; plain commits {rate(median(plain), n)}",
                "/s",
            )
            yield at_most("the same, p99", 50, p99 * 1000, f"p50 {ms(p50)}, p99 {ms(p99)}", " ms")
        yield _health(port, sizes)


def _health(port: int, sizes: Sizes) -> Row:
    connection = HTTPConnection("127.0.0.1", port)
    begun = perf_counter()
    for _ in range(sizes.requests // CLIENTS):
        connection.request("GET", "/health")
        connection.getresponse().read()
    took = perf_counter() - begun
    return for_scale("`GET /health`, one client: what HTTP itself takes", rate(took, sizes.requests // CLIENTS), "")


@contextmanager
def served(where: Path | str) -> Iterator[int]:
    """A server on some books, as a process of its own; where it listens."""
    command = [
        sys.executable,
        "-m",
        "mecris.cli",
        "--books",
        str(where),
        "serve",
        "--port",
        "0",
        "--rate-limit",
        "1000000/second",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = re.search(r"http://[^:]+:(\d+)", server.stderr.readline())
        assert found, "the server says where it listens"
        drain = ThreadPoolExecutor(1).submit(lambda: [None for _ in server.stderr or ()])
        try:
            yield int(found[1])
        finally:
            server.terminate()
            server.wait(20)
            drain.result(5)


def load(port: int, token: str, cycles: Sequence[int], each: int) -> tuple[float, list[float]]:
    """Seconds in all, and those of every request, as a client process of its own saw them."""
    arguments = [str(port), str(each), *map(str, cycles)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.clients", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MECRIS_TOKEN": token},
    )
    took, *waits = map(float, done.stdout.split())
    sleep(0.2)
    return took, waits
