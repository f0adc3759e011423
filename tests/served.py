"""A real server in a process of its own, on real books, and clients that show a token."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from threading import Thread
from time import sleep
from typing import Any

import httpx
import pytest

from mecris.books import Books

SCOPES = ("read", "write", "admin")


class Server:
    """A server that runs: where, its process, and the tokens of its books by scope."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path | str, tokens: dict[str, str]) -> None:
        self.process, self.path, self.tokens = process, path, tokens
        self.said: Queue[str] = Queue()
        self.lines: list[str] = []
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.url = self._url()

    def _listen(self) -> None:
        with suppress(ValueError):  # it was closed, as the server has ended
            for line in self.process.stderr or ():
                self.lines.append(line)
                self.said.put(line)

    def _url(self) -> str:
        for _ in range(50):
            line = self.said.get(timeout=20)
            if found := re.search(r"on (http://[^,/]+)", line):
                return found[1]
        raise AssertionError("".join(self.lines))

    def client(self, scope: str | None = "write", **more: Any) -> httpx.Client:
        """A client that shows the token of a scope (None: none at all)."""
        headers = {"Authorization": f"Bearer {self.tokens[scope]}"} if scope else {}
        return httpx.Client(base_url=self.url, headers=headers | more.pop("headers", {}), timeout=30, **more)

    def logged(self, request_id: str) -> dict[str, Any]:
        """The line of the log about a request."""
        for _ in range(100):
            for line in self.lines:
                if request_id in line:
                    told: dict[str, Any] = json.loads(line)
                    return told
            sleep(0.05)
        raise AssertionError(f"no line about {request_id}, the last is {self.lines[-1]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, and wait until it has ended."""
        self.process.send_signal(how)
        return self.process.wait(20)


def tokens_of(path: Path | str) -> dict[str, str]:
    """A token of each scope, named after it."""
    with Books.open(path, recorded_by="ada") as books:
        return {scope: books.create_token(scope, scope)["token"] for scope in SCOPES}


@contextmanager
def serving(
    path: Path | str,
    *options: str,
    door: str = "serve",
    tokens: dict[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "mecris.cli"),
) -> Iterator[Server]:
    """A server on some books, while a test runs."""
    tokens = tokens_of(path) if tokens is None else tokens
    command = [sys.executable, *program, "--books", str(path), door, "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        server = None
        try:
            server = Server(process, path, tokens)
            yield server
        finally:
            process.kill()
            if server is not None:
                server._listener.join(20)  # its last words, before the line is cut


def opened(client: httpx.Client, target: float = 24.96) -> int:
    """A new cycle, of the days of the founding story."""
    body = {"start_date": "2025-08-06", "end_date": "2025-09-30", "target_usd": target}
    answer = client.post("/budget/cycle", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["cycle_id"])


def said(client: httpx.Client, cycle: int, name: str, kind: str, **more: Any) -> dict[str, Any]:
    """A reading that was recorded."""
    body = {"cycle_id": cycle, "name": name, "type": kind, "provider": "claude", **more}
    answer = client.post("/budget/source", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem document, which is whole."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["type"] == f"urn:mecris:problem:{told['code']}"
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["title"]
    assert len(told["detail"]) > 10
    assert "Traceback" not in answer.text
    return answer.status_code, told["code"]


def done(client: httpx.Client, location: str) -> dict[str, Any]:
    """A job when it has come to its end."""
    for _ in range(200):
        job: dict[str, Any] = client.get(location).json()
        if job["finished_at"]:
            return job
        sleep(0.05)
    raise AssertionError(job)


def events_of(lines: Iterator[str], count: int) -> list[dict[str, Any]]:
    """The next events of a stream."""
    found: list[dict[str, Any]] = []
    for line in lines:
        if line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: ")))
        if len(found) == count:
            break
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module; each opens cycles of its own."""
    with serving(tmp_path_factory.mktemp("rest") / "books.db") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def reader(server: Server) -> Iterator[httpx.Client]:
    with server.client("read") as client:
        yield client


@pytest.fixture
def boss(server: Server) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client
