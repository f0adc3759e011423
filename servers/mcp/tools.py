"""The tools of agents: each asks one question or gives one order, and answers with fields that are typed.

The text of an answer is the JSON of the hall, with every digit; its structured twin has floats, as JSON readers have.
Refusals are sentences that say what to do.
"""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from ...books import Books
from ...books.answers import to_json
from ...books.wording import for_programs
from ...domain import commands as c
from ...domain.access import READ, WRITE, Token
from ...domain.errors import AmountRefused, ConfirmationNeeded, Forbidden, MecrisError, Refused, Unauthenticated
from ...domain.money import dollars, number, usd
from .. import shapes as s
from . import answers as a


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

ASKS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
RECORDS = ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=False, open_world_hint=False)
SETTLES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
UNDOES = ToolAnnotations(read_only_hint=False, idempotent_hint=False, destructive_hint=True, open_world_hint=False)


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
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.NarratorContext]:
    """One line about a budget to act on, what is urgent, and what to do next; nothing in it is claimed unverified."""
    return _ask(ctx, lambda books: a.narrator_context(*books.narrated(cycle_id, as_of=as_of, measured_by=measured_by)))


def get_unified_cost_status(
    ctx: Context[Any, Any], as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.UnifiedCostStatus]:
    """All current budgets and counters together: claude, groq, and their sum; where periods differ is said."""
    return _ask(ctx, lambda books: a.unified_cost_status(books.unified(as_of=as_of, measured_by=measured_by)))


def list_cycles(
    ctx: Context[Any, Any], as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.Cycles]:
    """Every budgeting period with what is left of it."""
    return _ask(ctx, lambda books: {"cycles": books.cycles(as_of=as_of, measured_by=measured_by)})


def get_sources(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    history: Annotated[Flag, Field(description="Every reading, retracted ones too.")] = False,
    as_of: AsOf = None,
    measured_by: MeasuredBy = None,
) -> Annotated[CallToolResult, a.Sources]:
    """Every source of a cycle with its current reading, or every reading with its number."""
    return _ask(
        ctx,
        lambda books: {"sources": books.sources(cycle_id, history=history, as_of=as_of, measured_by=measured_by)},
    )


def get_plugs(
    ctx: Context[Any, Any], cycle_id: Cycle, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.Plugs]:
    """What was explained by people, reversed plugs too."""
    return _ask(ctx, lambda books: {"plugs": books.plugs(cycle_id, as_of=as_of, measured_by=measured_by)})


def get_odometers(
    ctx: Context[Any, Any], provider: Provider = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, s.Odometers]:
    """Every month-to-date counter, or one provider's, month by month, and what a person should do about it."""
    return _ask(ctx, lambda books: books.odometers(provider, as_of=as_of, measured_by=measured_by))


def get_run(
    ctx: Context[Any, Any],
    run_id: str,
    limit: Annotated[Limit, Field(description="Dispatches that are listed.")] = 20,
    as_of: AsOf = None,
) -> Annotated[CallToolResult, s.Run]:
    """What an agent run reported and what was billed for it, in tokens."""
    return _ask(ctx, lambda books: books.run(run_id, limit=limit, as_of=as_of))


def verify_books(ctx: Context[Any, Any]) -> Annotated[CallToolResult, s.Verdict]:
    """Recompute the chain of the whole log: has anything been changed, removed or inserted?"""
    return _ask(ctx, lambda books: a.verdict(books.verify()))


def get_discrepancies(
    ctx: Context[Any, Any], cycle_id: Cycle, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, s.Discrepancies]:
    """Every meter beside every dashboard reading of its provider, graded, with a sentence of analysis."""
    return _ask(ctx, lambda books: books.discrepancies(cycle_id, as_of=as_of, measured_by=measured_by))


def get_forecast(
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, s.CycleForecast]:
    """How fast money goes, what that comes to by the end, the day the budget runs out, and health."""
    return _ask(ctx, lambda books: books.forecast(cycle_id, as_of=as_of, measured_by=measured_by))


def list_token_reconciliations(
    ctx: Context[Any, Any],
    run_id: str,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> Annotated[CallToolResult, a.TokenReconciliations]:
    """What was billed for a run beside what its dispatches reported, the newest comparison first."""
    return _ask(ctx, lambda books: {"reconciliations": books.reconciliations(run_id, limit=limit, as_of=as_of)})


def get_event_log(
    ctx: Context[Any, Any],
    cycle_id: Annotated[
        int | None, Field(strict=True, ge=0, le=MOST, description="Only of this cycle; none: the whole log.")
    ] = None,
    since: Annotated[int, Field(strict=True, ge=0, le=2**62, description="Only what comes after this position.")] = 0,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> Annotated[CallToolResult, a.EventLog]:
    """What happened, event by event, in the order in which it was recorded."""
    return _ask(ctx, lambda books: {"events": books.events(cycle_id, since=since, limit=limit, as_of=as_of)})


# -- orders --------------------------------------------------------------------------------------------------------


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
    return _order(
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
    return _order(
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
        return _order(ctx, lambda: _plug(*said), idempotency_key)
    confirmed = _plug(*said, yes=True, expected_usd=looked.amount, expected_left_usd=looked.left)
    return _order(ctx, lambda: confirmed, idempotency_key)  # the yes is for these figures alone


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


def retract_reading(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    reading: Annotated[Id, Field(description="Its number, as record_source and get_sources give it.")],
    reason: Reason,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.Done]:
    """Take a wrong reading back; it stays in the log."""
    return _order(ctx, lambda: c.RetractReading(cycle_id=cycle_id, reading=reading, reason=reason), idempotency_key)


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
    return _order(
        ctx,
        lambda: c.AdjustBudget(cycle_id=cycle_id, amount_usd=amount_usd, reason=reason, at=at, provider=provider),
        idempotency_key,
    )


def reverse_plug(
    ctx: Context[Any, Any], cycle_id: Cycle, plug: Id, reason: Reason, idempotency_key: Key = None
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
    accept: Annotated[Flag, Field(description="Close in spite of what is open; needs a reason.")] = False,
    reason: Annotated[str | None, Field(description="Why it may stay so.")] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, s.Done]:
    """Close a cycle and put its final figures on record; refused while something is unexplained, unless accepted."""
    return _order(ctx, lambda: c.CloseCycle(cycle_id=cycle_id, accept=accept, reason=reason), idempotency_key)


def reopen_cycle(
    ctx: Context[Any, Any], cycle_id: Cycle, reason: Reason, idempotency_key: Key = None
) -> Annotated[CallToolResult, s.Done]:
    """Let a closed cycle take statements again; that it was closed, and why it was reopened, stays in the log."""
    return _order(ctx, lambda: c.ReopenCycle(cycle_id=cycle_id, reason=reason), idempotency_key)


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
    return _order(
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
    billed_cache_read: Tokens | None = None,
    billed_cache_write: Tokens | None = None,
    input_includes_cache: IncludesCache = False,
    source: Annotated[str, Field(description="Who billed: manual, anthropic, openai ...")] = "manual",
    tolerance_tokens: Tokens = 0,
    tolerance_percent: Annotated[Number, Field(description="In percent of what was billed.")] = Decimal(0),
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
            input_includes_cache=input_includes_cache,
            dispatch_id=dispatch_id,
            source=source,
            tolerance_tokens=tolerance_tokens,
            tolerance_percent=tolerance_percent,
        ),
        idempotency_key,
    )


TOOLS: tuple[tuple[Callable[..., Any], ToolAnnotations], ...] = (
    (get_budget_status, ASKS),
    (get_groq_status, ASKS),
    (get_narrator_context, ASKS),
    (get_unified_cost_status, ASKS),
    (get_discrepancies, ASKS),
    (list_cycles, ASKS),
    (get_sources, ASKS),
    (get_plugs, ASKS),
    (get_odometers, ASKS),
    (get_run, ASKS),
    (verify_books, ASKS),
    (get_forecast, ASKS),
    (list_token_reconciliations, ASKS),
    (get_event_log, ASKS),
    (create_cycle, RECORDS),
    (record_source, RECORDS),
    (record_balance_reading, RECORDS),
    (apply_plug, RECORDS),
    (reverse_plug, UNDOES),
    (retract_reading, UNDOES),
    (adjust_budget, RECORDS),
    (reopen_cycle, UNDOES),
    (reconcile_budget, SETTLES),
    (close_cycle, UNDOES),
    (record_groq_reading, RECORDS),
    (record_odometer_reading, RECORDS),
    (record_dispatch, SETTLES),
    (reconcile_tokens, SETTLES),
)
"""Every tool: what is listed, and what can be called."""
