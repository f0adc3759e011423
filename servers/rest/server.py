"""The server: uvicorn around the application. It ends when it is told to, and finishes what it acknowledged."""

import asyncio
import logging
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...domain.errors import Unavailable

ASGI = Callable[..., Any]

PATIENCE = 5
"""Seconds that requests under way have to end."""
HEAD_SECONDS = 10.0
"""Seconds that the head of a request may take to come, and that a connection may stay silent."""
LARGEST_HEAD = 64 << 10
"""Bytes of the head of a request."""
CONNECTIONS = 1024


class Patient(HttpToolsProtocol):
    """A connection on which the head of a request must come whole, and soon: whoever sends it drop by drop is cut off."""

    _head_due: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is a head without an end."""
        if self._head_due is not None and not self._in_body:  # what was answered before its body came may still send it
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD + len(data):  # the last part may have the body behind the head
                self.transport.close()
                return
        super().data_received(data)
        if self._is_idle() and self._head_due is None and self.timeout_keep_alive_task is None:
            self._await_head()  # bytes that begin no request keep no connection

    def on_message_begin(self) -> None:
        """The head of another request on the same connection begins."""
        super().on_message_begin()
        if self._head_due is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_is_here()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._in_body = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        self._head_is_here()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_due = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_here(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None


class Server(uvicorn.Server):
    """A server that tells its streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests; streams end by themselves."""
        self._closing.set()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; refuses an address that cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Unavailable(
            f"{host}:{port} cannot be listened on ({error.strerror or error}): give another --port or --host"
        ) from error
    listening.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # what is accepted inherits it: no answer waits 40 ms
    return listening


def serve(app: ASGI, closing: asyncio.Event, listening: socket.socket) -> None:
    """Serve until a signal ends it (SIGTERM, SIGINT): what is under way is finished first."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a client went away is no news
    logging.getLogger("uvicorn.error").addFilter(lambda record: "Invalid HTTP request" not in record.getMessage())
    config = uvicorn.Config(
        app,
        http=Patient,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # who a client is must not be for the client to say
        timeout_keep_alive=int(HEAD_SECONDS),
        timeout_graceful_shutdown=PATIENCE,
        limit_concurrency=CONNECTIONS,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:  # uvloop, where there is one
        runner.run(Server(config, closing).serve(sockets=[listening]))
