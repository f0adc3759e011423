"""OpenRouter: activity (`GET /api/v1/activity`), what each endpoint was used for on each UTC day. `usage` is in dollars.

What ran under a key of one's own (`byok_usage_inference`) is billed by another provider: it is told, and not added.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

from ..domain.errors import PayloadRefused
from ..domain.money import ZERO, exactly, plain
from .kinds import Charge, Items, Remark, Report, each, text_of
from .pages import FIRST, first_pages, read_pages, unfinished
from .reading import File, day, dollars

NAME, VERSION = "openrouter-activity", 1


def recognises(file: File) -> bool:
    """Items with a day, an endpoint and a usage."""
    return any(
        isinstance(item, dict) and {"date", "usage", "endpoint_id", "model_permaslug"} <= item.keys()
        for page in islice(first_pages(file), FIRST)
        for item in page["data"][:FIRST]
    )


def report(file: File) -> Report:
    """What OpenRouter says was used of its credits: its meter."""
    return Report("openrouter", "openrouter activity")


def read(file: File) -> Items:
    """A charge for each item."""
    pages, broken = read_pages(file)
    yield from broken
    items = [item for page in pages for item in page["data"]]
    yield from each(items, partial(_charge, Counter()))
    yield from unfinished(pages)
    yield from _elsewhere(items)


def _charge(seen: Counter[str], item: Any) -> Iterator[Charge]:
    start = day(item.get("date"), "date")
    key = "|".join([start.date().isoformat(), text_of(item.get("endpoint_id")), text_of(item.get("model_permaslug"))])
    seen[key] += (
        1  # items that agree in all of it differ in something that is not known here: the second is not the first
    )
    key = key if seen[key] == 1 else f"{key}|{seen[key]}"
    yield Charge(key, start, start + timedelta(1), dollars(item.get("usage"), "usage"))


def _elsewhere(items: list[Any]) -> Iterator[Remark]:
    figures = [item.get("byok_usage_inference") for item in items if isinstance(item, dict)]
    read = [_figure(figure) for figure in figures if figure is not None]
    if billed := _sum([figure for figure in read if figure is not None]):
        yield Remark(f"{plain(billed)} dollars more ran under keys of your own: another provider bills them")
    if None in read:
        yield Remark(
            "what ran under keys of your own (`byok_usage_inference`) cannot be read everywhere: it may be more"
        )


def _figure(written: Any) -> Decimal | None:
    try:
        return dollars(written, "byok_usage_inference")
    except PayloadRefused:
        return None


@exactly
def _sum(amounts: list[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
