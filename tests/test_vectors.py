"""Every story of `vectors.json`, order by order, through the real books with the clock set."""

import json
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from mecris.books import Books
from mecris.domain import commands as c
from mecris.domain.errors import Refused

STORIES = json.loads((Path(__file__).parent / "vectors.json").read_text())


class Clock:
    """A clock that shows what a story says."""

    def __init__(self) -> None:
        self.now = datetime.fromisoformat("2025-01-01T00:00:00Z")

    def __call__(self) -> datetime:
        return self.now


def order_of(told: dict[str, Any], last_reading: int) -> c.Command:
    """The command that a line of a story tells."""
    match told["order"]:
        case "open":
            return c.OpenCycle(start_date=told["start"], end_date=told["end"], target_usd=told["target"])
        case "reading":
            return c.RecordSource(
                cycle_id=told["cycle"],
                source=told["name"],
                type=told["type"],
                amount=told.get("amount"),
                balance=told.get("remaining"),
                credit=told.get("of"),
                payload=told.get("payload"),
                provider=told.get("provider"),
                counted=not told["compare_only"] if "compare_only" in told else None,
                measured_at=told.get("measured_at"),
            )
        case "plug":
            return c.ApplyPlug(
                cycle_id=told["cycle"],
                amount_usd=told.get("amount"),
                square=told.get("square", False),
                reason=told["reason"],
                provider=told.get("provider"),
                yes=told.get("yes", False),
            )
        case "adjust":
            return c.AdjustBudget(
                cycle_id=told["cycle"], amount_usd=told["amount"], reason=told["reason"], at=told.get("at")
            )
        case "retract":
            assert told["reading"] == "the last"
            return c.RetractReading(cycle_id=told["cycle"], reading=last_reading, reason=told["reason"])
    raise AssertionError(f"a story tells of {told['order']!r}")


def rounded(told: str | None) -> str | None:
    """What the story gives, rounded to the four places that are shown."""
    if told is None:
        return None
    return f"{Decimal(told).quantize(Decimal('0.0001'), ROUND_HALF_UP).normalize():f}"


@pytest.mark.parametrize("story", STORIES, ids=[s["story"] for s in STORIES])
def test_the_story_ends_in_its_figures(story: dict[str, Any], tmp_path: Path) -> None:
    clock = Clock()
    last_reading = 0
    with Books.open(tmp_path / "books.db", clock=clock) as books:
        for told in story["orders"]:
            clock.now = datetime.fromisoformat(told["now"])
            order = order_of(told, last_reading)
            if told["came_of_it"].startswith("refused"):
                with pytest.raises(Refused):
                    books.handle(order)
            else:
                answer = books.handle(order)
                assert answer["recorded"] == (told["came_of_it"] == "recorded"), told
                last_reading = answer.get("reading") or last_reading
            assert figures(books) == expected(told["status"]), told
            assert pairs(books) == [[a, b, Decimal(d), rounded(p), g] for a, b, d, p, g in told["pairs"]], told
        assert books.replay().differences == 0


def figures(books: Books) -> dict[str, Any]:
    """The live figures under the names of the stories."""
    s = books.status(1)
    tie_out = s["tie_out"]
    return {
        "budget": s["cycle"]["budget_usd"],
        "realtime_usd": s["totals"]["realtime_usd"],
        "manual_usd": s["totals"]["manual_usd"],
        **{name: tie_out[f"{name}_usd"] for name in ("tracked", "plugged", "unexplained", "spent", "remaining")},
        "diff": s["diff_usd"],
        **{name: _text(value) for name, value in (("percent", s["percent"]), *_percents(tie_out))},
        "grade": s["grade"],
        "stale": s["stale"],
    }


def _percents(tie_out: dict[str, Any]) -> list[tuple[str, Decimal | None]]:
    return [(name, tie_out[name]) for name in ("coverage_percent", "verified_percent")]


def _text(percent: Decimal | None) -> str | None:
    return None if percent is None else f"{percent.normalize():f}"


def expected(told: dict[str, Any]) -> dict[str, Any]:
    """The figures of a story, amounts exact, percentages as they are shown."""
    percents = ("percent", "coverage_percent", "verified_percent")
    as_they_are = ("grade", "stale")
    return {
        name: rounded(value) if name in percents else value if name in as_they_are else Decimal(value)
        for name, value in told.items()
    }


def pairs(books: Books) -> list[list[Any]]:
    """The live pairs in the shape of the stories."""
    return [
        [d["source_a"]["name"], d["source_b"]["name"], d["diff_usd"], _text(d["percent"]), d["grade"]]
        for d in books.discrepancies(1)["details"]
    ]
