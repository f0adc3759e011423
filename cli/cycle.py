"""`mecris budget cycle`: the periods themselves."""

from typing import Any

import click

from ..books.answers import Answer
from . import show, show_odometer
from .common import CYCLE, JSON, KEY, REASON, USD, and_now, asked_at, books, order, warn, write_json


@click.group()
def cycle() -> None:
    """Budgeting periods: open, list, top up, close, roll over."""


@cycle.command("create")
@click.option("--start", required=True, metavar="D", help="The first day, like 2025-09-01.")
@click.option("--end", required=True, metavar="D", help="The last day.")
@click.option("--target", type=USD, required=True, metavar="USD", help="What may be spent.")
@click.option("--notes", metavar="T", help="What it is for.")
@click.option("--timezone", default="UTC", metavar="TZ", show_default=True, help="Where its days begin and end.")
@click.option("--roll-over-from", type=int, metavar="ID", help="A closed cycle; what is left of it comes on top.")
@KEY
@JSON
def create(
    start: str,
    end: str,
    target: Any,
    notes: str | None,
    timezone: str,
    roll_over_from: int | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Open a cycle."""
    from ..domain.commands import OpenCycle

    opened, answer = order(
        OpenCycle(
            start_date=start,
            end_date=end,
            target_usd=target,
            notes=notes,
            timezone=timezone,
            roll_over_from=roll_over_from,
        ),
        key,
    )
    if as_json:
        return write_json(answer)
    click.echo(
        f"cycle {answer['cycle_id']} is open: {show.money(opened.status(answer['cycle_id'])['cycle']['budget_usd'])} from {start} to {end}"
        + (f", with the {show.money(answer['amount_usd'])} left of cycle {roll_over_from}" if roll_over_from else "")
    )
    _tell_imported(answer)
    warn(answer.get("warnings", ()))


def _tell_imported(answer: Answer) -> None:
    """Say what a cycle was told when it was opened, of files that had been waiting for it."""
    if imported := answer.get("imported_readings"):
        click.echo(f"  of files that were imported before: {imported:,} {'reading' if imported == 1 else 'readings'}")


@cycle.command("list")
@asked_at
@JSON
def list_(as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """Every cycle, and what is left of it."""
    rows = books().cycles(as_of=as_of, measured_by=measured_by)
    write_json(rows) if as_json else click.echo(show.cycles(rows))


@cycle.command("adjust")
@CYCLE
@click.option("--amount", type=USD, metavar="±USD", help="Added to the budget, or taken away.")
@click.option(
    "--from-roll-over", type=int, metavar="ID", help="What is left of that closed cycle, or has changed since."
)
@click.option("--reason", metavar="T", help="Why, in a few words; needed with --amount.")
@click.option(
    "--at", metavar="WHEN", help="When it counts from: a date-time, or a day (its beginning).  [default: now]"
)
@click.option("--provider", default="", metavar="P", help="Whose credit it is.")
@KEY
@JSON
def adjust(
    cycle_id: int,
    amount: Any,
    from_roll_over: int | None,
    reason: str | None,
    at: str | None,
    provider: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Record a top-up, a credit or a correction of the budget, or what is left of a closed cycle."""
    from ..domain.commands import AdjustBudget, RollOver

    if (amount is None) == (from_roll_over is None):
        raise click.UsageError("give either --amount, or --from-roll-over and the cycle whose remainder it is")
    if amount is not None and reason is None:
        raise click.UsageError("Missing option '--reason'.")
    wanted = (
        RollOver(cycle_id=cycle_id, from_cycle=from_roll_over, reason=reason, at=at, provider=provider)
        if from_roll_over is not None
        else AdjustBudget(cycle_id=cycle_id, amount_usd=amount, reason=reason or "", at=at, provider=provider)
    )
    opened, answer = order(wanted, key)
    if as_json:
        return write_json(answer)
    if answer["adjustment"]:
        what = f"{show.money(answer['amount_usd'])} left of cycle {from_roll_over}, " if from_roll_over else ""
        click.echo(f"adjustment {answer['adjustment']}: {what}the budget is {show.money(answer['budget_usd'])} now")
    else:
        click.echo(f"nothing of cycle {from_roll_over} is left to carry over: the budget stays as it is")
    and_now(opened, cycle_id, answer.get("warnings", ()))


@cycle.command("adjustments")
@CYCLE
@asked_at
@JSON
def adjustments(cycle_id: int, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """Every adjustment of the budget: top-ups, corrections, roll-over."""
    rows = books().adjustments(cycle_id, as_of=as_of, measured_by=measured_by)
    write_json(rows) if as_json else click.echo(show.adjustments(rows))


@cycle.command("close")
@CYCLE
@click.option("--accept", is_flag=True, help="Close it in spite of what is still open; needs --reason.")
@click.option("--reason", metavar="T", help="Why it may be closed like this, in a few words.")
@KEY
@JSON
def close(cycle_id: int, accept: bool, reason: str | None, key: str | None, as_json: bool) -> None:
    """Close a settled cycle and put its final figures on record."""
    from ..domain.commands import CloseCycle

    _, answer = order(CloseCycle(cycle_id=cycle_id, accept=accept, reason=reason), key)
    if as_json:
        return write_json(answer)
    click.echo(
        f"cycle {cycle_id} is closed: {show.money(answer['spent_usd'])} spent, {show.money(answer['remaining_usd'])} left, "
        f"{show.grade(answer['grade'])}"
    )
    for accepted in answer["accepted"]:
        click.echo(f"accepted: {accepted}")
    warn(answer["warnings"])


@cycle.command("reopen")
@CYCLE
@REASON
@KEY
@JSON
def reopen(cycle_id: int, reason: str, key: str | None, as_json: bool) -> None:
    """Let a closed cycle take statements again."""
    from ..domain.commands import ReopenCycle

    opened, answer = order(ReopenCycle(cycle_id=cycle_id, reason=reason), key)
    if as_json:
        return write_json(answer)
    click.echo(f"cycle {cycle_id} is open again")
    _tell_imported(answer)
    for fed in answer["fed"]:
        click.echo(show_odometer.fed(fed))
    and_now(opened, cycle_id, answer["warnings"])


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
