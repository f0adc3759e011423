"""What every tool shares: the types of its arguments, the books it asks, and how an answer or a refusal is told."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent
from pydantic import BeforeValidator, Field, WithJsonSchema

from ...books import Books
from ...books.answers import to_json
from ...books.wording import for_programs
from ...domain import commands as c
from ...domain.access import READ, WRITE, Token
from ...domain.errors import AmountRefused, Forbidden, MecrisError, Unauthenticated
from ...domain.money import number, usd


class Hall(NamedTuple):
    """The books that agents ask."""

    books: Books


CERTAIN = 15
"""Digits that a float keeps: beyond them nobody knows what was sent, as readers of JSON make floats of numbers."""


def _exact(value: Any, read: Callable[[Any], Decimal]) -> Decimal:
    try:
        if isinstance(value, bool):
            raise AmountRefused("a flag is no amount: write it like 5.42")
        if not isinstance(value, float):
            return read(value)
        digits = Decimal(repr(value))
        if len(digits.as_tuple().digits) > CERTAIN:
            raise AmountRefused(f"a number of over {CERTAIN} digits does not arrive as it was sent: send it as a text")
        return read(digits)
    except AmountRefused as refused:
        raise ValueError(refused.message) from None


_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string"}]}
Usd = Annotated[
    Decimal,
    BeforeValidator(lambda value: _exact(value, usd)),
    WithJsonSchema({**_NUMBER, "description": "US dollars; more than 15 digits as a text"}),
]
Number = Annotated[Decimal, BeforeValidator(lambda value: _exact(value, number)), WithJsonSchema(_NUMBER)]
MOST = 2**63 - 1
Cycle = Annotated[int, Field(strict=True, ge=0, le=MOST, description="The number of the cycle.")]
OneCycle = Annotated[
    int | None,
    Field(strict=True, ge=0, le=MOST, description="The number of the cycle; none: the one that today falls in."),
]
Id = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Flag = Annotated[bool, Field(strict=True)]
Limit = Annotated[int, Field(strict=True, ge=1, le=1000)]
AsOf = Annotated[
    Annotated[int, Field(strict=True)] | str | None,
    Field(description="What was known then: a position, a date, or a date-time."),
]
MeasuredBy = Annotated[str | None, Field(description="What had happened by then: a date or a date-time.")]
Reason = Annotated[str, Field(description="Why, in a few words, so that others can follow the books.")]
Provider = Annotated[str | None, Field(description="Like claude or groq; sources of one provider are compared.")]
Key = Annotated[str | None, Field(description="The same order again with the same key records nothing.")]
When = Annotated[str | None, Field(description="A date or a date-time; none: now.")]
Month = Annotated[str | None, Field(description="YYYY-MM; none: this month.")]
Correct = Annotated[Flag, Field(description="The figure before was wrong; needs a reason.")]
IncludesCache = Annotated[Flag, Field(description="Input counts cached tokens too (OpenAI, Groq).")]
Tokens = Annotated[int, Field(strict=True, ge=0, description="Tokens.")]


def hall_of(ctx: Context[Any, Any], scope: str) -> tuple[Books, str | None]:
    """The books, and who asks: over HTTP the token that was shown, which must allow it."""
    request = ctx.request_context.request
    token: Token | None = request.scope["state"].get("token") if request is not None else None
    if request is not None and token is None:
        raise Unauthenticated("send a token as `Authorization: Bearer ...`", code="no-token")
    if token is not None and not token.allows(scope):
        raise Forbidden(f"the token '{token.name}' may {token.scope}, this needs one that may {scope}", code="scope")
    hall: Hall = ctx.request_context.lifespan_context
    return hall.books, token.name if token else None


def told(answer: Any) -> CallToolResult:
    """An answer as text and as structure."""
    return CallToolResult(content=[TextContent(type="text", text=to_json(answer))], structured_content=_floats(answer))


def refused(error: MecrisError) -> CallToolResult:
    """A refusal as a sentence."""
    return CallToolResult(
        content=[TextContent(type="text", text=f"{for_programs(error.message)} [{error.code}]")], is_error=True
    )


def _floats(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _floats(item) for name, item in value.items()}
    return [_floats(item) for item in value] if isinstance(value, list | tuple) else value


def ask(ctx: Context[Any, Any], question: Callable[[Books], Any]) -> CallToolResult:
    """Ask the books, if whoever calls may."""
    try:
        books, _ = hall_of(ctx, READ)
        return told(question(books))
    except MecrisError as error:
        return refused(error)


def order(ctx: Context[Any, Any], given: Callable[[], c.Command], key: str | None) -> CallToolResult:
    """Give an order, if whoever calls may; who that is, is who recorded it."""
    try:
        books, by = hall_of(ctx, WRITE)
        return told(books.handle(given(), idempotency_key=key, recorded_by=by))
    except MecrisError as error:
        return refused(error)
