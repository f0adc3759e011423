"""Orders as text: one JSON object a line, with the order's name, its key, and its fields. Answers are a line each."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..domain.errors import MecrisError, RuleRefused

if TYPE_CHECKING:
    from ..domain.commands import Command
    from .books import Books


def to_line(order: "Command", key: str | None = None) -> str:
    """An order as a line; what it leaves at its default is left out."""
    from .answers import to_json

    fields = order.model_dump(mode="json", exclude_defaults=True)
    return to_json({"command": order.name, **({"key": key} if key is not None else {}), **fields})


def of_line(line: str | bytes) -> "tuple[Command, str | None]":
    """The order in a line, and its key."""
    import simplejson
    from pydantic import ValidationError

    from ..domain.commands import NAMED

    try:
        said = simplejson.loads(line.decode() if isinstance(line, bytes) else line, use_decimal=True)
    except UnicodeDecodeError:
        raise RuleRefused("the line is not valid UTF-8: save it as UTF-8", code="not-utf-8") from None
    except (ValueError, RecursionError):
        raise RuleRefused("the line is not JSON: write one object a line", code="not-json") from None
    if not isinstance(said, dict):
        raise RuleRefused("the line is no JSON object: write one order a line", code="not-json")
    name, key = said.pop("command", None), said.pop("key", None)
    if name not in NAMED:
        raise RuleRefused(
            f"there is no order {str(name)[:50]!r} (there are: {', '.join(sorted(NAMED))})", code="unknown-order"
        )
    if key is not None and not isinstance(key, str):
        raise RuleRefused("the key is a text that names this order alone", code="key")
    try:
        return NAMED[name].model_validate(said), key
    except ValidationError as wrong:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong.errors())
        raise RuleRefused(f"{name} cannot be read: {told}", code="invalid") from None


def apply(books: "Books", lines: Iterable[str | bytes], *, stop: bool) -> Iterator[dict[str, Any]]:
    """Do what each line says, each atomically, and tell what came of it; stops at the first refusal if asked to."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            order, key = of_line(line)
            answer = books.handle(order, idempotency_key=key)
            yield {"line": number, "ok": True, "replayed": answer.replayed, "answer": answer}
        except MecrisError as error:
            yield {"line": number, "ok": False, "code": error.code, "detail": error.message}
            if stop:
                return
