"""Health, burn, forecast and summaries as a person likes to read them."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import click

from .show import asked, days, grade, money, near, share, table, when

COLOURS = {"GOOD": "green", "WARNING": "yellow", "CRITICAL": "red"}


def level(name: str) -> str:
    """A level of health in its colour."""
    return click.style(name, fg=COLOURS[name], bold=True)


def outlook(s: dict[str, Any]) -> Iterable[str]:
    """The lines that a status shows below its grade."""
    reasons = [f"{level(reason['level'])}: {reason['message']}" for reason in s["health"]["reasons"]]
    for label, reason in zip_longest(["health"], reasons or [level(s["health"]["level"])], fillvalue=""):
        yield f"  {label:<11}{reason}"
    if s["burn"]["per_day_7d_usd"] is not None:
        yield f"  burn       {_burn(s['burn'], s['cycle']['state'])}"
        yield f"  forecast   {_expected(s)}"


def _burn(burn: dict[str, Any], state: str) -> str:
    week, cycle = near(burn["per_day_7d_usd"]), near(burn["per_day_cycle_usd"])
    paces = f"{week} a day" if week == cycle else f"{week} a day over 7 days, {cycle} over the cycle"
    if state != "open":
        return paces
    today = burn["today_usd"]
    return f"{paces}, " + ("nothing measured today" if today is None else f"{near(today)} today")


def _expected(s: dict[str, Any]) -> str:
    expected, over = s["forecast"], s["cycle"]["state"] in ("ended", "closed")
    low, likely, high = (near(expected[f"spent{which}_usd"]) for which in ("_low", "", "_high"))
    between = "" if low == high else f" ({low} to {high})"
    left = expected["remaining_usd"]
    rest = f"{near(left)} left" if left >= 0 else f"{near(-left)} over budget"
    runs = "ran" if over or left_of(s) <= 0 else "runs"
    out = f", {runs} out on {expected['runs_out_on']}" if expected["runs_out_on"] else ""
    told = TOLD.get(s["cycle"]["state"], "spent by the end")
    return f"{likely}{between} {told}, {rest}{out}"


TOLD = {"ended": "expected by its end", "closed": "spent when it was closed"}
"""What a forecast tells of a cycle that is over."""


def left_of(s: dict[str, Any]) -> Decimal:
    """What is left, of a status or of a forecast."""
    left: Decimal = s["tie_out"]["remaining_usd"] if "tie_out" in s else s["remaining_usd"]
    return left


def forecast(s: dict[str, Any]) -> str:
    """Burn and forecast of a cycle."""
    cycle = s["cycle"]
    title = click.style(f"Cycle {cycle['id']}  {cycle['start_date']} to {cycle['end_date']}  {days(cycle)}", bold=True)
    left = f"  {money(s['remaining_usd'])} left of {money(cycle['budget_usd'])}"
    lines = [title, "", left, *outlook(s)]
    if s["newest"]:
        rows = [
            (f"  {n['provider'] or '(unnamed)'}", when(n["measured_at"]), share_of_days(n["age_days"]))
            for n in s["newest"]
        ]
        lines += ["", table(("  provider", "newest reading", "age"), rows)]
    else:
        lines.append("  nothing was measured yet, so nothing can be expected")
    return "\n".join([*lines, *asked(s)])


def share_of_days(age: Any) -> str:
    """An age in days, for reading."""
    return f"{near(age)} days"


def narrative(answer: dict[str, Any]) -> str:
    """One line, then what to do."""
    lines = [answer["summary"]]
    lines += [f"- {item['why']}: {item['command']}" for item in answer["recommendations"]]
    lines += [f"note: {note}" for note in answer["notes"]]
    return "\n".join([*lines, *asked(answer)])


def unified(answer: dict[str, Any]) -> str:
    """Cycles, odometers, and their sum."""
    parts = []
    if answer["cycles"]:
        rows = [
            (
                f"cycle {c['cycle_id']}",
                f"{c['start_date']} to {c['end_date']}",
                money(c["spent_usd"]),
                money(c["remaining_usd"]),
                f"{grade(c['grade'])}" + (f" ({share(c['percent'])} apart)" if c["percent"] is not None else ""),
                level(c["health"]),
            )
            for c in answer["cycles"]
        ]
        parts.append(table(("", "days", "spent", "remaining", "grade", "health"), rows, "llrrll"))
    if answer["odometers"]:
        counters = [
            (
                o["provider"],
                o["month"],
                money(o["amount_usd"]),
                o["state"].replace("_", " "),
                f"in cycle {', '.join(map(str, o['in_cycles']))}" if o["in_cycles"] else "",
            )
            for o in answer["odometers"]
        ]
        parts.append(table(("counter", "month", "usd", "state", ""), counters, "llrll"))
    if not answer["cycles"] and not answer["odometers"]:
        return "nothing to sum up: no cycle is current, and there is no odometer"
    total = answer["summary"]
    unverified = f", {money(total['unverified_usd'])} of it compared with nothing" if total["unverified_usd"] else ""
    left = (
        f"; {money(total['remaining_usd'])} left of the cycles' {money(total['budget_usd'])}"
        if answer["cycles"]
        else ""
    )
    parts.append(f"{money(total['spent_usd'])} spent in all{unverified}{left}")
    return "\n".join(["\n\n".join(parts), *asked(answer)])
