"""`mecris budget` outlooks: forecast, chart, and the summaries that agents read."""

import click

from . import show, show_outlook
from .common import JSON, asked_at, books, warn, write_json

WHICH = click.option(
    "--cycle",
    "cycle_id",
    type=int,
    metavar="ID",
    help="The number of the cycle.  [default: the one that today falls in]",
)


@click.command("forecast")
@WHICH
@asked_at
@JSON
def forecast(cycle_id: int | None, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """How fast money goes, what that comes to by the end, and how healthy the budget is."""
    answer = books().forecast(cycle_id, as_of=as_of, measured_by=measured_by)
    if as_json:
        return write_json(answer)
    click.echo(show_outlook.forecast(answer))
    warn(answer["warnings"])


@click.command("chart")
@WHICH
@click.option("--width", type=click.IntRange(20, 400), metavar="N", help="Columns.  [default: those of the terminal]")
@click.option("--height", type=click.IntRange(5, 100), default=16, show_default=True, metavar="N", help="Lines.")
@asked_at
@JSON
def chart(
    cycle_id: int | None, width: int | None, height: int, as_of: str | None, measured_by: str | None, as_json: bool
) -> None:
    """Draw budget, spend, plugs and forecast over the days of a cycle."""
    answer = books().chart(cycle_id, as_of=as_of, measured_by=measured_by)
    if as_json:
        return write_json(answer)
    from .chart import drawn

    click.echo(drawn(answer, width, height))


@click.command("narrate")
@WHICH
@asked_at
@JSON
def narrate(cycle_id: int | None, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """One line to act on, and what to do next."""
    answer = books().narrative(cycle_id, as_of=as_of, measured_by=measured_by)
    write_json(answer) if as_json else click.echo(show_outlook.narrative(answer))


@click.command("unified")
@asked_at
@JSON
def unified(as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """All current cycles and odometers together."""
    answer = books().unified(as_of=as_of, measured_by=measured_by)
    if as_json:
        return write_json(answer)
    click.echo(show_outlook.unified(answer))
    for note in answer["notes"]:
        show.hint(note)
