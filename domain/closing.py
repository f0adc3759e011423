"""Closing a cycle, and carrying what is left of it into another."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from . import commands as c
from . import events as e
from .aggregate import Answer, Stamp
from .errors import RuleRefused, TimeRefused
from .findings import Standing, is_stale
from .grading import UNVERIFIED
from .history import Past
from .money import dollars, exactly
from .period import time_text
from .records import record_of
from .state import CycleState
from .text import name_of, reason_of
from .tie_out import TieOut

if TYPE_CHECKING:
    from .cycle import BudgetCycle


def close(cycle: "BudgetCycle", order: c.CloseCycle, stamp: Stamp, past: Past) -> Answer:
    """Close a cycle that is settled, or that somebody accepts as it is."""
    reason = None if order.reason is None else reason_of(order.reason, "the reason")
    figures = cycle.figures(past)
    against = list(objections(figures, cycle.state))
    if against and not order.accept:
        raise RuleRefused(
            f"cycle {cycle.state.cycle} cannot be closed yet: {'; '.join(against)}; settle that first, or say with --accept "
            "and a --reason why it may stay so",
            code="not-settled",
        )
    if against and reason is None:
        raise RuleRefused("--accept needs a --reason: say why the cycle may be closed like this", code="no-reason")
    cycle.put_on_record(stamp, past)
    record = record_of(figures)
    cycle.record(stamp, e.CycleClosed, record=record, accepted=tuple(against), reason=reason)
    return {
        "remaining_usd": figures.remaining,
        "spent_usd": figures.spent,
        "unexplained_usd": figures.unexplained,
        "grade": figures.compared.grade,
        "accepted": against,
        "warnings": list(_still_to_come(cycle.state, stamp)),
    }


def reopen(cycle: "BudgetCycle", order: c.ReopenCycle, stamp: Stamp, past: Past) -> Answer:
    """Let a closed cycle take statements again."""
    reason = reason_of(order.reason, "the reason")
    if cycle.state.closed is None:
        raise RuleRefused(f"cycle {cycle.state.cycle} is not closed: nothing has to be reopened", code="not-closed")
    cycle.record(stamp, e.CycleReopened, reason=reason)
    heir = cycle.state.heir
    then = f"; what cycle {heir} got of it follows once it is closed again" if heir else ""
    return {"heir": heir, "warnings": [f"cycle {cycle.state.cycle} takes statements again{then}"] if heir else []}


@exactly
def carry(cycle: "BudgetCycle", to: "BudgetCycle", stamp: Stamp) -> Decimal:
    """Give what is left of this closed cycle to another, once; returns how much that is now."""
    mine, theirs = cycle.state.cycle, to.state.cycle
    if mine == theirs:
        raise RuleRefused(f"cycle {mine} cannot be rolled over into itself: name the cycle before it", code="roll-over")
    if cycle.state.closed is None:
        raise RuleRefused(
            f"cycle {mine} is not closed, so what is left of it may still change: close it first "
            f"(mecris budget cycle close --cycle {mine})",
            code="not-closed",
        )
    if cycle.state.heir not in (None, theirs):
        raise RuleRefused(
            f"what was left of cycle {mine} went to cycle {cycle.state.heir} already: it cannot go to cycle {theirs} too",
            code="rolled-over",
        )
    if (cycle.state.period.first_day, mine) > (to.state.period.first_day, theirs):
        raise RuleRefused(
            f"cycle {mine} begins after cycle {theirs}: what is left goes to a later cycle", code="roll-over"
        )
    amount = cycle.state.closed.remaining - cycle.state.carried
    if amount or cycle.state.heir is None:
        remaining = cycle.state.closed.remaining
        cycle.record(stamp, e.RemainderCarried, to_cycle=theirs, amount_usd=amount, remaining_usd=remaining)
    return amount


@exactly
def take_over(
    cycle: "BudgetCycle",
    amount: Decimal,
    origin: int,
    order: c.RollOver | c.OpenCycle,
    stamp: Stamp,
    past: Past | None,
) -> Answer:
    """Take what is left of a closed cycle into the budget; without a past this cycle is being opened."""
    cycle.require_open()
    answer = {"cycle_id": cycle.state.cycle, "recorded": bool(amount), "from_cycle": origin, "amount_usd": amount}
    if amount:
        at, provider, reason = _origin(cycle, origin, order, stamp)
        if past is not None:
            cycle.require_balances_below_credit(amount, at, provider, past)
        cycle.record(
            stamp,
            e.BudgetAdjusted,
            adjustment=len(cycle.state.adjustments) + 1,
            amount_usd=amount,
            at=at,
            reason=reason,
            provider=provider,
            rolled_over_from=origin,
        )
        if past is not None:
            cycle.put_on_record(stamp, past)
    return answer | {
        "adjustment": len(cycle.state.adjustments) if amount else None,
        "budget_usd": cycle.state.ledger().budget,
    }


def _origin(
    cycle: "BudgetCycle", origin: int, order: c.RollOver | c.OpenCycle, stamp: Stamp
) -> tuple[datetime, str, str]:
    """From when, for whom and why: what was left was there when this cycle began."""
    why = f"what was left of cycle {origin}"
    if isinstance(order, c.OpenCycle):
        return min(cycle.state.period.begins, stamp.now), "", why
    reason = why if order.reason is None else reason_of(order.reason, "the reason")
    at = cycle.state.period.begins if order.at is None else cycle.state.period.beginning_of(order.at)
    if order.at is not None and at > stamp.now:
        raise TimeRefused(f"the adjustment would count from {time_text(at)}, which has not come: record it then")
    return min(at, stamp.now), name_of(order.provider, "the provider"), reason


def _still_to_come(state: CycleState, stamp: Stamp) -> Iterable[str]:
    if stamp.now < state.period.ends:
        yield f"cycle {state.cycle} runs until {state.period.last_day}: what is spent until then needs it open"


def objections(figures: TieOut, state: CycleState) -> Iterable[str]:
    """What stands against closing a cycle: what is unexplained, compared with nothing, or not on record."""
    for p in figures.providers:
        name = f"of '{p.name}' " if p.name else ""
        if p.unexplained:
            yield f"{dollars(p.unexplained)} {name}are unexplained"
        if p.compared.grade == UNVERIFIED:
            yield f"what is spent {name}is UNVERIFIED: it was compared with nothing"
    if not figures.providers:
        yield "it is UNVERIFIED: no source said anything"
    on_record = None
    if state.record:
        told = state.record.providers
        on_record = {p.provider: Standing(p.observed_usd, p.plugged_usd, p.unexplained_usd, p.grade) for p in told}
    if is_stale(figures, on_record):
        yield f"the comparison is not on record (mecris budget reconcile --cycle {state.cycle})"
