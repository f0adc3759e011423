"""Cycles, sources, plugs, and what is left: the resources below `/budget`."""

from typing import Annotated

from fastapi import Path, Query, Response

from ...domain import commands as c
from ...domain.errors import AmountRefused
from .. import shapes as s
from . import bodies as b
from .calls import Asking, AsOf, MeasuredBy, Ordering
from .resources import Router

router = Router(tags=["budget"])
Cycle = Annotated[int, Path(ge=0, le=2**63 - 1, description="The number of the cycle.")]
Number = Annotated[int, Path(ge=0, le=2**63 - 1)]
ONE = "/budget/cycle/{cycle_id}"


# -- the endpoints of the original design ------------------------------------------------------------------------


@router.order("/budget/cycle", s.CycleOpened, 201)
async def open_cycle(body: b.NewCycle, call: Ordering) -> Response:
    """Open a budgeting period."""
    return await call.order(c.OpenCycle(**body.model_dump()), 201, "/budget/cycle/{cycle_id}")


@router.ask(ONE, s.Status)
async def status(cycle_id: Cycle, call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """How much is left of a cycle, and why one should believe it."""
    return await call.ask(lambda books: books.status(cycle_id, as_of=as_of, measured_by=measured_by))


@router.order("/budget/source", s.SourceRecorded)
async def record_source(body: b.Snapshot, call: Ordering) -> Response:
    """Record what a source says the cycle has cost so far; a new source needs a name that is not taken, and a type."""
    said = body.model_dump(exclude={"name", "amount_usd", "raw_payload"})
    if body.amount_usd is not None:
        if body.currency.strip().upper() != "USD" or body.amount is not None:
            raise AmountRefused("amount_usd is in US dollars: give `amount` with another `currency`, and not both")
        said["amount"] = body.amount_usd
    return await call.order(c.RecordSource(source=body.name, payload=body.raw_payload, **said))


@router.ask("/budget/discrepancy/{cycle_id}", s.Discrepancies)
async def discrepancies(cycle_id: Cycle, call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """Every realtime source beside every manual source of its provider, graded."""
    return await call.ask(lambda books: books.discrepancies(cycle_id, as_of=as_of, measured_by=measured_by))


@router.order("/budget/reconcile", s.Queued, 202)
async def reconcile(body: b.OfCycle, call: Ordering) -> Response:
    """Put the comparison on record in the background; `/jobs/{job_id}` tells what came of it."""
    books, by = call.hall.books, call.token.name
    return await call.queued(lambda: books.jobs.reconcile(body.cycle_id, by=by, idempotency_key=call.key))


# -- cycles ------------------------------------------------------------------------------------------------------


@router.ask("/budget/cycle", list[s.ListedCycle])
async def cycles(call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """Every cycle with what is left of it."""
    return await call.ask(lambda books: books.cycles(as_of=as_of, measured_by=measured_by))


@router.ask("/budget/status", s.Status)
async def current_status(
    call: Asking,
    cycle_id: Annotated[int | None, Query(ge=0, le=2**63 - 1, description="None: the one that today falls in.")] = None,
    as_of: AsOf = None,
    measured_by: MeasuredBy = None,
) -> Response:
    """How much is left of the cycle that today falls in, or of the one that is named; none or several are refused."""
    return await call.ask(lambda books: books.status(cycle_id, as_of=as_of, measured_by=measured_by))


@router.ask(f"{ONE}/forecast", s.CycleForecast)
async def forecast(cycle_id: Cycle, call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """How fast money goes, what that comes to by the end, and how healthy the budget is."""
    return await call.ask(lambda books: books.forecast(cycle_id, as_of=as_of, measured_by=measured_by))


@router.ask(f"{ONE}/narrative", s.Narrative)
async def narrative(cycle_id: Cycle, call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """One line to act on, the facts behind it, and what to do next."""
    return await call.ask(lambda books: books.narrative(cycle_id, as_of=as_of, measured_by=measured_by))


@router.ask(f"{ONE}/chart", s.Chart)
async def chart(cycle_id: Cycle, call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """Budget, spend, plugs and forecast, day by day."""
    return await call.ask(lambda books: books.chart(cycle_id, as_of=as_of, measured_by=measured_by))


@router.ask("/budget/unified", s.Unified)
async def unified(call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """All current cycles and odometers together; where their periods differ is said."""
    return await call.ask(lambda books: books.unified(as_of=as_of, measured_by=measured_by))


@router.order(f"{ONE}/thresholds", s.Done)
async def change_thresholds(cycle_id: Cycle, body: b.NewThresholds, call: Ordering) -> Response:
    """Set the bounds of the grades."""
    return await call.order(c.ChangeThresholds(cycle_id=cycle_id, **body.model_dump()))


@router.order(f"{ONE}/close", s.Done)
async def close(cycle_id: Cycle, body: b.Closing, call: Ordering) -> Response:
    """Close a cycle; refused while something is open, unless that is accepted with a reason."""
    return await call.order(c.CloseCycle(cycle_id=cycle_id, **body.model_dump()))


@router.order(f"{ONE}/reopen", s.Done)
async def reopen(cycle_id: Cycle, body: b.Why, call: Ordering) -> Response:
    """Let a closed cycle take statements again."""
    return await call.order(c.ReopenCycle(cycle_id=cycle_id, reason=body.reason))


@router.order(f"{ONE}/roll-over", s.Done)
async def roll_over(cycle_id: Cycle, body: b.NewRollOver, call: Ordering) -> Response:
    """Take what is left of a closed cycle into this one's budget, once."""
    return await call.order(c.RollOver(cycle_id=cycle_id, **body.model_dump()))


# -- sources, plugs, adjustments ---------------------------------------------------------------------------------


@router.ask(f"{ONE}/sources", list[s.Source])
async def sources(
    cycle_id: Cycle,
    call: Asking,
    history: Annotated[bool, Query(description="Every reading, retracted ones too.")] = False,
    as_of: AsOf = None,
    measured_by: MeasuredBy = None,
) -> Response:
    """Every source with its current reading, or every reading."""
    return await call.ask(lambda books: books.sources(cycle_id, history=history, as_of=as_of, measured_by=measured_by))


@router.order(f"{ONE}/readings/{{reading}}/retraction", s.Done)
async def retract(cycle_id: Cycle, reading: Number, body: b.Why, call: Ordering) -> Response:
    """Take a wrong reading back; it stays in the log."""
    return await call.order(c.RetractReading(cycle_id=cycle_id, reading=reading, reason=body.reason))


@router.ask(f"{ONE}/plugs", list[s.Plug])
async def plugs(cycle_id: Cycle, call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """Every plug, reversed ones too."""
    return await call.ask(lambda books: books.plugs(cycle_id, as_of=as_of, measured_by=measured_by))


@router.order(f"{ONE}/plugs", s.PlugApplied)
async def plug(cycle_id: Cycle, body: b.NewPlug, call: Ordering) -> Response:
    """Explain spend that no realtime source saw."""
    return await call.order(c.ApplyPlug(cycle_id=cycle_id, **body.model_dump()))


@router.order(f"{ONE}/plugs/{{plug}}/reversal", s.Done)
async def unplug(cycle_id: Cycle, plug: Number, body: b.Why, call: Ordering) -> Response:
    """Undo a plug by its opposite."""
    return await call.order(c.ReversePlug(cycle_id=cycle_id, plug=plug, reason=body.reason))


@router.ask(f"{ONE}/adjustments", list[s.Adjustment])
async def adjustments(cycle_id: Cycle, call: Asking, as_of: AsOf = None, measured_by: MeasuredBy = None) -> Response:
    """Every adjustment of the budget."""
    return await call.ask(lambda books: books.adjustments(cycle_id, as_of=as_of, measured_by=measured_by))


@router.order(f"{ONE}/adjustments", s.Done)
async def adjust(cycle_id: Cycle, body: b.NewAdjustment, call: Ordering) -> Response:
    """Add to the budget or take from it."""
    return await call.order(c.AdjustBudget(cycle_id=cycle_id, **body.model_dump()))


# -- alerts ------------------------------------------------------------------------------------------------------


@router.ask(f"{ONE}/alerts", list[s.Alert])
async def alerts(cycle_id: Cycle, call: Asking, as_of: AsOf = None) -> Response:
    """Every alert, the newest first, with what came of telling whom."""
    return await call.ask(lambda books: books.alerts(cycle_id, as_of=as_of))


@router.order(f"{ONE}/alerts", s.AlertsLooked)
async def look(cycle_id: Cycle, body: b.Look, call: Ordering) -> Response:
    """Look at discrepancy and health, raise what is over its threshold, and tell whom the server is set to tell."""
    books, notify, by = call.hall.books, call.hall.notify, call.token.name
    return await call.once(
        200,
        ("look", cycle_id, str(body.threshold_percent), body.dry_run),
        lambda: books.alert(body.threshold_percent, cycle_id, notify=notify, dry_run=body.dry_run, recorded_by=by),
        call.hall.alerts,
    )
