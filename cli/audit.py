"""`mecris audit`: the log as it is, the chain recomputed, the read models rebuilt. Books that are not there are not made."""

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from ..books.answers import to_json
from .common import JSON, books, tell, write_json

DAMAGED = 5
HEAD = re.compile(r"\d+:[0-9a-fA-F]{64}", re.ASCII)


@click.group()
def audit() -> None:
    """The log as it is, the chain recomputed, the read models rebuilt."""


@audit.command("log")
@click.option("--cycle", "cycle_id", type=int, metavar="ID", help="Only this cycle.")
@click.option(
    "--since", type=click.IntRange(0), default=0, metavar="POSITION", help="Only what comes after this position."
)
@click.option("--limit", type=click.IntRange(0), metavar="N", help="At most so many events.")
@JSON
def log(cycle_id: int | None, since: int, limit: int | None, as_json: bool) -> None:
    """Every event, in the order in which it was recorded."""
    events = books(make=False).log(cycle_id, since=since, limit=limit)
    if as_json:
        return _stream(events)
    for event in events:
        first = {
            name: event.pop(name) for name in ("position", "recorded_at", "recorded_by", "via", "event", "cycle_id")
        }
        event.pop("cycle", None)
        facts = "  ".join(f"{name}={_brief(value)}" for name, value in event.items())
        click.echo(
            f"{first['position']:>6}  {first['recorded_at'][:19].replace('T', ' ')}  {first['recorded_by']} ({first['via']})  "
            f"{click.style(first['event'], bold=True)}  {_about(first['cycle_id'])}{facts}"
        )


def _about(cycle: int | None) -> str:
    """Which cycle it is about; runs and odometers are among the facts."""
    return "" if cycle is None else f"cycle {cycle}  "


def _stream(events: Any) -> None:
    """An array that is written as it is read, whatever the size of the log."""
    between = "["
    for event in events:
        click.echo(between + to_json(event), nl=False)
        between = ",\n "
    click.echo("[]" if between == "[" else "]")


def _brief(value: Any) -> str:
    if isinstance(value, dict) and "pairs" in value:
        return f"({value['grade']}, {value['unexplained_usd']} unexplained, {value['remaining_usd']} remaining)"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:57]}...")
    text = to_json(value)
    if len(text) <= 120:
        return text
    return f"({len(value):,} of them)" if isinstance(value, list) else "..."


@audit.command("verify")
@click.option("--expect", metavar="HEAD", help="A head that was printed before and kept elsewhere.")
@JSON
def verify(expect: str | None, as_json: bool) -> int:
    """Recompute the chain over every stored event, and print its head."""
    if expect is not None and not HEAD.fullmatch(expect.strip()):
        raise click.BadParameter(
            "a head looks like 42:9f86d0…, a position and 64 hexadecimal digits", param_hint="--expect"
        )
    found = books(make=False).verify(expect)
    faults = [fault._asdict() for fault in found.faults]
    if as_json:
        write_json({"events": found.events, "head": found.head, "faults": faults})
    else:
        click.echo(f"{found.events:,} events, {_count(len(faults), 'fault')}\nhead {found.head}")
    _tell_faults(found.faults)
    return DAMAGED if faults else 0


def _tell_faults(faults: Sequence[Any]) -> None:
    for fault in faults:
        tell(f"damaged: {fault.what}")
    if faults:
        tell("what came before the first of these can be trusted; restore the file from a backup")


@audit.command("replay")
@JSON
def replay(as_json: bool) -> int:
    """Rebuild every read model beside the live one from the log alone, and compare them row for row."""
    opened = books(make=False)
    with _progress(opened.position) as advance:
        found = opened.replay(advance)
    if as_json:
        write_json(
            {
                "events": found.events,
                "differences": found.differences,
                "events_per_second": found.events_per_second,
                "examples": [difference._asdict() for difference in found.examples],
                "faults": [fault._asdict() for fault in found.faults],
            }
        )
    else:
        click.echo(
            f"{found.events:,} events replayed, {_count(found.differences, 'difference')}, {found.events_per_second:,} events/s"
        )
    _tell_faults(found.faults)
    for difference in found.examples:
        tell(f"differs: {difference.table}, {difference.side}: {to_json(difference.row)}")
    if found.differences and not found.faults:
        tell("the log is whole, so the read models are wrong: `mecris audit rebuild` makes them again")
    return DAMAGED if found.differences or found.faults else 0


@audit.command("rebuild")
@JSON
def rebuild(as_json: bool) -> None:
    """Throw the read models away and make them again from the log."""
    opened = books(make=False)
    with _progress(opened.position) as advance:
        position = opened.rebuild(advance)
    write_json({"position": position}) if as_json else click.echo(f"rebuilt from {position:,} events")


class _progress:  # noqa: N801  # used like the function it stands for
    """A progress bar on standard error, where a person sees it."""

    def __init__(self, length: int) -> None:
        self.bar = click.progressbar(length=length, label="replaying", file=sys.stderr)
        self.shown = sys.stderr.isatty()

    def __enter__(self) -> Callable[[int], None]:
        if not self.shown:
            return lambda _: None
        return self.bar.__enter__().update

    def __exit__(self, *error: Any) -> None:
        if self.shown:
            self.bar.__exit__(*error)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
