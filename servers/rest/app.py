"""The application: resources, problems, the worker that does jobs, and what is to be done when it ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from ...books import Books
from ...domain.errors import MecrisError
from ..news import News
from ..queue import Queue
from .budget import router as budget
from .calls import BEARER, Asking, Hall, written
from .guard import OPEN, App, Guard, Limits, Receive, Scope, Send
from .ledger import cost, odometer
from .metrics import MEDIA, Metrics
from .problems import of_error, of_validation, problem
from .records import audit, jobs, tokens
from .resources import ASKED, Problem, Router, problems

ABOUT = """How much budget is left for LLM providers, and why should I believe it?

Questions are GET and may be asked `as_of` any moment. Orders are POST, are on disk when they are answered, and take an
`Idempotency-Key`. Amounts are JSON numbers with all their digits. Problems are RFC 9457 documents with a stable `code`."""
IDLE = 0.5
"""Seconds between two looks for jobs."""
ALERTS, PROOFS = 4, 2
"""Threads for alerts on their way to slow targets, and for replays and verifications: nobody else waits for them."""
_LOG = logging.getLogger("mecris")


def application(
    books: Books,
    *,
    limits: Limits | None = None,
    notify: tuple[str, ...] = (),
    log: Callable[[str], None] | None = None,
) -> FastAPI:
    """The REST door of some books; `notify` are the URLs that alerts go to."""
    limits = limits or Limits()
    app = FastAPI(
        title="Mecris",
        version=version("mecris"),
        summary="The books of what you spend on LLM providers.",
        description=ABOUT,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    app.state.closing = asyncio.Event()
    queue = Queue(books)
    metrics = Metrics(books, queue)
    app.state.hall = Hall(books, queue, News(books), metrics, notify, CapacityLimiter(ALERTS), CapacityLimiter(PROOFS))
    for router in (budget, cost, odometer, audit, jobs, tokens, _health(books)):
        app.include_router(router)
    app.add_middleware(Heads)
    app.add_middleware(Guard, books=books, limits=limits, log=log, observe=metrics.asked)
    app.add_exception_handler(MecrisError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class Heads:
    """HEAD is GET without its body, which the server leaves out; a stream has no end, so it has no head either."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_head = scope.get("method") == "HEAD" and not scope["path"].endswith("/stream")
        passed = {**scope, "method": "GET"} if is_head else scope
        await self.app(passed, receive, send)
        scope["route"] = passed.get("route")  # requests are counted by it


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    hall: Hall = app.state.hall
    closing: asyncio.Event = app.state.closing
    at_work = (_work(app), hall.news.listen(closing), hall.news.follow(closing))
    working = asyncio.gather(*map(asyncio.create_task, at_work))
    try:
        yield
    finally:
        closing.set()
        await working
        await hall.queue.close()
        with suppress(MecrisError):
            await run_in_threadpool(hall.books.note_token_uses)


async def _work(app: FastAPI) -> None:
    """Do jobs as they come."""
    hall: Hall = app.state.hall
    waits = ""
    while not app.state.closing.is_set():
        try:
            while not app.state.closing.is_set() and await run_in_threadpool(hall.books.jobs.work):
                pass
            waits = ""
        except MecrisError as error:
            if waits != error.message:  # once, and not at every look
                waits = error.message
                _LOG.warning("the worker waits: %s", waits)
        except Exception:  # noqa: BLE001  # jobs of others wait
            _LOG.exception("the worker met a fault, and goes on")
        with suppress(TimeoutError):
            await asyncio.wait_for(app.state.closing.wait(), IDLE)


def _health(books: Books) -> Any:
    router = Router(tags=["health"])

    alive: dict[int | str, dict[str, Any]] = {200: {"model": dict[str, str], "description": "Yes."}}

    @router.get("/health", response_model=None, responses=alive)
    async def health() -> Response:
        """Is the server alive? Needs no token."""
        return written({"status": "alive"})

    @router.get("/ready", response_model=None, responses={**alive, **problems(503)})
    async def ready() -> Response:
        """Can the books be read? Needs no token."""
        await run_in_threadpool(lambda: books.position)
        return written({"status": "ready"})

    @router.get(
        "/metrics",
        response_model=None,
        responses={**ASKED, 200: {"description": "In Prometheus' text format.", "content": {"text/plain": {}}}},
    )
    async def metrics(call: Asking) -> Response:
        """Orders and what came of them, requests, the queue, and how far the read models are, for Prometheus."""
        return Response(await run_in_threadpool(call.hall.metrics.text), headers={"Content-Type": MEDIA})

    return router


def _id(request: Request) -> str:
    return str(request.state.request_id)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, MecrisError)  # it is registered for those
    return of_error(error, _id(request))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)  # it is registered for those
    return of_validation(list(error.errors()), _id(request))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # it is registered for those
    if error.status_code == 405:
        return _no_such_method(request)
    words = {
        404: ("no-resource", "there is nothing at this address: /openapi.json lists what there is"),
        400: ("not-json", str(error.detail)),
        415: ("not-json", str(error.detail)),
    }
    code, detail = words.get(error.status_code, ("http", str(error.detail)))
    return problem(error.status_code, code, detail, _id(request))


def _no_such_method(request: Request) -> Response:
    paths = request.app.openapi()["paths"]
    here = [path for path in paths if compile_path(path)[0].match(request.url.path)]
    takes = sorted({method.upper() for path in here for method in paths[path]}) or ["GET"]  # the description itself
    told = problem(405, "method", f"this address takes {' and '.join(takes)}, not {request.method}", _id(request))
    told.headers["Allow"] = ", ".join(takes)
    return told


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of every resource; all but health need a token."""
    from fastapi.openapi.utils import get_openapi

    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        parts = described.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        parts["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": BEARER.model.description}
        }
        for unused in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(unused, None)
        for path, operations in described["paths"].items():
            for operation in operations.values():
                operation["security"] = [] if path in OPEN else [{"token": []}]
        app.openapi_schema = described
    return app.openapi_schema
