"""The tools that ask: they record nothing."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field

from .. import shapes as s
from . import answers as a
from .calling import MOST, AsOf, Cycle, Flag, Limit, MeasuredBy, OneCycle, Provider, ask


def get_budget_status(
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.BudgetStatus]:
    """How much is left of a budget, and why to believe it: tie-out, grade, pace, health and what to look at."""
    return ask(ctx, lambda books: a.budget_status(books.status(cycle_id, as_of=as_of, measured_by=measured_by)))


def get_groq_status(
    ctx: Context[Any, Any], as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.GroqStatus]:
    """What Groq's month-to-date counter shows, month by month, and what a person should do about it."""
    return ask(ctx, lambda books: a.groq_status(books.odometers(as_of=as_of, measured_by=measured_by)))


def get_narrator_context(
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.NarratorContext]:
    """One line about a budget to act on, what is urgent, and what to do next; nothing in it is claimed unverified."""
    return ask(ctx, lambda books: a.narrator_context(*books.narrated(cycle_id, as_of=as_of, measured_by=measured_by)))


def get_unified_cost_status(
    ctx: Context[Any, Any], as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.UnifiedCostStatus]:
    """All current budgets and counters together: claude, groq, and their sum; where periods differ is said."""
    return ask(ctx, lambda books: a.unified_cost_status(books.unified(as_of=as_of, measured_by=measured_by)))


def list_cycles(
    ctx: Context[Any, Any], as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.Cycles]:
    """Every budgeting period with what is left of it."""
    return ask(ctx, lambda books: {"cycles": books.cycles(as_of=as_of, measured_by=measured_by)})


def get_sources(
    ctx: Context[Any, Any],
    cycle_id: Cycle,
    history: Annotated[Flag, Field(description="Every reading, retracted ones too.")] = False,
    as_of: AsOf = None,
    measured_by: MeasuredBy = None,
) -> Annotated[CallToolResult, a.Sources]:
    """Every source of a cycle with its current reading, or every reading with its number."""
    return ask(
        ctx,
        lambda books: {"sources": books.sources(cycle_id, history=history, as_of=as_of, measured_by=measured_by)},
    )


def get_plugs(
    ctx: Context[Any, Any], cycle_id: Cycle, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, a.Plugs]:
    """What was explained by people, reversed plugs too."""
    return ask(ctx, lambda books: {"plugs": books.plugs(cycle_id, as_of=as_of, measured_by=measured_by)})


def get_odometers(
    ctx: Context[Any, Any], provider: Provider = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, s.Odometers]:
    """Every month-to-date counter, or one provider's, month by month, and what a person should do about it."""
    return ask(ctx, lambda books: books.odometers(provider, as_of=as_of, measured_by=measured_by))


def get_run(
    ctx: Context[Any, Any],
    run_id: str,
    limit: Annotated[Limit, Field(description="Dispatches that are listed.")] = 20,
    as_of: AsOf = None,
) -> Annotated[CallToolResult, s.Run]:
    """What an agent run reported and what was billed for it, in tokens."""
    return ask(ctx, lambda books: books.run(run_id, limit=limit, as_of=as_of))


def verify_books(ctx: Context[Any, Any]) -> Annotated[CallToolResult, s.Verdict]:
    """Recompute the chain of the whole log: has anything been changed, removed or inserted?"""
    return ask(ctx, lambda books: a.verdict(books.verify()))


def get_discrepancies(
    ctx: Context[Any, Any], cycle_id: Cycle, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, s.Discrepancies]:
    """Every meter beside every dashboard reading of its provider, graded, with a sentence of analysis."""
    return ask(ctx, lambda books: books.discrepancies(cycle_id, as_of=as_of, measured_by=measured_by))


def get_forecast(
    ctx: Context[Any, Any], cycle_id: OneCycle = None, as_of: AsOf = None, measured_by: MeasuredBy = None
) -> Annotated[CallToolResult, s.CycleForecast]:
    """How fast money goes, what that comes to by the end, the day the budget runs out, and health."""
    return ask(ctx, lambda books: books.forecast(cycle_id, as_of=as_of, measured_by=measured_by))


def list_token_reconciliations(
    ctx: Context[Any, Any],
    run_id: str,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> Annotated[CallToolResult, a.TokenReconciliations]:
    """What was billed for a run beside what its dispatches reported, the newest comparison first."""
    return ask(ctx, lambda books: {"reconciliations": books.reconciliations(run_id, limit=limit, as_of=as_of)})


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
    return ask(ctx, lambda books: {"events": books.events(cycle_id, since=since, limit=limit, as_of=as_of)})
