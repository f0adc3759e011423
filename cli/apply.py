"""`mecris apply`: a stream of orders, one JSON object a line."""

import sys
from typing import BinaryIO

import click

from ..books.answers import to_json
from .common import books, tell

REFUSED = 3


@click.command("apply")
@click.argument("file", type=click.File("rb"))
@click.option("--keep-going", is_flag=True, help="Go on after a refusal.  [default: stop at the first]")
def apply(file: BinaryIO, keep_going: bool) -> int:
    """Do what a stream of orders says: one JSON object a line, from a file or standard input (-).

    Each line has "command" (like "record-source"), its fields, and perhaps "key", an idempotency key. Each order is atomic
    and on disk when its answer is printed, one line each; with keys, the same stream can be applied again.
    """
    from ..books.applying import apply as applied

    refused = 0
    for answer in applied(books(), file, stop=not keep_going):
        click.echo(to_json(answer))
        sys.stdout.flush()
        refused += not answer["ok"]
    if refused:
        tell(
            f"{refused} order{'' if refused == 1 else 's'} refused"
            + ("" if keep_going else ": stopped there, what came before is done")
        )
    return REFUSED if refused else 0
