"""The MCP server: tools, resources and a prompt, over standard input and output or over streamable HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import Any

from anyio import to_thread
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...books import Books
from ...books.answers import to_json
from ...books.wording import for_programs, in_one, slips
from ...domain.access import READ, Token
from ...domain.errors import MecrisError, NotFound
from ..rest.guard import App, Guard, Limits, Receive, Scope, Send
from ..rest.problems import of_error
from ..rest.server import serve
from .calling import Hall, hall_of
from .tools import TOOLS

ABOUT = """Mecris keeps the books of what is spent on LLM providers. Ask how much is left and why to believe it; record what meters
and dashboards say (cumulative figures of a cycle, never increments); explain what no meter saw with a plug. Nothing is
overwritten, every refusal says what to do. Never present a figure as verified whose grade is UNVERIFIED."""


UNREADABLE = (
    "no yes of a person came back: nothing was plugged. A person can confirm it in a terminal: "
    "`mecris budget plug --cycle ID --square --reason '...' --yes` [needs-yes]"
)


class Door(MCPServer[Hall]):
    """A server that takes no argument it does not know, and says what is wrong with one in a sentence."""

    def take_no_others(self, tool: str) -> None:
        """Refuse arguments that a tool does not have: a slip is seen, and not left out silently."""
        found = self._tool_manager.get_tool(tool)
        assert found is not None  # it was just added
        takes = found.fn_metadata.arg_model
        takes.model_config["extra"] = "forbid"
        takes.model_rebuild(force=True)
        found.parameters = takes.model_json_schema(by_alias=True)

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                told = in_one(slips(error.__cause__.errors()))
                raise ToolError(f"{name} was not called with what it takes: {told} [invalid]") from error.__cause__
            if name == "apply_plug" and "elicitation" in str(error):
                raise ToolError(UNREADABLE) from error
            raise
        except MCPError as error:
            if name == "apply_plug":  # the only one that asks somebody
                raise ToolError(f"{UNREADABLE} ({error.message})") from error
            raise

    async def get_prompt(self, name: str, arguments: dict[str, Any] | None = None, context: Any = None) -> Any:
        """A prompt, with what it needs."""
        found = self._prompt_manager.get_prompt(name)
        if found is None:
            raise MCPError(INVALID_PARAMS, f"there is no prompt {name[:50]!r}: prompts/list shows those there are")
        needed = [a.name for a in found.arguments or [] if a.required and a.name not in (arguments or {})]
        if needed:
            raise MCPError(INVALID_PARAMS, f"the prompt {name} needs {', '.join(needed)}")
        return await super().get_prompt(name, arguments, context)


def server(books: Books) -> MCPServer[Hall]:
    """The door for agents to some books."""

    @asynccontextmanager
    async def hall(_: MCPServer[Hall]) -> AsyncIterator[Hall]:
        yield Hall(books)

    mcp = Door(
        "mecris", title="Mecris", instructions=ABOUT, version=version("mecris"), lifespan=hall, log_level="WARNING"
    )
    for tool, annotations in TOOLS:
        mcp.add_tool(tool, annotations=annotations)
        mcp.take_no_others(tool.__name__)
    mcp.resource("mecris://cycle/{cycle_id}", mime_type="application/json")(cycle)
    mcp.resource("mecris://cycle/{cycle_id}/as-of/{when}", mime_type="application/json")(cycle_as_of)
    mcp.resource("mecris://cycle/{cycle_id}/events", mime_type="application/json")(cycle_events)
    mcp.prompt("month_end", title="Month end")(month_end)
    return mcp


def cycle(cycle_id: str, ctx: Context[Any, Any]) -> str:
    """How much is left of a cycle, and why to believe it."""
    return _read(ctx, lambda books: books.status(_number(cycle_id)))


def cycle_as_of(cycle_id: str, when: str, ctx: Context[Any, Any]) -> str:
    """The same as it was known at a position or a time."""
    return _read(ctx, lambda books: books.status(_number(cycle_id), as_of=when))


def cycle_events(cycle_id: str, ctx: Context[Any, Any]) -> str:
    """What happened to a cycle, event by event."""
    return _read(ctx, lambda books: list(books.log(_number(cycle_id))))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise NotFound(f"there is no cycle {text[:50]!r}: cycles have numbers", code="cycle-not-found")
    return int(text)


def _read(ctx: Context[Any, Any], question: Any) -> str:
    try:
        return to_json(question(hall_of(ctx, READ)[0])) + "\n"
    except NotFound as error:
        raise ResourceNotFoundError(error.message) from None
    except MecrisError as error:
        raise ResourceError(error.message) from None


def month_end(cycle_id: str, ctx: Context[Any, Any]) -> str:
    """Walk through the end of a cycle: read, reconcile, explain, plug, close."""
    try:
        hall_of(ctx, READ)[0].status(_number(cycle_id))
    except MecrisError as error:
        raise MCPError(INVALID_PARAMS, for_programs(error.message)) from None
    return f"""Settle cycle {cycle_id} with the person, one step after the other, and show what each answered.

1. Read: call get_budget_status for cycle {cycle_id}. Ask the person for what the provider's dashboard shows now (an amount spent, or a
   balance left) and record it with record_source (type manual) or record_balance_reading. For Groq, ask for its counter and
   record it with record_groq_reading. Never guess a figure, and never record one that nobody read.
2. Reconcile: call reconcile_budget, then get_discrepancies, and say in plain words which meter and which dashboard differ, and by how much.
3. Explain: ask what the difference may be (another workspace, a key outside the tracking, a late bill). If a reading was wrong, say so
   and record the right one.
4. Plug: once the person names a reason, call apply_plug with square true and that reason. Over 5 USD the person is asked for a yes.
5. Close: when get_budget_status shows nothing unexplained, offer to close the cycle and call close_cycle. If something must stay
   open, close_cycle takes accept with a reason; do not choose that for the person.

Report what is left, the grade, and how much of the spend was compared (verified_percent). What is UNVERIFIED was compared with nothing."""


def over_stdio(books: Books) -> None:
    """Serve whoever started this process, by standard input and output."""
    asyncio.run(server(books).run_stdio_async())


def over_http(books: Books, listening: socket.socket, limits: Limits | None = None) -> None:
    """Serve by streamable HTTP at `/mcp`, with the tokens of these books; `/health` and `/ready` need none."""
    door = server(books)
    door.custom_route("/health", ["GET"])(health)
    door.custom_route("/ready", ["GET"])(partial(ready, books))
    app = _Owned(door.streamable_http_app(host=listening.getsockname()[0]), books)
    serve(Guard(app, books, limits or Limits()), asyncio.Event(), listening)


async def health(_: Request) -> Response:
    """Is the server alive?"""
    return JSONResponse({"status": "alive"})


async def ready(books: Books, request: Request) -> Response:
    """Can the books be read?"""
    try:
        await to_thread.run_sync(lambda: books.position)
    except MecrisError as error:
        return of_error(error, request.state.request_id)
    return JSONResponse({"status": "ready"})


class _Owned:
    """Tells the SDK whose request it is, so that nobody goes on with the session of another token."""

    def __init__(self, app: App, books: Books) -> None:
        self.app, self.books = app, books

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, partial(self._ending, send))
            return
        token: Token | None = scope.get("state", {}).get("token") if scope["type"] == "http" else None
        if token is not None:
            shown = AccessToken(token=token.handle, client_id=token.name, scopes=[token.scope])
            scope = {**scope, "user": AuthenticatedUser(shown)}
        await self.app(scope, receive, send)

    async def _ending(self, send: Send, message: MutableMapping[str, Any]) -> None:
        if message["type"].startswith("lifespan.shutdown"):
            with suppress(MecrisError):
                await to_thread.run_sync(self.books.note_token_uses)
        await send(message)
