"""`mecris budget` orders: what meters and dashboards say, plugs, and the record."""

import sys
from pathlib import Path
from typing import Any

import click

from . import show
from .common import CYCLE, JSON, KEY, REASON, USD, and_now, order, tell, write_json

GRADES = ("EXCELLENT", "GOOD", "FAIR", "POOR")


@click.command("add-source")
@CYCLE
@click.option("--name", required=True, metavar="N", help="What the source is called; a new name is a new source.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["realtime", "manual"]),
    help="A meter or API, or read by a person. Needed for a new source.",
)
@click.option("--amount", type=USD, metavar="USD", help="What the cycle has cost so far.")
@click.option("--remaining", type=USD, metavar="USD", help="What is left, in place of what was spent.")
@click.option(
    "--of", "credit", type=USD, metavar="USD", help="What the remainder is left of.  [default: the budget in force]"
)
@click.option(
    "--raw", metavar="TEXT|@FILE|-", help="The payload or page it was read from; alone, it must name one amount."
)
@click.option("--provider", metavar="P", help="Only sources of the same provider are compared.")
@click.option(
    "--compare-only/--counted",
    "compare_only",
    default=None,
    help="Sees money that another source counts: compared, never added.",
)
@click.option("--currency", default="USD", metavar="C", help="Another currency needs --rate.")
@click.option("--rate", type=USD, metavar="R", help="USD for one unit of the currency.")
@click.option(
    "--measured-at", metavar="WHEN", help="When it was read: a date-time, or a day (its end).  [default: now]"
)
@click.option("--no-reconcile", is_flag=True, help="Do not put the comparison on record.")
@KEY
@JSON
def add_source(  # one parameter for each option that `design.md` names
    cycle_id: int,
    name: str,
    kind: Any,
    amount: Any,
    remaining: Any,
    credit: Any,
    raw: str | None,
    provider: str | None,
    compare_only: bool | None,
    currency: str,
    rate: Any,
    measured_at: str | None,
    no_reconcile: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Record what a source says the cycle has cost so far: an amount, what is left, or a paste that names it."""
    from ..domain.commands import RecordSource

    if amount is None and remaining is None and raw is None:
        raw = _pasted()
    opened, answer = order(
        RecordSource(
            cycle_id=cycle_id,
            source=name,
            type=kind,
            amount=amount,
            balance=remaining,
            credit=credit,
            payload=None if raw is None else _payload(raw),
            provider=provider,
            counted=None if compare_only is None else not compare_only,
            currency=currency,
            rate=rate,
            measured_at=measured_at,
            reconcile=not no_reconcile,
        ),
        key,
    )
    if as_json:
        return write_json(answer)
    if answer["reading"]:
        click.echo(
            f"reading {answer['reading']}: '{answer['source']}' says {show.money(answer['amount_usd'])} were spent"
        )
    else:
        click.echo("said before, word for word: nothing was recorded")
    and_now(opened, cycle_id, answer["warnings"])


def _pasted() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("nothing is said: give --amount, --remaining, or --raw")
    tell("Paste what the dashboard shows, then press Ctrl-D on a line of its own:")
    pasted = sys.stdin.read()
    if not pasted.strip():
        raise click.UsageError("nothing was pasted: give --amount, --remaining, or --raw")
    return pasted.replace("@", "@@", 1) if pasted.startswith("@") else pasted


def _payload(raw: str) -> str:
    """The text itself, or the bytes of a file or of standard input; @@ stands for a text that begins with @."""
    if raw.startswith("@@"):
        return raw[1:]
    if raw != "-" and not raw.startswith("@"):
        return raw
    try:
        content = sys.stdin.buffer.read() if raw == "-" else _file(raw[1:])
        return content.decode()
    except UnicodeDecodeError:
        raise click.UsageError("the payload is not UTF-8 text: save the page as UTF-8") from None


def _file(name: str) -> bytes:
    try:
        with Path(name).open("rb") as opened:
            return opened.read(2**20)
    except OSError as error:
        raise click.UsageError(f"{name} cannot be read: {error.strerror}") from None


@click.command("retract")
@CYCLE
@click.option(
    "--reading", type=int, required=True, metavar="N", help="The reading; `budget sources --history` lists them."
)
@REASON
@KEY
@JSON
def retract(cycle_id: int, reading: int, reason: str, key: str | None, as_json: bool) -> None:
    """Take a wrong reading back."""
    from ..domain.commands import RetractReading

    opened, answer = order(RetractReading(cycle_id=cycle_id, reading=reading, reason=reason), key)
    if as_json:
        return write_json(answer)
    click.echo(f"reading {answer['reading']} of '{answer['source']}' is retracted")
    and_now(opened, cycle_id)


@click.command("plug")
@CYCLE
@click.option("--amount", type=USD, metavar="USD", help="How much to explain; negative takes back.")
@click.option("--square", is_flag=True, help="Explain exactly what is unexplained.")
@REASON
@click.option("--provider", metavar="P", help="Whose spend.  [default: the only one that can be plugged]")
@click.option("--evidence", metavar="T", help="Where it can be looked up.")
@click.option("--yes", is_flag=True, help="Confirm a plug over 5 USD, or one that leaves more unexplained.")
@KEY
@JSON
def plug(
    cycle_id: int,
    amount: Any,
    square: bool,
    reason: str,
    provider: str | None,
    evidence: str | None,
    yes: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Explain spend that no realtime source saw."""
    from ..domain.commands import ApplyPlug

    if square == (amount is not None):
        raise click.UsageError("give either --amount or --square, which plugs exactly what is unexplained")
    opened, answer = order(
        ApplyPlug(
            cycle_id=cycle_id,
            amount_usd=amount,
            square=square,
            reason=reason,
            provider=provider,
            evidence=evidence,
            yes=yes,
        ),
        key,
    )
    if as_json:
        return write_json(answer)
    click.echo(
        f"plug {answer['plug']}: {show.money(answer['amount_usd'])} explained"
        if answer["plug"]
        else "nothing is unexplained: nothing was recorded"
    )
    and_now(opened, cycle_id)


@click.command("unplug")
@CYCLE
@click.option("--plug", "number", type=int, required=True, metavar="N", help="The plug to reverse.")
@REASON
@KEY
@JSON
def unplug(cycle_id: int, number: int, reason: str, key: str | None, as_json: bool) -> None:
    """Reverse a plug."""
    from ..domain.commands import ReversePlug

    opened, answer = order(ReversePlug(cycle_id=cycle_id, plug=number, reason=reason), key)
    if as_json:
        return write_json(answer)
    click.echo(f"plug {answer['plug']} is reversed: {show.money(answer['amount_usd'])}")
    and_now(opened, cycle_id)


@click.command("reconcile")
@CYCLE
@click.option(
    "--fail-under",
    type=click.Choice(GRADES, case_sensitive=False),
    metavar="GRADE",
    help="Exit with 1 if the grade is not at least this.",
)
@KEY
@JSON
def reconcile(cycle_id: int, fail_under: str | None, key: str | None, as_json: bool) -> int:
    """Put the comparison on record, as it stands."""
    from ..domain.commands import Reconcile
    from ..domain.grading import meets

    opened, answer = order(Reconcile(cycle_id=cycle_id), key)
    if as_json:
        write_json(answer)
    else:
        click.echo("put on record" if answer["recorded"] else "nothing new: what is on record still stands")
        and_now(opened, cycle_id)
    return 0 if fail_under is None or meets(answer["grade"], fail_under.upper()) else 1
