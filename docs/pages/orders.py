"""Orders: every one with its fields, as `mecris apply` and Python take them."""

import inspect
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from mecris.domain import commands as c

from .fields import otherwise
from .markdown import page, table


def text() -> str:
    """Every order with its fields, as `mecris apply` and Python take them."""
    offered = {name: kind for name, kind in sorted(c.NAMED.items()) if name not in c.INNER}
    parts = [
        "# Orders",
        "What one may ask the books to do, as a line of JSON (`mecris apply`) and as an object in Python (`mecris.domain.commands`).\n"
        'A line has `"command"` with the name of the order, perhaps `"key"` (an idempotency key), and these fields.\n'
        "Amounts are numbers or text of digits; moments are a date or a date-time. Where two names are given, either will do.",
        table(["order", "class"], [[f"[`{n}`](#{n})", f"`{k.__name__}`"] for n, k in offered.items()]),
    ]
    for name, kind in offered.items():
        parts += [f"## {name}", inspect.getdoc(kind) or "", _order_fields(kind)]
    told = "One of the `dispatches` of [`record-dispatches`](#record-dispatches)."
    return page(*parts, "## dispatch", told, inspect.getdoc(c.Dispatch) or "", _order_fields(c.Dispatch))


def _order_fields(kind: type[BaseModel]) -> str:
    rows = []
    for name, field in kind.model_fields.items():
        aliases = getattr(field.validation_alias, "choices", [name])
        needed = "needed" if field.is_required() else otherwise(field.default).removeprefix(", ")
        rows.append([" or ".join(f"`{alias}`" for alias in aliases), _order_type(field.annotation), needed])
    return table(["field", "what", ""], rows)


def _order_type(annotation: Any) -> str:
    if annotation == c.When or annotation == c.When | None:
        return "moment"
    origin, inner = get_origin(annotation), [a for a in get_args(annotation) if a not in (type(None), ...)]
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, UnionType, Annotated):
        return _order_type(inner[0])
    if origin is tuple:
        return f"list of [{inner[0].__name__.lower()}](#{inner[0].__name__.lower()})"
    return {Decimal: "number", int: "whole number", str: "text", bool: "true or false"}[annotation]
