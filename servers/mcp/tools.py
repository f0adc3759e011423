"""The tools of agents: each asks one question or gives one order, and answers with fields that are typed.

The text of an answer is the JSON of the hall, with every digit; its structured twin has floats, as JSON readers have.
Refusals are sentences that say what to do.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from ...books import Books
from ...books.answers import to_json
from ...domain import commands as c
from ...domain.access import READ, WRITE, Token
from ...domain.errors import ConfirmationNeeded, Forbidden, MecrisError, Refused
from .. import shapes as s
from . import answers as a


class Hall(NamedTuple):
    """The books that agents ask."""

    books: Books


def _exact(value: object) -> object:
    """A float as the digits that were typed: readers of JSON make floats of them."""
    return Decimal(repr(value)) if isinstance(value, float) else value


_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string"}]}
Usd = Annotated[str | int | Decimal, BeforeValidator(_exact), WithJsonSchema({**_NUMBER, "description": "US dollars"})]
Cycle = Annotated[int, Field(ge=0, description="The number of the cycle.")]
OneCycle = Annotated[int | None, Field(description="The number of the cycle; none: the one that today falls in.")]
AsOf = Annotated[str | None, Field(description="What was known then: a position, a date, or a date-time.")]
MeasuredBy = Annotated[str | None, Field(description="What had happened by then: a date or a date-time.")]
Reason = Annotated[str, Field(description="Why, in a few words, so that others can follow the books.")]
Provider = Annotated[str | None, Field(description="Like claude or groq; sources of one provider are compared.")]
Key = Annotated[str | None, Field(description="The same order again with the same key records nothing.")]
When = Annotated[str | None, Field(description="A date or a date-time; none: now.")]
Tokens = Annotated[int, Field(ge=0, description="Tokens.")]

ASKS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
RECORDS = ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=False, open_world_hint=False)
SETTLES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
UNDOES = ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=True, open_world_hint=False)


def hall_of(ctx: Context[Any, Any], scope: str) -> tuple[Books, str | None]:
    """The books, and who asks: over HTTP the token that was shown, which must allow it."""
    request = ctx.request_context.request
    token: Token | None = request.scope["state"].get("token") if request is not None else None
    if token is not None and not token.allows(scope):
        raise Forbidden(f"the token '{token.name}' may {token.scope}, this needs one that may {scope}", code="scope")
    hall: Hall = ctx.request_context.lifespan_context
    return hall.books, token.name if token else None


def told(answer: Any) -> CallToolResult:
    """An answer as text and as structure."""
    return CallToolResult(content=[TextContent(type="text", text=to_json(answer))], structured_content=_floats(answer))


def refused(error: MecrisError) -> CallToolResult:
    """A refusal as a sentence."""
    return CallToolResult(content=[TextContent(type="text", text=f"{error.message} [{error.code}]")], is_error=True)


def _floats(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _floats(item) for name, item in value.items()}
    return [_floats(item) for item in value] if isinstance(value, list | tuple) else value


def _ask(ctx: Context[Any, Any], question: Callable[[Books], Any]) -> CallToolResult:
    try:
        books, _ = hall_of(ctx, READ)
        return told(question(books))
    except MecrisError as error:
        return refused(error)


def _order(ctx: Context[Any, Any], order: Callable[[], c.Command], key: str | None) -> CallToolResult:
    try:
        books, by = hall_of(ctx, WRITE)
        return told(books.handle(order(), idempotency_key=key, recorded_by=by))
    except MecrisError as error:
        return refused(error)


# -- questions -----------------------------------------------------------------------------------------------------


def get_budget_status(
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.BudgetStatus]:
    """How much is left of a budget, and why to believe it: tie-out, grade, pace, health and what to look at."""
    return _ask(ctx, lambda books: a.budget_status(books.status(cycle_id, as_of=as_of, measured_by=measured_by)))


def get_groq_status(
    ctx: Context[Any, Any], as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.GroqStatus]:
    """What Groq's month-to-date counter shows, month by month, and what a person should do about it."""
    return _ask(ctx, lambda books: a.groq_status(books.odometers(as_of=as_of, measured_by=measured_by)))


def get_narrator_context(
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None
) -> Annotated[CallToolResult, a.NarratorContext]:
    """One line about a budget to act on, what is urgent, and what to do next; nothing in it is claimed unverified."""
    return _ask(ctx, lambda books: a.narrator_context(books, cycle_id, as_of))


def get_unified_cost_status(
    ctx: Context[Any, Any], as_of: AsOf = None
) -> Annotated[CallToolResult, a.UnifiedCostStatus]:
    """All current budgets and counters together: claude, groq, and their sum; where periods differ is said."""
    return _ask(ctx, lambda books: a.unified_cost_status(books.unified(as_of=as_of)))


def get_discrepancies(
    ctx: Context[Any, Any], cycle_id: Cycle, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, s.Discrepancies]:
    """Every meter beside every dashboard reading of its provider, graded, with a sentence of analysis."""
    return _ask(ctx, lambda books: books.discrepancies(cycle_id, as_of=as_of, measured_by=measured_by))


def get_forecast(
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None
) -> Annotated[CallToolResult, s.CycleForecast]:
    """How fast money goes, what that comes to by the end, the day the budget runs out, and health."""
    return _ask(ctx, lambda books: books.forecast(cycle_id, as_of=as_of))


def list_token_reconciliations(
    ctx: Context[Any, Any],
    run_id: str,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    as_of: AsOf = None,
) -> Annotated[CallToolResult, a.TokenReconciliations]:
    """What was billed for a run beside what its dispatches reported, the newest comparison first."""
    return _ask(ctx, lambda books: {"reconciliations": books.reconciliations(run_id, limit=limit, as_of=as_of)})


def get_event_log(
    ctx: Context[Any, Any],
    cycle_id: OneCycle = None,
    since: Annotated[int, Field(ge=0, description="Only what comes after this position.")] = 0,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
) -> Annotated[CallToolResult, a.EventLog]:
    """What happened, event by event, in the order in which it was recorded."""
    return _ask(ctx, lambda books: {"events": list(books.log(cycle_id, since=since, limit=limit))})


# -- orders --------------------------------------------------------------------------------------------------------


def create_cycle(
    ctx: Context[Any, Any],
    start_date: Annotated[str, Field(description="First day, YYYY-MM-DD.")],
    end_date: Annotated[str, Field(description="Last day, inclusive.")],
    target_usd: Usd,
    notes: str | None = None,
    timezone: str = "UTC",
    roll_over_from: Annotated[int | None, Field(description="A closed cycle whose rest comes on top.")] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.CycleOpened]:
    """Open a budgeting period."""
    return _order(
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
    raw_payload: Annotated[str | None, Field(description="What the source said, word for word.")] = None,
    counted: Annotated[bool | None, Field(description="false: compared only, never added.")] = None,
    measured_at: When = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.SourceRecorded]:
    """Record what a source says the cycle has cost so far (cumulative, not an increment)."""
    return _order(
        ctx,
        lambda: c.RecordSource(
            cycle_id=cycle_id,
            source=name,
            type=type,
            amount=amount_usd,
            provider=provider,
            payload=raw_payload,
            counted=counted,
            measured_at=measured_at,
        ),
        idempotency_key,
    )


def record_balance_reading(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    name: Annotated[str, Field(description="The name of the dashboard, like console.")],
    remaining_usd: Annotated[Usd, Field(description="What is left, as the dashboard shows it.")],
    of_usd: Annotated[Usd | None, Field(description="What it is left of; none: the budget.")] = None,
    provider: Provider = None,
    measured_at: When = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.SourceRecorded]:
    """Record the balance that a person read off a dashboard; what was spent follows from it."""
    return _order(
        ctx,
        lambda: c.RecordSource(
            cycle_id=cycle_id,
            source=name,
            type="manual",
            balance=remaining_usd,
            credit=of_usd,
            provider=provider,
            measured_at=measured_at,
        ),
        idempotency_key,
    )


class Yes(BaseModel):
    """The answer of a person."""

    confirm: bool = Field(description="Apply this plug?")


def _plug(
    cycle_id: int, amount_usd: Any, square: bool, reason: str, provider: str | None, evidence: str | None, yes: bool
) -> c.ApplyPlug:
    return c.ApplyPlug(
        cycle_id=cycle_id,
        amount_usd=amount_usd,
        square=square,
        reason=reason,
        provider=provider,
        evidence=evidence,
        yes=yes,
    )


def _person_says_yes(
    ctx: Context[Any, Any],
    cycle_id: int,
    amount_usd: Usd | None,
    square: bool,
    reason: str,
    provider: str | None,
    evidence: str | None,
) -> Yes | Elicit[Yes]:
    """Ask the person about a plug that needs a yes, if the client can; whoever cannot be asked has not said yes."""
    capable = ctx.client_capabilities
    if capable is None or capable.elicitation is None:
        return Yes(confirm=False)
    try:
        books, _ = hall_of(ctx, WRITE)
        books.rehearse(_plug(cycle_id, amount_usd, square, reason, provider, evidence, yes=False))
    except ConfirmationNeeded as needed:
        why = needed.message.partition(": confirm")[0]
        return Elicit(f"Cycle {cycle_id}: {why}. The reason given is: {reason!r}. Apply it?", Yes)
    except (MecrisError, ValueError):
        pass  # the order itself says why
    return Yes(confirm=False)


def apply_plug(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    reason: Reason,
    answered: Annotated[ElicitationResult[Yes], Resolve(_person_says_yes)],
    amount_usd: Annotated[Usd | None, Field(description="The amount, either way; or square.")] = None,
    square: Annotated[bool, Field(description="Plug exactly what is unexplained.")] = False,
    provider: Provider = None,
    evidence: Annotated[str | None, Field(description="Where this can be checked.")] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.PlugApplied]:
    """Explain spend that no meter saw. Over 5 USD, or leaving more unexplained, a person is asked for a yes."""
    if not isinstance(answered, AcceptedElicitation):
        return refused(Refused("the person did not say yes: nothing was plugged", code="declined"))
    yes = answered.data.confirm
    done = _order(
        ctx, lambda: _plug(cycle_id, amount_usd, square, reason, provider, evidence, yes=yes), idempotency_key
    )
    if done.is_error and isinstance(done.content[0], TextContent) and "[needs-yes]" in done.content[0].text:
        amount = "--square" if square else f"--amount {amount_usd}"
        return refused(
            ConfirmationNeeded(
                f"{done.content[0].text.partition(': confirm')[0]}, and no person said yes to it: a person can confirm it in a terminal: "
                f"mecris budget plug --cycle {cycle_id} {amount} --reason '...' --yes"
            )
        )
    return done


def reverse_plug(
    ctx: Context[Any, Any], cycle_id: Cycle, plug: int, reason: Reason, idempotency_key: Key = None
) -> Annotated[CallToolResult, s.Done]:
    """Undo a plug by its opposite; both stay in the log."""
    return _order(ctx, lambda: c.ReversePlug(cycle_id=cycle_id, plug=plug, reason=reason), idempotency_key)


def reconcile_budget(
    ctx: Context[Any, Any], cycle_id: Cycle, idempotency_key: Key = None
) -> Annotated[CallToolResult, s.Done]:
    """Put the comparison of meters and dashboards on record, as it stands."""
    return _order(ctx, lambda: c.Reconcile(cycle_id=cycle_id), idempotency_key)


def close_cycle(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    accept: Annotated[bool, Field(description="Close in spite of what is open; needs a reason.")] = False,
    reason: Annotated[str | None, Field(description="Why it may stay so.")] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.Done]:
    """Close a cycle and put its final figures on record; refused while something is unexplained, unless accepted."""
    return _order(ctx, lambda: c.CloseCycle(cycle_id=cycle_id, accept=accept, reason=reason), idempotency_key)


def record_groq_reading(
    ctx: Context[Any, Any],
    amount_usd: Annotated[Usd, Field(description="What Groq's counter shows.")],
    month: Annotated[str | None, Field(description="YYYY-MM; none: this month.")] = None,
    read_at: When = None,
    notes: str | None = None,
    correct: Annotated[bool, Field(description="The figure before was wrong; needs a reason.")] = False,
    reason: str | None = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.ReadingTaken]:
    """Record what Groq's month-to-date counter shows; cycles that it feeds are told in the same write."""
    return _order(
        ctx,
        lambda: c.ReadOdometer(
            provider="groq",
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
    input_includes_cache: Annotated[bool, Field(description="Input counts cached tokens too (OpenAI, Groq).")] = False,
    model: str | None = None,
    running: Annotated[bool, Field(description="It may report more.")] = False,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.DispatchesRecorded]:
    """Set what one dispatch of a run reports; the same dispatch again is a correction."""
    return _order(
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
    billed_cache_read: Annotated[int | None, Field(ge=0)] = None,
    billed_cache_write: Annotated[int | None, Field(ge=0)] = None,
    source: Annotated[str, Field(description="Who billed: manual, anthropic, openai ...")] = "manual",
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.ComparisonMade]:
    """Compare what was billed in tokens with what a run, or one dispatch of it, reported."""
    return _order(
        ctx,
        lambda: c.ReconcileTokens(
            run_id=run_id,
            billed_in=billed_in,
            billed_out=billed_out,
            billed_cache_read=billed_cache_read,
            billed_cache_write=billed_cache_write,
            dispatch_id=dispatch_id,
            source=source,
        ),
        idempotency_key,
    )


TOOLS: tuple[tuple[Callable[..., Any], ToolAnnotations], ...] = (
    (get_budget_status, ASKS),
    (get_groq_status, ASKS),
    (get_narrator_context, ASKS),
    (get_unified_cost_status, ASKS),
    (get_discrepancies, ASKS),
    (get_forecast, ASKS),
    (list_token_reconciliations, ASKS),
    (get_event_log, ASKS),
    (create_cycle, RECORDS),
    (record_source, RECORDS),
    (record_balance_reading, RECORDS),
    (apply_plug, RECORDS),
    (reverse_plug, UNDOES),
    (reconcile_budget, SETTLES),
    (close_cycle, UNDOES),
    (record_groq_reading, RECORDS),
    (record_dispatch, SETTLES),
    (reconcile_tokens, SETTLES),
)
"""Every tool: what is listed, and what can be called."""
