"""`mecris books`: the books as a whole, copied elsewhere, backed up, restored, set up on PostgreSQL."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..books import Books
from ..books.answers import Answer
from .common import JSON, tell, write_json
from .common import books as opened_books
from .exits import Stopped

LABEL = 32
"""Letters of what is compared; a bar beside it, without its figures, fits into 80 columns."""


@click.group()
def books() -> None:
    """The books as a whole: copied elsewhere, backed up, restored, set up on PostgreSQL."""


@books.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@JSON
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy books between files and databases, event by event, and compare every answer.

    Positions, times and links stay as they are. What was interrupted goes on where it stopped; a target that holds
    other events is refused.
    """
    with Books.open(source, via="cli", make=False) as opened, _goes_on(), _progress(opened.position) as told:
        answer = opened.copy_to(target, *told)
    _say(answer, "copied", as_json)


@books.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@JSON
def backup(file: Path, as_json: bool) -> None:
    """Copy the books into a new file, as they are at this moment; others may write meanwhile."""
    opened = opened_books(make=False)
    with _goes_on(), _progress(opened.position) as told:
        answer = opened.backup(file, *told)
    _say(answer, "backed up", as_json)


@books.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@JSON
def restore(file: Path, as_json: bool) -> None:
    """Take over what a backup holds into books that are new, or that hold the beginning of it."""
    from ..books.moving import require_backup

    require_backup(file)  # before new books are made for it
    opened = opened_books()
    with _goes_on(), _progress(0) as told:
        answer = opened.restore(file, *told)
    _say(answer, "restored", as_json)


@books.command("setup")
@click.option("--grant", "role", metavar="ROLE", help="Let this role keep the books, with as little as that needs.")
def setup(role: str | None) -> None:
    """Make the books on PostgreSQL, or bring them up to date, and say who may keep them. For the database's owner."""
    opened = opened_books()
    if role is not None:
        opened.file.grant(role)
        click.echo(f"{role} may append to {opened.file.where}, and can change or delete no event")
    elif opened.file.set_up():
        click.echo(
            f"{opened.file.where} has a place for its read models again: the next question makes them from the log"
        )
    else:
        click.echo(f"{opened.file.where} is up to date")


def _say(answer: Answer, what: str, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    click.echo(
        f"{answer['copied']:,} of {answer['position']:,} events {what}, {answer['events']:,} events, "
        f"{answer['rows']:,} rows and {answer['answers']:,} answers compared, 0 differences"
    )
    tell(f"head {answer['head']}")


@contextmanager
def _progress(length: int) -> Iterator[tuple[Any, Any]]:
    """On standard error, where a person sees it: a bar of the events that are copied, and then what is compared."""
    if not sys.stderr.isatty():
        yield None, None
        return
    with click.progressbar(length=length, label="copying", file=sys.stderr) as bar:

        def compare(what: str) -> None:
            bar.label = f"comparing {what}"[:LABEL].ljust(LABEL)
            bar.render_progress()

        yield bar.update, compare


@contextmanager
def _goes_on() -> Iterator[None]:
    """Say, when it is interrupted, that nothing of it was in vain."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("what was copied stays, and the same command goes on from there") from None
