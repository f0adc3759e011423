"""The tools that give an order; the one that plugs stands in `plugging`."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field

from ...books.answers import to_json
from ...domain import commands as c
from .. import shapes as s
from .calling import (
    Correct,
    Cycle,
    Flag,
    Id,
    IncludesCache,
    Key,
    Month,
    Number,
    Provider,
    Reason,
    Tokens,
    Usd,
    When,
    order,
)


def create_cycle(
    ctx: Context[Any, Any],
    start_date: Annotated[str, Field(description="First day, YYYY-MM-DD.")],
    end_date: Annotated[str, Field(description="Last day, inclusive.")],
    target_usd: Usd,
    notes: str | None = None,
    timezone: str = "UTC",
    roll_over_from: Annotated[Id | None, Field(description="A closed cycle whose rest comes on top.")] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.CycleOpened]:
    """Open a budgeting period."""
    return order(
        ctx,
        lambda: c.OpenCycle(
            start_date=start_date,
            end_date=end_date,
            target_usd=target_usd,
            notes=notes,
            timezone=timezone,
            roll_over_from=roll_over_from,
        ),
        idempotency_key,
    )


def record_source(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    name: Annotated[str, Field(description="The name of the source, like console or session log.")],
    amount_usd: Annotated[Usd | None, Field(description="What the cycle has cost so far, by this source.")] = None,
    type: Annotated[
        Literal["realtime", "manual"] | None, Field(description="realtime: a meter, an API; manual: read by a person.")
    ] = None,
    provider: Provider = None,
    raw_payload: Annotated[
        str | dict[str, Any] | None, Field(description="What the source said, word for word.")
    ] = None,
    balance: Annotated[Usd | None, Field(description="What is left, instead of an amount.")] = None,
    credit: Annotated[Usd | None, Field(description="What the balance is left of.")] = None,
    counted: Annotated[Flag | None, Field(description="false: compared only, never added.")] = None,
    measured_at: When = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.SourceRecorded]:
    """Record what a source says the cycle has cost so far (cumulative, not an increment)."""
    return order(
        ctx,
        lambda: c.RecordSource(
            cycle_id=cycle_id,
            source=name,
            type=type,
            amount=amount_usd,
            provider=provider,
            payload=to_json(raw_payload) if isinstance(raw_payload, dict) else raw_payload,
            counted=counted,
            balance=balance,
            credit=credit,
            measured_at=measured_at,
        ),
        idempotency_key,
    )


def record_balance_reading(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    name: Annotated[str, Field(description="The name of the dashboard, like console.")],
    balance: Annotated[Usd, Field(description="What is left, as the dashboard shows it.")],
    credit: Annotated[Usd | None, Field(description="What it is left of; none: the budget.")] = None,
    provider: Provider = None,
    measured_at: When = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.SourceRecorded]:
    """Record the balance that a person read off a dashboard; what was spent follows from it."""
    return order(
        ctx,
        lambda: c.RecordSource(
            cycle_id=cycle_id,
            source=name,
            type="manual",
            balance=balance,
            credit=credit,
            provider=provider,
            measured_at=measured_at,
        ),
        idempotency_key,
    )


def retract_reading(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    reading: Annotated[Id, Field(description="Its number, as record_source and get_sources give it.")],
    reason: Reason,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.Done]:
    """Take a wrong reading back; it stays in the log."""
    return order(ctx, lambda: c.RetractReading(cycle_id=cycle_id, reading=reading, reason=reason), idempotency_key)


def adjust_budget(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    amount_usd: Annotated[Usd, Field(description="What is added, or taken away (negative).")],
    reason: Reason,
    at: Annotated[str | None, Field(description="When it counts from: a date or a date-time; none: now.")] = None,
    provider: Annotated[str, Field(description="Whose credit it is, if it is one provider's.")] = "",
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.Done]:
    """Add a top-up or a credit to the budget, or take from it."""
    return order(
        ctx,
        lambda: c.AdjustBudget(cycle_id=cycle_id, amount_usd=amount_usd, reason=reason, at=at, provider=provider),
        idempotency_key,
    )


def reverse_plug(
    ctx: Context[Any, Any], cycle_id: Cycle, plug: Id, reason: Reason, idempotency_key: Key = None
) -> Annotated[CallToolResult, s.Done]:
    """Undo a plug by its opposite; both stay in the log."""
    return order(ctx, lambda: c.ReversePlug(cycle_id=cycle_id, plug=plug, reason=reason), idempotency_key)


def reconcile_budget(
    ctx: Context[Any, Any], cycle_id: Cycle, idempotency_key: Key = None
) -> Annotated[CallToolResult, s.Done]:
    """Put the comparison of meters and dashboards on record, as it stands."""
    return order(ctx, lambda: c.Reconcile(cycle_id=cycle_id), idempotency_key)


def close_cycle(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    accept: Annotated[Flag, Field(description="Close in spite of what is open; needs a reason.")] = False,
    reason: Annotated[str | None, Field(description="Why it may stay so.")] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.Done]:
    """Close a cycle and put its final figures on record; refused while something is unexplained, unless accepted."""
    return order(ctx, lambda: c.CloseCycle(cycle_id=cycle_id, accept=accept, reason=reason), idempotency_key)


def reopen_cycle(
    ctx: Context[Any, Any], cycle_id: Cycle, reason: Reason, idempotency_key: Key = None
) -> Annotated[CallToolResult, s.Done]:
    """Let a closed cycle take statements again; that it was closed, and why it was reopened, stays in the log."""
    return order(ctx, lambda: c.ReopenCycle(cycle_id=cycle_id, reason=reason), idempotency_key)


def record_groq_reading(
    ctx: Context[Any, Any],
    amount_usd: Annotated[Usd, Field(description="What Groq's counter shows.")],
    month: Month = None,
    read_at: When = None,
    notes: str | None = None,
    correct: Correct = False,
    reason: str | None = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.ReadingTaken]:
    """Record what Groq's month-to-date counter shows; cycles that it feeds are told in the same write."""
    return record_odometer_reading(ctx, "groq", amount_usd, month, read_at, notes, correct, reason, idempotency_key)


def record_odometer_reading(
    ctx: Context[Any, Any],
    provider: Annotated[str, Field(description="Whose counter it is.")],
    amount_usd: Annotated[Usd, Field(description="What the counter shows.")],
    month: Month = None,
    read_at: When = None,
    notes: str | None = None,
    correct: Correct = False,
    reason: str | None = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.ReadingTaken]:
    """Record what a provider's month-to-date counter shows; cycles that it feeds are told in the same write."""
    return order(
        ctx,
        lambda: c.ReadOdometer(
            provider=provider,
            amount_usd=amount_usd,
            month=month,
            read_at=read_at,
            notes=notes,
            correct=correct,
            reason=reason,
        ),
        idempotency_key,
    )


def record_dispatch(
    ctx: Context[Any, Any],
    run_id: str,
    dispatch_id: str,
    input_tokens: Tokens,
    output_tokens: Tokens,
    cache_read_tokens: Tokens = 0,
    cache_write_tokens: Tokens = 0,
    input_includes_cache: IncludesCache = False,
    model: str | None = None,
    running: Annotated[Flag, Field(description="It may report more.")] = False,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.DispatchesRecorded]:
    """Set what one dispatch of a run reports; the same dispatch again is a correction."""
    return order(
        ctx,
        lambda: c.RecordDispatches(
            run_id=run_id,
            dispatches=(
                c.Dispatch(
                    dispatch_id=dispatch_id,
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    cache_read_tokens=cache_read_tokens,
                    cache_write_tokens=cache_write_tokens,
                    input_includes_cache=input_includes_cache,
                    model=model,
                    running=running,
                ),
            ),
        ),
        idempotency_key,
    )


def reconcile_tokens(
    ctx: Context[Any, Any],
    run_id: str,
    billed_in: Tokens,
    billed_out: Tokens,
    dispatch_id: Annotated[str | None, Field(description="Only this dispatch; none: the whole run.")] = None,
    billed_cache_read: Tokens | None = None,
    billed_cache_write: Tokens | None = None,
    input_includes_cache: IncludesCache = False,
    source: Annotated[str, Field(description="Who billed: manual, anthropic, openai ...")] = "manual",
    tolerance_tokens: Tokens = 0,
    tolerance_percent: Annotated[Number, Field(description="In percent of what was billed.")] = Decimal(0),
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.ComparisonMade]:
    """Compare what was billed in tokens with what a run, or one dispatch of it, reported."""
    return order(
        ctx,
        lambda: c.ReconcileTokens(
            run_id=run_id,
            billed_in=billed_in,
            billed_out=billed_out,
            billed_cache_read=billed_cache_read,
            billed_cache_write=billed_cache_write,
            input_includes_cache=input_includes_cache,
            dispatch_id=dispatch_id,
            source=source,
            tolerance_tokens=tolerance_tokens,
            tolerance_percent=tolerance_percent,
        ),
        idempotency_key,
    )
