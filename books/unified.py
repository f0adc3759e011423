"""All current cycles and counters together: what they come to, with nothing counted twice, and where their periods differ."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from shlex import quote
from typing import Any, NamedTuple

from ..domain.money import ZERO, dollars, exactly


class Current(NamedTuple):
    """A current cycle: its status, its sources, and the adjustments of its budget, as they are answered."""

    status: dict[str, Any]
    sources: Sequence[dict[str, Any]]
    adjustments: Sequence[dict[str, Any]]

    @property
    def id(self) -> int:
        """Its number."""
        return int(self.status["cycle"]["id"])

    @property
    def days(self) -> tuple[str, str]:
        """Its first and its last day."""
        return self.status["cycle"]["start_date"], self.status["cycle"]["end_date"]

    def of(self, provider: str) -> dict[str, Any] | None:
        """What it holds of a provider."""
        return next((p for p in self.status["providers"] if p["provider"] == provider), None)

    def told(self, provider: str) -> Decimal | None:
        """What the counter of a provider told it last."""
        said = [s["amount_usd"] for s in self.sources if s["name"] == f"{provider} odometer" and s["counted"]]
        return said[0] if said else None

    def carried_from(self, origin: int) -> Decimal:
        """What it took over of what was left of another."""
        return sum((a["amount_usd"] for a in self.adjustments if a["rolled_over_from"] == origin), ZERO)


@exactly
def unified(cycles: Sequence[Current], odometers: Sequence[dict[str, Any]], at: dict[str, Any]) -> dict[str, Any]:
    """Sum up what is current; where periods differ is said.

    The counter of a provider whose spend a current cycle holds, fed by it or not, is not added: it sees the same money. Only
    what it counted after a cycle was told the last time is. What one cycle took over from another is counted in the one that has it.
    """
    statuses = [cycle.status for cycle in cycles]
    carried = sum((amount for _, _, amount in _carried(cycles)), ZERO)
    spent = sum((s["tie_out"]["spent_usd"] for s in statuses), ZERO)
    counted = sum((_outside(o, cycles) for o in odometers), ZERO)
    return {
        "cycles": [_cycle(s) for s in statuses],
        "odometers": [_odometer(o, {cycle.id for cycle in cycles}) for o in odometers],
        "summary": {
            "budget_usd": sum((s["cycle"]["budget_usd"] for s in statuses), ZERO) - carried,
            "spent_usd": spent + counted,
            "cycles_spent_usd": spent,
            "odometers_spent_usd": counted,
            "remaining_usd": sum((s["tie_out"]["remaining_usd"] for s in statuses), ZERO) - carried,
            "unverified_usd": sum(
                (p["spent_usd"] for s in statuses for p in s["providers"] if p["grade"] == "UNVERIFIED"), counted
            ),
        },
        "notes": list(_notes(cycles, odometers)),
        **at,
    }


def _carried(cycles: Sequence[Current]) -> Iterable[tuple[int, int, Decimal]]:
    """What went from one of the cycles to another of them: it stands in the budgets of both."""
    for heir in cycles:
        for origin in cycles:
            if amount := heir.carried_from(origin.id):
                yield origin.id, heir.id, amount


def _outside(o: dict[str, Any], cycles: Sequence[Current]) -> Decimal:
    """What a counter shows that no current cycle holds."""
    holders = [cycle for cycle in cycles if cycle.of(o["provider"])]
    if not holders:
        return o["amount_usd"] or ZERO
    return min(_untold(o, cycle) for cycle in holders)


def _untold(o: dict[str, Any], cycle: Current) -> Decimal:
    """What a counter shows beyond what a cycle holds of it: it was told that, and a meter may have counted since."""
    told, held = cycle.told(o["provider"]), cycle.of(o["provider"])
    if told is None or held is None or cycle.id not in o["feeds"]:
        return ZERO
    since: Decimal = held["spent_usd"] - (held["observed_usd"] or ZERO)
    return max(ZERO, _shown(o, cycle) - told - since)


def _shown(o: dict[str, Any], cycle: Current) -> Decimal:
    """What the months of a counter that a cycle shares come to."""
    first, last = (day[:7] for day in cycle.days)
    return sum((m["amount_usd"] or ZERO for m in o["months"] if first <= m["month"] <= last), ZERO)


def _cycle(s: dict[str, Any]) -> dict[str, Any]:
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


def _notes(cycles: Sequence[Current], odometers: Sequence[dict[str, Any]]) -> Iterable[str]:
    if not cycles:
        yield "no cycle is current: open one with `mecris budget cycle create`"
    if len({cycle.days for cycle in cycles}) > 1:
        spans = "; ".join(f"cycle {cycle.id} {' to '.join(cycle.days)}" for cycle in cycles)
        yield f"the cycles cover different days, so their sum is of no one period: {spans}"
    for origin, heir, amount in _carried(cycles):
        yield f"{dollars(amount)} of cycle {origin} were carried over to cycle {heir}: the sum has them once"
    yield from _twice(cycles)
    for o in odometers:
        yield from _of_counter(o, cycles)


def _of_counter(o: dict[str, Any], cycles: Sequence[Current]) -> Iterable[str]:
    for cycle in cycles:
        yield from _held_by(o, cycle, _outside(o, cycles))
    if o["amount_usd"] is None:
        yield f"the counter of '{o['provider']}' has no reading of {o['month']}: nothing is added for it, which is not a 0"
    for cycle in cycles:
        if cycle.days != (f"{o['month']}-01", o["month_ends"]):
            yield (
                f"the counter of '{o['provider']}' is of {o['month']}, cycle {cycle.id} of {' to '.join(cycle.days)}: "
                "their figures are of different days"
            )


def _held_by(o: dict[str, Any], cycle: Current, outside: Decimal) -> Iterable[str]:
    """Does a cycle hold what a counter sees, or should it and does not?"""
    counter, fed, told = f"the counter of '{o['provider']}'", cycle.id in o["feeds"], cycle.told(o["provider"])
    if not cycle.of(o["provider"]):
        if fed and o["amount_usd"] is not None:
            yield f"cycle {cycle.id} is fed by {counter} but was not told of it: see mecris odometer status"
    elif fed and told is not None and _untold(o, cycle):
        yield (
            f"cycle {cycle.id} was told {dollars(told)} by {counter}, which shows {dollars(_shown(o, cycle))} by now: "
            + (f"{dollars(outside)} are outside the cycles and added" if outside else "another cycle holds the rest")
        )
    elif fed and told is not None:
        yield f"{counter} is in cycle {cycle.id} already and is not added again"
    elif fed:
        yield f"cycle {cycle.id} holds '{o['provider']}' by other sources and was not told of its counter, which is not added"
    else:
        yield (
            f"cycle {cycle.id} holds '{o['provider']}' by other sources, so its counter is not added again: "
            f"`mecris odometer feed --provider {quote(o['provider'])} --cycle {cycle.id}` lets them be compared"
        )


def _twice(cycles: Sequence[Current]) -> Iterable[str]:
    """Providers that several current cycles hold."""
    holders: dict[str, list[int]] = {}
    for cycle in cycles:
        for p in cycle.status["providers"]:
            holders.setdefault(p["provider"], []).append(cycle.id)
    for provider, numbers in holders.items():
        if len(numbers) > 1:
            name = f"'{provider}'" if provider else "the unnamed provider"
            yield f"cycles {', '.join(map(str, numbers))} all hold {name}: if they see the same money, the sum has it twice"
