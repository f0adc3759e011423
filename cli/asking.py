"""`mecris budget` questions: what is left, what differs, and what the sources say."""

import click

from . import show
from .common import CYCLE, JSON, asked_at, books, warn, write_json


@click.command("status")
@click.option(
    "--cycle",
    "cycle_id",
    type=int,
    metavar="ID",
    help="The number of the cycle.  [default: the one that today falls in]",
)
@asked_at
@JSON
def status(cycle_id: int | None, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """How much is left, and why one should believe it."""
    answer = books().status(cycle_id, as_of=as_of, measured_by=measured_by)
    if as_json:
        return write_json(answer)
    click.echo(show.status(answer))
    warn(answer["warnings"])


@click.command("discrepancies")
@CYCLE
@asked_at
@JSON
def discrepancies(cycle_id: int, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """Every realtime source beside every manual source of its provider, graded."""
    answer = books().discrepancies(cycle_id, as_of=as_of, measured_by=measured_by)
    write_json(answer) if as_json else click.echo(show.discrepancies(answer))


@click.command("sources")
@CYCLE
@click.option("--history", is_flag=True, help="Every reading, retracted ones too.")
@asked_at
@JSON
def sources(cycle_id: int, history: bool, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """Every source with its current reading, or every reading."""
    rows = books().sources(cycle_id, history=history, as_of=as_of, measured_by=measured_by)
    write_json(rows) if as_json else click.echo(show.sources(rows, history))


@click.command("plugs")
@CYCLE
@asked_at
@JSON
def plugs(cycle_id: int, as_of: str | None, measured_by: str | None, as_json: bool) -> None:
    """Every plug, reversed ones too."""
    rows = books().plugs(cycle_id, as_of=as_of, measured_by=measured_by)
    write_json(rows) if as_json else click.echo(show.plugs(rows))
