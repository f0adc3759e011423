"""What commands share: the books, the options that many have, and how answers are written."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..books import Books
from ..books.answers import Answer, to_json
from . import show

if TYPE_CHECKING:
    from ..domain.commands import Command

F = TypeVar("F", bound=Callable[..., Any])


class Amount(click.ParamType[str]):
    """A number in decimal digits, kept as it is written; whether it makes sense is for the books to say."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that it is a number at all."""
        text = str(value).strip()
        try:
            Decimal(text)
        except InvalidOperation:
            self.fail(f"{value!r} is not a number: write it like 5.42", param, ctx)
        return text


class Count(click.ParamType[int]):
    """A whole number in decimal digits; whether it makes sense is for the books to say."""

    name = "tokens"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Check that it is a whole number at all."""
        text = str(value).strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
            self.fail(f"{value!r} is not a whole number: write it like 3500", param, ctx)
        return int(text)


USD = Amount()
TOKENS = Count()
CYCLE = click.option("--cycle", "cycle_id", type=int, required=True, metavar="ID", help="The number of the cycle.")
JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
KEY = click.option(
    "--idempotency-key", "key", metavar="K", help="The same order again with the same key records nothing."
)
REASON = click.option("--reason", required=True, metavar="T", help="Why, in a few words.")


def asked_at(command: F) -> F:
    """The two times of every question."""
    command = click.option("--measured-by", metavar="WHEN", help="What had happened by then, by all that is known.")(
        command
    )
    return asked_as_of(command)


def asked_as_of(command: F) -> F:
    """The time of a question about things that are known and not measured."""
    return click.option("--as-of", metavar="WHEN", help="What was known then: a position, a date, or a date-time.")(
        command
    )


def books(*, make: bool = True) -> Books:
    """The books that the command line names, made if there are none and `make` says so; closed when the command is done."""
    ctx = click.get_current_context()
    named = ctx.find_root().obj
    opened = ctx.with_resource(Books.open(named, via="cli", make=make))
    if named and opened.file.made:
        tell(f"new books: {opened.file.where}")  # a name that was mistyped is seen at once
    return opened


def tell(line: str) -> None:
    """Say something to the person; answers go elsewhere."""
    click.echo(line, err=True)


def warn(lines: Iterable[str]) -> None:
    """Say what a person should know before trusting an answer."""
    for line in lines:
        tell(f"{click.style('warning', fg='yellow')}: {line}")


def order(command: "Command", key: str | None) -> tuple[Books, Answer]:
    """Hand an order over; talks about repetition and warnings."""
    opened = books()
    answer = opened.handle(command, idempotency_key=key)
    if answer.replayed:
        tell("replayed: this order was done before, here is its first answer again")
    return opened, answer


def write_json(answer: Any) -> None:
    """Write an answer for programs."""
    click.echo(to_json(answer, indent=2 if sys.stdout.isatty() else None))


def and_now(opened: Books, cycle_id: int, warnings: Sequence[str] = ()) -> None:
    """Say where a cycle stands after an order, and what to know about it."""
    s = opened.status(cycle_id)
    tied = s["tie_out"]
    click.echo(
        f"cycle {cycle_id}: {show.money(tied['remaining_usd'])} left of {show.money(s['cycle']['budget_usd'])}, "
        f"{show.money(tied['unexplained_usd'])} unexplained, {show.grade(s['grade'])}"
        + (f" ({show.share(s['percent'])} apart)" if s["percent"] is not None else "")
    )
    warn(dict.fromkeys([*warnings, *s["warnings"]]))
