"""ccusage: `ccusage daily --json`, with or without `--instances`: Claude Code's tokens at list prices, by day and model.

Costs are floats there; they are taken digit by digit as they are written, noise and all.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from ..domain.errors import PayloadRefused
from ..domain.money import ZERO, exactly, plain
from .kinds import Charge, Items, Remark, Report, each, text_of
from .reading import File, day, dollars

NAME, VERSION = "ccusage", 1
NOISE = Decimal("0.000001")
"""Dollars by which floats may miss their sum."""


def recognises(file: File) -> bool:
    """Days with a total cost, in a list or in lists by project."""
    return any(
        isinstance(row, dict) and "totalCost" in row and ("date" in row or "period" in row)
        for row, _ in _rows(file.json)
    )


def report(file: File) -> Report:
    """An estimate: nobody billed it."""
    return Report("claude", "ccusage", estimate=True)


def read(file: File) -> Items:
    """A charge for each model of each day, or for the day where it has no models."""
    yield from each(_rows(file.json), _charges)
    yield Remark("these are floats of list prices: an estimate, which nobody billed")
    yield Remark("its days are those of the machine that it ran on: they are taken for UTC (`ccusage --timezone UTC`)")
    if "projects" in file.json:
        yield Remark("by project: import either this or the export without `--instances`, they are the same money")


def _rows(found: Any) -> Iterator[tuple[Any, str | None]]:
    """Each day, with its project if the export is by project."""
    projects = found.get("projects")
    if isinstance(projects, dict):
        yield from ((row, name) for name, rows in projects.items() for row in rows)
    else:
        yield from ((row, row.get("project") if isinstance(row, dict) else None) for row in found.get("daily") or ())


def _charges(dated: tuple[Any, str | None]) -> Iterator[Charge | Remark]:
    row, project = dated
    _require_claude(row)
    start = day(row.get("date") or row.get("period"), "date")
    costs = _costs(row)
    for model, cost in costs:
        key = "|".join([start.date().isoformat(), text_of(model), *([text_of(project)] if project is not None else [])])
        yield Charge(key, start, start + timedelta(1), cost)
    yield from _difference(f"{start:%Y-%m-%d}", [cost for _, cost in costs], dollars(row["totalCost"], "totalCost"))


def _costs(row: dict[str, Any]) -> list[tuple[str | None, Decimal]]:
    models = row.get("modelBreakdowns")
    if not models:
        return [(None, dollars(row["totalCost"], "totalCost"))]
    return [(model["modelName"], dollars(model.get("cost"), "cost")) for model in models]


@exactly
def _difference(date: str, costs: list[Decimal], total: Decimal) -> list[Remark]:
    summed = sum(costs, ZERO)
    if abs(summed - total) <= NOISE:
        return []
    return [
        Remark(f"{date}: its models add up to {plain(summed)}, its total says {plain(total)}: the models are taken")
    ]


def _require_claude(row: dict[str, Any]) -> None:
    """Refuse the spend of other agents, which the view of all agents has."""
    named = (row.get("metadata") or {}).get("agents") or [row.get("agent") or "claude"]
    others = [str(agent) for agent in named if agent != "claude"]
    if others:
        raise PayloadRefused(f"this is of {', '.join(others)[:100]} too: export `ccusage claude daily --json`")
