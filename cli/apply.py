"""`mecris apply`: a stream of orders, one JSON object a line."""

import sys
from typing import BinaryIO

import click

from ..domain.errors import MecrisError
from .common import books, tell
from .exits import exit_of


@click.command("apply")
@click.argument("file", type=click.File("rb"))
@click.option("--keep-going", is_flag=True, help="Go on after a refusal.  [default: stop at the first]")
def apply(file: BinaryIO, keep_going: bool) -> int:
    """Do what a stream of orders says: one JSON object a line, from a file or standard input (-).

    Each line has "command" (like "record-source"), its fields, and perhaps "key", an idempotency key. Each order is atomic
    and on disk when its answer is printed, one line each; with keys, the same stream can be applied again. The exit code is
    that of the first refusal.
    """
    from ..books.applying import apply as applied

    refused: list[MecrisError] = []
    for answer in applied(books(), file, stop=not keep_going):
        click.echo(str(answer))
        sys.stdout.flush()
        if isinstance(answer.came_of_it, MecrisError):
            refused.append(answer.came_of_it)
    if not refused:
        return 0
    told = f"{len(refused)} order{'' if len(refused) == 1 else 's'} refused"
    tell(told if keep_going else f"{told}: stopped there, what came before is done")
    return exit_of(refused[0])
