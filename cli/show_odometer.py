"""Odometers as a person likes to read them."""

from typing import Any

import click

from .show import asked, money, near, table, when

COLOURS = {"high": "red", "medium": "yellow", "low": "cyan"}


def urgency(name: str) -> str:
    """How soon something should be done, in its colour."""
    return click.style(f"{name} urgency", fg=COLOURS[name])


def recorded(answer: dict[str, Any]) -> str:
    """What came of a reading."""
    month = f"{answer['provider']} {answer['month']}: {money(answer['amount_usd'])}"
    if not answer["recorded"]:
        return f"{month} is what it showed before: nothing was recorded"
    change = answer.get("change_usd")
    lines = [month if change is None else f"{month}, corrected by {'+' if change > 0 else ''}{money(change)}"]
    lines += [fed(told) for told in answer["fed"]]
    return "\n".join(lines)


def fed(told: dict[str, Any]) -> str:
    """What a cycle was told."""
    if told["reading"] is None:
        return f"cycle {told['cycle_id']} knew of {money(told['amount_usd'])} already"
    return f"cycle {told['cycle_id']}: reading {told['reading']} says {money(told['amount_usd'])}, measured at {when(told['measured_at'])}"


def finalized(answer: dict[str, Any]) -> str:
    """What came of finalizing a month."""
    told = "is final" if answer["recorded"] else "was final before: nothing was recorded"
    return f"{answer['provider']} {answer['month']} {told} at {money(answer['amount_usd'])}"


def feeding(answer: dict[str, Any], stopped: bool) -> str:
    """What came of feeding a cycle, or of ending that."""
    if stopped:
        return f"cycle {answer['cycle_id']} gets no more readings of the counter of {answer['provider']}"
    told = "gets" if answer["recorded"] else "got before already"
    line = f"cycle {answer['cycle_id']} {told} a reading of '{answer['source']}' with each reading of the counter"
    return "\n".join([line, *(fed(told) for told in answer.get("fed", ()))])


def status(answer: dict[str, Any]) -> str:
    """Every odometer, month by month."""
    if not answer["odometers"]:
        return "no odometer yet: `mecris odometer record --provider groq VALUE` begins one"
    return "\n".join(["\n\n".join(_odometer(o) for o in answer["odometers"]), *asked(answer)])


def _odometer(o: dict[str, Any]) -> str:
    resets = f"resets in {o['days_until_reset']} day{'' if o['days_until_reset'] == 1 else 's'}, on {o['resets_on']}"
    read = "" if o["age_days"] is None else f"last read {near(o['age_days'])} days ago, "
    title = click.style(f"{o['provider']}  {o['month']}  {money(o['amount_usd'])}", bold=True) + f"  {read}{resets}"
    lines = [title, "", table(("  month", "usd", "state", "read at"), [_month(m) for m in o["months"]], "lrll")]
    if o["daily_average_usd"] is not None and o["state"] != "final":
        lines += [
            "",
            f"  {near(o['daily_average_usd'])} a day, {near(o['projected_usd'])} expected by the end of {o['month']}",
        ]
    if o["feeds"]:
        lines.append(f"  feeds cycle {', '.join(map(str, o['feeds']))}")
    return "\n".join(lines)


def _month(month: dict[str, Any]) -> tuple[str, ...]:
    return f"  {month['month']}", money(month["amount_usd"]), month["state"].replace("_", " "), when(month["read_at"])
