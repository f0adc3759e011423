"""What agents are answered: the names that the original tools had, beside what the books say under their own."""

from typing import Any

from .. import shapes as s


class BudgetStatus(s.Shape):
    """How much is left. `status` is the answer of every door."""

    total_budget: s.Usd
    remaining_budget: s.Usd
    used_budget: s.Usd
    days_remaining: int
    today_spend: s.Usd | None
    daily_burn_rate: s.Usd | None
    projected_spend: s.Usd | None
    period_end: s.Day
    alerts: list[str]
    budget_health: str
    status: s.Status


def budget_status(status: dict[str, Any]) -> dict[str, Any]:
    """A status under the names that the original tool had."""
    cycle, tied, health = status["cycle"], status["tie_out"], status["health"]
    return {
        "total_budget": cycle["budget_usd"],
        "remaining_budget": tied["remaining_usd"],
        "used_budget": tied["spent_usd"],
        "days_remaining": cycle["days_left"],
        "today_spend": status["burn"]["today_usd"],
        "daily_burn_rate": status["burn"]["per_day_7d_usd"],
        "projected_spend": status["forecast"]["spent_usd"],
        "period_end": cycle["end_date"],
        "alerts": [f"{r['level']}: {r['message']}" for r in health["reasons"]] + status["warnings"],
        "budget_health": health["level"],
        "status": status,
    }


class GroqStatus(s.Shape):
    """What Groq's counter shows; nulls where it was never read."""

    known: bool
    month: str | None
    amount_usd: s.Usd | None
    state: str
    days_until_reset: int | None
    months: list[s.Month]
    reminders: list[s.Reminder]
    position: int
    as_of: str | None


def groq_status(odometers: dict[str, Any]) -> dict[str, Any]:
    """The counter of groq; a counter that was never read is said to be unknown, and is not 0."""
    found = next((o for o in odometers["odometers"] if o["provider"] == "groq"), None)
    names = ("month", "amount_usd", "state", "days_until_reset", "months", "reminders")
    told: dict[str, Any] = {name: found[name] for name in names} if found else dict.fromkeys(names)
    if not found:
        told |= {"state": "no_data", "months": [], "reminders": []}
    return {"known": found is not None, **told, "position": odometers["position"], "as_of": odometers["as_of"]}


class NarratorContext(s.Shape):
    """One line to act on, and what is behind it."""

    summary: str
    urgent_items: list[str]
    budget_status: BudgetStatus
    recommendations: list[str]
    warnings: list[str]


def narrator_context(told: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    """The narrative of a cycle, with the status it tells of."""
    return {
        "summary": told["summary"],
        "urgent_items": told["urgent_items"],
        "budget_status": budget_status(status),
        "recommendations": [f"{r['why']}: {r['command']}" for r in told["recommendations"]],
        "warnings": [*told["warnings"], *told["notes"]],
    }


class UnifiedCostStatus(s.Shape):
    """All current budgets and counters: what is claude's, what is groq's, and the sum."""

    claude: dict[str, Any]
    groq: dict[str, Any]
    summary: dict[str, Any]
    cycles: list[dict[str, Any]]
    odometers: list[dict[str, Any]]
    notes: list[str]


def unified_cost_status(unified: dict[str, Any]) -> dict[str, Any]:
    """The unified answer, with what two providers were asked for by name; each part says in which cycles it is."""
    return {"claude": _of("claude", unified), "groq": _of("groq", unified), **unified}


def _of(provider: str, unified: dict[str, Any]) -> dict[str, Any]:
    cycles = [
        {"cycle_id": cycle["cycle_id"], **p}
        for cycle in unified["cycles"]
        for p in cycle["providers"]
        if p["provider"] == provider or p["provider"].startswith(f"{provider}:")
    ]
    counters = [o for o in unified["odometers"] if o["provider"] == provider]
    return {"in_cycles": cycles, "odometer": counters[0] if counters else None}


class TokenReconciliations(s.Shape):
    """Comparisons on record, the newest first."""

    reconciliations: list[s.ComparisonListed]


class Cycles(s.Shape):
    """Every cycle."""

    cycles: list[s.ListedCycle]


class Sources(s.Shape):
    """Sources with a reading each, or every reading."""

    sources: list[s.Source]


class Plugs(s.Shape):
    """Every plug of a cycle."""

    plugs: list[s.Plug]


def verdict(found: Any) -> dict[str, Any]:
    """What recomputing the chain found."""
    return {"events": found.events, "head": found.head, "faults": [fault._asdict() for fault in found.faults]}


class EventLog(s.Shape):
    """Events in order."""

    events: list[s.Event]
