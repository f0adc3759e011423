"""The log, its proof, jobs and tokens."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from ...books import Books
from ...books.answers import Answer, to_json
from ...domain.access import Token
from ...domain.errors import Busy, NotFound, RuleRefused, Unavailable
from .. import shapes as s
from . import bodies as b
from .calls import Administering, AdministeringOrder, Asking, AsOf, Limit, written
from .resources import ASKED, Router

audit = Router(tags=["audit"])
jobs = Router(tags=["jobs"])
tokens = Router(tags=["tokens"])
_CURSOR = re.compile(rb"after (\d{1,18})")
LOOK, KEEP_ALIVE = 5.0, 15.0
"""Seconds after which a stream looks whether its token is still good, and after which a silent one says that it is alive."""
Since = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="Only what comes after this position.")]
OfCycle = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="Only of this cycle.")]


def cursor_of(position: int) -> str:
    """What goes on after a position."""
    return urlsafe_b64encode(b"after %d" % position).decode().rstrip("=")


def position_of(cursor: str) -> int:
    """The position that a cursor goes on after."""
    try:
        found = _CURSOR.fullmatch(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        found = None
    if not found:
        raise RuleRefused("this cursor is none of ours: take `next` of the answer before, or none", code="cursor")
    return int(found[1])


@audit.ask("/audit/events", s.Events)
async def events(
    call: Asking,
    cycle_id: OfCycle = None,
    cursor: Annotated[str | None, Query(max_length=100, description="`next` of the answer before.")] = None,
    since: Since = None,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> Response:
    """Events in the order in which they were recorded; `next` goes on after them, also later."""
    begin = (since or 0) if cursor is None else position_of(cursor)

    def asked(books: Books) -> dict[str, Any]:
        found = books.events(cycle_id, since=begin, limit=limit, as_of=as_of)
        return {"events": found, "next": cursor_of(found[-1]["position"] if found else begin)}

    return await call.ask(asked)


@audit.get(
    "/audit/events/stream",
    response_model=None,
    responses={
        **ASKED,
        200: {
            "description": "Server-sent events: `id` is the position, `event` the stored name, `data` the event as JSON.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
)
async def follow(
    request: Request,
    call: Asking,
    since: Since = None,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,18}$", description="Where a broken stream goes on.")
    ] = None,
) -> StreamingResponse:
    """Follow the log: what is there after `since`, then what is recorded, as it is recorded. Ends when the token does."""
    begin = since if last_event_id is None else int(last_event_id)
    books = call.hall.books
    end = await run_in_threadpool(lambda: books.position)
    if begin is not None and begin > end:
        raise NotFound(f"there is no position {begin}: the log has 1 to {end}", code="position-not-found")
    at = end if begin is None else begin

    async def stream() -> AsyncIterator[str]:
        nonlocal at
        silent = 0.0
        yield ": the log of the books\n\n"
        while not request.app.state.closing.is_set():
            known = call.hall.news.position
            new = await run_in_threadpool(_events_after, books, at, call.token)
            if new is None:
                break
            if new:
                at = new[-1]["position"]
                yield "".join(map(_as_event, new))
            silent = 0.0 if new else silent + LOOK
            if silent >= KEEP_ALIVE:
                silent = 0.0
                yield ": still here\n\n"
            if not new:
                await call.hall.news.beyond(max(at, known), LOOK)  # what cannot be read now is read later

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _events_after(books: Books, position: int, token: Token) -> list[dict[str, Any]] | None:
    """What is new; None if the token is let in no more. Nothing is new of books that cannot be reached: they will be."""
    try:
        return books.events(since=position, limit=500) if books.still_admits(token) else None
    except (Busy, Unavailable):
        return []


def _as_event(event: dict[str, Any]) -> str:
    return f"id: {event['position']}\nevent: {event['event']}\ndata: {to_json(event)}\n\n"


@audit.ask("/audit/verify", s.Verdict)
async def verify(
    call: Asking,
    expect: Annotated[
        str | None, Query(max_length=100, description="A head that was kept elsewhere: the log must still hold it.")
    ] = None,
) -> Response:
    """Recompute the chain of the whole log; keep its head elsewhere."""
    return await call.ask(lambda books: _verdict(books.verify(expect)), limiter=call.hall.proofs)


@audit.order("/audit/replay", s.Replay)
async def replay(body: b.Nothing, call: AdministeringOrder) -> Response:
    """Rebuild every read model beside the live ones from the log alone, and compare row for row."""
    books = call.hall.books

    def replayed() -> Answer:
        found = books.replay()
        examples = [d._asdict() for d in found.examples]
        return Answer(_verdict(books.verify()) | {"differences": found.differences, "examples": examples})

    return await call.once(200, ("replay",), replayed, call.hall.proofs)


def _verdict(verdict: Any) -> dict[str, Any]:
    return {"events": verdict.events, "head": verdict.head, "faults": [fault._asdict() for fault in verdict.faults]}


@jobs.ask("/jobs/{job_id}", s.Job)
async def job(job_id: Annotated[int, Path(ge=0, le=2**63 - 1)], call: Asking) -> Response:
    """A job and what came of it. Jobs are work and no statements: they are not asked as of a moment."""
    return await call.ask(lambda books: books.jobs.get(job_id))


@tokens.ask("/tokens", list[s.TokenListed])
async def listed(call: Administering, as_of: AsOf = None) -> Response:
    """Every token with its scope and state; no secrets."""
    return await call.ask(lambda books: books.tokens(as_of=as_of))


@tokens.order("/tokens", s.TokenMade, 201)
async def create(body: b.NewToken, call: Administering) -> Response:
    """Make a token. It is shown this once, so an idempotency key is refused here: the name does its work."""
    if call.key is not None:
        raise RuleRefused(
            "a token is shown once, so its answer cannot be given again: leave Idempotency-Key out; the same name twice is refused",
            code="key",
        )
    books, by = call.hall.books, call.token.name
    made = await run_in_threadpool(
        lambda: books.create_token(body.name, body.scope, expires=body.expires, recorded_by=by)
    )
    return written(made, 201, "/tokens")


@tokens.order("/tokens/revocation", s.Done)
async def revoke(body: b.TokenRevoked, call: AdministeringOrder) -> Response:
    """Let a token open nothing any more."""
    from ...domain.commands import RevokeToken

    return await call.order(RevokeToken(token_name=body.name, reason=body.reason))
