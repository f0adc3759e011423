"""The tool that plugs: what needs a person's yes is rehearsed, the person is asked, and their yes is for what they saw."""

from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from ...domain import commands as c
from ...domain.access import WRITE
from ...domain.errors import ConfirmationNeeded, MecrisError, Refused
from ...domain.money import dollars
from .. import shapes as s
from .calling import Cycle, Flag, Key, Provider, Reason, Usd, hall_of, order, refused


class Yes(BaseModel):
    """The answer of a person."""

    confirm: bool = Field(description="Apply this plug?")


class Looked(BaseModel):
    """What a plug would come to: the amount, and what about it needs a person's yes."""

    amount: Decimal | None = None
    left: Decimal | None = None
    needs: str | None = None


def _plug(
    cycle_id: int, amount_usd: Any, square: bool, reason: str, provider: str | None, evidence: str | None, **how: Any
) -> c.ApplyPlug:
    return c.ApplyPlug(
        cycle_id=cycle_id,
        amount_usd=amount_usd,
        square=square,
        reason=reason,
        provider=provider,
        evidence=evidence,
        **how,
    )


def _look(
    ctx: Context[Any, Any],
    cycle_id: int,
    amount_usd: Usd | None,
    square: bool,
    reason: str,
    provider: str | None,
    evidence: str | None,
    idempotency_key: str | None,
) -> Looked:
    """Rehearse a plug; what else would be refused, the order itself says."""
    said = (cycle_id, amount_usd, square, reason, provider, evidence)
    with suppress(MecrisError, ValueError):
        books, _ = hall_of(ctx, WRITE)
        try:
            books.rehearse(_plug(*said), idempotency_key=idempotency_key)
        except ConfirmationNeeded as needed:
            would = books.rehearse(_plug(*said, yes=True))
            amount, left = would["amount_usd"], would["unexplained_usd"]
            why = f"{needed.message.partition(': confirm')[0]}. It leaves {dollars(left)} unexplained."
            return Looked(amount=amount, left=left, needs=why)
    return Looked()


def _person_says_yes(
    ctx: Context[Any, Any], cycle_id: int, reason: str, looked: Annotated[Looked, Resolve(_look)]
) -> Yes | Elicit[Yes]:
    """Ask the person about a plug that needs a yes, if the client can; whoever cannot be asked has not said yes."""
    capable = ctx.client_capabilities
    if looked.needs is None or capable is None or capable.elicitation is None:
        return Yes(confirm=False)
    return Elicit(f"Cycle {cycle_id}: {looked.needs} The reason given is: {reason!r}. Apply it?", Yes)


def apply_plug(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    reason: Reason,
    looked: Annotated[Looked, Resolve(_look)],
    answered: Annotated[ElicitationResult[Yes], Resolve(_person_says_yes)],
    amount_usd: Annotated[Usd | None, Field(description="The amount, either way; or square.")] = None,
    square: Annotated[Flag, Field(description="Plug exactly what is unexplained.")] = False,
    provider: Provider = None,
    evidence: Annotated[str | None, Field(description="Where this can be checked.")] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.PlugApplied]:
    """Explain spend that no meter saw. Over 5 USD, or leaving more unexplained, a person is asked for a yes."""
    if not isinstance(answered, AcceptedElicitation) or (looked.needs and not answered.data.confirm):
        return refused(_unconfirmed(ctx, cycle_id, amount_usd, looked))
    said = (cycle_id, amount_usd, square, reason, provider, evidence)
    if not answered.data.confirm:
        return order(ctx, lambda: _plug(*said), idempotency_key)
    confirmed = _plug(*said, yes=True, expected_usd=looked.amount, expected_left_usd=looked.left)
    return order(ctx, lambda: confirmed, idempotency_key)  # the yes is for these figures alone


def _unconfirmed(ctx: Context[Any, Any], cycle_id: int, amount_usd: Decimal | None, looked: Looked) -> Refused:
    """Nobody said yes: they were asked and did not, or could not be asked."""
    capable = ctx.client_capabilities
    if capable is not None and capable.elicitation is not None:
        return Refused("the person did not say yes: nothing was plugged", code="declined")
    amount = "--square" if amount_usd is None else f"--amount {amount_usd}"
    return ConfirmationNeeded(
        f"{looked.needs} No person said yes to it, and this client cannot ask one; a person can confirm it in a terminal: "
        f"`mecris budget plug --cycle {cycle_id} {amount} --reason '...' --yes`"
    )
