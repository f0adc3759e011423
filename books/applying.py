"""Orders as text: one JSON object a line, with the order's name, its key, and its fields. Answers are a line each."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..domain.errors import MecrisError, RuleRefused
from .answers import Answer, to_json
from .wording import for_programs, in_one, read_json, slips

if TYPE_CHECKING:
    from ..domain.commands import Command
    from .books import Books


class Applied(NamedTuple):
    """What came of a line, counted from 1: an answer, or the error that stands in its place."""

    line: int
    came_of_it: Answer | MecrisError

    def __str__(self) -> str:
        """As a line of JSON."""
        came = self.came_of_it
        if isinstance(came, MecrisError):
            return to_json({"line": self.line, "ok": False, "code": came.code, "detail": for_programs(came.message)})
        return to_json({"line": self.line, "ok": True, "replayed": came.replayed, "answer": came})


def to_line(order: "Command", key: str | None = None) -> str:
    """An order as a line; what it leaves at its default is left out."""
    fields = order.model_dump(mode="json", exclude_defaults=True)
    return to_json({"command": order.name, **({"key": key} if key is not None else {}), **fields})


def of_line(line: str | bytes) -> "tuple[Command, str | None]":
    """The order in a line, and its key."""
    from pydantic import ValidationError

    from ..domain.commands import INNER, NAMED

    said = read_json(line, "the line")
    if not isinstance(said, dict):
        raise RuleRefused("the line is no JSON object: write one order a line", code="not-json")
    name, key = said.pop("command", None), said.pop("key", None)
    offered = sorted(NAMED.keys() - INNER)
    if name not in offered:
        told = 'the line names no order: give "command"' if name is None else f"there is no order {str(name)[:50]!r}"
        raise RuleRefused(f"{told} (there are: {', '.join(offered)})", code="unknown-order")
    if key is not None and not isinstance(key, str):
        raise RuleRefused("the key is a text that names this order alone", code="key")
    try:
        return NAMED[name].model_validate(said), key
    except ValidationError as wrong:
        raise RuleRefused(f"{name} cannot be read: {in_one(slips(wrong.errors()))}", code="invalid") from None


def apply(books: "Books", lines: Iterable[str | bytes], *, stop: bool) -> Iterator[Applied]:
    """Do what each line says, each atomically, and tell what came of it; stops at the first refusal if asked to."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            order, key = of_line(line)
            yield Applied(number, books.handle(order, idempotency_key=key))
        except MecrisError as error:
            yield Applied(number, error)
            if stop:
                return
