"""Words at the doors for programs: JSON that means one thing only, what is wrong with it, and refusals that name its fields."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ..domain.errors import RuleRefused

MOST = 5
"""Slips that one sentence names."""


def read_json(text: str | bytes, what: str) -> Any:
    """Read JSON with all the digits of its numbers.

    Refuses (`not-utf-8`, `not-json`) what is not UTF-8 or not JSON, with where it breaks off; also NaN, and a name that stands
    twice in an object, of which nobody could say which one is meant.
    """
    import simplejson

    try:
        return simplejson.loads(
            text.decode() if isinstance(text, bytes) else text,
            use_decimal=True,
            object_pairs_hook=_once_each,
            parse_constant=_no_number,
        )
    except UnicodeDecodeError as error:
        raise RuleRefused(
            f"{what} is not valid UTF-8 (byte {error.start}): save it as UTF-8", code="not-utf-8"
        ) from None
    except RecursionError:
        raise RuleRefused(f"{what} is nested too deep: nothing here is", code="not-json") from None
    except simplejson.JSONDecodeError as error:
        raise RuleRefused(
            f"{what} is not JSON: {error.msg} (line {error.lineno}, column {error.colno})", code="not-json"
        ) from None
    except ValueError as error:
        told = "a number has thousands of digits" if "integer string conversion" in str(error) else str(error)
        raise RuleRefused(f"{what} is not JSON: {told}", code="not-json") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:50]!r} stands twice in one object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def slips(errors: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Where pydantic found something wrong, and what, in words that need no pydantic to understand."""
    return [(".".join(map(str, e["loc"])), _plainly(e)) for e in errors]


def in_one(found: Iterable[tuple[str, str]]) -> str:
    """Slips in one sentence."""
    each = [f"{where}: {what}" if where else what for where, what in found]
    return "; ".join(each[:MOST]) + (f"; and {len(each) - MOST} more" if len(each) > MOST else "")


_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field here",
    "unexpected_keyword_argument": "there is no such field here",
    "missing_argument": "is missing",
    "missing_keyword_only_argument": "is missing",
    "model_attributes_type": "give an object with named fields",
    "model_type": "give an object with named fields",
    "dict_type": "give an object with named fields",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "int_parsing": "give a whole number",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "string_type": "give a text",
    "list_type": "give a list",
    "tuple_type": "give a list",
}


def _plainly(error: Mapping[str, Any]) -> str:
    if error["type"] in _PLAIN:
        return _PLAIN[error["type"]]
    said = re.sub(r"^(Value|Assertion) error, ", "", str(error["msg"]))
    return re.sub(r"^(Input|String|List|Tuple) should", "it should", said)


_AS_IT_IS = re.compile(r"(`[^`]*`|'[^']*'|\(mecris [^)]*\)|\bmecris [a-z][^;:,()]*)")
"""What a person typed or can type: quoted names, and commands."""
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)( in the other currency)?")
_FIELDS = {
    "remaining": "balance",
    "of": "credit",
    "amount": "amount_usd",
    "raw": "raw_payload",
    "cycle": "cycle_id",
    "compare-only": "counted: false",
    "in-includes-cache": "input_includes_cache",
    "no-reconcile": "reconcile: false",
    "start": "start_date",
    "end": "end_date",
    "target": "target_usd",
    "yes": "yes: true",
    "square": "square: true",
    "accept": "accept: true",
    "correct": "correct: true",
}


def for_programs(message: str) -> str:
    """A refusal with fields in place of options; whole commands, which a person can type, stay as they are."""
    parts = _AS_IT_IS.split(message)
    parts[::2] = [_OPTION.sub(_field, part) for part in parts[::2]]
    return "".join(parts)


def _field(found: re.Match[str]) -> str:
    option, other = found[1], found[2] or ""
    name = "amount" if other else _FIELDS.get(option) or option.replace("-", "_")
    return f"`{name}`{other}"
