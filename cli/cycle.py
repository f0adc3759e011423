"""`mecris budget cycle`: the periods themselves."""

from typing import Any

import click

from . import show
from .common import CYCLE, JSON, KEY, REASON, USD, and_now, asked_at, books, order, write_json


@click.group()
def cycle() -> None:
    """Budgeting periods: open, list, top up, set their grades."""


@cycle.command("create")
@click.option("--start", required=True, metavar="D", help="The first day, like 2025-09-01.")
@click.option("--end", required=True, metavar="D", help="The last day.")
@click.option("--target", type=USD, required=True, metavar="USD", help="What may be spent.")
@click.option("--notes", metavar="T", help="What it is for.")
@click.option("--timezone", default="UTC", metavar="TZ", show_default=True, help="Where its days begin and end.")
@KEY
@JSON
def create(start: str, end: str, target: Any, notes: str | None, timezone: str, key: str | None, as_json: bool) -> None:
    """Open a cycle."""
    from ..domain.commands import OpenCycle

    opened, answer = order(
        OpenCycle(start_date=start, end_date=end, target_usd=target, notes=notes, timezone=timezone), key
    )
    if as_json:
        return write_json(answer)
    click.echo(
        f"cycle {answer['cycle_id']} is open: {show.money(opened.status(answer['cycle_id'])['cycle']['budget_usd'])} from {start} to {end}"
    )


@cycle.command("list")
@asked_at
@JSON
def list_(as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """Every cycle, and what is left of it."""
    rows = books().cycles(as_of=as_of, measured_by=measured_by)
    write_json(rows) if as_json else click.echo(show.cycles(rows))


@cycle.command("adjust")
@CYCLE
@click.option("--amount", type=USD, required=True, metavar="±USD", help="Added to the budget, or taken away.")
@REASON
@click.option(
    "--at", metavar="WHEN", help="When it counts from: a date-time, or a day (its beginning).  [default: now]"
)
@click.option("--provider", default="", metavar="P", help="Whose credit it is.")
@KEY
@JSON
def adjust(
    cycle_id: int, amount: Any, reason: str, at: str | None, provider: str, key: str | None, as_json: bool
) -> None:
    """Record a top-up, a credit or a correction of the budget."""
    from ..domain.commands import AdjustBudget

    opened, answer = order(
        AdjustBudget(cycle_id=cycle_id, amount_usd=amount, reason=reason, at=at, provider=provider), key
    )
    if as_json:
        return write_json(answer)
    click.echo(f"adjustment {answer['adjustment']}: the budget is {show.money(answer['budget_usd'])} now")
    and_now(opened, cycle_id, answer.get("warnings", ()))


@cycle.command("thresholds")
@CYCLE
@click.option(
    "--excellent", type=USD, required=True, metavar="P", help="Percent up to which a difference is EXCELLENT."
)
@click.option("--good", type=USD, required=True, metavar="P", help="Percent up to which it is GOOD.")
@click.option("--fair", type=USD, required=True, metavar="P", help="Percent up to which it is FAIR; beyond, POOR.")
@KEY
@JSON
def thresholds(cycle_id: int, excellent: Any, good: Any, fair: Any, key: str | None, as_json: bool) -> None:
    """Set the bounds of the grades; they are inclusive and must increase."""
    from ..domain.commands import ChangeThresholds

    _, answer = order(ChangeThresholds(cycle_id=cycle_id, excellent=excellent, good=good, fair=fair), key)
    if as_json:
        return write_json(answer)
    click.echo(
        f"EXCELLENT up to {show.share(answer['excellent'])}, GOOD up to {show.share(answer['good'])}, FAIR up to {show.share(answer['fair'])}"
    )
