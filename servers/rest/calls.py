"""What every resource shares: who calls, the two times of a question, the key of an order, and how answers are written."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, NamedTuple

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ...books import Books
from ...books.answers import Answer, to_json
from ...books.wording import read_json
from ...domain.access import ADMIN, READ, WRITE, Token
from ...domain.commands import Command
from ...domain.errors import Forbidden, RuleRefused
from ...domain.text import name_of
from ..news import News
from ..queue import Queue
from .metrics import Metrics
from .texts import Moment, Name, When

BEARER = HTTPBearer(auto_error=False, description="A token of `mecris token create`.")
AsOf = Annotated[Moment | None, Query(description="What was known then: a position, a date, or a date-time.")]
MeasuredBy = Annotated[
    When | None, Query(description="What had happened by then, by all that is known: a date or a date-time.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]


class Hall(NamedTuple):
    """What a server serves: the books, and the queue of orders to them; what takes long has few threads of its own."""

    books: Books
    queue: Queue
    news: News
    metrics: Metrics
    notify: tuple[str, ...]
    alerts: CapacityLimiter
    proofs: CapacityLimiter


class ExactRequest(Request):
    """A request whose body is read with all the digits of its numbers."""

    async def json(self) -> Any:
        """The body."""
        if not hasattr(self, "_json"):
            try:
                self._json = read_json(await self.body(), "the body")
            except RuleRefused as refused:
                raise HTTPException(400, refused.message) from None
        return self._json


class ExactRoute(APIRoute):
    """A route that reads numbers exactly."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler, given an `ExactRequest`."""
        handler = super().get_route_handler()

        async def exact(request: Request) -> Any:
            if request.method == "POST" and not _is_json(request):
                raise HTTPException(415, "send the body as JSON, with the header Content-Type: application/json")
            return await handler(ExactRequest(request.scope, request.receive))

        return exact


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


class Call:
    """One request that was let in."""

    def __init__(self, request: Request, token: Token) -> None:
        self.request, self.token = request, token
        self.hall: Hall = request.app.state.hall

    async def ask(self, question: Callable[[Books], Any], *, limiter: CapacityLimiter | None = None) -> Response:
        """Answer a question; it may wait for the disk, so it has a thread."""
        answer = await to_thread.run_sync(question, self.hall.books, limiter=limiter)
        return written(list(answer) if isinstance(answer, Iterable) and not isinstance(answer, dict | list) else answer)

    async def order(self, order: Command, status: int = 200, location: str | None = None) -> Response:
        """Give an order, durably. `location` may name fields of the answer."""
        given = self.hall.queue.order(order, self.key, self.token.name)
        answer = await self.hall.metrics.counted(order.name, given)
        return written(answer, status, location)

    async def queued(self, ask: Callable[[], Answer]) -> Response:
        """Ask for work that is done later."""
        return written(await run_in_threadpool(ask), 202, "/jobs/{job_id}")

    async def once(
        self, status: int, request: tuple[object, ...], do: Callable[[], Answer], limiter: CapacityLimiter
    ) -> Response:
        """Do what is no order, unless it was done under this key; it may take long, and others do not wait for it."""
        answer = await to_thread.run_sync(self.hall.books.once, self.key, request, do, limiter=limiter)
        return written(answer, status)

    @property
    def key(self) -> str | None:
        """The idempotency key, if one was sent."""
        sent = self.request.headers.get("idempotency-key")
        if sent is not None and not name_of(sent, "the idempotency key"):
            raise RuleRefused("the header Idempotency-Key is empty: give one that names this order alone", code="key")
        return sent


def written(answer: Any, status: int = 200, location: str | None = None) -> Response:
    """An answer with all its digits; a repeated one says so in a header."""
    headers = {}
    if isinstance(answer, Answer) and answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    if location is not None:
        headers["Location"] = location.format(**answer)
    return Response(to_json(answer) + "\n", status, headers, "application/json")


def _call(scope: str) -> Callable[..., Awaitable[Call]]:
    async def let_in(request: Request) -> Call:
        token: Token = request.state.token
        if not token.allows(scope):
            raise Forbidden(
                f"the token '{token.name}' may {token.scope}, this needs one that may {scope}: "
                f"`mecris token create --scope {scope}` makes one",
                code="scope",
            )
        known = {field.alias for field in request.scope["route"].dependant.query_params}
        known |= {f.alias for d in request.scope["route"].dependant.dependencies for f in d.query_params}
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            takes = ", ".join(sorted(known)) or "none"
            raise RuleRefused(f"there is no parameter '{unknown[0][:50]}' here (there are: {takes})", code="name")
        return Call(request, token)

    return let_in


def _ordering(scope: str) -> Callable[..., Awaitable[Call]]:
    let_in = _call(scope)

    async def ordering(
        request: Request,
        idempotency_key: Annotated[
            Name,
            Header(
                description="The same request again with the same key records nothing and is answered as before.",
            ),
        ] = None,  # type: ignore[assignment]  # a text or nothing: a null cannot be sent in a header
    ) -> Call:
        return await let_in(request)

    return ordering


Asking = Annotated[Call, Depends(_call(READ))]
Ordering = Annotated[Call, Depends(_ordering(WRITE))]
Administering = Annotated[Call, Depends(_call(ADMIN))]
AdministeringOrder = Annotated[Call, Depends(_ordering(ADMIN))]
