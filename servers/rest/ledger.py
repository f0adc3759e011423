"""Runs and counters: the resources below `/cost` and `/odometer`."""

from typing import Annotated

from fastapi import Query, Response

from ...domain import commands as c
from .. import shapes as s
from . import bodies as b
from .calls import Asking, AsOf, Limit, MeasuredBy, Ordering
from .resources import Router
from .texts import Name

cost = Router(tags=["cost"])
odometer = Router(tags=["odometer"])
RunId = Annotated[Name, Query(description="The name of the run.")]


@cost.order("/cost/dispatches", s.DispatchesRecorded)
async def record_dispatches(body: b.NewDispatches, call: Ordering) -> Response:
    """Set what dispatches of a run report; the same dispatch again is a correction."""
    dispatches = tuple(c.Dispatch(**d.model_dump()) for d in body.dispatches)
    return await call.order(c.RecordDispatches(run_id=body.run_id, dispatches=dispatches))


@cost.ask("/cost/runs", list[s.RunListed])
async def runs(call: Asking, limit: Limit = 100, as_of: AsOf = None) -> Response:
    """Runs, the newest first."""
    return await call.ask(lambda books: books.runs(limit=limit, as_of=as_of))


@cost.ask("/cost/run", s.Run)
async def run(run_id: RunId, call: Asking, limit: Limit = 20, as_of: AsOf = None) -> Response:
    """What a run reported, what was billed for it, and the first of its dispatches."""
    return await call.ask(lambda books: books.run(run_id, limit=limit, as_of=as_of))


@cost.order("/cost/reconciliations", s.ComparisonMade)
async def reconcile_tokens(body: b.NewBill, call: Ordering) -> Response:
    """Compare what was billed with what a run, or one dispatch of it, reported."""
    return await call.order(c.ReconcileTokens(**body.model_dump()))


@cost.ask("/cost/reconciliations", list[s.ComparisonListed])
async def reconciliations(run_id: RunId, call: Asking, limit: Limit = 100, as_of: AsOf = None) -> Response:
    """What was compared, the newest first."""
    return await call.ask(lambda books: books.reconciliations(run_id, limit=limit, as_of=as_of))


@odometer.ask("/odometer", s.Odometers)
async def odometers(
    call: Asking,
    provider: Annotated[Name | None, Query(description="Only this one.")] = None,
    as_of: AsOf = None,
    measured_by: MeasuredBy = None,
) -> Response:
    """Every counter, or one provider's, month by month, and what is to be done."""
    return await call.ask(lambda books: books.odometers(provider, as_of=as_of, measured_by=measured_by))


@odometer.order("/odometer/readings", s.ReadingTaken)
async def read_odometer(body: b.NewCounterReading, call: Ordering) -> Response:
    """Record what a counter shows, or correct it with a reason."""
    return await call.order(c.ReadOdometer(**body.model_dump()))


@odometer.order("/odometer/finalize", s.Done)
async def finalize(body: b.OfMonth, call: Ordering) -> Response:
    """Say that a month is over and its figure will not change."""
    return await call.order(c.FinalizeMonth(**body.model_dump()))


@odometer.order("/odometer/reopen", s.Done)
async def reopen(body: b.MonthReopened, call: Ordering) -> Response:
    """Let a final month take readings again."""
    return await call.order(c.ReopenMonth(**body.model_dump()))


@odometer.order("/odometer/feed", s.Done)
async def feed(body: b.Feeding, call: Ordering) -> Response:
    """Give a cycle a reading with each reading of the counter."""
    return await call.order(c.FeedCycle(**body.model_dump()))


@odometer.order("/odometer/feed/end", s.Done)
async def stop_feeding(body: b.FeedingEnded, call: Ordering) -> Response:
    """Give a cycle no more of them."""
    return await call.order(c.StopFeeding(**body.model_dump()))
