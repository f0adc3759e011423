"""The server: uvicorn around the application. It ends when it is told to, and finishes what it acknowledged."""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from ...domain.errors import Unavailable

ASGI = Callable[..., Any]

PATIENCE = 10
"""Seconds that requests under way have to end."""
HEADER_SECONDS = 10
"""Seconds that the head of a request may take to come."""


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
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=HEADER_SECONDS,
        timeout_graceful_shutdown=PATIENCE,
        limit_concurrency=512,
    )
    asyncio.run(Server(config, closing).serve(sockets=[listening]))
