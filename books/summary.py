"""Summaries for agents and people in a hurry: one line to act on, the facts behind it, and what to do next.

Nothing is claimed here that was not verified: what was compared with nothing is said to be so.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ..domain.health import CRITICAL
from ..domain.money import ZERO, dollars, exactly, plain, shown

Status = dict[str, Any]


def narrative(status: Status) -> dict[str, Any]:
    """One cycle in one line, with its facts, what is urgent, and what to do next."""
    cycle, tied = status["cycle"], status["tie_out"]
    reasons = status["health"]["reasons"]
    return {
        "cycle_id": cycle["id"],
        "summary": _line(status),
        "health": status["health"]["level"],
        "urgent_items": [r["message"] for r in reasons if r["level"] == CRITICAL],
        "warnings": [r["message"] for r in reasons if r["level"] != CRITICAL] + status["warnings"],
        "recommendations": [{"why": why, "command": command} for why, command in _recommended(status)],
        "facts": {
            "state": cycle["state"],
            "days_left": cycle["days_left"],
            "budget_usd": cycle["budget_usd"],
            "spent_usd": tied["spent_usd"],
            "remaining_usd": tied["remaining_usd"],
            "unexplained_usd": tied["unexplained_usd"],
            "grade": status["grade"],
            "percent": status["percent"],
            "verified_percent": tied["verified_percent"],
            "coverage_percent": tied["coverage_percent"],
            "stale": status["stale"],
            **status["burn"],
            **{f"forecast_{name}": value for name, value in status["forecast"].items()},
            "newest": status["newest"],
        },
        "position": status["position"],
        "as_of": status["as_of"],
        "measured_by": status["measured_by"],
    }


def _line(s: Status) -> str:
    cycle, tied = s["cycle"], s["tie_out"]
    left = tied["remaining_usd"]
    head = f"cycle {cycle['id']}, {cycle['state']}: " + (
        f"{dollars(left)} of {dollars(cycle['budget_usd'])} left" if left >= 0 else f"{dollars(-left)} over budget"
    )
    parts = [head + _days(cycle), *_pace(s), _trust(s)]
    if tied["unexplained_usd"]:
        parts.append(f"{dollars(tied['unexplained_usd'])} unexplained")
    parts += [f"{name} stale ({age} days)" for name, age in _stale(s)]
    return f"{s['health']['level']}: " + "; ".join(parts)


def _days(cycle: dict[str, Any]) -> str:
    if cycle["state"] != "open":
        return ""
    left = cycle["days_left"]
    return " on the last day" if not left else f" for {left} day{'s' if left > 1 else ''} after today"


def _pace(s: Status) -> Iterable[str]:
    week, expected = s["burn"]["per_day_7d_usd"], s["forecast"]
    if week is None or s["cycle"]["state"] not in ("open", "upcoming"):
        return
    yield f"burning {_cents(week)} a day"
    if expected["runs_out_on"]:
        yield f"runs out on {expected['runs_out_on']}"
    else:
        yield f"about {_cents(expected['remaining_usd'])} left at the end"


def _cents(amount: Decimal) -> str:
    """An estimate for reading: cents, or what it takes to see anything."""
    return dollars(shown(amount, 2) or shown(amount, 6))


def _trust(s: Status) -> str:
    if s["grade"] == "UNVERIFIED":
        return "UNVERIFIED, compared with nothing"
    verified = s["tie_out"]["verified_percent"]
    much = "" if verified is None or verified >= 100 else f", {plain(shown(verified, 2))} % of it compared"
    return f"{s['grade']}, {plain(shown(s['percent'], 2))} % apart{much}"


def _stale(s: Status) -> Iterable[tuple[str, int]]:
    stale = [r for r in s["health"]["reasons"] if r["code"] == "stale"]
    for newest in s["newest"] if stale else ():
        name = f"'{newest['provider']}'" if newest["provider"] else "the unnamed provider"
        if any(r["message"].startswith(name) for r in stale):
            yield name, int(newest["age_days"])


def _recommended(s: Status) -> Iterable[tuple[str, str]]:
    """What to do next, the most useful first."""
    cycle, tied, id = s["cycle"], s["tie_out"], s["cycle"]["id"]
    if cycle["state"] == "closed":
        return
    codes = {r["code"] for r in s["health"]["reasons"]}
    if codes & {"over-budget", "nothing-left", "runs-out"}:
        yield (
            "spend less, or record a top-up if there was one",
            f"mecris budget cycle adjust --cycle {id} --amount USD --reason T",
        )
    if codes & {"unverified", "stale"}:
        yield (
            "read the dashboard and record what it says",
            f"mecris budget add-source --cycle {id} --name console --type manual --amount USD",
        )
    if tied["unexplained_usd"]:
        yield "see what differs before explaining it", f"mecris budget discrepancies --cycle {id}"
        yield "explain what no meter saw", f"mecris budget plug --cycle {id} --square --reason T"
    if s["stale"]:
        yield "put the comparison on record", f"mecris budget reconcile --cycle {id}"
    if cycle["state"] == "ended":
        yield "the last day is over: close the cycle once it is settled", f"mecris budget cycle close --cycle {id}"


@exactly
def unified(statuses: Sequence[Status], odometers: Sequence[dict[str, Any]], at: dict[str, Any]) -> dict[str, Any]:
    """All current cycles and odometers together; what is in both is added once, and where periods differ is said."""
    ids = {s["cycle"]["id"] for s in statuses}
    apart = [o for o in odometers if not ids & set(o["feeds"]) and o["amount_usd"] is not None]
    budget = sum((s["cycle"]["budget_usd"] for s in statuses), ZERO)
    spent = sum((s["tie_out"]["spent_usd"] for s in statuses), ZERO)
    counted = sum((o["amount_usd"] for o in apart), ZERO)
    return {
        "cycles": [_cycle(s) for s in statuses],
        "odometers": [_odometer(o, ids) for o in odometers],
        "summary": {
            "budget_usd": budget,
            "spent_usd": spent + counted,
            "cycles_spent_usd": spent,
            "odometers_spent_usd": counted,
            "remaining_usd": sum((s["tie_out"]["remaining_usd"] for s in statuses), ZERO),
            "unverified_usd": sum(
                (p["spent_usd"] for s in statuses for p in s["providers"] if p["grade"] == "UNVERIFIED"), ZERO
            ),
        },
        "notes": list(_notes(statuses, odometers, ids)),
        **at,
    }


def _cycle(s: Status) -> dict[str, Any]:
    cycle, tied = s["cycle"], s["tie_out"]
    return {
        "cycle_id": cycle["id"],
        "start_date": cycle["start_date"],
        "end_date": cycle["end_date"],
        "state": cycle["state"],
        "days_left": cycle["days_left"],
        "budget_usd": cycle["budget_usd"],
        "spent_usd": tied["spent_usd"],
        "remaining_usd": tied["remaining_usd"],
        "unexplained_usd": tied["unexplained_usd"],
        "grade": s["grade"],
        "percent": s["percent"],
        "health": s["health"]["level"],
        "providers": [
            {"provider": p["provider"], "spent_usd": p["spent_usd"], "grade": p["grade"]} for p in s["providers"]
        ],
    }


def _odometer(o: dict[str, Any], cycles: set[int]) -> dict[str, Any]:
    names = ("provider", "month", "amount_usd", "state", "last_read_at", "days_until_reset", "projected_usd")
    return {name: o[name] for name in names} | {
        "in_cycles": sorted(cycles & set(o["feeds"])),
        "reminders": o["reminders"],
    }


def _notes(statuses: Sequence[Status], odometers: Sequence[dict[str, Any]], ids: set[int]) -> Iterable[str]:
    if not statuses:
        yield "no cycle is current: open one with `mecris budget cycle create`"
    periods = {(s["cycle"]["start_date"], s["cycle"]["end_date"]) for s in statuses}
    if len(periods) > 1:
        spans = "; ".join(
            f"cycle {s['cycle']['id']} {s['cycle']['start_date']} to {s['cycle']['end_date']}" for s in statuses
        )
        yield f"the cycles cover different days, so their sum is of no one period: {spans}"
    yield from _twice(statuses)
    for o in odometers:
        fed = sorted(ids & set(o["feeds"]))
        if fed:
            yield f"the counter of '{o['provider']}' is in cycle {', '.join(map(str, fed))} already and is not added again"
        if o["amount_usd"] is None:
            yield f"the counter of '{o['provider']}' has no reading of {o['month']}: nothing is added for it, which is not a 0"
        for s in statuses:
            cycle = s["cycle"]
            if (cycle["start_date"], cycle["end_date"]) != (f"{o['month']}-01", o["month_ends"]):
                yield (
                    f"the counter of '{o['provider']}' is of {o['month']}, cycle {cycle['id']} of {cycle['start_date']} to "
                    f"{cycle['end_date']}: their figures are of different days"
                )


def _twice(statuses: Sequence[Status]) -> Iterable[str]:
    """Providers that several current cycles hold."""
    holders: dict[str, list[int]] = {}
    for s in statuses:
        for p in s["providers"]:
            holders.setdefault(p["provider"], []).append(s["cycle"]["id"])
    for provider, cycles in holders.items():
        if len(cycles) > 1:
            name = f"'{provider}'" if provider else "the unnamed provider"
            yield f"cycles {', '.join(map(str, cycles))} all hold {name}: if they see the same money, the sum has it twice"
