"""`mecris odometer`: month-to-date counters that a person reads off."""

import re
from typing import Any

import click

from . import show_odometer
from .common import JSON, KEY, REASON, USD, asked_at, books, order, tell, warn, write_json

PROVIDER = click.option("--provider", required=True, metavar="P", help="Whose counter it is, like groq.")
MONTH = click.option("--month", required=True, metavar="YYYY-MM", help="The month.")
_NEGATIVE = re.compile(r"-\.?\d\S*")


class WithValue(click.Command):
    """A command whose argument may be a negative number, so that it is refused as one and not as an unknown option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set a negative number that is no option's value behind all options."""
        valued = {name for p in self.params if isinstance(p, click.Option) and not p.is_flag for name in p.opts}
        for i, word in enumerate(args):
            if word == "--":
                break
            if _NEGATIVE.fullmatch(word) and (i == 0 or args[i - 1] not in valued):
                return super().parse_args(ctx, [*args[:i], *args[i + 1 :], "--", word])
        return super().parse_args(ctx, args)


@click.group()
def odometer() -> None:
    """Month-to-date counters that reset on the 1st, read off by a person."""


@odometer.command("record", cls=WithValue)
@PROVIDER
@click.argument("value", type=USD, metavar="VALUE")
@click.option("--month", metavar="YYYY-MM", help="The month it shows.  [default: the month it was read in]")
@click.option(
    "--read-at", metavar="WHEN", help="When it was read, in UTC: a date-time, or a day (its end).  [default: now]"
)
@click.option("--notes", metavar="T", help="Anything worth knowing.")
@click.option("--correct", is_flag=True, help="The month's figure was wrong; needs --reason.")
@click.option("--reason", metavar="T", help="Why it was wrong, in a few words.")
@KEY
@JSON
def record(
    provider: str,
    value: Any,
    month: str | None,
    read_at: str | None,
    notes: str | None,
    correct: bool,
    reason: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Record what the counter of a month shows, in USD."""
    from ..domain.commands import ReadOdometer

    _, answer = order(
        ReadOdometer(
            provider=provider,
            amount_usd=value,
            month=month,
            read_at=read_at,
            notes=notes,
            correct=correct,
            reason=reason,
        ),
        key,
    )
    if as_json:
        return write_json(answer)
    click.echo(show_odometer.recorded(answer))
    warn(answer.get("warnings", ()))


@odometer.command("finalize")
@PROVIDER
@MONTH
@KEY
@JSON
def finalize(provider: str, month: str, key: str | None, as_json: bool) -> None:
    """Say that a month is over and its figure will not change."""
    from ..domain.commands import FinalizeMonth

    _, answer = order(FinalizeMonth(provider=provider, month=month), key)
    if as_json:
        return write_json(answer)
    click.echo(show_odometer.finalized(answer))
    warn(answer.get("warnings", ()))


@odometer.command("reopen")
@PROVIDER
@MONTH
@REASON
@KEY
@JSON
def reopen(provider: str, month: str, reason: str, key: str | None, as_json: bool) -> None:
    """Let a final month take readings again."""
    from ..domain.commands import ReopenMonth

    _, answer = order(ReopenMonth(provider=provider, month=month, reason=reason), key)
    if as_json:
        return write_json(answer)
    click.echo(f"{answer['month']} of {answer['provider']} takes readings again")
    warn(answer.get("warnings", ()))


@odometer.command("feed")
@PROVIDER
@click.option("--cycle", "cycle_id", type=int, required=True, metavar="ID", help="The number of the cycle.")
@click.option("--stop", is_flag=True, help="Feed it no more; needs --reason.")
@click.option("--reason", metavar="T", help="Why it is fed no more, in a few words.")
@KEY
@JSON
def feed(provider: str, cycle_id: int, stop: bool, reason: str | None, key: str | None, as_json: bool) -> None:
    """Give a cycle a reading with each reading of the counter: the sum over the months that overlap it."""
    from ..domain.commands import FeedCycle, StopFeeding

    if stop != (reason is not None):
        raise click.UsageError("--stop needs a --reason" if stop else "--reason goes with --stop")
    wanted = (
        StopFeeding(provider=provider, cycle_id=cycle_id, reason=reason)
        if reason is not None
        else FeedCycle(provider=provider, cycle_id=cycle_id)
    )
    _, answer = order(wanted, key)
    if as_json:
        return write_json(answer)
    click.echo(show_odometer.feeding(answer, stop))
    warn(answer.get("warnings", ()))


@odometer.command("status")
@click.option("--provider", metavar="P", help="Only this one.")
@asked_at
@JSON
def status(provider: str | None, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """Every counter month by month, its pace, and what is to be done."""
    answer = books().odometers(provider, as_of=as_of, measured_by=measured_by)
    if as_json:
        return write_json(answer)
    click.echo(show_odometer.status(answer))
    warn(answer["warnings"])
    for odometer in answer["odometers"]:
        for reminder in odometer["reminders"]:
            tell(f"{show_odometer.urgency(reminder['urgency'])}: {odometer['provider']}: {reminder['message']}")
