"""`mecris budget alert`: look at discrepancy and health, and tell whoever should know."""

from typing import Any

import click

from . import show, show_outlook
from .common import JSON, USD, books, tell, write_json
from .outlook import WHICH

OVER = 1


@click.command("alert")
@click.option("--threshold", type=USD, required=True, metavar="PERCENT", help="A discrepancy above this is told.")
@WHICH
@click.option(
    "--notify",
    multiple=True,
    envvar="MECRIS_NOTIFY",
    metavar="URL",
    help="Who is told: http(s):// gets a JSON POST, others (slack://, twilio://, mailto:// ...) go through Apprise. "
    "Can be given again.  [env: MECRIS_NOTIFY]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be told, record and send nothing.")
@JSON
def alert(threshold: Any, cycle_id: int | None, notify: tuple[str, ...], dry_run: bool, as_json: bool) -> int:
    """Warn when the latest discrepancy is over a threshold or health is not GOOD; exits with 1 then."""
    answer = books().alert(threshold, cycle_id, notify=notify, dry_run=dry_run)
    if as_json:
        write_json(answer)
    else:
        apart = "nothing compared" if answer["percent"] is None else f"{show.share(answer['percent'])} apart"
        click.echo(
            f"cycle {answer['cycle_id']}: {show.grade(answer['grade'])}, {apart} (threshold {show.share(answer['threshold_percent'])}); "
            f"health {show_outlook.level(answer['health'])}"
            + ("; closed, so nobody is told" if answer["closed"] else "")
        )
    for found in answer["alerts"]:
        tell(f"{click.style('warning', fg='yellow')}: {found['level']}, {found['message']}")
        for line in _told(found):
            tell(f"  {line}")
    return OVER if answer["alerts"] else 0


def _told(found: dict[str, Any]) -> list[str]:
    """What came of telling others."""
    if "targets" in found:
        return [f"would be told to {target}, unless a cool-down holds" for target in found["targets"]]
    lines = [f"raised as alert {found['alert']}"] if found["raised"] else []
    for d in found["deliveries"]:
        many = f"{d['attempts']} attempt{'' if d['attempts'] == 1 else 's'}"
        lines.append(
            f"delivered to {d['target']} ({many})"
            if d["delivered"]
            else f"not delivered to {d['target']} ({many}): {d['error']}; tried again from {show.when(d['retry_at'])} on"
        )
    lines += [f"{w['target']} waits until {show.when(w['until'])}" for w in found["waiting"]]
    if found["suppressed_until"]:
        lines.append(f"told before as alert {found['alert']}; not again until {show.when(found['suppressed_until'])}")
    return lines
