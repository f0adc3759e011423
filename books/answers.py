"""Answers: what an order or a question is answered with, and how it is written as JSON.

Amounts are exact decimals, percents are rounded to four places, times and days are ISO 8601 text in UTC.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ..domain.money import plain, shown


class Answer(dict[str, Any]):
    """The body of an answer; `replayed` says that it is the first answer to a repeated order, given again."""

    replayed = False


def percent(value: Decimal | None) -> Decimal | None:
    """A percentage as it is shown."""
    return None if value is None else shown(value, 4)


def estimate(value: Decimal | None) -> Decimal | None:
    """An estimate as it is shown: to six places, which it is not worth."""
    return None if value is None else shown(value, 6)


def to_json(answer: Any, *, indent: int | None = None) -> str:
    """Write an answer as JSON: amounts as numbers with all their digits."""
    import simplejson

    return str(simplejson.dumps(_plain(answer), indent=indent, ensure_ascii=False, allow_nan=False))


def from_json(text: str) -> Any:
    """Read an answer that was kept, with amounts and percents as decimals whether they have a fraction or not."""
    import simplejson

    return each_field(simplejson.loads(text, use_decimal=True), _with_decimals)


DECIMALS = ("percent", "excellent", "good", "fair", "tolerance_percent")
"""Fields of answers that are decimals although their names do not end in `_usd`."""


def each_field(value: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    """The same value with every field of it changed, by name, however deep it lies."""
    if isinstance(value, dict):
        return {key: each_field(item, change, key) for key, item in value.items()}
    if isinstance(value, list):
        return [each_field(item, change, name) for item in value]
    return change(name, value)


def _with_decimals(name: str, value: Any) -> Any:
    return Decimal(value) if isinstance(value, int) and (name.endswith("_usd") or name in DECIMALS) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        import simplejson

        return simplejson.RawJSON(plain(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
