"""A real HTTP receiver on the loopback, that answers, fails, hangs or drips as it is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

ANSWERS = {"ok": 204, "created": 201, "error": 500, "busy": 429, "gone": 410, "moved": 302}


class Receiver:
    """What was received, and how to answer next; the last way stays."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.credentials: list[str | None] = []
        self.attempts = 0
        self.ways: list[str] = ["ok"]
        self.released = Event()
        self.url = ""

    def answers(self, *ways: str) -> None:
        """Answer so from now on."""
        self.ways = list(ways)

    def next(self) -> str:
        """How this request is answered."""
        self.attempts += 1
        return self.ways.pop(0) if len(self.ways) > 1 else self.ways[0]


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            way = receiver.next()
            if way == "hang":
                receiver.released.wait(20)
                return
            if way == "drip":
                self._drip()
                return
            if ANSWERS[way] < 300:  # noted before it is answered: who got the answer may look at once
                receiver.received.append(json.loads(body))
                receiver.paths.append(self.path)
                receiver.credentials.append(self.headers["Authorization"])
            self.send_response(ANSWERS[way])
            if way == "moved":
                self.send_header("Location", receiver.url + "elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815  # the name that the server looks for

        def _drip(self) -> None:
            """A header that never ends, one byte after the other."""
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(200):
                if receiver.released.wait(0.05):
                    return
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver while a test runs."""
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(receiver))
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook/"
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
