"""The guard before every request: its id, its size and time, the token that is shown, how often it comes, and a line in the log."""

import asyncio
import json
import logging
import re
import sys
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from anyio import to_thread
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from ...books import Books
from ...domain.access import Token
from ...domain.errors import MecrisError, Unauthenticated
from .problems import of_error, problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Observe = Callable[[Scope, int, float], None]
"""Told of each request: its scope, the status it was answered with, and since when it was there."""

LARGEST = 1 << 20
"""Bytes of a body."""
USES = 30.0
"""Seconds between two notes of when tokens were used."""
OPEN = frozenset(("/health", "/ready"))
"""What may be asked without a token."""
IN_URL = frozenset(("token", "access_token", "api_key", "apikey", "key", "authorization"))
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET = re.compile(r"mecris_[0-9a-f]{16}_[0-9A-Za-z_-]+")
_LOG = logging.getLogger("mecris")


class Limits(NamedTuple):
    """How often one token may come (and how often one address may come with a wrong one), and how long a body may take."""

    rate: str = "60000/minute"
    wrong: str = "60/minute"
    body_seconds: float = 10.0


class Guard:
    """ASGI middleware around everything."""

    def __init__(
        self,
        app: App,
        books: Books,
        limits: Limits,
        log: Callable[[str], None] | None = None,
        observe: Observe | None = None,
    ) -> None:
        self.app, self.books, self.limits, self.observe = app, books, limits, observe
        self.log = log or _to_stderr
        self.rate, self.wrong = parse(limits.rate), parse(limits.wrong)
        self._noted = perf_counter()
        self.seen = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"], state["token"] = id, None
        asked = _Asked(id, send)
        try:
            await self._let_in(scope, receive, asked)
        except _Gone:
            asked.status = 499
        except Exception:  # noqa: BLE001  # whoever asked is told, without the traceback
            _LOG.exception("request %s failed", id)
            if not asked.begun:
                await _fault(id)(scope, receive, asked)
        finally:
            self._note(scope, asked)
            if self.observe:
                self.observe(scope, asked.status, asked.since)
            await self._note_uses()

    async def _let_in(self, scope: Scope, receive: Receive, asked: "_Asked") -> None:
        refused, body = await self._stopped(scope, Headers(scope=scope), asked.id), b""
        if refused is None:
            try:
                body = await asyncio.wait_for(_whole(receive), self.limits.body_seconds)
            except TimeoutError:
                refused = problem(408, "too-slow", "the body did not come in time: send it at once", asked.id)
        if len(body) > LARGEST:
            refused = _too_large(asked.id)
        if refused is not None:
            await refused(scope, receive, asked)
        else:
            await self.app(scope, _again(body, receive), asked)

    async def _stopped(self, scope: Scope, headers: Headers, id: str) -> Response | None:
        """Why a request does not come in; None if it does."""
        if _SECRET.search(scope["path"]) or any(
            name.lower() in IN_URL or _SECRET.search(name + value) for name, value in _query(scope)
        ):
            told = "a token in a URL ends up in logs: send it as `Authorization: Bearer ...`, and revoke this one if it was real"
            return problem(400, "token-in-url", told, id)
        if int(headers.get("content-length") or 0) > LARGEST:
            return _too_large(id)
        if scope["path"] in OPEN:
            return None
        kind, _, secret = headers.get("authorization", "").partition(" ")
        try:
            if kind.lower() != "bearer" or not secret.strip():
                raise Unauthenticated(
                    "send a token as `Authorization: Bearer ...`: `mecris token create` makes one", code="no-token"
                )
            token = await self._admitted(secret.strip())
        except Unauthenticated as refused:
            return self._too_often(self.wrong, "address", _address(scope), id) or of_error(refused, id)
        except MecrisError as error:
            return of_error(error, id)
        scope["state"]["token"] = token
        return self._too_often(self.rate, "token", token.name, id)

    async def _admitted(self, secret: str) -> Token:
        """The token that is shown; a database may let us wait, which is nobody else's business."""
        if self.books.file.kind == "sqlite":  # it answers in less time than a thread takes
            return self.books.admit(secret)
        return await to_thread.run_sync(self.books.admit, secret)

    async def _note_uses(self) -> None:
        """Write down now and then when tokens were used."""
        if perf_counter() - self._noted < USES:
            return
        self._noted = perf_counter()
        with suppress(MecrisError):
            await to_thread.run_sync(self.books.note_token_uses)

    def _too_often(self, rate: RateLimitItem, kind: str, who: str, id: str) -> Response | None:
        if self.seen.hit(rate, kind, who):
            return None
        wait = max(1, round(self.seen.get_window_stats(rate, kind, who).reset_time - datetime.now(UTC).timestamp()))
        response = problem(429, "too-often", f"more than {rate}: come again in {wait} s", id)
        response.headers["Retry-After"] = str(wait)
        return response

    def _note(self, scope: Scope, asked: "_Asked") -> None:
        """A line without payloads and secrets: the query's names only."""
        token = scope["state"]["token"]
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "request_id": asked.id,
            "method": scope["method"],
            "path": _masked(scope["path"]),
            "query": [_masked(name) for name, _ in _query(scope)],
            "status": asked.status,
            "bytes": asked.sent,
            "ms": round((perf_counter() - asked.since) * 1000, 2),
            "token": token.name if token else None,
            "client": _address(scope),
        }
        self.log(json.dumps(line, ensure_ascii=False))


class _Asked:
    """One request on its way: what is sent goes through here, with its id, and is counted."""

    def __init__(self, id: str, send: Send) -> None:
        self.id, self.send = id, send
        self.since, self.status, self.sent, self.begun = perf_counter(), 500, 0, False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self.id
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self.send(message)


class _Gone(Exception):
    """Whoever asked went away before the request was whole."""


async def _whole(receive: Receive) -> bytes:
    """The body of a request, or as much of it as shows that it is too large."""
    parts, size = [], 0
    while size <= LARGEST:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read to whoever reads it now; after it, what comes on the line."""
    given = False

    async def once() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), True)


def _masked(text: str) -> str:
    return _SECRET.sub("mecris_...", unquote(text))


def _too_large(id: str) -> Response:
    return problem(413, "too-large", f"a body may have {LARGEST:,} bytes: send less at once", id)


def _fault(id: str) -> Response:
    detail = "this is a fault of Mecris: please report it with the request id, which the server's log tells more about"
    return problem(500, "fault", detail, id)


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "local"


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
