"""A summary for agents and people in a hurry: one line to act on, the facts behind it, and what to do next.

Nothing is claimed here that was not verified: what was compared with nothing is said to be so.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from shlex import quote
from typing import Any

from ..domain.health import CRITICAL
from ..domain.money import dollars, plain, shown

Status = dict[str, Any]


def narrative(status: Status, sources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One cycle in one line, with its facts, what is urgent, and what to do next."""
    cycle, tied = status["cycle"], status["tie_out"]
    reasons = status["health"]["reasons"]
    return {
        "cycle_id": cycle["id"],
        "summary": _line(status),
        "health": status["health"]["level"],
        "urgent_items": [r["message"] for r in reasons if r["level"] == CRITICAL],
        "warnings": [r["message"] for r in reasons if r["level"] != CRITICAL] + status["warnings"],
        "recommendations": [{"why": why, "command": command} for why, command in _recommended(status, sources)],
        "notes": status["warnings"],
        "facts": {
            "state": cycle["state"],
            "days_left": cycle["days_left"],
            "budget_usd": cycle["budget_usd"],
            "spent_usd": tied["spent_usd"],
            "remaining_usd": tied["remaining_usd"],
            "plugged_usd": tied["plugged_usd"],
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
    parts = [head + _days(cycle), *_pace(s), _trust(s), *_plugs(tied)]
    if tied["unexplained_usd"]:
        parts.append(f"{dollars(tied['unexplained_usd'])} unexplained")
    parts += [r["message"].rpartition(": ")[0] for r in s["health"]["reasons"] if r["code"] == "stale"]
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
    if expected["runs_out_on"] and s["tie_out"]["remaining_usd"] > 0:
        yield f"runs out on {expected['runs_out_on']}"
    elif expected["remaining_usd"] < 0:
        yield f"about {_cents(-expected['remaining_usd'])} over budget at the end"
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


def _plugs(tied: dict[str, Any]) -> Iterable[str]:
    """How much of the spend was explained and not seen: a plug makes the books tie, and the grade with them."""
    covered = tied["coverage_percent"]
    if tied["plugged_usd"] > 0 and covered is not None and covered < 100:
        yield f"{dollars(tied['plugged_usd'])} of the spend is a plug"


def _recommended(s: Status, sources: Sequence[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    """What to do next, the most useful first."""
    cycle, tied = s["cycle"], s["tie_out"]
    id = cycle["id"]
    if cycle["state"] == "closed":
        return
    if cycle["state"] != "ended" and {r["code"] for r in s["health"]["reasons"]} & TIGHT:
        yield (
            "spend less, or record a top-up if there was one",
            f"mecris budget cycle adjust --cycle {id} --amount USD --reason T",
        )
    yield from dict.fromkeys(_to_read(s, sources))
    for p in s["providers"]:
        yield from _to_explain(s, p)
    if s["stale"]:
        yield "put the comparison on record", f"mecris budget reconcile --cycle {id}"
    if cycle["state"] == "ended":
        settled = not tied["unexplained_usd"] and all(p["grade"] != "UNVERIFIED" for p in s["providers"])
        how = "" if settled and s["providers"] else " --accept --reason T"
        why = "close the cycle" if not how else "close the cycle once it is settled, or accept what is open"
        yield f"the last day is over: {why}", f"mecris budget cycle close --cycle {id}{how}"


TIGHT = {"over-budget", "nothing-left", "runs-out"}
"""Reasons that are mended by money."""


def _to_read(s: Status, sources: Sequence[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    """What is to be measured, so that everything is compared and nothing is stale."""
    for reason in s["health"]["reasons"]:
        if reason["code"] not in ("unverified", "stale"):
            continue
        unverified = [p["provider"] for p in s["providers"] if p["grade"] == "UNVERIFIED"] or [""]
        for provider in [reason["provider"]] if reason["provider"] is not None else unverified:
            mine = [r for r in sources if r["provider"] == provider and r["counted"]]
            looks, meters = ([r for r in mine if r["type"] == kind] for kind in ("manual", "realtime"))
            yield _reading_of(s, provider, looks, "manual", "read the dashboard and record what it says")
            if looks and (not meters or reason["code"] == "unverified"):
                yield _reading_of(s, provider, meters, "realtime", "record what a meter counts")


def _reading_of(s: Status, provider: str, known: Sequence[dict[str, Any]], kind: str, why: str) -> tuple[str, str]:
    """The command that records the next reading of a provider."""
    if not known:
        name = "console" if kind == "manual" else "meter"
        named = (
            f"{name} --type {kind}"
            if not provider
            else f"{quote(f'{provider} {name}')} --type {kind} --provider {quote(provider)}"
        )
    else:
        oldest = min(known, key=lambda r: r["measured_at"])["name"]
        if oldest == f"{provider} odometer":
            return (
                "read the counter and record what it shows",
                f"mecris odometer record --provider {quote(provider)} VALUE",
            )
        named = quote(oldest)
    return why, f"mecris budget add-source --cycle {s['cycle']['id']} --name {named} --amount USD"


def _to_explain(s: Status, p: dict[str, Any]) -> Iterable[tuple[str, str]]:
    id, unexplained = s["cycle"]["id"], p["unexplained_usd"]
    which = f" --provider {quote(p['provider'])}" if len(s["providers"]) > 1 and p["provider"] else ""
    if unexplained:
        yield "see what differs before explaining it", f"mecris budget discrepancies --cycle {id}"
    if unexplained > 0:
        yield "explain what no meter saw", f"mecris budget plug --cycle {id}{which} --square --reason T"
    elif unexplained < 0 and p["plugged_usd"] > 0:
        yield (
            "more was plugged than is missing by now: reverse a plug",
            f"mecris budget unplug --cycle {id} --plug N --reason T",
        )
